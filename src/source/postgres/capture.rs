//! Capture: a live server becomes one dump a database, and the SQL of what they share.
//!
//! In: settings, a sink. Out: a [`Capture`]. Each database is dumped and fingerprinted in one
//! snapshot at the same time: `pg_dump` streams while this thread reads rows. Then the two are held
//! against each other: every table's rows, every sequence, every large object that the server has
//! must be in the dump. Databases agree with each other only as far as their moments do.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::super::{
    Capture, Context, Entry, EntryKind, Error, Fingerprint, Kind, Meta, Part, Sink,
};
use super::archive::Contents;
use super::client::Client;
use super::cluster::Database;
use super::describe;
use super::dump::{self, Dump, Plan};
use super::engine::Engines;
use super::globals::{self, Globals, Text};
use super::live::{Live, engine_error};
use super::pinned::{self, Pinned};
use super::sequences::{self, Sequence, SequenceValue};
use super::session::Session;
use super::{fingerprint, schema};
use crate::ground::digest::Digest;
use crate::ground::ids::Name;
use crate::ground::process;
use crate::policy::sources::PostgresSettings;

/// The entry of roles and their settings.
pub const GLOBALS: &str = "globals.sql";

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
    let before = globals.read().map_err(of_globals)?;
    let mut found = Fingerprint::default();
    let mut moments: Vec<Timestamp> = Vec::new();
    let mut used: Vec<(String, Vec<String>)> = Vec::new();
    let mut bytes = 0;
    for database in live.databases.clone() {
        context.check_interrupted()?;
        context.progress.phase(&format!("dump {database}"), None);
        let dumped = one(&database, settings, &live, &client, context, out)?;
        found.parts.extend(dumped.fingerprint.parts);
        found.schema.extend(dumped.fingerprint.schema);
        moments.push(dumped.time);
        bytes += dumped.bytes;
        live.cluster.databases.push(dumped.described);
        used.push((database, dumped.roles));
    }
    let shared = settled_globals(&globals, before, &used, settings, &live, context)?;
    found.schema.extend(shared.schema);
    bytes += shared.text.len() as u64;
    put(out, GLOBALS, Text(shared.text), context)?;
    all_read(out)?;
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
    let file = file_of(database);
    put(out, &file, dump, context)?;
    let parts = match fingerprint::parts(&mut pinned.session) {
        Ok(parts) => parts,
        // A dump that failed has said why; the session may only have been taken along.
        Err(error) => {
            ending.abandon();
            out.settle()?;
            return Err(match ending.outcome() {
                Err(why @ dump::Error::Failed { .. }) => of_dump(database, why),
                _ => failed(error),
            });
        }
    };
    let mut found = Fingerprint { parts, schema: pinned.schema.clone() };
    out.settle()?;
    let contents = ending.outcome().map_err(|error| of_dump(database, error))?;
    let high = sequences::values(&mut pinned.session, &sequences).map_err(failed)?;
    unchanged(database, &mut pinned)?;
    let standing = whole(database, &pinned, &sequences, (&low, &high), &found, &contents)?;
    found.parts.extend(standing);
    let roles = pinned::roles_used(&mut pinned.session).map_err(failed)?;
    let Pinned { mut session, time, server_time, .. } = pinned;
    let described = describe::database(&mut session, server_time).map_err(failed)?;
    Ok(Dumped { fingerprint: found, time, bytes: contents.bytes, described, roles })
}

/// The server deparses views and functions as they are now, whatever the snapshot: whoever changed
/// one while it was dumped leaves a dump of no single moment.
fn unchanged(database: &str, pinned: &mut Pinned) -> Result<(), Error> {
    let before = &pinned.schema;
    let after = schema::of_database(&mut pinned.session)
        .map_err(|error| engine_error(format!("database {database}"), error))?;
    let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let changed: Vec<&str> = names
        .into_iter()
        .filter(|name| before.get(*name) != after.get(*name))
        .map(String::as_str)
        .take(5)
        .collect();
    if changed.is_empty() {
        return Ok(());
    }
    let what = format!("changed while it was dumped; run again: {}", changed.join(", "));
    Err(Error::Engine { object: format!("database {database}"), what, source: None })
}

