//! The scratch server: made, started, filled, asked, stopped.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::super::engine::Engine;
use super::super::{Cluster, Database, Login, Session, Tls, session};
use super::{Error, complaint, data, environment, of_session};
use crate::sandbox::{Cage, Caged, Door, Ending, Out, Program, Scratch};
use crate::source::lent::make_folder;
use crate::source::{Access, Trouble};

/// The number in a socket's name.
const PORT: u16 = 5432;

/// The socket's folder as clients in the cage name it: they run in that folder, since the names of
/// sockets are short and scratch paths are long.
const HERE: &str = "/proc/self/cwd";

/// How long initdb may take, and the server to start.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long making roles may take.
const ROLES: Duration = Duration::from_secs(600);

/// How long the server may take to stop by itself.
const STOPPING: Duration = Duration::from_secs(30);

/// Pauses between two knocks at a starting server.
const KNOCK_EVERY: Duration = Duration::from_millis(20);

/// A scratch copy is thrown away: nothing of it need survive a crash. Nothing of the customer's
/// configuration is in force, no library of theirs is preloaded, nothing is archived or sent. Logs
/// hold no statements, which hold rows.
const SETTINGS: [&str; 26] = [
    "listen_addresses=",
    "unix_socket_directories=../run",
    "unix_socket_permissions=0700",
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "archive_mode=off",
    "autovacuum=off",
    "checkpoint_timeout=1h",
    "max_wal_size=2GB",
    "shared_buffers=128MB",
    "maintenance_work_mem=128MB",
    "max_connections=40",
    "max_locks_per_transaction=1024",
    "shared_preload_libraries=",
    "session_preload_libraries=",
    "local_preload_libraries=",
    "jit=off",
    "lc_messages=C",
    "TimeZone=UTC",
    "log_error_verbosity=terse",
    "log_min_error_statement=panic",
    "log_statement=none",
    "logging_collector=off",
];

/// What of the settings a report of recovery times must tell.
pub(super) const DURABILITY: &str = "fsync, synchronous_commit and full_page_writes off";

/// How many processes load one dump.
const JOBS: usize = 4;

/// A server in its cage.
pub(super) struct Server {
    engine: Engine,
    cage: Cage,
    process: Caged,
    superuser: String,
    /// The captured major version: in its words definitions are told.
    words: u32,
    /// The folder of its socket, inside the cage.
    run: PathBuf,
    door: Door,
    interrupted: Arc<AtomicBool>,
}

impl Server {
    /// Makes a cluster below `room`, a folder of the scratch user's, and starts a server on it.
    pub(super) fn create(
        engine: Engine,
        cage: Cage,
        cluster: &Cluster,
        room: &Path,
        scratch: &Scratch,
    ) -> Result<Self, Trouble> {
        let (files, run) = (room.join("cluster"), room.join("run"));
        make_folder(&run, scratch)?;
        let initdb = Program::new(engine.program("initdb"))
            .arg("--pgdata")
            .arg(&files)
            .args(["--username", &cluster.superuser])
            .args(["--encoding", "UTF8", "--locale", "C", "--auth", "trust"])
            .args(["--data-checksums", "--no-sync", "--no-instructions"]);
        let finished = cage.run(&initdb, Out::Dropped, PATIENCE).map_err(environment)?;
        if finished.ending != Ending::Exited(0) {
            let how = finished.ending.to_string();
            return Err(environment(Error::NotStarted { how, what: finished.stderr }));
        }
        let mut postgres = Program::new(engine.program("postgres")).arg("-D").arg(&files);
        for setting in SETTINGS {
            postgres = postgres.args(["-c", setting]);
        }
        let process = cage.start(&postgres).map_err(environment)?;
        let superuser = cluster.superuser.clone();
        let (process, door) = answering(process, &superuser, &run, scratch)?;
        let interrupted = scratch.interrupted().clone();
        let words = cluster.major;
        Ok(Self { engine, cage, process, superuser, words, run, door, interrupted })
    }

    /// It waits for its dumps, however long they take.
    pub(super) fn rest(&self) {
        self.process.rest();
    }

    /// Its time is bounded from now on.
    pub(super) fn work(&self) {
        self.process.work();
    }

    /// A session in `database` once it was restored; tells whose fault it is that there is none.
    pub(super) fn session(&self, database: &str) -> Result<Session, Trouble> {
        let entered = self.enter(database).and_then(|mut session| {
            session.speak_as(self.words)?;
            Ok(session)
        });
        entered.map_err(|error| match error {
            session::Error::NotAdmitted { database, code, message, .. } if code == "3D000" => {
                data(session::Error::Refused { database, code, message })
            }
            error => of_session(error),
        })
    }

