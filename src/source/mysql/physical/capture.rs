//! Capture: a live server becomes its files, and the binary log from their end to one moment.
//!
//! In: settings, a sink. Out: a [`Capture`]. The files first; then the fingerprint, whose definitions and
//! accounts are read before and after, and which is taken anew, as of a later moment, where they changed
//! in between; then the log up to that moment.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::super::super::streamed::{none_left_out, put};
use super::super::super::{
    Answered, Capture, Context, Error, Fingerprint, Gap, GapKind, Part, Sink, Skipped,
};
use super::super::capture::{ATTEMPTS, looked, restless, unsteady};
use super::super::client::Client;
use super::super::engine::Engines;
use super::super::live::{Live, engine_error};
use super::super::moment::SAVEPOINT;
use super::super::seen::Seen;
use super::super::server::{Moment, Server};
use super::super::session::{self, Session};
use super::super::tables::{Hold, Table};
use super::super::{Product, asking, fingerprint};
use super::beside::{Beside, listed};
use super::binlog::{self, Position};
use super::copy::{self, Copied, Outcome};
use super::still::{self, Still};
use super::{BINLOG, Copy};
use crate::ground::ids::Name;
use crate::ground::process;
use crate::policy::sources::{Equality, ServerSettings};

/// Variables without which the files cannot be opened, beside those that every scratch server takes over.
const OF_FILES: [&str; 2] = ["innodb_data_file_path", "innodb_undo_tablespaces"];

/// Captures the server that `settings` name for the source `name`.
pub(in super::super) fn capture(
    name: &Name,
    settings: &ServerSettings,
    engines: &Engines,
    context: &Context,
    out: &dyn Sink,
) -> Result<Capture, Error> {
    let started = context.clock.now();
    let required = Equality::Required;
    let mut live =
        Live::open(Product::Mariadb, settings, &required, engines, &context.interrupted)?;
    let beside = Beside::of(&mut live)?;
    let client = Client::new(Product::Mariadb, &live.login, &context.staging);
    let client = client.map_err(|source| Error::Io {
        action: "write the option file in",
        object: context.staging.display().to_string(),
        source,
    })?;
    let before = tablespaces(&mut live)?;
    out.in_any_order();
    let copied = copied(&beside, &client, settings, context, out)?;
    let after = tablespaces(&mut live)?;
    all_there(&copied, &before, &after)?;
    let taken = taken(&mut live, settings, context)?;
    let pieces = log(&mut live, &beside, &copied.position, &taken.position, context, out)?;
    finish(name, live, copied, taken, pieces, started, context)
}

/// Copies until no file was renamed or removed meanwhile.
fn copied(
    beside: &Beside,
    client: &Client,
    settings: &ServerSettings,
    context: &Context,
    out: &dyn Sink,
) -> Result<Copied, Error> {
    let mut moved = Vec::new();
    for _ in 0..ATTEMPTS {
        match copy::copy(beside, client, settings, context, out)? {
            Outcome::Copied(copied) => return Ok(copied),
            Outcome::Moved(path) => moved.push(path),
        }
        tracing::warn!(
            "files were renamed or removed while they were copied: {}",
            moved.join(", ")
        );
        out.settle()?;
        out.start_over()?;
    }
    Err(restless("the copy of the server's files", "copied", &moved))
}

/// InnoDB's files by number and name.
fn tablespaces(live: &mut Live) -> Result<BTreeMap<String, String>, Error> {
    let sql = "SELECT SPACE, FILENAME FROM information_schema.INNODB_SYS_TABLESPACES
               WHERE NAME LIKE '%/%'";
    let rows = live.session.rows(sql).map_err(|error| engine_error(&live.login, error))?;
    let pairs = rows.into_iter().filter_map(|row| match <[_; 2]>::try_from(row) {
        Ok([Some(space), Some(file)]) => Some((space, file)),
        _ => None,
    });
    Ok(pairs.collect())
}

