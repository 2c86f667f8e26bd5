//! The steps of a prune: packs that go together, once what must stay of them is safe. Pure.
//!
//! What needs no new index goes first, then what nobody needs at all, then what stands elsewhere
//! too; what is packed anew comes last, the most wasteful packs first. So a full disk gets room from
//! what takes none.

use std::collections::HashSet;

use super::plan::{Going, Plan, Repack};
use crate::repo::PackId;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Step {
    /// Packs that are removed; some of what they hold may be needed and stands elsewhere.
    pub going: Vec<Going>,
    /// What is packed anew before.
    pub repack: Vec<Repack>,
    /// Whether anything of `going` is needed.
    pub is_needed: bool,
}

impl Step {
    /// Whether something must be looked after before its packs go.
    pub fn saves(&self) -> bool {
        self.is_needed || !self.repack.is_empty()
    }

    /// Leaves `packs` as they are.
    pub fn spare(&mut self, packs: &HashSet<PackId>) {
        self.going.retain(|one| !packs.contains(&one.pack));
        self.repack.retain(|one| !packs.contains(&one.pack));
    }
}

/// The steps of `plan`; in one of them at most `batch_bytes` are packed anew, or one pack.
pub(super) fn steps(plan: &Plan, batch_bytes: u64) -> Vec<Step> {
    let without = |going: &[Going]| Step { going: going.to_vec(), ..Step::default() };
    let mut steps = vec![without(&plan.unindexed), without(&plan.unused)];
    steps.push(Step { is_needed: !plan.doubled.is_empty(), ..without(&plan.doubled) });
    let mut bytes = u64::MAX;
    for one in &plan.repack {
        if bytes.saturating_add(one.live_bytes) > batch_bytes {
            steps.push(Step::default());
            bytes = 0;
        }
        bytes += one.live_bytes;
        let step = steps.last_mut().expect("three were pushed before");
        if !one.is_doomed {
            step.going.push(Going { pack: one.pack, bytes: Some(one.bytes) });
        }
        step.repack.push(one.clone());
    }
    steps
}
