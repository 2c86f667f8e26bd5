//! Capture: a live server becomes one dump a database, and the SQL of what they share.
//!
//! In: settings, a sink. Out: a [`Capture`]. Each database is dumped and fingerprinted in one
//! snapshot at the same time: `pg_dump` streams while this thread reads rows. Then the two are held
//! against each other: every table's rows, every sequence, every large object that the server has
//! must be in the dump. Databases agree with each other only as far as their moments do.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::super::{Capture, Context, Error, Fingerprint, Kind, Sink};
use super::client::Client;
use super::cluster::Database;
use super::dump::{self, Dump, Plan};
use super::engine::Engines;
use super::entries::{self, GLOBALS, Text, put};
use super::globals::{self, Globals};
use super::live::{Live, engine_error};
use super::pinned::{self, Pinned};
use super::session::Session;
use super::{describe, fingerprint, proof, sequences, shared};
use crate::ground::ids::Name;
use crate::ground::process;
use crate::policy::sources::PostgresSettings;

/// Captures the server that `settings` name for the source `name`.
pub(super) fn capture(
    name: &Name,
    settings: &PostgresSettings,
    engines: &Engines,
    context: &Context,
    out: &dyn Sink,
) -> Result<Capture, Error> {
    let started = context.clock.now();
    let mut live = Live::open(settings, engines, &context.interrupted)?;
    let client = Client::new(&live.login, &context.staging).map_err(|source| Error::Io {
        action: "write the password file in",
        object: context.staging.display().to_string(),
        source,
    })?;
    let Some(first) = live.databases.first().cloned() else {
        let what = "there is no database that allows connections".to_owned();
        return Err(Error::Engine { object: live.login.server(), what, source: None });
    };
    let globals = Globals {
        client: client.clone(),
        program: live.engine.program("pg_dumpall"),
        database: first,
        with_passwords: live.cluster.server.has_role_passwords,
        limit: settings.statement_deadline,
        interrupted: context.interrupted.clone(),
    };
    let before = globals.read().map_err(globals::refused)?;
    let mut found = Fingerprint::default();
    let mut moments: Vec<Timestamp> = Vec::new();
    let mut used: Vec<(String, Vec<String>)> = Vec::new();
    let mut bytes = 0;
    for database in live.databases.clone() {
        context.check_interrupted()?;
        context.progress.phase(&format!("dump {database}"), None);
        let dumped = one(&database, settings, &live, &client, context, out)?;
        add(&mut found.parts, dumped.fingerprint.parts)?;
        add(&mut found.schema, dumped.fingerprint.schema)?;
        moments.push(dumped.time);
        bytes += dumped.bytes;
        live.cluster.databases.push(dumped.described);
        used.push((database, dumped.roles));
    }
    let shared = shared::settled(&globals, before, &used, settings, &live, context)?;
    found.schema.extend(shared.schema);
    bytes += shared.text.len() as u64;
    put(out, GLOBALS, Text(shared.text), context)?;
    entries::none_left_out(out.settle()?)?;
    Ok(Capture {
        source: name.clone(),
        kind: Kind::Postgres,
        engine: format!("PostgreSQL {}", live.cluster.version),
        host: process::host_name(),
        started,
        consistent_time: moments.into_iter().min().unwrap_or(started),
        finished: context.clock.now(),
        entries: live.cluster.databases.len() as u64 + 1,
        bytes,
        skipped: Vec::new(),
        fingerprint: found,
        cluster: Some(live.cluster),
    })
}

/// Adds what one more database has; a name that is there already would hide the other's.
fn add<T>(all: &mut BTreeMap<String, T>, more: BTreeMap<String, T>) -> Result<(), Error> {
    for (name, one) in more {
        let what = |what: &str| Error::Engine {
            object: name.clone(),
            what: what.to_owned(),
            source: None,
        };
        fingerprint::once(all, name.clone()).map_err(what)?.insert(one);
    }
    Ok(())
}

/// A database that is in the repository.
struct Dumped {
    fingerprint: Fingerprint,
    time: Timestamp,
    bytes: u64,
    described: Database,
    /// The roles that it refers to, as SQL names them.
    roles: Vec<String>,
}

/// Dumps and fingerprints one database.
fn one(
    database: &str,
    settings: &PostgresSettings,
    live: &Live,
    client: &Client,
    context: &Context,
    out: &dyn Sink,
) -> Result<Dumped, Error> {
    let failed = |error| engine_error(format!("database {database}"), error);
    let limit = settings.statement_deadline;
    let session = Session::open(&live.login, database, limit, context.interrupted.clone());
    let session = session.map_err(failed)?;
    let mut pinned = Pinned::new(session, settings.lock_timeout, context).map_err(failed)?;
    let sequences = sequences::stored(&mut pinned.session).map_err(failed)?;
    let low = sequences::values(&mut pinned.session, &sequences).map_err(failed)?;
    let (dump, ending) = Dump::new(Plan {
        client: client.clone(),
        program: live.engine.program("pg_dump"),
        database: database.to_owned(),
        snapshot: pinned.snapshot.clone(),
        lock_timeout: settings.lock_timeout,
        silence: limit,
        interrupted: context.interrupted.clone(),
    });
    put(out, &entries::file_of(database), dump, context)?;
    let parts = match fingerprint::parts(&mut pinned.session) {
        Ok(parts) => parts,
        // A dump that failed has said why; the session may only have been taken along.
        Err(error) => {
            ending.abandon();
            out.settle()?;
            return Err(match ending.outcome() {
                Err(why @ dump::Error::Failed { .. }) => dump::refused(database, why),
                _ => failed(error),
            });
        }
    };
    let mut found = Fingerprint { parts, schema: pinned.schema.clone() };
    let skipped = out.settle()?;
    // A dump that failed tells more of it than that it was left out.
    let contents = ending.outcome().map_err(|error| dump::refused(database, error))?;
    entries::none_left_out(skipped)?;
    let high = sequences::values(&mut pinned.session, &sequences).map_err(failed)?;
    proof::unchanged(database, &mut pinned)?;
    let standing = proof::whole(database, &pinned, &sequences, (&low, &high), &found, &contents)?;
    found.parts.extend(standing);
    let roles = pinned::roles_used(&mut pinned.session).map_err(failed)?;
    let Pinned { mut session, time, server_time, .. } = pinned;
    let described = describe::database(&mut session, server_time).map_err(failed)?;
    Ok(Dumped { fingerprint: found, time, bytes: contents.bytes, described, roles })
}
