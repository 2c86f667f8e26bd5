//! What only policies of database servers say: defaults, and keys that must fit each other.

use std::path::PathBuf;
use std::time::Duration;

use super::candidates;
use super::document::Document;
use super::raw::TlsMode;
use super::sources::Tls;

/// The port that PostgreSQL listens on where nobody says another.
pub(super) const PORT: u16 = 5432;

/// The same of MariaDB and MySQL.
pub(super) const MARIADB_PORT: u16 = 3306;

/// Kinds of sources that are database servers.
const KINDS: [&str; 3] = ["postgres", "mariadb", "mysql"];

/// Whether sources of `kind` are servers with several databases.
pub(super) fn is_server(kind: Option<&str>) -> bool {
    kind.is_some_and(|kind| KINDS.contains(&kind))
}

/// How long a lock is waited for. Everybody else's next lock waits behind ours.
pub(super) const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// How long one question may take: hashing a table of 400 GB takes about so long.
pub(super) const STATEMENT_DEADLINE: Duration = Duration::from_secs(3600);

/// Whether nobody else can listen between here and `host`.
fn is_near(host: &str) -> bool {
    host.starts_with('/') || matches!(host, "localhost" | "::1") || host.starts_with("127.")
}

/// How strictly a connection to `host` is encrypted. `check` has refused what does not fit.
pub(super) fn tls(mode: Option<TlsMode>, ca: Option<PathBuf>, host: &str) -> Tls {
    match (mode, ca) {
        (Some(TlsMode::Off), _) => Tls::Off,
        (Some(TlsMode::Verify) | None, Some(ca)) => Tls::Verify { ca },
        (None, None) if is_near(host) => Tls::Off,
        (Some(TlsMode::Require | TlsMode::Verify) | None, _) => Tls::Require,
    }
}

/// Adds what is wrong with the source at `at`, e.g. `/source/0`.
pub(super) fn check(policy: &mut Document, at: &str) {
    let kind = policy.text_at(&format!("{at}/kind")).map(str::to_owned);
    if !is_server(kind.as_deref()) {
        return;
    }
    encryption(policy, at);
    equality(policy, at, kind.as_deref());
    method(policy, at, kind.as_deref());
    for (place, host) in candidates::places(policy, at) {
        if !host.contains('/') || host.starts_with('/') {
            continue;
        }
        let (what, hint) = match kind.as_deref() {
            Some("postgres") => (
                "neither a folder nor a name",
                "write the socket's folder, e.g. \"/run/postgresql\", or the server's name",
            ),
            _ => (
                "neither a socket nor a name",
                "write the socket, e.g. \"/run/mysqld/mysqld.sock\", or the server's name",
            ),
        };
        policy.error(&place, what, hint.to_owned());
    }
    let databases = format!("{at}/databases");
    let mut seen: Vec<String> = Vec::new();
    for index in 0..policy.length_of(&databases) {
        let place = format!("{databases}/{index}");
        let Some(name) = policy.text_at(&place).map(str::to_owned) else { continue };
        if seen.contains(&name) {
            policy.error(&place, format!("\"{name}\" is there already"), "leave it out".to_owned());
        }
        seen.push(name);
    }
}

/// Adds what is wrong with how the server of the source at `at` is captured.
fn method(policy: &mut Document, at: &str, kind: Option<&str>) {
    let said = format!("{at}/method");
    if kind != Some("mariadb") && policy.stands(&said) {
        let hint = "leave `method` out: only servers of MariaDB are captured as files".to_owned();
        policy.error(&said, "a choice that this kind does not have", hint);
        return;
    }
    if policy.text_at(&said) != Some("physical") {
        return;
    }
    let hosts = format!("{at}/hosts");
    if policy.stands(&hosts) {
        let hint =
            "write host = \"…\": the socket of the server that lifeboat runs beside".to_owned();
        policy.error(&hosts, "files are captured of one server", hint);
    }
    let host = format!("{at}/host");
    if policy.text_at(&host).is_some_and(|host| !host.starts_with('/')) {
        let hint = "write the server's socket, e.g. \"/run/mysqld/mysqld.sock\", and let lifeboat run \
                    beside it; elsewhere leave `method` out";
        policy.error(&host, "files of a server are read on its own host", hint.to_owned());
    }
    let databases = format!("{at}/databases");
    if policy.stands(&databases) {
        let hint = "leave `databases` out: the files of a server hold all of them".to_owned();
        policy.error(&databases, "single databases are not captured as files", hint);
    }
    let equality = format!("{at}/equality");
    if policy.stands(&equality) {
        let hint = "leave it out: without an exact point no files are captured".to_owned();
        policy.error(&equality, "equality that is always possible", hint);
    }
}

/// Adds what is wrong with how the connection to the server of the source at `at` is encrypted.
pub(super) fn encryption(policy: &mut Document, at: &str) {
    let (mode, ca) = (format!("{at}/tls"), format!("{at}/ca"));
    let said = policy.text_at(&mode).map(str::to_owned);
    match (said.as_deref(), policy.stands(&ca)) {
        (Some("verify"), false) => {
            let hint = "name the authority's certificate: ca = \"/etc/ssl/certs/db-ca.pem\"";
            policy.error(
                &mode,
                "nothing to verify the server's certificate against",
                hint.to_owned(),
            );
        }
        (Some("off" | "require"), true) => {
            let hint = "write tls = \"verify\", or leave `ca` out".to_owned();
            policy.error(&ca, "an authority that nothing is verified against", hint);
        }
        _ => {}
    }
    let on_socket = candidates::places(policy, at).iter().any(|(_, host)| host.starts_with('/'));
    if on_socket && matches!(said.as_deref(), Some("require" | "verify")) {
        let hint = "leave `tls` out: nobody else can listen on a socket".to_owned();
        policy.error(&mode, "a socket has no TLS", hint);
    }
}

/// Only MariaDB and MySQL may forbid what an exact point needs; whoever does without is told.
fn equality(policy: &mut Document, at: &str, kind: Option<&str>) {
    let key = format!("{at}/equality");
    if !policy.stands(&key) {
        return;
    }
    if kind == Some("postgres") {
        let hint = "leave it out: PostgreSQL always gives an exact point".to_owned();
        policy.error(&key, "equality that is always possible", hint);
    } else if policy.text_at(&format!("{key}/not_required")).is_some() {
        let what = "where the server allows no exact point, drills may pass without comparing rows";
        policy.warn(&key, what);
    }
}
