//! `lifeboat forget`: remove the snapshots of a policy that no keep rule needs.

use std::fmt::Write as _;
use std::time::Duration;

use comfy_table::Table;
use jiff::Timestamp;
use serde::Serialize;

use super::{App, Exit};
use crate::ground::causes::chain;
use crate::ground::ids::RunId;
use crate::policy::PolicyName;
use crate::repo::SnapshotId;
use crate::retain::forget::{self, Forgotten, How};
use crate::retain::{Plan, Refusal};

/// How long others that use the repository are waited for.
const WAIT: Duration = Duration::from_secs(10);

/// Remove the snapshots of a policy that its [retention] does not keep
///
/// Prints the plan: for every snapshot whether it stays or goes, and why. The removed snapshots'
/// data stays stored until `lifeboat prune`.
///
/// Ends with 1 also where a snapshot cannot be read: it stays, takes no place from others, and is
/// named on standard error.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policy whose snapshots to remove: POLICY or CUSTOMER/POLICY
    policy: PolicyName,
    /// Only print the plan
    #[arg(long)]
    dry_run: bool,
    /// Remove more than ten snapshots and more than half of them, if the plan says so
    #[arg(long)]
    allow_many: bool,
    /// Go on though snapshots that the ledger names are gone, and record that they are
    #[arg(long)]
    accept_lost: bool,
}

/// The answer of `forget --json`.
#[derive(Debug, Serialize)]
struct Answer {
    policy: String,
    run: RunId,
    dry_run: bool,
    /// Snapshots that were removed.
    removed: Vec<SnapshotId>,
    /// Snapshots of the repository that are not the policy's, and were left alone.
    others: usize,
    /// Snapshots that the ledger named and that were gone, which is on the ledger by now.
    accepted_lost: Vec<SnapshotId>,
    /// Snapshots that cannot be read: they stay, and take no place from others.
    unreadable: Vec<Unreadable>,
    /// Why this plan is not carried out.
    refused: Option<String>,
    /// Oldest first.
    snapshots: Vec<Planned>,
}

#[derive(Debug, Serialize)]
struct Unreadable {
    id: SnapshotId,
    error: String,
}

#[derive(Debug, Serialize)]
struct Planned {
    id: SnapshotId,
    time: Timestamp,
    complete: bool,
    /// The ledger's record that says that it cannot be restored whole.
    damaged: Option<u64>,
    action: &'static str,
    reasons: Vec<String>,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let setup = app.setup().await?;
    let policy = setup.policy(&args.policy)?;
    let rooms = app.rooms(&setup).await?;
    let how = How {
        dry_run: args.dry_run,
        many: args.allow_many,
        accept_lost: args.accept_lost,
        wait: WAIT,
    };
    let forgotten = forget::run(&setup, policy, how, &rooms).await?;
    for (_, error) in &forgotten.unreadable {
        rooms.progress.note(&chain(error));
    }
    let text = text(&forgotten, args.dry_run);
    let is_whole = forgotten.unreadable.is_empty();
    let (answer, refusal) = answer(policy.full_name(), forgotten, args.dry_run);
    app.out.answer(&answer, &text)?;
    match refusal {
        Some(refusal) if !args.dry_run => Err(forget::Error::from(refusal).into()),
        _ if is_whole => Ok(Exit::Done),
        _ => Ok(Exit::Failed),
    }
}

fn answer(policy: String, forgotten: Forgotten, dry_run: bool) -> (Answer, Option<Refusal>) {
    let Forgotten { run, plan, removed, accepted, unreadable, refusal } = forgotten;
    let planned = plan.decisions.iter().rev().map(|decision| Planned {
        id: decision.id,
        time: decision.time,
        complete: decision.is_complete,
        damaged: decision.damaged,
        action: if decision.goes() { "remove" } else { "keep" },
        reasons: match &decision.stays[..] {
            [] => vec![decision.reason()],
            stays => stays.iter().map(ToString::to_string).collect(),
        },
    });
    let unreadable = unreadable.into_iter();
    let unreadable = unreadable.map(|(id, error)| Unreadable { id, error: chain(&error) });
    let answer = Answer {
        policy,
        run,
        dry_run,
        removed,
        others: plan.others,
        accepted_lost: accepted,
        unreadable: unreadable.collect(),
        refused: refusal.as_ref().map(ToString::to_string),
        snapshots: planned.collect(),
    };
    (answer, refusal)
}

fn text(forgotten: &Forgotten, dry_run: bool) -> String {
    let Forgotten { plan, accepted, unreadable, .. } = forgotten;
    let mut text = match plan.decisions.is_empty() {
        true => "the policy has no snapshots".to_owned(),
        false => format!("{}\n{}", table(plan), summary(forgotten, dry_run)),
    };
    // Writing to a string cannot fail.
    if plan.others > 0 {
        let _ = write!(text, "; {} of others in the repository are left alone", plan.others);
    }
    if !unreadable.is_empty() {
        let number = unreadable.len();
        let _ = write!(text, "\nUNREADABLE: {number}, which stay and take no place from others");
    }
    let would = if dry_run { "would be " } else { "" };
    for id in accepted {
        let _ = write!(text, "\nGONE: {id}, {would}accepted and recorded as lost");
    }
    text
}

fn table(plan: &Plan) -> Table {
    let mut table = Table::new();
    table.load_style(comfy_table::presets::NOTHING);
    table.set_header(["", "id", "time (UTC)", "why"]);
    for decision in plan.decisions.iter().rev() {
        table.add_row([
            if decision.goes() { "remove" } else { "keep" }.to_owned(),
            decision.id.0.short(),
            decision.time.strftime("%Y-%m-%d %H:%M:%S").to_string(),
            super::output::visible(&decision.reason()).into_owned(),
        ]);
    }
    table
}

fn summary(forgotten: &Forgotten, dry_run: bool) -> String {
    let plan = &forgotten.plan;
    let (going, left) = (plan.removed().len(), plan.left());
    match (&forgotten.refusal, dry_run) {
        (Some(refusal), true) => format!("would be refused without --allow-many: {refusal}"),
        (Some(_), false) => "nothing was removed".to_owned(),
        (None, true) if going == 0 => format!("nothing would be removed, {left} stay"),
        (None, true) => format!("{going} would be removed, {left} stay"),
        (None, false) if going == 0 => format!("nothing to remove, {left} stay"),
        (None, false) => format!("{going} removed, {left} stay"),
    }
}
