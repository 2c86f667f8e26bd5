//! The target: the one folder that a restore writes to, and nothing beside it.
//!
//! In: paths of validated names. Out: entries made below the target. Every call is relative to a
//! folder reached part by part from the target without following a link: a link that the snapshot
//! itself brought can't be written through. Blocking.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{Error, Fidelity, Occupied, Request};
use crate::source::files::disk;

/// The folder restored into.
pub(super) struct Target {
    root: Arc<OwnedFd>,
    path: PathBuf,
    occupied: Occupied,
    pub(super) fidelity: Fidelity,
    pub(super) is_root: bool,
    /// The folder reached last: siblings follow one another.
    last: Mutex<Option<(Vec<u8>, Arc<OwnedFd>)>>,
}

impl Target {
    /// Makes the folder where it is missing, readable for the caller alone, and opens it.
    pub(super) fn create(request: &Request) -> Result<Self, Error> {
        use std::os::unix::fs::DirBuilderExt as _;

        let mut builder = std::fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(&request.to).map_err(|source| Error::Local {
            action: "make",
            object: request.to.display().to_string(),
            source,
        })?;
        let target = Self::open(request)?;
        if request.occupied == Occupied::Refuse {
            let names = disk::names(&*target.root).map_err(target.at_root("list"))?;
            if !names.is_empty() {
                return Err(Error::Occupied { path: request.to.clone() });
            }
        }
        Ok(target)
    }

    /// Opens a folder that was restored into.
    pub(super) fn open(request: &Request) -> Result<Self, Error> {
        let root = disk::open_path(&request.to).map_err(|source| Error::Local {
            action: "open",
            object: request.to.display().to_string(),
            source,
        })?;
        Ok(Self {
            root: Arc::new(root),
            path: request.to.clone(),
            occupied: request.occupied,
            fidelity: request.fidelity,
            is_root: rustix::process::geteuid().is_root(),
            last: Mutex::new(None),
        })
    }

    /// The same target for another thread, which reaches folders by itself.
    pub(super) fn another(&self) -> Self {
        let Self { occupied, fidelity, is_root, .. } = *self;
        let (root, path) = (self.root.clone(), self.path.clone());
        Self { root, path, occupied, fidelity, is_root, last: Mutex::new(None) }
    }

    /// Refuses what cannot fit before anything is written.
    pub(super) fn check_room(
        &self,
        needed_bytes: u64,
        most_bytes: Option<u64>,
        entries: usize,
    ) -> Result<(), Error> {
        let room = rustix::fs::fstatvfs(&*self.root)
            .map_err(|error| self.at_root("look at")(error.into()))?;
        let free_bytes = room.f_bavail.saturating_mul(room.f_frsize);
        let free_bytes = free_bytes.min(most_bytes.unwrap_or(u64::MAX));
        if needed_bytes > free_bytes {
            return Err(Error::NoRoom { path: self.path.clone(), needed_bytes, free_bytes });
        }
        // Zero: the file system has no fixed number of them.
        if room.f_files > 0 && entries as u64 > room.f_favail {
            let source = io::Error::other(format!(
                "{entries} entries are to be made, {} are free",
                room.f_favail
            ));
            return Err(self.at_root("restore into")(source));
        }
        Ok(())
    }

    /// The folder at `path`; empty for the target itself.
    pub(super) fn folder(&self, path: &[u8]) -> io::Result<Arc<OwnedFd>> {
        let last = || self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((reached, folder)) = &*last()
            && reached == path
        {
            return Ok(folder.clone());
        }
        let folder = Arc::new(disk::open_below(&*self.root, path)?);
        *last() = Some((path.to_vec(), folder.clone()));
        Ok(folder)
    }

    /// The folder that holds `path`, and the name in it.
    pub(super) fn place(&self, path: &[u8]) -> io::Result<(Arc<OwnedFd>, CString)> {
        let (folder, name) = disk::split(path);
        if !disk::is_name(name) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok((self.folder(folder)?, disk::c_name(name)?))
    }

