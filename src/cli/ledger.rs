//! `lifeboat ledger`: read the record of what was due and what happened, and verify it.

mod log;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use serde_json::Value;
use ssh_key::PublicKey;

use super::hint::Hinting;
use super::output::{visible, visible_lines};
use super::{App, Exit};
use crate::account::{self, Account, Rooms};
use crate::evidence::due::{self, Missing};
use crate::ground::digest::Digest;
use crate::ground::ids::Name;
use crate::ledger::record::Record;
use crate::ledger::{Checkpoint, Verified, Verify, canonical};
use crate::policy::{PolicyName, Setup};

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
    Verify(VerifyArgs),
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

/// Verify chain, root and signatures, and that nothing that was due is missing
///
/// Ends with 1 where anything is wrong; the first bad record is named.
#[derive(Debug, clap::Args)]
struct VerifyArgs {
    /// Customer, or POLICY or CUSTOMER/POLICY: the customer's whole ledger is verified [default: the
    /// only customer]
    #[arg(value_name = "POLICY|CUSTOMER")]
    of: Option<PolicyName>,
    /// A checkpoint that you kept from before: the ledger must still begin as it says
    #[arg(long, value_name = "FILE")]
    earlier: Option<PathBuf>,
    /// Accept signatures of these keys only (ssh-keygen's format) [default: the site's signing key]
    #[arg(long, value_name = "FILE")]
    allowed_signers: Option<PathBuf>,
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
        LedgerCommand::Verify(args) => verify(args, app).await,
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

/// The answer of `ledger verify --json`.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    ledger: Verified,
    /// Slots that were due and of which the ledger says nothing.
    missing: Vec<Missing>,
    /// The first record's digest: which ledger this is.
    origin: Option<Digest>,
    /// Entries of this host that are not on the ledger yet: they wait in its outbox.
    waiting: usize,
}

async fn verify(args: VerifyArgs, app: &App) -> anyhow::Result<Exit> {
    let Opened { setup, customer, account, rooms, .. } = open(args.of.as_ref(), app).await?;
    let signers = match &args.allowed_signers {
        Some(file) => allowed(file)?,
        None => account::signer(&setup)?.iter().map(|s| s.public_key().clone()).collect(),
    };
    let earlier = args.earlier.as_deref().map(kept).transpose()?;
    let ledger = account.journal.ledger().context("the ledger is out of reach")?;
    let remembered = account.remembered(&rooms).await?;
    let against = Verify { signers: &signers, earlier: earlier.as_ref(), remembered };
    let (mut verified, records) = ledger.verify(against).await?;
    let newest = verified.newest.as_ref().map(|checkpoint| checkpoint.size);
    let missing = match due::horizon(&records, newest) {
        Some(upto) => due::missing(&records, upto)?,
        None => Vec::new(),
    };
    verified.ok &= missing.is_empty();
    let origin = records.first().map(canonical::digest).transpose()?;
    let waiting = rooms.waiting(&customer).await?;
    let answer = Answer { ledger: verified, missing, origin, waiting };
    app.out.answer(&answer, &told(&answer))?;
    Ok(if answer.ledger.ok { Exit::Done } else { Exit::Failed })
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

fn told(answer: &Answer) -> String {
    let Verified { records, ok, first_bad, checkpoints, newest, against_earlier, problems, .. } =
        &answer.ledger;
    let signed = match (checkpoints, newest) {
        (0, _) | (_, None) => "none of them signed yet".to_owned(),
        (1, Some(newest)) => format!("1 signed checkpoint, of {} records", newest.size),
        (_, Some(newest)) => {
            format!("{checkpoints} signed checkpoints, the newest of {} records", newest.size)
        }
    };
    let mut text = format!("{records} records, {signed}\n");
    if let Some(bad) = first_bad {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "first bad record: {}: {}", bad.seq, visible(&bad.what));
    }
    for problem in problems {
        let _ = writeln!(text, "problem: {}", visible(problem));
    }
    for Missing { policy, drill, slot } in &answer.missing {
        let of = drill.as_ref().map_or("backup".to_owned(), |drill| format!("drill {drill}"));
        let _ = writeln!(text, "missing: the {of} of {policy} that was due at {slot}");
    }
    if answer.waiting > 0 {
        let _ = writeln!(text, "note: not on it yet, in this host's outbox: {}", answer.waiting);
    }
    let _ = match (ok, against_earlier) {
        (true, true) => writeln!(text, "nothing is wrong, and nothing was cut off since then"),
        (true, false) => writeln!(
            text,
            "nothing is wrong; that nothing was cut off at the end is shown only against a \
             checkpoint kept elsewhere (--earlier)"
        ),
        (false, _) => writeln!(text, "the ledger is not as it was written"),
    };
    text
}

fn kept(file: &Path) -> anyhow::Result<Checkpoint> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read the checkpoint {}", file.display()))?;
    Ok(text.parse()?)
}

/// The keys of an `allowed_signers` file (ssh-keygen(1)): principals and options are left aside.
fn allowed(file: &Path) -> anyhow::Result<Vec<PublicKey>> {
    let text =
        std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let keys: Vec<_> = lines
        .filter(|line| !line.starts_with('#'))
        .map(|line| {
            let begin = line.find("ssh-ed25519 ").context("a line without an ssh-ed25519 key")?;
            Ok(PublicKey::from_openssh(&line[begin..])?)
        })
        .collect::<anyhow::Result<_>>()
        .with_context(|| format!("cannot understand {}", file.display()))?;
    anyhow::ensure!(!keys.is_empty(), "{} holds no key", file.display());
    Ok(keys)
}
