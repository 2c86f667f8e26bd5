//! `lifeboat restore`: bring data back into a folder.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Instant;

use serde::Serialize;

use super::app::Opened;
use super::hint::Hinting;
use super::output::visible;
use super::{App, Exit};
use crate::account::{self, Account, Locked};
use crate::ground::ids::{Name, RunId};
use crate::ground::progress::Progress;
use crate::ground::size::ByteSize;
use crate::ledger::record::Body;
use crate::policy::{Policy, PolicyName};
use crate::repo::{self, BlobId, Reader, SnapshotId};
use crate::restore::{self, Fidelity, Occupied, Select};
use crate::source::{Place, manifest};

/// Restore a snapshot, or a part of it, into a folder
///
/// Every blob is verified. Nothing is ever written outside the folder.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policy whose data to restore: POLICY or CUSTOMER/POLICY
    policy: PolicyName,
    /// Folder to restore into; must be empty or not exist
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
    /// Snapshot: an id, the beginning of one, or `latest`
    #[arg(long, value_name = "ID", default_value = "latest")]
    snapshot: String,
    /// Only this source [default: all]
    #[arg(long, value_name = "NAME")]
    source: Option<Name>,
    /// Only what matches this pattern (.gitignore's syntax); may be given several times [default:
    /// everything]
    #[arg(long, value_name = "PATTERN")]
    include: Vec<String>,
    /// Restore although the folder is not empty; files in the way are replaced
    #[arg(long)]
    overwrite: bool,
}

/// The answer of `restore --json`.
#[derive(Debug, Serialize)]
struct Answer {
    snapshot: SnapshotId,
    to: PathBuf,
    files: u64,
    dirs: u64,
    others: u64,
    bytes: u64,
    seconds: f64,
    /// Entries or metadata that could not be made here.
    unrestored: Vec<Place>,
    /// What the repository could not give whole.
    damaged: Vec<Place>,
    notes: Vec<String>,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let Opened { policy, account, rooms } = app.open(&args.policy).await?;
    let lock = Locked::to_read(&account, &rooms).await?;
    let begun = Instant::now();
    let (snapshot, tree) = find(&account, &policy, &args.snapshot, &*rooms.progress).await?;
    let (index, unread) = account.repository.load_readable_index().await?;
    let reader = Reader::new(account.repository.clone(), Arc::new(RwLock::new(index)));
    let request = restore::Request {
        to: args.to.clone(),
        select: select(&args)?,
        occupied: if args.overwrite { Occupied::Overwrite } else { Occupied::Refuse },
        fidelity: Fidelity::Full,
        most_bytes: None,
        interrupted: rooms.interrupted.clone(),
    };
    tracing::info!(phase = "fetch");
    let restored = restore::run(&reader, tree, &request, rooms.progress.clone()).await;
    if let Some(lock) = lock {
        lock.release().await?;
    }
    let mut restored = restored?;
    // What they named may lie in other index files too: whatever came back is whole all the same.
    let damaged = unread.iter().map(|error| Place {
        object: "index".to_owned(),
        what: crate::ground::causes::chain(error),
    });
    restored.damaged.extend(damaged);
    tracing::info!(phase = "record");
    let body = Body::Restore {
        policy: policy.name.clone(),
        run: RunId::draw(),
        snapshot: snapshot.0,
        files: restored.files,
        bytes: restored.bytes,
    };
    let recorded = account.journal.record(vec![body]).await?;
    account::tell(&recorded, &*rooms.progress);
    let answer = Answer {
        snapshot,
        to: args.to,
        files: restored.files,
        dirs: restored.dirs,
        others: restored.others,
        bytes: restored.bytes,
        seconds: begun.elapsed().as_secs_f64(),
        unrestored: restored.unrestored,
        damaged: restored.damaged,
        notes: restored.notes,
    };
    app.out.answer(&answer, &text(&answer))?;
    let whole = answer.damaged.is_empty() && answer.unrestored.is_empty();
    Ok(if whole { Exit::Done } else { Exit::Failed })
}

/// The snapshot that is meant: any of the repository's by its id, or the policy's latest; where the
/// policy has none, the repository's latest, whoever made it.
async fn find(
    account: &Account,
    policy: &Policy,
    wanted: &str,
    progress: &dyn Progress,
) -> anyhow::Result<(SnapshotId, BlobId)> {
    let repository = &account.repository;
    let known = match account.records().await {
        Ok(records) => account::published(&records),
        // A ledger that is out of reach must not keep the data from coming back.
        Err(error) => {
            let why = crate::ground::causes::chain(&error);
            progress.note(&format!("snapshots are those that are listed: {why}"));
            Vec::new()
        }
    };
    if wanted != "latest" {
        let id = repository.find(wanted, &known).await.hint("`lifeboat snapshots` lists them")?;
        return Ok((id, repository.snapshot(&id).await?.tree));
    }
    let tag = manifest::policy_tag(&policy.name);
    let files = repository.snapshot_files_with(&known).await?;
    let all = repo::in_order(files)
        .hint("`lifeboat snapshots` lists the others; name one with --snapshot")?;
    let of_policy = all.iter().rev().find(|(_, snapshot)| snapshot.tags.contains(&tag));
    match of_policy.or(all.last()) {
        Some((id, snapshot)) => Ok((*id, snapshot.tree)),
        None => Err(anyhow::anyhow!("the repository holds no snapshot"))
            .hint("`lifeboat backup` makes the first"),
    }
}

fn select(args: &Args) -> anyhow::Result<Select> {
    match (&args.source, &args.include[..]) {
        (None, []) => Ok(Select::Everything),
        (Some(source), []) => Ok(Select::Source(source.clone())),
        (None, patterns) => Ok(Select::Patterns(patterns.to_vec())),
        (Some(source), patterns) => {
            let below =
                |pattern: &String| format!("/{source}/**/{}", pattern.trim_start_matches('/'));
            Ok(Select::Patterns(patterns.iter().map(below).collect()))
        }
    }
}

fn text(answer: &Answer) -> String {
    let mut text = format!(
        "{} files, {} folders, {} other entries, {} in {:.1} s, into {}\n",
        answer.files,
        answer.dirs,
        answer.others,
        ByteSize(answer.bytes),
        answer.seconds,
        answer.to.display()
    );
    for note in &answer.notes {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "note: {}", visible(note));
    }
    for Place { object, what } in &answer.unrestored {
        let _ = writeln!(text, "not restored: {}: {}", visible(object), visible(what));
    }
    for Place { object, what } in &answer.damaged {
        let _ = writeln!(text, "damaged: {}: {}", visible(object), visible(what));
    }
    text
}
