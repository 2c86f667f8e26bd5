//! Servers: a process, the place at which it was met, and what it says of itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use serde::Serialize;

use super::login::{self, Admission, Told};
use super::processes::{self, Process};
use super::size::{self, Size};
use super::sockets::{self, Port, Socket};
use super::{Discovery, LeftOut, knock, plain};
use crate::ground::visible::visible;
use crate::source::files::owners::Owners;
use crate::source::mysql::{self, Product};
use crate::source::{Kind, postgres};

/// The file that only a folder of PostgreSQL's has, with the major version.
const POSTGRES_MARK: &str = "PG_VERSION";

/// The file that only a folder of MariaDB's or MySQL's has.
const MYSQL_MARK: &str = "ibdata1";

/// A server that can be reached from here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    pub kind: Kind,
    pub pid: u32,
    /// The name of the user whose process it is, or the number.
    pub runs_as: String,
    pub place: Place,
    /// As the server tells it, on one line; of PostgreSQL the major version.
    pub version: Option<String>,
    /// The folder of its files.
    pub folder: Option<PathBuf>,
    pub size: Option<Size>,
    pub admission: Admission,
}

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

/// What all servers are looked for with.
struct Surroundings {
    sockets: Vec<Socket>,
    ports: Vec<Port>,
    owners: Owners,
    /// This process's user; none where the number has no name.
    me: Option<String>,
    interrupted: Arc<AtomicBool>,
}

/// Finds the servers of this host.
pub(super) async fn look(found: &mut Discovery, interrupted: &Arc<AtomicBool>) {
    let processes = match processes::servers(Path::new("/proc")) {
        Ok(processes) => processes,
        Err(error) => {
            let why = format!("/proc cannot be read ({error})");
            found.left_out.push(LeftOut::new("all servers", why));
            return;
        }
    };
    let text = |name: &str| fs::read(format!("/proc/net/{name}")).unwrap_or_default();
    let tcp = |name: &str| sockets::tcp(&String::from_utf8_lossy(&text(name)));
    let owners = Owners::of_this_host();
    let me = Some(owners.user(rustix::process::geteuid().as_raw()));
    let surroundings = Surroundings {
        sockets: sockets::unix(&text("unix")),
        ports: [tcp("tcp"), tcp("tcp6")].concat(),
        owners,
        me: me.filter(|name| !name.is_empty()),
        interrupted: interrupted.clone(),
    };
    for process in processes {
        match surroundings.server(&process).await {
            Ok(server) => found.servers.push(server),
            Err(why) => {
                let what = format!("{} (process {})", name_of(process.kind), process.pid);
                found.left_out.push(LeftOut::new(&what, why));
            }
        }
    }
}

/// What a server is called in sentences.
fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Mariadb => "a MariaDB server",
        Kind::Mysql => "a MySQL server",
        Kind::Postgres => "a PostgreSQL server",
        _ => "a Redis server",
    }
}

impl Surroundings {
    /// The server that `process` is, or why it is none that can be protected.
    async fn server(&self, process: &Process) -> Result<Server, String> {
        if process.is_elsewhere {
            return Err(
                "in a network of its own (a container): name where it is published, e.g. by \
                        --mariadb, --postgres or --redis"
                    .to_owned(),
            );
        }
        let (place, version) = match self.met(process).await {
            Some(met) => met,
            None => return Err(self.not_met(process)),
        };
        let mut server = Server {
            kind: process.kind,
            pid: process.pid,
            runs_as: match self.owners.user(process.uid) {
                name if name.is_empty() => process.uid.to_string(),
                name => visible(&name).into_owned(),
            },
            place,
            version,
            folder: process.folder.clone().filter(|folder| plain(folder).is_some()),
            size: None,
            admission: Admission::Untried,
        };
        match process.kind {
            Kind::Postgres => self.look_at_postgres(&mut server)?,
            Kind::Redis => {}
            _ => self.look_at_mysql(&mut server).await?,
        }
        if server.kind == Kind::Redis {
            self.look_at_redis(&mut server).await?;
        }
        Ok(server)
    }

