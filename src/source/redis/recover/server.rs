//! The scratch server: started on a data set, asked, stopped.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::super::engine::Engine;
use super::super::{FILE, Login, Reply, Session, Taken, session};
use super::{Error, data, environment, file, make_folder};
use crate::policy::sources::Tls;
use crate::sandbox::{Cage, Caged, Door, Ending, Out, Program, Scratch};
use crate::source::{Access, Trouble};

/// The socket's file name.
const SOCKET: &str = "redis.sock";

/// The file that the server writes what it holds into.
pub(super) const SAVED: &str = "saved.rdb";

/// The server's log, in its room.
const LOG: &str = "log";

/// How long it may take to stop by itself.
const STOPPING: Duration = Duration::from_secs(30);

/// How long a plain question may wait for its answer.
const ANSWER: Duration = Duration::from_secs(20);

/// Pauses between two knocks at a starting server.
const KNOCK_EVERY: Duration = Duration::from_millis(20);

/// Of its log only this much is read.
const LOG_BYTES: u64 = 8 << 10;

/// Nothing is written but where we ask for it, nothing is listened to but a socket, every value is
/// looked at while it is loaded. It is the replica of a server that cannot be: a replica lets no key
/// go because its time has come, so that all that was captured can be compared, however old it is.
const SETTINGS: [(&str, &str); 24] = [
    ("port", "0"),
    ("unixsocketperm", "700"),
    ("dbfilename", FILE),
    ("save", ""),
    ("appendonly", "no"),
    ("replicaof", "127.0.0.1 1"),
    ("replica-serve-stale-data", "yes"),
    // For controls.
    ("replica-read-only", "no"),
    ("sanitize-dump-payload", "yes"),
    ("rdbchecksum", "yes"),
    ("rdbcompression", "no"),
    ("enable-protected-configs", "yes"),
    ("enable-debug-command", "no"),
    ("enable-module-command", "no"),
    ("crash-log-enabled", "no"),
    ("crash-memcheck-enabled", "no"),
    ("always-show-logo", "no"),
    ("set-proc-title", "no"),
    ("daemonize", "no"),
    ("maxclients", "16"),
    ("maxmemory", "0"),
    ("cluster-enabled", "no"),
    ("loglevel", "notice"),
    ("logfile", LOG),
];

/// What of the settings a report of recovery times must tell.
const DURABILITY: &str = "as a replica that writes nothing to disk";

/// A server in its cage.
pub(super) struct Server {
    engine: Engine,
    cage: Cage,
    process: Caged,
    room: PathBuf,
    door: Door,
    patience: Duration,
    interrupted: Arc<AtomicBool>,
}

impl Server {
    /// Starts a server on the data set in `room`; returns once that is loaded.
    pub(super) fn start(
        engine: Engine,
        cage: Cage,
        room: &Path,
        taken: &Taken,
        patience: Duration,
        scratch: &Scratch,
    ) -> Result<Self, Trouble> {
        let run = room.join("run");
        make_folder(&run, scratch)?;
        let mut redis = Program::new(engine.program("redis-server"))
            // Names of sockets are short and scratch paths are long: it is named from the room.
            .args(["--unixsocket", &format!("run/{SOCKET}"), "--dir", "."])
            .args(["--databases", &taken.databases.max(16).to_string()]);
        for (name, value) in SETTINGS {
            redis = redis.arg(format!("--{name}"));
            redis = match name {
                "replicaof" => redis.args(value.split(' ')),
                _ => redis.arg(value),
            };
        }
        let process = cage.start(&redis.within(room)).map_err(environment)?;
        let interrupted = scratch.interrupted().clone();
        let (process, door) = answering(process, room, &run, patience, scratch)?;
        let room = room.to_owned();
        Ok(Self { engine, cage, process, room, door, patience, interrupted })
    }

    /// A session as the server's own user, who may do everything.
    pub(super) fn session(&self) -> Result<Session, Trouble> {
        enter(&self.door, self.interrupted.clone()).map_err(environment)
    }

    /// Has the server write what it holds, anew and from memory, into [`SAVED`].
    pub(super) fn save(&self) -> Result<(), Trouble> {
        let mut session = self.session()?;
        let named: [&[u8]; 4] = [b"CONFIG", b"SET", b"dbfilename", SAVED.as_bytes()];
        session.must(&named).map_err(environment)?;
        session.set_silence(self.patience);
        session.must(&[b"SAVE"]).map_err(environment)?;
        Ok(())
    }

    /// Runs Redis' own check on the restored file; how it ended and what it said.
    pub(super) fn check(&self) -> Result<(Ending, String), Trouble> {
        let check = Program::new(self.engine.program("redis-check-rdb")).arg(self.room.join(FILE));
        let finished = self.cage.run(&check, Out::Kept, self.patience).map_err(environment)?;
        Ok((finished.ending, String::from_utf8_lossy(&finished.stdout).into_owned()))
    }

    /// How others reach it: a replica that takes no writes.
    pub(super) fn access(&self) -> Access {
        Access {
            folder: self.door.path().to_owned(),
            paths: vec![("SOCKET", SOCKET.into())],
            words: Vec::new(),
        }
    }

