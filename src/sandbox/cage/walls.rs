//! The command line that puts a program behind walls: bubblewrap's arguments, limits, the user.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::fd::RawFd;
use std::path::Path;
use std::process::{Command, Stdio};

use super::furniture::ETC;
use super::{Account, Bounds, Cage, Program};
use crate::sandbox::{TOKEN_VARIABLE, crowd};

/// What of the system programs see, read-only. `/usr/local` and most of `/etc` is not the system's.
const SYSTEM: [&str; 7] =
    ["/usr/bin", "/usr/sbin", "/usr/lib", "/usr/lib32", "/usr/lib64", "/usr/libexec", "/usr/share"];

/// Links on a merged file system, folders on an old one.
const ROOT_FOLDERS: [&str; 5] = ["/bin", "/sbin", "/lib", "/lib32", "/lib64"];

/// So many threads may the same user start elsewhere while a cage stands: those of the servers beside
/// it in one drill. How many processes are in it is watched from outside.
const LEEWAY: u32 = 256;

impl Cage {
    /// The walls, then the limits, then the user, then the program.
    pub(super) fn command(&self, program: &Program, filter: Option<RawFd>) -> Command {
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
        for (folder, inside) in &self.shown {
            walls.folder("--ro-bind", folder, inside);
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
        // In a user namespace the kernel counts the user's threads there, else on the whole host.
        let counted = match self.account {
            Some(account) => Some(account.uid),
            None if self.is_open() => Some(rustix::process::geteuid().as_raw()),
            None => None,
        };
        let others = counted.map_or(0, |uid| crowd::of_user(uid).saturating_add(LEEWAY));
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
