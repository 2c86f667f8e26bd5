//! What a capture gives: entries on their way into a snapshot, and who takes them.

use std::io;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Error;

/// Takes what a source captures. Called from one thread, in depth-first order: a directory before
/// what is in it, all of it before the directory's next sibling; unless [`Sink::in_any_order`] was
/// said first.
pub trait Sink: Sync {
    /// Takes one entry. The content is read later, on other threads, unless it is known already.
    fn put(&self, entry: Entry) -> Result<(), Error>;

    /// Waits until everything put so far is read; returns what could not be.
    fn settle(&self) -> Result<Vec<Skipped>, Error>;

    /// From now on folders stay open until the end, so that entries may come in any order: for a
    /// source whose files come as another program sends them.
    fn in_any_order(&self);

    /// Takes back all that was put, which must be settled: it was of no single moment.
    fn start_over(&self) -> Result<(), Error>;
}

/// One file, directory or other entry on its way into a snapshot.
pub struct Entry {
    /// Below `/<source>/`, parts joined by `/`, no leading `/`. Parent directories come first;
    /// ones that were never put are made with neutral metadata.
    pub path: Vec<u8>,
    pub meta: Meta,
    /// For regular files only: how to read it.
    pub content: Option<Box<dyn Open>>,
}

/// What kind of entry, with what only that kind has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    File { size: u64 },
    Dir,
    Symlink { target: Vec<u8> },
    BlockDevice { number: u64 },
    CharDevice { number: u64 },
    Fifo,
    Socket,
}

/// An entry's metadata as `lstat` and the extended attributes give it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    pub kind: EntryKind,
    /// `st_mode & 0o7777`.
    pub mode: u32,
    pub mtime: Timestamp,
    pub ctime: Timestamp,
    pub uid: u32,
    pub gid: u32,
    pub user: String,
    pub group: String,
    pub inode: u64,
    pub device_id: u64,
    pub links: u64,
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether an equal size, mtime, ctime and inode in the parent snapshot prove the content
    /// unchanged. False for streams and for what was touched too recently to tell.
    pub reusable: bool,
}

/// Opens an entry's content; on a worker thread, at most once, not at all if it is known unchanged.
pub trait Open: Send {
    fn open(self: Box<Self>) -> io::Result<Box<dyn Stream>>;
}

/// Bytes out of a live system.
pub trait Stream: io::Read {
    /// Confirms, after the end of file, that the producer ended well.
    ///
    /// Reaching end of file proves nothing; only `finish` does. `Ok(Some(reason))` means the bytes
    /// are stored but are not one moment's state: the file changed while it was read.
    fn finish(self: Box<Self>) -> io::Result<Option<String>>;

    /// Whether it is of a file that is changed page by page in place, though its first bytes do not
    /// tell.
    fn is_paged(&self) -> bool {
        false
    }
}

/// An item that was selected but is not (or not soundly) in the snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// As the user knows it, e.g. the absolute path; bytes that are not UTF-8 are replaced.
    pub path: String,
    pub reason: String,
}
