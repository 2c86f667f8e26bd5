//! Cages: walls around foreign programs, i.e. database servers and restore clients.
//!
//! In: a scratch, folders with programs, bounds. Out: a [`Cage`] in which programs see the
//! system's programs and libraries, those folders, and a room in the scratch; no network, no other
//! process, no privileges. The walls are bubblewrap's (bwrap(1)), of namespaces and private mounts;
//! what they are worth on this host is measured once, from inside, before anything else runs.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, Permissions};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
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
use super::{Error, Scratch, TOKEN_VARIABLE, crowd};
use crate::ground::size::ByteSize;

/// Where bubblewrap may be installed.
const BUBBLEWRAP: [&str; 2] = ["/usr/bin/bwrap", "/usr/local/bin/bwrap"];

/// What of the system programs see, read-only. `/usr/local` and most of `/etc` is not the system's.
const SYSTEM: [&str; 7] =
    ["/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/share"];

/// Links on a merged file system, folders on an old one.
const ROOT_FOLDERS: [&str; 5] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64"];

/// Files of `/etc` that the loader and libraries need; the rest of `/etc` is made for the cage.
const ETC: [&str; 2] = ["/etc/ld.so.cache", "/etc/alternatives"];

/// What the user is called inside, whatever they are called outside.
const USER: &str = "lifeboat";

/// How long the probe of the walls may take.
const PROBE: Duration = Duration::from_secs(20);

/// How much the programs of a cage may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Of each process its address space; of all together what they hold, which is watched, since
    /// the kernel limits single processes.
    pub memory_bytes: u64,
    /// Processes at once.
    pub processes: u32,
    /// The largest file that may be written.
    pub file_bytes: u64,
    /// How long a program may run.
    pub wall: Duration,
}

/// A program to run in a cage. It has no input, and no environment but what stands here.
#[derive(Debug, Clone)]
pub struct Program {
    argv: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
    folder: Option<PathBuf>,
}

impl Program {
    /// The program at an absolute path.
    pub fn new(path: impl Into<OsString>) -> Self {
        Self { argv: vec![path.into()], environment: Vec::new(), folder: None }
    }

    /// With one more argument.
    pub fn arg(mut self, argument: impl Into<OsString>) -> Self {
        self.argv.push(argument.into());
        self
    }

    /// With more arguments.
    pub fn args<T: Into<OsString>>(mut self, arguments: impl IntoIterator<Item = T>) -> Self {
        self.argv.extend(arguments.into_iter().map(Into::into));
        self
    }

    /// With one more variable.
    pub fn env(mut self, name: &'static str, value: impl Into<OsString>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// With another working folder than the room: one in it, absolute.
    pub fn within(mut self, folder: impl Into<PathBuf>) -> Self {
        self.folder = Some(folder.into());
        self
    }

    /// The file's own name, for errors.
    pub(super) fn name(&self) -> String {
        let path = self.argv.first().map_or(Path::new(""), Path::new);
        path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
    }
}

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
    bounds: Bounds,
    interrupted: Arc<AtomicBool>,
    confinement: String,
}

