//! A store in a folder of this machine.
//!
//! In: a folder. Out: objects as plain files below it, named as they are, so that restic run by
//! the same user reads them. A name is resolved folder by folder without ever following a
//! symbolic link, so nothing outside the root is read or written.
//!
//! Layout: `<root>/<object name>`; `<root>/.tmp/` holds what is being written.

mod folder;
mod listing;

use std::fs::File;
use std::io::{self, Write};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use uuid::Uuid;

use super::{Error, Object, ObjectName, Put, Result, Store};
use folder::Root;

/// Where objects are written before they get their name. No object lies there.
const TEMPORARY: &str = ".tmp";

/// No writer takes this long for one object: what is older was left by one that died.
const LEFTOVER_AGE: Duration = Duration::from_secs(24 * 60 * 60);

/// The largest object that is read whole: restic's offsets end at 4 GiB, a header follows.
const WHOLE: u64 = 5 << 30;

/// Objects as files below one folder. Cheap to clone; clones share the open folder.
#[derive(Debug, Clone)]
pub struct Local {
    root: Arc<Root>,
}

impl Local {
    /// Opens the store in the folder `root`, which must exist; blocking.
    ///
    /// Removes what writers that died more than a day ago left half-written.
    pub fn open(root: &Path) -> Result<Self> {
        let failed = |source: io::Error| Error::io("open", root.display(), source);
        let path = root.canonicalize().map_err(failed)?;
        let store = Self { root: Arc::new(Root::open(path).map_err(failed)?) };
        store.remove_leftovers().map_err(failed)?;
        Ok(store)
    }

    /// The folder, without symbolic links.
    pub fn root(&self) -> &Path {
        &self.root.path
    }

    fn remove_leftovers(&self) -> io::Result<()> {
        let folder: PathBuf = self.root.path.join(TEMPORARY);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            // A reader without rights to the writer's files still reads the store.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(()),
            Err(error) => return Err(error),
        };
        for entry in entries.flatten() {
            let modified = entry.metadata().and_then(|metadata| metadata.modified());
            let age = modified.ok().and_then(|at| SystemTime::now().duration_since(at).ok());
            if age.is_some_and(|age| age > LEFTOVER_AGE) {
                let gone = std::fs::remove_file(entry.path());
                tracing::info!(path = %entry.path().display(), ok = gone.is_ok(), "leftover of a dead writer");
            }
        }
        Ok(())
    }

    /// Runs blocking work on a thread meant for it.
    async fn on_thread<T: Send + 'static>(
        &self,
        action: &'static str,
        name: &ObjectName,
        work: impl FnOnce(&Root, &ObjectName) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let (root, named) = (Arc::clone(&self.root), name.clone());
        tokio::task::spawn_blocking(move || work(&root, &named))
            .await
            .unwrap_or_else(|died| Err(Error::io(action, name, died)))
    }
}

#[async_trait]
impl Store for Local {
    async fn put(&self, name: &ObjectName, body: Bytes, how: Put) -> Result<()> {
        self.on_thread("write", name, move |root, name| write(root, name, &body, how)).await
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes> {
        self.on_thread("read", name, move |root, name| read(root, name, range)).await
    }

    fn list(&self, prefix: Option<&ObjectName>) -> BoxStream<'_, Result<Object>> {
        listing::stream(Arc::clone(&self.root), prefix.cloned())
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.on_thread("delete", name, remove).await
    }

    fn place(&self) -> String {
        format!("file://{}", self.root.path.display())
    }
}

/// The folder part of a name and its last part.
fn split(name: &ObjectName) -> (Option<&str>, &str) {
    match name.as_str().rsplit_once('/') {
        Some((folder, leaf)) => (Some(folder), leaf),
        None => (None, name.as_str()),
    }
}

fn refuse_temporary(name: &ObjectName) -> io::Result<()> {
    if name.as_str().split('/').next() == Some(TEMPORARY) {
        return Err(io::Error::other("this folder is the store's own"));
    }
    Ok(())
}

