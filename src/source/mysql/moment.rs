//! One moment for dump and fingerprint: commits are held back while both take their snapshots.
//!
//! In: a login, how to dump. Out: a [`Held`] moment: a session that sees it, and a dump that has
//! begun to. Where there is a binary log its position proves that both see the same; the lock alone
//! does elsewhere. A server that forbids the lock is dumped all the same, and nothing is compared then.
//! Writers wait no longer than [`MOST_HELD`]; the server itself gives up the lock
//! where we are stopped or cut off.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::super::login::Login;
use super::super::running::{self, Order, Running};
use super::super::served::Chosen;
use super::super::{Context, Error};
use super::Product;
use super::client::Client;
use super::dump::Dump;
use super::engine::Engine;
use super::live::{self, engine_error};
use super::lock::{Lock, position};
use super::replica;
use super::said::{Complaints, Listener};
use super::server::Moment;
use super::session::{self, Session, number};
use super::tables::Table;
use crate::policy::sources::ServerSettings;

/// The longest that commits may wait for us.
const MOST_HELD: Duration = Duration::from_secs(2);

/// How often it is tried to let the dump begin in time, and the pause in between.
const ATTEMPTS: u32 = 3;
const PAUSE: Duration = Duration::from_secs(1);

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
    pub tables: &'a [Table],
    pub has_binlog: bool,
    pub context: &'a Context,
}

