//! Which snapshot is restored, and what speaks against it.
//!
//! Nothing here keeps data from coming back: a ledger out of reach, a snapshot that it does not
//! name or a damaged one beside it become warnings.

use jiff::Timestamp;
use serde::Serialize;

use super::super::hint::Hinting;
use crate::account::{self, Account, Rooms, Testimony};
use crate::ground::causes::chain;
use crate::policy::Policy;
use crate::repo::{BlobId, Snapshot, SnapshotId};
use crate::source::manifest;

/// The snapshot that is restored.
pub(super) struct Point {
    pub(super) id: SnapshotId,
    pub(super) tree: BlobId,
    pub(super) on_ledger: OnLedger,
    /// One sentence each.
    pub(super) warnings: Vec<String>,
}

/// Whether the ledger says that the snapshot is one of the policy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum OnLedger {
    Yes,
    No,
    /// The ledger is out of reach, or not as it was written.
    Unknown,
}

/// The snapshot that is meant: any of the repository's by its id, or the policy's latest; where the
/// policy has none, the repository's latest, whoever made it.
pub(super) async fn find(
    account: &Account,
    policy: &Policy,
    wanted: &str,
    rooms: &Rooms,
) -> anyhow::Result<Point> {
    // A ledger that is out of reach must not keep the data from coming back.
    let testimony = account.testimony_by_kept(rooms).await.map_err(|error| chain(&error));
    let known =
        testimony.as_ref().map_or_else(|_| Vec::new(), |it| account::published(&it.records));
    let mut warnings = Vec::new();
    let (id, snapshot) = if wanted == "latest" {
        latest(account, policy, &known, &mut warnings).await?
    } else {
        let found = account.repository.find(wanted, &known).await;
        let id = found.hint("`lifeboat snapshots` lists them")?;
        (id, account.repository.snapshot(&id).await?)
    };
    if snapshot.time > rooms.clock.now() {
        warnings.push(format!("snapshot {id} carries a time still to come, {}", snapshot.time));
    }
    let on_ledger = vouched(id, policy, &testimony, &mut warnings);
    if let (Ok(testimony), true) = (&testimony, wanted == "latest") {
        warnings.extend(better(account, id, &snapshot, policy, testimony).await);
    }
    Ok(Point { id, tree: snapshot.tree, on_ledger, warnings })
}

async fn latest(
    account: &Account,
    policy: &Policy,
    known: &[SnapshotId],
    warnings: &mut Vec<String>,
) -> anyhow::Result<(SnapshotId, Snapshot)> {
    let mut readable = Vec::new();
    for (id, file) in account.repository.snapshot_files_with(known).await? {
        match file {
            Ok(snapshot) => readable.push((id, snapshot)),
            Err(error) if error.is_out_of_reach() => return Err(error.into()),
            Err(error) => warnings.push(format!("a later one may be lost: {}", chain(&error))),
        }
    }
    readable.sort_by_key(|(id, snapshot)| (snapshot.time, *id));
    let tag = manifest::policy_tag(&policy.name);
    let of_policy = readable.iter().rposition(|(_, snapshot)| snapshot.tags.contains(&tag));
    if of_policy.is_none() && !readable.is_empty() {
        warnings.push(format!(
            "{} has no snapshot: this is the repository's latest, whatever it holds",
            policy.full_name()
        ));
    }
    match of_policy.or(readable.len().checked_sub(1)) {
        Some(at) => Ok(readable.swap_remove(at)),
        None if !warnings.is_empty() => Err(anyhow::anyhow!(
            "the repository holds no snapshot that can be read: {}",
            warnings.join("; ")
        )),
        None if !known.is_empty() => Err(anyhow::anyhow!(
            "the repository holds no snapshot: the ledger names {} that were published, {} last, \
             and they are gone",
            known.len(),
            known[known.len() - 1]
        ))
        .hint(
            "bring back the repository's folder `snapshots` from a copy or the bucket's older \
             versions; the packs may still be whole, so prune nothing",
        ),
        None => Err(anyhow::anyhow!("the repository holds no snapshot"))
            .hint("`lifeboat backup` makes the first"),
    }
}

/// What the ledger says of the snapshot that is restored.
fn vouched(
    id: SnapshotId,
    policy: &Policy,
    testimony: &Result<Testimony, String>,
    warnings: &mut Vec<String>,
) -> OnLedger {
    let (on_ledger, warning) = match testimony {
        Err(why) => (
            OnLedger::Unknown,
            format!("nothing shows that snapshot {id} is what was published: {why}"),
        ),
        Ok(Testimony { doubt: Some(doubt), .. }) => (
            OnLedger::Unknown,
            format!("nothing shows that snapshot {id} is what was published: {doubt}"),
        ),
        Ok(testimony) => match testimony.of(id) {
            Some(finished) if finished.policy == policy.name => return OnLedger::Yes,
            Some(finished) => (
                OnLedger::No,
                format!("snapshot {id} is one of the policy {}, says the ledger", finished.policy),
            ),
            None if testimony.repaired(id).is_some() => (
                OnLedger::No,
                format!(
                    "snapshot {id} is what a repair left of another: files that could not be read \
                     are not in it"
                ),
            ),
            None => (
                OnLedger::No,
                format!(
                    "snapshot {id} is not on the ledger: another program made it, or a backup \
                     whose record is not there (yet), or somebody else who has the repository's \
                     password; look at what came back before you rely on it"
                ),
            ),
        },
    };
    warnings.push(warning);
    on_ledger
}

/// What the ledger names as the policy's latest, where that is another one than `id`.
async fn better(
    account: &Account,
    id: SnapshotId,
    snapshot: &Snapshot,
    policy: &Policy,
    testimony: &Testimony,
) -> Option<String> {
    let of_policy = |id: &SnapshotId| testimony.of(*id).is_some_and(|it| it.policy == policy.name);
    let published = account::published(&testimony.records);
    let named = published.into_iter().rfind(of_policy).filter(|named| *named != id)?;
    let when = |time: Timestamp| time.strftime("%Y-%m-%d %H:%M:%SZ").to_string();
    let (short, age) = (named.0.short(), when(testimony.of(named)?.consistent_time));
    Some(match account.repository.snapshot(&named).await {
        Ok(_) => format!(
            "the ledger's latest is {named} of {age}, this one carries the time {}: restore that \
             one with --snapshot {short}",
            when(snapshot.time)
        ),
        Err(error) => format!("the ledger's latest, {named} of {age}, is lost: {}", chain(&error)),
    })
}
