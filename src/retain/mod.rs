//! What is kept and what may go: `forget` removes snapshots, `prune` the data that none needs.
//!
//! In: a policy's `[retention]`, the customer's repository and ledger. Out: a plan with a reason for
//! every snapshot, and what became of it, on the ledger before the first deletion. Both refuse to
//! act on a view that may be wrong: an incomplete listing, a ledger that does not hold together, a
//! time stamp still to come.

pub mod calendar;
pub mod forget;
pub mod plan;
pub mod prune;
pub mod rules;
#[cfg(test)]
mod tests;

pub use plan::{Decision, History, Plan, Refusal, Stays};
