//! Restored databases that answer questions, each asked of the scratch server in its cage.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::super::names::readable;
use super::super::{Cluster, Session, fingerprint, schema};
use super::beginnings::Dropped;
use super::injure::{self, Injured};
use super::server::Server;
use super::{Error, amcheck, ask, data, environment, of_session, totals};
use crate::ground::digest::Digest;
use crate::sandbox::Scratch;
use crate::source::{
    Access, Checked, Fault, Fingerprint, Kind, Place, Recovered, Rows, Total, Trouble,
};

/// How long reading one table may take.
const PATIENCE: Duration = Duration::from_secs(12 * 3600);

/// A captured cluster on its scratch server.
pub(super) struct Restored {
    server: Server,
    cluster: Cluster,
    dropped: Dropped,
    /// By database, as last read.
    read: BTreeMap<String, Fingerprint>,
    injured: Option<Injured>,
}

impl Restored {
    pub(super) fn new(server: Server, cluster: Cluster, dropped: Dropped) -> Self {
        Self { server, cluster, dropped, read: BTreeMap::new(), injured: None }
    }

    fn databases(&self) -> Vec<String> {
        self.cluster.databases.iter().map(|database| database.name.clone()).collect()
    }

    /// The database that a query is for: the only one where none is named.
    fn database(&self, named: Option<&str>) -> Result<String, Trouble> {
        match (named, &self.cluster.databases[..]) {
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

    /// What the session's database holds, without what no dump can say of it.
    fn fingerprint_of(&self, session: &mut Session) -> Result<Fingerprint, Trouble> {
        let mut found = fingerprint(session).map_err(of_session)?;
        self.dropped.forgive(session, &mut found).map_err(of_session)?;
        Ok(found)
    }

    /// What is read in the session in which a fault was put, which is then undone.
    fn injured_fingerprint(&self, mut injured: Injured) -> Result<Fingerprint, Trouble> {
        let found = self.fingerprint_of(&mut injured.session)?;
        injured.session.run("ROLLBACK").map_err(of_session)?;
        Ok(found)
    }

    /// Databases that were not captured, as objects of the schema.
    fn strangers(&self, session: &mut Session) -> Result<Vec<String>, Trouble> {
        let mut found = session
            .column(
                "SELECT datname FROM pg_database
                 WHERE datname NOT IN ('template0', 'template1', 'postgres')",
            )
            .map_err(of_session)?;
        let captured = self.databases();
        found.retain(|name| !captured.contains(name));
        Ok(found)
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
        amcheck::check(&self.server, &self.cluster)
    }

    fn fingerprint(&mut self) -> Result<Fingerprint, Trouble> {
        let mut session = self.server.session("template1")?;
        let mut whole = Fingerprint {
            schema: schema::of_cluster(&mut session).map_err(of_session)?,
            ..Fingerprint::empty(Kind::Postgres)
        };
        for stranger in self.strangers(&mut session)? {
            let name = format!("{}: database", readable(&stranger));
            whole.schema.insert(name, Digest::of(stranger.as_bytes()));
        }
        let mut injured = self.injured.take();
        let is_control = injured.is_some();
        for database in self.databases() {
            let found = match injured.take_if(|injured| injured.session.database() == database) {
                Some(injured) => self.injured_fingerprint(injured)?,
                // Nothing changes but what is injured, which was undone.
                None if is_control && self.read.contains_key(&database) => {
                    self.read[&database].clone()
                }
                None => {
                    let mut session = self.server.session(&database)?;
                    session.set_limit(PATIENCE).map_err(of_session)?;
                    let found = self.fingerprint_of(&mut session)?;
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
        for database in self.databases() {
            let mut session = self.server.session(&database)?;
            session.value("SELECT count(*) FROM pg_class").map_err(of_session)?;
        }
        Ok(())
    }

    fn query(
        &mut self,
        database: Option<&str>,
        sql: &str,
        limit: Duration,
    ) -> Result<Rows, Trouble> {
        let mut session = self.server.session(&self.database(database)?)?;
        ask::ask(&mut session, sql, limit)
    }

    fn totals(&mut self, captured: &Fingerprint) -> Result<Vec<Total>, Trouble> {
        let mut totals = Vec::new();
        for database in self.databases() {
            let mut session = self.server.session(&database)?;
            totals.extend(totals::of_database(&mut session, captured).map_err(of_session)?);
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
            let mut session = self.server.session(&database)?;
            session.set_limit(PATIENCE).map_err(of_session)?;
            if let Some((place, session)) = injure::injure(session, fault)? {
                self.injured = Some(Injured { session });
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
