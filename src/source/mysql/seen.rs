//! What a server's definitions and accounts are at one look: held against another, it tells whether
//! a dump in between was of one state.

use std::collections::{BTreeMap, BTreeSet};

use super::accounts::{self, Accounts};
use super::live::Live;
use super::names::literal;
use super::schema;
use super::session::{Error, Row};
use crate::ground::digest::Digest;

/// One look.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Seen {
    pub objects: BTreeMap<String, Digest>,
    pub accounts: Accounts,
    /// When tables, routines, triggers and events were made or changed: one that was dropped and
    /// made again as it was is another one.
    marks: Vec<Row>,
}

impl Seen {
    /// Looks at everything that is to be captured.
    pub fn of(live: &mut Live) -> Result<Self, Error> {
        let databases = live.names();
        let session = &mut live.session;
        let (mut objects, mut marks) = (BTreeMap::new(), Vec::new());
        for database in &databases {
            objects.extend(schema::of_database(session, database)?.objects);
            let wanted = literal(database);
            marks.extend(session.rows(&format!(
                "SELECT TABLE_NAME, CREATE_TIME FROM information_schema.TABLES
                   WHERE TABLE_SCHEMA = {wanted}
                 UNION ALL SELECT ROUTINE_NAME, LAST_ALTERED FROM information_schema.ROUTINES
                   WHERE ROUTINE_SCHEMA = {wanted}
                 UNION ALL SELECT TRIGGER_NAME, CREATED FROM information_schema.TRIGGERS
                   WHERE TRIGGER_SCHEMA = {wanted}
                 UNION ALL SELECT EVENT_NAME, LAST_ALTERED FROM information_schema.EVENTS
                   WHERE EVENT_SCHEMA = {wanted} ORDER BY 1, 2"
            ))?);
        }
        let there = accounts::there(session, &databases)?;
        let accounts = accounts::read(session, &there)?;
        Ok(Self { objects, accounts, marks })
    }

    /// Whether nothing changed between two looks.
    pub fn is_as(&self, other: &Self) -> bool {
        self == other
    }

    /// The first few objects that are not the same in another look.
    pub fn changed(&self, other: &Self) -> Vec<String> {
        let of = |one: &Self| -> BTreeMap<String, Digest> {
            one.objects.iter().chain(&one.accounts.objects).map(|(k, v)| (k.clone(), *v)).collect()
        };
        let (before, after) = (of(self), of(other));
        let names: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
        let changed = names.into_iter().filter(|name| before.get(*name) != after.get(*name));
        let changed: Vec<String> = changed.take(5).cloned().collect();
        // E.g. a table that was emptied, or made anew as it was.
        if changed.is_empty() { vec!["a table that looks as before".to_owned()] } else { changed }
    }
}
