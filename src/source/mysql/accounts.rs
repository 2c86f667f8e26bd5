//! The server's accounts, roles and what they are granted.
//!
//! In: a session, what there is in the captured databases. Out: the text of `grants.sql`, a digest
//! for each account and for what it is granted, and what was left out of them. `SHOW GRANTS` tells of
//! grants on tables that were dropped since, which nobody can grant again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::super::{Gap, GapKind};
use super::Product;
use super::defaults;
use super::grant::{Grant, On, with_columns_in_order};
use super::names::{identifier, literal};
use super::session::{Error, Session};
use crate::ground::digest::Digest;

/// The account that a scratch server is asked as.
pub(super) const SCRATCH_USER: &str = "lifeboat_scratch";

/// The one as whom the owner's checks are asked: it may read, and nothing else.
pub(super) const SCRATCH_READER: &str = "lifeboat_reader";

/// MariaDB's role that everybody has.
const PUBLIC: &str = "PUBLIC";

/// The server's own databases.
const SYSTEM: [&str; 4] = ["mysql", "sys", "information_schema", "performance_schema"];

/// What can be granted on: by database and name.
#[derive(Debug, Clone, Default)]
pub(super) struct There {
    pub databases: BTreeSet<String>,
    pub tables: BTreeSet<(String, String)>,
    pub routines: BTreeSet<(String, String)>,
}

/// All accounts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Accounts {
    /// `grants.sql`
    pub text: String,
    pub objects: BTreeMap<String, Digest>,
    pub gaps: Vec<Gap>,
}

/// Finds what can be granted on in `databases`.
pub(super) fn there(session: &mut Session, databases: &[String]) -> Result<There, Error> {
    let mut there = There { databases: databases.iter().cloned().collect(), ..There::default() };
    let listed: Vec<String> = databases.iter().map(|name| literal(name)).collect();
    let listed = listed.join(", ");
    let mut pairs = |sql: String| {
        let rows = session.rows(&sql)?;
        Ok(rows.into_iter().filter_map(|row| match <[_; 2]>::try_from(row) {
            Ok([Some(database), Some(name)]) => Some((database, name)),
            _ => None,
        }))
    };
    there.tables.extend(pairs(format!(
        "SELECT TABLE_SCHEMA, TABLE_NAME FROM information_schema.TABLES
         WHERE TABLE_SCHEMA IN ({listed})"
    ))?);
    there.routines.extend(pairs(format!(
        "SELECT ROUTINE_SCHEMA, ROUTINE_NAME FROM information_schema.ROUTINES
         WHERE ROUTINE_SCHEMA IN ({listed})"
    ))?);
    Ok(there)
}

/// Reads all accounts.
pub(super) fn read(session: &mut Session, there: &There) -> Result<Accounts, Error> {
    let product = session.product();
    let rows = session.rows(product.accounts())?;
    let mut accounts = Accounts::default();
    let (mut made, mut granted, mut left_out) = (String::new(), String::new(), BTreeSet::new());
    for row in rows {
        let Ok([Some(user), Some(host), Some(is_role)]) = <[_; 3]>::try_from(row) else {
            return Err(session.unexpected("an account without a name"));
        };
        let is_scratchs = [SCRATCH_USER, SCRATCH_READER].contains(&user.as_str());
        if is_scratchs || product.own_accounts().contains(&user.as_str()) {
            continue;
        }
        let is_role = is_role == "1";
        let name = match (product, is_role, user.as_str()) {
            (Product::Mariadb, true, PUBLIC) => PUBLIC.to_owned(),
            (Product::Mariadb, true, _) => identifier(&user),
            _ => format!("{}@{}", identifier(&user), identifier(&host)),
        };
        let kind = if is_role { "role" } else { "user" };
        let definition = match product {
            Product::Mariadb if name == PUBLIC => Vec::new(),
            Product::Mariadb if is_role => vec![format!("CREATE ROLE IF NOT EXISTS {name}")],
            _ => definition(session, &name)?,
        };
        let (definition, defaults) = defaults::apart(&name, definition);
        for line in &definition {
            // Writing to a string cannot fail.
            let _ = writeln!(made, "{line};");
        }
        accounts.objects.insert(format!("{kind} {name}"), digest(&definition));
        let mut lines: BTreeSet<String> = defaults.into_iter().collect();
        for line in session.column(&format!("SHOW GRANTS FOR {name}"))? {
            match is_left_out(&line, there) {
                Some(object) => drop(left_out.insert(object)),
                None => drop(lines.insert(with_columns_in_order(&line))),
            }
        }
        // Roles are granted before one of them becomes somebody's default.
        let (defaults, grants): (Vec<_>, Vec<_>) =
            lines.iter().cloned().partition(|line| line.starts_with("SET DEFAULT ROLE "));
        for line in grants.iter().chain(&defaults) {
            let _ = writeln!(granted, "{line};");
        }
        let lines: Vec<String> = lines.into_iter().collect();
        accounts.objects.insert(format!("grants of {name}"), digest(&lines));
    }
    let names: Vec<String> = left_out.into_iter().collect();
    let gap = Gap { kind: GapKind::GrantsElsewhere, database: None, names };
    accounts.gaps.extend((!gap.names.is_empty()).then_some(gap));
    accounts.text = format!(
        "-- Accounts and grants. Run it with --force before the databases, for they name accounts,\n\
         -- and once more after them, for grants name tables.\nSET NAMES utf8mb4;\n\
         SET SESSION sql_mode = '';\n{made}{granted}"
    );
    Ok(accounts)
}

/// What makes an account again.
fn definition(session: &mut Session, name: &str) -> Result<Vec<String>, Error> {
    let lines = session.column(&format!("SHOW CREATE USER {name}"))?;
    let made = lines.into_iter().map(|line| match line.strip_prefix("CREATE USER ") {
        Some(rest) => format!("CREATE USER IF NOT EXISTS {rest}"),
        None => line,
    });
    Ok(made.collect())
}

/// The object of a grant that cannot be made again from what is captured.
fn is_left_out(line: &str, there: &There) -> Option<String> {
    let (database, name, known) = match Grant::read(line)?.on {
        On::Everything | On::Databases(_) => return None,
        On::Table { database, name } => (database, name, &there.tables),
        On::Routine { database, name } => (database, name, &there.routines),
    };
    let told = format!("{}.{}", identifier(&database), identifier(&name));
    let is_there = SYSTEM.contains(&database.as_str())
        || there.databases.contains(&database) && known.contains(&(database, name));
    (!is_there).then_some(told)
}

fn digest(lines: &[String]) -> Digest {
    Digest::of(lines.join("\n").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grants_on_what_is_not_captured_are_left_out_and_named() {
        let pair = |name: &str| ("shop".to_owned(), name.to_owned());
        let there = There {
            databases: ["shop".to_owned()].into(),
            tables: [pair("orders")].into(),
            routines: [pair("pay")].into(),
        };
        let of = |line| is_left_out(line, &there);

        assert_eq!(of("GRANT SELECT ON `shop`.`orders` TO `a`@`%`"), None);
        assert_eq!(of("GRANT SELECT ON `other`.* TO `a`@`%`"), None);
        assert_eq!(of("GRANT EXECUTE ON PROCEDURE `shop`.`pay` TO `a`@`%`"), None);
        assert_eq!(of("GRANT SELECT ON `shop`.`gone` TO `a`@`%`"), Some("`shop`.`gone`".into()));
        assert_eq!(of("GRANT SELECT ON `other`.`t` TO `a`@`%`"), Some("`other`.`t`".into()));
    }
}
