//! A database pinned to one moment: tables locked first, seen after, definitions settled.
//!
//! In: a login and a database. Out: a [`Pinned`] transaction whose exported snapshot `pg_dump`
//! shares. Locks that only forbid dropping, altering and truncating are taken before the snapshot:
//! a table that was truncated in between would be empty in it, in the dump and in the fingerprint
//! alike. The server deparses definitions as they are now, whatever the snapshot, so they are looked
//! at before it and in it, and must be the same.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::super::Context;
use super::names::literal;
use super::schema;
use super::session::{Error, Session};
use super::tables::{self, Table};
use crate::ground::digest::Digest;

/// How often tables that came or went, or definitions that changed, make it begin again.
const ATTEMPTS: u32 = 5;

/// SQLSTATE of a relation that is gone; of a lock that was not given in time.
const UNDEFINED_TABLE: &str = "42P01";
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// A transaction that sees one moment until it is dropped.
pub(super) struct Pinned {
    pub session: Session,
    /// What `pg_export_snapshot()` called it.
    pub snapshot: String,
    /// A moment, by our clock, at which every later change was still to come.
    pub time: Timestamp,
    /// The same moment by the server's clock.
    pub server_time: String,
    pub tables: Vec<Table>,
    /// The definitions of this very moment: none changed between a look before and one after.
    pub schema: BTreeMap<String, Digest>,
}

impl Pinned {
    /// Pins the database of `session`; each lock is waited for as long as `lock_timeout`.
    pub fn new(
        mut session: Session,
        lock_timeout: Duration,
        context: &Context,
    ) -> Result<Self, Error> {
        session.run(&format!("SET lock_timeout = {}", lock_timeout.as_millis()))?;
        for _ in 0..ATTEMPTS {
            let tables = tables::stored(&mut session)?;
            let schema = schema::of_database(&mut session)?;
            session.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")?;
            match lock(&mut session, &tables) {
                Ok(()) => {}
                Err(Error::Refused { code, .. }) if code == UNDEFINED_TABLE => {
                    session.run("ROLLBACK")?;
                    continue;
                }
                Err(error) => return Err(error),
            }
            let time = context.clock.now();
            let seen = session.row("SELECT pg_export_snapshot(), statement_timestamp()")?;
            let [Some(snapshot), Some(server_time)] = seen.as_slice() else {
                return Err(session.unexpected("no snapshot"));
            };
            let (snapshot, server_time) = (snapshot.clone(), server_time.clone());
            let is_settled = tables::stored(&mut session)? == tables
                && schema::of_database(&mut session)? == schema;
            if is_settled {
                return Ok(Self { session, snapshot, time, server_time, tables, schema });
            }
            session.run("ROLLBACK")?;
        }
        Err(session.unexpected(format!(
            "its schema changes so fast that {ATTEMPTS} attempts to pin it failed"
        )))
    }
}

/// Locks tables one by one, so that a refusal can name its table. LOCK TABLE before any query
/// takes no snapshot: <https://www.postgresql.org/docs/15/sql-lock.html>.
fn lock(session: &mut Session, tables: &[Table]) -> Result<(), Error> {
    for table in tables {
        let locked = session.run(&format!("LOCK TABLE ONLY {} IN ACCESS SHARE MODE", table.sql()));
        match locked {
            Err(Error::Refused { database, code, message }) if code == LOCK_NOT_AVAILABLE => {
                let message = format!("table {}.{}: {message}", table.schema, table.name);
                return Err(Error::Refused { database, code, message });
            }
            other => other?,
        }
    }
    Ok(())
}

/// The roles that the session's database refers to, as SQL names them: owners, grantees.
pub(super) fn roles_used(session: &mut Session) -> Result<Vec<String>, Error> {
    let database = literal(session.database());
    session.column(&format!(
        "SELECT DISTINCT format('%I', r.rolname)
         FROM pg_shdepend s
         JOIN pg_roles r ON r.oid = s.refobjid
         WHERE s.refclassid = 'pg_authid'::regclass
           AND (s.dbid = (SELECT oid FROM pg_database WHERE datname = {database})
             OR s.dbid = 0 AND s.classid = 'pg_database'::regclass
               AND s.objid = (SELECT oid FROM pg_database WHERE datname = {database}))
           AND r.rolname !~ '^pg_'
         ORDER BY 1"
    ))
}