    /// The engine and what it was told, and its walls.
    pub(super) fn confinement(&self) -> String {
        format!("{}; Redis {} {DURABILITY}", self.cage.confinement(), self.engine.version)
    }

    /// Ends it.
    pub(super) fn stop(mut self) -> Result<(), Trouble> {
        self.process.signal(Signal::TERM).map_err(environment)?;
        if self.process.wait(STOPPING).map_err(environment)?.is_none() {
            self.process.kill().map_err(environment)?;
        }
        Ok(())
    }
}

/// Knocks until the server has loaded its data set or is over.
fn answering(
    mut process: Caged,
    room: &Path,
    run: &Path,
    patience: Duration,
    scratch: &Scratch,
) -> Result<(Caged, Door), Trouble> {
    let until = Instant::now() + patience;
    loop {
        if let Some(ending) = process.ended().map_err(environment)? {
            return Err(of_ending(
                ending,
                &file::tail(room, LOG, LOG_BYTES),
                &process.last_words(),
            ));
        }
        let error = match Door::to(scratch, &run.join(SOCKET)) {
            Ok(door) => match is_loaded(&door, scratch) {
                Ok(true) => return Ok((process, door)),
                Ok(false) => Error::Sandbox(crate::sandbox::Error::TimedOut { limit: patience }),
                Err(error) => Error::Session(error),
            },
            Err(error) => Error::Sandbox(error),
        };
        if Instant::now() >= until {
            return Err(environment(error));
        }
        std::thread::sleep(KNOCK_EVERY);
    }
}

fn is_loaded(door: &Door, scratch: &Scratch) -> Result<bool, session::Error> {
    let mut session = enter(door, scratch.interrupted().clone())?;
    match session.ask(&[b"PING"])? {
        Reply::Error(said) if said.starts_with("LOADING") => Ok(false),
        Reply::Error(said) => Err(session::Error::Refused { said }),
        _ => Ok(true),
    }
}

fn enter(door: &Door, interrupted: Arc<AtomicBool>) -> Result<Session, session::Error> {
    let login = Login {
        host: door.folder().join(SOCKET).display().to_string(),
        port: 0,
        user: None,
        password: None,
        tls: Tls::Off,
    };
    Session::open(&login, ANSWER, interrupted)
}

/// Parts of log lines that speak of this host and not of the data. A hostile data set can make a
/// drill inconclusive by them, never pass.
const OF_THE_HOST: [&str; 8] = [
    "Out Of Memory",
    "out of memory",
    "Cannot allocate memory",
    // `Short read or OOM` alone is what it says of every file that was cut.
    "failed allocating",
    "No space left on device",
    "Permission denied",
    // It has data that only a module can load.
    "no matching module type",
    "Can't handle RDB format version",
];

/// What a server says that gave up on its data set.
const OF_THE_DATA: [&str; 10] = [
    "Short read",
    "Wrong signature",
    "Bad file format",
    "RDB CRC error",
    "Internal error in RDB reading",
    "Unknown RDB",
    "corrupt",
    "duplicated key",
    "configured to handle more than",
    "Unexpected EOF",
];

/// Whose fault it is that a server is over before it answered.
fn of_ending(ending: Ending, log: &str, stderr: &str) -> Trouble {
    let said = |signs: &[&str]| {
        let mut lines = log.lines().chain(stderr.lines());
        lines.find(|line| signs.iter().any(|sign| line.contains(sign))).map(without_names)
    };
    let how = ending.to_string();
    let last = || log.lines().chain(stderr.lines()).last().map(without_names).unwrap_or_default();
    match (said(&OF_THE_HOST), said(&OF_THE_DATA)) {
        (Some(what), _) => environment(Error::NotStarted { how, what }),
        (None, Some(what)) => data(Error::NotStarted { how, what }),
        // It may have been ended for what it used, or for what it found: nobody knows.
        (None, None) => environment(Error::NotStarted { how, what: last() }),
    }
}

/// A line without its time, and without the names of keys that it quotes.
fn without_names(line: &str) -> String {
    let said =
        line.split_once(" # ").or_else(|| line.split_once(" * ")).map_or(line, |(_, said)| said);
    said.split(" '").next().unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_data_set_that_cannot_be_loaded_is_at_fault_and_a_host_without_memory_is_not() {
        let of = |log: &str| of_ending(Ending::Exited(1), log, "");

        let bad = "77:S 26 Nov 2026 07:00:00.000 # Wrong signature trying to load DB from file";
        assert!(matches!(of(bad), Trouble::Data(_)));
        for log in [
            "77:S 26 Nov 2026 07:00:00.000 # Out Of Memory allocating 10 bytes!\nShort read",
            "1:M # The RDB file contains module data I can't load: no matching module type 'x'",
            "nobody knows",
        ] {
            assert!(matches!(of(log), Trouble::Environment(_)), "{log}");
        }
    }

    #[test]
    fn names_of_keys_do_not_show() {
        let line = "77:S 26 Nov 2026 07:00:00.000 # RDB has duplicated key 'canary' in DB 0";

        assert_eq!(without_names(line), "RDB has duplicated key");
    }
}
