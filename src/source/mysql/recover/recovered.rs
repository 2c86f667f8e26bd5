//! Restored databases that answer questions, each asked of the scratch server in its cage.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::super::names::readable;
use super::super::{Server, Session, accounts, fingerprint};
use super::injure::{self, Injured};
use super::scratch::ScratchServer;
use super::{Error, ask, check, data, environment, of_session, totals};
use crate::ground::digest::Digest;
use crate::sandbox::Scratch;
use crate::source::{Access, Checked, Fault, Fingerprint, Place, Recovered, Rows, Total, Trouble};

/// How long reading or checking one table may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(12 * 3600);

/// Databases that a scratch server has of itself.
const SYSTEM: &str = "'mysql', 'sys', 'information_schema', 'performance_schema'";

/// A captured server on its scratch server.
pub(super) struct Restored {
    server: ScratchServer,
    source: Server,
    /// By database, as last read.
    read: BTreeMap<String, Fingerprint>,
    injured: Option<Injured>,
}

impl Restored {
    pub(super) fn new(server: ScratchServer, source: Server) -> Self {
        Self { server, source, read: BTreeMap::new(), injured: None }
    }

    fn databases(&self) -> Vec<String> {
        self.source.databases.iter().map(|database| database.name.clone()).collect()
    }

    /// The database that a query is for: the only one where none is named.
    fn database(&self, named: Option<&str>) -> Result<String, Trouble> {
        match (named, &self.source.databases[..]) {
            (None, [only]) => Ok(only.name.clone()),
            (None, _) => {
                let what = "the source has several databases: the check must name one (database)";
                Err(environment(Error::Query(what)))
            }
            (Some(name), databases) if databases.iter().any(|one| one.name == name) => {
                Ok(name.to_owned())
            }
            (Some(_), _) => Err(data(Error::Query("the database is not in the recovery point"))),
        }
    }

    fn session(&self) -> Result<Session, Trouble> {
        let mut session = self.server.session()?;
        session.set_limit(PATIENCE).map_err(of_session)?;
        Ok(session)
    }

    /// What is read in the session in which a fault was put, which is then undone.
    fn injured_fingerprint(&self, mut injured: Injured) -> Result<Fingerprint, Trouble> {
        let found = fingerprint::of_database(&mut injured.session, &self.source, &injured.database)
            .map_err(of_session)?;
        injured.session.run("ROLLBACK").map_err(of_session)?;
        Ok(found)
    }

    /// All databases that are there but the server's own.
    fn there(&self, session: &mut Session) -> Result<Vec<String>, Trouble> {
        let sql = format!(
            "SELECT SCHEMA_NAME FROM information_schema.SCHEMATA
             WHERE SCHEMA_NAME NOT IN ({SYSTEM})"
        );
        session.column(&sql).map_err(of_session)
    }
}

/// Adds what one more database has; of two parts of one name one would never be compared.
fn join<T>(all: &mut BTreeMap<String, T>, more: BTreeMap<String, T>) -> Result<(), Trouble> {
    for (name, one) in more {
        fingerprint::once(all, name).map_err(|what| data(Error::Query(what)))?.insert(one);
    }
    Ok(())
}

impl Recovered for Restored {
    fn self_check(&mut self) -> Result<Checked, Trouble> {
        check::check(&self.server, &self.source)
    }

    fn fingerprint(&mut self) -> Result<Fingerprint, Trouble> {
        let mut session = self.session()?;
        let databases = self.databases();
        let there = accounts::there(&mut session, &databases).map_err(of_session)?;
        let accounts = accounts::read(&mut session, &there).map_err(of_session)?;
        let mut whole = Fingerprint {
            schema: accounts.objects,
            ..Fingerprint::empty(self.source.product.kind())
        };
        let present = self.there(&mut session)?;
        for stranger in present.iter().filter(|name| !databases.contains(name)) {
            let name = format!("{}: database", readable(stranger));
            whole.schema.insert(name, Digest::of(stranger.as_bytes()));
        }
        let mut injured = self.injured.take();
        let is_control = injured.is_some();
        // One that is missing is told by what it lacks.
        for database in databases.into_iter().filter(|name| present.contains(name)) {
            let found = match injured.take_if(|injured| injured.database == database) {
                Some(injured) => self.injured_fingerprint(injured)?,
                // Nothing changes but what is injured, which was undone.
                None if is_control && self.read.contains_key(&database) => {
                    self.read[&database].clone()
                }
                None => {
                    let found = fingerprint::of_database(&mut session, &self.source, &database)
                        .map_err(of_session)?;
                    self.read.insert(database, found.clone());
                    found
                }
            };
            join(&mut whole.parts, found.parts)?;
            join(&mut whole.schema, found.schema)?;
        }
        Ok(whole)
    }

    fn first_answer(&mut self) -> Result<(), Trouble> {
        let mut session = self.server.session()?;
        let sql = "SELECT COUNT(*) FROM information_schema.TABLES";
        session.value(sql).map(drop).map_err(of_session)
    }

    fn query(
        &mut self,
        database: Option<&str>,
        sql: &str,
        limit: Duration,
    ) -> Result<Rows, Trouble> {
        let database = self.database(database)?;
        ask::ask(&mut self.server.reader()?, &database, sql, limit)
    }

    fn totals(&mut self, captured: &Fingerprint) -> Result<Vec<Total>, Trouble> {
        let mut session = self.session()?;
        let mut totals = Vec::new();
        for database in self.databases() {
            let found = totals::of_database(&mut session, &database, captured);
            totals.extend(found.map_err(of_session)?);
        }
        Ok(totals)
    }

    fn files(&self) -> Option<&Path> {
        None
    }

    fn access(&mut self, _: &Scratch) -> Result<Option<Access>, Trouble> {
        Ok(Some(self.server.access()))
    }

    fn injure(&mut self, fault: Fault) -> Result<Option<Place>, Trouble> {
        for database in self.databases() {
            if let Some((place, session)) = injure::injure(self.session()?, &database, fault)? {
                self.injured = Some(Injured { session, database });
                return Ok(Some(place));
            }
        }
        Ok(None)
    }

    fn undoes_faults(&self) -> bool {
        true
    }

    fn confinement(&self) -> Option<String> {
        Some(self.server.confinement())
    }

    fn stop(self: Box<Self>) -> Result<(), Trouble> {
        self.server.stop()
    }
}
