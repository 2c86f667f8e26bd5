//! Capture: a live server becomes one dump a database, its views, and the SQL of its accounts.
//!
//! In: settings, a sink. Out: a [`Capture`]. All databases are dumped and fingerprinted as of one
//! moment. Definitions and accounts are outside of it: they are read before and after, and where they
//! changed in between everything is taken back and done again.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::super::login::Login;
use super::super::served::Chosen;
use super::super::streamed::{self, Text, put};
use super::super::{Answered, Capture, Context, Error, Fingerprint, Gap, GapKind, Part, Sink};
use super::client::Client;
use super::dump::Dump;
use super::engine::Engines;
use super::live::{self, Live, engine_error};
use super::moment::{Held, Holder, SAVEPOINT, dump_refused};
use super::proof;
use super::seen::Seen;
use super::server::{Moment, Server};
use super::session::{self, Session};
use super::tables::{Hold, Table};
use super::text::Contents;
use super::{DumpError, GRANTS, Product, VIEWS, asking, file_of, fingerprint};
use crate::ground::ids::Name;
use crate::ground::process;
use crate::policy::candidates::Servers;
use crate::policy::sources::{Equality, ServerSettings};

/// How often everything is done again because definitions changed.
pub(super) const ATTEMPTS: u32 = 5;

/// Captures the first of `servers` that qualifies for the source `name`.
pub(super) fn capture(
    name: &Name,
    product: Product,
    servers: &Servers<ServerSettings>,
    equality: &Equality,
    engines: &Engines,
    context: &Context,
    out: &dyn Sink,
) -> Result<Capture, Error> {
    let started = context.clock.now();
    let (settings, mut live, mut chosen) =
        live::choose(product, servers, equality, engines, context)?;
    let client =
        Client::new(product, &live.login, &context.staging).map_err(|source| Error::Io {
            action: "write the option file in",
            object: context.staging.display().to_string(),
            source,
        })?;
    let taking = Taking { settings, client: &client, context, out };
    let mut changed = Vec::new();
    for repeats in 0..ATTEMPTS {
        match taking.attempt(&mut live, chosen.as_mut())? {
            Attempt::Taken(taken) => {
                let served = chosen.map(|chosen| chosen.served(taken.time));
                let captured = finish(name, live, taken, repeats, started, context)?;
                return Ok(Capture { served, ..captured });
            }
            Attempt::Changed(what) => changed = what,
        }
        tracing::warn!("definitions changed while they were dumped: {}", changed.join(", "));
        out.start_over()?;
    }
    Err(restless(&session::name_of(&live.login), "dumped", &changed))
}

/// What is said where `object` changed whenever it was `read`.
pub(super) fn restless(object: &str, read: &str, changed: &[String]) -> Error {
    let what = format!(
        "definitions changed each of the {ATTEMPTS} times that it was {read}; run again when nobody \
         changes them: {}",
        changed.join(", ")
    );
    Error::Engine { object: object.to_owned(), what, source: None }
}

/// A look at the server; what changed while it was taken, where something did.
pub(super) fn looked(
    seen: Result<Seen, session::Error>,
    login: &Login,
) -> Result<Result<Seen, Vec<String>>, Error> {
    match seen {
        Err(error) if error.is_of_a_change() => Ok(Err(vec![error.to_string()])),
        seen => seen.map(Ok).map_err(|error| engine_error(login, error)),
    }
}

/// What all attempts have in common.
struct Taking<'a> {
    settings: &'a ServerSettings,
    client: &'a Client,
    context: &'a Context,
    out: &'a dyn Sink,
}

enum Attempt {
    Taken(Box<Taken>),
    /// Definitions are not what they were before; which ones.
    Changed(Vec<String>),
}

/// A server that is in the repository.
struct Taken {
    time: Timestamp,
    moment: Moment,
    parts: BTreeMap<String, Part>,
    seen: Seen,
    unsteady: Vec<String>,
    gaps: Vec<Gap>,
    answers: Vec<Answered>,
    has_views: bool,
    bytes: u64,
}

