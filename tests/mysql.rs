//! MySQL: what a capture sees of a live server, and what it refuses. The tests are MariaDB's.

mod servers;

#[path = "mariadb/bench.rs"]
mod bench;
#[path = "mariadb/capturing.rs"]
mod capturing;
#[path = "mysql/engine.rs"]
mod engine;
#[path = "mysql/masking.rs"]
mod masking;
#[path = "mariadb/refusing.rs"]
mod refusing;
