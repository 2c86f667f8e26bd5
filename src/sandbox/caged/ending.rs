//! How a program in a cage ended.

use std::fmt;
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

/// How a program ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    Exited(i32),
    /// By a signal that nobody here sent.
    Signalled(i32),
    /// Killed because it ran too long.
    TooLate(Duration),
    /// Killed because its processes held too much together.
    TooMuchMemory {
        bytes: u64,
    },
    /// Killed because it had too many processes.
    TooManyProcesses {
        processes: u32,
    },
    /// Killed because it printed more than is taken in.
    TooMuchOutput,
    /// Killed because nobody wanted it any more.
    Stopped,
}

impl Ending {
    /// Bubblewrap answers 128 and the signal's number for a program that a signal ended.
    pub(super) fn of(status: ExitStatus) -> Self {
        match (status.code(), status.signal()) {
            (Some(code @ 129..=192), _) => Self::Signalled(code - 128),
            (Some(code), _) => Self::Exited(code),
            (None, signal) => Self::Signalled(signal.unwrap_or(0)),
        }
    }
}

impl fmt::Display for Ending {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit status {code}"),
            Self::Signalled(25) => f.write_str("a file grew too large"),
            Self::Signalled(9) => f.write_str("killed, perhaps for want of memory"),
            Self::Signalled(signal) => write!(f, "signal {signal}"),
            Self::TooLate(limit) => write!(f, "killed after {} s", limit.as_secs()),
            Self::TooMuchMemory { bytes } => {
                write!(f, "killed: its processes held {} MiB together", bytes >> 20)
            }
            Self::TooManyProcesses { processes } => {
                write!(f, "killed: it had {processes} processes")
            }
            Self::TooMuchOutput => f.write_str("killed: it printed too much"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}
