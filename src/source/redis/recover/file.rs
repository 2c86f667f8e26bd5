//! Files that are shared with a scratch server: the restored one, lent to it, and what it writes.
//!
//! What runs in the room may put a link to anything under any name there: files are held by
//! descriptor, and none is opened through a link.

use std::fs::{self, File, Permissions};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::super::FILE;
use super::{Error, data, environment};
use crate::sandbox::Scratch;
use crate::source::Trouble;

/// A restored file, readable for the scratch user for as long as it is lent.
pub(super) struct Lent {
    path: PathBuf,
    file: File,
    rights: Permissions,
    bytes: u64,
}

/// Links the restored file into `room`, where nothing runs yet. It is not copied: what is loaded is
/// the very file that was restored.
pub(super) fn lend(folder: &Path, room: &Path, scratch: &Scratch) -> Result<Lent, Trouble> {
    let (from, to) = (folder.join(FILE), room.join(FILE));
    let found = match fs::symlink_metadata(&from) {
        Ok(found) if found.is_file() => found,
        Ok(_) => return Err(data(Error::NotAFile { name: FILE })),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(data(Error::FileMissing { name: FILE }));
        }
        Err(error) => return Err(environment(Error::io("look at", from, error))),
    };
    if fs::hard_link(&from, &to).is_err() {
        fs::copy(&from, &to).map_err(|source| environment(Error::io("copy", &from, source)))?;
    }
    let held =
        rustix::fs::open(&to, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty());
    let file = held.map(File::from).map_err(|errno| environment(Error::io("open", &to, errno)))?;
    scratch.hand_over(&to).map_err(environment)?;
    let lent = Lent { path: to, file, rights: found.permissions(), bytes: found.len() };
    lent.set(Permissions::from_mode(0o400))?;
    Ok(lent)
}

impl Lent {
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Puts the file's rights back: it is still to be compared with what was captured.
    pub fn give_back(self) -> Result<(), Trouble> {
        self.set(self.rights.clone())
    }

    fn set(&self, rights: Permissions) -> Result<(), Trouble> {
        let by_number = format!("/proc/self/fd/{}", self.file.as_raw_fd());
        fs::set_permissions(by_number, rights)
            .map_err(|source| environment(Error::io("change the rights of", &self.path, source)))
    }
}

impl Drop for Lent {
    /// A server that did not come up leaves the file as it was, too: what keeps it down may be this
    /// host's fault, and is not to be found in the data.
    fn drop(&mut self) {
        // Where it fails `give_back` has told so, or the comparison will.
        let _ = self.set(self.rights.clone());
    }
}

/// Opens a regular file in `room` that somebody hostile may have put there.
pub(super) fn open(room: &Path, name: &str) -> Result<File, Error> {
    let path = room.join(name);
    let failed = |error: io::Error| Error::io("open", &path, error);
    let folder = rustix::fs::open(
        room,
        OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    );
    let folder = folder.map_err(|errno| failed(errno.into()))?;
    // A pipe without a writer would be waited for.
    let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let file = rustix::fs::openat2(&folder, name, how, Mode::empty(), resolve);
    let file = File::from(file.map_err(|errno| failed(errno.into()))?);
    let is_file = file.metadata().map_err(failed)?.is_file();
    if is_file { Ok(file) } else { Err(failed(io::ErrorKind::InvalidInput.into())) }
}

/// The last of a text file in `room`; nothing where it cannot be had.
pub(super) fn tail(room: &Path, name: &str, bytes: u64) -> String {
    let Ok(mut file) = open(room, name) else { return String::new() };
    let length = file.metadata().map_or(0, |found| found.len());
    let mut text = Vec::new();
    // What cannot be read is not told; the caller says the rest.
    let _ = file.seek(SeekFrom::Start(length.saturating_sub(bytes)));
    let _ = file.take(bytes).read_to_end(&mut text);
    String::from_utf8_lossy(&text).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_was_lent_to_a_server_that_did_not_start_is_as_it_was() {
        let place = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(&place.path().join("scratch"), None).unwrap();
        let restored = place.path().join(FILE);
        fs::write(&restored, "REDIS").unwrap();
        fs::set_permissions(&restored, Permissions::from_mode(0o640)).unwrap();
        let rights = || fs::metadata(&restored).unwrap().permissions().mode() & 0o7777;

        let lent = lend(place.path(), scratch.dir(), &scratch).unwrap();
        assert_eq!(rights(), 0o400);
        drop(lent);

        assert_eq!(rights(), 0o640);
    }
}
