//! The sources of a run, one after the other, within what the policy lets production be asked for.
//!
//! In: settings, the tree that the run before left. Out: captures and the trees of their folders, in
//! the repository but not yet published. Each source walks on a thread of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::sink::{self, Reading};
use super::{Error, node};
use crate::account::{Interrupted, Rooms};
use crate::ground::ids::Name;
use crate::ground::pace::Pace;
use crate::ground::process;
use crate::policy::sources::SourceSettings;
use crate::policy::{Asks, Policy, Setup};
use crate::repo::{self, BlobId, NodeKind, ReadError, Reader, Snapshot, SnapshotId, Tree, Writer};
use crate::sandbox::Scratch;
use crate::source::{self, Capture, Question};

/// How long a source has to let go once somebody asked for an end. What hangs in the system, e.g. on
/// a mount whose server is dead, never does and cannot be ended: the run goes on without it.
const GRACE: Duration = Duration::from_secs(30);

/// The sources of a run, in the repository but not yet published.
pub(super) struct Captured {
    pub(super) captures: Vec<Capture>,
    pub(super) folders: Vec<repo::Node>,
    pub(super) writer: Writer,
}

/// Captures every source of `policy`.
pub(super) async fn all(
    setup: &Setup,
    policy: &Policy,
    parent: Option<&(SnapshotId, Snapshot)>,
    reader: &Reader,
    writer: Writer,
    rooms: &Rooms,
) -> Result<Captured, Error> {
    let root = match parent {
        Some((_, snapshot)) => known(reader.tree(&snapshot.tree).await)?,
        None => None,
    };
    let pace = policy.limits.read_rate.map(|rate| Arc::new(Pace::new(rate)));
    let (mut captures, mut folders, mut writer) = (Vec::new(), Vec::new(), writer);
    for settings in &policy.sources {
        rooms.progress.phase(&format!("capture {}", settings.name), None);
        let subtree = root.as_ref().and_then(|tree| folder_in(tree, settings.name.as_str()));
        let before = match subtree {
            Some(id) => known(reader.tree(&id).await)?,
            None => None,
        };
        let scratch = Scratch::create(&setup.site.scratch.dir, None)?;
        let context = source::Context {
            clock: rooms.clock.clone(),
            progress: rooms.progress.clone(),
            staging: scratch.dir().to_owned(),
            interrupted: rooms.interrupted.clone(),
            questions: questions(setup, policy, &settings.name),
        };
        let (own, reader, host) = (settings.clone(), reader.clone(), rooms.host.clone());
        let pace = pace.clone();
        let work = move || {
            let captured = one(&own, &context, before, &reader, &writer, pace.as_deref(), &host);
            drop(scratch);
            (captured, writer)
        };
        let captured;
        (captured, writer) = apart(&settings.name, policy.limits.nice, GRACE, rooms, work).await?;
        let (capture, tree) = captured
            .map_err(|source| Error::Capture { source_name: settings.name.clone(), source })?;
        folders.push(node::neutral_node(capture.source.as_str(), tree));
        captures.push(capture);
    }
    Ok(Captured { captures, folders, writer })
}

/// What the policy's drills ask of the moment that is captured of a source, each once.
fn questions(setup: &Setup, policy: &Policy, source: &Name) -> Vec<Question> {
    let mut questions: Vec<Question> = Vec::new();
    for check in setup.drills_of(policy).flat_map(|drill| &drill.checks) {
        let Asks::Query(query) = &check.asks else { continue };
        let same = |one: &&mut Question| one.query == query.text && one.database == query.database;
        if query.source != *source || !query.asks_at_capture() {
            continue;
        }
        match questions.iter_mut().find(same) {
            Some(asked) => asked.limit = asked.limit.max(check.deadline),
            None => questions.push(Question {
                database: query.database.clone(),
                query: query.text.clone(),
                limit: check.deadline,
            }),
        }
    }
    questions
}

/// Captures one source; blocking.
fn one(
    settings: &SourceSettings,
    context: &source::Context,
    before: Option<Tree>,
    reader: &Reader,
    writer: &Writer,
    pace: Option<&Pace>,
    host: &source::Host,
) -> Result<(Capture, BlobId), source::Error> {
    let runtime = Handle::current();
    // A tree of the parent that cannot be read costs reading its files again, nothing else.
    let parents = |id: &BlobId| runtime.block_on(reader.tree(id)).ok();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let source = source::of(settings, host);
    let reading = Reading { interrupted: &context.interrupted, pace, workers: cores };
    sink::gather(writer, &parents, before, &*context.progress, reading, |sink| {
        source.capture(context, sink)
    })
}

