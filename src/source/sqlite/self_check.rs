//! The engine's own consistency checks on a restored database. Only in the confined child.
//!
//! In: an open connection. Out: pages looked at and what is wrong, each with the table or index
//! it is wrong in. `integrity_check` sees structure, never values: that is the fingerprint's part.

use rusqlite::{Connection, ErrorCode};

use super::super::Place;
use super::protocol::Failure;
use super::restored::message;
use super::tables;

/// More problems than this are not listed: the database is lost either way.
const MOST_PROBLEMS: usize = 100;

/// Runs `integrity_check` and `foreign_key_check`; tells the number of pages and the problems.
pub(super) fn self_check(connection: &Connection) -> Result<(u64, Vec<Place>), Failure> {
    let pages: u32 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
    let mut problems = integrity(connection)?;
    if problems.is_empty() {
        problems = foreign_keys(connection)?;
    }
    Ok((u64::from(pages), problems))
}

fn integrity(connection: &Connection) -> Result<Vec<Place>, Failure> {
    let whole = format!("PRAGMA integrity_check({MOST_PROBLEMS})");
    match run(connection, &whole) {
        Ok(problems) => Ok(problems),
        // Too damaged for the check itself: table by table it can at least be told where.
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => {
            let mut problems = Vec::new();
            for table in tables::stored(connection)? {
                let one = format!("PRAGMA integrity_check({})", tables::quote(&table.name));
                match run(connection, &one) {
                    Ok(found) => problems.extend(found),
                    Err(error) => {
                        problems.push(Place { object: table.object(), what: message(&error) });
                    }
                }
            }
            if problems.is_empty() {
                problems.push(Place { object: "database".to_owned(), what: message(&error) });
            }
            problems.truncate(MOST_PROBLEMS);
            Ok(problems)
        }
        Err(error) => Err(error.into()),
    }
}

fn run(connection: &Connection, pragma: &str) -> rusqlite::Result<Vec<Place>> {
    let mut statement = connection.prepare(pragma)?;
    let mut said = statement
        .query_map([], |row| row.get::<_, String>(0))?
        .collect::<rusqlite::Result<Vec<_>>>()?;
    if said == ["ok"] {
        said.clear();
    }
    let lines = said.iter().flat_map(|said| said.lines()).filter(|line| !line.starts_with("***"));
    let mut problems: Vec<_> = lines
        .map(|line| Place { object: object(connection, line), what: line.to_owned() })
        .collect();
    if problems.is_empty() && !said.is_empty() {
        problems.push(Place { object: "database".to_owned(), what: said.join("; ") });
    }
    Ok(problems)
}

/// The table or index that a line of `integrity_check` is about, as far as it says so.
fn object(connection: &Connection, line: &str) -> String {
    let page = line.strip_prefix("Tree ").and_then(|rest| rest.split(' ').next());
    let by_page = page.and_then(|page| page.parse::<u32>().ok()).and_then(|page| {
        let sql = "SELECT type || ' ' || name FROM main.sqlite_schema WHERE rootpage = ?1";
        // A schema that cannot be read here is a problem that integrity_check lists itself.
        connection.query_row(sql, [page], |row| row.get::<_, String>(0)).ok()
    });
    let after = |marker: &str| line.split_once(marker).map(|(_, name)| name);
    by_page
        .or_else(|| {
            let index = after("missing from index ")
                .or_else(|| after("wrong # of entries in index "))
                .or_else(|| after("non-unique entry in index "));
            index.map(|name| format!("index {name}"))
        })
        .or_else(|| after("constraint failed in ").map(|name| format!("table {name}")))
        .unwrap_or_else(|| "database".to_owned())
}

fn foreign_keys(connection: &Connection) -> Result<Vec<Place>, Failure> {
    let mut statement = connection.prepare(
        "SELECT parent, count(*) FROM pragma_foreign_key_check(?1, 'main') GROUP BY parent",
    )?;
    let mut problems = Vec::new();
    for table in tables::stored(connection)? {
        let found = statement
            .query_map([&table.name], |row| Ok((row.get(0)?, row.get(1)?)))
            .and_then(Iterator::collect::<rusqlite::Result<Vec<(String, i64)>>>);
        match found {
            Ok(found) => problems.extend(found.into_iter().map(|(parent, rows)| Place {
                object: table.object(),
                what: format!("{rows} references to rows that table {parent} does not have"),
            })),
            // A key that refers to columns which are not unique: SQLite calls it a mismatch.
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::Unknown) => {
                problems.push(Place { object: table.object(), what: message(&error) });
            }
            Err(error) => return Err(error.into()),
        }
        problems.truncate(MOST_PROBLEMS);
    }
    Ok(problems)
}
