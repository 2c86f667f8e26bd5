//! `lifeboat repair snapshots`: save what can be read, and publish what is left of what lost data.

use serde::Serialize;

use super::super::hint::Trouble;
use super::super::output::styled;
use super::super::verify::told::lacks;
use super::super::{App, Exit, advice};
use crate::ground::ids::RunId;
use crate::ground::size::ByteSize;
use crate::policy::PolicyName;
use crate::repair::{self, Repaired};
use crate::repo::repair::{Remains, SnapshotsRepaired, Unfinished};
use crate::repo::{Damage, Gap, PackId, SnapshotId};
use crate::report::{Line, Tone};
use crate::source::manifest;

/// Snapshots, packs and files of each that are told on a terminal.
const NAMED: usize = 10;
const FILES: usize = 5;

/// Save what can be read of damaged packs, and publish what is left of snapshots that lost data
///
/// What is left of a snapshot is a snapshot of its own, without the files that cannot be read whole:
/// marked `incomplete` and `repaired`, tied to the original, and never taken for it. Originals stay.
/// Damaged packs are named no more once what can be read of them is stored anew; they themselves stay
/// until a prune that needs nothing of them. Ends with 3 where something is lost (it is listed).
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policy whose repository to repair: POLICY or CUSTOMER/POLICY
    policy: PolicyName,
    /// Read every pack first: without it only those that are missing or cut, or that a verification
    /// on this host found damaged, are known to be
    #[arg(long)]
    read_data: bool,
    /// Only print what would be done
    #[arg(long)]
    dry_run: bool,
}

/// The answer of `repair snapshots --json`.
#[derive(Debug, Serialize)]
struct Answer {
    policy: String,
    run: RunId,
    dry_run: bool,
    /// What was stored anew of damaged packs.
    saved_blobs: u64,
    saved_bytes: u64,
    /// Blobs that nobody can read any more, whether or not a snapshot needs them.
    lost_blobs: u64,
    /// Packs, damaged or gone, that no index file names any more.
    dropped_packs: Vec<PackId>,
    /// Those that are named still, and why.
    still_named_packs: Vec<PackId>,
    stopped: Option<Trouble>,
    /// Snapshots that lost something, newest first.
    snapshots: Vec<Lost>,
    /// What was found, as `verify` tells it.
    errors: Vec<Damage>,
    more_errors: u64,
}

#[derive(Debug, Serialize)]
struct Lost {
    original: SnapshotId,
    time: jiff::Timestamp,
    /// `customer/policy`; none for snapshots that lifeboat did not make.
    policy: Option<String>,
    files: u64,
    folders: u64,
    /// The first of them.
    lost: Vec<Gap>,
    /// The snapshot that holds the rest; none where nothing is left, or on a dry run.
    repaired: Option<SnapshotId>,
    /// Whether an earlier repair published it.
    was_there: bool,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let setup = app.setup().await?;
    let policy = setup.policy(&args.policy)?;
    let rooms = app.rooms(&setup).await?;
    let repaired = repair::snapshots(&setup, policy, args.read_data, args.dry_run, &rooms).await?;
    let (name, customer) = (policy.full_name(), policy.customer.as_str());
    let (answer, stopped) = answer(name, customer, repaired, args.dry_run);
    app.out.answer(&answer, &styled(&lines(&answer)))?;
    let is_whole = answer.snapshots.is_empty() && !answer.errors.iter().any(is_of_a_snapshot);
    stopped.map_or(Ok(if is_whole { Exit::Done } else { Exit::Incomplete }), Err)
}

fn is_of_a_snapshot(damage: &Damage) -> bool {
    damage.object.starts_with("snapshot ")
}

