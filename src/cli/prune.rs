//! `lifeboat prune`: remove from the store what no snapshot needs any more.

use std::fmt::Write as _;

use serde::Serialize;

use super::{App, Exit};
use crate::ground::ids::RunId;
use crate::ground::size::ByteSize;
use crate::policy::PolicyName;
use crate::repo::PackId;
use crate::repo::prune::{Going, Plan};
use crate::retain::prune::{self, Pruned};

/// Remove what no snapshot of a policy's repository needs any more
///
/// Everything is read first that says what is needed, and listed again right before anything is
/// deleted. Backups of lifeboat and restic are kept apart from it by locks (of rustic, which takes none,
/// let none run meanwhile). It can be ended at any time, and the next one goes on.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policy whose repository to prune: POLICY or CUSTOMER/POLICY
    policy: PolicyName,
    /// Only print the plan
    #[arg(long)]
    dry_run: bool,
}

/// The answer of `prune --json`.
#[derive(Debug, Serialize)]
struct Answer {
    policy: String,
    run: RunId,
    dry_run: bool,
    kept_packs: usize,
    kept_bytes: u64,
    freed_bytes: u64,
    /// What is removed, or would be.
    packs: Vec<Planned>,
}

#[derive(Debug, Serialize)]
struct Planned {
    id: PackId,
    action: &'static str,
    bytes: Option<u64>,
    /// Sealed bytes of it that are packed anew.
    live_bytes: u64,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let setup = app.setup().await?;
    let policy = setup.policy(&args.policy)?;
    let rooms = app.rooms(&setup).await?;
    let Pruned { run, plan } = prune::run(&setup, policy, args.dry_run, &rooms).await?;
    let answer = Answer {
        policy: policy.full_name(),
        run,
        dry_run: args.dry_run,
        kept_packs: plan.kept,
        kept_bytes: plan.kept_bytes,
        freed_bytes: plan.freed_bytes(),
        packs: packs(&plan),
    };
    app.out.answer(&answer, &text(&answer, &plan))?;
    Ok(Exit::Done)
}

fn packs(plan: &Plan) -> Vec<Planned> {
    let gone = |action| {
        move |going: &Going| Planned { id: going.pack, action, bytes: going.bytes, live_bytes: 0 }
    };
    let unused = plan.unused.iter().map(gone("remove: no snapshot needs anything of it"));
    let unindexed = plan.unindexed.iter().map(gone("remove: in no index file"));
    let repacked = plan.repack.iter().map(|one| Planned {
        id: one.pack,
        action: if one.is_doomed { "save what is needed" } else { "pack anew" },
        bytes: Some(one.bytes),
        live_bytes: one.live_bytes,
    });
    unused.chain(unindexed).chain(repacked).collect()
}

fn text(answer: &Answer, plan: &Plan) -> String {
    let mut text = String::new();
    for Planned { id, action, bytes, live_bytes } in &answer.packs {
        let bytes = bytes.map_or("not stored".to_owned(), |bytes| ByteSize(bytes).to_string());
        let live = match live_bytes {
            0 => String::new(),
            live => format!(", {} of it stay", ByteSize(*live)),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{}  {action} ({bytes}{live})", id.0.short());
    }
    let would = if answer.dry_run { "would be " } else { "" };
    let _ = write!(
        text,
        "{} packs {would}removed, {} {would}packed anew, {} stay ({}); {} {would}freed",
        plan.unused.len() + plan.unindexed.len(),
        plan.repack.len(),
        answer.kept_packs,
        ByteSize(answer.kept_bytes),
        ByteSize(answer.freed_bytes),
    );
    text
}
