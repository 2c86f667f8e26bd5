//! A restored folder, in which names are followed no further than to its edge.

use std::ffi::OsStr;
use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;

use super::{Outcome, Why};

/// The folder that holds what came back of a source.
pub(super) struct Folder(OwnedFd);

impl Folder {
    /// Opens it; the outcome of a check whose folder cannot be opened.
    pub(super) fn open(path: &Path) -> Result<Self, Outcome> {
        let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match rustix::fs::open(path, folder, Mode::empty()) {
            Ok(folder) => Ok(Self(folder)),
            Err(Errno::NOENT | Errno::NOTDIR) => {
                Err(Outcome::broke("the folder of files", "did not come back"))
            }
            Err(error) => Err(Self::unknown(error)),
        }
    }

    /// The type of what `name` leads to, links inside followed. [`Errno::XDEV`]: out of the folder.
    pub(super) fn look(&self, name: &[u8]) -> Result<FileType, Errno> {
        let found = self.reach(name, OFlags::PATH)?;
        let stat = rustix::fs::statat(&found, "", AtFlags::EMPTY_PATH)?;
        Ok(FileType::from_raw_mode(stat.st_mode))
    }

    /// Opens the regular file that `name` leads to for reading; `None` where it leads to none.
    pub(super) fn file(&self, name: &[u8]) -> Result<Option<File>, Errno> {
        let is_file = match self.look(name) {
            Ok(FileType::RegularFile) => true,
            Ok(_) | Err(Errno::XDEV | Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => false,
            Err(error) => return Err(error),
        };
        is_file.then(|| self.reach(name, OFlags::RDONLY).map(File::from)).transpose()
    }

    /// The folder for listing.
    pub(super) fn listed(&self) -> Result<OwnedFd, Errno> {
        self.reach(b".", OFlags::RDONLY | OFlags::DIRECTORY)
    }

    fn reach(&self, name: &[u8], how: OFlags) -> Result<OwnedFd, Errno> {
        let (name, how) = (OsStr::from_bytes(name), how | OFlags::CLOEXEC);
        let below = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(self.0.as_fd(), name, how, Mode::empty(), below) {
                // Something was renamed meanwhile, so that the kernel could not be sure.
                Err(Errno::AGAIN | Errno::INTR) => {}
                outcome => return outcome,
            }
        }
    }

    /// The outcome where this host keeps files from being looked at.
    pub(super) fn unknown(error: impl std::fmt::Display) -> Outcome {
        let what = format!("the restored files cannot be looked at: {error}");
        Outcome::not_run(Why::Environment, what)
    }
}
