//! One moment for dump and fingerprint: commits are held back while both take their snapshots.
//!
//! In: a login, how to dump. Out: a [`Held`] moment: a session that sees it, and a dump that has
//! begun to. Where there is a binary log its position proves that both see the same; the lock alone
//! does elsewhere. Writers wait no longer than [`MOST_HELD`]; the server itself gives up the lock
//! where we are stopped or cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::super::login::Login;
use super::super::running::{self, Order, Running};
use super::super::{Context, Error};
use super::client::Client;
use super::dump::Dump;
use super::engine::Engine;
use super::live::engine_error;
use super::server::Moment;
use super::session::{self, Session, number};
use crate::policy::sources::ServerSettings;

/// The longest that commits may wait for us.
const MOST_HELD: Duration = Duration::from_secs(2);

/// Of that, the longest that we wait for commits under way.
const COMMITS: Duration = Duration::from_secs(1);

/// After so many seconds without a word from us the server ends the session that holds the lock.
const SILENCE_SECONDS: u32 = 4;

/// How often it is tried to let the dump begin in time, and the pause in between.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

/// What the dumping program says right before it begins its transaction; whatever it says next, it
/// says within that.
const BEGINS: &[u8] = b"-- Starting transaction...\n";

/// What a session goes back to after each table: the snapshot stays, locks do not.
pub(super) const SAVEPOINT: &str = "moment";

/// A moment that is held still.
pub(super) struct Held {
    /// It sees the moment until it is dropped.
    pub session: Session,
    pub dump: Dump,
    /// By our clock; every later change was still to come.
    pub time: Timestamp,
    pub moment: Moment,
}

/// What is to be held, and who holds it.
pub(super) struct Holder<'a> {
    pub login: &'a Login,
    pub client: &'a Client,
    pub engine: &'a Engine,
    pub settings: &'a ServerSettings,
    pub databases: &'a [String],
    pub has_binlog: bool,
    pub context: &'a Context,
}

impl Holder<'_> {
    /// Holds a moment.
    pub fn hold(&self) -> Result<Held, Error> {
        for attempt in 1..=ATTEMPTS {
            self.context.check_interrupted()?;
            if let Some(held) = self.attempt()? {
                return Ok(held);
            }
            tracing::warn!(
                "{} did not begin to dump within {} s; commits go on (attempt {attempt})",
                self.engine.dumper(),
                MOST_HELD.as_secs()
            );
            std::thread::sleep(PAUSE);
        }
        Err(Error::Engine {
            object: session::name_of(self.login),
            what: format!(
                "commits would have to wait longer than {} s for the dump to begin, which was tried \
                 {ATTEMPTS} times; they go on, and nothing was dumped",
                MOST_HELD.as_secs()
            ),
            source: None,
        })
    }

    /// None where the dump did not begin in time.
    fn attempt(&self) -> Result<Option<Held>, Error> {
        let failed = |error| engine_error(self.login, error);
        let mut session = self.open().map_err(failed)?;
        session.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").map_err(failed)?;
        let mut lock = Lock { session: self.open().map_err(failed)? };
        lock.prepare().map_err(|error| self.not_granted(error))?;
        let begun = Instant::now();
        lock.take().map_err(|error| self.not_granted(error))?;
        let time = self.context.clock.now();
        session.run("START TRANSACTION WITH CONSISTENT SNAPSHOT").map_err(failed)?;
        session.run(&format!("SAVEPOINT {SAVEPOINT}")).map_err(failed)?;
        let (dump, began) = self.dump()?;
        let left = MOST_HELD.saturating_sub(begun.elapsed());
        let is_begun = began.recv_timeout(left).is_ok();
        lock.give_back().map_err(failed)?;
        let held = begun.elapsed();
        if !is_begun {
            // A program that failed says why.
            return dump.begun_badly().map_or(Ok(None), |why| Err(dump_refused(why)));
        }
        let server_time = session.value("SELECT UTC_TIMESTAMP(6)").map_err(failed)?;
        let binlog = match self.has_binlog {
            true => Some(position(&mut session).map_err(failed)?),
            false => None,
        };
        let held_ms = u64::try_from(held.as_millis()).unwrap_or(u64::MAX);
        let moment = Moment { server_time, binlog, held_ms, repeats: 0 };
        Ok(Some(Held { session, dump, time, moment }))
    }

    fn open(&self) -> Result<Session, session::Error> {
        let limit = self.settings.statement_deadline;
        let mut session = Session::open(self.login, limit, self.context.interrupted.clone())?;
        session.set_lock_patience(self.settings.lock_timeout)?;
        Ok(session)
    }

    /// Starts the program; the receiver hears of it when its transaction has begun.
    fn dump(&self) -> Result<(Dump, mpsc::Receiver<()>), Error> {
        let mut command = self.client.command(&self.engine.program(self.engine.dumper()));
        command
            .args(["--verbose", "--single-transaction", "--quick", "--hex-blob", "--tz-utc"])
            .args(["--routines", "--events", "--triggers", "--no-tablespaces", "--dump-history"])
            .args(["--default-character-set=utf8mb4", "--max-allowed-packet=1G"]);
        if self.has_binlog {
            command.arg("--master-data=2");
        }
        command.args(["--databases", "--"]).args(self.databases);
        let abandoned = Arc::new(AtomicBool::new(false));
        let (unwanted, interrupted) = (abandoned.clone(), self.context.interrupted.clone());
        let (tell, began) = mpsc::channel();
        let running = Running::start(Order {
            command,
            program: self.engine.dumper(),
            silence: self.settings.statement_deadline,
            unwanted: Box::new(move || {
                interrupted.load(Ordering::Relaxed) || unwanted.load(Ordering::Relaxed)
            }),
            hears: Box::new(listener(tell)),
        });
        let running = running.map_err(|error| dump_refused(error.into()))?;
        Ok((Dump::of(running, abandoned), began))
    }

    fn not_granted(&self, error: session::Error) -> Error {
        let is_late = matches!(&error,
            session::Error::Refused { number, .. } if *number == number::LOCK_WAIT_TIMEOUT);
        if !is_late {
            return engine_error(self.login, error);
        }
        Error::Engine {
            object: session::name_of(self.login),
            what:
                "the lock that holds commits back was not granted in time; nothing was dumped, and \
                   nobody waits for us"
                    .to_owned(),
            source: Some(Box::new(error)),
        }
    }
}

