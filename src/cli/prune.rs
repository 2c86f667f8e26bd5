//! `lifeboat prune`: remove from the store what no snapshot needs any more.

use std::fmt::Write as _;

use serde::Serialize;

use super::hint::Trouble;
use super::{App, Exit, advice};
use crate::ground::ids::RunId;
use crate::ground::size::ByteSize;
use crate::policy::PolicyName;
use crate::repo::PackId;
use crate::repo::prune::{Done, Going, Plan, Repack};
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
    /// Only print the plan; --json names every pack that would go
    #[arg(long)]
    dry_run: bool,
}

/// The answer of `prune --json`: the plan, and what became of it.
#[derive(Debug, Serialize)]
struct Answer {
    policy: String,
    run: RunId,
    dry_run: bool,
    kept_packs: usize,
    kept_bytes: u64,
    /// Of the kept bytes those that no snapshot needs.
    unused_bytes_left: u64,
    removed_packs: usize,
    repacked_packs: usize,
    freed_bytes: u64,
    /// What was done of it; none on a dry run.
    done: Option<Account>,
    /// Why not all of it was done.
    stopped: Option<Trouble>,
    packs: Vec<Planned>,
}

#[derive(Debug, Serialize)]
struct Account {
    /// Packed anew or not.
    removed_packs: u64,
    removed_bytes: u64,
    repacked_packs: u64,
    /// Bytes of the new packs.
    stored_bytes: u64,
    freed_bytes: u64,
    /// Packs that stay after all: a backup began to use them.
    spared_packs: u64,
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
    let pruned = prune::run(&setup, policy, args.dry_run, &rooms).await?;
    let text = text(&pruned, args.dry_run);
    let Pruned { run, plan, done, stopped } = pruned;
    let stopped = stopped.map(|error| advice::advised(error.into()));
    let answer = Answer {
        policy: policy.full_name(),
        run,
        dry_run: args.dry_run,
        kept_packs: plan.kept,
        kept_bytes: plan.kept_bytes,
        unused_bytes_left: plan.waste_bytes,
        removed_packs: plan.removed().count() + repacked(&plan).count(),
        repacked_packs: repacked(&plan).count(),
        freed_bytes: plan.freed_bytes(),
        done: (!args.dry_run).then(|| done.into()),
        stopped: stopped.as_ref().map(Trouble::of),
        packs: packs(&plan),
    };
    app.out.answer(&answer, &text)?;
    stopped.map_or(Ok(Exit::Done), Err)
}

impl From<Done> for Account {
    fn from(done: Done) -> Self {
        let freed_bytes = done.freed_bytes();
        let Done { removed_packs, removed_bytes, repacked_packs, stored_bytes, spared_packs } =
            done;
        Self {
            removed_packs,
            removed_bytes,
            repacked_packs,
            stored_bytes,
            freed_bytes,
            spared_packs,
        }
    }
}

/// Those that are removed once what is needed of them is packed anew.
fn repacked(plan: &Plan) -> impl Iterator<Item = &Repack> {
    plan.repack.iter().filter(|one| !one.is_doomed)
}

fn packs(plan: &Plan) -> Vec<Planned> {
    let gone = |action| {
        move |going: &Going| Planned { id: going.pack, action, bytes: going.bytes, live_bytes: 0 }
    };
    let unindexed = plan.unindexed.iter().map(gone("remove: in no index file"));
    let unused = plan.unused.iter().map(gone("remove: no snapshot needs anything of it"));
    let doubled = plan.doubled.iter().map(gone("remove: what is needed of it stands elsewhere"));
    let repacked = plan.repack.iter().map(|one| Planned {
        id: one.pack,
        action: if one.is_doomed { "save what is needed" } else { "pack anew" },
        bytes: Some(one.bytes),
        live_bytes: one.live_bytes,
    });
    unindexed.chain(unused).chain(doubled).chain(repacked).collect()
}

