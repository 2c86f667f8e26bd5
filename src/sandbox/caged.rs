//! A program that runs in a cage: started, watched, ended; never left behind.

use std::fmt;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal};

use super::cage::Bounds;
use super::{Error, crowd};

/// How much of what a program complained of is kept.
const STDERR_BYTES: usize = 8 << 10;

/// The longest output that is taken in.
const STDOUT_BYTES: usize = 64 << 20;

/// How often a program is looked at, and how many looks pass between two counts of its crowd.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const LOOKS_A_COUNT: u32 = 20;

/// How long a killed program is waited for.
const GRACE: Duration = Duration::from_secs(20);

/// What becomes of a program's standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Out {
    Dropped,
    /// Kept in memory, up to 64 MiB.
    Kept,
}

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Exited(i32),
    /// By a signal that nobody here sent.
    Signalled(i32),
    /// Killed because it ran too long.
    TooLate(Duration),
    /// Killed because its processes held too much together.
    TooMuchMemory {
        bytes: u64,
    },
    /// Killed because it had too many processes.
    TooManyProcesses {
        processes: u32,
    },
    /// Killed because it printed more than is taken in.
    TooMuchOutput,
    /// Killed because nobody wanted it any more.
    Stopped,
}

impl Ending {
    /// Whether a limit of the cage, and not the program itself, ended it.
    pub fn is_out_of_bounds(self) -> bool {
        !matches!(self, Self::Exited(_) | Self::Signalled(_) | Self::Stopped)
    }

    /// Bubblewrap answers 128 and the signal's number for a program that a signal ended.
    fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code @ 129..=192), _) => Self::Signalled(code - 128),
            (Some(code), _) => Self::Exited(code),
            (None, signal) => Self::Signalled(signal.unwrap_or(0)),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit status {code}"),
            Self::Signalled(25) => f.write_str("a file grew too large"),
            Self::Signalled(9) => f.write_str("killed, perhaps for want of memory"),
            Self::Signalled(signal) => write!(f, "signal {signal}"),
            Self::TooLate(limit) => write!(f, "killed after {} s", limit.as_secs()),
            Self::TooMuchMemory { bytes } => {
                write!(f, "killed: its processes held {} MiB together", bytes >> 20)
            }
            Self::TooManyProcesses { processes } => {
                write!(f, "killed: it had {processes} processes")
            }
            Self::TooMuchOutput => f.write_str("killed: it printed too much"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
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
    /// Read by bubblewrap from a descriptor that must be open when it starts.
    pub(super) filter: Option<OwnedFd>,
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
    ended: Receiver<Result<Ending, io::Error>>,
    ending: Option<Ending>,
    stderr: Arc<Mutex<Vec<u8>>>,
    readers: Vec<JoinHandle<()>>,
    stdout: Arc<Mutex<Vec<u8>>>,
}

