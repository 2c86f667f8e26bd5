//! One database's dump: `pg_dump`'s output, watched while it streams.
//!
//! In: a client, an exported snapshot. Out: the stream, and once it ended the [`Contents`] that
//! were counted as it passed. A dump that is silent for too long, that ends badly, or that is not
//! whole is an error; what `pg_dump` said of it stands in the message.

use std::io::{self, Read};
use std::path::PathBuf;
use std::process::{Child, ChildStdout};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::super::{Open, Stream};
use super::archive::{Archive, Contents, Damaged};
use super::client::Client;

/// How often a dump is looked at whether it still says something.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Of what `pg_dump` said only this much is kept.
const MOST_COMPLAINTS: usize = 4000;

/// Why a dump is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot start {}", program.display())]
    Start { program: PathBuf, source: io::Error },
    #[error("pg_dump said nothing for {} s and was ended", limit.as_secs_f64())]
    Silent { limit: Duration },
    #[error("pg_dump was ended: interrupted")]
    Interrupted,
    #[error("pg_dump ended with {status}: {complaints}")]
    Failed { status: String, complaints: String },
    #[error("cannot read what pg_dump writes")]
    Read(#[source] io::Error),
    #[error("the dump is not whole")]
    Damaged(#[from] Damaged),
    #[error("nobody read the dump to its end")]
    Unread,
}

/// What to dump and how.
pub(super) struct Plan {
    pub client: Client,
    pub program: PathBuf,
    pub database: String,
    pub snapshot: String,
    pub lock_timeout: Duration,
    /// The longest that `pg_dump` may say nothing while somebody waits for it.
    pub silence: Duration,
    pub interrupted: Arc<AtomicBool>,
}

/// How a dump ends, for whoever put the entry.
#[derive(Default)]
pub(super) struct Ending {
    outcome: Mutex<Option<Result<Contents, Error>>>,
    abandoned: AtomicBool,
}

impl Ending {
    /// Takes the outcome of a dump that was read to its end.
    pub fn outcome(&self) -> Result<Contents, Error> {
        let mut outcome = self.outcome.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.take().unwrap_or(Err(Error::Unread))
    }

    /// Nobody wants the dump any more: it is ended as soon as may be.
    pub fn abandon(&self) {
        self.abandoned.store(true, Ordering::Relaxed);
    }

    fn settle(&self, outcome: Result<Contents, Error>) {
        *self.outcome.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    /// Keeps an error for whoever put the entry; what the sink is told matters less.
    fn fail(&self, error: Error) -> io::Error {
        let told = io::Error::other(error.to_string());
        self.settle(Err(error));
        told
    }
}

/// The content of an entry: the dump that `plan` says. Started when somebody opens it.
pub(super) struct Dump {
    plan: Plan,
    ending: Arc<Ending>,
}

impl Dump {
    /// The dump, and where to find out how it ended.
    pub fn new(plan: Plan) -> (Self, Arc<Ending>) {
        let ending = Arc::<Ending>::default();
        (Self { plan, ending: ending.clone() }, ending)
    }
}

impl Open for Dump {
    fn open(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        let Self { plan, ending } = *self;
        match Running::start(plan, &ending) {
            Ok(running) => Ok(Box::new(Watched {
                archive: Some(Archive::default()),
                running: Some(running),
                ending,
            })),
            Err(error) => Err(ending.fail(error)),
        }
    }
}

struct Watched {
    archive: Option<Archive>,
    running: Option<Running>,
    ending: Arc<Ending>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (Some(running), Some(archive)) = (&mut self.running, &mut self.archive) else {
            return Err(io::Error::other("the dump failed before"));
        };
        let read = running.read(buffer).map_err(Error::Read);
        let counted = read.and_then(|count| {
            archive.feed(&buffer[..count])?;
            Ok(count)
        });
        counted.map_err(|error| {
            // A program that failed explains the damage better than the damage does.
            let ended = self.running.take().map(|running| running.end(true));
            let error = match (ended, error) {
                (Some(Err(why @ (Error::Silent { .. } | Error::Interrupted))), _) => why,
                (_, error) => error,
            };
            self.ending.fail(error)
        })
    }
}

impl Stream for Watched {
    fn finish(mut self: Box<Self>) -> io::Result<Option<String>> {
        let (Some(running), Some(archive)) = (self.running.take(), self.archive.take()) else {
            return Err(io::Error::other("the dump failed before"));
        };
        let ended = running.end(false).and_then(|()| Ok(archive.finish()?));
        match ended {
            Ok(contents) => {
                self.ending.settle(Ok(contents));
                Ok(None)
            }
            Err(error) => Err(self.ending.fail(error)),
        }
    }
}

/// A `pg_dump` that runs; dropped, it is ended.
struct Running {
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
    fn start(plan: Plan, ending: &Arc<Ending>) -> Result<Self, Error> {
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
            let stop = || {
                plan.interrupted.load(Ordering::Relaxed) || ending.abandoned.load(Ordering::Relaxed)
            };
            watched.until_over(plan.silence, &stop, &mut || kill(&ended));
        });
        Ok(Self { child, stdout, complaints, watch })
    }

    /// Waits for its end, or makes one; fails with what ended it.
    fn end(mut self, by_force: bool) -> Result<(), Error> {
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
