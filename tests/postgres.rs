//! PostgreSQL: what a capture sees of a live server, and what it refuses.

#[path = "bench/mod.rs"]
mod household;
mod servers;

#[path = "postgres/bench.rs"]
mod bench;
#[path = "postgres/capturing.rs"]
mod capturing;
#[path = "postgres/changes.rs"]
mod changes;
#[path = "postgres/command.rs"]
mod command;
#[path = "postgres/fingerprint.rs"]
mod fingerprint;
#[path = "postgres/grants.rs"]
mod grants;
#[path = "postgres/kinds.rs"]
mod kinds;
#[path = "postgres/library.rs"]
mod library;
#[path = "postgres/privileges.rs"]
mod privileges;
#[path = "postgres/refusing.rs"]
mod refusing;
