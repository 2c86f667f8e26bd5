//! One database's dump: `pg_dump`'s output, watched while it streams.
//!
//! In: a client, an exported snapshot. Out: the stream, and once it ended the [`Contents`] that
//! were counted as it passed. A dump that is silent for too long, that ends badly, or that is not
//! whole is an error; what `pg_dump` said of it stands in the message.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::super::{Open, Stream};
use super::archive::{Archive, Contents, Damaged};
use super::client::Client;
use crate::source;
use crate::source::running::{self, Order, Running};

/// Its name, for errors.
const PROGRAM: &str = "pg_dump";

/// Why a dump is none.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Ended(#[from] running::Error),
    #[error("the dump is not whole")]
    Damaged(#[from] Damaged),
    /// It is whole, and holds other things than the server.
    #[error("nothing of this dump is kept")]
    Unlike,
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

impl Plan {
    fn order(self, ending: Arc<Ending>) -> Order {
        let mut command = self.client.command(&self.program, &self.database);
        command
            .args(["--format=custom", "--compress=0", "--no-password", "--no-tablespaces"])
            // Rows that a crash would lose; another server's credentials.
            .args(["--no-unlogged-table-data", "--no-subscriptions"])
            .arg(format!("--snapshot={}", self.snapshot))
            .arg(format!("--lock-wait-timeout={}", self.lock_timeout.as_millis()));
        let interrupted = self.interrupted;
        Order {
            command,
            program: PROGRAM,
            silence: self.silence,
            unwanted: Box::new(move || {
                interrupted.load(Ordering::Relaxed) || ending.is_abandoned()
            }),
            hears: Box::new(|_| ()),
        }
    }
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

    /// Whether it is no longer wanted.
    pub fn is_abandoned(&self) -> bool {
        self.abandoned.load(Ordering::Relaxed)
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
        let started = Running::start(plan.order(ending.clone())).map_err(Error::Ended);
        match started {
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
        let read = running
            .read(buffer)
            .map_err(|source| Error::Ended(running::Error::Read { program: PROGRAM, source }));
        let counted = read.and_then(|count| {
            archive.feed(&buffer[..count])?;
            Ok(count)
        });
        counted.map_err(|error| {
            // A program that failed explains the damage better than the damage does.
            let ended = self.running.take().map(|running| running.end(true));
            let error = match (ended, error) {
                (
                    Some(Err(
                        why @ (running::Error::Silent { .. } | running::Error::Interrupted { .. }),
                    )),
                    _,
                ) => Error::Ended(why),
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
        let ended = running.end(false).map_err(Error::Ended);
        let ended = ended.and_then(|()| Ok(archive.finish()?));
        match ended {
            Ok(contents) => {
                self.ending.settle(Ok(contents));
                Ok(None)
            }
            Err(error) => Err(self.ending.fail(error)),
        }
    }
}

/// Why there is no dump of `database`, in the source's terms.
pub(super) fn refused(database: &str, error: Error) -> source::Error {
    match error {
        Error::Ended(running::Error::Interrupted { .. }) => source::Error::Interrupted,
        error => source::Error::Engine {
            object: format!("database {database}"),
            what: "its dump failed".to_owned(),
            source: Some(Box::new(error)),
        },
    }
}