/// Temporary file, fsync, rename, fsync of the folder: the name appears only over whole, durable
/// bytes, and on return the name is durable too.
fn write(root: &Root, name: &ObjectName, body: &[u8], how: Put) -> Result<()> {
    let failed = |source: io::Error| Error::io("write", name, source);
    refuse_temporary(name).map_err(failed)?;
    let (folder, leaf) = split(name);
    let folder = root.folder_made(folder).map_err(failed)?;
    let temporaries = root.folder_made(Some(TEMPORARY)).map_err(failed)?;
    let temporary = Uuid::new_v4().simple().to_string();
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&temporaries, &temporary, flags, Mode::RUSR | Mode::WUSR)
        .map_err(|errno| failed(errno.into()))?;
    let mut file = File::from(file);
    let written = file
        .write_all(body)
        .and_then(|()| file.sync_all())
        .and_then(|()| publish(&temporaries, &temporary, &folder, leaf, how));
    if let Err(error) = written {
        // Its own failure would hide the reason; what stays is swept when the store is opened.
        let _ = rustix::fs::unlinkat(&temporaries, &temporary, AtFlags::empty());
        return Err(match error.kind() {
            io::ErrorKind::AlreadyExists => Error::Exists { name: name.clone() },
            _ => failed(error),
        });
    }
    rustix::fs::fsync(&folder).map_err(|errno| failed(errno.into()))
}

/// Gives the finished temporary file its name.
fn publish(
    temporaries: &OwnedFd,
    temporary: &str,
    folder: &OwnedFd,
    leaf: &str,
    how: Put,
) -> io::Result<()> {
    let flags = match how {
        Put::Create => RenameFlags::NOREPLACE,
        Put::Overwrite => RenameFlags::empty(),
    };
    match rustix::fs::renameat_with(temporaries, temporary, folder, leaf, flags) {
        // File systems without the flag (NFS, some FUSE): a link is as atomic and never replaces.
        Err(Errno::INVAL | Errno::NOSYS) if how == Put::Create => {
            rustix::fs::linkat(temporaries, temporary, folder, leaf, AtFlags::empty())?;
            // The object is in place; a second name left behind is swept later.
            let _ = rustix::fs::unlinkat(temporaries, temporary, AtFlags::empty());
            Ok(())
        }
        renamed => Ok(renamed?),
    }
}

fn read(root: &Root, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes> {
    let failed = |source: io::Error| Error::io("read", name, source);
    let missing = || Error::Missing { name: name.clone() };
    refuse_temporary(name).map_err(failed)?;
    let (folder, leaf) = split(name);
    let folder = root.folder(folder).map_err(failed)?.ok_or_else(missing)?;
    // NONBLOCK: opening a FIFO someone put there must not hang.
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match rustix::fs::openat(&folder, leaf, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        Err(Errno::NOENT) => return Err(missing()),
        Err(errno) => return Err(failed(errno.into())),
    };
    let stat = rustix::fs::fstat(file.as_fd()).map_err(|errno| failed(errno.into()))?;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => {}
        FileType::Directory => return Err(missing()),
        _ => return Err(failed(io::Error::other("it is not a regular file"))),
    }
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    if range.is_none() && size > WHOLE {
        let what = format!("it has {size} bytes, more than any object of a repository or ledger");
        return Err(failed(io::Error::other(what)));
    }
    let range = range.unwrap_or(0..size);
    if range.start > range.end || range.end > size {
        return Err(Error::Short { name: name.clone(), size, range });
    }
    let too_large = || failed(io::ErrorKind::OutOfMemory.into());
    let length = usize::try_from(range.end - range.start).map_err(|_| too_large())?;
    let mut body = Vec::new();
    body.try_reserve_exact(length).map_err(|_| too_large())?;
    while body.len() < length {
        let at = range.start + body.len() as u64;
        // Into memory that nobody filled with zeros first: that would cost as much as reading does.
        match rustix::io::pread(&file, rustix::buffer::spare_capacity(&mut body), at) {
            Ok(0) => return Err(failed(io::ErrorKind::UnexpectedEof.into())),
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(failed(errno.into())),
        }
    }
    body.truncate(length);
    Ok(body.into())
}

fn remove(root: &Root, name: &ObjectName) -> Result<()> {
    let failed = |source: io::Error| Error::io("delete", name, source);
    let missing = || Error::Missing { name: name.clone() };
    refuse_temporary(name).map_err(failed)?;
    let (folder, leaf) = split(name);
    let folder = root.folder(folder).map_err(failed)?.ok_or_else(missing)?;
    match rustix::fs::unlinkat(&folder, leaf, AtFlags::empty()) {
        Ok(()) => {}
        Err(Errno::NOENT | Errno::ISDIR) => return Err(missing()),
        Err(errno) => return Err(failed(errno.into())),
    }
    // Deletions become durable in the order they were made: a snapshot before its packs.
    rustix::fs::fsync(&folder).map_err(|errno| failed(errno.into()))
}

#[cfg(test)]
mod tests;
