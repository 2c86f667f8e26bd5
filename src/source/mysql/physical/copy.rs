//! A copy of a server's files, from the program's start to its good end.
//!
//! In: a server, a sink. Out: every file below `data/`, and where the copy ends in the binary log.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::super::super::running::{self, Order, Running};
use super::super::super::streamed::{none_left_out, put};
use super::super::super::{Context, Error, Sink};
use super::super::client::Client;
use super::beside::Beside;
use super::binlog::Position;
use super::stages::{Listener, Overdue, Stages};
use super::unpack::{self, Next, Small, Unpacked, Unpacking};
use super::{COPIER, DATA};
use crate::policy::sources::ServerSettings;

/// How often the program looks for what was added to the redo log. Commits wait for the last look,
/// and its own choice is a second.
const LOOKS_MS: u32 = 50;

/// A copy that is in the repository.
pub(super) struct Copied {
    pub position: Position,
    /// By path below `data/`, the bytes of every file.
    pub files: std::collections::BTreeMap<String, u64>,
    /// How long commits were held back for it.
    pub held: Duration,
}

/// What became of copying.
pub(super) enum Outcome {
    Copied(Copied),
    /// A file was renamed or removed meanwhile, after it was put.
    Moved(String),
}

/// Copies all files into `out`.
pub(super) fn copy(
    beside: &Beside,
    client: &Client,
    settings: &ServerSettings,
    context: &Context,
    out: &dyn Sink,
) -> Result<Outcome, Error> {
    context.progress.phase("copy the server's files", None);
    let stages = Stages::default();
    let running = start(beside, client, settings, context, &stages);
    let why = |error| refused(error, &stages, settings.lock_timeout);
    let unpacking = Unpacking::of(running.map_err(&why)?, stages.clone(), &context.staging);
    let Unpacked { aside, files, position } = match unpacked(&unpacking, out, context, &why)? {
        Ok(unpacked) => unpacked,
        Err(moved) => return Ok(Outcome::Moved(moved)),
    };
    for (path, content) in aside {
        put(out, &format!("{DATA}/{path}"), content, context)?;
    }
    none_left_out(out.settle()?)?;
    Ok(Outcome::Copied(Copied { position, files, held: stages.held() }))
}

/// Puts every file as it comes; a path is of one that was renamed or removed.
fn unpacked(
    unpacking: &Unpacking,
    out: &dyn Sink,
    context: &Context,
    why: &dyn Fn(unpack::Error) -> Error,
) -> Result<Result<Unpacked, String>, Error> {
    let moved_or = |error| match error {
        unpack::Error::Moved { path } => Ok(Err(path)),
        error => Err(why(error)),
    };
    loop {
        context.check_interrupted()?;
        match unpacking.next() {
            Ok(Next::Small { path, bytes }) => {
                put(out, &format!("{DATA}/{path}"), Small(bytes), context)?;
            }
            Ok(Next::Large { path, content }) => {
                put(out, &format!("{DATA}/{path}"), content, context)?;
                let left_out = out.settle()?;
                if let Some(error) = unpacking.failed() {
                    return moved_or(error);
                }
                none_left_out(left_out)?;
            }
            Ok(Next::End) => break,
            Err(error) => {
                out.settle()?;
                return moved_or(error);
            }
        }
    }
    none_left_out(out.settle()?)?;
    unpacking.finish().map(Ok).map_err(why)
}

fn start(
    beside: &Beside,
    client: &Client,
    settings: &ServerSettings,
    context: &Context,
    stages: &Stages,
) -> Result<Running, unpack::Error> {
    let mut command = client.command(&beside.copier);
    command
        .args(["--backup", "--stream=mbstream"])
        .arg(format!("--datadir={}", beside.data.display()))
        .arg(format!("--log-copy-interval={LOOKS_MS}"));
    let (watched, patience) = (stages.clone(), settings.lock_timeout);
    let interrupted = Arc::clone(&context.interrupted);
    let mut listener = Listener::of(stages.clone());
    Ok(Running::start(Order {
        command,
        program: COPIER,
        silence: settings.statement_deadline,
        unwanted: Box::new(move || {
            interrupted.load(Ordering::Relaxed) || watched.overdue(patience).is_some()
        }),
        hears: Box::new(move |piece| listener.hear(piece)),
    })?)
}

/// Why there is no copy, in the source's terms.
fn refused(error: unpack::Error, stages: &Stages, patience: Duration) -> Error {
    let overdue = stages.overdue(patience);
    let what = match (&error, overdue) {
        (unpack::Error::Ended(running::Error::Interrupted { .. }), None) => {
            return Error::Interrupted;
        }
        (unpack::Error::Ended(running::Error::Interrupted { .. }), Some(Overdue::NotGranted)) => {
            "a lock that it needs was not granted in time (`lock_timeout`); it was ended, and nobody \
             waits for it"
        }
        (unpack::Error::Ended(running::Error::Interrupted { .. }), Some(Overdue::Held)) => {
            "it held commits back for too long; it was ended, and commits go on"
        }
        _ => "it failed",
    };
    Error::Engine {
        object: "the copy of the server's files".to_owned(),
        what: what.to_owned(),
        source: Some(Box::new(error)),
    }
}
