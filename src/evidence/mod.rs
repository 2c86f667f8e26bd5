//! Evidence: what the records on a ledger add up to.
//!
//! In: records. Out: statements that an auditor can recompute from the same records.

pub mod campaigns;
pub mod due;