/// Fails where the copy lacks a file that was there before and after: not every release of the program
/// noticed what it missed (MDEV-32939).
fn all_there(
    copied: &Copied,
    before: &BTreeMap<String, String>,
    after: &BTreeMap<String, String>,
) -> Result<(), Error> {
    let stayed = before.iter().filter(|(space, file)| after.get(*space) == Some(*file));
    for (_, file) in stayed {
        let path = file.trim_start_matches("./");
        // What it copied a second time it calls `.new`; to prepare the copy puts it in its place.
        let anew = path.strip_suffix(".ibd").map(|stem| format!("{stem}.new"));
        let is_there = copied.files.contains_key(path)
            || anew.is_some_and(|anew| copied.files.contains_key(&anew));
        if !is_there {
            let what = format!("it lacks {path}");
            let source = Some(Box::new(super::CopyError::Lacks { what: path.to_owned() }) as _);
            return Err(Error::Engine {
                object: "the copy of the server's files".into(),
                what,
                source,
            });
        }
    }
    Ok(())
}

/// What the server held in one moment.
struct Taken {
    time: Timestamp,
    position: Position,
    moment: Moment,
    parts: BTreeMap<String, Part>,
    seen: Seen,
    unsteady: Vec<String>,
    gaps: Vec<Gap>,
    answers: Vec<Answered>,
}

/// Takes the fingerprint until no definition changed meanwhile.
fn taken(live: &mut Live, settings: &ServerSettings, context: &Context) -> Result<Taken, Error> {
    let mut changed = Vec::new();
    for repeats in 0..ATTEMPTS {
        match attempt(live, settings, context)? {
            Ok(taken) => {
                let moment = Moment { repeats, ..taken.moment };
                return Ok(Taken { moment, ..taken });
            }
            Err(what) => changed = what,
        }
        tracing::warn!("definitions changed while rows were read: {}", changed.join(", "));
    }
    Err(restless(&session::name_of(&live.login), "read", &changed))
}

fn attempt(
    live: &mut Live,
    settings: &ServerSettings,
    context: &Context,
) -> Result<Result<Taken, Vec<String>>, Error> {
    let login = live.login.clone();
    let failed = |error| engine_error(&login, error);
    live.look_again().map_err(failed)?;
    let before = match looked(Seen::of(live), &login)? {
        Ok(seen) => seen,
        Err(changed) => return Ok(Err(changed)),
    };
    let mut tables = live.tables().map_err(failed)?;
    tables.iter_mut().for_each(Table::keep_floats);
    let databases = live.names();
    let Still { mut session, time, position, moment } = still::hold(live, settings, context)?;
    let read = rows(&mut session, &tables, context);
    let answers = match &read {
        Ok(_) => asking::answers(&mut session, &databases, context).map_err(failed)?,
        Err(_) => Vec::new(),
    };
    drop(session);
    let seen = match looked(Seen::of(live), &login)? {
        Ok(seen) => seen,
        Err(changed) => return Ok(Err(changed)),
    };
    let is_of_a_change = |error: &session::Error| error.is_of_a_change();
    if live.look_again().map_err(failed)? {
        return Ok(Err(vec!["the list of databases".to_owned()]));
    }
    if !before.is_as(&seen) || read.as_ref().is_err_and(is_of_a_change) {
        return Ok(Err(before.changed(&seen)));
    }
    let mut parts = read.map_err(failed)?;
    let unsteady = unsteady(live, &moment.server_time).map_err(failed)?;
    parts.retain(|name, _| !unsteady.contains(name));
    let gaps = live.gaps(&tables);
    Ok(Ok(Taken { time, position, moment, parts, seen, unsteady, gaps, answers }))
}

