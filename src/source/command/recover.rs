//! The way back: the owner's programs bring up and check what was captured, in a cage.
//!
//! In: the folder a snapshot's source came out to. Out: a [`Recovered`]. What was captured is hostile
//! until proven otherwise, though the programs are the owner's: each runs caged, sees the system's
//! programs, itself, the file and a folder of its own, and is ended with whatever it started.

use std::fs::{self, DirBuilder};
use std::io::{self, Read};
use std::num::NonZeroU64;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::report::{self, Malformed, Report};
use super::{FILE, REPORT};
use crate::ground::ids::Name;
use crate::policy::sources::CommandSettings;
use crate::sandbox::{self, Bounds, Cage, Ending, Out, Program, Scratch};
use crate::source::{Checked, Fault, Fingerprint, Kind, Place, Ready, Recovered, Rows, Trouble};

/// The exit status by which a program says that something else than the data is at fault
/// (`EX_TEMPFAIL` of sysexits.h).
const NOT_THE_DATA: i32 = 75;

/// The file that the check reports into, in the room.
const TOLD: &str = "report";

/// The folder that is the programs' own, in the room.
const WORK: &str = "work";

const PROCESSES: u32 = 200;
const LEAST_MEMORY_BYTES: u64 = 2 << 30;

/// Why what was captured could not be brought up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("{FILE} is missing")]
    Missing,
    #[error("{FILE} is no regular file")]
    NotAFile,
    /// What it complained of is not told: it may quote the data.
    #[error("{program} ended with {how}")]
    Program { program: String, how: String },
    #[error("{program} exited well")]
    Report { program: String, source: Malformed },
    #[error("the check gave no report")]
    Untold,
    #[error("a source of kind command answers no queries")]
    NoQueries,
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
}

impl Error {
    fn io(action: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.into(), source: source.into() }
    }
}

fn data(error: Error) -> Trouble {
    Trouble::Data(Box::new(error))
}

fn environment(error: impl Into<Error>) -> Trouble {
    match error.into() {
        // The sandbox's own errors tell a time-out from a crash.
        Error::Sandbox(error) => Trouble::Environment(Box::new(error)),
        error => Trouble::Environment(Box::new(error)),
    }
}

/// Puts up walls for the programs of `settings`; blocking.
pub(super) fn prepare(
    name: &Name,
    settings: &CommandSettings,
    scratch: &Scratch,
) -> Result<Box<dyn Ready>, Trouble> {
    let room = scratch.dir().join(format!("command-{name}-{}", uuid::Uuid::new_v4()));
    for folder in [&room, &room.join(WORK)] {
        let made = DirBuilder::new().mode(0o700).create(folder);
        made.map_err(|source| environment(Error::io("create", folder, source)))?;
    }
    scratch.hand_over(&room).map_err(environment)?;
    let mut seen: Vec<PathBuf> =
        [&settings.recover, &settings.check].map(|argv| PathBuf::from(&argv[0])).to_vec();
    seen.retain(|program| !program.starts_with("/usr") || program.starts_with("/usr/local"));
    seen.dedup();
    let cage =
        Cage::raise(scratch, &room, &seen, bounds(settings.deadline)).map_err(environment)?;
    Ok(Box::new(Prepared { room, cage, settings: settings.clone() }))
}

fn bounds(deadline: Duration) -> Bounds {
    Bounds {
        memory_bytes: Bounds::most_memory(LEAST_MEMORY_BYTES),
        processes: PROCESSES,
        file_bytes: 1 << 42,
        wall: deadline,
    }
}

/// Walls in which nothing runs yet.
struct Prepared {
    room: PathBuf,
    cage: Cage,
    settings: CommandSettings,
}

impl Ready for Prepared {
    fn recover(
        self: Box<Self>,
        folder: &Path,
        scratch: &Scratch,
    ) -> Result<Box<dyn Recovered>, Trouble> {
        let Self { room, cage, settings } = *self;
        lend(&folder.join(FILE), &room.join(FILE), scratch)?;
        let restored = Restored { room, cage, settings, is_asked: false, told: None };
        restored.run(&restored.settings.recover)?;
        Ok(Box::new(restored))
    }
}

