//! `lifeboat verify`: are the stored bytes intact?

pub(super) mod told;

use serde::Serialize;

use super::app::Opened;
use super::output::styled;
use super::{App, Exit};
use crate::account::{self, Locked, Readings, Testimony};
use crate::ground::causes::chain;
use crate::ground::ids::RunId;
use crate::ledger::record::{Body, PartRead};
use crate::policy::{Policy, PolicyName};
use crate::repo::{self, Affected, Coverage, Damage, Depth, Share, Verified};
use crate::source::manifest;

/// Snapshots that one record names.
const RECORDED: usize = 1000;

/// Verify the repository behind a policy: everything that snapshots refer to is there
///
/// Names what is damaged, and which files of which snapshots cannot be restored for it. Ends with 1
/// where anything is damaged, a snapshot is gone that the ledger says was published, or the ledger is
/// not as it was written. `lifeboat forget --accept-lost` records that a snapshot was removed on
/// purpose.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policy whose repository to verify: POLICY or CUSTOMER/POLICY
    policy: PolicyName,
    /// Read every pack, and check every blob against its name
    #[arg(long, conflicts_with = "read_data_subset")]
    read_data: bool,
    /// Read so much of the packs, the longest unread first: successive runs read all of them
    #[arg(long, value_name = "PERCENT%")]
    read_data_subset: Option<Share>,
}

/// The answer of `verify --json`.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    policy: String,
    /// Empty where all is well.
    errors: &'a [Damage],
    /// Damages that are not named in `errors`.
    more_errors: u64,
    /// Snapshots that cannot be restored whole, newest first.
    affected: Vec<OfPolicy<'a>>,
    hints: &'a [String],
    snapshots: u64,
    packs: u64,
    blobs: u64,
    trees: u64,
    bytes_read: u64,
    /// How much has been read of everything; none where no pack was read.
    coverage: Option<Coverage>,
}

#[derive(Debug, Serialize)]
struct OfPolicy<'a> {
    /// `customer/policy`; none for snapshots that lifeboat did not make.
    policy: Option<String>,
    #[serde(flatten)]
    affected: &'a Affected,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let Opened { policy, account, rooms, .. } = app.open(&args.policy).await?;
    let depth = match args.read_data_subset {
        Some(share) => Depth::Part(share),
        None if args.read_data => Depth::ReadData,
        None => Depth::Structure,
    };
    let verifying = async {
        let Testimony { records, doubt } = account.testimony(&rooms).await?;
        let (mut known, announced) = (account::published(&records), account::announced(&records));
        known.retain(|id| !announced.contains(id));
        let readings = Readings::of(&account, &rooms);
        let (repository, progress) = (&account.repository, &*rooms.progress);
        let verifying = repo::verify_with(&readings, repository, &known, depth, progress);
        anyhow::Ok((rooms.unless_interrupted(verifying).await??, doubt))
    };
    let (mut verified, doubt) = Locked::while_reading(&account, &rooms, verifying).await?;
    if !verified.gone.is_empty() {
        // Whoever reads without a lock keeps nobody from forgetting meanwhile.
        match account.missed(verified.gone.clone(), &[]).await {
            Ok(missed) => verified.acquit(&missed),
            Err(error) => rooms.progress.note(&chain(&error)),
        }
    }
    verified.errors.extend(doubt.map(|what| Damage::of("ledger", what)));
    tracing::info!(phase = "record");
    let body = Body::Verify {
        policy: policy.name.clone(),
        run: RunId::draw(),
        read_data: args.read_data,
        errors: verified.damages(),
        damaged: verified.affected.iter().take(RECORDED).map(|one| one.snapshot.0).collect(),
        part: verified.coverage.filter(|_| args.read_data_subset.is_some()).map(part),
    };
    let recorded = account.journal.record(vec![body]).await?;
    account::tell(&recorded, &*rooms.progress);
    let answer = Answer::of(&verified, &policy);
    app.out.answer(&answer, &styled(&told::lines(&answer)))?;
    Ok(if verified.is_intact() { Exit::Done } else { Exit::Failed })
}

impl<'a> Answer<'a> {
    fn of(verified: &'a Verified, policy: &Policy) -> Self {
        let affected = verified.affected.iter().map(|affected| {
            let is_ours = affected.tags.iter().any(|tag| tag == manifest::TAG);
            let name = affected.tags.iter().find_map(|tag| tag.strip_prefix("policy:"));
            let name = name.filter(|_| is_ours);
            OfPolicy { policy: name.map(|name| format!("{}/{name}", policy.customer)), affected }
        });
        Self {
            policy: policy.full_name(),
            errors: &verified.errors,
            more_errors: verified.more_errors,
            affected: affected.collect(),
            hints: &verified.hints,
            snapshots: verified.snapshots,
            packs: verified.packs,
            blobs: verified.blobs,
            trees: verified.trees,
            bytes_read: verified.bytes_read,
            coverage: verified.coverage,
        }
    }
}

fn part(coverage: Coverage) -> PartRead {
    let Coverage { read_packs, read_bytes, covered_packs, covered_bytes, packs, bytes, .. } =
        coverage;
    let since = coverage.since;
    PartRead { read_packs, read_bytes, covered_packs, covered_bytes, packs, bytes, since }
}
