//! What a client or the server complained of: whose fault it is, and what of it may be told.
//!
//! Messages quote rows; what goes on record must not.

use super::{Error, data, environment};
use crate::sandbox::{Ending, Finished};
use crate::source::Trouble;

/// Numbers of errors that speak of this host: memory, disk, the connection, and what is not
/// installed. A hostile dump can make a drill inconclusive by them, never pass.
const OF_THE_HOST: [u16; 19] = [
    1021, // disk full
    1037, // out of memory
    1038, // out of sort memory
    1041, // out of resources
    1053, // server shutdown
    1114, // a table is full: there is no room for its file
    1115, // unknown character set
    1126, // a library cannot be opened
    1127, // a function is not in a library
    1135, // no thread can be made
    1273, // unknown collation
    1286, // unknown storage engine
    1298, // unknown time zone
    1524, // a plugin is not loaded
    2002, // no connection
    2006, // the server has gone away
    2013, // the connection was lost
    2026, // TLS
    1040, // too many connections
];

/// Parts of other messages that do so.
const SIGNS: [&str; 4] =
    ["No space left on device", "Disk quota exceeded", "\"No space", "errno: 28 "];

/// Errors that quote names and no values.
const OF_NAMES: [u16; 18] = [
    1008, 1044, 1049, 1050, 1051, 1060, 1061, 1072, 1091, 1115, 1142, 1146, 1227, 1273, 1286, 1298,
    1305, 1524,
];

/// Whether an error speaks of this host and not of the data.
pub(super) fn is_of_the_host(number: u16, message: &str) -> bool {
    OF_THE_HOST.contains(&number) || SIGNS.iter().any(|sign| message.contains(sign))
}

/// Fails where a client did not end well or said that anything is wrong.
pub(super) fn none(client: &str, script: &str, finished: &Finished) -> Result<(), Trouble> {
    told(client, script, finished, finished.stderr.lines().find(|line| line.starts_with("ERROR")))
}

/// Fails where a client that was told to go on did not end by itself, or complained of the host.
pub(super) fn none_of_the_host(
    client: &str,
    script: &str,
    finished: &Finished,
) -> Result<(), Trouble> {
    let of_the_host = finished.stderr.lines().find(|line| {
        line.starts_with("ERROR") && number(line).is_some_and(|number| is_of_the_host(number, line))
    });
    match finished.ending {
        Ending::Exited(_) if of_the_host.is_none() => Ok(()),
        _ => told(client, script, finished, of_the_host),
    }
}

fn told(
    client: &str,
    script: &str,
    finished: &Finished,
    said: Option<&str>,
) -> Result<(), Trouble> {
    if finished.ending == Ending::Exited(0) && said.is_none() {
        return Ok(());
    }
    let number = said.and_then(number).unwrap_or(0);
    let told = Error::Program {
        program: client.to_owned(),
        what_of: script.to_owned(),
        how: finished.ending.to_string(),
        what: without_values(number, said.unwrap_or("it did not say why")),
    };
    let is_its_own = matches!(finished.ending, Ending::Exited(_));
    let is_of_the_host = said.is_some_and(|line| is_of_the_host(number, line));
    Err(if is_of_the_host || !is_its_own { environment(told) } else { data(told) })
}

/// The number in `ERROR 1062 (23000) at line 7: …`.
fn number(line: &str) -> Option<u16> {
    line.strip_prefix("ERROR ")?.split_whitespace().next()?.parse().ok()
}

/// A line of a client's complaints without the values that it quotes.
pub(in super::super) fn told_of(line: &str) -> String {
    without_values(number(line).unwrap_or(0), line)
}

/// A message without the values that it quotes; names stay. A value may hold quotes itself, so that
/// everything from the first to the last one goes.
pub(in super::super) fn without_values(number: u16, message: &str) -> String {
    if OF_NAMES.contains(&number) {
        return message.to_owned();
    }
    match (message.find('\''), message.rfind('\'')) {
        (Some(first), Some(last)) if first < last => {
            format!("{}'…'{}", &message[..first], &message[last + 1..])
        }
        (Some(first), _) => format!("{}'…", &message[..first]),
        _ => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finished(code: i32, stderr: &str) -> Finished {
        Finished { ending: Ending::Exited(code), stdout: Vec::new(), stderr: stderr.to_owned() }
    }

    #[test]
    fn an_error_is_the_datas_unless_it_speaks_of_the_host() {
        let of = |stderr| none("mariadb", "shop.sql", &finished(1, stderr)).unwrap_err();

        assert!(none("mariadb", "shop.sql", &finished(0, "")).is_ok());
        assert!(matches!(of(""), Trouble::Data(_)));
        let syntax = "ERROR 1064 (42000) at line 7: You have an error near 'canary' at line 1";
        assert!(matches!(of(syntax), Trouble::Data(_)));
        for host in [
            "ERROR 2013 (HY000) at line 7: Lost connection to server during query",
            "ERROR 1298 (HY000) at line 7: Unknown or incorrect time zone: 'Mars/Olympus'",
            "ERROR 3 (HY000) at line 7: Error writing file (Errcode: 28 \"No space left on device\")",
        ] {
            assert!(matches!(of(host), Trouble::Environment(_)), "{host}");
        }
        assert!(
            none("mariadb", "shop.sql", &finished(0, syntax)).is_err(),
            "it exited 0 all the same"
        );
        assert!(none_of_the_host("mariadb", "grants.sql", &finished(1, syntax)).is_ok());
    }

    #[test]
    fn values_do_not_show_and_names_do() {
        let duplicate = "ERROR 1062 (23000) at line 9: Duplicate entry '4111'x' for key 'PRIMARY'";
        assert!(!without_values(1062, duplicate).contains("4111"));
        let missing = "ERROR 1146 (42S02) at line 9: Table 'shop.orders' doesn't exist";
        assert_eq!(without_values(1146, missing), missing);
        assert_eq!(without_values(1064, "near 'canary"), "near '…");
    }
}
