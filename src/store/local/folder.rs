//! Folders below a store's root, found and made without following symbolic links.

use std::collections::HashSet;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Mutex;

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// A store's folder, held open: it cannot be unmounted or replaced while the store is in use.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) path: PathBuf,
    folder: OwnedFd,
    /// Folders whose own names this process knows to be durable. A folder may exist because
    /// another writer made it a moment ago and has not yet synced its parent.
    durable: Mutex<HashSet<String>>,
}

impl Root {
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&path, flags, Mode::empty())?;
        Ok(Self { path, folder, durable: Mutex::default() })
    }

    /// The folder of that name; `None` where there is none.
    pub(super) fn folder(&self, name: Option<&str>) -> io::Result<Option<OwnedFd>> {
        let mut folder = self.folder.try_clone()?;
        for part in name.into_iter().flat_map(|name| name.split('/')) {
            folder = match open_part(&folder, part) {
                Ok(next) => next,
                Err(Errno::NOENT) => return Ok(None),
                Err(errno) => return Err(explain(errno, part)),
            };
        }
        Ok(Some(folder))
    }

    /// The folder of that name, made (mode 0700) where there is none; its name is durable.
    pub(super) fn folder_made(&self, name: Option<&str>) -> io::Result<OwnedFd> {
        let mut folder = self.folder.try_clone()?;
        let mut end = 0;
        let name = name.unwrap_or_default();
        for part in name.split('/').filter(|part| !part.is_empty()) {
            end += part.len() + usize::from(end > 0);
            let made = match rustix::fs::mkdirat(&folder, part, Mode::RWXU) {
                Ok(()) => true,
                Err(Errno::EXIST) => false,
                Err(errno) => return Err(errno.into()),
            };
            let next = open_part(&folder, part).map_err(|errno| explain(errno, part))?;
            if made || !self.is_durable(&name[..end]) {
                rustix::fs::fsync(&folder)?;
                self.durable().insert(name[..end].to_owned());
            }
            folder = next;
        }
        Ok(folder)
    }

    fn is_durable(&self, name: &str) -> bool {
        self.durable().contains(name)
    }

    fn durable(&self) -> std::sync::MutexGuard<'_, HashSet<String>> {
        self.durable.lock().unwrap_or_else(|held| held.into_inner())
    }
}

fn open_part(folder: &OwnedFd, part: &str) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(folder, part, flags, Mode::empty())
}

/// Linux answers "not a directory" for a symbolic link here; the reader should know both reasons.
fn explain(errno: Errno, part: &str) -> io::Error {
    match errno {
        Errno::NOTDIR | Errno::LOOP => io::Error::new(
            io::ErrorKind::NotADirectory,
            format!("{part:?} is not a folder (symbolic links are not followed)"),
        ),
        errno => errno.into(),
    }
}