impl Taking<'_> {
    fn attempt(&self, live: &mut Live, chosen: Option<&mut Chosen>) -> Result<Attempt, Error> {
        let login = live.login.clone();
        let failed = |error| engine_error(&login, error);
        let before = match looked(Seen::of(live), &login)? {
            Ok(seen) => seen,
            Err(changed) => return Ok(Attempt::Changed(changed)),
        };
        let tables = live.tables().map_err(failed)?;
        let databases = live.names();
        let holder = Holder {
            login: &live.login,
            client: self.client,
            engine: &live.engine,
            settings: self.settings,
            databases: &databases,
            tables: &tables,
            has_binlog: live.has_binlog,
            context: self.context,
        };
        let mut held = holder.hold(chosen)?;
        let dumped = self.dump(&mut held, &databases, &tables, live);
        // The moment ends with its session, and is of no use where the dump failed.
        let answers = match &dumped {
            Ok(_) => asking::answers(&mut held.session, &databases, self.context).map_err(failed),
            Err(_) => Ok(Vec::new()),
        };
        if let Err(error @ (Error::Sink { .. } | Error::Interrupted)) = dumped {
            return Err(error);
        }
        let after = match looked(Seen::of(live), &login)? {
            Ok(seen) => seen,
            Err(changed) => return Ok(Attempt::Changed(changed)),
        };
        // Also where the dump failed: that is what it stumbled over.
        if !before.is_as(&after) || dumped.as_ref().is_err_and(is_of_a_change) {
            return Ok(Attempt::Changed(before.changed(&after)));
        }
        let Dumped { mut parts, contents, has_views } = dumped?;
        let answers = answers?;
        let unsteady = match &held.moment.unheld {
            None => unsteady(live, &held.moment.server_time).map_err(failed)?,
            Some(_) => tables.iter().map(Table::part_name).collect(),
        };
        parts.retain(|name, _| !unsteady.contains(name));
        let counters = proof::whole(&held.moment, &tables, &parts, &contents)?;
        if held.moment.unheld.is_none() {
            parts.extend(counters);
        }
        let gaps = live.gaps(&tables);
        let accounts = after.accounts.text.clone().into_bytes();
        let bytes = contents.bytes + accounts.len() as u64;
        put(self.out, GRANTS, Text(accounts), self.context)?;
        streamed::none_left_out(self.out.settle()?)?;
        let Held { time, moment, .. } = held;
        let seen = after;
        let taken = Taken { time, moment, parts, seen, unsteady, gaps, answers, has_views, bytes };
        Ok(Attempt::Taken(Box::new(taken)))
    }

    /// Lets the dump stream, database by database, while their rows are read here.
    fn dump(
        &self,
        held: &mut Held,
        databases: &[String],
        tables: &[Table],
        live: &Live,
    ) -> Result<Dumped, Error> {
        let Held { session, dump, .. } = held;
        let streamed = self.stream(session, dump, databases, tables, live);
        if streamed.is_err() {
            dump.abandon();
        }
        let (parts, has_views) = streamed?;
        let contents = dump.finish().map_err(dump_refused)?;
        Ok(Dumped { parts, contents, has_views })
    }

    fn stream(
        &self,
        session: &mut Session,
        dump: &Dump,
        databases: &[String],
        tables: &[Table],
        live: &Live,
    ) -> Result<(BTreeMap<String, Part>, bool), Error> {
        let mut parts = BTreeMap::new();
        dump.begin().map_err(dump_refused)?;
        for database in databases {
            self.context.check_interrupted()?;
            self.context.progress.phase(&format!("dump {database}"), None);
            let content = dump.database(database).map_err(dump_refused)?;
            put(self.out, &file_of(database), content, self.context)?;
            let of_it = tables.iter().filter(|table| table.database == *database);
            let read = of_it.filter(|table| table.hold != Hold::Never).try_for_each(|table| {
                let part = fingerprint::rows(session, table)?;
                // So that nobody who alters it waits for us; the moment stays. Where there is a
                // binary log the server keeps the lock all the same, as it does for the dump.
                session.run(&format!("ROLLBACK TO SAVEPOINT {SAVEPOINT}"))?;
                let place = fingerprint::once(&mut parts, table.part_name());
                place.map_err(|what| session.unexpected(what))?.insert(part);
                Ok(())
            });
            if read.is_err() {
                dump.abandon();
            }
            let skipped = self.out.settle()?;
            read.map_err(|error| engine_error(&live.login, error))?;
            streamed::none_left_out(skipped)?;
        }
        let Some(content) = dump.views() else { return Ok((parts, false)) };
        put(self.out, VIEWS, content, self.context)?;
        streamed::none_left_out(self.out.settle()?)?;
        Ok((parts, true))
    }
}

/// Whether somebody changed or removed a table while it was read.
fn is_of_a_change(error: &Error) -> bool {
    let Error::Engine { source: Some(source), .. } = error else { return false };
    let of_session = source.downcast_ref().is_some_and(session::Error::is_of_a_change);
    let of_dump = source.downcast_ref().is_some_and(DumpError::is_of_a_change);
    of_session || of_dump
}

struct Dumped {
    parts: BTreeMap<String, Part>,
    contents: Contents,
    has_views: bool,
}

/// Parts whose tables were written since shortly before the moment, and are not held by it.
pub(super) fn unsteady(live: &mut Live, moment: &str) -> Result<Vec<String>, session::Error> {
    // The engines count in seconds, and the files' clock may lag behind the server's.
    let sql = format!("SELECT '{moment}' - INTERVAL 2 SECOND");
    let since = live.session.value(&sql)?;
    let tables = live.tables()?;
    let written = tables.iter().filter(|table| {
        let is_steady = table.written.as_ref().is_some_and(|written| *written < since);
        table.hold == Hold::Written && !is_steady
    });
    Ok(written.map(Table::part_name).collect())
}

fn finish(
    name: &Name,
    live: Live,
    taken: Box<Taken>,
    repeats: u32,
    started: Timestamp,
    context: &Context,
) -> Result<Capture, Error> {
    let Taken { time, moment, parts, seen, unsteady, mut gaps, answers, has_views, bytes } = *taken;
    let product = live.engine.product;
    gaps.extend(seen.accounts.gaps);
    if !unsteady.is_empty() {
        gaps.push(Gap { kind: GapKind::UnheldRows, database: None, names: unsteady.clone() });
    }
    Ok(Capture {
        source: name.clone(),
        kind: product.kind(),
        engine: format!("{} {}", product.name(), live.version),
        host: process::host_name(),
        served: None,
        started,
        consistent_time: time,
        finished: context.clock.now(),
        // The accounts are one, too.
        entries: live.databases.len() as u64 + 1 + u64::from(has_views),
        bytes,
        skipped: Vec::new(),
        fingerprint: Fingerprint {
            parts,
            schema: seen.objects.into_iter().chain(seen.accounts.objects).collect(),
            ..Fingerprint::empty(product.kind())
        },
        answers,
        cluster: None,
        redis: None,
        server: Some(Server {
            product,
            version: live.version,
            series: live.series,
            databases: live.databases,
            has_views,
            variables: live.variables,
            moment: Moment { repeats, ..moment },
            unsteady,
            gaps,
            copy: None,
        }),
    })
}
