//! Restores of honest snapshots, of hostile ones, and of damaged ones.

pub(super) mod bench;
mod damaged;
mod hostile;
mod round_trip;
