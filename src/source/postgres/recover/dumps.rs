//! Restored dumps of a cluster, lent to the scratch user for as long as they are read.
//!
//! Only of the globals a copy is made, without the one line that cannot be run.

use std::fs::File;
use std::io::{self, BufRead, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::super::{Cluster, Database, GLOBALS, file_of, names};
use super::environment;
use crate::sandbox::Scratch;
use crate::source::Trouble;
use crate::source::lent::{Lent, dump, make_folder, trouble};

/// The dumps of a cluster in a folder of the scratch's own.
pub(super) struct Dumps {
    globals: PathBuf,
    /// In the order of the cluster's databases.
    databases: Vec<PathBuf>,
    lent: Lent,
}

impl Dumps {
    /// Links what the capture names from `folder` into a new one in `room`.
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
        let mut dumps = Self { globals, databases: Vec::new(), lent: Lent::default() };
        for (number, database) in cluster.databases.iter().enumerate() {
            // Databases' names may be longer than a file's, and hold anything.
            let linked = to.join(format!("{number}.dump"));
            dumps.lent.link(folder, &file_of(&database.name), &linked)?;
            dumps.databases.push(linked);
        }
        scratch.hand_over(&to).map_err(environment)?;
        Ok(dumps)
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
        self.lent.bytes()
    }

    /// Puts the files' rights back.
    pub(super) fn take_back(self) -> Result<(), Trouble> {
        self.lent.take_back()
    }
}

/// A copy of the globals that does not make the role that initdb makes.
fn copy_globals(folder: &Path, to: &Path, superuser: &str) -> Result<(), Trouble> {
    let (from, _) = dump(folder, GLOBALS)?;
    // A keyword is quoted too, and which names are keywords is the version's own affair.
    let lines = [quoted_if_needed(superuser), names::identifier(superuser)]
        .map(|name| format!("CREATE ROLE {name};").into_bytes());
    let copied = copy_without(&from, to, &lines);
    copied.map_err(|source| trouble("copy", &from, source))
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
    use std::fs;

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
