//! A dump that runs: one stream of all databases, cut into one entry each as it passes.
//!
//! In: a program that was started while the lock was held. Out: the entries' contents, one after the
//! other, and once the stream ended the [`Contents`] that were seen in it. Each entry begins with
//! the dump's own head, so that it can be loaded by itself. A dump that ends badly, or is not whole,
//! is an error; what the program said of it stands in the message.

use std::io::{self, Read};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::super::running::{self, Running};
use super::super::{Open, Stream};
use super::said::Complaints;
use super::text::{Contents, Text};

/// Bytes that are read at once.
const PIECE: usize = 256 << 10;

/// How long a program may take to end once it has nothing more to say.
const DYING: Duration = Duration::from_millis(300);

/// Why a dump is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Ended(#[from] running::Error),
    /// Whatever its status says: what it could not read is not in the dump.
    #[error("{program} complained: {complaints}")]
    Complained { program: &'static str, complaints: String },
    #[error("the dump ends before its end")]
    Cut,
    #[error("database {wanted} does not follow in the dump where it was asked for")]
    Order { wanted: String },
    /// It is whole, and holds other things than the server.
    #[error("nothing of this dump is kept")]
    Unlike,
    #[error("nobody read the dump to its end")]
    Unread,
}

impl Error {
    /// Whether the program stumbled over a table that changed under it: `ER_TABLE_DEF_CHANGED`.
    pub(super) fn is_of_a_change(&self) -> bool {
        let (Self::Ended(running::Error::Failed { complaints, .. })
        | Self::Complained { complaints, .. }) = self
        else {
            return false;
        };
        complaints.contains("Table definition has changed")
    }
}

/// A dump under way.
pub(super) struct Dump {
    passing: Arc<Mutex<Passing>>,
    abandoned: Arc<AtomicBool>,
}

/// What is between the program and the entries.
struct Passing {
    running: Option<Running>,
    program: &'static str,
    complaints: Complaints,
    text: Text,
    /// All that stands before the first database.
    head: Vec<u8>,
    buffer: Vec<u8>,
    /// What of the buffer was passed on; what may be passed on.
    passed: usize,
    cleared: usize,
    /// The database that begins where `cleared` ends.
    begins: Option<String>,
    /// Whether databases that begin are no ends: the views of all stand together.
    is_last: bool,
    is_over: bool,
}

impl Dump {
    /// A dump by `program`, which was started with `abandoned` as what ends it.
    pub fn of(
        program: &'static str,
        running: Running,
        complaints: Complaints,
        abandoned: Arc<AtomicBool>,
    ) -> Self {
        let passing = Passing {
            running: Some(running),
            program,
            complaints,
            text: Text::default(),
            head: Vec::new(),
            buffer: Vec::new(),
            passed: 0,
            cleared: 0,
            begins: None,
            is_last: false,
            is_over: false,
        };
        Self { passing: Arc::new(Mutex::new(passing)), abandoned }
    }

    /// Reads what stands before the first database.
    pub fn begin(&self) -> Result<(), Error> {
        let mut passing = self.passing();
        let mut piece = vec![0; PIECE];
        loop {
            match passing.read(&mut piece) {
                Ok(0) => return Ok(()),
                Ok(count) => passing.head.extend_from_slice(&piece[..count]),
                Err(_) => return Err(passing.end().err().unwrap_or(Error::Cut)),
            }
        }
    }

    /// The content of the entry of `database`, which must come next.
    pub fn database(&self, database: &str) -> Result<Part, Error> {
        let mut passing = self.passing();
        match passing.begins.take() {
            Some(begins) if begins == database => Ok(self.part()),
            Some(_) => Err(Error::Order { wanted: database.to_owned() }),
            None => Err(passing.end().err().unwrap_or(Error::Cut)),
        }
    }

    /// The content of the entry of all views, where there are any.
    pub fn views(&self) -> Option<Part> {
        let mut passing = self.passing();
        passing.is_last = true;
        passing.begins.take().map(|_| self.part())
    }

