//! `forget` against restic's, and `lifeboat forget` as people use it.

mod bench;
#[path = "retention/command.rs"]
mod command;
#[path = "retention/many.rs"]
mod many;
#[path = "retention/restic.rs"]
mod restic;
