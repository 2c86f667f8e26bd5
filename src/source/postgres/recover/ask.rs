//! The owner's check queries, asked of the restored database.

use std::time::Duration;

use super::super::Session;
use super::super::asking::{self, GRACE, TooLarge};
use super::super::session;
use super::values::without_values;
use super::{Error, data, environment, of_session};
use crate::sandbox;
use crate::source::{Rows, Trouble};

/// Answers one statement that only reads, within `limit`.
pub(super) fn ask(session: &mut Session, sql: &str, limit: Duration) -> Result<Rows, Trouble> {
    session.set_limit(limit.saturating_add(GRACE)).map_err(of_session)?;
    let read = session.run("BEGIN READ ONLY").and_then(|()| asking::read(session, sql, limit));
    read.map_err(|error| of_query(error, limit))?
        .map_err(|TooLarge| environment(Error::Query(Rows::TOO_LARGE)))
}

/// Something that is gone is the data's fault; a slip in the query is not.
fn of_query(error: session::Error, limit: Duration) -> Trouble {
    let session::Error::Refused { code, message, .. } = error else {
        return match error {
            session::Error::TimedOut { .. } => environment(sandbox::Error::TimedOut { limit }),
            error => environment(error),
        };
    };
    if code == "57014" {
        return environment(sandbox::Error::TimedOut { limit });
    }
    // Undefined tables, columns, functions and schemas; pages and indexes that are not sound.
    let is_gone = ["42P01", "42703", "42883", "3F000"].contains(&code.as_str());
    let error = Error::Refused { what: without_values(&message), code };
    match &error {
        Error::Refused { code, .. } if is_gone || code.starts_with("XX") => data(error),
        _ => environment(error),
    }
}
