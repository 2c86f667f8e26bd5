//! A database server as it is named to `init`.
//!
//! In: `postgres://backup@db1/shop`, or `mariadb://backup@/shop?socket=/run/mysqld/mysqld.sock`. Out:
//! the policy's keys, and how its administrator is reached. Percent signs stand for themselves.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::super::hint::Hinting;
use super::text::{shell, toml};
use crate::source::Kind;

/// The account where none is named, as the README has it.
const USER: &str = "lifeboat";

/// A server and what of it is to be protected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Server {
    pub(super) kind: Kind,
    /// Its name or address, or the absolute path of its socket (of PostgreSQL the socket's folder).
    pub(super) host: String,
    pub(super) port: Option<u16>,
    /// None: the server's own, which Redis alone has.
    pub(super) user: Option<String>,
    /// The file that holds the account's password.
    pub(super) password: Option<PathBuf>,
    /// Empty: all.
    pub(super) databases: Vec<String>,
    /// The system's user whom its sockets take for an administrator.
    pub(super) administrator: String,
}

/// How servers of one kind are named.
struct Grammar {
    schemes: &'static [&'static str],
    /// What leads to a socket in the URL's query.
    socket_key: &'static str,
    /// Where the system's own server listens where no host is named.
    usual: &'static str,
    has_databases: bool,
    hint: &'static str,
}

impl Grammar {
    fn of(kind: Kind) -> Self {
        match kind {
            Kind::Mariadb | Kind::Mysql => Self {
                schemes: if kind == Kind::Mariadb { &["mariadb", "mysql"] } else { &["mysql"] },
                socket_key: "socket=",
                usual: "/run/mysqld/mysqld.sock",
                has_databases: true,
                hint: "write mariadb://USER@HOST:PORT/DATABASE (mysql:// of MySQL), several \
                       databases with commas between, none for all; of a socket \
                       mariadb://USER@/DATABASE?socket=PATH",
            },
            Kind::Redis => Self {
                schemes: &["redis"],
                socket_key: "socket=",
                usual: "127.0.0.1",
                has_databases: false,
                hint: "write redis://HOST:PORT, or redis://?socket=PATH",
            },
            _ => Self {
                schemes: &["postgres", "postgresql"],
                socket_key: "host=",
                usual: "/run/postgresql",
                has_databases: true,
                hint: "write postgres://USER@HOST:PORT/DATABASE, several databases with commas \
                       between, none for all; of a socket postgres://USER@/DATABASE?host=FOLDER",
            },
        }
    }
}

impl Server {
    /// Reads the URL of a server of `kind`, whose account's password stands in `password`.
    ///
    /// What is wrong is told without the text: it may hold a password.
    pub(super) fn read(kind: Kind, url: &str, password: Option<&Path>) -> anyhow::Result<Self> {
        let grammar = Grammar::of(kind);
        let wrong =
            |what: &str| Err(anyhow::anyhow!("--{kind} {what}")).hint(grammar.hint.to_owned());
        let rest = url.split_once("://").filter(|(scheme, _)| grammar.schemes.contains(scheme));
        let Some((_, rest)) = rest else { return wrong("is not the address of a server") };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (server, databases) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, place) = match server.rsplit_once('@') {
            Some((user, place)) => (Some(user), place),
            None => ((kind != Kind::Redis).then_some(USER), server),
        };
        if user.is_some_and(|user| user.contains(':')) {
            return Err(anyhow::anyhow!("--{kind} holds a password")).hint(
                "everybody here can read arguments: write it into a file of your own and name \
                 that with --password-file",
            );
        }
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
            _ => (place, None),
        };
        let port = match port.map(str::parse::<u16>) {
            Some(Err(_)) => return wrong("names no port"),
            port => port.and_then(Result::ok),
        };
        let host = match (host, query.strip_prefix(grammar.socket_key)) {
            ("", Some(path)) if path.starts_with('/') => path,
            ("", None) if query.is_empty() => grammar.usual,
            (host, None) if query.is_empty() => host.trim_matches(['[', ']']),
            _ => return wrong("says what init does not know"),
        };
        if !databases.is_empty() && !grammar.has_databases {
            return wrong("names a database; all of a Redis server are captured");
        }
        let named = databases.split(',').filter(|name| !name.is_empty());
        Ok(Self {
            kind,
            host: host.to_owned(),
            port,
            user: user.map(str::to_owned),
            password: password.map(Path::to_owned),
            databases: named.map(str::to_owned).collect(),
            administrator: if kind == Kind::Postgres { "postgres" } else { "root" }.to_owned(),
        })
    }

    /// Whether nobody can ask it for a password over a network.
    pub(super) fn is_on_a_socket(&self) -> bool {
        self.host.starts_with('/')
    }

    /// The source `name` of a policy.
    pub(super) fn source(&self, name: &str) -> String {
        let mut source = format!(
            "\n[[source]]\nname = \"{name}\"\nkind = \"{}\"\nhost = {}\n",
            self.kind,
            toml(&self.host)
        );
        // Writing to a string cannot fail.
        if let Some(port) = self.port {
            let _ = writeln!(source, "port = {port}");
        }
        if let Some(user) = &self.user {
            let _ = writeln!(source, "user = {}", toml(user));
        }
        if let Some(password) = &self.password {
            let file = toml(&password.display().to_string());
            let _ = writeln!(source, "password = {{ file = {file} }}");
        }
        if !self.databases.is_empty() {
            let names: Vec<String> = self.databases.iter().map(|name| toml(name)).collect();
            let _ = writeln!(source, "databases = [{}]", names.join(", "));
        }
        source
    }

    /// The command by which an administrator feeds it the statements in `file`, for a shell.
    pub(super) fn to_administer(&self, file: &Path) -> String {
        let (host, become_one) = (shell(&self.host), become_user(&self.administrator));
        let is_local = self.is_on_a_socket();
        let port = |flag: &str| self.port.map_or(String::new(), |port| format!(" {flag}{port}"));
        let command = match self.kind {
            Kind::Postgres if is_local => {
                format!("{become_one}psql -X -d postgres -h {host}{}", port("-p "))
            }
            Kind::Postgres => format!("psql -X -d postgres -U postgres -h {host}{}", port("-p ")),
            kind => {
                let client = if kind == Kind::Mysql { "mysql" } else { "mariadb" };
                // Whom a socket does not take for who they are is asked.
                let asks = if is_local && self.password.is_none() { "" } else { " --password" };
                let place = match is_local {
                    true => format!("--socket={host}"),
                    false => format!("--host={host}{}", port("--port=")),
                };
                format!("{become_one}{client} {place} --user=root{asks}")
            }
        };
        format!("{command} < {}", shell(&file.display().to_string()))
    }
}

