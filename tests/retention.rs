//! `forget` against restic's, and `lifeboat forget` as people use it.

mod bench;
#[path = "retention/command.rs"]
mod command;
#[path = "retention/restic.rs"]
mod restic;