    /// A session in `database`, while nothing is there yet that could be at fault.
    pub(super) fn enter(&self, database: &str) -> Result<Session, session::Error> {
        enter(&self.door, &self.superuser, database, self.interrupted.clone())
    }

    /// How others reach it: as its superuser, for there is nobody else who may read everything.
    pub(super) fn access(&self) -> Access {
        Access {
            folder: self.door.path().to_owned(),
            paths: vec![("HOST", PathBuf::new())],
            words: vec![("PORT", PORT.to_string()), ("USER", self.superuser.clone())],
        }
    }

    /// The engine and what it was told, and its walls.
    pub(super) fn confinement(&self) -> String {
        let version = &self.engine.version;
        format!("{}; PostgreSQL {version} with {DURABILITY}", self.cage.confinement())
    }

    pub(super) fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Makes roles and what else all databases share.
    pub(super) fn load_globals(&self, globals: &Path) -> Result<(), Trouble> {
        let psql = self
            .client("psql")
            .args(["--no-psqlrc", "--quiet", "--dbname", "template1"])
            .args(["--set", "ON_ERROR_STOP=1", "--set", "VERBOSITY=terse"])
            .arg("--file")
            .arg(globals);
        self.finish("psql", &psql, ROLES)
    }

    /// Makes a database as its dump describes it, and fills it.
    pub(super) fn load(&self, database: &Database, dump: &Path) -> Result<(), Trouble> {
        let jobs = std::thread::available_parallelism().map_or(1, usize::from).min(JOBS);
        // These two come with every server; their dumps make them anew.
        let is_there = matches!(database.name.as_str(), "postgres" | "template1");
        let from = if database.name == "template1" { "postgres" } else { "template1" };
        let mut restore = self
            .client("pg_restore")
            .args(["--create", "--exit-on-error", "--no-tablespaces", "--no-subscriptions"])
            .args(["--jobs", &jobs.to_string(), "--dbname", from]);
        if is_there {
            restore = restore.args(["--clean", "--if-exists"]);
        }
        // The cage's own bounds hold.
        self.finish("pg_restore", &restore.arg(dump), Duration::MAX)
    }

    /// One of the engine's clients, on its way to the server.
    pub(super) fn client(&self, name: &str) -> Program {
        Program::new(self.engine.program(name))
            .args(["--host", HERE, "--port", &PORT.to_string()])
            .args(["--username", &self.superuser, "--no-password"])
            .within(&self.run)
    }

    pub(super) fn cage(&self) -> &Cage {
        &self.cage
    }

    fn finish(&self, name: &str, program: &Program, limit: Duration) -> Result<(), Trouble> {
        let finished = self.cage.run(program, Out::Dropped, limit).map_err(environment)?;
        complaint::none(name, &finished)
    }

    /// Stops it: fast, then at once.
    pub(super) fn stop(mut self) -> Result<(), Trouble> {
        // SIGINT is PostgreSQL's fast shutdown.
        self.process.signal(Signal::INT).map_err(environment)?;
        if self.process.wait(STOPPING).map_err(environment)?.is_none() {
            self.process.kill().map_err(environment)?;
        }
        Ok(())
    }
}

/// Knocks until the server answers or is over.
fn answering(
    mut process: Caged,
    superuser: &str,
    run: &Path,
    scratch: &Scratch,
) -> Result<(Caged, Door), Trouble> {
    let socket = run.join(format!(".s.PGSQL.{PORT}"));
    let patience = Instant::now() + PATIENCE;
    loop {
        if let Some(ending) = process.ended().map_err(environment)? {
            let (how, what) = (ending.to_string(), process.last_words());
            return Err(environment(Error::NotStarted { how, what }));
        }
        let error = match Door::to(scratch, &socket) {
            Ok(door) => match enter(&door, superuser, "template1", scratch.interrupted().clone()) {
                Ok(_) => return Ok((process, door)),
                Err(error) => Error::Session(error),
            },
            Err(error) => Error::Sandbox(error),
        };
        if Instant::now() >= patience {
            return Err(environment(error));
        }
        std::thread::sleep(KNOCK_EVERY);
    }
}

fn enter(
    door: &Door,
    superuser: &str,
    database: &str,
    interrupted: Arc<AtomicBool>,
) -> Result<Session, session::Error> {
    let login = Login {
        host: door.folder().display().to_string(),
        port: PORT,
        user: superuser.to_owned(),
        password: None,
        tls: Tls::Off,
    };
    Session::open(&login, database, PATIENCE, interrupted)
}
