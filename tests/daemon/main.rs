//! The daemon, seen from outside: as a process that is signalled, killed and restarted.
//!
//! This program is the test and, started again with `as-daemon`, a daemon whose clock runs faster:
//! the shipped binary's cannot be touched. It is its own confined child, as lifeboat is.

#[path = "../bench/mod.rs"]
mod bench;
mod beside;
mod clock;
mod ending;
mod ledger;
mod moments;
mod retention;
mod sampling;
#[path = "../seaweed/mod.rs"]
mod seaweed;
#[path = "../servers/mod.rs"]
mod servers;
mod service;
mod simulated;
mod site;
mod trouble;
mod unit;

use std::process::ExitCode;

use lifeboat::sandbox;
use lifeboat::source::sqlite;

fn main() -> ExitCode {
    if let Some(code) = sandbox::role_requested(&[(sqlite::child::ROLE, sqlite::child::serve)]) {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, rest @ ..] = arguments.as_slice()
        && mode == clock::MODE
    {
        return clock::daemon(rest);
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    for (name, case) in cases() {
        if filter.is_none_or(|part| name.contains(part.as_str())) {
            case();
            println!("test {name} ... ok");
        }
    }
    ExitCode::SUCCESS
}

/// Every case by its name.
fn cases() -> Vec<(&'static str, fn())> {
    let of_each = [
        ending::CASES,
        beside::CASES,
        trouble::CASES,
        moments::CASES,
        retention::CASES,
        sampling::CASES,
        service::CASES,
        unit::CASES,
        simulated::CASES,
    ];
    of_each.concat()
}
