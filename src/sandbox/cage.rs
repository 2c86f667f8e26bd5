//! Cages: walls around foreign programs, i.e. database servers and restore clients.
//!
//! In: a scratch, folders with programs, bounds. Out: a [`Cage`] in which programs see the
//! system's programs and libraries, those folders, and a room in the scratch; no network, no other
//! process, no privileges. The walls are bubblewrap's (bwrap(1)), of namespaces and private mounts;
//! what they are worth on this host is measured once, from inside, before anything else runs.

mod furniture;
mod walls;

use std::fs;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::io::FdFlags;

use super::account::Account;
use super::caged::{Caged, Ending, Finished, Order, Out};
use super::filter::Filter;
use super::inside::Inside;
use super::program::{Bounds, Program};
use super::{Error, Scratch, handed_on};
use crate::ground::secret::ExposeSecret;
use crate::ground::size::ByteSize;

/// Where bubblewrap may be installed.
const BUBBLEWRAP: [&str; 2] = ["/usr/bin/bwrap", "/usr/local/bin/bwrap"];

/// Where programs find what they are shown.
const SHOWN: &str = "/run/lifeboat";

/// How long the probe of the walls may take.
const PROBE: Duration = Duration::from_secs(20);

/// Walls around programs that work on a scratch's data; blocking.
#[derive(Debug, Clone)]
pub struct Cage {
    /// `None` where the site waived the sandbox.
    bubblewrap: Option<PathBuf>,
    filter: Option<Filter>,
    account: Option<Account>,
    token: String,
    /// All of the scratch that is seen inside.
    room: PathBuf,
    /// The folder that is `/etc` inside.
    etc: PathBuf,
    folders: Vec<PathBuf>,
    /// What is seen elsewhere than where it lies.
    shown: Vec<(PathBuf, PathBuf)>,
    bounds: Bounds,
    interrupted: Arc<AtomicBool>,
    confinement: String,
}

impl Cage {
    /// Puts walls around `room`, a folder in [`Scratch::dir`] that was handed over, and measures them
    /// from inside.
    ///
    /// The room is all of the scratch that programs see, and where they work; whoever uses it from
    /// outside follows no links in it. `folders` are readable inside, at their own paths, beside
    /// the system's. Fails with [`Error::NoBubblewrap`] or [`Error::Refused`] where this host gives
    /// no walls worth the name: nothing may be run then.
    pub fn raise(
        scratch: &Scratch,
        room: &Path,
        folders: &[PathBuf],
        bounds: Bounds,
    ) -> Result<Self, Error> {
        let bubblewrap = match scratch.is_sandbox_waived() {
            true => None,
            false => {
                let mut places = BUBBLEWRAP.iter().map(PathBuf::from);
                Some(places.find(|place| place.is_file()).ok_or(Error::NoBubblewrap)?)
            }
        };
        let mut cage = Self {
            filter: bubblewrap.is_some().then(Filter::for_this_machine).flatten(),
            bubblewrap,
            account: scratch.account(),
            token: scratch.token().to_owned(),
            room: room.to_owned(),
            etc: scratch.private_folder("etc")?,
            folders: folders.to_owned(),
            shown: Vec::new(),
            bounds,
            interrupted: scratch.interrupted().clone(),
            confinement: String::new(),
        };
        keep_to_ourselves()?;
        cage.furnish()?;
        cage.confinement = cage.measure()?;
        Ok(cage)
    }

    /// Shows `folder` read-only to programs that start from now on, under a short path, since those of
    /// sockets must be; answers that path. `name` is of letters, digits and hyphens, and told once.
    ///
    /// No stranger may be able to put a link in the folder's place.
    pub fn show(&mut self, folder: &Path, name: &str) -> PathBuf {
        if self.is_open() {
            return folder.to_owned();
        }
        let inside = Path::new(SHOWN).join(name);
        self.shown.push((folder.to_owned(), inside.clone()));
        inside
    }

    /// What is in force, for the record.
    pub fn confinement(&self) -> &str {
        &self.confinement
    }

    /// Runs `program` to its end; `Ok` says nothing of how it ended. At most `wall` long, or as
    /// the bounds say.
    pub fn run(&self, program: &Program, out: Out, wall: Duration) -> Result<Finished, Error> {
        let bounds = Bounds { wall: wall.min(self.bounds.wall), ..self.bounds };
        self.start_within(program, out, bounds)?.finish()
    }

