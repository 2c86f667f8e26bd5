//! How a server stands to its primary, by its own word.
//!
//! The time of the last replayed commit alone lies: where nobody writes it is old and nothing is
//! missing. What was received alone lies, too: where nothing arrives any more all of it is replayed.
//! So a standby is as of now only while it receives, and has replayed all of it. A connection that
//! died unnoticed is told by its silence: a living one says something within half of
//! `wal_receiver_timeout` (a minute where nobody set it).

use std::time::Duration;

use jiff::Timestamp;

use super::super::served::Standing;
use super::session::{Error, Row, Session};

/// How much later than the server asks for it a sign of life may come.
const LATE: Duration = Duration::from_secs(5);

/// The server's word of itself; it was asked at `now`, or later.
pub(super) fn standing(session: &mut Session, now: Timestamp) -> Result<Standing, Error> {
    let row = session.row(
        "SELECT pg_is_in_recovery(), r.pid IS NOT NULL, r.status,
           greatest(pg_last_wal_receive_lsn(), r.latest_end_lsn) <= pg_last_wal_replay_lsn(),
           extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()),
           extract(epoch FROM clock_timestamp() - r.last_msg_receipt_time),
           (SELECT setting FROM pg_settings WHERE name = 'wal_receiver_timeout')
         FROM (SELECT) one LEFT JOIN pg_stat_wal_receiver r ON true",
    )?;
    let user = session.value("SELECT quote_ident(current_user)")?;
    Ok(match Word::read(&row) {
        None => Standing::Primary,
        Some(word) => match word.behind(&user) {
            Ok(behind) => Standing::behind(now, behind),
            Err(why) => Standing::Unfit(why),
        },
    })
}

/// What a standby says; ages in seconds.
#[derive(Debug, Default)]
struct Word {
    has_receiver: bool,
    /// None where the login may not see it.
    status: Option<String>,
    /// All that was received is replayed.
    is_applied: bool,
    last_commit: Option<f64>,
    last_message: Option<f64>,
    timeout_ms: Option<u64>,
}

impl Word {
    /// None of a server that is no standby.
    fn read(row: &Row) -> Option<Self> {
        let text = |at: usize| row.get(at).and_then(Option::as_deref);
        let number = |at| text(at).and_then(|text| text.parse().ok());
        (text(0) == Some("t")).then(|| Self {
            has_receiver: text(1) == Some("t"),
            status: text(2).map(str::to_owned),
            is_applied: text(3) == Some("t"),
            last_commit: number(4),
            last_message: number(5),
            timeout_ms: text(6).and_then(|text| text.parse().ok()),
        })
    }

    /// How far it may be behind its primary, or why nobody knows.
    fn behind(&self, user: &str) -> Result<Duration, String> {
        let commit = |why: &str| {
            let age = self.last_commit.ok_or_else(|| {
                format!("{why}, and it has replayed no transaction that would tell how old it is")
            });
            age.map(seconds)
        };
        match (self.has_receiver, self.status.as_deref()) {
            (false, _) => commit("it receives nothing from its primary"),
            (true, None) => Err(format!(
                "the login may not see whether it receives from its primary; a superuser mends it: \
                 GRANT pg_read_all_stats TO {user};"
            )),
            (true, Some("streaming")) if self.is_applied => Ok(self.silence()),
            (true, Some("streaming")) => commit("it has not replayed all that it received"),
            (true, Some(status)) => {
                commit(&format!("it does not receive from its primary ({status})"))
            }
        }
    }

    /// How long it has heard nothing, where that is longer than a living connection is silent.
    fn silence(&self) -> Duration {
        let silent = self.last_message.map_or(Duration::ZERO, seconds);
        let usual = Duration::from_millis(self.timeout_ms.unwrap_or_default()) / 2 + LATE;
        if silent > usual { silent } else { Duration::ZERO }
    }
}

/// A negative age is of two clocks that differ.
fn seconds(age: f64) -> Duration {
    Duration::try_from_secs_f64(age.max(0.0)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn streaming() -> Word {
        Word {
            has_receiver: true,
            status: Some("streaming".into()),
            is_applied: true,
            last_commit: Some(5000.0),
            last_message: Some(20.0),
            timeout_ms: Some(60_000),
        }
    }

    #[test]
    fn a_standby_of_an_idle_primary_is_as_of_now_and_one_that_receives_nothing_is_not() {
        let behind = |word: Word| word.behind("backup").map(|lag| lag.as_secs());

        assert_eq!(behind(streaming()), Ok(0));
        assert_eq!(behind(Word { is_applied: false, ..streaming() }), Ok(5000));
        assert_eq!(behind(Word { last_message: Some(55.0), ..streaming() }), Ok(55));
        let cut = Word { has_receiver: false, status: None, ..streaming() };
        assert_eq!(behind(cut), Ok(5000));
        let starting = Word { status: Some("starting".into()), ..streaming() };
        assert_eq!(behind(starting), Ok(5000));
    }

    #[test]
    fn a_standby_of_which_nothing_is_known_is_unfit_and_says_why() {
        let hidden = Word { status: None, ..streaming() }.behind("backup").unwrap_err();
        assert!(hidden.contains("GRANT pg_read_all_stats TO backup;"), "{hidden}");
        let new = Word { has_receiver: false, last_commit: None, ..streaming() };
        assert!(new.behind("backup").unwrap_err().contains("replayed no transaction"));
    }

    #[test]
    fn a_server_that_is_no_standby_is_a_primary() {
        let row = |in_recovery: &str| vec![Some(in_recovery.to_owned()); 7];
        assert!(Word::read(&row("f")).is_none());
        assert!(Word::read(&row("t")).is_some());
    }
}
