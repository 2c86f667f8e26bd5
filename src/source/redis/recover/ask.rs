//! The owner's check queries: one command of Redis that only reads, its answer as rows.

use std::time::Duration;

use super::super::session::Error as Said;
use super::super::{Reply, Session};
use super::{Error, data, environment, words};
use crate::sandbox;
use crate::source::{Cell, Rows, Trouble};

/// Who asks: a user that may do nothing but read.
const READER: &[u8] = b"lifeboat-reader";

/// Asks `command` of the database with the number `database`, the first one where none is named.
pub(super) fn ask(
    mut session: Session,
    database: Option<&str>,
    command: &str,
    limit: Duration,
) -> Result<Rows, Trouble> {
    let Some(words) = words::split(command).filter(|words| !words.is_empty()) else {
        return Err(environment(Error::Query("the query is no command: a quote is not closed")));
    };
    let refused = || data(Error::Query("the database is not in the recovery point"));
    if let Reply::Error(_) =
        session.ask(&[b"SELECT", database.unwrap_or("0").as_bytes()]).map_err(environment)?
    {
        return Err(refused());
    }
    become_reader(&mut session).map_err(environment)?;
    session.set_silence(limit);
    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
    match session.ask(&words) {
        Ok(Reply::Error(said)) => Err(of_refusal(&said)),
        Ok(reply) => Ok(Rows { columns: vec!["answer".to_owned()], rows: rows(reply) }),
        Err(Said::Silent { .. }) => Err(environment(sandbox::Error::TimedOut { limit })),
        Err(error) => Err(environment(error)),
    }
}

fn become_reader(session: &mut Session) -> Result<(), Said> {
    let mut made: Vec<&[u8]> = vec![b"ACL", b"SETUSER", READER];
    let rights = "reset on nopass ~* -@all +@read";
    made.extend(rights.split(' ').map(str::as_bytes));
    session.must(&made)?;
    session.must(&[b"AUTH", READER, b"none"])?;
    Ok(())
}

/// A key of another type is the data's fault; a slip in the command is not. What is told holds no
/// word of the command or the data.
fn of_refusal(said: &str) -> Trouble {
    let code = said.split(' ').next().unwrap_or_default();
    let said = match code {
        "WRONGTYPE" => "a key holds a value of another type",
        "NOPERM" => "it may only read",
        _ => "Redis does not take the command",
    };
    let error = Error::Refused { said: format!("{said} ({code})") };
    if code == "WRONGTYPE" { data(error) } else { environment(error) }
}

/// A list has a row for each of its values, which may be lists in turn; anything else is one row.
fn rows(reply: Reply) -> Vec<Vec<Cell>> {
    match reply {
        Reply::List(list) => list
            .into_iter()
            .map(|row| match row {
                Reply::List(cells) => cells.into_iter().map(cell).collect(),
                one => vec![cell(one)],
            })
            .collect(),
        one => vec![vec![cell(one)]],
    }
}

/// A text that is a number counts as one: Redis has no others.
fn cell(reply: Reply) -> Cell {
    let text = match reply {
        Reply::Integer(number) => return Cell::Integer(number),
        Reply::Nil => return Cell::Null,
        Reply::Status(text) | Reply::Error(text) => text,
        Reply::Text(bytes) => match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(not_text) => return Cell::Blob(not_text.into_bytes()),
        },
        Reply::List(_) => return Cell::Text("(a list)".to_owned()),
    };
    let whole = text.parse().ok().filter(|number: &i64| number.to_string() == text);
    let begins_as_number = text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let real = || text.parse().ok().filter(|number: &f64| number.is_finite() && begins_as_number);
    match (whole, real()) {
        (Some(number), _) => Cell::Integer(number),
        (None, Some(number)) => Cell::Real(number),
        (None, None) => Cell::Text(text),
    }
}

/// What `redis-check-rdb` found wrong, without the names of keys:
/// `--- RDB ERROR DETECTED ---`, and on the next line `[offset 40] Unexpected EOF reading RDB file`.
pub(super) fn complaint(said: &str) -> String {
    let wrong = said.lines().skip_while(|line| !line.contains("ERROR DETECTED")).nth(1);
    let what = wrong
        .map_or("it did not say why", |line| line.split_once("] ").map_or(line, |(_, what)| what));
    format!("redis-check-rdb: {}", what.split(" '").next().unwrap_or_default().trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_become_rows_and_numbers_stay_numbers() {
        let text = |text: &str| Reply::Text(text.as_bytes().to_vec());

        assert_eq!(rows(Reply::Integer(5)), [[Cell::Integer(5)]]);
        assert_eq!(rows(Reply::Nil), [[Cell::Null]]);
        let list = Reply::List(vec![text("12"), text("1.5"), text("007"), text("nan"), text("a")]);
        let cells: Vec<Cell> = rows(list).into_iter().flatten().collect();
        assert_eq!(cells[..2], [Cell::Integer(12), Cell::Real(1.5)]);
        assert_eq!(cells[3..], [Cell::Text("nan".into()), Cell::Text("a".into())]);
        let pairs = Reply::List(vec![Reply::List(vec![text("a"), Reply::Integer(1)])]);
        assert_eq!(rows(pairs), [[Cell::Text("a".into()), Cell::Integer(1)]]);
    }

    #[test]
    fn what_the_engines_own_check_complains_of_is_told_without_names() {
        let said = "[offset 0] Checking RDB file dump.rdb\n--- RDB ERROR DETECTED ---\n\
                    [offset 64] Unexpected EOF reading RDB file\n[additional info] Reading key 'canary'";
        assert_eq!(complaint(said), "redis-check-rdb: Unexpected EOF reading RDB file");
        assert!(complaint("").ends_with("it did not say why"));
    }

    #[test]
    fn refusals_hold_no_word_of_the_command_or_the_data() {
        let wrong = of_refusal("WRONGTYPE Operation against a key holding the wrong kind of value");
        assert!(matches!(wrong, Trouble::Data(_)));
        let Trouble::Environment(slip) = of_refusal("ERR unknown command 'canary'") else {
            panic!("a slip is not the data's fault")
        };
        assert!(!slip.to_string().contains("canary"), "{slip}");
    }
}
