//! Reading a folder by descriptors: names, metadata, extended attributes.
//!
//! In: an open folder and a name in it. Out: what lies there. Every call is relative to a folder
//! that is open already and follows no link, so a rename can't redirect it and the length of the
//! path does not matter. Blocking.

use std::ffi::{CStr, CString, OsStr};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, RawDir, Stat};
use rustix::io::Errno;

use super::super::{EntryKind, Meta};
use super::owners::Owners;

const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Which object a name led to: device and inode.
pub(crate) type Identity = (u64, u64);

/// The identity in `stat`.
pub(crate) fn identity(stat: &Stat) -> Identity {
    (stat.st_dev, stat.st_ino)
}

/// What kind of thing `stat` describes.
pub(crate) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Opens a folder by its path, links followed: for places that a person named.
pub(crate) fn open_path(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::fs::open(path, DIR, Mode::empty())?)
}

/// Opens a folder to reach what is in it, which needs no right to list it; links followed.
pub(crate) fn reach_path(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?)
}

/// Opens the folder `name` in `dir`; a link there is an error.
pub(crate) fn open_dir(dir: impl AsFd, name: &CStr) -> io::Result<OwnedFd> {
    open_quietly(dir, name, DIR | OFlags::NOFOLLOW)
}

/// Opens the file `name` in `dir` for reading; a link there is an error, a FIFO does not block.
pub(crate) fn open_file(dir: impl AsFd, name: &CStr) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    open_quietly(dir, name, flags)
}

/// Opens without touching the access time where the kernel allows it: to owner and root only.
fn open_quietly(dir: impl AsFd, name: &CStr, flags: OFlags) -> io::Result<OwnedFd> {
    match rustix::fs::openat(&dir, name, flags | OFlags::NOATIME, Mode::empty()) {
        Err(Errno::PERM) => Ok(rustix::fs::openat(&dir, name, flags, Mode::empty())?),
        other => Ok(other?),
    }
}

/// `lstat` of `name` in `dir`.
pub(crate) fn stat(dir: impl AsFd, name: &CStr) -> io::Result<Stat> {
    Ok(rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// The names in `dir` in the order of their bytes, without `.` and `..`.
pub(crate) fn names(dir: impl AsFd) -> io::Result<Vec<CString>> {
    let mut buffer = [MaybeUninit::uninit(); 32 * 1024];
    let mut listing = RawDir::new(dir, &mut buffer);
    let mut names = Vec::new();
    while let Some(entry) = listing.next() {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    names.sort_unstable();
    Ok(names)
}

/// A path to `name` in `dir` for the calls that know no descriptors; its last part is not followed
/// by the calls named `l…`.
pub(crate) fn proc_path(dir: impl AsFd, name: &CStr) -> PathBuf {
    proc_fd(dir).join(OsStr::from_bytes(name.to_bytes()))
}

/// A path that leads to what `file` has open, even where it was opened only as a place: proc(5).
pub(crate) fn proc_fd(file: impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_fd().as_raw_fd()))
}

/// The target of the link `name` in `dir`.
pub(crate) fn link_target(dir: impl AsFd, name: &CStr) -> io::Result<Vec<u8>> {
    Ok(rustix::fs::readlinkat(dir, name, Vec::new())?.into_bytes())
}

/// The extended attributes of `name` in `dir` by name, ACLs among them (xattr(7)), and those that
/// are there but could not be read. A file system that has none has an empty list.
#[allow(clippy::type_complexity)]
pub(crate) fn xattrs(
    dir: impl AsFd,
    name: &CStr,
) -> io::Result<(Vec<(Vec<u8>, Vec<u8>)>, Vec<(Vec<u8>, io::Error)>)> {
    let path = proc_path(dir, name);
    let listed = match growing(|buffer| rustix::fs::llistxattr(&path, buffer)) {
        Err(Errno::NOTSUP) => Vec::new(),
        other => other?,
    };
    let (mut read, mut unread) = (Vec::new(), Vec::new());
    for attribute in listed.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        match growing(|buffer| rustix::fs::lgetxattr(&path, attribute, buffer)) {
            Ok(value) => read.push((attribute.to_vec(), value)),
            // Removed between the listing and the reading, or an artefact of the file system.
            Err(Errno::NODATA | Errno::NOTSUP) => {}
            Err(error) => unread.push((attribute.to_vec(), error.into())),
        }
    }
    read.sort_unstable();
    Ok((read, unread))
}

