//! What a restore client complained of: whose fault it is, and what of it may be told.
//!
//! Messages quote rows; what goes on record must not.

use super::values::without_values;
use super::{Error, data, environment};
use crate::sandbox::{Ending, Finished};
use crate::source::Trouble;

/// Parts of messages that speak of this host and not of the data. A hostile dump can make a drill
/// inconclusive by them, never pass.
const OF_THE_HOST: [&str; 25] = [
    "No space left on device",
    // A disk that fills up within a page: the write is short, not refused.
    "could not extend file",
    "could not write to file",
    "Disk quota exceeded",
    "out of memory",
    "Cannot allocate memory",
    "out of shared memory",
    "could not resize shared memory",
    "could not fork",
    "could not create worker process",
    "too many clients",
    "could not load library",
    "could not access file \"$libdir",
    "could not open extension control file",
    "is not available",
    "invalid LC_COLLATE locale name",
    "invalid LC_CTYPE locale name",
    "could not create locale",
    "could not open collator",
    "is not supported by this build",
    "not supported in this build",
    "unsupported XML feature",
    "could not open dictionary file",
    "could not open stop-word file",
    // A scratch server preloads no library, so none vouches for labels.
    "security label provider",
];

/// Signs that the server went away, for whatever reason.
const OF_THE_SERVER: [&str; 4] = [
    "server closed the connection unexpectedly",
    "terminating connection",
    "connection to server",
    "the database system is",
];

/// Fails where a restore client did not end well or said that anything is wrong.
pub(super) fn none(program: &str, finished: &Finished) -> Result<(), Trouble> {
    let said: Vec<&str> = finished.stderr.lines().filter(|line| is_complaint(line)).collect();
    if finished.ending == Ending::Exited(0) && said.is_empty() {
        return Ok(());
    }
    let first = said.first().copied().unwrap_or("it did not say why");
    let told = Error::Program {
        program: program.to_owned(),
        how: finished.ending.to_string(),
        what: without_rows(first),
    };
    let is_of_the_host = said
        .iter()
        .any(|line| OF_THE_HOST.iter().chain(&OF_THE_SERVER).any(|sign| line.contains(sign)));
    let is_its_own = matches!(finished.ending, Ending::Exited(_));
    Err(if is_of_the_host || !is_its_own { environment(told) } else { data(told) })
}

fn is_complaint(line: &str) -> bool {
    ["error:", "ERROR:", "FATAL:", "PANIC:", "errors ignored"]
        .iter()
        .any(|sign| line.contains(sign))
}

/// A complaint about rows without what stood in them.
pub(in super::super) fn without_rows(line: &str) -> String {
    const COPY: &str = "COPY failed for table \"";
    let Some(begin) = line.find(COPY) else { return without_values(line.trim()) };
    match OF_THE_HOST.iter().find(|sign| line.contains(**sign)) {
        Some(sign) => format!("{}: {sign}", table(&line[begin..], COPY)),
        None => format!("{}: its rows were not accepted", table(&line[begin..], COPY)),
    }
}

fn table(line: &str, before: &str) -> String {
    let name = line[before.len()..].split("\": ").next().unwrap_or_default();
    format!("COPY failed for table {name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(code: i32, stderr: &str) -> Finished {
        Finished { ending: Ending::Exited(code), stdout: Vec::new(), stderr: stderr.to_owned() }
    }

    #[test]
    fn success_that_mentions_an_error_is_none() {
        assert!(none("pg_restore", &finished(0, "pg_restore: warning: x is deprecated")).is_ok());
        let said =
            none("pg_restore", &finished(0, "pg_restore: warning: errors ignored on restore: 1"));
        assert!(matches!(said, Err(Trouble::Data(_))), "{said:?}");
        assert!(matches!(none("psql", &finished(3, "")), Err(Trouble::Data(_))));
    }

    #[test]
    fn what_the_host_lacks_is_not_held_against_the_data() {
        for stderr in [
            "pg_restore: error: could not execute query: ERROR:  could not extend file \
             \"base/1/2\": No space left on device",
            "pg_restore: error: could not execute query: ERROR:  could not extend file \
             \"base/1/2\": wrote only 4096 of 8192 bytes at block 3685",
            "pg_restore: error: COPY failed for table \"t\": server closed the connection \
             unexpectedly",
            "psql: error: connection to server on socket failed",
        ] {
            let said = none("pg_restore", &finished(1, stderr));
            assert!(matches!(said, Err(Trouble::Environment(_))), "{said:?}");
        }
    }

    #[test]
    fn values_that_were_refused_do_not_show() {
        let stderr = "pg_restore: error: could not execute query: ERROR:  value \"4111\" is out \
                      of range for type integer";
        let Err(Trouble::Data(said)) = none("pg_restore", &finished(1, stderr)) else { panic!() };
        assert!(!said.to_string().contains("4111"), "{said}");
    }

    #[test]
    fn rows_do_not_show() {
        let stderr = "pg_restore: error: COPY failed for table \"orders\": ERROR:  invalid input \
                      syntax for type integer: \"canary\"\nCONTEXT:  COPY orders, line 1: \"canary\"";
        let Err(Trouble::Data(said)) = none("pg_restore", &finished(1, stderr)) else { panic!() };

        assert!(said.to_string().contains("table orders: its rows"), "{said}");
        assert!(!said.to_string().contains("canary"), "{said}");
    }
}
