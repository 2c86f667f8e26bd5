//! Captured databases, loaded into a real server by its own client.

use std::path::Path;

use super::super::{Capture, Context, Error, Fingerprint, target};
use super::client::{Client, commands_off};
use super::engine::{Engine, Engines};
use super::live::engine_error;
use super::names::{identifier, literal, readable};
use super::product::Version;
use super::recover::complaint::told_of;
use super::session::{self, Session};
use super::{Login, Product, VIEWS, file_of, fingerprint, schema, server};
use crate::policy::sources::ServerSettings;

/// A server of MariaDB or MySQL that takes databases back.
pub struct Target {
    product: Product,
    settings: ServerSettings,
    engines: Engines,
}

/// One that may take what was captured.
struct Open<'a> {
    login: Login,
    session: Session,
    engine: Engine,
    source: &'a server::Server,
    capture: &'a Capture,
}

impl Target {
    /// The server that `settings` name; `engines` are this host's programs.
    pub fn new(product: Product, settings: ServerSettings, engines: Engines) -> Self {
        Self { product, settings, engines }
    }

    /// Logs in where the server is of the capture's own series: of no other is it known that it
    /// takes all of it.
    fn open<'a>(&self, capture: &'a Capture, context: &Context) -> Result<Open<'a>, Error> {
        let login = Login::of(&self.settings)?;
        let name = session::name_of(&login);
        let Some(source) = capture.server.as_ref().filter(|one| one.product == self.product) else {
            let what =
                format!("it is {}, and the source is {}", self.product.name(), capture.engine);
            return Err(target::refused(&name, what));
        };
        if source.copy.is_some() {
            let what = format!(
                "{} was captured as its server's files, which go into no server that runs: restore it with \
                 --to DIR, and start a server of its own on what comes out",
                capture.source
            );
            return Err(target::refused(&name, what));
        }
        let failed = |error| engine_error(&login, error);
        let limit = self.settings.statement_deadline;
        let interrupted = context.interrupted.clone();
        let mut session =
            Session::open(self.product, &login, limit, interrupted).map_err(failed)?;
        let told = session.value("SELECT VERSION()").map_err(failed)?;
        let is_alike = |version: &Version| {
            (version.product, &version.series) == (self.product, &source.series)
        };
        if !Version::read(&told).as_ref().is_some_and(is_alike) {
            let what = format!("it says that it is {told}, and the source is {}", capture.engine);
            return Err(target::refused(&name, what));
        }
        let engine =
            self.engines.find(self.product, &source.series).map_err(|missing| Error::Engine {
                object: name.clone(),
                what: "its client is not on this host".to_owned(),
                source: Some(Box::new(missing)),
            })?;
        Ok(Open { login, session, engine, source, capture })
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
        let mut open = self.open(capture, context)?;
        let occupied = open.occupied()?;
        target::spared(&session::name_of(&open.login), &occupied, replaced)?;
        let client = Client::new(self.product, &open.login, &context.staging);
        let client = client.map_err(|source| Error::Io {
            action: "write the option file in",
            object: context.staging.display().to_string(),
            source,
        })?;
        for database in &open.source.databases {
            // What the login may not see it must not lose: only a named one goes.
            if replaced.contains(&database.name) {
                open.run(&format!("DROP DATABASE IF EXISTS {}", identifier(&database.name)))?;
            }
            let file = file_of(&database.name);
            context.progress.phase(&format!("load {}", database.name), None);
            open.script(&client, &file, data, context)?;
        }
        if open.source.has_views {
            open.script(&client, VIEWS, data, context)?;
        }
        open.fingerprint(context)
    }
}

impl Open<'_> {
    fn run(&mut self, sql: &str) -> Result<(), Error> {
        self.session.run(sql).map_err(|error| engine_error(&self.login, error))
    }

    fn occupied(&mut self) -> Result<Vec<String>, Error> {
        let mut occupied = Vec::new();
        for database in &self.source.databases {
            let is_taken = self.is_taken(&database.name);
            if is_taken.map_err(|error| engine_error(&self.login, error))? {
                occupied.push(database.name.clone());
            }
        }
        Ok(occupied)
    }

    /// Whether a database is there and holds something, or is not like the captured one: a dump
    /// leaves its collation as it is.
    fn is_taken(&mut self, database: &str) -> Result<bool, session::Error> {
        let name = literal(database);
        let is_there = "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME =";
        if self.session.value(&format!("{is_there} {name}"))? == "0" {
            return Ok(false);
        }
        let things = self.session.value(&format!(
            "SELECT (SELECT COUNT(*) FROM information_schema.TABLES WHERE TABLE_SCHEMA = {name})
               + (SELECT COUNT(*) FROM information_schema.ROUTINES WHERE ROUTINE_SCHEMA = {name})
               + (SELECT COUNT(*) FROM information_schema.EVENTS WHERE EVENT_SCHEMA = {name})"
        ))?;
        if things != "0" {
            return Ok(true);
        }
        let object = format!("{}: database", readable(database));
        let found = schema::of_database(&mut self.session, database)?.objects;
        let captured = &self.capture.fingerprint.schema;
        Ok(found.len() > 1 || found.get(&object) != captured.get(&object))
    }

    /// Runs a script, and nothing that it may ask of the client itself.
    fn script(
        &self,
        client: &Client,
        name: &str,
        data: &Path,
        context: &Context,
    ) -> Result<(), Error> {
        let product = self.engine.product;
        let program = self.engine.program(product.client());
        let mut command = client.reading(&program, &data.join(name));
        command
            .args(["--local-infile=0", "--batch", "--binary-mode"])
            .args(commands_off(product))
            // Routines keep the comments in them.
            .args(["--comments", "--max-allowed-packet=1G", "--default-character-set=utf8mb4"]);
        target::run(command, name, context, said)
    }

    fn fingerprint(&mut self, context: &Context) -> Result<Fingerprint, Error> {
        let failed = |error| engine_error(&self.login, error);
        let mut whole = Fingerprint::empty(self.source.product.kind());
        for database in &self.source.databases {
            context.check_interrupted()?;
            context.progress.phase(&format!("compare {}", database.name), None);
            let found = fingerprint::of_database(&mut self.session, self.source, &database.name);
            let found = found.map_err(failed)?;
            whole.parts.extend(found.parts);
            whole.schema.extend(found.schema);
        }
        Ok(whole)
    }
}

/// What a client complained of, without the values that it quotes.
fn said(stderr: &str) -> String {
    let line = stderr.lines().find(|line| line.starts_with("ERROR"));
    line.map_or_else(|| "it did not say why".to_owned(), told_of)
}
