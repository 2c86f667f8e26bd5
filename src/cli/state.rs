//! `lifeboat state`: this host's own database.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use jiff::Timestamp;
use serde::Serialize;

use super::hint::Hinting;
use super::{App, Exit};
use crate::account::{self, Account, Rooms, journal};
use crate::policy::{Customer, Setup};
use crate::repo;
use crate::state::{DAEMON, State};

/// Look after this host's own database
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: StateCommand,
}

#[derive(Debug, clap::Subcommand)]
enum StateCommand {
    /// Make the state anew from the buckets and their keys
    ///
    /// A state that can be read keeps what no bucket knows: hooks that are owed. One that cannot is
    /// moved away. Refused while a daemon runs.
    Rebuild,
}

/// The answer of `state rebuild --json`.
#[derive(Debug, Serialize)]
struct Answer {
    state: PathBuf,
    /// Where the state that could not be read lies now.
    moved: Option<PathBuf>,
    customers: Vec<Rebuilt>,
}

/// What was learnt of one customer.
#[derive(Debug, Serialize)]
struct Rebuilt {
    customer: String,
    records: u64,
    /// Records below the newest checkpoint of our key: what the next signature must agree with.
    remembered: Option<u64>,
    /// Runs of this host of whose end the ledger knows nothing; they are on it as aborted before
    /// the policy's next run.
    unfinished: Vec<journal::Act>,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let StateCommand::Rebuild = args.command;
    let setup = app.setup().await?;
    let moved = make_readable(&setup.site.state).await?;
    let rooms = app.rooms(&setup).await?;
    let held = rooms.state.held_leases().await?;
    if let Some((_, daemon)) = held.into_iter().find(|(key, _)| key == DAEMON) {
        return Err(anyhow::anyhow!("a daemon uses this state: {daemon}")).hint("end it first");
    }
    rooms.state.forget_memories().await?;
    let mut customers = Vec::new();
    for customer in &setup.site.customers {
        customers.push(rebuilt(&setup, customer, &rooms).await?);
    }
    let answer = Answer { state: setup.site.state.clone(), moved, customers };
    app.out.answer(&answer, &text(&answer))?;
    Ok(Exit::Done)
}

/// Moves a state away that cannot be read; answers where to.
async fn make_readable(file: &Path) -> anyhow::Result<Option<PathBuf>> {
    match State::open(file).await {
        Err(error) if error.is_damage() => {}
        other => return other.map(|_| None).map_err(Into::into),
    }
    let beside = |ending: &str| {
        let mut name = file.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    };
    let now = Timestamp::now().strftime("%Y%m%dT%H%M%SZ");
    let away = beside(&format!(".unreadable-{now}"));
    std::fs::rename(file, &away).with_context(|| format!("cannot move {} away", file.display()))?;
    for ending in ["-wal", "-shm"] {
        let mut with_it = away.clone().into_os_string();
        with_it.push(ending);
        // They belong to what was moved; most states have none.
        let _ = std::fs::rename(beside(ending), with_it);
    }
    Ok(Some(away))
}

async fn rebuilt(setup: &Setup, customer: &Customer, rooms: &Rooms) -> anyhow::Result<Rebuilt> {
    let mut rebuilt = Rebuilt {
        customer: customer.id.to_string(),
        records: 0,
        remembered: None,
        unfinished: Vec::new(),
    };
    let account = match Account::open(setup, customer, rooms).await {
        Err(account::Error::Repository { source: repo::OpenError::Missing { .. }, .. }) => {
            return Ok(rebuilt);
        }
        opened => opened?,
    };
    rebuilt.remembered = account.recall(rooms).await?;
    let records = account.records().await?;
    rebuilt.records = records.len() as u64;
    rebuilt.unfinished = journal::unfinished(&records, &rooms.actor.host);
    Ok(rebuilt)
}

fn text(answer: &Answer) -> String {
    let mut text = format!("the state in {} is made anew\n", answer.state.display());
    if let Some(moved) = &answer.moved {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "what could not be read lies in {}", moved.display());
    }
    for Rebuilt { customer, records, remembered, unfinished } in &answer.customers {
        let _ = write!(text, "{customer}: {records} records");
        let _ = match remembered {
            Some(size) => writeln!(text, ", the newest checkpoint covers {size}"),
            None => writeln!(text, ", nothing signed yet"),
        };
        for journal::Act { policy, run, .. } in unfinished {
            let _ = writeln!(text, "  a run of {policy} never ended: {run}");
        }
    }
    text
}
