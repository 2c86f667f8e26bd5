//! The lock that holds commits back, and where the binary log stands under it.

use std::time::Duration;

use super::Product;
use super::session::{self, Session};

/// The longest that the lock waits for commits under way: everybody else's wait behind it.
const COMMITS: Duration = Duration::from_secs(1);

/// After so many seconds without a word from us the server ends the session that holds the lock.
const SILENCE_SECONDS: u32 = 4;

/// A session that holds commits back for as long as it says so, or lives.
pub(super) struct Lock {
    session: Session,
}

impl Lock {
    /// One that `session` will hold.
    pub fn on(session: Session) -> Self {
        Self { session }
    }

    /// Everything that does not hold commits back yet. DDL waits from here on, and on MariaDB
    /// statements that write tables without transactions. DDL under way is waited for, so that nobody
    /// who commits will have to.
    pub fn prepare(&mut self) -> Result<(), session::Error> {
        self.session.run(&format!("SET SESSION wait_timeout = {SILENCE_SECONDS}"))?;
        match self.session.product() {
            Product::Mariadb => {
                for stage in ["START", "FLUSH", "BLOCK_DDL"] {
                    self.session.run(&format!("BACKUP STAGE {stage}"))?;
                }
            }
            Product::Mysql => self.session.run("LOCK INSTANCE FOR BACKUP")?,
        }
        self.session.set_lock_patience(COMMITS)
    }

    pub fn take(&mut self) -> Result<(), session::Error> {
        self.session.run(match self.session.product() {
            Product::Mariadb => "BACKUP STAGE BLOCK_COMMIT",
            Product::Mysql => "FLUSH TABLES WITH READ LOCK",
        })
    }

    pub fn give_back(mut self) -> Result<(), session::Error> {
        match self.session.product() {
            Product::Mariadb => self.session.run("BACKUP STAGE END"),
            Product::Mysql => {
                self.session.run("UNLOCK TABLES")?;
                self.session.run("UNLOCK INSTANCE")
            }
        }
    }
}

/// Where the binary log stood when the session's snapshot was taken; on MySQL where it stands, which
/// is the same under the lock.
pub(super) fn position(session: &mut Session) -> Result<String, session::Error> {
    if session.product() == Product::Mysql {
        let row = session.row("SHOW BINARY LOG STATUS")?;
        return match row.as_slice() {
            [Some(file), Some(position), ..] => Ok(format!("{file}:{position}")),
            _ => Err(session.unexpected("no position of the binary log")),
        };
    }
    let rows = session.rows("SHOW STATUS LIKE 'Binlog_snapshot_%'")?;
    let of = |wanted: &str| {
        let row = rows.iter().find(|row| row[0].as_deref() == Some(wanted));
        row.and_then(|row| row[1].clone())
    };
    match (of("Binlog_snapshot_file"), of("Binlog_snapshot_position")) {
        (Some(file), Some(position)) => Ok(format!("{file}:{position}")),
        _ => Err(session.unexpected("no position of the binary log")),
    }
}
