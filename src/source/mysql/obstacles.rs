//! What keeps databases from being dumped whole, found before anything is locked or dumped.
//!
//! Out: one sentence with what to do. The dumping program stops at a view that cannot be used, after
//! hours where it is the last one. What a masking policy hides from the login would be missing from
//! dump and fingerprint alike, and equality would hold.

use super::Product;
use super::names::{identifier, literal, readable};
use super::session::{Error, Session, number};

/// Of several obstacles so many are told.
const MOST_TOLD: usize = 10;

/// What stands in the way in `databases`; none where nothing does.
pub(super) fn of(session: &mut Session, databases: &[&str]) -> Result<Option<String>, Error> {
    let (mut broken, mut masked) = (Vec::new(), Vec::new());
    for database in databases {
        broken.extend(broken_views(session, database)?);
        if session.product() == Product::Mysql {
            masked.extend(masked_columns(session, database)?);
        }
    }
    let views = (!broken.is_empty()).then(|| {
        format!(
            "views that cannot be used keep the database from being dumped: {}; mend them (ALTER VIEW, \
             or GRANT EXECUTE on the functions that they call), bring back what they use, or drop them \
             (DROP VIEW)",
            told(&broken)
        )
    });
    let columns = (!masked.is_empty()).then(|| {
        format!(
            "columns under a masking policy may be read masked, and their values would be lost \
             unseen: {}; lifeboat was not tried with them: take the policies off (ALTER TABLE … MODIFY)",
            told(&masked)
        )
    });
    let all: Vec<String> = views.into_iter().chain(columns).collect();
    Ok((!all.is_empty()).then(|| all.join("; ")))
}

/// Whether there are masking policies: of the server, and in no database's dump.
pub(super) fn has_policies(session: &mut Session) -> Result<bool, Error> {
    let table = "TABLE_SCHEMA = 'mysql' AND TABLE_NAME = 'column_masking_policies'";
    let sql = format!("SELECT COUNT(*) FROM information_schema.TABLES WHERE {table}");
    if session.product() == Product::Mariadb || session.value(&sql)? == "0" {
        return Ok(false);
    }
    Ok(session.value("SELECT COUNT(*) FROM mysql.column_masking_policies")? != "0")
}

/// Views of a database that use what is gone or forbidden, each with what the server says of it.
fn broken_views(session: &mut Session, database: &str) -> Result<Vec<String>, Error> {
    let views = session.column(&format!(
        "SELECT TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = {} ORDER BY 1",
        literal(database)
    ))?;
    let mut broken = Vec::new();
    for view in views {
        // As the dumping program asks, and as the same account.
        let sql = format!("SHOW FIELDS FROM {}.{}", identifier(database), identifier(&view));
        match session.run(&sql) {
            // Dropped since it was listed.
            Ok(()) | Err(Error::Refused { number: number::NO_SUCH_TABLE, .. }) => {}
            Err(Error::Refused { number, message, .. }) => {
                let name = format!("{}.{}", readable(database), readable(&view));
                broken.push(format!("{name} ({message}, error {number})"));
            }
            Err(error) => return Err(error),
        }
    }
    Ok(broken)
}

fn masked_columns(session: &mut Session, database: &str) -> Result<Vec<String>, Error> {
    let rows = session.rows(&format!(
        "SELECT TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS
         WHERE TABLE_SCHEMA = {} AND EXTRA LIKE '%MASKING POLICY%' ORDER BY 1, ORDINAL_POSITION",
        literal(database)
    ))?;
    let name = |row: Vec<Option<String>>| {
        let parts = [Some(database.to_owned())].into_iter().chain(row).flatten();
        parts.map(|part| readable(&part)).collect::<Vec<_>>().join(".")
    };
    Ok(rows.into_iter().map(name).collect())
}

fn told(what: &[String]) -> String {
    let more = what.len().saturating_sub(MOST_TOLD);
    let told = what.iter().take(MOST_TOLD).cloned().collect::<Vec<_>>().join(", ");
    if more == 0 { told } else { format!("{told}, and {more} more") }
}
