//! The place at which a server is met.
//!
//! In: a process, and where this host is listened at. Out: a [`Place`] that policies can name and at which
//! that very process answered.

use std::fs;
use std::path::Path;

use serde::Serialize;

use super::processes::Process;
use super::sockets::{self, Port, Socket};
use super::{knock, plain};
use crate::source::Kind;

const CONTAINED: &str = "in a network of its own (a container): name where it is published, e.g. by \
                         --mariadb, --postgres or --redis";

/// Where a server was met. No part of it has a control character.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Place {
    /// The absolute path of its socket, of PostgreSQL the folder of it; the port that names the socket.
    Socket {
        path: String,
        port: Option<u16>,
    },
    Port {
        host: &'static str,
        port: u16,
    },
}

/// Where this host is listened at.
pub(super) struct Listened {
    sockets: Vec<Socket>,
    /// By number: what a server opens beside its own port has a higher one.
    ports: Vec<Port>,
}

impl Listened {
    /// As the kernel tells it now; what it does not tell is not there.
    pub(super) fn now() -> Self {
        let text = |name: &str| fs::read(format!("/proc/net/{name}")).unwrap_or_default();
        let tcp = |name: &str| sockets::tcp(&String::from_utf8_lossy(&text(name)));
        let mut ports = [tcp("tcp"), tcp("tcp6")].concat();
        ports.sort_by_key(|port| port.number);
        Self { sockets: sockets::unix(&text("unix")), ports }
    }

    /// The first place at which the very process was met, sockets before ports, with the version that a
    /// server of SQL tells; else why there is none.
    pub(super) async fn met(&self, process: &Process) -> Result<(Place, Option<String>), String> {
        if process.is_elsewhere {
            return Err(CONTAINED.to_owned());
        }
        let speaks_first = matches!(process.kind, Kind::Mariadb | Kind::Mysql);
        for socket in self.sockets.iter().filter(|socket| may_be_of(process, socket)) {
            let path = match &process.folder {
                // A relative name is of the folder that the server works in.
                Some(folder) => folder.join(&socket.path),
                None => socket.path.clone(),
            };
            if knock::listener(&path).await.ok().flatten() != Some(process.pid) {
                continue;
            }
            let version = if speaks_first { knock::version_at_socket(&path).await } else { None };
            let Some(place) = socket_of(process.kind, &path) else { continue };
            if version.is_some() || !speaks_first {
                return Ok((place, version));
            }
        }
        for port in self.ports.iter().filter(|port| is_port_of(process, port)) {
            let Some(host) = port.host else { continue };
            let number = port.number;
            let version =
                if speaks_first { knock::version_at_port(host, number).await } else { None };
            if version.is_some() || !speaks_first {
                return Ok((Place::Port { host, port: number }, version));
            }
        }
        Err(self.not_met(process).to_owned())
    }

    fn not_met(&self, process: &Process) -> &'static str {
        let is_outside = self.ports.iter().any(|port| is_port_of(process, port));
        match (&process.sockets, is_outside) {
            (None, _) => {
                "whose sockets only its user and root may see: run this as root, or name it"
            }
            (Some(_), true) => {
                "it listens at an address of the outside alone: name that, e.g. by --postgres"
            }
            (Some(_), false) => {
                "it was met nowhere here: its socket is elsewhere (a drill's own server's is), or has a \
                 name that neither a policy nor a terminal can show"
            }
        }
    }
}

/// Whether `socket` may be the server's: its own where we may look, else one that is called so.
fn may_be_of(process: &Process, socket: &Socket) -> bool {
    if let Some(own) = &process.sockets {
        return own.contains(&socket.inode);
    }
    let name = socket.path.file_name().unwrap_or_default().to_string_lossy();
    match process.kind {
        Kind::Postgres => name.starts_with(".s.PGSQL."),
        Kind::Redis => name.contains("redis") || name.contains("valkey"),
        _ => name.contains("mysql") || name.contains("maria"),
    }
}

/// Whether `port` is the server's: its own where we may look, else its kind's usual one and its user's.
fn is_port_of(process: &Process, port: &Port) -> bool {
    match &process.sockets {
        Some(own) => own.contains(&port.inode),
        None => {
            let usual = match process.kind {
                Kind::Postgres => 5432,
                Kind::Redis => 6379,
                _ => 3306,
            };
            port.number == usual && port.uid == process.uid
        }
    }
}

/// The place that policies name `path` by; none where they cannot.
fn socket_of(kind: Kind, path: &Path) -> Option<Place> {
    if kind != Kind::Postgres {
        return Some(Place::Socket { path: plain(path)?.to_owned(), port: None });
    }
    let name = path.file_name()?.to_str()?;
    let port = name.strip_prefix(".s.PGSQL.")?.parse().ok()?;
    Some(Place::Socket { path: plain(path.parent()?)?.to_owned(), port: Some(port) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_socket_is_named_as_policies_name_it_or_not_at_all() {
        let folder = Place::Socket { path: "/tmp/pg".into(), port: Some(5433) };
        assert_eq!(socket_of(Kind::Postgres, Path::new("/tmp/pg/.s.PGSQL.5433")), Some(folder));
        assert_eq!(socket_of(Kind::Postgres, Path::new("/tmp/pg/other")), None);
        let quoted = "/tmp/it's \"here\"";
        let place = Place::Socket { path: quoted.into(), port: None };
        assert_eq!(socket_of(Kind::Mariadb, Path::new(quoted)), Some(place));
        for hostile in ["/tmp/a\nb", "/tmp/\u{1b}[2J", "/tmp/\u{202e}x"] {
            assert_eq!(socket_of(Kind::Redis, Path::new(hostile)), None, "{hostile:?}");
        }
    }
}