impl Cage {
    /// Puts walls around `room`, a folder in [`Scratch::dir`] that was handed over, and measures them
    /// from inside.
    ///
    /// The room is all of the scratch that programs see, and where they work; whoever uses it from
    /// outside follows no links in it. `folders` are readable inside, at their own paths, beside the system's. Fails with
    /// [`Error::NoBubblewrap`] or [`Error::Refused`] where this host gives no walls worth the
    /// name: nothing may be run then.
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
            bounds,
            interrupted: scratch.interrupted().clone(),
            confinement: String::new(),
        };
        keep_to_ourselves()?;
        cage.furnish()?;
        cage.confinement = cage.measure()?;
        Ok(cage)
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
        let mut command = self.command(program, filter.as_ref().map(AsRawFd::as_raw_fd));
        if let Some(filter) = &filter {
            Filter::pass_on(&mut command, filter.as_raw_fd());
        }
        let name = program.name();
        let interrupted = self.interrupted.clone();
        let is_open = self.is_open();
        Caged::start(Order { command, filter, name, out, bounds, interrupted, is_open })
    }

    /// Whether there are no walls.
    fn is_open(&self) -> bool {
        self.bubblewrap.is_none()
    }

    /// Users, groups and where to look them up, for programs that ask who they are.
    fn furnish(&self) -> Result<(), Error> {
        let (uid, gid) = self.account.map_or_else(
            || (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
            |account| (account.uid, account.gid),
        );
        let files = [
            ("passwd", format!("{USER}:x:{uid}:{gid}::/:/usr/sbin/nologin\n")),
            ("group", format!("{USER}:x:{gid}:\n")),
            ("nsswitch.conf", "passwd: files\ngroup: files\n".to_owned()),
        ];
        for (name, text) in files {
            let path = self.etc.join(name);
            let written = fs::write(&path, text)
                // Whatever the umask says, they are for everybody inside.
                .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o644)));
            written.map_err(|source| Error::io("write", &path, source))?;
        }
        for path in ETC.iter().map(Path::new).filter(|path| path.exists()) {
            let name = path.file_name().expect("the listed paths have names");
            // What is bound over must be there.
            let place = self.etc.join(name);
            let made = match path.is_dir() {
                true => DirBuilder::new().recursive(true).mode(0o755).create(&place),
                false => fs::write(&place, ""),
            };
            made.map_err(|source| Error::io("create", &place, source))?;
        }
        Ok(())
    }

    /// The walls, then the limits, then the user, then the program.
    fn command(&self, program: &Program, filter: Option<RawFd>) -> Command {
        let mut argv: Vec<OsString> = Vec::new();
        if let Some(bubblewrap) = &self.bubblewrap {
            argv.push(bubblewrap.into());
            argv.extend(self.walls(filter));
        }
        argv.extend(self.limits());
        argv.extend(self.user(program));
        argv.extend(program.argv.iter().cloned());
        let mut command = Command::new(&argv[0]);
        command
            .args(&argv[1..])
            .current_dir(&self.room)
            .env_clear()
            .env(TOKEN_VARIABLE, &self.token)
            .env("LANG", "C.UTF-8")
            .env("PATH", "/usr/bin:/bin")
            .env("HOME", "/")
            .envs(program.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null());
        command
    }

    fn walls(&self, filter: Option<RawFd>) -> Vec<OsString> {
        let mut walls = Words::default();
        walls.words(["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts"]);
        walls.words(["--unshare-cgroup-try", "--hostname", "scratch"]);
        walls.words(["--die-with-parent", "--new-session", "--cap-drop", "ALL"]);
        if self.account.is_some() {
            // To become the scratch user, who has none of them.
            for needed in ["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"] {
                walls.words(["--cap-add", needed]);
            }
        } else {
            walls.words(["--unshare-user", "--disable-userns"]);
        }
        for folder in SYSTEM.iter().map(Path::new).filter(|folder| folder.is_dir()) {
            walls.folder("--ro-bind", folder, folder);
        }
        for folder in ROOT_FOLDERS.iter().map(Path::new) {
            match fs::read_link(folder) {
                Ok(target) => walls.paths("--symlink", &target, folder),
                Err(_) if folder.is_dir() => walls.paths("--ro-bind", folder, folder),
                Err(_) => {}
            }
        }
        walls.paths("--ro-bind", &self.etc, Path::new("/etc"));
        for path in ETC.iter().map(Path::new).filter(|path| path.exists()) {
            walls.paths("--ro-bind", path, path);
        }
        walls.words(["--proc", "/proc", "--dev", "/dev"]);
        let shared_memory = (self.bounds.memory_bytes / 4).to_string();
        walls.words(["--perms", "1777", "--size", &shared_memory, "--tmpfs", "/dev/shm"]);
        walls.words(["--remount-ro", "/dev"]);
        for folder in &self.folders {
            walls.folder("--ro-bind", folder, folder);
        }
        walls.folder("--bind", &self.room, &self.room);
        walls.words(["--remount-ro", "/", "--chdir", "/"]);
        if let Some(filter) = filter {
            walls.words(["--seccomp", &filter.to_string()]);
        }
        walls.words(["--"]);
        walls.argv
    }

    fn limits(&self) -> Vec<OsString> {
        let Bounds { memory_bytes, processes, file_bytes, .. } = self.bounds;
        // In a user namespace the kernel counts the user's processes there, else on the whole host.
        let others = match self.account {
            Some(account) => crowd::of_user(account.uid),
            None if self.is_open() => crowd::of_user(rustix::process::geteuid().as_raw()),
            None => 0,
        };
        let limits = [
            "/usr/bin/prlimit".to_owned(),
            format!("--as={memory_bytes}"),
            format!("--nproc={}", others.saturating_add(processes)),
            format!("--fsize={file_bytes}"),
            "--nofile=4096".to_owned(),
            "--core=0".to_owned(),
            "--".to_owned(),
        ];
        limits.into_iter().map(OsString::from).collect()
    }

    fn user(&self, program: &Program) -> Vec<OsString> {
        let mut argv = Words::default();
        argv.words(["/usr/bin/setpriv", "--no-new-privs", "--inh-caps=-all"]);
        if let Some(Account { uid, gid }) = self.account {
            let (uid, gid) = (format!("--reuid={uid}"), format!("--regid={gid}"));
            argv.words([uid.as_str(), gid.as_str(), "--clear-groups", "--bounding-set=-all"]);
        }
        if self.is_open() {
            argv.words(["--pdeathsig=KILL"]);
        }
        // Nobody but that user may enter it.
        argv.words(["--", "/usr/bin/env", "--chdir"]);
        argv.argv.push(program.folder.as_ref().unwrap_or(&self.room).into());
        argv.argv
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

/// Arguments for bubblewrap.
#[derive(Default)]
struct Words {
    argv: Vec<OsString>,
}

impl Words {
    fn words<'a>(&mut self, words: impl IntoIterator<Item = &'a str>) {
        self.argv.extend(words.into_iter().map(OsString::from));
    }

    fn paths(&mut self, option: &str, from: &Path, to: &Path) {
        self.argv
            .extend([OsStr::new(option), from.as_os_str(), to.as_os_str()].map(OsStr::to_owned));
    }

    /// A folder bound, below folders that everybody inside may pass: bubblewrap would make them
    /// for their owner alone.
    fn folder(&mut self, option: &str, from: &Path, to: &Path) {
        let mut above: Vec<&Path> = to.ancestors().skip(1).collect();
        above.reverse();
        for folder in above.into_iter().filter(|folder| folder.parent().is_some()) {
            self.words(["--perms", "0755", "--dir"]);
            self.argv.push(folder.into());
        }
        self.paths(option, from, to);
    }
}
