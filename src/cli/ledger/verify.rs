//! `lifeboat ledger verify`: whether the ledger holds together, and whether anything is missing on it.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;
use ssh_key::PublicKey;

use super::super::output::visible;
use super::super::{App, Exit};
use super::Opened;
use crate::account;
use crate::evidence::campaigns::{self, Campaign, End, Populations};
use crate::evidence::due::{self, Missing};
use crate::ground::digest::Digest;
use crate::ledger::record::Record;
use crate::ledger::{Checkpoint, Ledger, Verified, Verify, canonical};
use crate::policy::PolicyName;

/// Verify chain, root and signatures, and that nothing that was due is missing
///
/// Ends with 1 where anything is wrong; the first bad record is named.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
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

/// The answer of `ledger verify --json`.
#[derive(Debug, Serialize)]
struct Answer {
    #[serde(flatten)]
    ledger: Verified,
    /// Slots that were due and of which the ledger says nothing.
    missing: Vec<Missing>,
    /// Every sampling campaign; what is wrong with one is among the problems.
    campaigns: Vec<campaigns::Campaign>,
    /// The first record's digest: which ledger this is.
    origin: Option<Digest>,
    /// Entries of this host that are not on the ledger yet: they wait in its outbox.
    waiting: usize,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let Opened { setup, customer, account, rooms, .. } = super::open(args.of.as_ref(), app).await?;
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
    let populations = populations(ledger, &records).await?;
    let audited = campaigns::audit(&records, &populations);
    verified.problems.extend(audited.problems());
    let campaigns = audited.campaigns;
    verified.ok &= missing.is_empty() && verified.problems.is_empty();
    let origin = records.first().map(canonical::digest).transpose()?;
    let waiting = rooms.waiting(&customer).await?;
    let answer = Answer { ledger: verified, missing, campaigns, origin, waiting };
    app.out.answer(&answer, &told(&answer))?;
    Ok(if answer.ledger.ok { Exit::Done } else { Exit::Failed })
}

/// What campaigns were drawn from, as far as it can be read: what cannot is told by both audits.
pub(in super::super) async fn populations(
    ledger: &Ledger,
    records: &[Record],
) -> anyhow::Result<Populations> {
    let mut populations = Populations::new();
    for digest in campaigns::named_populations(records) {
        match ledger.details(digest).await {
            Ok(population) => drop(populations.insert(*digest, population)),
            Err(error) if error.is_out_of_reach() => return Err(error.into()),
            Err(_) => {}
        }
    }
    Ok(populations)
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
    for campaign in &answer.campaigns {
        let _ = writeln!(text, "campaign: {}", told_of_campaign(campaign));
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

fn told_of_campaign(campaign: &Campaign) -> String {
    let Campaign { record, policy, drill, population, drawn, seed_from, .. } = campaign;
    let end = match campaign.end {
        End::Finished { verdict, at_least } => {
            let at_least = at_least.map_or("nothing is stated".to_owned(), |number| {
                format!("at least {number} of {population} restorable")
            });
            format!("{verdict:?}, {at_least}").to_lowercase()
        }
        End::Aborted => "ABORTED, nothing is stated".to_owned(),
        End::Open => "NOT OVER, nothing is stated".to_owned(),
    };
    let seed = match seed_from {
        Some(from) => format!("seed from {}", visible(from)),
        None => "operator-chosen".to_owned(),
    };
    let again = campaign.same_population_as.map_or(String::new(), |other| {
        format!("; the SAME recovery points were drawn from by record {other}")
    });
    format!(
        "record {record}, {drill} of {policy}: {drawn} of {population} drawn ({seed}), {end}{again}"
    )
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
