//! `lifeboat report`: what the ledger says, as a page for people.

mod campaign;

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::hint::Hinting;
use super::{App, Exit};
use crate::account::Account;
use crate::ledger::record::{Body, DrillFinished, Record};
use crate::ledger::{Verified, Verify, details, sign};
use crate::policy::{Customer, Policy, PolicyName};
use crate::report::{self, Proof, SignedCheckpoint};

/// Write a report
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: ReportCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ReportCommand {
    /// Write the report of one drill: a self-contained HTML page for screen and paper
    ///
    /// By default of the newest finished drill that is no draw of a campaign.
    Drill(PageArgs),
    /// Write the report of one sampling campaign: what was drawn, and what its drills say of all recovery
    /// points
    ///
    /// By default of the newest; another is named by its `campaign-started`.
    Campaign(PageArgs),
}

#[derive(Debug, clap::Args)]
struct PageArgs {
    /// Policy to report: POLICY or CUSTOMER/POLICY
    policy: PolicyName,
    /// Number of the record on the ledger [default: the newest]
    #[arg(long, value_name = "SEQ", value_parser = clap::value_parser!(u64).range(1..))]
    record: Option<u64>,
    /// Language [default: the customer's]
    #[arg(long, value_enum)]
    lang: Option<Lang>,
    /// File to write; one that exists is replaced [default: standard output]
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// What is reported.
#[derive(Debug, Clone, Copy)]
enum Of {
    Drill,
    Campaign,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Lang {
    /// 中文
    Zh,
    /// English
    En,
}

impl From<Lang> for crate::report::Lang {
    fn from(lang: Lang) -> Self {
        match lang {
            Lang::Zh => Self::Zh,
            Lang::En => Self::En,
        }
    }
}

/// The answer of `report … --json`; none where the page itself goes to standard output.
#[derive(Debug, Serialize)]
struct Answer {
    record: u64,
    lang: &'static str,
    file: PathBuf,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let (of, args) = match args.command {
        ReportCommand::Drill(args) => (Of::Drill, args),
        ReportCommand::Campaign(args) => (Of::Campaign, args),
    };
    let setup = app.setup().await?;
    let policy = setup.policy(&args.policy)?;
    let customer = setup.customer_of(policy);
    let rooms = app.rooms(&setup).await?;
    let account = Account::open(&setup, customer, &rooms).await?;
    let lang = args
        .lang
        .map_or_else(|| report::Lang::of_locale(customer.locale.tag()), report::Lang::from);
    let (record, page) = match of {
        Of::Drill => page(&account, customer, policy, args.record, lang).await?,
        Of::Campaign => campaign::page(&account, &setup, policy, args.record, lang).await?,
    };
    let Some(file) = args.out else {
        app.out.raw(page.as_bytes())?;
        return Ok(Exit::Done);
    };
    write(&file, &page)?;
    let lang = if lang == report::Lang::Zh { "zh" } else { "en" };
    let text = format!("record {record} in {}", file.display());
    app.out.answer(&Answer { record, lang, file }, &text)?;
    Ok(Exit::Done)
}

/// Replaces `file` by `page` at once: a reader sees the old page or the new one.
pub(super) fn write(file: &Path, page: &str) -> anyhow::Result<()> {
    let folder = match file.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let context = || format!("cannot write {}", file.display());
    let mut beside = tempfile::NamedTempFile::new_in(folder).with_context(context)?;
    beside.write_all(page.as_bytes()).with_context(context)?;
    beside.persist(file).with_context(context)?;
    Ok(())
}

/// The page of one drill of `policy`, the newest where no record is named, and its record's number.
pub(super) async fn page(
    account: &Account,
    customer: &Customer,
    policy: &Policy,
    wanted: Option<u64>,
    lang: report::Lang,
) -> anyhow::Result<(u64, String)> {
    let ledger = account.journal.ledger().context("the ledger is out of reach")?;
    let records = account.records().await?;
    let drills: Vec<(&Record, &DrillFinished)> =
        records.iter().filter_map(|record| of_policy(record, policy)).collect();
    let chosen = drills.iter().rev().find(|(record, drill)| match wanted {
        Some(seq) => record.seq == seq,
        None => !drill.is_part(),
    });
    let (record, finished) = chosen
        .with_context(|| match wanted {
            Some(seq) => format!("record {seq} is no finished drill of {}", policy.full_name()),
            None => format!("no drill of {} is on the ledger yet", policy.full_name()),
        })
        .hint("`lifeboat drill` makes one; `lifeboat ledger log` lists the records")?;
    let details: details::Drill = ledger.details(&finished.details).await?;
    let history: Vec<_> = drills.iter().map(|(_, finished)| (*finished).clone()).collect();
    let signers: Vec<_> = account.signer().iter().map(|one| one.public_key().clone()).collect();
    let (verified, _) = ledger.verify(Verify { signers: &signers, ..Verify::default() }).await?;
    let proof = proof(account, customer, &verified)?;
    Ok((record.seq, report::drill(record, finished, &details, &history, &proof, lang)))
}

/// What a reader needs to verify the ledger.
fn proof(account: &Account, customer: &Customer, verified: &Verified) -> anyhow::Result<Proof> {
    let signer = account
        .signer()
        .context("the site declares no signing key, so there is nothing to verify a report with")
        .hint("add [signing] to the site file; `lifeboat init` shows how")?;
    Ok(Proof {
        customer: customer.id.to_string(),
        checkpoint: verified.newest.as_ref().map(|checkpoint| SignedCheckpoint {
            name: format!("ledger/checkpoints/{:020}", checkpoint.size),
            size: checkpoint.size,
        }),
        key_fingerprint: signer.fingerprint(),
        allowed_signers: sign::allowed_signers(&customer.id, signer.public_key())
            .trim_end()
            .to_owned(),
        public_key: signer.public_key().to_openssh().context("the public key cannot be written")?,
    })
}

fn of_policy<'a>(record: &'a Record, policy: &Policy) -> Option<(&'a Record, &'a DrillFinished)> {
    match &record.event.body {
        Body::DrillFinished(finished) if finished.policy == policy.name => Some((record, finished)),
        _ => None,
    }
}
