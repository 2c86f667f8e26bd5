//! Capture: a live server becomes one dump a database, and the SQL of what they share.
//!
//! In: settings, a sink. Out: a [`Capture`]. Each database is dumped and fingerprinted in a snapshot
//! of its own: databases agree with each other only as far as their moments do. What they share is
//! read before and after all of them.

use std::collections::BTreeMap;

use super::super::streamed::{self, Text, put};
use super::super::{Capture, Context, Error, Fingerprint, Kind, Sink};
use super::client::Client;
use super::cluster::Cluster;
use super::database::Run;
use super::engine::Engines;
use super::globals::{self, Globals};
use super::live;
use super::{GLOBALS, fingerprint, shared};
use crate::ground::ids::Name;
use crate::ground::process;
use crate::policy::candidates::Servers;
use crate::policy::sources::ServerSettings;

/// Captures the first of `servers` that qualifies for the source `name`.
pub(super) fn capture(
    name: &Name,
    servers: &Servers<ServerSettings>,
    engines: &Engines,
    context: &Context,
    out: &dyn Sink,
) -> Result<Capture, Error> {
    let started = context.clock.now();
    let (settings, live, mut chosen) = live::choose(servers, engines, context)?;
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
    let run = Run { settings, live: &live, client: &client, context, out };
    let mut found = Fingerprint::empty(Kind::Postgres);
    let (mut moments, mut databases, mut used) = (Vec::new(), Vec::new(), Vec::new());
    let mut answers = Vec::new();
    let mut bytes = 0;
    if let Some(chosen) = &mut chosen {
        // What it has by now it still has when later databases are pinned.
        chosen.confirm(context, || live::look(settings, context))?;
    }
    for database in &live.databases {
        context.check_interrupted()?;
        context.progress.phase(&format!("dump {database}"), None);
        let dumped = run.database(database)?;
        add(&mut found.parts, dumped.fingerprint.parts)?;
        add(&mut found.schema, dumped.fingerprint.schema)?;
        moments.push(dumped.time);
        bytes += dumped.bytes;
        databases.push(dumped.described);
        answers.extend(dumped.answers);
        used.push((database.clone(), dumped.roles));
    }
    let shared = shared::settled(&globals, before, &used, settings, &live, context)?;
    found.schema.extend(shared.schema);
    bytes += shared.text.len() as u64;
    put(out, GLOBALS, Text(shared.text), context)?;
    streamed::none_left_out(out.settle()?)?;
    let consistent_time = moments.into_iter().min().unwrap_or(started);
    Ok(Capture {
        source: name.clone(),
        kind: Kind::Postgres,
        engine: format!("PostgreSQL {}", live.cluster.version),
        host: process::host_name(),
        started,
        served: chosen.map(|chosen| chosen.served(consistent_time)),
        consistent_time,
        finished: context.clock.now(),
        entries: databases.len() as u64 + 1,
        bytes,
        skipped: Vec::new(),
        fingerprint: found,
        answers,
        cluster: Some(Cluster { databases, ..live.cluster }),
        redis: None,
        server: None,
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
