//! Dumps of real MySQL servers, brought up in a caged scratch server and judged. The tests are
//! MariaDB's.

#[path = "mariadb/bench.rs"]
mod bench;
#[path = "mysql/engine.rs"]
mod engine;
#[path = "mariadb_recovery/hostile.rs"]
mod hostile;
#[path = "mariadb_recovery/lies.rs"]
mod lies;
mod servers;
#[path = "mariadb_recovery/sound.rs"]
mod sound;
