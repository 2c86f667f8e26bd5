//! Restores of honest snapshots, of hostile ones, and of damaged ones.

mod bench;
mod damaged;
mod hostile;
mod round_trip;