fn answer(
    policy: String,
    customer: &str,
    repaired: Repaired<SnapshotsRepaired>,
    dry_run: bool,
) -> (Answer, Option<anyhow::Error>) {
    let Repaired { run, done } = repaired;
    let SnapshotsRepaired { found, salvaged, lost_blobs, dropped, snapshots, unfinished } = done;
    let (still_named_packs, stopped) = match unfinished {
        None => (Vec::new(), None),
        Some(Unfinished { packs, why }) => {
            let stopped = anyhow::Error::new(why).context("the repair did not come to its end");
            (packs, Some(advice::advised(stopped)))
        }
    };
    let lost = |one: Remains| {
        let affected = found.affected.iter().find(|affected| affected.snapshot == one.original);
        let name = one.tags.iter().find_map(|tag| tag.strip_prefix("policy:"));
        let is_ours = one.tags.iter().any(|tag| tag == manifest::TAG);
        Lost {
            original: one.original,
            time: one.time,
            policy: name.filter(|_| is_ours).map(|name| format!("{customer}/{name}")),
            files: one.files,
            folders: one.folders,
            lost: affected.map_or(Vec::new(), |affected| affected.lost.clone()),
            repaired: one.repaired,
            was_there: one.was_there,
        }
    };
    let answer = Answer {
        policy,
        run,
        dry_run,
        still_named_packs,
        stopped: stopped.as_ref().map(Trouble::of),
        saved_blobs: salvaged.blobs,
        saved_bytes: salvaged.stored_bytes,
        lost_blobs,
        dropped_packs: dropped,
        snapshots: snapshots.into_iter().map(lost).collect(),
        errors: found.errors,
        more_errors: found.more_errors,
    };
    (answer, stopped)
}

fn lines(answer: &Answer) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut line = |tone: Tone, text: String| lines.push(Line { tone, text });
    let would = if answer.dry_run { "would be " } else { "" };
    for damage in answer.errors.iter().filter(|damage| is_of_a_snapshot(damage)).take(NAMED) {
        line(Tone::Bad, format!("{}: {}; nothing can be done", damage.object, damage.what));
    }
    for pack in answer.dropped_packs.iter().take(NAMED) {
        line(Tone::Plain, format!("pack {pack} is damaged or gone, and {would}named no more"));
    }
    more(answer.dropped_packs.len(), NAMED, &mut line);
    if !answer.still_named_packs.is_empty() {
        let packs = answer.still_named_packs.len();
        line(
            Tone::Bad,
            format!("NOT TO THE END: {packs} damaged packs are named still; run it again"),
        );
    }
    for one in answer.snapshots.iter().take(NAMED) {
        tell(one, answer.dry_run, &mut line);
    }
    more(answer.snapshots.len(), NAMED, &mut line);
    let packs = answer.dropped_packs.len() + answer.still_named_packs.len();
    if packs == 0 && answer.snapshots.is_empty() {
        line(Tone::Good, "no pack is known to be damaged and no snapshot lost anything".into());
        return lines;
    }
    let saved = answer.saved_blobs;
    let bytes = match answer.saved_bytes {
        0 => String::new(),
        bytes => format!(" ({} stored)", ByteSize(bytes)),
    };
    line(
        Tone::Plain,
        format!(
            "{saved} blobs {would}saved out of {packs} packs{bytes}, {} lost; {} snapshots lack \
             something",
            answer.lost_blobs,
            answer.snapshots.len()
        ),
    );
    if !answer.snapshots.is_empty() {
        let policy = &answer.policy;
        let hint = format!(
            "hint: `lifeboat backup {policy}` stores again what the sources still have, which may \
             make originals whole"
        );
        line(Tone::Doubt, hint);
    }
    lines
}

fn tell(one: &Lost, dry_run: bool, line: &mut impl FnMut(Tone, String)) {
    let short = one.original.0.short();
    let of = one.policy.as_deref().unwrap_or("another program");
    let time = one.time.strftime("%Y-%m-%d %H:%M:%SZ");
    let rest = match one.repaired {
        Some(id) if one.was_there => format!("the rest is snapshot {} already", id.0.short()),
        Some(id) => format!("the rest is snapshot {} now", id.0.short()),
        None if dry_run => "the rest would be published".to_owned(),
        None => "nothing is left of it".to_owned(),
    };
    let lacks = lacks(one.files, one.folders);
    let text = format!("snapshot {short} of {of}, {time}, lacks {lacks}; {rest}");
    line(Tone::Bad, text);
    for gap in one.lost.iter().take(FILES) {
        line(Tone::Plain, format!("    {}", gap.path));
    }
    let all = usize::try_from(one.files.saturating_add(one.folders)).unwrap_or(usize::MAX);
    more(all, FILES.min(one.lost.len()), line);
}

fn more(all: usize, named: usize, line: &mut impl FnMut(Tone, String)) {
    if all > named {
        line(Tone::Faint, format!("    and {} more", all - named));
    }
}
