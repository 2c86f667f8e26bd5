//! Servers: a process, the place at which it was met, and what it says of itself.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::login::{self, Admission, Told};
use super::place::{Listened, Place};
use super::processes::{self, Process};
use super::size::{self, Size};
use super::{Discovery, LeftOut, plain};
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

/// What all servers are looked for with.
struct Surroundings {
    listened: Listened,
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
    let owners = Owners::of_this_host();
    let me = Some(owners.user(rustix::process::geteuid().as_raw()));
    let surroundings = Surroundings {
        listened: Listened::now(),
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
        let (place, version) = self.listened.met(process).await?;
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
            Kind::Postgres => look_at_postgres(&mut server)?,
            Kind::Redis => self.look_at_redis(&mut server).await?,
            _ => self.look_at_mysql(&mut server).await?,
        }
        Ok(server)
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

fn look_at_postgres(server: &mut Server) -> Result<(), String> {
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
