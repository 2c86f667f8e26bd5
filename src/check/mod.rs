//! Judgement: what a drill declared, what became of each assertion, and the verdict.
//!
//! In: the declared plan, outcomes, measurements. Out: a [`Verdict`], which nothing but the whole
//! plan can make (design §9). Pure but for [`files_in`] and [`files`], which look at files. Must not
//! know how data is restored, nor where records go.

pub mod campaign;
mod compare;
mod expect;
mod files;
mod files_in;
mod folder;
mod outcome;
pub mod pictures;
mod plan;
mod then;
mod verdict;

pub use compare::{compare, compare_upgraded};
pub use expect::{Judged, expect};
pub use files::files;
pub use files_in::files_in;
pub use outcome::{Broken, MOST_PLACES, NotRun, Outcome, Outcomes, Undeclared, Why};
pub use plan::{Control, Id, Objectives, Plan};
pub use then::Then;
pub use verdict::{Completeness, ControlOutcome, ControlResult, Measured, PartReason, Verdict};