/// Reads all rows that the moment holds still.
fn rows(
    session: &mut Session,
    tables: &[Table],
    context: &Context,
) -> Result<BTreeMap<String, Part>, session::Error> {
    let mut parts = BTreeMap::new();
    for table in tables.iter().filter(|table| table.hold != Hold::Never) {
        context.progress.phase(&format!("read {}", table.part_name()), None);
        let part = fingerprint::rows(session, table)?;
        session.run(&format!("ROLLBACK TO SAVEPOINT {SAVEPOINT}"))?;
        let place = fingerprint::once(&mut parts, table.part_name());
        place.map_err(|what| session.unexpected(what))?.insert(part);
    }
    Ok(parts)
}

/// The pieces of the log that are in the repository.
struct Pieces {
    names: Vec<String>,
    bytes: u64,
}

fn log(
    live: &mut Live,
    beside: &Beside,
    from: &Position,
    to: &Position,
    context: &Context,
    out: &dyn Sink,
) -> Result<Pieces, Error> {
    context.progress.phase("copy the binary log", None);
    let listed = listed(&mut live.session).map_err(|error| engine_error(&live.login, error))?;
    let pieces =
        binlog::pieces(&beside.logs, &listed, from, to).map_err(|error| Error::Engine {
            object: "the binary log".to_owned(),
            what: format!(
                "it does not lead from the copy's end ({from}) to the fingerprint's moment ({to})"
            ),
            source: Some(Box::new(error)),
        })?;
    let bytes = pieces.iter().map(binlog::Piece::bytes).sum();
    let names: Vec<String> = pieces.iter().map(|piece| piece.name.clone()).collect();
    for piece in pieces {
        put(out, &format!("{BINLOG}/{}", piece.name), piece, context)?;
    }
    none_left_out(out.settle()?)?;
    Ok(Pieces { names, bytes })
}

fn finish(
    name: &Name,
    mut live: Live,
    copied: Copied,
    taken: Taken,
    pieces: Pieces,
    started: Timestamp,
    context: &Context,
) -> Result<Capture, Error> {
    let Taken { time, moment, parts, seen, unsteady, mut gaps, answers, .. } = taken;
    for name in OF_FILES {
        let value = live.session.value(&format!("SELECT @@GLOBAL.{name}"));
        let value = value.map_err(|error| engine_error(&live.login, error))?;
        live.variables.push((name.to_owned(), value));
    }
    // A copy rounds nothing.
    gaps.retain(|gap| gap.kind != GapKind::RoundedFloats);
    gaps.extend(seen.accounts.gaps);
    gaps.push(Gap { kind: GapKind::Counters, database: None, names: Vec::new() });
    if !unsteady.is_empty() {
        gaps.push(Gap { kind: GapKind::UnheldRows, database: None, names: unsteady.clone() });
    }
    let held_ms = moment.held_ms.max(milliseconds(copied.held));
    let bytes: u64 = copied.files.values().sum();
    let copy = Copy { end: copied.position.to_string(), binlog: pieces.names, bytes };
    Ok(Capture {
        source: name.clone(),
        kind: Product::Mariadb.kind(),
        engine: format!("{} {}", Product::Mariadb.name(), live.version),
        host: process::host_name(),
        started,
        consistent_time: time,
        finished: context.clock.now(),
        entries: copied.files.len() as u64 + copy.binlog.len() as u64,
        bytes: bytes + pieces.bytes,
        skipped: Vec::<Skipped>::new(),
        fingerprint: Fingerprint {
            parts,
            schema: seen.objects.into_iter().chain(seen.accounts.objects).collect(),
            ..Fingerprint::empty(Product::Mariadb.kind())
        },
        answers,
        served: None,
        cluster: None,
        redis: None,
        server: Some(Server {
            product: Product::Mariadb,
            version: live.version,
            series: live.series,
            databases: live.databases,
            has_views: false,
            variables: live.variables,
            moment: Moment { held_ms, ..moment },
            unsteady,
            gaps,
            copy: Some(copy),
        }),
    })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