/// Runs `work` on a thread of its own, whose niceness the threads and programs inherit that it
/// starts. One that does not end within `grace` of being asked to is left behind.
async fn apart<T: Send + 'static>(
    name: &Name,
    nice: Option<u8>,
    grace: Duration,
    rooms: &Rooms,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    let (done, mut answer) = oneshot::channel::<io::Result<T>>();
    let (runtime, span) = (Handle::current(), tracing::Span::current());
    let begin = move || {
        let (_entered, _within) = (runtime.enter(), span.enter());
        let yielded = nice.map_or(Ok(()), process::yield_to_others);
        // Nobody listens any more where the thread was left behind.
        let _ = done.send(yielded.map(|()| work()));
    };
    std::thread::Builder::new()
        .name("capture".to_owned())
        .spawn(begin)
        .map_err(Error::CannotBegin)?;
    let answered = match rooms.unless_interrupted(&mut answer).await {
        Ok(answered) => answered,
        Err(Interrupted) => match tokio::time::timeout(grace, answer).await {
            Ok(answered) => answered,
            Err(_) => return Err(Error::Hangs { source_name: name.clone(), grace }),
        },
    };
    answered.map_err(|_| Error::Died { source_name: name.clone() })?.map_err(Error::CannotBegin)
}

/// A tree of the parent snapshot, if the repository still has it whole.
fn known(tree: Result<Tree, ReadError>) -> Result<Option<Tree>, ReadError> {
    match tree {
        Ok(tree) => Ok(Some(tree)),
        Err(error) if error.is_environment() => Err(error),
        Err(_) => Ok(None),
    }
}

fn folder_in(tree: &Tree, name: &str) -> Option<BlobId> {
    let node = tree.nodes.iter().find(|node| node.name == name.as_bytes())?;
    match node.kind {
        NodeKind::Dir { subtree } => Some(subtree),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::ground::clock::SystemClock;
    use crate::ground::progress::Silent;
    use crate::ledger::record::Actor;
    use crate::sandbox::Launcher;
    use crate::state::State;

    async fn rooms(folder: &tempfile::TempDir) -> Rooms {
        Rooms {
            state: State::open(&folder.path().join("state.db")).await.unwrap(),
            clock: Arc::new(SystemClock),
            progress: Arc::new(Silent),
            interrupted: Arc::default(),
            actor: Actor { name: "somebody".into(), host: "here".into() },
            host: source::Host {
                launcher: Launcher::this_program(),
                postgres: source::postgres::Engines::of(&[]),
                mysql: source::mysql::Engines::of(&[]),
            },
            outbox: folder.path().join("outbox"),
        }
    }

    #[tokio::test]
    async fn a_source_that_hangs_is_left_behind_once_its_grace_is_over() {
        let folder = tempfile::tempdir().unwrap();
        let rooms = rooms(&folder).await;
        let (_never, hangs) = channel::<()>();
        rooms.interrupted.store(true, Ordering::Relaxed);

        let (name, grace) = ("uploads".parse().unwrap(), Duration::from_millis(50));
        let error = apart(&name, None, grace, &rooms, move || hangs.recv()).await.unwrap_err();

        assert!(matches!(error, Error::Hangs { .. }), "{error:?}");
        assert!(error.to_string().contains("uploads"), "{error}");
    }

    #[tokio::test]
    async fn a_source_that_lets_go_in_time_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let rooms = rooms(&folder).await;
        rooms.interrupted.store(true, Ordering::Relaxed);
        let work = || std::thread::sleep(Duration::from_millis(30));

        let answer = apart(&"uploads".parse().unwrap(), None, GRACE, &rooms, work).await;

        answer.unwrap();
    }

    #[tokio::test]
    async fn a_defect_of_a_source_is_an_error_that_names_it() {
        let folder = tempfile::tempdir().unwrap();
        let rooms = rooms(&folder).await;
        let work = || panic!("a defect in a source");

        let error =
            apart::<()>(&"uploads".parse().unwrap(), None, GRACE, &rooms, work).await.unwrap_err();

        assert!(matches!(error, Error::Died { .. }), "{error:?}");
    }
}
