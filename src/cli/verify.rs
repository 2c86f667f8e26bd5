//! `lifeboat verify`: are the stored bytes intact?

use std::fmt::Write as _;

use super::app::Opened;
use super::output::visible;
use super::{App, Exit};
use crate::account::{self, Locked, Testimony};
use crate::ground::ids::RunId;
use crate::ground::size::ByteSize;
use crate::ledger::record::Body;
use crate::policy::PolicyName;
use crate::repo::{self, Damage, Depth, Verified};

/// Verify the repository behind a policy: everything that snapshots refer to is there
///
/// Ends with 1 where anything is damaged, a snapshot is gone that the ledger says was published, or
/// the ledger is not as it was written. `lifeboat forget --accept-lost` records that a snapshot was
/// removed on purpose.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policy whose repository to verify: POLICY or CUSTOMER/POLICY
    policy: PolicyName,
    /// Read every pack, and check every blob against its name
    #[arg(long)]
    read_data: bool,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let Opened { policy, account, rooms } = app.open(&args.policy).await?;
    let lock = Locked::to_read(&account, &rooms).await?;
    let depth = if args.read_data { Depth::ReadData } else { Depth::Structure };
    let Testimony { records, doubt } = account.testimony(&rooms).await?;
    let (mut known, announced) = (account::published(&records), account::announced(&records));
    known.retain(|id| !announced.contains(id));
    let verifying = repo::verify(&account.repository, &known, depth, &*rooms.progress);
    let verified = rooms.unless_interrupted(verifying).await;
    if let Some(lock) = lock {
        lock.release().await?;
    }
    let mut verified = verified??;
    let ledger = |what| Damage { object: "ledger".to_owned(), what };
    verified.errors.extend(doubt.map(ledger));
    let body = Body::Verify {
        policy: policy.name.clone(),
        run: RunId::draw(),
        read_data: args.read_data,
        errors: verified.errors.len() as u64,
    };
    let recorded = account.journal.record(vec![body]).await?;
    account::tell(&recorded, &*rooms.progress);
    app.out.answer(&verified, &text(&verified))?;
    Ok(if verified.is_intact() { Exit::Done } else { Exit::Failed })
}

fn text(verified: &Verified) -> String {
    let mut text = format!(
        "{} snapshots, {} trees, {} blobs in {} packs; {} read\n",
        verified.snapshots,
        verified.trees,
        verified.blobs,
        verified.packs,
        ByteSize(verified.bytes_read)
    );
    for hint in &verified.hints {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "note: {}", visible(hint));
    }
    for damage in &verified.errors {
        let _ = writeln!(text, "damaged: {}: {}", visible(&damage.object), visible(&damage.what));
    }
    let _ = match verified.errors.len() {
        0 => writeln!(text, "no damage found"),
        damages => writeln!(text, "{damages} damages"),
    };
    text
}