    /// Starts a server. It ends with the value, or when it goes out of bounds.
    pub fn start(&self, program: &Program) -> Result<Caged, Error> {
        self.start_within(program, Out::Dropped, self.bounds)
    }

    fn start_within(&self, program: &Program, out: Out, bounds: Bounds) -> Result<Caged, Error> {
        let filter = self.filter.map(Filter::sealed).transpose().map_err(Error::Start)?;
        let secret = program.secret.as_ref().map(|secret| {
            let secret = secret.expose_secret().as_bytes();
            handed_on::sealed("lifeboat-secret", secret).map_err(Error::Start)
        });
        let secret = secret.transpose()?;
        let mut command = self.command(program, filter.as_ref().map(AsRawFd::as_raw_fd));
        if let Some(secret) = &secret {
            command.arg(format!("/proc/self/fd/{}", secret.as_raw_fd()));
        }
        let handed_on: Vec<OwnedFd> = filter.into_iter().chain(secret).collect();
        for file in &handed_on {
            handed_on::pass_on(&mut command, file.as_raw_fd());
        }
        let name = program.name();
        let interrupted = self.interrupted.clone();
        let is_open = self.is_open();
        Caged::start(Order { command, handed_on, name, out, bounds, interrupted, is_open })
    }

    /// Whether there are no walls.
    fn is_open(&self) -> bool {
        self.bubblewrap.is_none()
    }

    /// Looks at the walls from inside.
    fn measure(&self) -> Result<String, Error> {
        let status = self.tell("/usr/bin/cat", &["/proc/self/status"])?;
        let namespaces = self.tell("/usr/bin/readlink", &Inside::NAMESPACES)?;
        let inside = Inside::read(&status, &namespaces)
            .map_err(|lack| Error::Refused { reason: lack.to_owned() })?;
        let Bounds { memory_bytes, processes, .. } = self.bounds;
        let bounds = format!(
            "at most {} of memory (watched) and {processes} processes",
            ByteSize(memory_bytes)
        );
        let Some(bubblewrap) = &self.bubblewrap else {
            return Ok(format!("NO SANDBOX, as the site says: uid {}, {bounds}", inside.uid));
        };
        inside
            .is_walled(self.filter.is_some())
            .map_err(|lack| Error::Refused { reason: lack.to_owned() })?;
        let version = version(bubblewrap)?;
        Ok(format!("{version}: {inside}, {bounds}"))
    }

    /// What a program of the system prints in the cage.
    fn tell(&self, program: &str, arguments: &[&str]) -> Result<String, Error> {
        let program = Program::new(program).args(arguments.iter().copied());
        let finished = self.run(&program, Out::Kept, PROBE)?;
        match finished.ending {
            Ending::Exited(0) => Ok(String::from_utf8_lossy(&finished.stdout).into_owned()),
            ending => Err(Error::Refused { reason: format!("{ending}: {}", finished.stderr) }),
        }
    }
}

/// Marks files that our own parent left open, so that no program started from here gets them.
fn keep_to_ourselves() -> Result<(), Error> {
    let path = "/proc/self/fd";
    let entries = fs::read_dir(path).map_err(|source| Error::io("list", path, source))?;
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    for number in numbers.filter(|number: &RawFd| *number > 2) {
        // SAFETY: it is not used where it has been closed meanwhile, and never closed here.
        let file = unsafe { BorrowedFd::borrow_raw(number) };
        if rustix::io::fcntl_getfd(file).is_ok_and(|flags| !flags.contains(FdFlags::CLOEXEC)) {
            // The descriptor that listed the others is gone by now.
            let _ = rustix::io::fcntl_setfd(file, FdFlags::CLOEXEC);
        }
    }
    Ok(())
}

/// `bubblewrap 0.8.0`.
fn version(bubblewrap: &Path) -> Result<String, Error> {
    let said = Command::new(bubblewrap).arg("--version").stdin(Stdio::null()).output();
    let said = said.map_err(Error::Start)?;
    Ok(String::from_utf8_lossy(&said.stdout).trim().to_owned())
}
