//! The command line: parse, one act, print.
//!
//! In: arguments, signals. Out: an answer on standard output, everything else on standard error,
//! an exit status ([`Exit`]). One file per command; none of them knows how an act works.

mod advice;
mod app;
mod backup;
mod completions;
mod daemon;
mod doctor;
mod drill;
mod exit;
mod forget;
mod grants;
mod hint;
mod init;
mod interrupt;
mod ledger;
mod logging;
mod man;
mod output;
mod plan;
mod progress;
mod prune;
mod quickstart;
mod repair;
mod report;
mod restore;
mod schema;
mod snapshots;
mod starter;
mod state;
mod status;
mod unlock;
mod validate;
mod verify;

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, CommandFactory, Parser, Subcommand};

use app::App;
pub use exit::Exit;

use crate::check::pictures;
use crate::sandbox::{self, Serve};
use crate::source::sqlite;

/// Backups that have already been restored
///
/// Backs up databases and files as declared in policies, restores them on a schedule into scratch
/// environments, proves that what came back is what was there, and writes each result into a
/// signed, append-only ledger.
#[derive(Debug, Parser)]
#[command(name = "lifeboat", version, arg_required_else_help = true, max_term_width = 100)]
#[command(after_help = exit::HELP)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "Everywhere")]
struct Global {
    /// Site file; policies/ and drills/ lie beside it [default: lifeboat.toml here, then
    /// /etc/lifeboat/lifeboat.toml]
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Answer with one JSON document; progress, logs and errors become JSON lines
    #[arg(long, global = true)]
    json: bool,
    /// Say more on standard error: -v what is done, -vv each step, -vvv everything
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Say nothing on standard error but errors
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Show no progress
    #[arg(long, global = true)]
    no_progress: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Quickstart(quickstart::Args),
    Init(init::Args),
    Validate(validate::Args),
    Doctor(doctor::Args),
    Backup(backup::Args),
    Snapshots(snapshots::Args),
    Restore(restore::Args),
    Drill(drill::Args),
    Verify(verify::Args),
    Forget(forget::Args),
    Prune(prune::Args),
    Repair(repair::Args),
    Unlock(unlock::Args),
    Status(status::Args),
    Plan(plan::Args),
    Daemon(daemon::Args),
    State(state::Args),
    Grants(grants::Args),
    Ledger(ledger::Args),
    Report(report::Args),
    Schema(schema::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// What this program does when it is started as a confined child.
const ROLES: &[(&str, Serve)] =
    &[(sqlite::child::ROLE, sqlite::child::serve), (pictures::child::ROLE, pictures::child::serve)];

/// How long blocking calls that nobody waits for may go on once the answer is out.
const LAST_CALLS: Duration = Duration::from_secs(5);

/// Parses the arguments, runs one command and answers its exit status.
pub fn main() -> ExitCode {
    // First of all: a confined child must have one thread and nothing in memory.
    if let Some(code) = sandbox::role_requested(ROLES) {
        return code;
    }
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let cli = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli,
        Err(error) => return output::parse_error(&error, &arguments).into(),
    };
    let mut global = cli.global;
    if matches!(cli.command, Command::Daemon(_)) {
        daemon::adapt(&mut global);
    }
    let app = App::new(global);
    let exit = match run(cli.command, &app) {
        Ok(exit) => exit,
        Err(error) => {
            let error = advice::advised(error);
            app.out.error(&error);
            if app.interrupt.happened() { Exit::Interrupted } else { Exit::of(&error) }
        }
    };
    app.out.settle();
    exit.into()
}

/// Runs one command on a runtime of its own, with signals caught.
fn run(command: Command, app: &App) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        // A daemon has its own ways to end.
        if !matches!(command, Command::Daemon(_)) {
            app.interrupt.listen()?;
        }
        match command {
            Command::Quickstart(args) => quickstart::run(args, app).await,
            Command::Init(args) => init::run(args, app).await,
            Command::Validate(args) => validate::run(args, app).await,
            Command::Doctor(args) => doctor::run(args, app).await,
            Command::Backup(args) => backup::run(args, app).await,
            Command::Snapshots(args) => snapshots::run(args, app).await,
            Command::Restore(args) => restore::run(args, app).await,
            Command::Drill(args) => drill::run(args, app).await,
            Command::Verify(args) => verify::run(args, app).await,
            Command::Forget(args) => forget::run(args, app).await,
            Command::Prune(args) => prune::run(args, app).await,
            Command::Repair(args) => repair::run(args, app).await,
            Command::Unlock(args) => unlock::run(args, app).await,
            Command::Status(args) => status::run(args, app).await,
            Command::Plan(args) => plan::run(args, app).await,
            Command::Daemon(args) => daemon::run(args, app).await,
            Command::State(args) => state::run(args, app).await,
            Command::Grants(args) => grants::run(args, app).await,
            Command::Ledger(args) => ledger::run(args, app).await,
            Command::Report(args) => report::run(args, app).await,
            Command::Schema(args) => schema::run(args, app).await,
            Command::Completions(args) => completions::run(&args, app),
            Command::Man(args) => man::run(&args, app),
        }
    });
    // What hangs in the system, e.g. on a dead mount, would otherwise be waited for for ever.
    runtime.shutdown_timeout(LAST_CALLS);
    ended
}

/// The whole grammar, for completions and manual pages.
fn grammar() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_grammar_is_sound() {
        grammar().debug_assert();
    }

    #[test]
    fn every_command_and_flag_says_what_it_is() {
        fn check(command: &clap::Command) {
            assert!(command.get_about().is_some(), "{} has no help", command.get_name());
            for argument in command.get_arguments() {
                let name = argument.get_id();
                assert!(argument.get_help().is_some(), "{} {name}", command.get_name());
            }
            command.get_subcommands().for_each(check);
        }
        check(&grammar());
    }
}