/// A session that holds commits back for as long as it says so, or lives.
struct Lock {
    session: Session,
}

impl Lock {
    /// Everything that does not hold commits back yet. DDL waits from here on, and statements that
    /// write tables without transactions.
    fn prepare(&mut self) -> Result<(), session::Error> {
        self.session.run(&format!("SET SESSION wait_timeout = {SILENCE_SECONDS}"))?;
        for stage in ["START", "FLUSH", "BLOCK_DDL"] {
            self.session.run(&format!("BACKUP STAGE {stage}"))?;
        }
        self.session.set_lock_patience(COMMITS)
    }

    fn take(&mut self) -> Result<(), session::Error> {
        self.session.run("BACKUP STAGE BLOCK_COMMIT")
    }

    fn give_back(mut self) -> Result<(), session::Error> {
        self.session.run("BACKUP STAGE END")
    }
}

/// Tells once the program has begun its transaction.
fn listener(tell: Sender<()>) -> impl FnMut(&[u8]) + Send {
    let (mut heard, mut tell) = (Vec::new(), Some(tell));
    move |piece| {
        if tell.is_none() {
            return;
        }
        heard.extend_from_slice(piece);
        let begins = heard.windows(BEGINS.len()).position(|window| window == BEGINS);
        if begins.is_some_and(|at| heard.len() > at + BEGINS.len())
            && let Some(tell) = tell.take()
        {
            // Whoever asked may have given up by now.
            let _ = tell.send(());
        }
    }
}

/// Where the binary log stood when the session's snapshot was taken.
fn position(session: &mut Session) -> Result<String, session::Error> {
    let rows = session.rows("SHOW STATUS LIKE 'Binlog_snapshot_%'")?;
    let of = |wanted: &str| {
        let row = rows.iter().find(|row| row[0].as_deref() == Some(wanted));
        row.and_then(|row| row[1].clone())
    };
    match (of("Binlog_snapshot_file"), of("Binlog_snapshot_position")) {
        (Some(file), Some(position)) => Ok(format!("{file}:{position}")),
        _ => Err(session.unexpected("no position of the binary log")),
    }
}

/// Why there is no dump, in the source's terms.
pub(super) fn dump_refused(error: super::dump::Error) -> Error {
    match error {
        super::dump::Error::Ended(running::Error::Interrupted { .. }) => Error::Interrupted,
        error => Error::Engine {
            object: "the dump".to_owned(),
            what: "it failed".to_owned(),
            source: Some(Box::new(error)),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dump_has_begun_once_it_says_something_within_its_transaction() {
        let (tell, began) = mpsc::channel();
        let mut hears = listener(tell);

        hears(b"-- Connecting to localhost...\n-- Starting trans");
        hears(b"action...\n");
        assert!(began.try_recv().is_err());

        hears(b"-- Setting");
        assert!(began.try_recv().is_ok());
    }
}
