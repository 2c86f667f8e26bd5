//! Redis from capture to judgement, on real servers, on liars, and on what never was a data set.

#[path = "redis/bench.rs"]
mod at_hand;
mod bench;
#[path = "redis/drill.rs"]
mod drill;
#[path = "redis/fake.rs"]
mod fake;
#[path = "redis/hostile.rs"]
mod hostile;
#[path = "redis/lies.rs"]
mod lies;
#[path = "redis/refusing.rs"]
mod refusing;
mod servers;
#[path = "redis/sound.rs"]
mod sound;
