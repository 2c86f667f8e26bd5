//! The scratch server: made, started, filled, asked, stopped.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::super::accounts::{SCRATCH_READER, SCRATCH_USER};
use super::super::engine::Engine;
use super::super::{Login, Server, Session, Tls, session};
use super::{Error, complaint, environment, of_session};
use crate::sandbox::{Cage, Caged, Door, Ending, Out, Program, Scratch};
use crate::source::Trouble;
use crate::source::lent::{self, make_folder};

/// The socket's name, in a folder of its own.
const SOCKET: &str = "s";

/// How long making a server may take, and its start.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long the server may take to stop by itself.
const STOPPING: Duration = Duration::from_secs(30);

/// Pauses between two knocks at a starting server.
const KNOCK_EVERY: Duration = Duration::from_millis(20);

/// A scratch copy is thrown away: nothing of it need survive a crash. Nothing of the customer's
/// configuration is in force, nothing is logged, sent or run by the clock, no file is read.
const SETTINGS: [&str; 24] = [
    "--skip-networking",
    "--skip-name-resolve",
    "--skip-log-bin",
    // Not DISABLED, for then none could be made.
    "--event-scheduler=OFF",
    "--local-infile=0",
    "--default-time-zone=+00:00",
    "--log-bin-trust-function-creators=1",
    "--performance-schema=0",
    "--max-connections=40",
    "--max-allowed-packet=1G",
    "--innodb-buffer-pool-size=256M",
    "--innodb-log-buffer-size=64M",
    "--innodb-flush-log-at-trx-commit=0",
    "--skip-innodb-doublewrite",
    "--innodb-flush-method=fsync",
    "--innodb-use-native-aio=0",
    "--innodb-buffer-pool-dump-at-shutdown=0",
    "--innodb-buffer-pool-load-at-startup=0",
    "--innodb-stats-persistent=0",
    "--innodb-fast-shutdown=2",
    "--debug-no-sync=1",
    "--key-buffer-size=64M",
    "--max-statement-time=0",
    "--innodb-lock-wait-timeout=600",
];

/// What of the settings a report of recovery times must tell.
const DURABILITY: &str = "innodb_flush_log_at_trx_commit=0, no doublewrite, no sync";

/// What the server runs first: all accounts go but its own and ours, which need no passwords, since
/// nobody else reaches the socket.
const FIRST: [&str; 10] = [
    "DELETE FROM mysql.global_priv WHERE User <> 'mariadb.sys';",
    "DELETE FROM mysql.proxies_priv;",
    "DELETE FROM mysql.db;",
    "FLUSH PRIVILEGES;",
    "CREATE USER lifeboat_scratch@localhost;",
    "GRANT ALL PRIVILEGES ON *.* TO lifeboat_scratch@localhost WITH GRANT OPTION;",
    "CREATE USER lifeboat_reader@localhost;",
    // A transaction that only reads lets definitions through.
    "GRANT SELECT, SHOW VIEW, EXECUTE ON *.* TO lifeboat_reader@localhost;",
    // Nobody is there yet who could grant it.
    "INSERT INTO mysql.proxies_priv (Host, User, Proxied_host, Proxied_user, With_grant, Grantor) \
     VALUES ('localhost', 'lifeboat_scratch', '', '', 1, '');",
    "FLUSH PRIVILEGES;",
];

/// A server in its cage.
pub(super) struct ScratchServer {
    engine: Engine,
    cage: Cage,
    process: Caged,
    /// The folder of its socket, inside the cage.
    run: PathBuf,
    door: Door,
    interrupted: Arc<AtomicBool>,
}

