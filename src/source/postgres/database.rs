//! One database of a capture: dumped and fingerprinted in one snapshot at the same time.
//!
//! In: a live server, a sink. Out: a [`Dumped`] database. `pg_dump` streams while this thread reads
//! rows; then the two are held against each other: every table's rows, every sequence, every large
//! object that the server has must be in the dump.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::super::streamed::{self, put};
use super::super::{Answered, Context, Error, Fingerprint, Kind, Part, Question, Sink};
use super::archive::Contents;
use super::client::Client;
use super::cluster::Database;
use super::dump::{self, Dump, Plan};
use super::live::{Live, engine_error};
use super::pinned::{self, Pinned};
use super::session::{self, Session};
use super::{asking, describe, file_of, fingerprint, proof, sequences};
use crate::policy::sources::ServerSettings;
use crate::source::running;

/// What all databases of a run have in common.
pub(super) struct Run<'a> {
    pub settings: &'a ServerSettings,
    pub live: &'a Live,
    pub client: &'a Client,
    pub context: &'a Context,
    pub out: &'a dyn Sink,
}

/// A database that is in the repository.
pub(super) struct Dumped {
    pub fingerprint: Fingerprint,
    /// The moment of its snapshot, by our clock.
    pub time: Timestamp,
    pub bytes: u64,
    pub described: Database,
    pub answers: Vec<Answered>,
    /// The roles that it refers to, as SQL names them.
    pub roles: Vec<String>,
}

impl Run<'_> {
    /// Captures one database.
    pub fn database(&self, database: &str) -> Result<Dumped, Error> {
        let failed = |error| engine_error(format!("database {database}"), error);
        let mut pinned = self.pin(database).map_err(failed)?;
        let sequences = sequences::stored(&mut pinned.session).map_err(failed)?;
        let low = sequences::values(&mut pinned.session, &sequences).map_err(failed)?;
        let (parts, contents) = self.dump(database, &mut pinned)?;
        let high = sequences::values(&mut pinned.session, &sequences).map_err(failed)?;
        let answers = self.ask(database, &mut pinned.session).map_err(failed)?;
        proof::unchanged(database, &mut pinned)?;
        let mut found = Fingerprint {
            parts,
            schema: pinned.schema.clone(),
            ..Fingerprint::empty(Kind::Postgres)
        };
        let standing =
            proof::whole(database, &pinned, &sequences, (&low, &high), &found, &contents)?;
        found.parts.extend(standing);
        let roles = pinned::roles_used(&mut pinned.session).map_err(failed)?;
        let Pinned { mut session, time, server_time, .. } = pinned;
        let described = describe::database(&mut session, server_time).map_err(failed)?;
        Ok(Dumped { fingerprint: found, time, bytes: contents.bytes, described, answers, roles })
    }

    fn pin(&self, database: &str) -> Result<Pinned, session::Error> {
        let Self { settings, live, context, .. } = self;
        let limit = settings.statement_deadline;
        let session = Session::open(&live.login, database, limit, context.interrupted.clone())?;
        Pinned::new(session, settings.lock_timeout, context)
    }

    /// What the drills ask of this database: of the only one where they name none.
    fn ask(&self, database: &str, session: &mut Session) -> Result<Vec<Answered>, session::Error> {
        let is_only = self.live.databases.len() == 1;
        let of_it = |question: &&Question| match &question.database {
            Some(named) => named == database,
            None => is_only,
        };
        let questions = self.context.questions.iter().filter(of_it);
        asking::answers(session, questions, self.settings.statement_deadline, self.context)
    }

    /// Lets the dump stream while the rows are read here; returns what both saw.
    fn dump(
        &self,
        database: &str,
        pinned: &mut Pinned,
    ) -> Result<(BTreeMap<String, Part>, Contents), Error> {
        let (dump, ending) = Dump::new(Plan {
            client: self.client.clone(),
            program: self.live.engine.program("pg_dump"),
            database: database.to_owned(),
            snapshot: pinned.snapshot.clone(),
            lock_timeout: self.settings.lock_timeout,
            silence: self.settings.statement_deadline,
            interrupted: self.context.interrupted.clone(),
        });
        put(self.out, &file_of(database), dump, self.context)?;
        let read = fingerprint::parts(&mut pinned.session);
        if read.is_err() {
            ending.abandon();
        }
        let skipped = self.out.settle()?;
        match (read, ending.outcome()) {
            // A dump that failed tells more of it than that it was left out, or that the session
            // was taken along.
            (Err(_), Err(why @ dump::Error::Ended(running::Error::Failed { .. })))
            | (Ok(_), Err(why)) => Err(dump::refused(database, why)),
            (Err(error), _) => Err(engine_error(format!("database {database}"), error)),
            (Ok(parts), Ok(contents)) => {
                streamed::none_left_out(skipped)?;
                Ok((parts, contents))
            }
        }
    }
}