    /// Makes a folder, or keeps the one that is there.
    pub(super) fn make_dir(&self, path: &[u8]) -> io::Result<()> {
        let (folder, name) = self.place(path)?;
        let make = || rustix::fs::mkdirat(&folder, &name, Mode::RWXU);
        match make() {
            Err(Errno::EXIST) if self.occupied == Occupied::Overwrite => {
                let there = disk::file_type(&disk::stat(&folder, &name)?);
                if there == FileType::Directory {
                    return Ok(());
                }
                rustix::fs::unlinkat(&folder, &name, AtFlags::empty())?;
                Ok(make()?)
            }
            other => Ok(other?),
        }
    }

    /// Makes an empty file, writable for the caller alone.
    pub(super) fn make_file(&self, path: &[u8]) -> io::Result<File> {
        let flags =
            OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mode = Mode::RUSR | Mode::WUSR;
        self.make(path, |folder, name| rustix::fs::openat(folder, name, flags, mode))
            .map(File::from)
    }

    /// Makes a symbolic link; where it leads is nobody's concern, since nothing follows it.
    pub(super) fn make_symlink(&self, path: &[u8], target: &[u8]) -> io::Result<()> {
        self.make(path, |folder, name| rustix::fs::symlinkat(target, folder, name))
    }

    /// Makes a FIFO, a socket or a device.
    pub(super) fn make_node(&self, path: &[u8], kind: FileType, number: u64) -> io::Result<()> {
        let mode = Mode::RUSR | Mode::WUSR;
        self.make(path, |folder, name| rustix::fs::mknodat(folder, name, kind, mode, number))
    }

    /// Gives the file `first` one more name.
    pub(super) fn make_hard_link(&self, path: &[u8], first: &[u8]) -> io::Result<()> {
        let (from, original) = self.place(first)?;
        self.make(path, |folder, name| {
            rustix::fs::linkat(&from, &original, folder, name, AtFlags::empty())
        })
    }

    /// Opens a file that was made here for writing its content.
    pub(super) fn open_to_write(&self, path: &[u8]) -> io::Result<File> {
        let (folder, name) = self.place(path)?;
        let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&folder, &name, flags, Mode::empty())?))
    }

    /// Whether anything has this name.
    pub(super) fn is_there(&self, path: &[u8]) -> bool {
        self.place(path).is_ok_and(|(folder, name)| {
            rustix::fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
        })
    }

    /// Removes what is not a folder.
    pub(super) fn remove(&self, path: &[u8]) -> io::Result<()> {
        let (folder, name) = self.place(path)?;
        Ok(rustix::fs::unlinkat(&folder, &name, AtFlags::empty())?)
    }

    /// Makes everything written durable.
    pub(super) fn sync(&self) -> Result<(), Error> {
        rustix::fs::syncfs(&*self.root).map_err(|error| self.at_root("sync")(error.into()))
    }

    fn make<T>(
        &self,
        path: &[u8],
        make: impl Fn(&OwnedFd, &CStr) -> Result<T, Errno>,
    ) -> io::Result<T> {
        let (folder, name) = self.place(path)?;
        match make(&folder, &name) {
            Err(Errno::EXIST) if self.occupied == Occupied::Overwrite => {
                rustix::fs::unlinkat(&folder, &name, AtFlags::empty())?;
                Ok(make(&folder, &name)?)
            }
            other => Ok(other?),
        }
    }

    fn at_root(&self, action: &'static str) -> impl FnOnce(io::Error) -> Error {
        let object = self.path.display().to_string();
        move |source| Error::Local { action, object, source }
    }
}

/// Whether the disk or the process is at its end, so that going on would only lengthen the list.
pub(super) fn is_fatal(error: &io::Error) -> bool {
    [Errno::NOSPC, Errno::DQUOT, Errno::IO, Errno::ROFS, Errno::MFILE, Errno::NFILE, Errno::NOMEM]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
