//! A machine that breaks under the built binary: calls that fail or kill, power that goes, disks
//! that are full. After each fault the same questions (design, 13), asked in `site.rs`.

mod bench;
#[path = "broken/calls.rs"]
mod calls;
mod dice;
#[path = "broken/full.rs"]
mod full;
#[path = "broken/mounts.rs"]
mod mounts;
#[path = "broken/power.rs"]
mod power;
#[path = "broken/site.rs"]
mod site;