/// Calls `read` with a larger buffer until what it returns fits: the size may change in between.
fn growing(read: impl Fn(&mut [u8]) -> Result<usize, Errno>) -> Result<Vec<u8>, Errno> {
    // The kernel's own limit for an attribute's value and for the list of names, XATTR_SIZE_MAX.
    const LIMIT: usize = 64 * 1024;
    let mut buffer = vec![0; 256];
    loop {
        match read(&mut buffer) {
            Err(Errno::RANGE) if buffer.len() < LIMIT => buffer = vec![0; LIMIT],
            Err(error) => return Err(error),
            Ok(length) => {
                buffer.truncate(length);
                return Ok(buffer);
            }
        }
    }
}

/// The kind and metadata of `name` in `dir` as `stat` has them, without extended attributes.
pub(crate) fn meta(dir: impl AsFd, name: &CStr, stat: &Stat, owners: &Owners) -> io::Result<Meta> {
    let kind = match file_type(stat) {
        FileType::RegularFile => EntryKind::File { size: u64::try_from(stat.st_size).unwrap_or(0) },
        FileType::Directory => EntryKind::Dir,
        FileType::Symlink => EntryKind::Symlink { target: link_target(dir, name)? },
        FileType::BlockDevice => EntryKind::BlockDevice { number: stat.st_rdev },
        FileType::CharacterDevice => EntryKind::CharDevice { number: stat.st_rdev },
        FileType::Fifo => EntryKind::Fifo,
        FileType::Socket => EntryKind::Socket,
        FileType::Unknown => return Err(io::Error::other("of a kind that is not known")),
    };
    Ok(Meta {
        kind,
        mode: stat.st_mode & 0o7777,
        mtime: time(stat.st_mtime, stat.st_mtime_nsec),
        ctime: time(stat.st_ctime, stat.st_ctime_nsec),
        uid: stat.st_uid,
        gid: stat.st_gid,
        user: owners.user(stat.st_uid),
        group: owners.group(stat.st_gid),
        inode: stat.st_ino,
        device_id: stat.st_dev,
        // 32 bits wide on some architectures.
        #[allow(clippy::unnecessary_cast)]
        links: stat.st_nlink as u64,
        xattrs: Vec::new(),
        reusable: false,
    })
}

/// A file system may hold any 64-bit second; what lies beyond the calendar becomes its edge.
pub(crate) fn time(seconds: i64, nanoseconds: u64) -> Timestamp {
    let edge = if seconds < 0 { Timestamp::MIN } else { Timestamp::MAX };
    let nanoseconds = i32::try_from(nanoseconds).unwrap_or(0);
    Timestamp::new(seconds, nanoseconds).unwrap_or(edge)
}

/// Opens the folder at `path` below `dir`, part by part, so that no link on the way is followed and
/// no part leads up or elsewhere. The empty path is `dir` itself.
pub(crate) fn open_below(dir: impl AsFd, path: &[u8]) -> io::Result<OwnedFd> {
    let mut reached = open_dir(dir, c".")?;
    if path.is_empty() {
        return Ok(reached);
    }
    for part in path.split(|byte| *byte == b'/') {
        if !is_name(part) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        reached = open_dir(&reached, &c_name(part)?)?;
    }
    Ok(reached)
}

/// Whether `name` is one entry of a folder and leads nowhere else.
pub(crate) fn is_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.iter().any(|byte| matches!(byte, b'/' | b'\0'))
}

/// `name` as system calls take it.
pub(crate) fn c_name(name: &[u8]) -> io::Result<CString> {
    CString::new(name).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}

/// `path` split into the folder and the last part's name.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (&[], path),
    }
}

/// Whether `error` says that something else, or nothing, is where a folder or an entry should be.
pub(crate) fn is_absent(error: &io::Error) -> bool {
    [Errno::NOENT, Errno::NOTDIR, Errno::LOOP]
        .iter()
        .any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}
