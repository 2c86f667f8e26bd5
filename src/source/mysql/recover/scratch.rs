//! The scratch server: made, started, filled, asked, stopped.
//!
//! What either product is told at that stands in [`settings`](super::settings).

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::super::accounts::{SCRATCH_READER, SCRATCH_USER};
use super::super::client::commands_off;
use super::super::engine::Engine;
use super::super::physical::READER;
use super::super::{Login, Product, Server, Session, Tls, session};
use super::{Error, complaint, data, environment, of_session, settings};
use crate::sandbox::{Cage, Caged, Door, Ending, Out, Program, Scratch};
use crate::source::lent::{self, make_folder};
use crate::source::{Access, Trouble};

/// The socket's name, in a folder of its own.
const SOCKET: &str = "s";

/// How long making a server may take, and its start.
const PATIENCE: Duration = Duration::from_secs(120);

/// How long the server may take to stop by itself.
const STOPPING: Duration = Duration::from_secs(30);

/// Pauses between two knocks at a starting server.
const KNOCK_EVERY: Duration = Duration::from_millis(20);

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
        make_folder(&files(room), scratch)?;
        make_folder(&temporary(room), scratch)?;
        let (maker, options) = settings::maker(&engine);
        let made = Program::new(maker).arg("--no-defaults").args(options);
        let made = made.args(folders(&engine, room)).args(like(&engine, source));
        let finished = cage.run(&made, Out::Kept, PATIENCE).map_err(environment)?;
        if finished.ending != Ending::Exited(0) {
            let what = String::from_utf8_lossy(&finished.stdout).into_owned() + &finished.stderr;
            return Err(environment(Error::NotStarted { how: finished.ending.to_string(), what }));
        }
        let first = settings::first(&engine);
        Self::start(engine, cage, source, room, scratch, &first, environment)
    }

    /// Starts a server on the files that lie in [`files`], captured from one like `source`; the folder of
    /// what is temporary is there.
    pub(super) fn open(
        engine: Engine,
        cage: Cage,
        source: &Server,
        room: &Path,
        scratch: &Scratch,
    ) -> Result<Self, Trouble> {
        let first = settings::first_on_files();
        Self::start(engine, cage, source, room, scratch, &first, of_files)
    }

    /// Starts a server that runs `first` first; `fault` says whose it is where it ends at once.
    fn start(
        engine: Engine,
        cage: Cage,
        source: &Server,
        room: &Path,
        scratch: &Scratch,
        first: &[String],
        fault: fn(Error) -> Trouble,
    ) -> Result<Self, Trouble> {
        let (files, run, exchange) = (files(room), room.join("run"), room.join("exchange"));
        make_folder(&run, scratch)?;
        make_folder(&exchange, scratch)?;
        let script = run.join("first.sql");
        fs::write(&script, first.join("\n") + "\n")
            .map_err(|source| lent::trouble("write", &script, source))?;
        scratch.hand_over(&script).map_err(environment)?;
        let server = Program::new(engine.server())
            .arg("--no-defaults")
            .args(folders(&engine, room))
            .arg(format!("--secure-file-priv={}", exchange.display()))
            .arg(format!("--init-file={}", script.display()))
            .args([&format!("--socket={SOCKET}"), "--pid-file=pid"])
            .args(settings::of_server(&engine))
            .args(source.copy.iter().flat_map(|_| settings::OF_FILES))
            .args(like(&engine, source))
            .within(&run);
        let process = cage.start(&server).map_err(environment)?;
        let socket = files.join(SOCKET);
        let (process, door) = answering(engine.product, process, &socket, scratch, fault)?;
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
        enter(self.engine.product, &self.door, SCRATCH_USER, self.interrupted.clone())
            .map_err(of_session)
    }

    /// A session that may only read.
    pub(super) fn reader(&self) -> Result<Session, Trouble> {
        enter(self.engine.product, &self.door, SCRATCH_READER, self.interrupted.clone())
            .map_err(of_session)
    }

    /// How others reach it, as one who may only read.
    pub(super) fn access(&self) -> Access {
        Access {
            folder: self.door.path().to_owned(),
            paths: vec![("SOCKET", SOCKET.into())],
            words: vec![("USER", SCRATCH_READER.to_owned())],
        }
    }

    /// The engine and what it was told, and its walls.
    pub(super) fn confinement(&self) -> String {
        let (name, version) = (self.engine.product.name(), &self.engine.version);
        format!(
            "{}; {name} {version} with {}",
            self.cage.confinement(),
            settings::durability(self.engine.product)
        )
    }

    /// Runs a script in the client, whose clock stands in 1970: an event whose time has come could
    /// not be made. With `whatever` what fails is passed over.
    pub(super) fn load(&self, name: &str, script: &Path, whatever: bool) -> Result<(), Trouble> {
        let client = self.engine.product.client();
        let mut program = Program::new("/bin/sh")
            .args(["-c", "script=$1; shift; exec \"$@\" < \"$script\"", "sh"])
            .arg(script)
            .args(self.client())
            .arg("--init-command=SET SESSION timestamp = 86400")
            .within(&self.run);
        if whatever {
            program = program.arg("--force");
        }
        // The cage's own bounds hold.
        let finished = self.cage.run(&program, Out::Dropped, Duration::MAX).map_err(environment)?;
        if whatever {
            complaint::none_of_the_host(client, name, &finished)
        } else {
            complaint::none(client, name, &finished)
        }
    }

    /// Repeats what the pieces of a binary log hold, in their order. Each tells the clock of then.
    /// `room` is the server's.
    pub(super) fn replay(&self, pieces: &[PathBuf], room: &Path) -> Result<(), Trouble> {
        let (reader, script) = (self.engine.program(READER), "the binary log");
        // A reader that stopped must not look like the end of what there is to be read.
        let pipe = "count=$1 reader=$2; shift 2; logs=(\"${@:1:count}\"); shift \"$count\"; \
                    \"$reader\" --no-defaults --verify-binlog-checksum --skip-gtid-strict-mode \
                    \"${logs[@]}\" | \"$@\"";
        let program = Program::new("/bin/bash")
            .args(["-o", "pipefail", "-c", pipe, "bash", &pieces.len().to_string()])
            .arg(reader)
            .args(pieces)
            .args(self.client())
            // The reader sets a large event aside there, and says nothing where it cannot.
            .env("TMPDIR", temporary(room))
            .within(&self.run);
        let finished = self.cage.run(&program, Out::Dropped, Duration::MAX).map_err(environment)?;
        complaint::none(READER, script, &finished)
    }

    /// The client and what it is told, as whatever is run in it must not.
    fn client(&self) -> Vec<OsString> {
        let product = self.engine.product;
        let told = ["--no-defaults", "--local-infile=0", "--batch", "--binary-mode"];
        let told = told.iter().chain(commands_off(product)).chain(&[
            // Routines keep the comments in them.
            "--comments",
            "--max-allowed-packet=1G",
            "--default-character-set=utf8mb4",
            "--protocol=socket",
        ]);
        let own = [format!("--socket={SOCKET}"), format!("--user={SCRATCH_USER}")];
        let client = self.engine.program(product.client()).into_os_string();
        [client]
            .into_iter()
            .chain(told.map(OsString::from))
            .chain(own.map(OsString::from))
            .collect()
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

/// Where a server's files stand below its room.
pub(super) fn files(room: &Path) -> PathBuf {
    room.join("files")
}

/// Where what is temporary stands below a server's room.
pub(super) fn temporary(room: &Path) -> PathBuf {
    room.join("tmp")
}

/// Where the server and its maker find everything.
fn folders(engine: &Engine, room: &Path) -> [String; 3] {
    [
        format!("--basedir={}", engine.root().display()),
        format!("--datadir={}", files(room).display()),
        format!("--tmpdir={}", temporary(room).display()),
    ]
}

/// What makes the server like the captured one.
fn like(engine: &Engine, source: &Server) -> Vec<String> {
    let like = source.variables.iter();
    let like = like.map(|(name, value)| format!("--{}={value}", name.replace('_', "-")));
    like.chain([settings::redo_log(engine.product, super::redo_log_bytes(source))]).collect()
}

/// Files that no server starts on are at fault, unless it speaks of the host.
fn of_files(error: Error) -> Trouble {
    let is_of_the_host = matches!(&error,
        Error::NotStarted { what, .. } if complaint::is_of_the_host(0, what));
    if is_of_the_host { environment(error) } else { data(error) }
}

/// Knocks until the server answers or is over.
fn answering(
    product: Product,
    mut process: Caged,
    socket: &Path,
    scratch: &Scratch,
    fault: fn(Error) -> Trouble,
) -> Result<(Caged, Door), Trouble> {
    let patience = Instant::now() + PATIENCE;
    loop {
        if let Some(ending) = process.ended().map_err(environment)? {
            let (how, what) = (ending.to_string(), process.last_words());
            let is_its_own = matches!(ending, Ending::Exited(_) | Ending::Signalled(6 | 11));
            let error = Error::NotStarted { how, what };
            return Err(if is_its_own { fault(error) } else { environment(error) });
        }
        let error = match Door::to(scratch, socket) {
            Ok(door) => match enter(product, &door, SCRATCH_USER, scratch.interrupted().clone()) {
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
    product: Product,
    door: &Door,
    user: &str,
    interrupted: Arc<AtomicBool>,
) -> Result<Session, session::Error> {
    let login = Login {
        host: door.folder().join(SOCKET).display().to_string(),
        port: 0,
        user: user.to_owned(),
        password: None,
        tls: Tls::Off,
    };
    Session::open(product, &login, PATIENCE, interrupted)
}
