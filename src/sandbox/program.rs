//! What is run in a cage, and how much it may use.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::ground::secret::SecretString;

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

impl Bounds {
    /// As much memory as a cage may have on this host, which others use, too; never less than `least`.
    pub fn most_memory(least: u64) -> u64 {
        let system = rustix::system::sysinfo();
        let memory = system.totalram.saturating_mul(u64::from(system.mem_unit));
        (memory / 4 * 3).max(least)
    }
}

/// A program to run in a cage. It has no input, and no environment but what stands here.
#[derive(Debug, Clone)]
pub struct Program {
    pub(super) argv: Vec<OsString>,
    pub(super) environment: Vec<(OsString, OsString)>,
    pub(super) folder: Option<PathBuf>,
    pub(super) secret: Option<SecretString>,
}

impl Program {
    /// The program at an absolute path.
    pub fn new(path: impl Into<OsString>) -> Self {
        Self { argv: vec![path.into()], environment: Vec::new(), folder: None, secret: None }
    }

    /// With one more argument, the last: a path at which it reads `secret`, which is only in memory and
    /// for its own descendants.
    pub fn secret(mut self, secret: SecretString) -> Self {
        self.secret = Some(secret);
        self
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
    pub fn env(mut self, name: impl Into<OsString>, value: impl Into<OsString>) -> Self {
        self.environment.push((name.into(), value.into()));
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