impl Caged {
    /// Starts what `order` says.
    pub(super) fn start(order: Order) -> Result<Self, Error> {
        let Order { command, filter, name, out, bounds, interrupted, is_open } = order;
        let unwanted = Arc::new(AtomicBool::new(false));
        let (send_started, started) = mpsc::channel();
        let (send_ended, ended) = mpsc::channel();
        let (unwanted_too, full) = (unwanted.clone(), Arc::default());
        let keeper = Keeper { unwanted: unwanted_too, interrupted, full, bounds, is_open };
        let full = keeper.full.clone();
        thread("keep", move || {
            keeper.keep(command, out, &send_started, &send_ended);
            drop(filter);
        })?;
        let mut child = started
            .recv()
            .unwrap_or_else(|gone| Err(io::Error::other(gone)))
            .map_err(Error::Start)?;
        let mut caged = Self {
            name,
            monitor: child.id,
            is_open,
            unwanted,
            ended,
            ending: None,
            stderr: Arc::default(),
            readers: Vec::new(),
            stdout: Arc::default(),
        };
        let kept = caged.stderr.clone();
        let stderr = child.stderr;
        caged.readers.push(thread("stderr", move || {
            gather(stderr, |piece| {
                let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(piece);
                let excess = kept.len().saturating_sub(STDERR_BYTES);
                kept.drain(..excess);
            });
        })?);
        if let Some(stdout) = child.stdout.take() {
            let kept = caged.stdout.clone();
            caged.readers.push(thread("stdout", move || {
                gather(Some(stdout), |piece| {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    if kept.len() + piece.len() > STDOUT_BYTES {
                        full.store(true, Ordering::Relaxed);
                    } else {
                        kept.extend_from_slice(piece);
                    }
                });
            })?);
        }
        Ok(caged)
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

/// A child as its starter needs it.
struct Started {
    id: u32,
    stdout: Option<std::process::ChildStdout>,
    stderr: Option<std::process::ChildStderr>,
}

/// The thread that starts a program and stays until it has ended: the kernel ends the program
/// with the *thread* that started it, and threads of a runtime's pool come and go.
struct Keeper {
    unwanted: Arc<AtomicBool>,
    /// The whole run is to end.
    interrupted: Arc<AtomicBool>,
    /// It printed more than is taken in.
    full: Arc<AtomicBool>,
    bounds: Bounds,
    is_open: bool,
}

impl Keeper {
    fn keep(
        self,
        mut command: Command,
        out: Out,
        started: &Sender<io::Result<Started>>,
        ended: &Sender<io::Result<Ending>>,
    ) {
        use std::os::unix::process::CommandExt;

        command.stdout(if out == Out::Kept { Stdio::piped() } else { Stdio::null() });
        command.stderr(Stdio::piped()).process_group(0);
        let mut child = match command.spawn() {
            Ok(child) => child,
            // Nobody to tell means nobody to mind.
            Err(error) => return drop(started.send(Err(error))),
        };
        let told = started.send(Ok(Started {
            id: child.id(),
            stdout: child.stdout.take(),
            stderr: child.stderr.take(),
        }));
        if told.is_err() {
            self.unwanted.store(true, Ordering::Relaxed);
        }
        // The value that would have liked to know may be gone.
        let _ = ended.send(self.watch(&mut child));
    }

    fn watch(&self, child: &mut Child) -> io::Result<Ending> {
        let began = Instant::now();
        let mut first = None;
        for look in 0u32.. {
            if let Some(status) = child.try_wait()? {
                end(child, first)?;
                return Ok(Ending::of(status));
            }
            first = first.or_else(|| First::behind(child.id()));
            if let Some(ending) = self.verdict(child.id(), began, look) {
                end(child, first)?;
                return Ok(ending);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(Ending::Stopped)
    }

    /// Why the program must end now, if it must.
    fn verdict(&self, monitor: u32, began: Instant, look: u32) -> Option<Ending> {
        if self.unwanted.load(Ordering::Relaxed) || self.interrupted.load(Ordering::Relaxed) {
            return Some(Ending::Stopped);
        }
        if self.full.load(Ordering::Relaxed) {
            return Some(Ending::TooMuchOutput);
        }
        if began.elapsed() >= self.bounds.wall {
            return Some(Ending::TooLate(self.bounds.wall));
        }
        if self.is_open || !look.is_multiple_of(LOOKS_A_COUNT) {
            return None;
        }
        let crowd = crowd::behind(monitor);
        if crowd.bytes > self.bounds.memory_bytes {
            return Some(Ending::TooMuchMemory { bytes: crowd.bytes });
        }
        // Bubblewrap's own first process is one of them.
        (crowd.processes > self.bounds.processes.saturating_add(1))
            .then_some(Ending::TooManyProcesses { processes: crowd.processes })
    }
}

/// The first process of a pid namespace, held so that its number stands for no other.
struct First {
    id: u32,
    held: OwnedFd,
}

impl First {
    fn behind(monitor: u32) -> Option<Self> {
        let id = crowd::first_behind(monitor)?;
        Some(Self { id, held: pid_of(id).and_then(hold)? })
    }
}

/// Kills a child with all that descends from it, and waits until nothing of it is left.
///
/// The kernel ends a pid namespace with its `first` process, once all the others have ended;
/// bubblewrap itself does not wait for that.
fn end(child: &mut Child, first: Option<First>) -> io::Result<()> {
    if let Some(first) = &first {
        // It may have ended by itself.
        let _ = rustix::process::pidfd_send_signal(&first.held, Signal::KILL);
    }
    if child.try_wait()?.is_none() {
        child.kill()?;
        child.wait()?;
    }
    let group = pid_of(child.id());
    let patience = Instant::now() + GRACE / 2;
    while Instant::now() < patience {
        // What an open cage left; it fails once the group is empty.
        let left = |group| rustix::process::kill_process_group(group, Signal::KILL).is_ok();
        if first.as_ref().is_none_or(|first| crowd::is_gone(first.id)) && !group.is_some_and(left) {
            break;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

fn pid_of(process: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(process).ok()?)
}

fn hold(pid: Pid) -> Option<OwnedFd> {
    rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()
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