    /// The first place at which the very process was met, sockets before ports, with its version.
    async fn met(&self, process: &Process) -> Option<(Place, Option<String>)> {
        let speaks_first = matches!(process.kind, Kind::Mariadb | Kind::Mysql);
        for socket in self.sockets.iter().filter(|socket| may_be_of(process, socket)) {
            let path = match &process.folder {
                // A relative name is of the folder that the server works in.
                Some(folder) => folder.join(&socket.path),
                None => socket.path.clone(),
            };
            let is_it = |found: u32| found == process.pid;
            if !knock::listener(&path).await.ok().flatten().is_some_and(is_it) {
                continue;
            }
            let version = if speaks_first { knock::version_at_socket(&path).await } else { None };
            let Some(place) = socket_of(process.kind, &path) else { continue };
            if version.is_some() || !speaks_first {
                return Some((place, version));
            }
        }
        for port in self.ports.iter().filter(|port| is_port_of(process, port)) {
            let Some(host) = port.host else { continue };
            let number = port.number;
            let version =
                if speaks_first { knock::version_at_port(host, number).await } else { None };
            if version.is_some() || !speaks_first {
                return Some((Place::Port { host, port: number }, version));
            }
        }
        None
    }

    fn not_met(&self, process: &Process) -> String {
        let outside = self.ports.iter().any(|port| is_port_of(process, port));
        match (&process.sockets, outside) {
            (None, _) => {
                "whose sockets only its user and root may see: run this as root, or name it"
                    .to_owned()
            }
            (Some(_), true) => {
                "it listens at an address of the outside alone: name that, e.g. by --postgres"
                    .to_owned()
            }
            (Some(_), false) => {
                "it listens nowhere that can be reached from here by a plain name; \
                                 a drill's own server does so"
                    .to_owned()
            }
        }
    }

    fn look_at_postgres(&self, server: &mut Server) -> Result<(), String> {
        let Some(folder) = &server.folder else { return Ok(()) };
        let Ok(mark) = fs::read_to_string(folder.join(POSTGRES_MARK)) else { return Ok(()) };
        server.size = Some(size::of(folder));
        let Ok(major) = mark.trim().parse::<u32>() else { return Ok(()) };
        server.version = Some(format!("PostgreSQL {major}"));
        match postgres::Engines::default().find(major) {
            Err(missing @ postgres::Missing::Unsupported { .. }) => Err(missing.to_string()),
            _ => Ok(()),
        }
    }

    async fn look_at_mysql(&self, server: &mut Server) -> Result<(), String> {
        let told = server.version.take().unwrap_or_default();
        let Some(version) = mysql::Version::read(&told) else {
            return Err(format!("its version is not known: {told}"));
        };
        let product = version.product;
        server.kind = product.kind();
        server.version = Some(format!("{} {}", product.name(), version.number));
        if let Err(missing @ mysql::Missing::Unsupported { .. }) =
            mysql::Engines::default().find(product, &version.series)
        {
            return Err(missing.to_string());
        }
        if let Some(folder) = &server.folder
            && folder.join(MYSQL_MARK).exists()
        {
            server.size = Some(size::of(folder));
        }
        server.admission = self.admission(product, &server.place).await;
        match server.admission {
            Admission::Empty => Err("it has no database but its own".to_owned()),
            _ => Ok(()),
        }
    }

    /// Whether we are let in by who we are, which sockets alone show.
    async fn admission(&self, product: Product, place: &Place) -> Admission {
        let (Place::Socket { path, .. }, Some(me)) = (place, &self.me) else {
            return Admission::Untried;
        };
        let (path, me, interrupted) = (path.clone(), me.clone(), self.interrupted.clone());
        let tried = move || login::mysql(product, &path, &me, &interrupted);
        tokio::task::spawn_blocking(tried).await.unwrap_or(Admission::Untried)
    }

    async fn look_at_redis(&self, server: &mut Server) -> Result<(), String> {
        let (host, port) = match &server.place {
            Place::Socket { path, .. } => (path.clone(), 0),
            Place::Port { host, port } => ((*host).to_owned(), *port),
        };
        let interrupted = self.interrupted.clone();
        let asked = move || login::redis(&host, port, &interrupted);
        let told = tokio::task::spawn_blocking(asked).await.ok().flatten();
        let Some(Told { admission, version }) = told else {
            return Err(
                "it does not answer as Redis does; one that asks for TLS must be named by \
                        hand in the policy"
                    .to_owned(),
            );
        };
        server.version = version.map(|version| visible(&version).into_owned());
        server.admission = admission;
        match admission {
            Admission::Empty => {
                Err("it has no key: there would be nothing to compare; add it when it has"
                    .to_owned())
            }
            _ => Ok(()),
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
