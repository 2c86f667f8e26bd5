//! `lifeboat forget`: remove the snapshots of a policy that no keep rule needs.

use std::time::Duration;

use comfy_table::Table;
use jiff::Timestamp;
use serde::Serialize;

use super::{App, Exit};
use crate::ground::ids::RunId;
use crate::policy::PolicyName;
use crate::repo::SnapshotId;
use crate::retain::forget::{self, Forgotten, How};

/// How long others that use the repository are waited for.
const WAIT: Duration = Duration::from_secs(10);

/// Remove the snapshots of a policy that its [retention] does not keep
///
/// Prints the plan: for every snapshot whether it stays or goes, and why. The removed snapshots'
/// data stays stored until `lifeboat prune`.
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
    /// Why this plan would not be carried out.
    refused: Option<String>,
    /// Oldest first.
    snapshots: Vec<Planned>,
}

#[derive(Debug, Serialize)]
struct Planned {
    id: SnapshotId,
    time: Timestamp,
    complete: bool,
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
    let text = text(&forgotten, args.dry_run);
    app.out.answer(&answer(policy.full_name(), forgotten, args.dry_run), &text)?;
    Ok(Exit::Done)
}

fn answer(policy: String, forgotten: Forgotten, dry_run: bool) -> Answer {
    let Forgotten { run, plan, removed, refusal } = forgotten;
    let planned = plan.decisions.iter().rev().map(|decision| Planned {
        id: decision.id,
        time: decision.time,
        complete: decision.is_complete,
        action: if decision.goes() { "remove" } else { "keep" },
        reasons: match &decision.stays[..] {
            [] => vec![decision.reason()],
            stays => stays.iter().map(ToString::to_string).collect(),
        },
    });
    Answer {
        policy,
        run,
        dry_run,
        removed,
        others: plan.others,
        refused: refusal.map(|refusal| refusal.to_string()),
        snapshots: planned.collect(),
    }
}

fn text(forgotten: &Forgotten, dry_run: bool) -> String {
    let plan = &forgotten.plan;
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
    let (going, left) = (plan.removed().len(), plan.left());
    let summary = match (&forgotten.refusal, dry_run) {
        (Some(refusal), _) => format!("nothing would be removed without --allow-many: {refusal}"),
        (None, true) => format!("{going} would be removed, {left} stay"),
        (None, false) => format!("{going} removed, {left} stay"),
    };
    let others = match plan.others {
        0 => String::new(),
        others => format!("; {others} of others in the repository are left alone"),
    };
    if plan.decisions.is_empty() {
        return format!("the policy has no snapshots{others}");
    }
    format!("{table}\n{summary}{others}")
}
