//! `lifeboat completions`: a script that completes commands and flags.

use clap_complete::Shell;

use super::{App, Exit, grammar};

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Shell to write it for
    shell: Shell,
}

pub(super) fn run(args: &Args, app: &App) -> anyhow::Result<Exit> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut grammar(), "lifeboat", &mut script);
    app.out.raw(&script)?;
    Ok(Exit::Done)
}