/// Holds the dump against the server: fails unless it has all rows of all tables, all sequences
/// and all large objects. Returns where the dump says that the sequences stand.
fn whole(
    database: &str,
    pinned: &Pinned,
    sequences: &[Sequence],
    (low, high): (&BTreeMap<String, SequenceValue>, &BTreeMap<String, SequenceValue>),
    found: &Fingerprint,
    contents: &Contents,
) -> Result<BTreeMap<String, Part>, Error> {
    let wrong = |what: String| Error::Engine {
        object: format!("the dump of database {database}"),
        what,
        source: None,
    };
    for table in &pinned.tables {
        let label = format!("table {}.{}", table.schema, table.name);
        let rows = found.parts.get(&fingerprint::part_name(database, table)).map(|part| part.rows);
        match (contents.tables.get(&table.key), rows) {
            (None, _) => return Err(wrong(format!("it lacks the rows of {label}"))),
            (Some(dumped), Some(rows)) if *dumped == rows => {}
            (Some(dumped), rows) => {
                let rows = rows.unwrap_or_default();
                return Err(wrong(format!("it has {dumped} rows of {label}, the server {rows}")));
            }
        }
    }
    if contents.tables.len() != pinned.tables.len() {
        return Err(wrong("it has rows of tables that the snapshot does not know".to_owned()));
    }
    let mut standing = BTreeMap::new();
    for sequence in sequences {
        let label = format!("sequence {}.{}", sequence.schema, sequence.name);
        let Some(value) = contents.sequences.get(&sequence.key) else {
            return Err(wrong(format!("it lacks {label}")));
        };
        let (low, high) = (low.get(&sequence.key), high.get(&sequence.key));
        if low == high && low != Some(value) {
            return Err(wrong(format!("it has another value of {label} than the server")));
        }
        standing.insert(sequence.part_name(database), value.part());
    }
    if contents.sequences.len() != sequences.len() {
        return Err(wrong("it has sequences that the snapshot does not know".to_owned()));
    }
    let objects = found.parts.get(&fingerprint::large_objects_name(database));
    let objects = objects.map_or(0, |part| part.rows);
    if contents.large_objects != objects {
        let dumped = contents.large_objects;
        return Err(wrong(format!("it has {dumped} large objects, the server {objects}")));
    }
    Ok(standing)
}

/// The roles, as SQL and as digests of the same moment.
struct Shared {
    text: Vec<u8>,
    schema: BTreeMap<String, Digest>,
}

/// Reads the globals until they are what they were before; then every role that a dump refers to
/// must be among them.
fn settled_globals(
    globals: &Globals,
    before: Vec<u8>,
    used: &[(String, Vec<String>)],
    settings: &PostgresSettings,
    live: &Live,
    context: &Context,
) -> Result<Shared, Error> {
    let failed = |error| engine_error(live.login.server(), error);
    let limit = settings.statement_deadline;
    let session = Session::open(&live.login, &globals.database, limit, context.interrupted.clone());
    let mut session = session.map_err(failed)?;
    let mut text = before;
    let mut schema = schema::of_cluster(&mut session).map_err(failed)?;
    let mut attempts = 0..globals::ATTEMPTS;
    loop {
        context.check_interrupted()?;
        text = globals.read_until_settled(text).map_err(of_globals)?;
        let now = schema::of_cluster(&mut session).map_err(failed)?;
        if now == schema {
            break;
        }
        schema = now;
        attempts.next().ok_or_else(|| of_globals(globals::Error::Restless))?;
    }
    for (database, roles) in used {
        let is_gone = |role: &&String| !schema.contains_key(&format!("role {role}"));
        if let Some(role) = roles.iter().find(is_gone) {
            return Err(Error::Engine {
                object: format!("role {role}"),
                what: format!(
                    "was dropped while database {database} was dumped, which refers to it; run again"
                ),
                source: None,
            });
        }
    }
    Ok(Shared { text, schema })
}

fn put(
    out: &dyn Sink,
    path: &str,
    content: impl super::super::Open + 'static,
    context: &Context,
) -> Result<(), Error> {
    let now = context.clock.now();
    out.put(Entry {
        path: path.as_bytes().to_vec(),
        meta: Meta {
            // The stream's length is known at its end.
            kind: EntryKind::File { size: 0 },
            mode: 0o600,
            mtime: now,
            ctime: now,
            uid: 0,
            gid: 0,
            user: String::new(),
            group: String::new(),
            inode: 0,
            device_id: 0,
            links: 1,
            xattrs: Vec::new(),
            reusable: false,
        },
        content: Some(Box::new(content)),
    })
}

/// Waits for the sink: nothing that is ours may be left out.
fn all_read(out: &dyn Sink) -> Result<(), Error> {
    match out.settle()?.into_iter().next() {
        None => Ok(()),
        Some(skipped) => {
            Err(Error::Engine { object: skipped.path, what: skipped.reason, source: None })
        }
    }
}

fn of_dump(database: &str, error: dump::Error) -> Error {
    match error {
        dump::Error::Interrupted => Error::Interrupted,
        error => Error::Engine {
            object: format!("database {database}"),
            what: "its dump failed".to_owned(),
            source: Some(Box::new(error)),
        },
    }
}

fn of_globals(error: globals::Error) -> Error {
    match error {
        globals::Error::Interrupted => Error::Interrupted,
        error => Error::Engine {
            object: GLOBALS.to_owned(),
            what: "the roles could not be read".to_owned(),
            source: Some(Box::new(error)),
        },
    }
}

/// Where the dump of `database` stands below the source's folder (design §6).
pub fn file_of(database: &str) -> String {
    let mut name = String::new();
    for c in database.chars() {
        match c {
            '%' | '/' => name.push_str(&format!("%{:02X}", u32::from(c))),
            c if c.is_control() && c.is_ascii() => {
                name.push_str(&format!("%{:02X}", u32::from(c)));
            }
            c => name.push(c),
        }
    }
    format!("databases/{name}.dump")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_databases_make_one_file_each_and_stay_in_their_folder() {
        assert_eq!(file_of("shop"), "databases/shop.dump");
        assert_eq!(file_of("../a%b\n"), "databases/..%2Fa%25b%0A.dump");
        assert_eq!(file_of("-ünï ''"), "databases/-ünï ''.dump");
    }
}
