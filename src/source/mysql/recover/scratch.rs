//! The scratch server: made, started, filled, asked, stopped.
//!
//! What either product is told at that stands in [`settings`](super::settings).

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::super::accounts::{SCRATCH_READER, SCRATCH_USER};
use super::super::client::commands_off;
use super::super::engine::Engine;
use super::super::{Login, Product, Server, Session, Tls, session};
use super::{Error, complaint, environment, of_session, settings};
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
        let (files, run) = (room.join("files"), room.join("run"));
        let (temporary, exchange) = (room.join("tmp"), room.join("exchange"));
        for folder in [&files, &run, &temporary, &exchange] {
            make_folder(folder, scratch)?;
        }
        let product = engine.product;
        let first = run.join("first.sql");
        fs::write(&first, settings::first(&engine).join("\n") + "\n")
            .map_err(|source| lent::trouble("write", &first, source))?;
        scratch.hand_over(&first).map_err(environment)?;
        let like = source.variables.iter();
        let like = like.map(|(name, value)| format!("--{}={value}", name.replace('_', "-")));
        let log = settings::redo_log(product, super::redo_log_bytes(source));
        let like: Vec<String> = like.chain([log]).collect();
        let folders = [
            format!("--basedir={}", engine.root().display()),
            format!("--datadir={}", files.display()),
            format!("--tmpdir={}", temporary.display()),
        ];
        let (maker, options) = settings::maker(&engine);
        let made =
            Program::new(maker).arg("--no-defaults").args(options).args(&folders).args(&like);
        let finished = cage.run(&made, Out::Kept, PATIENCE).map_err(environment)?;
        if finished.ending != Ending::Exited(0) {
            let what = String::from_utf8_lossy(&finished.stdout).into_owned() + &finished.stderr;
            return Err(environment(Error::NotStarted { how: finished.ending.to_string(), what }));
        }
        let server = Program::new(engine.server())
            .arg("--no-defaults")
            .args(&folders)
            .arg(format!("--secure-file-priv={}", exchange.display()))
            .arg(format!("--init-file={}", first.display()))
            .args([&format!("--socket={SOCKET}"), "--pid-file=pid"])
            .args(settings::of_server(&engine))
            .args(&like)
            .within(&run);
        let process = cage.start(&server).map_err(environment)?;
        let (process, door) = answering(product, process, &files.join(SOCKET), scratch)?;
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
            .arg(self.engine.program(client))
            .args(["--no-defaults", "--local-infile=0", "--batch", "--binary-mode"])
            .args(commands_off(self.engine.product))
            // Routines keep the comments in them.
            .args(["--comments", "--max-allowed-packet=1G", "--default-character-set=utf8mb4"])
            .arg("--init-command=SET SESSION timestamp = 86400")
            .args(["--protocol=socket", &format!("--socket={SOCKET}")])
            .arg(format!("--user={SCRATCH_USER}"))
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
    product: Product,
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
