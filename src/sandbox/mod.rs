//! Scratch environments, and unprivileged processes that live in them (design §12, "Sandbox").
//!
//! In: a folder for scratch, limits. Out: a [`Scratch`] with an owner token, and children that
//! have no keys, no privileges and no network. Blocking. Knows nothing of what runs in them.
//!
//! A [`Scratch`] belongs to the process that made it for as long as that process lives; whatever
//! it leaves behind, [`sweep`] finds: processes first, then the folder. A [`Confined`] child is
//! this very program started again in a role (see [`role_requested`]); it has nothing in memory
//! but what it is asked. Foreign programs (database servers, restore clients) run in a [`Cage`].

mod account;
mod cage;
mod caged;
mod confine;
mod confined;
mod crowd;
mod door;
mod filter;
mod handed_on;
mod inside;
mod program;
mod protocol;
mod removal;
mod reservation;
mod scratch;
mod sweep;

use std::io;
use std::path::PathBuf;
use std::time::Duration;

pub use cage::Cage;
pub use caged::{Caged, Ending, Finished, Out};
pub use confine::{Serve, role_requested};
pub use confined::{Confined, Launcher};
pub use door::Door;
pub use program::{Bounds, Program};
pub use protocol::{Confinement, Limits};
pub use removal::Leftover;
pub use reservation::Reserved;
pub use scratch::Scratch;
pub use sweep::{Swept, sweep};

/// The environment variable by which a scratch's processes are known. Its value is the token.
pub const TOKEN_VARIABLE: &str = "LIFEBOAT_SCRATCH";

/// Why a sandbox could not be had, or what became of the process in it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot {action} {}", path.display())]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the scratch folder {} is not private: {reason}", path.display())]
    NotPrivate { path: PathBuf, reason: &'static str },
    #[error("there is no user {name} on this host to run scratch processes as")]
    NoSuchUser { name: String },
    #[error("scratch processes must not run as root")]
    RootRefused,
    #[error("cannot start a confined process")]
    Start(#[source] io::Error),
    #[error("a confined process cannot be had on this host: {reason}")]
    Refused { reason: String },
    #[error("the confined process was killed after {} ms without an answer", limit.as_millis())]
    TimedOut { limit: Duration },
    #[error("the confined process ended ({how}): {stderr}")]
    Ended { how: String, stderr: String },
    #[error("the confined process broke the protocol: {what}")]
    Protocol { what: &'static str },
    #[error(
        "bubblewrap is not installed, and servers and restore clients run only in it: \
         install Debian's package bubblewrap"
    )]
    NoBubblewrap,
    #[error("{program} does not end though it was killed")]
    Lingers { program: String },
    #[error("{} is not the socket of a server in the scratch", path.display())]
    NoSocket { path: PathBuf },
}

impl Error {
    fn io(action: &'static str, path: impl Into<PathBuf>, source: impl Into<io::Error>) -> Self {
        Self::Io { action, path: path.into(), source: source.into() }
    }
}
