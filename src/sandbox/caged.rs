//! A program that runs in a cage: started, watched, ended; never left behind.

mod ending;
mod keeper;

use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::Signal;

pub use self::ending::Ending;
use self::keeper::{BusySince, GRACE, Keeper, Started, hold, pid_of};
use super::program::Bounds;
use super::{Error, crowd};

/// How much of what a program complained of is kept.
const STDERR_BYTES: usize = 8 << 10;

/// The longest output that is taken in.
const STDOUT_BYTES: usize = 64 << 20;

/// What becomes of a program's standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Out {
    Dropped,
    /// Kept in memory, up to 64 MiB.
    Kept,
}

/// A program that has ended.
#[derive(Debug, Clone)]
pub struct Finished {
    pub ending: Ending,
    pub stdout: Vec<u8>,
    /// The last of it.
    pub stderr: String,
}

/// What is to be started, walls and all.
pub(super) struct Order {
    pub(super) command: Command,
    /// What it and bubblewrap read from descriptors that must be open when it starts.
    pub(super) handed_on: Vec<OwnedFd>,
    /// The program's, for errors.
    pub(super) name: String,
    pub(super) out: Out,
    pub(super) bounds: Bounds,
    pub(super) interrupted: Arc<AtomicBool>,
    /// No bubblewrap stands between.
    pub(super) is_open: bool,
}

/// A program that runs. Dropping it ends it with all of its descendants.
#[derive(Debug)]
pub struct Caged {
    name: String,
    monitor: u32,
    is_open: bool,
    unwanted: Arc<AtomicBool>,
    busy_since: Arc<BusySince>,
    ended: Receiver<Result<Ending, io::Error>>,
    ending: Option<Ending>,
    stderr: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
    stdout: Arc<Mutex<Vec<u8>>>,
}

impl Caged {
    /// Starts what `order` says.
    pub(super) fn start(order: Order) -> Result<Self, Error> {
        let Order { command, handed_on, name, out, bounds, interrupted, is_open } = order;
        let (unwanted, full) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
        let (send_started, started) = mpsc::channel();
        let (send_ended, ended) = mpsc::channel();
        let busy_since = Arc::new(BusySince::now());
        let keeper = Keeper {
            unwanted: unwanted.clone(),
            interrupted,
            full: full.clone(),
            busy_since: busy_since.clone(),
            bounds,
            is_open,
        };
        thread("keep", move || {
            keeper.keep(command, out, &send_started, &send_ended);
            drop(handed_on);
        })?;
        let child = started.recv().unwrap_or_else(|gone| Err(io::Error::other(gone)));
        let child = child.map_err(Error::Start)?;
        let mut caged = Self {
            name,
            monitor: child.id,
            is_open,
            unwanted,
            busy_since,
            ended,
            ending: None,
            stderr: Arc::default(),
            readers: Vec::new(),
            stdout: Arc::default(),
        };
        caged.listen(child, full)?;
        Ok(caged)
    }

    /// Reads what the program says, each pipe on a thread of its own: the last of its complaints,
    /// and its output until that is `full`.
    fn listen(&mut self, child: Started, full: Arc<AtomicBool>) -> Result<(), Error> {
        let (stderr, kept) = (child.stderr, self.stderr.clone());
        self.readers
            .push(thread("stderr", move || gather(stderr, |piece| keep_last(&kept, piece)))?);
        let Some(stdout) = child.stdout else { return Ok(()) };
        let kept = self.stdout.clone();
        self.readers.push(thread("stdout", move || {
            gather(Some(stdout), |piece| {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                if kept.len() + piece.len() > STDOUT_BYTES {
                    full.store(true, Ordering::Relaxed);
                } else {
                    kept.extend_from_slice(piece);
                }
            });
        })?);
        Ok(())
    }

    /// It waits for work, however long: its wall time does not run until [`Self::work`].
    pub fn rest(&self) {
        self.busy_since.set(None);
    }

    /// Its wall time runs from now.
    pub fn work(&self) {
        self.busy_since.set(Some(Instant::now()));
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Result<Option<Ending>, Error> {
        self.wait(Duration::ZERO)
    }

    /// Waits for its end, at most `limit` long.
    pub fn wait(&mut self, limit: Duration) -> Result<Option<Ending>, Error> {
        if self.ending.is_none() {
            self.ending = match self.ended.recv_timeout(limit) {
                Ok(ending) => Some(ending.map_err(Error::Start)?),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => Some(Ending::Stopped),
            };
        }
        Ok(self.ending)
    }

    /// The last of what it complained of.
    pub fn last_words(&self) -> String {
        let kept = self.stderr.lock().unwrap_or_else(PoisonError::into_inner);
        String::from_utf8_lossy(&kept).trim().to_owned()
    }

    /// Sends the program itself a signal; nothing happens where it has ended.
    pub fn signal(&self, signal: Signal) -> Result<(), Error> {
        let program = match self.is_open {
            true => Some(self.monitor),
            false => crowd::program_of(self.monitor),
        };
        let Some(process) = program.and_then(pid_of).and_then(hold) else { return Ok(()) };
        match rustix::process::pidfd_send_signal(&process, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(errno) => Err(Error::Start(errno.into())),
        }
    }

    /// Waits for its end, which its bounds assure.
    pub(super) fn finish(mut self) -> Result<Finished, Error> {
        let ending = match self.ended.recv() {
            Ok(ending) => ending.map_err(Error::Start)?,
            Err(_) => Ending::Stopped,
        };
        self.ending = Some(ending);
        for reader in self.readers.drain(..) {
            // A reader that panicked has said so, and what it read stays.
            let _ = reader.join();
        }
        let stdout =
            std::mem::take(&mut *self.stdout.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(Finished { ending, stdout, stderr: self.last_words() })
    }

    /// Ends it at once, with all that descends from it.
    pub fn kill(&mut self) -> Result<(), Error> {
        self.unwanted.store(true, Ordering::Relaxed);
        match self.wait(GRACE)? {
            Some(_) => Ok(()),
            None => Err(Error::Lingers { program: self.name.clone() }),
        }
    }
}

impl Drop for Caged {
    fn drop(&mut self) {
        if self.ending.is_none()
            && let Err(error) = self.kill()
        {
            tracing::warn!(program = self.name, reason = %error, "a caged program does not end");
        }
    }
}

/// Keeps what was said last.
fn keep_last(kept: &Mutex<Vec<u8>>, piece: &[u8]) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    kept.extend_from_slice(piece);
    let excess = kept.len().saturating_sub(STDERR_BYTES);
    kept.drain(..excess);
}

fn gather(pipe: Option<impl Read>, mut take: impl FnMut(&[u8])) {
    let Some(mut pipe) = pipe else { return };
    let mut piece = [0; 64 << 10];
    while let Ok(length @ 1..) = pipe.read(&mut piece) {
        take(&piece[..length]);
    }
}

fn thread(does: &str, work: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    std::thread::Builder::new().name(format!("caged-{does}")).spawn(work).map_err(Error::Start)
}
