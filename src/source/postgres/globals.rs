//! What all databases of a server share, as SQL: roles, memberships, settings.
//!
//! In: a client. Out: the text of `pg_dumpall --globals-only`, read until nothing changes while it
//! is read.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::client::Client;
use super::{GLOBALS, names};
use crate::ground::process;
use crate::source;

/// How often the globals are read until two readings in a row are the same.
pub(super) const ATTEMPTS: u32 = 5;

/// What `pg_dumpall` writes last: a status of 0 does not prove that all of it arrived.
const END: &[u8] = b"-- PostgreSQL database cluster dump complete\n--\n\n";

/// Why the globals could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("pg_dumpall did not print them")]
    Run(#[source] process::Error),
    #[error("what pg_dumpall printed ends before its end")]
    Cut,
    #[error("roles changed whenever they were read, {ATTEMPTS} times")]
    Restless,
    #[error("interrupted")]
    Interrupted,
}

/// How to read them.
pub(super) struct Globals {
    pub client: Client,
    pub program: PathBuf,
    /// The database to connect to.
    pub database: String,
    /// Whether the login may see the passwords' hashes.
    pub with_passwords: bool,
    pub limit: Duration,
    pub interrupted: Arc<AtomicBool>,
}

impl Globals {
    /// Reads them once.
    pub fn read(&self) -> Result<Vec<u8>, Error> {
        let mut command = self.client.command(&self.program, &self.database);
        command.args(["--globals-only", "--no-password", "--no-tablespaces"]);
        if !self.with_passwords {
            command.arg("--no-role-passwords");
        }
        command.arg(format!("--database={}", names::connection_to(&self.database)));
        let stop = || self.interrupted.load(Ordering::Relaxed);
        let text = match process::output_of(&stop, command, self.limit) {
            Ok(text) => text,
            Err(process::Error::Stopped { .. }) => return Err(Error::Interrupted),
            Err(error) => return Err(Error::Run(error)),
        };
        if text.ends_with(END) { Ok(text) } else { Err(Error::Cut) }
    }

    /// Reads them until they are what they were at the reading before; `before` is the first.
    pub fn read_until_settled(&self, before: Vec<u8>) -> Result<Vec<u8>, Error> {
        let mut before = before;
        for _ in 0..ATTEMPTS {
            let now = self.read()?;
            if said(&now).eq(said(&before)) {
                return Ok(now);
            }
            before = now;
        }
        Err(Error::Restless)
    }
}

/// The lines that say something: not the random word that guards the script against psql's
/// commands in data (CVE-2025-8714), which is another one each time.
fn said(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
        .filter(|line| !line.starts_with(b"\\restrict") && !line.starts_with(b"\\unrestrict"))
}

/// Why there are no globals, in the source's terms.
pub(super) fn refused(error: Error) -> source::Error {
    match error {
        Error::Interrupted => source::Error::Interrupted,
        error => source::Error::Engine {
            object: GLOBALS.to_owned(),
            what: "the roles could not be read".to_owned(),
            source: Some(Box::new(error)),
        },
    }
}
