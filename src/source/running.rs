//! A program that dumps, watched for as long as somebody waits for it.

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How often a dump is looked at whether it still says something.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Room between the program and us, as much as an ordinary user may have: it goes on while a piece
/// is compressed. With Linux's 64 KiB the two took turns (docs/performance.md).
const PIPE: usize = 1 << 20;

/// Of what the program said only this much is kept.
const MOST_COMPLAINTS: usize = 4000;

/// Why a program did not run to a good end.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot start {}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("{program} said nothing for {} s and was ended", limit.as_secs_f64())]
    Silent { program: &'static str, limit: Duration },
    #[error("{program} was ended: interrupted")]
    Interrupted { program: &'static str },
    #[error("{program} ended with {status}: {complaints}")]
    Failed { program: &'static str, status: String, complaints: String },
    #[error("cannot read what {program} writes")]
    Read { program: &'static str, source: io::Error },
}

/// What to start, and when to end it.
pub(super) struct Order {
    pub command: Command,
    /// Its name, for errors.
    pub program: &'static str,
    /// The longest that it may say nothing while somebody waits for it.
    pub silence: Duration,
    /// Whether nobody wants it any more.
    pub unwanted: Box<dyn Fn() -> bool + Send>,
    /// Hears what it says on standard error, piece by piece; an empty one is the end.
    pub hears: Box<dyn FnMut(&[u8]) + Send>,
}

/// A program that runs; dropped, it is ended.
pub(super) struct Running {
    program: &'static str,
    child: Arc<Mutex<Child>>,
    stdout: ChildStdout,
    complaints: Option<JoinHandle<String>>,
    watch: Arc<Watch>,
}

/// What the watching thread looks at.
struct Watch {
    program: &'static str,
    begun: Instant,
    /// Milliseconds after `begun` since which somebody waits for output, plus one; 0 for nobody.
    waiting_since: AtomicU64,
    over: AtomicBool,
    why: Mutex<Option<Error>>,
}

impl Running {
    pub fn start(order: Order) -> Result<Self, Error> {
        let Order { mut command, program, silence, unwanted, hears } = order;
        let started = command.spawn();
        let mut child = started.map_err(|source| Error::Start {
            program: PathBuf::from(command.get_program()),
            source,
        })?;
        let stdout = child.stdout.take().expect("standard output is a pipe");
        // Where the system gives less, the two only wait for each other more often.
        let _ = rustix::pipe::fcntl_setpipe_size(&stdout, PIPE);
        let complaints = child.stderr.take().map(|pipe| std::thread::spawn(|| tail(pipe, hears)));
        let child = Arc::new(Mutex::new(child));
        let watch = Arc::new(Watch {
            program,
            begun: Instant::now(),
            waiting_since: AtomicU64::new(0),
            over: AtomicBool::new(false),
            why: Mutex::new(None),
        });
        let (watched, ended) = (watch.clone(), child.clone());
        std::thread::spawn(move || {
            watched.until_over(silence, &*unwanted, &mut || kill(&ended));
        });
        Ok(Self { program, child, stdout, complaints, watch })
    }

    /// Whether it ends badly by itself within `patience`.
    pub fn fails_within(&self, patience: Duration) -> bool {
        let patience = Instant::now() + patience;
        loop {
            let ended = self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait();
            match ended {
                Ok(Some(status)) => return !status.success(),
                _ if Instant::now() >= patience => return false,
                _ => std::thread::sleep(LOOK_EVERY / 10),
            }
        }
    }

    /// Waits for its end, or makes one; fails with what ended it. All that it said was heard then.
    pub fn end(mut self, by_force: bool) -> Result<(), Error> {
        if by_force {
            kill(&self.child);
        }
        self.watch.wait_begins();
        let program = self.program;
        let status = loop {
            let waited = self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait();
            match waited.map_err(|source| Error::Read { program, source })? {
                Some(status) => break status,
                None => std::thread::sleep(LOOK_EVERY / 10),
            }
        };
        self.watch.over.store(true, Ordering::Relaxed);
        let why = self.watch.why.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(why) = why {
            return Err(why);
        }
        let complaints = self.complaints.take().and_then(|thread| thread.join().ok());
        if status.success() {
            return Ok(());
        }
        let complaints = complaints.unwrap_or_default().trim().to_owned();
        Err(Error::Failed { program, status: status.to_string(), complaints })
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
            let program = self.program;
            let why = if stop() {
                Some(Error::Interrupted { program })
            } else {
                silent.then_some(Error::Silent { program, limit: silence })
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

/// The end of what comes out of a pipe, all of which is heard.
fn tail(mut pipe: impl Read, mut hears: impl FnMut(&[u8])) -> String {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        hears(&buffer[..count]);
        kept.extend_from_slice(&buffer[..count]);
        let surplus = kept.len().saturating_sub(MOST_COMPLAINTS);
        kept.drain(..surplus);
    }
    hears(&[]);
    String::from_utf8_lossy(&kept).into_owned()
}
