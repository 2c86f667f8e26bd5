//! Files that a scratch server writes in its room.
//!
//! What runs in the room may put a link to anything under any name there: files are held by
//! descriptor, and none is opened through a link.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::Error;

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
