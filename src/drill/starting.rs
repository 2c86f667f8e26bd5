//! The sources that are to come up: which of them the recovery point holds as the policy declares
//! them today, and what of each is made ready while its data is still on the way.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use serde_json::Value;
use tokio::task::JoinHandle;

use super::{Error, Rehearsal, Request};
use crate::account::Rooms;
use crate::ground::ids::Name;
use crate::policy::candidates::Servers;
use crate::policy::sources::{ServerSettings, SourceKind, SourceSettings};
use crate::sandbox::Scratch;
use crate::source::manifest::Manifest;
use crate::source::{self, Capture, Host, Kind, Ready, Source, Trouble};

/// One source of the policy.
pub(super) struct Starting {
    pub(super) name: Name,
    /// Of one that cannot come up from this recovery point, why.
    pub(super) begun: Result<Begun, &'static str>,
}

/// A source that waits for its data.
pub(super) struct Begun {
    pub(super) source: Box<dyn Source>,
    pub(super) capture: Capture,
    /// The newer major version that it is to come up on, in an upgrade rehearsal.
    pub(super) onto: Option<u32>,
    /// None for a kind that has nothing to make ready.
    pub(super) ready: Option<Result<Box<dyn Ready>, Trouble>>,
}

/// Sources on the thread that makes them ready.
pub(super) struct Preparing(JoinHandle<Vec<Starting>>);

/// Begins to make ready what needs none of the data, on a thread of its own. It holds the scratch
/// until [`Preparing::finish`], which must come before the scratch is given up.
pub(super) fn prepare(
    request: Request<'_>,
    manifest: Option<&Manifest>,
    scratch: &Arc<Scratch>,
    rooms: &Rooms,
) -> Preparing {
    let sources = request.policy.sources.iter();
    let upgrades = request.upgrades();
    let onto = |settings: &SourceSettings| {
        upgrades.iter().find(|one| one.source == settings.name).map(|one| one.major)
    };
    let held: Vec<_> = sources
        .map(|settings| (settings.clone(), onto(settings), held(settings, manifest)))
        .collect();
    let (host, scratch) = (rooms.host.clone(), scratch.clone());
    let span = tracing::Span::current();
    Preparing(tokio::task::spawn_blocking(move || {
        span.in_scope(|| {
            let each = held.into_iter().map(|(settings, onto, held)| Starting {
                begun: held.and_then(|capture| begin(&settings, onto, capture, &host, &scratch)),
                name: settings.name,
            });
            each.collect()
        })
    }))
}

impl Preparing {
    /// Waits until everything is ready; what that takes beyond the fetch is recovery time too.
    pub(super) async fn finish(self, rehearsal: &mut Rehearsal) -> Result<Vec<Starting>, Error> {
        let waiting = Instant::now();
        let starting = self.0.await.map_err(Error::Thread)?;
        let mut begun = starting.iter().filter_map(|starting| starting.begun.as_ref().ok());
        if begun.any(|begun| begun.ready.is_some()) {
            rehearsal.phase("prepare", waiting.elapsed(), true);
        }
        Ok(starting)
    }
}

fn begin(
    settings: &SourceSettings,
    onto: Option<u32>,
    capture: Capture,
    host: &Host,
    scratch: &Scratch,
) -> Result<Begun, &'static str> {
    let source = match onto {
        None => source::of(settings, host),
        Some(major) => source::upgraded(settings, major, host)
            .ok_or("this kind of source cannot be brought up on another major version")?,
    };
    let ready = source.prepare(&capture, scratch).transpose();
    Ok(Begun { source, capture, onto, ready })
}

/// What was captured of a source, where that is what the policy declares today.
fn held(settings: &SourceSettings, manifest: Option<&Manifest>) -> Result<Capture, &'static str> {
    let manifest = manifest
        .ok_or("lifeboat did not make this snapshot: nothing was captured to compare with")?;
    let of_name = |capture: &&Capture| capture.source == settings.name;
    let capture = manifest.sources.iter().find(of_name);
    let capture =
        capture.ok_or("the recovery point was taken before the policy named this source")?;
    if !is_of(settings, capture, manifest) {
        return Err("the recovery point was taken when this source was declared otherwise: \
                    back up anew");
    }
    Ok(capture.clone())
}

/// Whether the capture is one of what the policy declares today: its kind, its paths, for a server
/// where it is and its databases. What was captured would else equal itself while something is
/// missing, or is another's.
fn is_of(settings: &SourceSettings, capture: &Capture, manifest: &Manifest) -> bool {
    let Some(then) = declared_then(&settings.name, manifest) else { return false };
    if capture.kind != Kind::of(&settings.kind) {
        return false;
    }
    match &settings.kind {
        SourceKind::Sqlite(database) => {
            then["path"].as_str().map(Path::new) == Some(&database.path)
        }
        SourceKind::Postgres(servers) => {
            let captured = capture.cluster.iter().flat_map(|cluster| &cluster.databases);
            let captured = captured.map(|database| database.name.as_str()).collect();
            is_same_server(servers, capture, then, &captured)
        }
        SourceKind::MariadbFiles(server) => {
            let names = capture.databases();
            let captured = names.iter().map(String::as_str).collect();
            is_same_server(&server.clone().into(), capture, then, &captured)
        }
        SourceKind::Mariadb(servers) | SourceKind::Mysql(servers) => {
            let captured = capture.server.iter().flat_map(|server| &server.databases);
            let captured = captured.map(|database| database.name.as_str()).collect();
            is_same_server(servers, capture, then, &captured)
        }
        SourceKind::Command(programs) => then["capture"] == serde_json::json!(programs.capture),
        SourceKind::Redis(servers) => {
            is_declared(servers, |server| &server.host, capture, then)
                && then["port"] == servers.any().port
        }
        SourceKind::Files(files) => {
            let declared: BTreeSet<_> =
                files.paths.iter().map(|path| path.display().to_string()).collect();
            declared.iter().eq(capture.fingerprint.parts.keys())
        }
    }
}

/// Whether a server was declared then as it is now, and all of its databases were captured.
fn is_same_server(
    servers: &Servers<ServerSettings>,
    capture: &Capture,
    then: &Value,
    captured: &BTreeSet<&str>,
) -> bool {
    let server = servers.any();
    let declared: BTreeSet<_> = server.databases.iter().map(String::as_str).collect();
    is_declared(servers, |server| &server.host, capture, then)
        && then["port"] == server.port
        && databases_of(then).as_ref() == Some(&declared)
        && declared.is_subset(captured)
}

/// Whether the server that was captured, of several the one that was taken, is one of those that are
/// declared today.
fn is_declared<S>(
    servers: &Servers<S>,
    host: impl Fn(&S) -> &str,
    capture: &Capture,
    then: &Value,
) -> bool {
    let taken = capture.served.as_ref().map(|served| served.host.as_str());
    taken.or(then["host"].as_str()).is_some_and(|taken| servers.all().any(|one| host(one) == taken))
}

/// What the policy in force at capture said of a source.
fn declared_then<'a>(source: &Name, manifest: &'a Manifest) -> Option<&'a Value> {
    let sources = manifest.effective.pointer("/policy/sources")?.as_array()?;
    sources.iter().find(|one| one["name"] == source.as_str())
}

/// The databases that are named; empty for all.
fn databases_of(settings: &Value) -> Option<BTreeSet<&str>> {
    settings["databases"].as_array()?.iter().map(Value::as_str).collect()
}
