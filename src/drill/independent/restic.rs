//! Stock restic, found on this host and run in a cage on a copy of the repository.

use std::env;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::copy::Copied;
use crate::sandbox::{self, Bounds, Cage, Ending, Finished, Out, Program, Scratch};

/// Threads of its own.
const PROCESSES: u32 = 200;
const LEAST_MEMORY_BYTES: u64 = 2 << 30;

/// Slower than this, a restore has got stuck; what is stored may unfold to much more.
const SLOWEST_BYTES_PER_SECOND: u64 = 256 << 10;
const LEAST_WALL: Duration = Duration::from_secs(3600);

/// How long it may take to say its version.
const GREETING: Duration = Duration::from_secs(30);

/// Why it restored nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("restic is not on this host: Debian has it as the package restic")]
    Missing,
    #[error("cannot create {}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("restic {action} ended with {how}: {said}")]
    Failed { action: &'static str, how: Ending, said: String },
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
}

/// What it restored.
pub(super) struct Unpacked {
    pub(super) folder: PathBuf,
    /// Its name and version.
    pub(super) by: String,
    pub(super) confinement: String,
    /// What it ended badly with. It may be no more than owners or attributes that only root could set.
    pub(super) complaint: Option<String>,
}

/// Where restic is: the first that the search path has.
pub fn find() -> Result<PathBuf, Error> {
    let path = env::var_os("PATH").unwrap_or_default();
    let is_program = |path: &PathBuf| {
        fs::metadata(path)
            .is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    let found = env::split_paths(&path).map(|folder| folder.join("restic")).find(is_program);
    found.and_then(|path| path.canonicalize().ok()).ok_or(Error::Missing)
}

/// Restores the copied snapshot into a folder beside the copy.
pub(super) fn restore(copied: &Copied, scratch: &Scratch) -> Result<Unpacked, Error> {
    let program = find()?;
    let folder = copied.room.join("restored");
    let made = DirBuilder::new().mode(0o700).create(&folder);
    made.map_err(|source| Error::Io { path: folder.clone(), source })?;
    scratch.hand_over(&folder)?;
    let is_system = program.starts_with("/usr") && !program.starts_with("/usr/local");
    let shown: Vec<PathBuf> = (!is_system).then(|| program.clone()).into_iter().collect();
    let cage = Cage::raise(scratch, &copied.room, &shown, bounds(copied.bytes))?;
    let by = version(&cage, &program)?;
    let restore = Program::new(&program)
        .arg("--repo")
        .arg(&copied.repository)
        .args(["--no-cache", "--no-lock", "--quiet", "restore", &copied.snapshot.to_string()])
        .arg("--target")
        .arg(&folder)
        .arg("--password-file")
        .secret(copied.password.clone());
    let complaint = match run(&cage, &restore, "restore", Duration::MAX) {
        Ok(_) => None,
        Err(error @ Error::Failed { how: Ending::Exited(_), .. }) => Some(error.to_string()),
        Err(error) => return Err(error),
    };
    let confinement = format!("{by}: {}", cage.confinement());
    Ok(Unpacked { folder, by, confinement, complaint })
}

/// `restic 0.14.0` of `restic 0.14.0 compiled with go1.19.8 on linux/amd64`.
fn version(cage: &Cage, program: &Path) -> Result<String, Error> {
    let said = run(cage, &Program::new(program).arg("version"), "version", GREETING)?;
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    Ok(said.split_whitespace().take(2).collect::<Vec<_>>().join(" "))
}

fn run(
    cage: &Cage,
    program: &Program,
    action: &'static str,
    limit: Duration,
) -> Result<Finished, Error> {
    let finished = cage.run(program, Out::Kept, limit)?;
    match finished.ending {
        Ending::Exited(0) => Ok(finished),
        Ending::TooLate(limit) => Err(sandbox::Error::TimedOut { limit }.into()),
        how => {
            let said = last_lines(&finished.stderr);
            Err(Error::Failed { action, how, said })
        }
    }
}

/// A complaint and its summary.
fn last_lines(stderr: &str) -> String {
    let lines: Vec<&str> = stderr.lines().filter(|line| !line.trim().is_empty()).collect();
    match &lines[lines.len().saturating_sub(2)..] {
        [] => "it did not say why".to_owned(),
        last => last.join("; "),
    }
}

fn bounds(bytes: u64) -> Bounds {
    Bounds {
        memory_bytes: Bounds::most_memory(LEAST_MEMORY_BYTES),
        processes: PROCESSES,
        // What is stored may unfold to any length; the scratch's own limits hold.
        file_bytes: 1 << 42,
        wall: LEAST_WALL + Duration::from_secs(bytes / SLOWEST_BYTES_PER_SECOND),
    }
}
