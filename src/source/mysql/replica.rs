//! How a server stands to its primary, by its own word.
//!
//! `Seconds_Behind_Source` alone lies: it is of what was received, so that a replica which receives
//! nothing any more has none, and it is zero between two events. So both threads must run without an
//! error, nothing may be filtered out, and only where everything received is applied it is as of now.
//! What a connection that died unnoticed keeps back is known once the replica gives it up
//! (`slave_net_timeout`, a minute where nobody set it).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use super::super::served::Standing;
use super::Product;
use super::session::{Error, Session};

/// Primaries of one replica, and bytes that it tells of them, at most.
const MOST_PRIMARIES: usize = 256;
const MOST_BYTES: usize = 1 << 20;

/// What keeps a replica from being a whole copy.
const FILTERS: [&str; 9] = [
    "Replicate_Do_DB",
    "Replicate_Ignore_DB",
    "Replicate_Do_Table",
    "Replicate_Ignore_Table",
    "Replicate_Wild_Do_Table",
    "Replicate_Wild_Ignore_Table",
    "Replicate_Rewrite_DB",
    "Replicate_Do_Domain_Ids",
    "Replicate_Ignore_Domain_Ids",
];

/// One primary's row, by column; of both products in MySQL's words.
type Status = BTreeMap<String, String>;

/// The server's word of itself; it was asked at `now`, or later.
pub(super) fn standing(session: &mut Session, now: Timestamp) -> Result<Standing, Error> {
    let of_all = all(session)?;
    if of_all.is_empty() {
        let is_read_only = !matches!(&*session.value("SELECT @@GLOBAL.read_only")?, "0" | "OFF");
        return Ok(match is_read_only {
            false => Standing::Primary,
            true => Standing::Unfit(
                "it is read-only and follows nobody: a replica that lost its primary?".to_owned(),
            ),
        });
    }
    let mut most = Duration::ZERO;
    for status in &of_all {
        match behind(status) {
            Ok(behind) => most = most.max(behind),
            Err(why) => return Ok(Standing::Unfit(why)),
        }
    }
    Ok(Standing::behind(now, most))
}

/// How far it has applied what it was sent; none where the server does not count that.
pub(super) fn applied(session: &mut Session) -> Result<Option<String>, Error> {
    let applied = session.value(match session.product() {
        Product::Mariadb => "SELECT @@GLOBAL.gtid_slave_pos",
        Product::Mysql => "SELECT @@GLOBAL.gtid_executed",
    })?;
    Ok((!applied.is_empty()).then_some(applied))
}

/// What it says of each of its primaries.
fn all(session: &mut Session) -> Result<Vec<Status>, Error> {
    let sql = match session.product() {
        Product::Mariadb => "SHOW ALL SLAVES STATUS",
        Product::Mysql => "SHOW REPLICA STATUS",
    };
    let Ok((columns, rows)) = session.table(sql, MOST_PRIMARIES, MOST_BYTES)? else {
        return Err(session.unexpected("more primaries than a replica has"));
    };
    let name = |name: &str| name.replace("Master", "Source").replace("Slave", "Replica");
    let names: Vec<String> = columns.iter().map(|column| name(&column.name)).collect();
    let status = |row: Vec<Option<Vec<u8>>>| {
        let told = names.iter().cloned().zip(row);
        told.filter_map(|(name, value)| Some((name, String::from_utf8_lossy(&value?).into_owned())))
            .collect()
    };
    Ok(rows.into_iter().map(status).collect())
}

/// How far it may be behind one of its primaries, or why nobody knows.
fn behind(status: &Status) -> Result<Duration, String> {
    let of = |name: &str| status.get(name).map_or("", String::as_str);
    for thread in ["IO", "SQL"] {
        let number = of(&format!("Last_{thread}_Errno"));
        if !matches!(number, "" | "0") {
            // Its message would quote the statement, and with it values of rows.
            return Err(format!(
                "its {thread} thread failed (error {number}; SHOW REPLICA STATUS tells more)"
            ));
        }
        let running = of(&format!("Replica_{thread}_Running"));
        if running != "Yes" {
            let running = if running.is_empty() { "not told" } else { running };
            return Err(format!("its {thread} thread does not run ({running})"));
        }
    }
    if let Some(filter) = FILTERS.iter().find(|filter| !of(filter).is_empty()) {
        return Err(format!("it is no whole copy of its primary: {filter} is {}", of(filter)));
    }
    let position = |file, position| (of(file), of(position));
    let received = position("Source_Log_File", "Read_Source_Log_Pos");
    if !received.0.is_empty()
        && received == position("Relay_Source_Log_File", "Exec_Source_Log_Pos")
    {
        return Ok(Duration::ZERO);
    }
    let number = |name| of(name).parse::<u64>().ok();
    let seconds = number("Seconds_Behind_Source")
        .ok_or("it does not tell how far it is behind its primary")?;
    let delay = number("SQL_Delay").unwrap_or_default();
    // They are counted whole.
    Ok(Duration::from_secs(seconds.max(delay).saturating_add(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(changed: &[(&str, &str)]) -> Status {
        let sound = [
            ("Replica_IO_Running", "Yes"),
            ("Replica_SQL_Running", "Yes"),
            ("Last_IO_Errno", "0"),
            ("Last_SQL_Errno", "0"),
            ("Replicate_Do_DB", ""),
            ("Source_Log_File", "bin.2"),
            ("Read_Source_Log_Pos", "900"),
            ("Relay_Source_Log_File", "bin.2"),
            ("Exec_Source_Log_Pos", "900"),
            ("Seconds_Behind_Source", "0"),
            ("SQL_Delay", "0"),
        ];
        let all = sound.iter().chain(changed);
        all.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_replica_is_as_of_now_only_where_everything_received_is_applied() {
        assert_eq!(behind(&status(&[])), Ok(Duration::ZERO));
        // Zero is also what it says between two events of a long backlog.
        let backlog = [("Exec_Source_Log_Pos", "400")];
        assert_eq!(behind(&status(&backlog)), Ok(Duration::from_secs(1)));
        let late = [("Exec_Source_Log_Pos", "400"), ("Seconds_Behind_Source", "70")];
        assert_eq!(behind(&status(&late)), Ok(Duration::from_secs(71)));
        let delayed = [("Exec_Source_Log_Pos", "400"), ("SQL_Delay", "3600")];
        assert_eq!(behind(&status(&delayed)), Ok(Duration::from_secs(3601)));
    }

    #[test]
    fn a_replica_that_does_not_follow_or_not_in_everything_is_unfit_and_says_why() {
        for (changed, why) in [
            (("Replica_IO_Running", "No"), "its IO thread does not run (No)"),
            (("Replica_IO_Running", "Connecting"), "its IO thread does not run (Connecting)"),
            (("Replica_SQL_Running", "No"), "its SQL thread does not run"),
            (("Last_SQL_Errno", "1062"), "its SQL thread failed"),
            (("Last_IO_Errno", "2003"), "its IO thread failed"),
            (("Replicate_Do_DB", "shop"), "Replicate_Do_DB is shop"),
        ] {
            let told = behind(&status(&[changed])).unwrap_err();
            assert!(told.contains(why), "{changed:?}: {told}");
        }
        let mut silent = status(&[("Exec_Source_Log_Pos", "400")]);
        silent.remove("Seconds_Behind_Source");
        assert!(behind(&silent).unwrap_err().contains("does not tell"));
    }
}
