//! Clearing away what dead owners left: their processes, then their folders.

use std::fs::{File, TryLockError};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal};
use uuid::Uuid;

use super::removal::{Leftover, remove_tree};
use super::scratch::{TOKEN, lock_root};
use super::{Error, TOKEN_VARIABLE};

/// How long killed processes are waited for.
const GRACE: Duration = Duration::from_secs(5);

/// An abandoned scratch environment, and what became of it.
#[derive(Debug)]
pub struct Swept {
    /// Its token.
    pub token: String,
    /// How many processes were killed.
    pub killed: usize,
    /// What could not be removed.
    pub leftover: Option<Leftover>,
}

/// Removes every scratch environment below `root` whose owner is gone; blocking.
///
/// Whose token somebody holds locked is left alone, and so is everything that is no scratch. A
/// root that is not there holds nothing.
pub fn sweep(root: &Path) -> Result<Vec<Swept>, Error> {
    let root = match root.canonicalize() {
        Ok(root) => root,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(Error::io("open", root, source)),
    };
    let abandoned = abandoned(&root)?;
    let swept = abandoned.into_iter().map(|(path, token, _held)| {
        let killed = end_processes(&path, &token);
        Swept { token, killed, leftover: remove_tree(&path).err() }
    });
    Ok(swept.collect())
}

/// Folder, token, and the token file locked by us, so that no other sweep takes it too.
type Abandoned = (PathBuf, String, Option<File>);

fn abandoned(root: &Path) -> Result<Vec<Abandoned>, Error> {
    let failed = |source| Error::io("list", root, source);
    let _nothing_comes_into_being = lock_root(root)?;
    let mut abandoned = Vec::new();
    for entry in std::fs::read_dir(root).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(token) = entry.file_name().into_string() else { continue };
        let is_folder = entry.file_type().map_err(failed)?.is_dir();
        if !is_folder || Uuid::try_parse(&token).is_err() {
            continue;
        }
        let path = entry.path();
        let held = match File::open(path.join(TOKEN)) {
            Ok(file) => match file.try_lock() {
                Ok(()) => Some(file),
                Err(TryLockError::WouldBlock) => continue,
                Err(TryLockError::Error(source)) => return Err(Error::io("lock", path, source)),
            },
            // Its owner died before the token was made, or a removal was cut short after it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(source) => return Err(Error::io("open the token of", path, source)),
        };
        abandoned.push((path, token, held));
    }
    Ok(abandoned)
}

/// Kills every process that carries `token` or lives in `path`, until none is left; answers how
/// many. Never this process.
pub(super) fn end_processes(path: &Path, token: &str) -> usize {
    let mark = [TOKEN_VARIABLE.as_bytes(), b"=", token.as_bytes()].concat();
    let deadline = Instant::now() + GRACE;
    let mut killed = std::collections::HashSet::new();
    loop {
        let found = processes(path, &mark);
        if found.is_empty() {
            return killed.len();
        }
        for (pid, process) in found {
            match rustix::process::pidfd_send_signal(&process, Signal::KILL) {
                Ok(()) => drop(killed.insert(pid)),
                Err(errno) => {
                    tracing::warn!(pid, reason = %errno, "a scratch process cannot be killed")
                }
            }
        }
        if Instant::now() >= deadline {
            tracing::warn!(token, "scratch processes are still there");
            return killed.len();
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// The processes of a scratch. Each is held by descriptor before it is looked at, so that the
/// number of one that ends meanwhile cannot stand for another.
fn processes(path: &Path, mark: &[u8]) -> Vec<(i32, OwnedFd)> {
    let me = rustix::process::getpid();
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let pids = numbers.filter_map(Pid::from_raw).filter(|pid| *pid != me);
    pids.filter_map(|pid| {
        let process = rustix::process::pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let number = pid.as_raw_nonzero().get();
        belongs(&PathBuf::from(format!("/proc/{number}")), path, mark).then_some((number, process))
    })
    .collect()
}

/// Whether a process carries the token or has its root or working folder in the scratch. What
/// this user may not look at is not theirs. A process that has ended but was not yet waited for
/// has neither.
fn belongs(process: &Path, scratch: &Path, mark: &[u8]) -> bool {
    let marked = std::fs::read(process.join("environ"))
        .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|one| one == mark));
    let within =
        |link| std::fs::read_link(process.join(link)).is_ok_and(|place| place.starts_with(scratch));
    marked || within("cwd") || within("root")
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::super::Scratch;
    use super::*;

    #[test]
    fn a_scratch_whose_owner_lives_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(root.path(), None).unwrap();

        let swept = sweep(root.path()).unwrap();

        assert!(swept.is_empty(), "{swept:?}");
        assert!(scratch.dir().exists());
    }

    #[test]
    fn an_abandoned_scratch_goes_with_its_processes_and_strangers_stay() {
        let root = tempfile::tempdir().unwrap();
        let token = Uuid::new_v4().to_string();
        let path = root.path().join(&token);
        std::fs::create_dir_all(path.join("data")).unwrap();
        std::fs::create_dir(root.path().join("not-a-scratch")).unwrap();
        let start = |token: &str, cwd: &Path| {
            let mut command = Command::new("sleep");
            command.arg("600").env(TOKEN_VARIABLE, token).current_dir(cwd).stdin(Stdio::null());
            command.spawn().unwrap()
        };
        let mut marked = start(&token, Path::new("/"));
        let mut within = start("another", &path.join("data"));
        let mut stranger = start("another", Path::new("/"));

        let swept = sweep(root.path()).unwrap();

        assert_eq!(swept.len(), 1);
        assert_eq!((swept[0].killed, swept[0].token.as_str()), (2, token.as_str()));
        assert!(swept[0].leftover.is_none());
        assert!(!path.exists());
        assert!(root.path().join("not-a-scratch").exists());
        assert!(!marked.wait().unwrap().success());
        assert!(!within.wait().unwrap().success());
        assert!(stranger.try_wait().unwrap().is_none(), "a stranger was killed");
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }

    #[test]
    fn a_root_that_is_not_there_holds_nothing() {
        assert!(sweep(Path::new("/nonexistent/scratch")).unwrap().is_empty());
    }
}
