//! Restored dumps, lent to the scratch user for as long as they are read.
//!
//! They are linked, not copied: what is loaded is the very file that was restored. Rights are put
//! back afterwards, for what was restored is still to be compared with what was captured.

use std::fs::{self, DirBuilder, File, Metadata, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags};

use super::Trouble;
use crate::sandbox::Scratch;

/// Why a dump cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{name} is missing")]
    Missing { name: String },
    #[error("{name} is no regular file")]
    NotAFile { name: String },
}

/// Files that were lent.
#[derive(Default)]
pub(super) struct Lent {
    files: Vec<Changed>,
    bytes: u64,
}

/// A file whose rights were changed, by its open descriptor: under its name a hostile server may
/// by then have put a link to anything.
struct Changed {
    path: PathBuf,
    file: File,
    rights: Permissions,
}

impl Lent {
    /// Links the dump `name` in `folder` to `to`, where it may be read. Whoever runs there by now may
    /// write there, and is still to be trusted: nothing of the customer's has been loaded.
    pub(super) fn link(&mut self, folder: &Path, name: &str, to: &Path) -> Result<(), Trouble> {
        let (from, found) = dump(folder, name)?;
        if fs::hard_link(&from, to).is_err() {
            fs::copy(&from, to).map_err(|source| trouble("copy", &from, source))?;
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::open(to, flags, Mode::empty()).map(File::from);
        let file = file.map_err(|errno| trouble("open", to, errno.into()))?;
        let lent = Changed { path: to.to_owned(), file, rights: found.permissions() };
        lent.set(Permissions::from_mode(0o400))?;
        self.bytes = self.bytes.saturating_add(found.len());
        self.files.push(lent);
        Ok(())
    }

    /// All of them together.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts the files' rights back.
    pub(super) fn take_back(self) -> Result<(), Trouble> {
        self.files.iter().try_for_each(|lent| lent.set(lent.rights.clone()))
    }
}

impl Drop for Changed {
    /// A server that did not come up leaves the files as they were, too: what keeps it down may be this
    /// host's fault, and is not to be found in the data.
    fn drop(&mut self) {
        // Where it fails `take_back` has told so, or the comparison will.
        let _ = self.set(self.rights.clone());
    }
}

impl Changed {
    fn set(&self, rights: Permissions) -> Result<(), Trouble> {
        let by_number = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        fs::set_permissions(by_number, rights)
            .map_err(|source| trouble("change the rights of", &self.path, source))
    }
}

/// The regular file `name` in `folder`.
pub(super) fn dump(folder: &Path, name: &str) -> Result<(PathBuf, Metadata), Trouble> {
    let data = |error| Err(Trouble::Data(Box::new(error)));
    let mut path = folder.to_owned();
    for part in Path::new(name).parent().into_iter().flat_map(Path::components) {
        path.push(part);
        // A snapshot may hold a link to anywhere in the place of a folder.
        if fs::symlink_metadata(&path).is_ok_and(|found| !found.is_dir()) {
            return data(Error::NotAFile { name: name.to_owned() });
        }
    }
    let path = folder.join(name);
    match fs::symlink_metadata(&path) {
        Ok(found) if found.is_file() => Ok((path, found)),
        Ok(_) => data(Error::NotAFile { name: name.to_owned() }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            data(Error::Missing { name: name.to_owned() })
        }
        Err(error) => Err(trouble("look at", &path, error)),
    }
}

/// A new folder of the scratch user's.
pub(super) fn make_folder(path: &Path, scratch: &Scratch) -> Result<(), Trouble> {
    let made = DirBuilder::new().mode(0o700).create(path);
    made.map_err(|source| trouble("create", path, source))?;
    scratch.hand_over(path).map_err(|error| Trouble::Environment(Box::new(error)))
}

/// What stands in the way is this host's.
pub(super) fn trouble(action: &'static str, path: &Path, source: io::Error) -> Trouble {
    Trouble::Environment(Box::new(Error::Io { action, path: path.to_owned(), source }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_behind_a_link_is_none() {
        let place = tempfile::tempdir().unwrap();
        let strangers = tempfile::tempdir().unwrap();
        fs::write(strangers.path().join("shop.dump"), "rows").unwrap();
        std::os::unix::fs::symlink(strangers.path(), place.path().join("databases")).unwrap();
        fs::create_dir(place.path().join("sound")).unwrap();
        fs::write(place.path().join("sound/shop.dump"), "rows").unwrap();

        assert!(matches!(dump(place.path(), "databases/shop.dump"), Err(Trouble::Data(_))));
        assert!(dump(place.path(), "sound/shop.dump").is_ok());
    }

    #[test]
    fn a_file_that_was_lent_to_a_server_that_did_not_start_is_as_it_was() {
        let place = tempfile::tempdir().unwrap();
        let restored = place.path().join("shop.dump");
        fs::write(&restored, "rows").unwrap();
        fs::set_permissions(&restored, Permissions::from_mode(0o640)).unwrap();
        let rights = || fs::metadata(&restored).unwrap().permissions().mode() & 0o7777;
        let mut lent = Lent::default();

        lent.link(place.path(), "shop.dump", &place.path().join("lent")).unwrap();
        assert_eq!(rights(), 0o400);
        drop(lent);

        assert_eq!(rights(), 0o640);
    }
}
