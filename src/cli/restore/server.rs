//! `lifeboat restore --to-server …`: databases out of a snapshot into a server with which people work.
//!
//! All data is fetched and verified, and the act is on the ledger, before the server is changed. What
//! it holds afterwards is compared with the captured moment; only equality ends with 0.

use std::path::Path;
use std::sync::Arc;

use anyhow::bail;
use serde::Serialize;

use super::super::app::Opened;
use super::super::hint::Hinting;
use super::super::output::visible;
use super::super::{App, Exit};
use super::fetched::Reading;
use super::point::{OnLedger, Point};
use super::{Args, fetched};
use crate::account::{self, Rooms};
use crate::check::{self, Outcome, Why};
use crate::ground::causes::chain;
use crate::ground::ids::{Name, RunId};
use crate::ground::size::ByteSize;
use crate::ledger::record::Body;
use crate::policy::{self, TargetKind};
use crate::repo::SnapshotId;
use crate::restore::Select;
use crate::sandbox::Scratch;
use crate::source::manifest::Manifest;
use crate::source::target::{self, Target};
use crate::source::{self, Capture, Fingerprint, Kind, Place};

/// The answer of `restore --to-server --json`.
#[derive(Debug, Serialize)]
struct Answer {
    snapshot: SnapshotId,
    on_ledger: OnLedger,
    warnings: Vec<String>,
    source: String,
    server: Name,
    databases: Vec<String>,
    /// Those of them that held something before, which is gone.
    replaced: Vec<String>,
    bytes: u64,
    seconds: f64,
    /// How many rows and counters are as they were captured; none where nothing shows that they are.
    compared: Option<u64>,
    /// What is not as it was captured.
    differs: Vec<Place>,
    /// Why nothing was compared.
    unknown: Option<String>,
    notes: Vec<String>,
}

/// Loads the databases of one source into the server `named`.
pub(super) async fn run(args: &Args, named: &Name, app: &App) -> anyhow::Result<Exit> {
    let opened = app.open(&args.policy).await?;
    let Opened { setup, policy, account, rooms } = &opened;
    let server = setup.target(named, policy)?;
    // A restore that was killed leaves what it had fetched.
    if let Err(error) = account::sweep(setup, rooms).await {
        rooms.progress.note(&chain(&error));
    }
    let scratch = Arc::new(account::scratch(&setup.site.scratch, rooms)?);
    let fetch = async |reading: &Reading| {
        let manifest = reading.manifest().await?;
        let loading = Loading {
            target: Arc::from(target::to(server, &rooms.host)),
            capture: find(&manifest, args.source.as_ref(), server)?,
            replaced: args.replace.clone(),
            scratch: scratch.clone(),
            rooms: rooms.clone(),
        };
        let replaced = loading.look().await?;
        let select = Select::Source(loading.capture.source.clone());
        let data = reading.bring(select, &scratch, rooms).await?;
        Ok((data.join(loading.capture.source.as_str()), loading, replaced))
    };
    let (reading, fetched) = fetched::under_lock(args, &opened, fetch).await?;
    let (data, loading, replaced) = fetched;
    let capture = loading.capture.clone();
    let Reading { begun, point, .. } = reading;
    let Point { id: snapshot, on_ledger, warnings, .. } = point;
    tracing::info!(phase = "record");
    let databases = capture.databases();
    let run = RunId::draw();
    let body = Body::Restore {
        policy: policy.name.clone(),
        run,
        snapshot: snapshot.0,
        files: capture.entries,
        bytes: capture.bytes,
        reason: args.reason.clone(),
        table: None,
        server: Some(told(&server.name, &capture, &replaced)),
    };
    let recorded = account.journal.record(vec![body]).await?;
    account::tell(&recorded, &*rooms.progress);
    tracing::info!(phase = "load");
    let loaded = loading.load(&data).await;
    drop(loading);
    let removed = match Arc::into_inner(scratch) {
        Some(scratch) => tokio::task::spawn_blocking(move || scratch.remove()).await?,
        None => Ok(()),
    };
    let found = loaded?;
    removed?;
    let mut answer = Answer {
        snapshot,
        on_ledger,
        warnings,
        source: capture.source.to_string(),
        server: server.name.clone(),
        databases,
        replaced,
        bytes: capture.bytes,
        seconds: begun.elapsed().as_secs_f64(),
        compared: None,
        differs: Vec::new(),
        unknown: None,
        notes: vec![accounts_by_hand(&capture)],
    };
    let mut differs = 0;
    match compared(&capture, &found) {
        Outcome::Held { compared } => answer.compared = Some(compared.get()),
        Outcome::Broke(broken) => {
            differs = broken.total().get();
            answer.differs = broken.places().to_vec();
        }
        Outcome::NotRun(not_run) => answer.unknown = Some(not_run.what),
    }
    answer.notes.extend(of_events(&answer.differs));
    let body = Body::RestoreCompared {
        policy: policy.name.clone(),
        run,
        snapshot: snapshot.0,
        equal: answer.compared,
        differs,
        unknown: answer.unknown.clone(),
    };
    let recorded = account.journal.record(vec![body]).await?;
    account::tell(&recorded, &*rooms.progress);
    app.out.answer(&answer, &text(&answer))?;
    Ok(if answer.compared.is_some() { Exit::Done } else { Exit::Failed })
}

