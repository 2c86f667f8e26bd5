//! lifeboat: backups that have already been restored.
//!
//! The rooms, by floor; a room imports only rooms on lower floors
//! (`tests/floors.rs` keeps it so). To follow one act from top to bottom, open
//! `backup/mod.rs` (the way out) or `drill/mod.rs` (the way back).

// 7: the command line: parse, one act, print
pub mod cli;
// 5: the acts on schedule
pub mod daemon;
// 4: the acts
pub mod backup;
pub mod drill;
pub mod evidence;
pub mod repair;
pub mod retain;
// 3: what the acts are made of
pub mod account;
pub mod check;
pub mod discover;
pub mod report;
pub mod restore;
// 2: the customer's data, the repository, the ledger
pub mod ledger;
pub mod repo;
pub mod source;
// 1: configuration, objects, our own state, keys, sandboxes
pub mod policy;
pub mod sandbox;
pub mod seal;
pub mod state;
pub mod store;
// 0: the ground all stand on
pub mod ground;
