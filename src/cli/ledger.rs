//! `lifeboat ledger`: read the record of what was due and what happened, and verify it.

mod log;
mod verify;

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;

use super::hint::Hinting;
use super::output::visible_lines;
use super::{App, Exit};
use crate::account::{self, Account, Rooms};
use crate::ground::ids::Name;
use crate::ledger::record::Record;
use crate::policy::{PolicyName, Setup};

pub(super) use verify::populations;

/// Read or verify the ledger
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: LedgerCommand,
}

#[derive(Debug, clap::Subcommand)]
enum LedgerCommand {
    Log(LogArgs),
    Show(ShowArgs),
    Verify(verify::Args),
    Retire(RetireArgs),
}

/// List records, newest last
#[derive(Debug, clap::Args)]
struct LogArgs {
    /// Customer, or POLICY or CUSTOMER/POLICY for its records only [default: the only customer]
    #[arg(value_name = "POLICY|CUSTOMER")]
    of: Option<PolicyName>,
    /// At most this many of the newest; 0 lists all
    #[arg(long, value_name = "NUMBER", default_value_t = 50)]
    last: u64,
}

/// Show one record with its details
#[derive(Debug, clap::Args)]
#[command(allow_missing_positional = true)]
struct ShowArgs {
    /// Customer, or POLICY or CUSTOMER/POLICY [default: the only customer]
    #[arg(value_name = "POLICY|CUSTOMER")]
    of: Option<PolicyName>,
    /// Number of the record
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    seq: u64,
}

/// Record that a policy is given up: from now on nothing of it is due
///
/// For a policy whose file is gone; until then `ledger verify` lists its slots as missing, for
/// nobody said that they are not expected. What was due before stays on record as missed. Snapshots
/// are left alone.
#[derive(Debug, clap::Args)]
struct RetireArgs {
    /// Policy: CUSTOMER/POLICY
    #[arg(value_name = "CUSTOMER/POLICY")]
    of: PolicyName,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    match args.command {
        LedgerCommand::Log(args) => list(args, app).await,
        LedgerCommand::Show(args) => show(args, app).await,
        LedgerCommand::Verify(args) => verify::run(args, app).await,
        LedgerCommand::Retire(args) => retire(args, app).await,
    }
}

/// A customer's ledger, opened.
struct Opened {
    setup: Setup,
    customer: Name,
    account: Account,
    rooms: Rooms,
    /// The policy that was named, if one was.
    policy: Option<Name>,
}

async fn open(of: Option<&PolicyName>, app: &App) -> anyhow::Result<Opened> {
    let setup = app.setup().await?;
    let (customer, policy) = match of {
        None => (setup.only_customer()?, None),
        Some(of) => match setup.policy(of) {
            Ok(policy) => (setup.customer_of(policy), Some(policy.name.clone())),
            Err(error) if of.customer.is_some() => return Err(error.into()),
            Err(error) => (setup.customer(&of.policy).map_err(|_| error)?, None),
        },
    };
    let rooms = app.rooms(&setup).await?;
    let account = Account::open(&setup, customer, &rooms).await?;
    let customer = customer.id.clone();
    Ok(Opened { setup, customer, account, rooms, policy })
}

async fn list(args: LogArgs, app: &App) -> anyhow::Result<Exit> {
    let Opened { account, policy, .. } = open(args.of.as_ref(), app).await?;
    let mut records = account.records().await?;
    records.retain(|record| policy.is_none() || record.event.body.policy() == policy.as_ref());
    let all = records.len();
    if args.last > 0 {
        let keep = usize::try_from(args.last).unwrap_or(usize::MAX);
        records.drain(..all.saturating_sub(keep));
    }
    app.out.answer(&records, &log::text(&records, all))?;
    Ok(Exit::Done)
}

/// The answer of `ledger show --json`.
#[derive(Debug, Serialize)]
struct Shown {
    record: Record,
    details: Option<Value>,
}

async fn show(args: ShowArgs, app: &App) -> anyhow::Result<Exit> {
    let Opened { account, .. } = open(args.of.as_ref(), app).await?;
    let records = account.records().await?;
    let of_number = records.into_iter().find(|record| record.seq == args.seq);
    let record = of_number
        .with_context(|| format!("there is no record {} on the ledger", args.seq))
        .hint("`lifeboat ledger log` lists them")?;
    let details = match (record.event.body.details(), account.journal.ledger()) {
        (Some(digest), Some(ledger)) => Some(ledger.details(&digest).await?),
        _ => None,
    };
    let shown = Shown { record, details };
    let text = serde_json::to_string_pretty(&shown)?;
    app.out.answer(&shown, &visible_lines(&text))?;
    Ok(Exit::Done)
}

/// The answer of `ledger retire --json`.
#[derive(Debug, Serialize)]
struct Retired {
    policy: String,
    /// False where nothing of it was due anyway.
    retired: bool,
}

async fn retire(args: RetireArgs, app: &App) -> anyhow::Result<Exit> {
    let setup = app.setup().await?;
    let of = args.of;
    if setup.policy(&of).is_ok() {
        return Err(anyhow::anyhow!("the policy {of} is still declared"))
            .hint("take its file and its drills away first: what is declared is due");
    }
    let Some(customer) = &of.customer else {
        return Err(anyhow::anyhow!("no policy {of} is declared")).hint("name its customer, too");
    };
    let rooms = app.rooms(&setup).await?;
    let account = Account::open(&setup, setup.customer(customer)?, &rooms).await?;
    let (retired, recorded) = account.journal.retire(&of.policy).await?;
    account::tell(&recorded, &*rooms.progress);
    if retired && recorded.held.is_none() {
        account.sign(&rooms).await?;
    }
    let text = if retired {
        format!("{of} is retired: nothing of it is due from now on")
    } else {
        format!("nothing of {of} was due: it is not on the ledger, or retired already")
    };
    app.out.answer(&Retired { policy: of.to_string(), retired }, &text)?;
    Ok(Exit::Done)
}