impl Holder<'_> {
    /// Holds a moment; of a server that was `chosen` only while it still qualifies.
    pub fn hold(&self, mut chosen: Option<&mut Chosen>) -> Result<Held, Error> {
        for attempt in 1..=ATTEMPTS {
            self.context.check_interrupted()?;
            let of_chosen = chosen.is_some();
            if let Some(chosen) = &mut chosen {
                let Self { login, settings, context, .. } = self;
                let look = || live::look(self.engine.product, login, settings, context);
                chosen.confirm(context, look)?;
            }
            if let Some(held) = self.attempt(of_chosen)? {
                return Ok(held);
            }
            tracing::warn!(
                "{} did not begin to dump within {} s; commits go on (attempt {attempt})",
                self.engine.product.dumper(),
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
    fn attempt(&self, of_chosen: bool) -> Result<Option<Held>, Error> {
        let failed = |error| engine_error(self.login, error);
        let open = || open(self.engine.product, self.login, self.settings, self.context);
        let mut session = open().map_err(failed)?;
        session.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").map_err(failed)?;
        let mut lock = Lock::on(open().map_err(failed)?);
        let forbidden = self.granted(lock.prepare())?;
        let begun = Instant::now();
        let unheld = match forbidden {
            None => self.granted(lock.take())?,
            forbidden => forbidden,
        };
        let has_position = self.has_binlog && unheld.is_none();
        let time = self.context.clock.now();
        session.run("START TRANSACTION WITH CONSISTENT SNAPSHOT").map_err(failed)?;
        session.run(&format!("SAVEPOINT {SAVEPOINT}")).map_err(failed)?;
        let position = |session: &mut Session| match has_position {
            true => position(session).map(Some).map_err(failed),
            false => Ok(None),
        };
        let applied = |session: &mut Session| match of_chosen && unheld.is_none() {
            true => replica::applied(session).map_err(failed),
            false => Ok(None),
        };
        let (binlog, replicated) = (position(&mut session)?, applied(&mut session)?);
        let (dump, began) = self.dump(has_position)?;
        let left = MOST_HELD.saturating_sub(begun.elapsed());
        let is_begun = began.recv_timeout(left).is_ok();
        let still = (position(&mut session)?, applied(&mut session)?);
        if unheld.is_none() {
            lock.give_back().map_err(failed)?;
        }
        let held = begun.elapsed();
        if !is_begun {
            // A program that failed says why.
            return dump.begun_badly().map_or(Ok(None), |why| Err(dump_refused(why)));
        }
        let server_time = session.value("SELECT UTC_TIMESTAMP(6)").map_err(failed)?;
        if still != (binlog.clone(), replicated.clone()) {
            return Err(failed(session.unexpected("somebody committed under the lock")));
        }
        let held_ms = u64::try_from(held.as_millis()).unwrap_or(u64::MAX);
        let held_ms = if unheld.is_none() { held_ms } else { 0 };
        let moment = Moment { server_time, binlog, replicated, unheld, held_ms, repeats: 0 };
        Ok(Some(Held { session, dump, time, moment }))
    }

    /// Starts the program; the receiver hears of it when its transaction has begun.
    fn dump(&self, has_position: bool) -> Result<(Dump, mpsc::Receiver<()>), Error> {
        let product = self.engine.product;
        let mut command = self.client.command(&self.engine.program(product.dumper()));
        command
            .args(["--verbose", "--single-transaction", "--quick", "--hex-blob", "--tz-utc"])
            .args(["--routines", "--events", "--triggers", "--no-tablespaces"])
            .args(["--default-character-set=utf8mb4", "--max-allowed-packet=1G"])
            .args(match product {
                Product::Mariadb => &["--dump-history"][..],
                // None is of the data; the first two want more rights where it is loaded, the last
                // one here.
                Product::Mysql => {
                    &["--set-gtid-purged=OFF", "--column-statistics=0", "--skip-masking-policies"]
                }
            });
        if has_position {
            command.arg(match product {
                Product::Mariadb => "--master-data=2",
                Product::Mysql => "--source-data=2",
            });
        }
        command.args(["--databases", "--"]).args(self.databases);
        let abandoned = Arc::new(AtomicBool::new(false));
        let (unwanted, interrupted) = (abandoned.clone(), self.context.interrupted.clone());
        let (tell, began) = mpsc::channel();
        let complaints = Complaints::default();
        let mut listener = Listener::of(tell, self.tables, complaints.clone());
        let running = Running::start(Order {
            command,
            program: product.dumper(),
            silence: self.settings.statement_deadline,
            unwanted: Box::new(move || {
                interrupted.load(Ordering::Relaxed) || unwanted.load(Ordering::Relaxed)
            }),
            hears: Box::new(move |piece| listener.hear(piece)),
        });
        let running = running.map_err(|error| dump_refused(error.into()))?;
        Ok((Dump::of(product.dumper(), running, complaints, abandoned), began))
    }

    /// Why the server forbids a lock; none where it was granted.
    fn granted(&self, asked: Result<(), session::Error>) -> Result<Option<String>, Error> {
        match asked {
            Ok(()) => Ok(None),
            Err(error) if error.is_forbidden() => {
                tracing::warn!("nothing will be compared: commits cannot be held back: {error}");
                Ok(Some(format!(
                    "the server forbids the lock that holds commits back, so that dump and \
                     fingerprint are not of one moment: {error}"
                )))
            }
            Err(error) => Err(not_granted(self.login, error)),
        }
    }
}

/// A session that waits for locks as long as `settings` say.
pub(super) fn open(
    product: Product,
    login: &Login,
    settings: &ServerSettings,
    context: &Context,
) -> Result<Session, session::Error> {
    let (limit, interrupted) = (settings.statement_deadline, context.interrupted.clone());
    let mut session = Session::open(product, login, limit, interrupted)?;
    session.set_lock_patience(settings.lock_timeout)?;
    Ok(session)
}

/// Why a lock was not had, in the source's terms.
pub(super) fn not_granted(login: &Login, error: session::Error) -> Error {
    let is_late = matches!(&error,
        session::Error::Refused { number, .. } if *number == number::LOCK_WAIT_TIMEOUT);
    if !is_late {
        return engine_error(login, error);
    }
    Error::Engine {
        object: session::name_of(login),
        what: "the lock that holds commits back was not granted in time; nothing is captured, and \
               nobody waits for us"
            .to_owned(),
        source: Some(Box::new(error)),
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
