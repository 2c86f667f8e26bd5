//! The live server: what it is, who we are there, which databases are meant, what is hidden from us.
//!
//! In: a policy's settings. Out: a [`Live`] server on which nothing that is asked for is hidden,
//! with the programs of its series.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::super::login::Login;
use super::super::served::{self, Chosen, Standing};
use super::super::{Context, Error, Gap, GapKind};
use super::engine::{Engine, Engines};
use super::names::readable;
use super::product::Version;
use super::server::Database;
use super::session::{self, Session};
use super::tables::{self, Hold, Table};
use super::{Product, fingerprint, obstacles, privileges, replica};
use crate::policy::candidates::Servers;
use crate::policy::sources::{Equality, ServerSettings};

/// The server's own databases.
const SYSTEM: &str = "'mysql', 'sys', 'information_schema', 'performance_schema'";

/// A server that may be captured.
pub(super) struct Live {
    pub login: Login,
    pub session: Session,
    pub engine: Engine,
    pub version: String,
    pub series: String,
    /// The databases to capture, at least one.
    pub databases: Vec<Database>,
    pub variables: Vec<(String, String)>,
    pub has_binlog: bool,
    /// Databases that the policy does not name.
    unprotected: Vec<String>,
    /// Whether the server keeps masking policies.
    has_policies: bool,
}

/// A server's refusals in the source's terms.
pub(super) fn engine_error(login: &Login, error: session::Error) -> Error {
    match error {
        session::Error::Interrupted => Error::Interrupted,
        error => Error::Engine {
            object: session::name_of(login),
            what: "the server did not do what was asked".to_owned(),
            source: Some(Box::new(error)),
        },
    }
}

/// The server to capture, and how it was chosen where the policy names several.
pub(super) fn choose<'a>(
    product: Product,
    servers: &'a Servers<ServerSettings>,
    equality: &Equality,
    engines: &Engines,
    context: &Context,
) -> Result<(&'a ServerSettings, Live, Option<Chosen>), Error> {
    let look = |settings: &ServerSettings| {
        let login = Login::of(settings)?;
        look(product, &login, settings, context)
    };
    let open = |settings: &ServerSettings| {
        Live::open(product, settings, equality, engines, &context.interrupted)
    };
    served::choose(servers, context, |settings| &settings.host, look, open)
}

/// Asks a server how it stands to its primary, in a session of its own.
pub(super) fn look(
    product: Product,
    login: &Login,
    settings: &ServerSettings,
    context: &Context,
) -> Result<Standing, Error> {
    let now = context.clock.now();
    let (limit, interrupted) = (settings.statement_deadline, context.interrupted.clone());
    let asked = Session::open(product, login, limit, interrupted)
        .and_then(|mut session| replica::standing(&mut session, now));
    asked.map_err(|error| engine_error(login, error))
}

impl Live {
    /// Logs in, finds out what is there, and proves that nothing of it is hidden.
    pub fn open(
        product: Product,
        settings: &ServerSettings,
        equality: &Equality,
        engines: &Engines,
        interrupted: &Arc<AtomicBool>,
    ) -> Result<Self, Error> {
        let login = Login::of(settings)?;
        let failed = |error| engine_error(&login, error);
        let refused =
            |what: String, source| Error::Engine { object: session::name_of(&login), what, source };
        let limit = settings.statement_deadline;
        let mut session =
            Session::open(product, &login, limit, interrupted.clone()).map_err(failed)?;
        session.set_lock_patience(settings.lock_timeout).map_err(failed)?;
        let told = session.value("SELECT VERSION()").map_err(failed)?;
        let version = Version::read(&told).filter(|version| version.product == product);
        let Some(version) = version else {
            let what = format!("the server says that it is {told}, which is no {}", product.name());
            return Err(refused(what, None));
        };
        let engine = engines.find(product, &version.series).map_err(|missing| {
            let what = format!("the server is of {} {}", product.name(), version.series);
            refused(what, Some(Box::new(missing)))
        })?;
        fingerprint::check_limits(&mut session).map_err(failed)?;
        let there = there(&mut session).map_err(failed)?;
        // First, for what the login does not see seems not to be there.
        let wanted = match &settings.databases[..] {
            [] => there.iter().map(|database| database.name.clone()).collect(),
            named => named.to_vec(),
        };
        let there_names: Vec<&str> = there.iter().map(|database| &*database.name).collect();
        let lacking = privileges::lacking(&mut session, &wanted, &there_names, equality);
        if let Some(what) = lacking.map_err(failed)? {
            return Err(refused(what, None));
        }
        let (databases, unprotected) =
            chosen(settings, there).map_err(|what| refused(what, None))?;
        let names: Vec<&str> = databases.iter().map(|database| &*database.name).collect();
        if let Some(what) = obstacles::of(&mut session, &names).map_err(failed)? {
            return Err(refused(what, None));
        }
        let has_policies = obstacles::has_policies(&mut session).map_err(failed)?;
        let variables = variables(&mut session).map_err(failed)?;
        let has_binlog = session.value("SELECT @@log_bin").map_err(failed)? == "1";
        Ok(Self {
            login,
            session,
            engine,
            version: version.number,
            series: version.series,
            databases,
            variables,
            has_binlog,
            unprotected,
            has_policies,
        })
    }