impl ScratchServer {
    /// Makes a server like `source` below `room`, a folder of the scratch user's, and starts it.
    pub(super) fn create(
        engine: Engine,
        cage: Cage,
        source: &Server,
        room: &Path,
        scratch: &Scratch,
    ) -> Result<Self, Trouble> {
        let (files, run) = (room.join("files"), room.join("run"));
        let (temporary, exchange) = (room.join("tmp"), room.join("exchange"));
        for folder in [&files, &run, &temporary, &exchange] {
            make_folder(folder, scratch)?;
        }
        let first = run.join("first.sql");
        fs::write(&first, FIRST.join("\n") + "\n")
            .map_err(|source| lent::trouble("write", &first, source))?;
        scratch.hand_over(&first).map_err(environment)?;
        let like = source.variables.iter();
        let like = like.map(|(name, value)| format!("--{}={value}", name.replace('_', "-")));
        let log = format!("--innodb-log-file-size={}M", super::redo_log_bytes(source) >> 20);
        let like: Vec<String> = like.chain([log]).collect();
        let data = format!("--datadir={}", files.display());
        let temporary = format!("--tmpdir={}", temporary.display());
        let made = Program::new(engine.program("mariadb-install-db"))
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            // Nobody looks up its name: --force lets it go on without.
            .args(["--force", "--skip-name-resolve"])
            .args(["--debug-no-sync=1", "--innodb-use-native-aio=0"])
            .arg(format!("--basedir={}", engine.root().display()))
            .args([&data, &temporary])
            .args(&like);
        let finished = cage.run(&made, Out::Kept, PATIENCE).map_err(environment)?;
        if finished.ending != Ending::Exited(0) {
            let what = String::from_utf8_lossy(&finished.stdout).into_owned() + &finished.stderr;
            return Err(environment(Error::NotStarted { how: finished.ending.to_string(), what }));
        }
        let server = Program::new(engine.server())
            .args(["--no-defaults", &data, &temporary])
            .arg(format!("--basedir={}", engine.root().display()))
            .arg(format!("--secure-file-priv={}", exchange.display()))
            .arg(format!("--init-file={}", first.display()))
            .args([&format!("--socket={SOCKET}"), "--pid-file=pid"])
            .args(SETTINGS)
            .args(&like)
            .within(&run);
        let process = cage.start(&server).map_err(environment)?;
        let (process, door) = answering(process, &files.join(SOCKET), scratch)?;
        let interrupted = scratch.interrupted().clone();
        Ok(Self { engine, cage, process, run: files, door, interrupted })
    }

    /// It waits for its dumps, however long they take.
    pub(super) fn rest(&self) {
        self.process.rest();
    }

    /// Its time is bounded from now on.
    pub(super) fn work(&self) {
        self.process.work();
    }

    /// A session; tells whose fault it is that there is none.
    pub(super) fn session(&self) -> Result<Session, Trouble> {
        enter(&self.door, SCRATCH_USER, self.interrupted.clone()).map_err(of_session)
    }

    /// A session that may only read.
    pub(super) fn reader(&self) -> Result<Session, Trouble> {
        enter(&self.door, SCRATCH_READER, self.interrupted.clone()).map_err(of_session)
    }

    /// The engine and what it was told, and its walls.
    pub(super) fn confinement(&self) -> String {
        let (name, version) = (self.engine.product.name(), &self.engine.version);
        format!("{}; {name} {version} with {DURABILITY}", self.cage.confinement())
    }

    /// Runs a script in the client, whose clock stands in 1970: an event whose time has come could
    /// not be made. With `whatever` what fails is passed over.
    pub(super) fn load(&self, name: &str, script: &Path, whatever: bool) -> Result<(), Trouble> {
        let mut client = Program::new("/bin/sh")
            .args(["-c", "script=$1; shift; exec \"$@\" < \"$script\"", "sh"])
            .arg(script)
            .arg(self.engine.program("mariadb"))
            .args(["--no-defaults", "--sandbox", "--local-infile=0", "--batch", "--binary-mode"])
            // Routines keep the comments in them.
            .args(["--comments", "--max-allowed-packet=1G", "--default-character-set=utf8mb4"])
            .arg("--init-command=SET SESSION timestamp = 86400")
            .args(["--protocol=socket", &format!("--socket={SOCKET}")])
            .arg(format!("--user={SCRATCH_USER}"))
            .within(&self.run);
        if whatever {
            client = client.arg("--force");
        }
        // The cage's own bounds hold.
        let finished = self.cage.run(&client, Out::Dropped, Duration::MAX).map_err(environment)?;
        if whatever {
            complaint::none_of_the_host(name, &finished)
        } else {
            complaint::none(name, &finished)
        }
    }

    /// Stops it: fast, then at once.
    pub(super) fn stop(mut self) -> Result<(), Trouble> {
        self.process.signal(Signal::TERM).map_err(environment)?;
        if self.process.wait(STOPPING).map_err(environment)?.is_none() {
            self.process.kill().map_err(environment)?;
        }
        Ok(())
    }
}

/// Knocks until the server answers or is over.
fn answering(
    mut process: Caged,
    socket: &Path,
    scratch: &Scratch,
) -> Result<(Caged, Door), Trouble> {
    let patience = Instant::now() + PATIENCE;
    loop {
        if let Some(ending) = process.ended().map_err(environment)? {
            let (how, what) = (ending.to_string(), process.last_words());
            return Err(environment(Error::NotStarted { how, what }));
        }
        let error = match Door::to(scratch, socket) {
            Ok(door) => match enter(&door, SCRATCH_USER, scratch.interrupted().clone()) {
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

fn enter(door: &Door, user: &str, interrupted: Arc<AtomicBool>) -> Result<Session, session::Error> {
    let login = Login {
        host: door.folder().join(SOCKET).display().to_string(),
        port: 0,
        user: user.to_owned(),
        password: None,
        tls: Tls::Off,
    };
    Session::open(&login, PATIENCE, interrupted)
}