/// What may be the matter where an event is among the differences: a server that takes an event back in
/// whose only time has passed drops it, or switches it off, as its definition says.
fn of_events(differs: &[Place]) -> Option<String> {
    differs.iter().any(|place| place.object.contains(": event ")).then(|| {
        "an event that was to run once (AT …) and whose time has come since the capture is dropped, or \
         disabled, by a server that takes it back: whether it has run, and is still to run, is yours to say"
            .to_owned()
    })
}

/// The source that is meant: the one that is named, or the only one that the server can take.
fn find(
    manifest: &Manifest,
    source: Option<&Name>,
    server: &policy::Target,
) -> anyhow::Result<Capture> {
    let kind = match server.kind {
        TargetKind::Postgres => Kind::Postgres,
        TargetKind::Mariadb => Kind::Mariadb,
        TargetKind::Mysql => Kind::Mysql,
    };
    let wanted = |capture: &&Capture| source.is_none_or(|name| *name == capture.source);
    let fits = |capture: &&Capture| capture.kind == kind;
    let found: Vec<&Capture> = manifest.sources.iter().filter(wanted).filter(fits).collect();
    match found[..] {
        [only] => Ok(only.clone()),
        [] => bail!("the snapshot holds no such source of kind {kind}, which {} is", server.name),
        _ => Err(anyhow::anyhow!("the snapshot holds several sources of kind {kind}"))
            .hint("say which with --source"),
    }
}

/// What is loaded, and where.
struct Loading {
    target: Arc<dyn Target>,
    capture: Capture,
    /// As they were named.
    replaced: Vec<String>,
    scratch: Arc<Scratch>,
    rooms: Rooms,
}

impl Loading {
    /// Fails where the server cannot take the databases, or holds something that was not named;
    /// answers which of those that were named hold something.
    async fn look(&self) -> anyhow::Result<Vec<String>> {
        let databases = self.capture.databases();
        if let Some(other) = self.replaced.iter().find(|name| !databases.contains(name)) {
            return Err(anyhow::anyhow!("{other:?} is no database of {}", self.capture.source))
                .hint(format!("it has: {}", databases.join(", ")));
        }
        let (target, capture, context) =
            (self.target.clone(), self.capture.clone(), self.context());
        let looked = tokio::task::spawn_blocking(move || target.occupied(&capture, &context));
        let occupied = looked.await??;
        if let Some(spared) = occupied.iter().find(|name| !self.replaced.contains(name)) {
            return Err(anyhow::anyhow!(
                "the server's database {spared:?} holds something already, or is made in another way"
            ))
            .hint(format!(
                "nothing was changed; where it may go with all that it holds, say --replace {spared}"
            ));
        }
        Ok(occupied)
    }

    async fn load(&self, data: &Path) -> anyhow::Result<Fingerprint> {
        let (target, capture, context) =
            (self.target.clone(), self.capture.clone(), self.context());
        let (data, replaced) = (data.to_owned(), self.replaced.clone());
        let loaded =
            tokio::task::spawn_blocking(move || target.load(&capture, &data, &replaced, &context));
        loaded.await?.hint(
            "databases may be there in part: mend what it complains of, and run it again with \
             --replace for each of them",
        )
    }

    fn context(&self) -> source::Context {
        source::Context {
            clock: self.rooms.clock.clone(),
            progress: self.rooms.progress.clone(),
            staging: self.scratch.dir().to_owned(),
            interrupted: self.rooms.interrupted.clone(),
            questions: Vec::new(),
        }
    }
}

/// What the server holds against what was captured.
fn compared(capture: &Capture, found: &Fingerprint) -> Outcome {
    match capture.unheld() {
        Some(why) => Outcome::not_run(Why::NotApplicable, why),
        None => check::compare(capture.kind, &capture.of_databases(), found),
    }
}

/// For the ledger: `standby: shop, crm (replaced)`.
fn told(server: &Name, capture: &Capture, replaced: &[String]) -> String {
    let names = capture
        .databases()
        .into_iter()
        .map(|name| if replaced.contains(&name) { format!("{name} (replaced)") } else { name });
    format!("{}: {server}: {}", capture.source, names.collect::<Vec<_>>().join(", "))
}

fn accounts_by_hand(capture: &Capture) -> String {
    let file = if capture.kind == Kind::Postgres { "globals.sql" } else { "grants.sql" };
    format!("accounts and roles stay as they are: `lifeboat restore --to DIR` brings {file}")
}

fn text(answer: &Answer) -> String {
    let Answer { source, server, databases, bytes, seconds, .. } = answer;
    let mut text = format!(
        "{} of {source}, {} in {seconds:.1} s, into {server}\n",
        visible(&databases.join(", ")),
        ByteSize(*bytes)
    );
    if let Some(rows) = answer.compared {
        text.push_str(&format!(
            "equal to the captured moment: {rows} rows and counters, and all definitions\n"
        ));
    }
    for Place { object, what } in &answer.differs {
        text.push_str(&format!("DIFFERS: {}: {}\n", visible(object), visible(what)));
    }
    if let Some(why) = &answer.unknown {
        text.push_str(&format!("NOT COMPARED: {}\n", visible(why)));
    }
    for warning in &answer.warnings {
        text.push_str(&format!("WARNING: {}\n", visible(warning)));
    }
    for note in &answer.notes {
        text.push_str(&format!("note: {}\n", visible(note)));
    }
    text
}
