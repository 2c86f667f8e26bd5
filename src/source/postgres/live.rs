//! The live server: who we are there, which databases are meant, what is hidden from us.
//!
//! In: a policy's settings. Out: a [`Live`] server on which nothing that is asked for is hidden,
//! with the programs of its major version.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::super::served::{self, Chosen, Standing};
use super::super::{Context, Error, Gap, GapKind};
use super::cluster::Cluster;
use super::describe;
use super::engine::{Engine, Engines};
use super::left_out;
use super::names::literal;
use super::privileges::{self, Hidden};
use super::session::Session;
use super::standby;
use crate::policy::candidates::Servers;
use crate::policy::sources::ServerSettings;
use crate::source::login::Login;

/// Databases that a server has from the beginning, in the order in which one is tried where the
/// policy names none.
const FIRST: [&str; 2] = ["postgres", "template1"];

/// A server that may be captured.
pub(super) struct Live {
    pub login: Login,
    pub engine: Engine,
    pub cluster: Cluster,
    /// The databases to capture.
    pub databases: Vec<String>,
    /// Bytes of the databases to capture.
    pub bytes: u64,
}

/// A server's refusals in the source's terms.
pub(super) fn engine_error(object: impl Into<String>, error: super::session::Error) -> Error {
    match error {
        super::session::Error::Interrupted => Error::Interrupted,
        error => Error::Engine {
            object: object.into(),
            what: "PostgreSQL did not do what was asked".to_owned(),
            source: Some(Box::new(error)),
        },
    }
}

/// The server to capture, and how it was chosen where the policy names several.
pub(super) fn choose<'a>(
    servers: &'a Servers<ServerSettings>,
    engines: &Engines,
    context: &Context,
) -> Result<(&'a ServerSettings, Live, Option<Chosen>), Error> {
    let open = |settings: &ServerSettings| Live::open(settings, engines, &context.interrupted);
    let look = |settings: &ServerSettings| look(settings, context);
    served::choose(servers, context, |settings| &settings.host, look, open)
}

/// Asks a server how it stands to its primary, in a session of its own.
pub(super) fn look(settings: &ServerSettings, context: &Context) -> Result<Standing, Error> {
    let (login, now) = (Login::of(settings)?, context.clock.now());
    let asked = first_session(settings, &login, &context.interrupted)
        .and_then(|mut session| standby::standing(&mut session, now));
    asked.map_err(|error| engine_error(login.server(), error))
}

impl Live {
    /// Logs in, finds out what is there, and proves that nothing of it is hidden.
    pub fn open(
        settings: &ServerSettings,
        engines: &Engines,
        interrupted: &Arc<AtomicBool>,
    ) -> Result<Self, Error> {
        let login = Login::of(settings)?;
        let server = login.server();
        let failed = |error| engine_error(server.clone(), error);
        let mut session = first_session(settings, &login, interrupted).map_err(failed)?;
        let major = describe::major(&mut session).map_err(failed)?;
        let engine = engines.find(major).map_err(|missing| Error::Engine {
            object: server.clone(),
            what: format!("the server is of PostgreSQL {major}"),
            source: Some(Box::new(missing)),
        })?;
        let mut cluster = describe::cluster(&mut session).map_err(failed)?;
        cluster.server.gaps = left_out::of_cluster(&mut session).map_err(failed)?;
        let there = there(&mut session).map_err(failed)?;
        let databases = chosen(settings, &there, &server)?;
        let unprotected = there.iter().map(|(name, _)| name);
        let unprotected: Vec<String> =
            unprotected.filter(|name| !databases.contains(name)).cloned().collect();
        let of_databases = there.iter().filter(|(name, _)| databases.contains(name));
        let bytes = of_databases.map(|(_, bytes)| bytes).sum();
        drop(session);

        cluster.server.gaps.extend(not_named(unprotected));
        let mut hidden = Vec::new();
        for database in &databases {
            let found = (|| {
                let limit = settings.statement_deadline;
                let mut session = Session::open(&login, database, limit, interrupted.clone())?;
                cluster.server.gaps.extend(left_out::of_database(&mut session)?);
                privileges::hidden(&mut session)
            })();
            hidden.extend(found.map_err(|error| engine_error(database, error))?);
        }
        match refusal(&hidden) {
            None => Ok(Self { login, engine, cluster, databases, bytes }),
            Some(what) => Err(Error::Engine { object: server, what, source: None }),
        }
    }
}

/// The databases that the policy leaves out, as a gap.
fn not_named(names: Vec<String>) -> Option<Gap> {
    (!names.is_empty()).then_some(Gap { kind: GapKind::Databases, database: None, names })
}

/// What is said where something is hidden.
fn refusal(hidden: &[Hidden]) -> Option<String> {
    if hidden.is_empty() {
        return None;
    }
    let what: Vec<&str> = hidden.iter().map(|one| one.what.as_str()).collect();
    let mut remedies: Vec<&str> = Vec::new();
    for one in hidden {
        if !remedies.contains(&one.remedy.as_str()) {
            remedies.push(&one.remedy);
        }
    }
    Some(format!(
        "the login does not see everything, so nothing was dumped: {}. A superuser mends it: {}",
        what.join("; "),
        remedies.join(" ")
    ))
}

fn first_session(
    settings: &ServerSettings,
    login: &Login,
    interrupted: &Arc<AtomicBool>,
) -> Result<Session, super::session::Error> {
    let open = |database: &str| {
        Session::open(login, database, settings.statement_deadline, interrupted.clone())
    };
    match settings.databases.first() {
        Some(database) => open(database),
        None => open(FIRST[0]).or_else(|refused| open(FIRST[1]).map_err(|_| refused)),
    }
}

/// All databases that are no templates and allow connections, with their bytes.
fn there(session: &mut Session) -> Result<Vec<(String, u64)>, super::session::Error> {
    let rows = session.rows(
        "SELECT d.datname, CASE WHEN has_database_privilege(d.oid, 'CONNECT')
           THEN pg_database_size(d.oid) ELSE 0 END
         FROM pg_database d WHERE d.datallowconn AND NOT d.datistemplate ORDER BY 1",
    )?;
    rows.into_iter()
        .map(|row| match row.as_slice() {
            [Some(name), Some(bytes)] => bytes
                .parse()
                .map(|bytes| (name.clone(), bytes))
                .map_err(|_| session.unexpected("a size that is no number")),
            _ => Err(session.unexpected("a database without a name")),
        })
        .collect()
}

/// The databases that the policy means.
fn chosen(
    settings: &ServerSettings,
    there: &[(String, u64)],
    server: &str,
) -> Result<Vec<String>, Error> {
    let names = || there.iter().map(|(name, _)| name.clone());
    if settings.databases.is_empty() {
        return Ok(names().collect());
    }
    let missing: Vec<String> = settings
        .databases
        .iter()
        .filter(|wanted| !names().any(|name| name == **wanted))
        .map(|wanted| literal(wanted))
        .collect();
    if missing.is_empty() {
        return Ok(settings.databases.clone());
    }
    let there: Vec<String> = names().collect();
    Err(Error::Engine {
        object: server.to_owned(),
        what: format!(
            "there is no database {} that allows connections; there are: {}",
            missing.join(", "),
            there.join(", ")
        ),
        source: None,
    })
}
