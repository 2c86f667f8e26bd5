//! A `pg_dump` that runs, watched for as long as somebody waits for it.

use std::io::{self, Read};
use std::process::{Child, ChildStdout};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::dump::{Ending, Error, Plan};

/// How often a dump is looked at whether it still says something.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Room between `pg_dump` and us, as much as an ordinary user may have: it goes on while a piece is
/// compressed. With Linux's 64 KiB the two took turns (docs/performance.md).
const PIPE: usize = 1 << 20;

/// Of what `pg_dump` said only this much is kept.
const MOST_COMPLAINTS: usize = 4000;

/// A `pg_dump` that runs; dropped, it is ended.
pub(super) struct Running {
    child: Arc<Mutex<Child>>,
    stdout: ChildStdout,
    complaints: Option<JoinHandle<String>>,
    watch: Arc<Watch>,
}

/// What the watching thread looks at.
struct Watch {
    begun: Instant,
    /// Milliseconds after `begun` since which somebody waits for output, plus one; 0 for nobody.
    waiting_since: AtomicU64,
    over: AtomicBool,
    why: Mutex<Option<Error>>,
}

impl Running {
    pub fn start(plan: Plan, ending: &Arc<Ending>) -> Result<Self, Error> {
        let mut command = plan.client.command(&plan.program, &plan.database);
        command
            .args(["--format=custom", "--compress=0", "--no-password", "--no-tablespaces"])
            // Rows that a crash would lose; another server's credentials.
            .args(["--no-unlogged-table-data", "--no-subscriptions"])
            .arg(format!("--snapshot={}", plan.snapshot))
            .arg(format!("--lock-wait-timeout={}", plan.lock_timeout.as_millis()));
        let started = command.spawn();
        let mut child =
            started.map_err(|source| Error::Start { program: plan.program.clone(), source })?;
        let stdout = child.stdout.take().expect("standard output is a pipe");
        // Where the system gives less, the two only wait for each other more often.
        let _ = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE);
        let complaints = child.stderr.take().map(|pipe| std::thread::spawn(|| tail(pipe)));
        let child = Arc::new(Mutex::new(child));
        let watch = Arc::new(Watch {
            begun: Instant::now(),
            waiting_since: AtomicU64::new(0),
            over: AtomicBool::new(false),
            why: Mutex::new(None),
        });
        let (watched, ended, ending) = (watch.clone(), child.clone(), ending.clone());
        std::thread::spawn(move || {
            let stop = || plan.interrupted.load(Ordering::Relaxed) || ending.is_abandoned();
            watched.until_over(plan.silence, &stop, &mut || kill(&ended));
        });
        Ok(Self { child, stdout, complaints, watch })
    }

    /// Waits for its end, or makes one; fails with what ended it.
    pub fn end(mut self, by_force: bool) -> Result<(), Error> {
        if by_force {
            kill(&self.child);
        }
        self.watch.wait_begins();
        let status = loop {
            let waited = self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait();
            match waited.map_err(Error::Read)? {
                Some(status) => break status,
                None => std::thread::sleep(LOOK_EVERY / 10),
            }
        };
        self.watch.over.store(true, Ordering::Relaxed);
        let why = self.watch.why.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(why) = why {
            return Err(why);
        }
        if status.success() {
            return Ok(());
        }
        let complaints = self.complaints.take().and_then(|thread| thread.join().ok());
        let complaints = complaints.unwrap_or_default();
        Err(Error::Failed { status: status.to_string(), complaints: complaints.trim().to_owned() })
    }
}

impl Read for Running {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.watch.wait_begins();
        let read = self.stdout.read(buffer);
        self.watch.waiting_since.store(0, Ordering::Relaxed);
        read
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.watch.over.swap(true, Ordering::Relaxed) {
            kill(&self.child);
            // Nothing waits for it any more; without this it would stay a zombie.
            let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait();
        }
    }
}

impl Watch {
    fn wait_begins(&self) {
        let now = u64::try_from(self.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        self.waiting_since.store(now + 1, Ordering::Relaxed);
    }

    fn until_over(&self, silence: Duration, stop: &dyn Fn() -> bool, end: &mut dyn FnMut()) {
        while !self.over.load(Ordering::Relaxed) {
            let since = self.waiting_since.load(Ordering::Relaxed);
            let silent = since > 0
                && self.begun.elapsed().saturating_sub(Duration::from_millis(since - 1)) > silence;
            let why = if stop() {
                Some(Error::Interrupted)
            } else {
                silent.then_some(Error::Silent { limit: silence })
            };
            if let Some(why) = why {
                *self.why.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
                end();
                return;
            }
            std::thread::sleep(LOOK_EVERY);
        }
    }
}

/// Ends the program with whatever it started.
fn kill(child: &Mutex<Child>) {
    let mut child = child.lock().unwrap_or_else(PoisonError::into_inner);
    // Once it was waited for, its number may be another's.
    if let Ok(None) = child.try_wait() {
        let group = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw);
        if let Some(group) = group {
            // It may have ended by itself in this moment, which is as well.
            let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
        }
    }
}

/// The end of what comes out of a pipe.
fn tail(mut pipe: impl Read) -> String {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..count]);
        let surplus = kept.len().saturating_sub(MOST_COMPLAINTS);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).into_owned()
}