    /// Lists all databases anew, and answers whether they are others than before; for a capture of all of
    /// them.
    pub fn look_again(&mut self) -> Result<bool, session::Error> {
        let before = self.names();
        self.databases = there(&mut self.session)?;
        Ok(self.names() != before)
    }

    /// The names of the databases to capture.
    pub fn names(&self) -> Vec<String> {
        self.databases.iter().map(|database| database.name.clone()).collect()
    }

    /// Bytes of the databases to capture.
    pub fn bytes(&self) -> u64 {
        self.databases.iter().map(|database| database.bytes).sum()
    }

    /// The tables of all databases to capture.
    pub fn tables(&mut self) -> Result<Vec<Table>, session::Error> {
        let mut found = Vec::new();
        for database in self.names() {
            found.extend(tables::of_database(&mut self.session, &database)?);
        }
        Ok(found)
    }

    /// What a capture does not cover, as far as `tables` tell.
    pub fn gaps(&self, tables: &[Table]) -> Vec<Gap> {
        let mut gaps = Vec::new();
        let mut gap = |kind, database: Option<&str>, names: Vec<String>| {
            let database = database.map(str::to_owned);
            gaps.extend((!names.is_empty()).then_some(Gap { kind, database, names }));
        };
        gap(GapKind::Databases, None, self.unprotected.clone());
        for Database { name, .. } in &self.databases {
            let of_it = || tables.iter().filter(|table| table.database == *name);
            let floats = of_it().flat_map(|table| {
                let column = |column| format!("{}.{}", readable(&table.name), readable(column));
                table.floats.iter().map(move |name| column(name))
            });
            gap(GapKind::RoundedFloats, Some(name), floats.collect());
            let names = |wanted: fn(&&Table) -> bool| {
                of_it().filter(wanted).map(|table| readable(&table.name)).collect()
            };
            let unheld = names(|table| table.hold == Hold::Never && !table.is_elsewhere);
            gap(GapKind::UnheldRows, Some(name), unheld);
            gap(GapKind::ForeignRows, Some(name), names(|table| table.is_elsewhere));
        }
        if self.has_policies {
            gaps.push(Gap { kind: GapKind::MaskingPolicies, database: None, names: Vec::new() });
        }
        gaps
    }
}

/// All databases but the server's own, with their bytes.
fn there(session: &mut Session) -> Result<Vec<Database>, session::Error> {
    let rows = session.rows(&format!(
        "SELECT s.SCHEMA_NAME, COALESCE(SUM(t.DATA_LENGTH + t.INDEX_LENGTH), 0)
         FROM information_schema.SCHEMATA s
         LEFT JOIN information_schema.TABLES t ON t.TABLE_SCHEMA = s.SCHEMA_NAME
         WHERE s.SCHEMA_NAME NOT IN ({SYSTEM}) GROUP BY 1 ORDER BY 1"
    ))?;
    rows.into_iter()
        .map(|row| match row.as_slice() {
            [Some(name), Some(bytes)] => bytes
                .parse()
                .map(|bytes| Database { name: name.clone(), bytes })
                .map_err(|_| session.unexpected("a size that is no number")),
            _ => Err(session.unexpected("a database without a name")),
        })
        .collect()
}

/// The databases that the policy means, and those that it leaves out.
fn chosen(
    settings: &ServerSettings,
    there: Vec<Database>,
) -> Result<(Vec<Database>, Vec<String>), String> {
    let names = || there.iter().map(|database| database.name.as_str());
    let listed = || names().collect::<Vec<_>>().join(", ");
    if settings.databases.is_empty() {
        return match there.is_empty() {
            true => Err("there is no database but the server's own".to_owned()),
            false => Ok((there, Vec::new())),
        };
    }
    let missing: Vec<String> = settings
        .databases
        .iter()
        .filter(|wanted| !names().any(|name| name == **wanted))
        .map(|wanted| readable(wanted))
        .collect();
    if !missing.is_empty() {
        let missing = missing.join(", ");
        return Err(format!("there is no database {missing}; the login sees: {}", listed()));
    }
    let (meant, others): (Vec<_>, Vec<_>) =
        there.into_iter().partition(|database| settings.databases.contains(&database.name));
    Ok((meant, others.into_iter().map(|database| database.name).collect()))
}

fn variables(session: &mut Session) -> Result<Vec<(String, String)>, session::Error> {
    let mut found = Vec::new();
    for name in session.product().variables() {
        let value = session.value(&format!("SELECT @@GLOBAL.{name}"))?;
        found.push((name.to_owned(), value));
    }
    Ok(found)
}
