//! The ledger: an append-only, sealed, signed record of what was due and what happened.

pub mod details;
pub mod record;
