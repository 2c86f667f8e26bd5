//! Judgement: what a drill declared, what became of each assertion, and the verdict.
//!
//! In: the declared plan, outcomes, measurements. Out: a [`Verdict`], which nothing but the whole
//! plan can make (design §9). Pure but for [`files_in`], which looks at files. Must not know how
//! data is restored, nor where records go.

mod compare;
mod expect;
mod files_in;
mod outcome;
mod plan;
mod then;
mod verdict;

pub use compare::compare;
pub use expect::{Judged, expect};
pub use files_in::files_in;
pub use outcome::{Broken, MOST_PLACES, NotRun, Outcome, Outcomes, Undeclared, Why};
pub use plan::{Control, Id, Objectives, Plan};
pub use then::Then;
pub use verdict::{Completeness, ControlOutcome, ControlResult, Measured, PartReason, Verdict};
