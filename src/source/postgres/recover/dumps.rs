//! Restored dumps, lent to the scratch user for as long as they are read.
//!
//! They are linked, not copied: what is loaded is the very file that was restored. Rights are put
//! back afterwards, for what was restored is still to be compared with what was captured. Only of
//! the globals a copy is made, without the one line that cannot be run.

use std::fs::{self, File, Metadata, Permissions};
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::super::{Cluster, Database, GLOBALS, file_of, names};
use super::{Error, data, environment, make_folder};
use crate::sandbox::Scratch;
use crate::source::Trouble;

/// The dumps of a cluster in a folder of the scratch's own.
pub(super) struct Dumps {
    globals: PathBuf,
    /// In the order of the cluster's databases.
    databases: Vec<PathBuf>,
    lent: Vec<Lent>,
    bytes: u64,
}

/// A file whose rights were changed, by its open descriptor: under its name a hostile server may
/// by then have put a link to anything.
struct Lent {
    path: PathBuf,
    file: File,
    rights: Permissions,
}

impl Dumps {
    /// Links what the capture names from `folder` into a new one in `room`.
    ///
    /// What runs in the room by now may write there, and is still to be trusted: nothing of the
    /// customer's has been loaded.
    pub(super) fn lend(
        folder: &Path,
        room: &Path,
        cluster: &Cluster,
        scratch: &Scratch,
    ) -> Result<Self, Trouble> {
        let to = room.join("dumps");
        make_folder(&to, scratch)?;
        let globals = to.join("globals.sql");
        copy_globals(folder, &globals, &cluster.superuser)?;
        let mut dumps = Self { globals, databases: Vec::new(), lent: Vec::new(), bytes: 0 };
        for (number, database) in cluster.databases.iter().enumerate() {
            // Databases' names may be longer than a file's, and hold anything.
            let linked = to.join(format!("{number}.dump"));
            dumps.link(folder, &file_of(&database.name), &linked)?;
            dumps.databases.push(linked);
        }
        scratch.hand_over(&to).map_err(environment)?;
        Ok(dumps)
    }

    fn link(&mut self, folder: &Path, name: &str, to: &Path) -> Result<(), Trouble> {
        let (from, found) = dump(folder, name)?;
        if fs::hard_link(&from, to).is_err() {
            fs::copy(&from, to).map_err(|source| environment(Error::io("copy", &from, source)))?;
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(to, flags, Mode::empty()).map(File::from);
        let file = file.map_err(|errno| environment(Error::io("open", to, errno.into())))?;
        let lent = Lent { path: to.to_owned(), file, rights: found.permissions() };
        lent.set(Permissions::from_mode(0o400))?;
        self.bytes = self.bytes.saturating_add(found.len());
        self.lent.push(lent);
        Ok(())
    }

    /// The roles and what else all databases share.
    pub(super) fn globals(&self) -> &Path {
        &self.globals
    }

    /// Each database with its dump.
    pub(super) fn databases<'a>(
        &'a self,
        cluster: &'a Cluster,
    ) -> impl Iterator<Item = (&'a Database, &'a Path)> {
        cluster.databases.iter().zip(self.databases.iter().map(PathBuf::as_path))
    }

    /// All dumps together.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts the files' rights back.
    pub(super) fn take_back(self) -> Result<(), Trouble> {
        self.lent.iter().try_for_each(|lent| lent.set(lent.rights.clone()))
    }
}

impl Lent {
    fn set(&self, rights: Permissions) -> Result<(), Trouble> {
        let by_number = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        fs::set_permissions(by_number, rights)
            .map_err(|source| environment(Error::io("change the rights of", &self.path, source)))
    }
}

/// The regular file `name` in `folder`.
fn dump(folder: &Path, name: &str) -> Result<(PathBuf, Metadata), Trouble> {
    let path = folder.join(name);
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_file() => Ok((path, found)),
        Ok(_) => Err(data(Error::NotAFile { name: name.to_owned() })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(data(Error::DumpMissing { name: name.to_owned() }))
        }
        Err(error) => Err(environment(Error::io("look at", path, error))),
    }
}

/// A copy of the globals that does not make the role that initdb makes.
fn copy_globals(folder: &Path, to: &Path, superuser: &str) -> Result<(), Trouble> {
    let (from, _) = dump(folder, GLOBALS)?;
    // A keyword is quoted too, and which names are keywords is the version's own affair.
    let lines = [quoted_if_needed(superuser), names::identifier(superuser)]
        .map(|name| format!("CREATE ROLE {name};").into_bytes());
    let copied = copy_without(&from, to, &lines);
    copied.map_err(|source| environment(Error::io("copy", from, source)))
}

/// A name as `pg_dumpall` writes it: bare where that means the same.
fn quoted_if_needed(name: &str) -> String {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let begins_plain = name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if begins_plain && name.chars().all(is_plain) {
        name.to_owned()
    } else {
        names::identifier(name)
    }
}

fn copy_without(from: &Path, to: &Path, dropped: &[Vec<u8>]) -> io::Result<()> {
    let mut input = BufReader::new(File::open(from)?);
    let mut output = BufWriter::new(File::create_new(to)?);
    let mut line = Vec::new();
    while input.read_until(b'\n', &mut line)? > 0 {
        let bare = line.strip_suffix(b"\n").unwrap_or(&line);
        if !dropped.iter().any(|one| one == bare) {
            output.write_all(&line)?;
        }
        line.clear();
    }
    output.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_whole_line_that_makes_the_superuser_is_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("copy");
        let globals = "CREATE ROLE postgres2;\nCREATE ROLE postgres;\n-- CREATE ROLE postgres;";
        fs::write(folder.path().join("globals.sql"), globals).unwrap();

        copy_globals(folder.path(), &to, "postgres").unwrap();

        let kept = fs::read_to_string(&to).unwrap();
        assert_eq!(kept, "CREATE ROLE postgres2;\n-- CREATE ROLE postgres;");
        assert_eq!(quoted_if_needed("shop_owner"), "shop_owner");
        assert_eq!(quoted_if_needed("Shop"), "\"Shop\"");
    }

    #[test]
    fn a_superuser_whose_name_is_a_keyword_is_left_out_too() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("copy");
        let globals = "CREATE ROLE \"user\";\nCREATE ROLE \"User\";\nCREATE ROLE user2;\n";
        fs::write(folder.path().join("globals.sql"), globals).unwrap();

        copy_globals(folder.path(), &to, "user").unwrap();

        let kept = fs::read_to_string(&to).unwrap();
        assert_eq!(kept, "CREATE ROLE \"User\";\nCREATE ROLE user2;\n");
    }
}
