//! Dumps of real PostgreSQL servers, brought up in a caged scratch server and judged.

#[path = "postgres_recovery/bench.rs"]
mod bench;
#[path = "postgres_recovery/extensions.rs"]
mod extensions;
#[path = "postgres_recovery/hostile.rs"]
mod hostile;
#[path = "postgres_recovery/lies.rs"]
mod lies;
mod servers;
#[path = "postgres_recovery/sound.rs"]
mod sound;
#[path = "postgres_recovery/unable.rs"]
mod unable;
#[path = "postgres_recovery/upgrade.rs"]
mod upgrade;
