//! A moment that is held still: a session that sees the rows as of one position of the binary log.
//!
//! Commits wait only while the session takes its snapshot. What the log holds up to there is what the
//! snapshot sees.

use std::time::Instant;

use jiff::Timestamp;

use super::super::super::{Context, Error};
use super::super::live::{Live, engine_error};
use super::super::lock::Lock;
use super::super::moment::{SAVEPOINT, not_granted, open};
use super::super::server::Moment;
use super::super::session::{self, Session};
use super::beside::position;
use super::binlog::Position;
use crate::policy::sources::ServerSettings;

/// A moment that its session sees until it is dropped.
pub(super) struct Still {
    pub session: Session,
    /// By our clock; every later change was still to come.
    pub time: Timestamp,
    pub position: Position,
    pub moment: Moment,
}

/// Holds a moment.
pub(super) fn hold(
    live: &Live,
    settings: &ServerSettings,
    context: &Context,
) -> Result<Still, Error> {
    let login = &live.login;
    let failed = |error| engine_error(login, error);
    let refused = |error: session::Error| match error.is_forbidden() {
        true => failed(error),
        false => not_granted(login, error),
    };
    let open = || open(live.engine.product, login, settings, context).map_err(failed);
    let mut session = open()?;
    session.run("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ").map_err(failed)?;
    let mut lock = Lock::on(open()?);
    lock.prepare().map_err(refused)?;
    let begun = Instant::now();
    lock.take().map_err(refused)?;
    let time = context.clock.now();
    session.run("START TRANSACTION WITH CONSISTENT SNAPSHOT").map_err(failed)?;
    session.run(&format!("SAVEPOINT {SAVEPOINT}")).map_err(failed)?;
    let stands = position(&mut session).map_err(failed)?;
    lock.give_back().map_err(failed)?;
    let held_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
    let server_time = session.value("SELECT UTC_TIMESTAMP(6)").map_err(failed)?;
    let binlog = Some(stands.to_string());
    let moment = Moment { server_time, binlog, held_ms, ..Moment::default() };
    Ok(Still { session, time, position: stands, moment })
}
