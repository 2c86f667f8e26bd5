//! Whether a server lets us in as who we are, without a password, and what it then says it holds.
//!
//! Blocking; must be called from a thread that tokio's runtime knows.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde::Serialize;

use crate::policy::sources;
use crate::source::mysql::{self, Product, Tls};
use crate::source::redis::{self, Reply};

/// The longest that a server may leave a question without an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The databases of every server of MariaDB or MySQL that are nobody's.
const OF_THE_SERVER: &str = "'mysql', 'sys', 'information_schema', 'performance_schema'";

/// What came of a log-in without a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Admission {
    /// Let in, and nothing of the owner's is there.
    Empty,
    /// Let in.
    Admitted,
    Refused,
    /// Nobody tried.
    Untried,
}

/// Tries the server of SQL at `socket` as `user`.
pub(super) fn mysql(
    product: Product,
    socket: &str,
    user: &str,
    interrupted: &Arc<AtomicBool>,
) -> Admission {
    let login = mysql::Login {
        host: socket.to_owned(),
        port: 0,
        user: user.to_owned(),
        password: None,
        tls: Tls::Off,
    };
    let count = format!(
        "SELECT COUNT(*) FROM information_schema.SCHEMATA WHERE SCHEMA_NAME NOT IN ({OF_THE_SERVER})"
    );
    let session = mysql::Session::open(product, &login, PATIENCE, interrupted.clone());
    match session.and_then(|mut session| session.value(&count)) {
        Ok(count) if count == "0" => Admission::Empty,
        Ok(_) => Admission::Admitted,
        Err(_) => Admission::Refused,
    }
}

/// What a Redis server says of itself.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) admission: Admission,
    pub(super) version: Option<String>,
}

/// Asks the server at `host`; none where it is no Redis server.
pub(super) fn redis(host: &str, port: u16, interrupted: &Arc<AtomicBool>) -> Option<Told> {
    let login = redis::Login {
        host: host.to_owned(),
        port,
        user: None,
        password: None,
        tls: sources::Tls::Off,
    };
    let mut session = redis::Session::open(&login, PATIENCE, interrupted.clone()).ok()?;
    match session.ask(&[b"INFO"]).ok()? {
        Reply::Text(text) => Some(told(&String::from_utf8_lossy(&text))),
        Reply::Error(said) if said.starts_with("NOAUTH") || said.starts_with("NOPERM") => {
            Some(Told { admission: Admission::Refused, version: None })
        }
        _ => None,
    }
}

/// Reads INFO: `redis_version:7.0.15`, and `db0:keys=…` of each database that has keys.
fn told(info: &str) -> Told {
    let value = |key: &str| info.lines().find_map(|line| line.strip_prefix(key));
    let has_keys = info.lines().any(|line| line.starts_with("db") && line.contains(":keys="));
    let version = value("valkey_version:").map(|version| format!("Valkey {version}"));
    let version = version.or_else(|| value("redis_version:").map(|it| format!("Redis {it}")));
    let admission = if has_keys { Admission::Admitted } else { Admission::Empty };
    Told { admission, version }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redis_server_tells_its_version_and_whether_it_has_keys() {
        let info = "# Server\r\nredis_version:7.0.15\r\n# Keyspace\r\n";
        let with_keys = format!("{info}db3:keys=7,expires=1,avg_ttl=0\r\n");

        assert_eq!(
            told(info),
            Told { admission: Admission::Empty, version: Some("Redis 7.0.15".into()) }
        );
        assert_eq!(told(&with_keys).admission, Admission::Admitted);
    }
}