/// A copy of the restored file for the programs: they may do with it what they like, and what was
/// restored is still to be compared with what was captured.
fn lend(from: &Path, to: &Path, scratch: &Scratch) -> Result<(), Trouble> {
    match fs::symlink_metadata(from) {
        Ok(found) if found.is_file() => {}
        Ok(_) => return Err(data(Error::NotAFile)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(data(Error::Missing)),
        Err(error) => return Err(environment(Error::io("look at", from, error))),
    }
    fs::copy(from, to).map_err(|source| environment(Error::io("copy", from, source)))?;
    scratch.hand_over(to).map_err(environment)
}

/// What the owner's program made of it.
struct Restored {
    room: PathBuf,
    cage: Cage,
    settings: CommandSettings,
    /// Whether the check has run: once, for it may leave other things behind than it found.
    is_asked: bool,
    /// What the check reported.
    told: Option<Report>,
}

impl Restored {
    /// Runs one of the owner's programs to its good end.
    fn run(&self, argv: &[String]) -> Result<(), Trouble> {
        let (name, arguments) = argv.split_first().expect("the policy refused empty ones");
        let program = Program::new(name)
            .args(arguments)
            .env("LIFEBOAT_DATA", self.room.join(FILE))
            .env("LIFEBOAT_FOLDER", self.room.join(WORK))
            .env(REPORT, self.room.join(TOLD))
            .within(self.room.join(WORK));
        let limit = self.settings.deadline;
        let finished = self.cage.run(&program, Out::Dropped, limit).map_err(environment)?;
        let told = |how: String| Error::Program { program: name.clone(), how };
        match finished.ending {
            Ending::Exited(0) => Ok(()),
            Ending::TooLate(limit) => Err(environment(sandbox::Error::TimedOut { limit })),
            ending @ Ending::Exited(status) if status != NOT_THE_DATA => {
                Err(data(told(ending.to_string())))
            }
            ending => Err(environment(told(ending.to_string()))),
        }
    }

    /// What the check reports, asked once.
    fn told(&mut self) -> Result<&Report, Trouble> {
        if !std::mem::replace(&mut self.is_asked, true) {
            self.told = Some(self.ask()?);
        }
        self.told.as_ref().ok_or_else(|| environment(Error::Untold))
    }

    fn ask(&self) -> Result<Report, Trouble> {
        let check = &self.settings.check;
        self.run(check)?;
        let told = read(&self.room).map_err(environment)?;
        Report::read(&told)
            .map_err(|source| environment(Error::Report { program: check[0].clone(), source }))
    }
}

/// The report in `room`, where somebody hostile may have put anything; empty where none is.
fn read(room: &Path) -> Result<Vec<u8>, Error> {
    let path = room.join(TOLD);
    let failed = |error: io::Error| Error::io("read", &path, error);
    let folder = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::open(room, folder, Mode::empty()).map_err(|no| failed(no.into()))?;
    // A pipe without a writer would be waited for.
    let how = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    let file = match rustix::fs::openat2(&folder, TOLD, how, Mode::empty(), resolve) {
        Err(rustix::io::Errno::NOENT) => return Ok(Vec::new()),
        opened => fs::File::from(opened.map_err(|no| failed(no.into()))?),
    };
    if !file.metadata().map_err(failed)?.is_file() {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    }
    let mut told = Vec::new();
    file.take(report::MOST_BYTES + 1).read_to_end(&mut told).map_err(failed)?;
    if told.len() as u64 > report::MOST_BYTES {
        return Err(failed(io::Error::other(Malformed::NoText)));
    }
    Ok(told)
}

impl Recovered for Restored {
    fn self_check(&mut self) -> Result<Checked, Trouble> {
        let told = self.told()?;
        let compared = told.parts.values().map(|part| part.rows).sum();
        Ok(Checked { compared: NonZeroU64::new(compared), problems: Vec::new() })
    }

    fn fingerprint(&mut self) -> Result<Fingerprint, Trouble> {
        let parts = self.told()?.parts.clone();
        Ok(Fingerprint { parts, ..Fingerprint::empty(Kind::Command) })
    }

    fn first_answer(&mut self) -> Result<(), Trouble> {
        // Its program said that it is up when it exited well; there is nothing else to ask.
        Ok(())
    }

    fn query(&mut self, _: Option<&str>, _: &str, _: Duration) -> Result<Rows, Trouble> {
        Err(environment(Error::NoQueries))
    }

    fn files(&self) -> Option<&Path> {
        None
    }

    fn injure(&mut self, _: Fault) -> Result<Option<Place>, Trouble> {
        Ok(None)
    }

    fn confinement(&self) -> Option<String> {
        Some(self.cage.confinement().to_owned())
    }

    fn stop(self: Box<Self>) -> Result<(), Trouble> {
        Ok(())
    }
}
