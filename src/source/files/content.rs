//! Reading one file's content, and knowing afterwards whether it was one moment's.
//!
//! In: a name that a walk found. Out: its bytes. What is not read to its end is taken out of the
//! fingerprint again. Blocking, on worker threads.

use std::ffi::CString;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::super::{Meta, Open, Stream};
use super::disk;
use super::fingerprint::{Print, Tally};

/// A regular file that a walk found and that is not open yet.
pub(super) struct Unread {
    pub(super) dir: Arc<OwnedFd>,
    pub(super) name: CString,
    pub(super) stat: Stat,
    pub(super) account: Account,
}

/// What a file's content means for the fingerprint.
pub(super) struct Account {
    pub(super) tally: Arc<Tally>,
    /// Below the policy's path.
    pub(super) path: Vec<u8>,
    pub(super) meta: Meta,
    /// What the walk added for it.
    pub(super) print: Print,
}

impl Account {
    fn lost(&self) {
        self.tally.remove(&self.print);
    }

    fn stored(&self, bytes: u64) {
        let print = Print::of(&self.path, &self.meta, bytes);
        if print != self.print {
            self.tally.remove(&self.print);
            self.tally.add(&print);
        }
    }
}

impl Open for Unread {
    fn open(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        match self.reopen() {
            Ok(file) => Ok(Box::new(Reading {
                file,
                stat: self.stat,
                read: 0,
                ended: false,
                account: Some(self.account),
            })),
            Err(error) => {
                self.account.lost();
                Err(error)
            }
        }
    }
}

impl Unread {
    fn reopen(&self) -> io::Result<File> {
        let file = disk::open_file(&self.dir, &self.name).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => io::Error::other("vanished before it was read"),
            // A symbolic link stands in its place.
            _ if error.raw_os_error() == Some(Errno::LOOP.raw_os_error()) => replaced(),
            _ => error,
        })?;
        let now = rustix::fs::fstat(&file)?;
        let same = disk::file_type(&now) == FileType::RegularFile
            && disk::identity(&now) == disk::identity(&self.stat);
        if same { Ok(File::from(file)) } else { Err(replaced()) }
    }
}

fn replaced() -> io::Error {
    io::Error::other("was replaced before it was read")
}

struct Reading {
    file: File,
    /// As the walk saw it.
    stat: Stat,
    read: u64,
    ended: bool,
    /// Gone once the content was confirmed.
    account: Option<Account>,
}

impl Reading {
    fn listed_size(&self) -> u64 {
        u64::try_from(self.stat.st_size).unwrap_or(0)
    }
}

impl Read for Reading {
    /// Reads to the end, but not what was appended after the walk: a log that grows as fast as it is
    /// read would have none.
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.ended || buffer.is_empty() {
            return Ok(0);
        }
        let left = self.listed_size().saturating_sub(self.read);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let limit = if left > 0 {
            // A byte more, so that the answer tells the end of an ordinary file.
            left.saturating_add(1).min(buffer.len())
        } else if rustix::fs::fstat(&self.file)?.st_size > self.stat.st_size {
            self.ended = true;
            return Ok(0);
        } else {
            // Normally the end; some file systems give more than the size they tell.
            buffer.len()
        };
        let mut count = self.file.read_at(&mut buffer[..limit], self.read)?;
        self.ended = count == 0 || (count == left && count < limit);
        if left > 0 {
            count = count.min(left);
        }
        self.read += count as u64;
        Ok(count)
    }
}

impl Stream for Reading {
    fn finish(mut self: Box<Self>) -> io::Result<Option<String>> {
        let now = rustix::fs::fstat(&self.file)?;
        let times =
            |stat: &Stat| (stat.st_mtime, stat.st_mtime_nsec, stat.st_ctime, stat.st_ctime_nsec);
        let reason = if now.st_size != self.stat.st_size {
            Some(format!(
                "changed while it was read: {} bytes before, {} after",
                self.stat.st_size, now.st_size
            ))
        } else if times(&now) != times(&self.stat) {
            Some("changed while it was read".to_owned())
        } else if self.read != self.listed_size() {
            Some(format!("{} bytes were read of {}", self.read, self.listed_size()))
        } else {
            None
        };
        if let Some(account) = self.account.take() {
            account.stored(self.read);
        }
        Ok(reason)
    }
}

impl Drop for Reading {
    /// Content that nobody confirmed is not in the snapshot.
    fn drop(&mut self) {
        if let Some(account) = self.account.take() {
            account.lost();
        }
    }
}
