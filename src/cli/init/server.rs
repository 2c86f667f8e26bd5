//! A database server as it is named to `init`.
//!
//! In: `postgres://backup@db1/shop`, or `postgres://backup@/shop?host=/run/postgresql`. Out: the
//! policy's keys. Percent signs stand for themselves.

use std::fmt::Write as _;
use std::path::Path;

use super::super::hint::Hinting;

/// The role where none is named, as the README has it.
const USER: &str = "lifeboat";

/// Where the system's own server listens where no host is named.
const SOCKET: &str = "/run/postgresql";

const HINT: &str = "write postgres://USER@HOST:PORT/DATABASE, several databases with commas \
                    between, none for all; of a socket postgres://USER@/DATABASE?host=FOLDER";

/// A PostgreSQL server and the databases to protect.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Server {
    host: String,
    port: Option<u16>,
    user: String,
    /// Empty: all.
    databases: Vec<String>,
}

impl Server {
    /// Reads a URL. What is wrong is told without the text: it may hold a password.
    pub(super) fn read(url: &str) -> anyhow::Result<Self> {
        let is_scheme = |scheme: &&str| matches!(*scheme, "postgres" | "postgresql");
        let rest = url.split_once("://").filter(|(scheme, _)| is_scheme(scheme)).map(|(_, it)| it);
        let Some(rest) = rest else {
            return Err(anyhow::anyhow!("--postgres is not the address of a server")).hint(HINT);
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (server, databases) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, place) = server.rsplit_once('@').unwrap_or((USER, server));
        if user.contains(':') {
            return Err(anyhow::anyhow!("--postgres holds a password")).hint(
                "everybody here can read arguments: write it into a file of your own and name \
                 that with --postgres-password-file",
            );
        }
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (place, None),
        };
        let port = match port.map(str::parse::<u16>) {
            Some(Err(_)) => {
                return Err(anyhow::anyhow!("--postgres names no port")).hint(HINT);
            }
            port => port.and_then(Result::ok),
        };
        let host = match (host, query.strip_prefix("host=")) {
            ("", Some(folder)) if folder.starts_with('/') => folder,
            ("", None) if query.is_empty() => SOCKET,
            (host, None) if query.is_empty() => host.trim_matches(['[', ']']),
            _ => return Err(anyhow::anyhow!("--postgres says what init does not know")).hint(HINT),
        };
        let named = databases.split(',').filter(|name| !name.is_empty());
        Ok(Self {
            host: host.to_owned(),
            port,
            user: user.to_owned(),
            databases: named.map(str::to_owned).collect(),
        })
    }

    /// Whether nobody can ask it for a password over a network.
    pub(super) fn is_on_a_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// The source `name` of a policy.
    pub(super) fn source(&self, name: &str, password: Option<&Path>) -> String {
        let text = |value: &str| toml::Value::String(value.to_owned()).to_string();
        let mut source = format!(
            "\n[[source]]\nname = \"{name}\"\nkind = \"postgres\"\nhost = {}\n",
            text(&self.host)
        );
        // Writing to a string cannot fail.
        if let Some(port) = self.port {
            let _ = writeln!(source, "port = {port}");
        }
        let _ = writeln!(source, "user = {}", text(&self.user));
        if let Some(password) = password {
            let file = text(&password.display().to_string());
            let _ = writeln!(source, "password = {{ file = {file} }}");
        }
        if !self.databases.is_empty() {
            let names: Vec<String> = self.databases.iter().map(|name| text(name)).collect();
            let _ = writeln!(source, "databases = [{}]", names.join(", "));
        }
        source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str, port: Option<u16>, user: &str, databases: &[&str]) -> Server {
        let databases = databases.iter().map(|name| (*name).to_owned()).collect();
        Server { host: host.into(), port, user: user.into(), databases }
    }

    #[test]
    fn servers_are_read_as_other_programs_write_them() {
        let known = [
            ("postgres://backup@db1:5433/shop", server("db1", Some(5433), "backup", &["shop"])),
            ("postgresql://db1/shop,crm", server("db1", None, USER, &["shop", "crm"])),
            ("postgres://backup@[::1]:5432", server("::1", Some(5432), "backup", &[])),
            ("postgres:///shop", server(SOCKET, None, USER, &["shop"])),
            ("postgres://b@:5433/shop?host=/tmp/pg", server("/tmp/pg", Some(5433), "b", &["shop"])),
        ];
        for (url, expected) in known {
            assert_eq!(Server::read(url).unwrap(), expected, "{url}");
        }
    }

    #[test]
    fn what_is_no_server_is_refused_and_never_repeated() {
        for url in [
            "db1",
            "mysql://canary@db1",
            "postgres://backup:canary@db1/shop",
            "postgres://db1:canary/shop",
            "postgres://db1/shop?sslmode=canary",
            "postgres://db1/shop?host=/canary",
        ] {
            let error = Server::read(url).unwrap_err();

            assert!(!format!("{error:#}").contains("canary"), "{error:#}");
            assert!(super::super::super::hint::of(&error).is_some(), "{url}");
        }
    }
}