    /// Confirms that the program ended well and that the dump is whole.
    pub fn finish(&self) -> Result<Contents, Error> {
        let mut passing = self.passing();
        passing.end()?;
        if !passing.is_over || passing.begins.is_some() || passing.passed < passing.buffer.len() {
            return Err(Error::Unread);
        }
        let contents = std::mem::take(&mut passing.text.contents);
        if contents.is_complete { Ok(contents) } else { Err(Error::Cut) }
    }

    /// Ends a dump that did not begin in time; tells why where it failed by itself.
    pub fn begun_badly(&self) -> Option<Error> {
        let mut passing = self.passing();
        let has_failed = passing.running.as_ref()?.fails_within(DYING);
        let ended = passing.end();
        ended.err().filter(|_| has_failed)
    }

    /// Nobody wants it any more: it is ended as soon as may be.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    fn part(&self) -> Part {
        Part { passing: self.passing.clone() }
    }

    fn passing(&self) -> MutexGuard<'_, Passing> {
        self.passing.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Passing {
    /// Passes on bytes of the part that is under way; none at its end.
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        while self.passed == self.cleared {
            if self.begins.is_some() || self.is_over && self.cleared == self.buffer.len() {
                return Ok(0);
            }
            self.look()?;
        }
        let count = into.len().min(self.cleared - self.passed);
        into[..count].copy_from_slice(&self.buffer[self.passed..self.passed + count]);
        self.passed += count;
        self.text.contents.bytes += count as u64;
        Ok(count)
    }

    /// Looks at what is there, and where that is not enough, at more.
    fn look(&mut self) -> io::Result<()> {
        let step = self.text.step(&self.buffer[self.cleared..], self.is_over);
        self.cleared += step.taken;
        if !self.is_last {
            self.begins = step.begins;
        }
        if step.taken > 0 || self.begins.is_some() {
            return Ok(());
        }
        self.buffer.drain(..self.passed);
        (self.passed, self.cleared) = (0, 0);
        let (known, running) = (self.buffer.len(), self.running.as_mut());
        self.buffer.resize(known + PIECE, 0);
        let read = match running {
            Some(running) => running.read(&mut self.buffer[known..]),
            None => Err(io::Error::other("the dump failed before")),
        };
        let count = *read.as_ref().unwrap_or(&0);
        self.buffer.truncate(known + count);
        self.is_over = read? == 0;
        Ok(())
    }

    /// Waits for the program, once.
    fn end(&mut self) -> Result<(), Error> {
        let Some(running) = self.running.take() else { return Ok(()) };
        // What was not read to its end would wait for us for ever.
        let ended = running.end(!self.is_over);
        match (ended, self.complaints.told()) {
            (ended, None) => Ok(ended?),
            // How it got on until then would hide them.
            (Ok(()) | Err(running::Error::Failed { .. }), Some(complaints)) => {
                Err(Error::Complained { program: self.program, complaints })
            }
            (ended, Some(_)) => Ok(ended?),
        }
    }
}

/// The content of one entry.
pub(super) struct Part {
    passing: Arc<Mutex<Passing>>,
}

impl Open for Part {
    fn open(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        let head = {
            let passing = self.passing.lock().unwrap_or_else(PoisonError::into_inner);
            io::Cursor::new(passing.head.clone())
        };
        Ok(Box::new(Passed { head, passing: self.passing }))
    }
}

struct Passed {
    head: io::Cursor<Vec<u8>>,
    passing: Arc<Mutex<Passing>>,
}

impl Read for Passed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.head.read(buffer)? {
            0 => self.passing.lock().unwrap_or_else(PoisonError::into_inner).read(buffer),
            count => Ok(count),
        }
    }
}

impl Stream for Passed {
    /// How the program ended is asked when all of its parts were read.
    fn finish(self: Box<Self>) -> io::Result<Option<String>> {
        Ok(None)
    }
}
