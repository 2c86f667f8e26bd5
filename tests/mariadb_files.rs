//! MariaDB beside its server: its files captured, brought up in a caged scratch server, and judged.

#[path = "mariadb/bench.rs"]
mod bench;
#[path = "mariadb_files/capturing.rs"]
mod capturing;
#[path = "mariadb/engine.rs"]
mod engine;
#[path = "mariadb_files/lies.rs"]
mod lies;
#[path = "mariadb_files/refusing.rs"]
mod refusing;
mod servers;
