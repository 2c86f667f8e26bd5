//! The first minutes: what `init` writes, where it refuses to.

#[path = "../bench/mod.rs"]
mod bench;
mod named;
