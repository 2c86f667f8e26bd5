//! Capture: a live server's data set becomes one entry, with the fingerprint of that very file.
//!
//! In: settings, a sink. Out: a [`Capture`]. Nothing is run on the server but a replica's questions;
//! what it sends is the state of the moment at which it forked.

use jiff::SignedDuration;

use super::super::streamed::{none_left_out, put};
use super::super::{Capture, Context, Error, Fingerprint, Kind, Sink};
use super::live::{self, engine_error};
use super::session;
use super::transfer::{self, Transfer};
use super::{FILE, Taken};
use crate::ground::ids::Name;
use crate::ground::process;
use crate::policy::candidates::Servers;
use crate::policy::sources::RedisSettings;

/// Captures the first of `servers` that qualifies for the source `name`.
pub(super) fn capture(
    name: &Name,
    servers: &Servers<RedisSettings>,
    context: &Context,
    out: &dyn Sink,
) -> Result<Capture, Error> {
    let started = context.clock.now();
    let asked = context.clock.now();
    let (live, chosen) = live::choose(servers, context)?;
    let server = live.login.server();
    let engine = live.engine();
    // What a chosen one is behind is told apart.
    let heard = if chosen.is_some() { 0 } else { live.seconds_since_heard() };
    let behind = i64::try_from(live.seconds_since_forked() + heard).unwrap_or(i64::MAX);
    let consistent_time = asked.checked_sub(SignedDuration::from_secs(behind)).unwrap_or(asked);
    let mut taken = Taken {
        version: live.version(),
        format: 0,
        databases: 0,
        used_bytes: live.used_bytes(),
        history: String::new(),
        offset: 0,
        is_replica: live.is_replica(),
        modules: Vec::new(),
        is_of_cluster: live.is_of_cluster(),
        is_unsummed: false,
    };
    let begun = Transfer::begin(live.session);
    let (transfer, ending) = begun.map_err(|error| engine_error(&server, error))?;
    (taken.history, taken.offset) = (transfer.history.clone(), transfer.offset);
    put(out, FILE, transfer, context)?;
    let skipped = out.settle()?;
    // A transfer that failed tells more of it than that it was left out.
    let contents = ending.outcome().map_err(|error| refused(&server, error))?;
    none_left_out(skipped)?;
    taken.format = contents.version;
    taken.databases = contents.databases;
    taken.modules = contents.modules.into_iter().collect();
    taken.is_unsummed = !contents.is_summed;
    Ok(Capture {
        source: name.clone(),
        kind: Kind::Redis,
        engine,
        host: process::host_name(),
        started,
        served: chosen.map(|chosen| chosen.served(consistent_time)),
        consistent_time,
        finished: context.clock.now(),
        entries: 1,
        bytes: contents.bytes,
        skipped: Vec::new(),
        fingerprint: Fingerprint {
            parts: contents.parts,
            schema: contents.schema,
            ..Fingerprint::empty(Kind::Redis)
        },
        answers: Vec::new(),
        cluster: None,
        server: None,
        redis: Some(taken),
    })
}

/// Why there is no data set, in the source's terms.
fn refused(server: &str, error: transfer::Error) -> Error {
    match error {
        transfer::Error::Session(session::Error::Interrupted) => Error::Interrupted,
        error => Error::Engine {
            object: server.to_owned(),
            what: "its data set did not come whole".to_owned(),
            source: Some(Box::new(error)),
        },
    }
}