fn text(pruned: &Pruned, dry_run: bool) -> String {
    let Pruned { plan, done, stopped, .. } = pruned;
    let mut text = summary(plan);
    // Writing to a string cannot fail.
    let _ = match (dry_run, plan.is_empty(), stopped) {
        (true, true, _) => writeln!(text, "nothing would be removed"),
        (true, false, _) => writeln!(
            text,
            "{} would be freed; nothing was locked or removed",
            ByteSize(plan.freed_bytes())
        ),
        (false, true, None) => writeln!(text, "nothing to remove"),
        (false, ..) => writeln!(
            text,
            "{} freed: {} packs removed, {} of them packed anew",
            ByteSize(done.freed_bytes()),
            done.removed_packs,
            done.repacked_packs
        ),
    };
    if done.spared_packs > 0 {
        let _ = writeln!(text, "{} stay after all: a backup began to use them", done.spared_packs);
    }
    if stopped.is_some() {
        let _ = writeln!(text, "NOT TO THE END: what is stored is whole, the next prune goes on");
    }
    text
}

/// What becomes of the packs, one line for each fate that any has.
fn summary(plan: &Plan) -> String {
    let sum = |going: &[Going]| going.iter().filter_map(|one| one.bytes).sum();
    let (doomed, repack): (Vec<_>, Vec<_>) = plan.repack.iter().partition(|one| one.is_doomed);
    let all = |packs: &[&Repack]| packs.iter().map(|one| one.bytes).sum();
    let live = |packs: &[&Repack]| ByteSize(packs.iter().map(|one| one.live_bytes).sum());
    let waste = ByteSize(plan.waste_bytes);
    let (packed, saved) = (live(&repack), live(&doomed));
    let lines: [(&str, usize, u64, String); 6] = [
        ("stay", plan.kept, plan.kept_bytes, format!("{waste} of it needed by no snapshot")),
        ("go", plan.unused.len(), sum(&plan.unused), "needed by no snapshot".into()),
        ("go", plan.unindexed.len(), sum(&plan.unindexed), "left by runs that died".into()),
        ("go", plan.doubled.len(), sum(&plan.doubled), "stored twice".into()),
        ("pack anew", repack.len(), all(&repack), format!("{packed} of it needed, and stay")),
        ("save of", doomed.len(), all(&doomed), format!("{saved}; rustic will remove the rest")),
    ];
    let mut text = String::new();
    for (fate, packs, bytes, why) in lines.into_iter().filter(|(_, packs, ..)| *packs > 0) {
        let _ = writeln!(text, "{fate:<10}{packs:>7} packs  {:>9}  {why}", ByteSize(bytes));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::digest::Digest;

    fn going(count: u8, bytes: u64) -> Vec<Going> {
        let one = |number| Going { pack: PackId(Digest([number; 32])), bytes: Some(bytes) };
        (0..count).map(one).collect()
    }

    fn pruned(done: Done, stopped: Option<prune::Error>) -> Pruned {
        let plan = Plan {
            kept: 1204,
            kept_bytes: 18 << 30,
            waste_bytes: 310 << 20,
            unused: going(41, 16 << 20),
            unindexed: going(3, 4 << 20),
            repack: vec![Repack {
                pack: PackId(Digest::ZERO),
                bytes: 16 << 20,
                live_bytes: 6 << 20,
                live: Vec::new(),
                is_doomed: false,
            }],
            ..Plan::default()
        };
        Pruned { run: RunId::draw(), plan, done, stopped }
    }

    #[test]
    fn a_plan_is_told_by_what_becomes_of_packs_and_why_not_pack_by_pack() {
        let text = text(&pruned(Done::default(), None), true);

        assert_eq!(
            text,
            "stay         1204 packs   18.0 GiB  310 MiB of it needed by no snapshot\n\
             go             41 packs    656 MiB  needed by no snapshot\n\
             go              3 packs   12.0 MiB  left by runs that died\n\
             pack anew       1 packs   16.0 MiB  6.00 MiB of it needed, and stay\n\
             678 MiB would be freed; nothing was locked or removed\n"
        );
    }

    #[test]
    fn what_was_done_is_told_apart_from_the_plan() {
        let done = Done {
            removed_packs: 44,
            removed_bytes: 668 << 20,
            spared_packs: 2,
            ..Done::default()
        };

        let text = text(&pruned(done, Some(crate::account::Interrupted.into())), false);

        assert!(text.contains("668 MiB freed: 44 packs removed, 0 of them packed anew"), "{text}");
        assert!(text.contains("2 stay after all"), "{text}");
        assert!(text.contains("NOT TO THE END"), "{text}");
    }
}
