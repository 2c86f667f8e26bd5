//! What all databases of a server share, as SQL: roles, memberships, settings.
//!
//! In: a client. Out: the text of `pg_dumpall --globals-only`, read until nothing changes while it
//! is read.

use std::io::{self, Read};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::client::Client;
use super::entries;
use crate::source;

/// How often the globals are read until two readings in a row are the same.
pub(super) const ATTEMPTS: u32 = 5;

/// Why the globals could not be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot run pg_dumpall")]
    Run(#[source] io::Error),
    #[error("pg_dumpall ended with {status}: {complaints}")]
    Failed { status: String, complaints: String },
    #[error("pg_dumpall gave no answer within {} s", limit.as_secs_f64())]
    TimedOut { limit: Duration },
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
        // A name with `=` would be read as a connection string.
        let name = self.database.replace('\\', "\\\\").replace('\'', "\\'");
        command.arg(format!("--database=dbname='{name}'"));
        let mut child = command.spawn().map_err(Error::Run)?;
        let stdout = child.stdout.take().map(|pipe| std::thread::spawn(|| all(pipe)));
        let stderr = child.stderr.take().map(|pipe| std::thread::spawn(|| all(pipe)));
        let deadline = Instant::now() + self.limit;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(Error::Run)? {
                break status;
            }
            let interrupted = self.interrupted.load(Ordering::Relaxed);
            if interrupted || Instant::now() > deadline {
                child.kill().map_err(Error::Run)?;
                child.wait().map_err(Error::Run)?;
                return Err(match interrupted {
                    true => Error::Interrupted,
                    false => Error::TimedOut { limit: self.limit },
                });
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        let read = |thread: Option<std::thread::JoinHandle<io::Result<Vec<u8>>>>| {
            let joined = thread.and_then(|thread| thread.join().ok());
            joined.unwrap_or_else(|| Err(io::Error::other("the reading thread died")))
        };
        let (text, complaints) = (read(stdout), read(stderr));
        if status.success() {
            return text.map_err(Error::Run);
        }
        let complaints = String::from_utf8_lossy(&complaints.unwrap_or_default()).trim().to_owned();
        Err(Error::Failed { status: status.to_string(), complaints })
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

fn all(mut pipe: impl Read) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    pipe.read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Why there are no globals, in the source's terms.
pub(super) fn refused(error: Error) -> source::Error {
    match error {
        Error::Interrupted => source::Error::Interrupted,
        error => source::Error::Engine {
            object: entries::GLOBALS.to_owned(),
            what: "the roles could not be read".to_owned(),
            source: Some(Box::new(error)),
        },
    }
}
