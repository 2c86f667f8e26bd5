//! The thread beside a program in a cage: starts it, watches its bounds, sees to its end.

use std::io;
use std::os::fd::OwnedFd;
use std::process::{Child, ChildStderr, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal};

use super::{Bounds, Ending, Out};
use crate::sandbox::crowd;

/// How often a program is looked at, and how many looks pass between two counts of its crowd.
const LOOK_EVERY: Duration = Duration::from_millis(5);
const LOOKS_A_COUNT: u32 = 20;

/// How long a killed program is waited for.
pub(super) const GRACE: Duration = Duration::from_secs(20);

/// A child as its starter needs it.
pub(super) struct Started {
    pub(super) id: u32,
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Option<ChildStderr>,
}

/// Since when a program's wall time runs: not at all while it rests.
#[derive(Debug)]
pub(super) struct BusySince(Mutex<Option<Instant>>);

impl BusySince {
    pub(super) fn now() -> Self {
        Self(Mutex::new(Some(Instant::now())))
    }

    pub(super) fn set(&self, since: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn is_longer_than(&self, limit: Duration) -> bool {
        let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        since.is_some_and(|since| since.elapsed() >= limit)
    }
}

/// The thread that starts a program and stays until it has ended: the kernel ends the program
/// with the *thread* that started it, and threads of a runtime's pool come and go.
pub(super) struct Keeper {
    pub(super) unwanted: Arc<AtomicBool>,
    /// The whole run is to end.
    pub(super) interrupted: Arc<AtomicBool>,
    /// It printed more than is taken in.
    pub(super) full: Arc<AtomicBool>,
    pub(super) busy_since: Arc<BusySince>,
    pub(super) bounds: Bounds,
    pub(super) is_open: bool,
}

impl Keeper {
    pub(super) fn keep(
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
        let mut first = None;
        for look in 0u32.. {
            if let Some(status) = child.try_wait()? {
                end(child, first)?;
                return Ok(Ending::of(status));
            }
            first = first.or_else(|| First::behind(child.id()));
            if let Some(ending) = self.verdict(child.id(), look) {
                end(child, first)?;
                return Ok(ending);
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(Ending::Stopped)
    }

    /// Why the program must end now, if it must.
    fn verdict(&self, monitor: u32, look: u32) -> Option<Ending> {
        if self.unwanted.load(Ordering::Relaxed) || self.interrupted.load(Ordering::Relaxed) {
            return Some(Ending::Stopped);
        }
        if self.full.load(Ordering::Relaxed) {
            return Some(Ending::TooMuchOutput);
        }
        if self.busy_since.is_longer_than(self.bounds.wall) {
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

pub(super) fn pid_of(process: u32) -> Option<Pid> {
    Pid::from_raw(i32::try_from(process).ok()?)
}

pub(super) fn hold(pid: Pid) -> Option<OwnedFd> {
    rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()
}
