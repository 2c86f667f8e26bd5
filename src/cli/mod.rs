//! The command line: parse, one act, print.

use crate::sandbox::{self, Serve};
use crate::source::sqlite::child;

/// What this program does when it is started as a confined child.
const ROLES: &[(&str, Serve)] = &[(child::ROLE, child::serve)];

/// Parses the arguments, runs one command and answers its exit status.
pub fn main() -> std::process::ExitCode {
    // First of all: a confined child must have one thread and nothing in memory.
    if let Some(code) = sandbox::role_requested(ROLES) {
        return code;
    }
    std::process::ExitCode::SUCCESS
}
