//! A restored data set that answers questions, each asked of the scratch server in its cage.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::super::FILE;
use super::server::{SAVED, Server};
use super::{Error, ask, data, environment, file, injure};
use crate::sandbox::{Ending, Scratch};
use crate::source::redis::rdb;
use crate::source::{
    Access, Checked, Fault, Fingerprint, Kind, Place, Recovered, Rows, Total, Trouble,
};

/// A captured data set on its scratch server.
pub(super) struct Restored {
    server: Server,
    room: PathBuf,
}

impl Restored {
    pub(super) fn new(server: Server, room: PathBuf) -> Self {
        Self { server, room }
    }
}

impl Recovered for Restored {
    fn self_check(&mut self) -> Result<Checked, Trouble> {
        let (ending, said) = self.server.check()?;
        match ending {
            Ending::Exited(0) => {
                Ok(Checked { compared: NonZeroU64::new(keys_read(&said)), problems: Vec::new() })
            }
            Ending::Exited(_) => {
                let what = ask::complaint(&said);
                let problems = vec![Place { object: format!("file {FILE}"), what }];
                Ok(Checked { compared: None, problems })
            }
            ending => Err(environment(Error::NotChecked { how: ending.to_string() })),
        }
    }

    fn fingerprint(&mut self) -> Result<Fingerprint, Trouble> {
        self.server.save()?;
        let mut saved = file::open(&self.room, SAVED).map_err(environment)?;
        let held = rdb::read(&mut saved).map_err(environment)?;
        Ok(Fingerprint {
            parts: held.parts,
            schema: held.schema,
            ..Fingerprint::empty(Kind::Redis)
        })
    }

    fn first_answer(&mut self) -> Result<(), Trouble> {
        let mut session = self.server.session()?;
        session.must(&[b"DBSIZE"]).map(drop).map_err(environment)
    }

    fn query(
        &mut self,
        database: Option<&str>,
        sql: &str,
        limit: Duration,
    ) -> Result<Rows, Trouble> {
        ask::ask(self.server.session()?, database, sql, limit)
    }

    fn totals(&mut self, captured: &Fingerprint) -> Result<Vec<Total>, Trouble> {
        let mut keys: BTreeMap<&str, u64> = BTreeMap::new();
        for (name, part) in &captured.parts {
            let database = name.split(':').next().unwrap_or_default();
            *keys.entry(database).or_default() += part.rows;
        }
        let total = |(object, keys): (&str, u64)| Total {
            object: object.to_owned(),
            database: object.strip_prefix("db").map(str::to_owned),
            statement: "DBSIZE".to_owned(),
            at_capture: Some(keys),
        };
        Ok(keys.into_iter().map(total).collect())
    }

    fn files(&self) -> Option<&Path> {
        None
    }

    fn access(&mut self, _: &Scratch) -> Result<Option<Access>, Trouble> {
        Ok(Some(self.server.access()))
    }

    fn injure(&mut self, fault: Fault) -> Result<Option<Place>, Trouble> {
        let mut restored = file::open(&self.room, FILE).map_err(environment)?;
        let Some(key) = rdb::first(&mut restored).map_err(data)? else { return Ok(None) };
        injure::injure(self.server.session()?, &key, fault)
    }

    fn confinement(&self) -> Option<String> {
        Some(self.server.confinement())
    }

    fn stop(self: Box<Self>) -> Result<(), Trouble> {
        self.server.stop()
    }
}

/// `[info] 123 keys read`
fn keys_read(said: &str) -> u64 {
    let line = said.lines().find_map(|line| line.strip_suffix(" keys read"));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0)
}
