//! The schema: every object that a dump carries, as the digest of its definition.
//!
//! In: a session. Out: digests by object, e.g. `shop: index public.orders_by_day`. Definitions
//! come from the server's own deparsing wherever it has any, with names written in full, and hold
//! no object ids and no physical order, so that a restored copy under the same major version
//! gives the same ones. Left out is what a dump leaves out: what an extension made but for grants,
//! subscriptions, tablespaces, invalid indexes.

mod access;
mod cluster;
mod deparsed;
mod relations;
mod routines;
mod services;
mod supplied;
mod types;

use std::collections::BTreeMap;

use super::extensions::own;
use super::names::readable;
use super::session::{Error, Session};
use crate::ground::digest::{Digest, Hasher};

/// The objects of the session's database, the database itself among them.
pub fn of_database(session: &mut Session) -> Result<BTreeMap<String, Digest>, Error> {
    let queries = [
        access::queries(),
        relations::queries(),
        routines::queries(),
        services::queries(),
        supplied::queries(),
        types::queries(),
    ]
    .concat();
    let prefix = format!("{}: ", readable(session.database()));
    gather(session, &prefix, &queries)
}

/// The objects that all databases of a server share: roles, memberships and their settings.
pub fn of_cluster(session: &mut Session) -> Result<BTreeMap<String, Digest>, Error> {
    let mut queries = cluster::queries();
    if session.value(READS_PASSWORDS)? == "t" {
        queries.push(cluster::passwords());
    }
    gather(session, "", &queries)
}

/// Whether the login may read the hashes of passwords.
const READS_PASSWORDS: &str = "SELECT has_table_privilege('pg_authid', 'SELECT')";

/// Runs the queries. Each row is an object's name and parts of its definition; rows of one object
/// add up, in the order in which they come.
fn gather(
    session: &mut Session,
    prefix: &str,
    queries: &[String],
) -> Result<BTreeMap<String, Digest>, Error> {
    let mut found: BTreeMap<String, Hasher> = BTreeMap::new();
    for query in queries {
        for row in session.rows(query)? {
            let mut parts = row.into_iter();
            let Some(Some(object)) = parts.next() else {
                return Err(session.unexpected("an object without a name"));
            };
            let hasher = found.entry(format!("{prefix}{object}")).or_default();
            hasher.update(&[ROW]);
            for part in parts {
                match part.as_deref().map(deparsed::settled) {
                    None => hasher.update(&[NULL]),
                    Some(text) => {
                        hasher.update(&[TEXT]);
                        hasher.update(&(text.len() as u64).to_le_bytes());
                        hasher.update(text.as_bytes());
                    }
                }
            }
        }
    }
    Ok(found.into_iter().map(|(object, hasher)| (object, hasher.finish())).collect())
}

/// What begins a row, an absent part and a text in the bytes that are hashed.
const ROW: u8 = 2;
const NULL: u8 = 0;
const TEXT: u8 = 1;

/// SQL for an array of options as text, in order.
fn sorted(array: &str) -> String {
    format!("(SELECT string_agg(o, ',' ORDER BY o COLLATE \"C\") FROM unnest({array}) o)")
}

/// SQL for the name of an object's owner.
fn owner(column: &str) -> String {
    format!("pg_get_userbyid({column})")
}

/// SQL for a catalogue's row as text, without the columns `but`: for catalogues whose columns
/// differ between versions.
fn whole(alias: &str, but: &[&str]) -> String {
    without(&format!("to_jsonb({alias})"), but)
}

/// SQL for a row that is an object of JSON as text, without the columns `but`.
fn without(row: &str, but: &[&str]) -> String {
    format!("({row} - '{{{}}}'::text[])::text", but.join(","))
}
