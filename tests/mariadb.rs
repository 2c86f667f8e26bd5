//! MariaDB: what a capture sees of a live server, and what it refuses.

mod servers;

#[path = "mariadb/bench.rs"]
mod bench;
#[path = "mariadb/capturing.rs"]
mod capturing;
#[path = "mariadb/engine.rs"]
mod engine;
#[path = "mariadb/refusing.rs"]
mod refusing;
