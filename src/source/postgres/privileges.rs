//! What the login cannot see, found before anything is dumped.
//!
//! In: a session on a database. Out: [`Hidden`] things, each with the statement that mends it.
//! What is hidden would be missing from the dump and from the fingerprint alike, and equality
//! would hold. `lifeboat grants` prints the statements for a login that has nothing yet.

use super::extensions::{CARRIED, MAKER};
use super::names::identifier;
use super::session::{Error, Session};
use super::tables::USERS_SCHEMA;

/// How many names of one kind a message lists.
const MOST_NAMED: usize = 20;

/// Something that the login cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Hidden {
    /// E.g. `shop: table sales.orders cannot be read`.
    pub what: String,
    /// SQL for somebody who may.
    pub remedy: String,
}

/// All that `session`'s login cannot see of its database.
pub(super) fn hidden(session: &mut Session) -> Result<Vec<Hidden>, Error> {
    let user = session.value("SELECT current_user")?;
    let mut found = Vec::new();
    for (query, what, remedy) in [
        (schemas(), "cannot be used", format!("GRANT pg_read_all_data TO {}", identifier(&user))),
        (relations(), "cannot be read", format!("GRANT pg_read_all_data TO {}", identifier(&user))),
        (
            guarded(),
            "has row-level security, which hides rows",
            format!("ALTER ROLE {} BYPASSRLS", identifier(&user)),
        ),
    ] {
        let names = session.column(&query)?;
        found.extend(told(session.database(), &names, what, &remedy));
    }
    let objects = session.column(&large_objects())?;
    let numbers: Vec<&str> =
        objects.iter().map(|name| name.trim_start_matches("large object ")).collect();
    let remedy = if numbers.len() <= MOST_NAMED {
        format!("GRANT SELECT ON LARGE OBJECT {} TO {}", numbers.join(", "), identifier(&user))
    } else {
        "what `lifeboat grants` prints for large objects".to_owned()
    };
    found.extend(told(session.database(), &objects, "cannot be read", &remedy));
    Ok(found)
}

/// One finding for things of one kind.
fn told(database: &str, names: &[String], what: &str, remedy: &str) -> Option<Hidden> {
    let first = names.get(..MOST_NAMED.min(names.len()))?;
    if first.is_empty() {
        return None;
    }
    let more = names.len() - first.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(Hidden {
        what: format!("{database}: {}{more} {what}", first.join(", ")),
        remedy: format!("{remedy};"),
    })
}

fn schemas() -> String {
    format!(
        "SELECT format('schema %I', n.nspname) FROM pg_namespace n
         WHERE {USERS_SCHEMA} AND NOT has_schema_privilege(n.oid, 'USAGE')
           AND EXISTS (SELECT FROM pg_class c WHERE c.relnamespace = n.oid) ORDER BY 1"
    )
}

fn relations() -> String {
    format!(
        "SELECT format('%s %I.%I', CASE c.relkind WHEN 'S' THEN 'sequence' ELSE 'table' END,
           n.nspname, c.relname)
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         {MAKER}
         WHERE c.relpersistence <> 't' AND {USERS_SCHEMA} AND {CARRIED}
           AND (c.relkind IN ('r', 'p') AND NOT has_table_privilege(c.oid, 'SELECT')
             OR c.relkind = 'S' AND NOT has_sequence_privilege(c.oid, 'SELECT'))
         ORDER BY 1"
    )
}

fn guarded() -> String {
    format!(
        "SELECT format('table %I.%I', n.nspname, c.relname)
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         {MAKER}
         WHERE c.relkind IN ('r', 'p') AND c.relrowsecurity AND {USERS_SCHEMA} AND {CARRIED}
           AND row_security_active(c.oid) ORDER BY 1"
    )
}

/// `pg_read_all_data` does not reach large objects.
fn large_objects() -> String {
    "SELECT format('large object %s', m.oid) FROM pg_largeobject_metadata m
     WHERE current_setting('lo_compat_privileges') <> 'on'
       AND NOT (SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user)
       AND NOT pg_has_role(m.lomowner, 'USAGE')
       AND NOT EXISTS (SELECT FROM aclexplode(m.lomacl) g WHERE g.privilege_type = 'SELECT'
         AND (g.grantee = 0 OR pg_has_role(g.grantee, 'USAGE')))
     ORDER BY m.oid"
        .to_owned()
}
