//! `lifeboat man`: manual pages, made from the same grammar as `--help`.

use std::path::PathBuf;

use anyhow::Context;

use super::hint::Hinting;
use super::{App, Exit, grammar};

/// Print the manual page of lifeboat or of one command, or write all pages to a folder
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Command to describe, e.g. `drill` or `ledger verify` [default: lifeboat itself]
    #[arg(conflicts_with = "to")]
    command: Vec<String>,
    /// Write the pages of all commands to this folder, which must exist
    #[arg(long, value_name = "DIR")]
    to: Option<PathBuf>,
}

/// The words name no command.
#[derive(Debug, thiserror::Error)]
#[error("there is no command {0:?}")]
pub(super) struct NoSuchCommand(String);

pub(super) fn run(args: &Args, app: &App) -> anyhow::Result<Exit> {
    let mut all = grammar().disable_help_subcommand(true);
    all.build();
    if let Some(folder) = &args.to {
        clap_mangen::generate_to(all, folder)
            .with_context(|| format!("cannot write manual pages to {}", folder.display()))?;
        return Ok(Exit::Done);
    }
    let mut page = &all;
    for name in &args.command {
        page = page
            .find_subcommand(name)
            .ok_or_else(|| NoSuchCommand(args.command.join(" ")))
            .hint("`lifeboat --help` lists the commands")?;
    }
    let mut text = Vec::new();
    clap_mangen::Man::new(page.clone()).render(&mut text)?;
    app.out.raw(&text)?;
    Ok(Exit::Done)
}
