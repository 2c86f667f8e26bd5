//! Captured databases, loaded into a real server by its own client.

use std::path::Path;

use super::super::{Capture, Context, Error, Fingerprint, Kind, target};
use super::client::Client;
use super::engine::{Engine, Engines};
use super::extensions::USERS_OID;
use super::live::engine_error;
use super::names::{literal, readable};
use super::recover::{Dropped, without_rows};
use super::session::{self, Session};
use super::{Cluster, Login, describe, file_of, fingerprint};
use crate::policy::sources::ServerSettings;

/// Databases that every server has; the first is where others are made from.
const FIRST: [&str; 2] = ["template1", "postgres"];

/// Where objects stand that somebody made, in a database that is not empty.
const CATALOGS: [&str; 14] = [
    "pg_class",
    "pg_proc",
    "pg_type",
    "pg_namespace",
    "pg_extension",
    "pg_publication",
    "pg_event_trigger",
    "pg_foreign_data_wrapper",
    "pg_cast",
    "pg_language",
    "pg_operator",
    "pg_collation",
    "pg_ts_config",
    "pg_ts_dict",
];

/// How many tables are filled at once, at most.
const JOBS: usize = 4;

/// A PostgreSQL server that takes databases back.
pub struct Target {
    settings: ServerSettings,
    engines: Engines,
}

/// One that may take what was captured.
struct Open<'a> {
    target: &'a Target,
    login: Login,
    engine: Engine,
    cluster: &'a Cluster,
    context: &'a Context,
}

impl Target {
    /// The server that `settings` name; `engines` are this host's programs.
    pub fn new(settings: ServerSettings, engines: Engines) -> Self {
        Self { settings, engines }
    }

    /// Logs in where the server is of the capture's own major version and has its roles, which
    /// databases cannot be made without.
    fn open<'a>(&'a self, capture: &'a Capture, context: &'a Context) -> Result<Open<'a>, Error> {
        let login = Login::of(&self.settings)?;
        let server = login.server();
        let Some(cluster) = &capture.cluster else {
            let what = format!("it is PostgreSQL, and the source is {}", capture.engine);
            return Err(target::refused(&server, what));
        };
        let failed = |error| engine_error(server.clone(), error);
        let mut session = self.session(&login, FIRST[1], context).map_err(failed)?;
        let major = describe::major(&mut session).map_err(failed)?;
        if major != cluster.major {
            let what = format!("it is PostgreSQL {major}, and the source is {}", capture.engine);
            return Err(target::refused(&server, what));
        }
        let there = session.column("SELECT format('role %I', rolname) FROM pg_roles");
        let there = there.map_err(failed)?;
        let wanted = capture.fingerprint.schema.keys().filter(|name| name.starts_with("role "));
        let missing: Vec<&str> =
            wanted.filter(|name| !there.contains(name)).map(String::as_str).collect();
        if !missing.is_empty() {
            let what = format!(
                "it lacks what the databases' objects belong to: {}; `lifeboat restore --to` brings \
                 globals.sql, which makes them (psql -d postgres -f globals.sql)",
                missing.join(", ")
            );
            return Err(target::refused(&server, what));
        }
        let engine = self.engines.find(major).map_err(|missing| Error::Engine {
            object: server,
            what: "its client is not on this host".to_owned(),
            source: Some(Box::new(missing)),
        })?;
        Ok(Open { target: self, login, engine, cluster, context })
    }

    fn session(
        &self,
        login: &Login,
        database: &str,
        context: &Context,
    ) -> Result<Session, session::Error> {
        Session::open(
            login,
            database,
            self.settings.statement_deadline,
            context.interrupted.clone(),
        )
    }
}

impl target::Target for Target {
    fn occupied(&self, capture: &Capture, context: &Context) -> Result<Vec<String>, Error> {
        self.open(capture, context)?.occupied()
    }

    fn load(
        &self,
        capture: &Capture,
        data: &Path,
        replaced: &[String],
        context: &Context,
    ) -> Result<Fingerprint, Error> {
        let open = self.open(capture, context)?;
        target::spared(&open.login.server(), &open.occupied()?, replaced)?;
        let client = Client::new(&open.login, &context.staging).map_err(|source| Error::Io {
            action: "write the password file in",
            object: context.staging.display().to_string(),
            source,
        })?;
        for database in &open.cluster.databases {
            open.restore(&client, &database.name, data)?;
        }
        open.fingerprint(capture)
    }
}

impl Open<'_> {
    fn session(&self, database: &str) -> Result<Session, Error> {
        let opened = self.target.session(&self.login, database, self.context);
        opened.map_err(|error| engine_error(database, error))
    }

    fn is_there(&self, database: &str) -> Result<bool, Error> {
        let sql = format!("SELECT count(*) FROM pg_database WHERE datname = {}", literal(database));
        let found = self.session(FIRST[1])?.value(&sql);
        Ok(found.map_err(|error| engine_error(database, error))? != "0")
    }

    fn occupied(&self) -> Result<Vec<String>, Error> {
        let mut occupied = Vec::new();
        for database in &self.cluster.databases {
            let name = &database.name;
            if !self.is_there(name)? {
                continue;
            }
            let counts = CATALOGS.map(|catalog| {
                format!("(SELECT count(*) FROM {catalog} WHERE oid >= {USERS_OID})")
            });
            // A large object has whatever number its maker gave it.
            let things = self.session(name)?.value(&format!(
                "SELECT {} + (SELECT count(*) FROM pg_largeobject_metadata)",
                counts.join(" + ")
            ));
            if things.map_err(|error| engine_error(name, error))? != "0" {
                occupied.push(name.clone());
            }
        }
        Ok(occupied)
    }

    /// Makes a database as its dump describes it, in the place of what is there, and fills it.
    fn restore(&self, client: &Client, database: &str, data: &Path) -> Result<(), Error> {
        let from = if database == FIRST[0] { FIRST[1] } else { FIRST[0] };
        let jobs = std::thread::available_parallelism().map_or(1, usize::from).min(JOBS);
        let mut command = client.command(&self.engine.program("pg_restore"), from);
        command
            .args(["--create", "--exit-on-error", "--no-tablespaces", "--no-subscriptions"])
            .args(["--no-password", "--jobs", &jobs.to_string(), "--dbname", from]);
        if self.is_there(database)? {
            command.args(["--clean", "--if-exists"]);
        }
        let file = file_of(database);
        command.arg(data.join(&file));
        self.context.progress.phase(&format!("load {database}"), None);
        target::run(command, &file, self.context, said)
    }

    fn fingerprint(&self, capture: &Capture) -> Result<Fingerprint, Error> {
        let mut whole = Fingerprint::empty(Kind::Postgres);
        let dropped = Dropped::of(capture);
        for database in &self.cluster.databases {
            let name = &database.name;
            self.context.check_interrupted()?;
            self.context.progress.phase(&format!("compare {}", readable(name)), None);
            let mut session = self.session(name)?;
            let found = fingerprint(&mut session).and_then(|mut found| {
                dropped.forgive(&mut session, &mut found)?;
                Ok(found)
            });
            let found = found.map_err(|error| engine_error(name, error))?;
            whole.parts.extend(found.parts);
            whole.schema.extend(found.schema);
        }
        Ok(whole)
    }
}

/// What a client complained of, without the rows that it quotes.
fn said(stderr: &str) -> String {
    let line = stderr.lines().find(|line| line.contains("error:") || line.contains("ERROR:"));
    line.map_or_else(|| "it did not say why".to_owned(), without_rows)
}