/// What stands before a command so that `user` runs it; nothing for root who is root.
fn become_user(user: &str) -> String {
    match (rustix::process::geteuid().is_root(), user) {
        (true, "root") => String::new(),
        (true, user) => format!("runuser -u {} -- ", shell(user)),
        (false, "root") => "sudo ".to_owned(),
        (false, user) => format!("sudo -u {} ", shell(user)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server(host: &str, port: Option<u16>, user: &str, databases: &[&str]) -> Server {
        Server {
            kind: Kind::Postgres,
            host: host.into(),
            port,
            user: Some(user.into()),
            password: None,
            databases: databases.iter().map(|name| (*name).to_owned()).collect(),
            administrator: "postgres".into(),
        }
    }

    #[test]
    fn servers_are_read_as_other_programs_write_them() {
        let usual = "/run/postgresql";
        let known = [
            ("postgres://backup@db1:5433/shop", server("db1", Some(5433), "backup", &["shop"])),
            ("postgresql://db1/shop,crm", server("db1", None, USER, &["shop", "crm"])),
            ("postgres://backup@[::1]:5432", server("::1", Some(5432), "backup", &[])),
            ("postgres:///shop", server(usual, None, USER, &["shop"])),
            ("postgres://b@:5433/shop?host=/tmp/pg", server("/tmp/pg", Some(5433), "b", &["shop"])),
        ];
        for (url, expected) in known {
            assert_eq!(Server::read(Kind::Postgres, url, None).unwrap(), expected, "{url}");
        }
        let sql = Server {
            kind: Kind::Mariadb,
            administrator: "root".into(),
            ..server("/tmp/s", None, "b", &["shop"])
        };
        let url = "mariadb://b@/shop?socket=/tmp/s";
        assert_eq!(Server::read(Kind::Mariadb, url, None).unwrap(), sql);
        let redis = Server::read(Kind::Redis, "redis://cache:6380", None).unwrap();
        assert_eq!((redis.host.as_str(), redis.port, redis.user), ("cache", Some(6380), None));
    }

    #[test]
    fn what_is_no_server_is_refused_and_never_repeated() {
        for (kind, url) in [
            (Kind::Postgres, "db1"),
            (Kind::Postgres, "mysql://canary@db1"),
            (Kind::Postgres, "postgres://backup:canary@db1/shop"),
            (Kind::Postgres, "postgres://db1:canary/shop"),
            (Kind::Postgres, "postgres://db1/shop?sslmode=canary"),
            (Kind::Postgres, "postgres://db1/shop?host=/canary"),
            (Kind::Mysql, "mariadb://canary@db1"),
            (Kind::Mariadb, "mariadb://backup:canary@db1"),
            (Kind::Redis, "redis://:canary@db1"),
            (Kind::Redis, "redis://db1/canary"),
        ] {
            let error = Server::read(kind, url, None).unwrap_err();

            assert!(!format!("{error:#}").contains("canary"), "{error:#}");
            assert!(super::super::super::hint::of(&error).is_some(), "{url}");
        }
    }

    #[test]
    fn the_administrators_command_is_one_command_whatever_the_names() {
        let odd = Server {
            host: "/srv/it's $(here)".into(),
            administrator: "post'gres".into(),
            ..server("", Some(5433), "b", &[])
        };

        let command = odd.to_administer(Path::new("/site/a b.sql"));

        let rest = command.split_once("psql").unwrap().1;
        let expected = " -X -d postgres -h '/srv/it'\\''s $(here)' -p 5433 < '/site/a b.sql'";
        assert_eq!(rest, expected);
        assert!(command.contains("'post'\\''gres'"), "{command}");
    }
}
