//! Which files of which snapshots a damage takes with it. Looked at only where something is lost:
//! every tree is read once more, those of newer snapshots first.

use std::collections::{BTreeSet, HashMap};
use std::sync::PoisonError;

use jiff::Timestamp;
use serde::Serialize;

use super::trees::Lost;
use super::{Verified, VerifyError};
use crate::ground::progress::Progress;
use crate::repo::fold::{Fold, Seen, fold};
use crate::repo::reader::{ReadError, Reader};
use crate::repo::walk::join;
use crate::repo::{BlobId, BlobKind, Node, NodeKind, SharedIndex, Snapshot, SnapshotId};

/// Files that are named for one damaged object.
const NAMED_OF_OBJECT: usize = 5;
/// What is named of one snapshot, and of how many snapshots.
const NAMED_OF_SNAPSHOT: usize = 10;
const NAMED_SNAPSHOTS: usize = 200;

/// A file that needs what is damaged, or a folder that is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Use {
    /// The newest snapshot in which it is.
    pub snapshot: SnapshotId,
    /// From the snapshot's root on; a folder's ends with a slash.
    pub path: String,
}

/// A snapshot that cannot be restored whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Affected {
    pub snapshot: SnapshotId,
    pub time: Timestamp,
    pub host: String,
    pub tags: Vec<String>,
    /// Files that cannot be restored.
    pub files: u64,
    /// Folders of which nobody knows what they hold.
    pub folders: u64,
    /// The first of them.
    pub lost: Vec<Gap>,
    /// How many are not named.
    pub more: u64,
    /// What a repair left of it, the newest.
    pub repaired: Option<SnapshotId>,
}

/// A file or folder that cannot be restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// As [`Use::path`].
    pub path: String,
    /// What it needs, as [`super::Damage::object`].
    pub object: String,
}

/// Says for every object in `found` who needs it, and for every snapshot what it lacks.
pub(super) async fn name(
    reader: &Reader,
    index: &SharedIndex,
    snapshots: &[(SnapshotId, Snapshot)],
    lost: &Lost,
    found: &mut Verified,
    progress: &dyn Progress,
) -> Result<(), VerifyError> {
    progress.phase("find what is affected", None);
    let mut snapshots: Vec<_> = snapshots.iter().collect();
    snapshots.sort_by_key(|(id, snapshot)| std::cmp::Reverse((snapshot.time, *id)));
    let objects = found.errors.iter().map(|damage| damage.object.clone());
    let uses = objects.map(|object| (object, Uses::default())).collect();
    let Some((newest, _)) = snapshots.first() else { return Ok(()) };
    let mut naming = Naming { index, lost, snapshot: *newest, uses };
    let mut known = HashMap::new();
    let repaired: HashMap<_, _> =
        snapshots.iter().rev().filter_map(|(id, other)| Some((other.left_of()?, *id))).collect();
    for (id, snapshot) in snapshots {
        naming.snapshot = *id;
        let Gaps { files, folders } = fold(reader, snapshot.tree, &mut known, &mut naming).await?;
        progress.advance(1, 0);
        if files == 0 && folders == 0 {
            continue;
        }
        let first = match found.affected.len() {
            0..NAMED_SNAPSHOTS => first_gaps(reader, snapshot.tree, &known, lost).await?,
            _ => Vec::new(),
        };
        found.affected.push(Affected {
            snapshot: *id,
            time: snapshot.time,
            host: snapshot.hostname.clone(),
            tags: snapshot.tags.clone(),
            files,
            folders,
            more: files.saturating_add(folders).saturating_sub(first.len() as u64),
            lost: first,
            repaired: repaired.get(id).copied(),
        });
    }
    for damage in &mut found.errors {
        if let Some(Uses { named, count }) = naming.uses.remove(&damage.object) {
            damage.more_files = count - named.len() as u64;
            damage.files = named;
        }
    }
    Ok(())
}

#[derive(Default)]
struct Uses {
    named: Vec<Use>,
    count: u64,
}

/// How much below a tree is lost.
#[derive(Debug, Clone, Copy, Default)]
struct Gaps {
    files: u64,
    folders: u64,
}

struct Naming<'a> {
    index: &'a SharedIndex,
    lost: &'a Lost,
    snapshot: SnapshotId,
    uses: HashMap<String, Uses>,
}

impl Fold for Naming<'_> {
    type Out = Gaps;
    type Error = ReadError;

    fn unreadable(&mut self, folder: &[u8], id: BlobId, _: &ReadError) -> Gaps {
        self.used(BlobKind::Tree, &[id].into(), &folder_path(folder));
        Gaps { files: 0, folders: 1 }
    }

    fn leave(&mut self, seen: Seen<'_>, below: Vec<Gaps>) -> Result<Gaps, ReadError> {
        // A hostile snapshot may hold the same folder more often than numbers go.
        let mut all = below.into_iter().fold(Gaps::default(), |sum, one| Gaps {
            files: sum.files.saturating_add(one.files),
            folders: sum.folders.saturating_add(one.folders),
        });
        for node in &seen.tree.nodes {
            let lost = lost_of(node, self.lost);
            if !lost.is_empty() {
                all.files = all.files.saturating_add(1);
                self.used(BlobKind::Data, &lost, &file_path(seen.folder, node));
            }
        }
        Ok(all)
    }
}

impl Naming<'_> {
    /// Something at `path` needs these blobs, and the packs that should give them.
    fn used(&mut self, kind: BlobKind, blobs: &BTreeSet<BlobId>, path: &str) {
        let mut objects = BTreeSet::new();
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        for blob in blobs {
            objects.insert(object(kind, blob));
            let packs = index.places(kind, blob).map(|place| format!("pack {}", place.pack));
            objects.extend(packs);
        }
        for object in objects {
            let Some(uses) = self.uses.get_mut(&object) else { continue };
            uses.count += 1;
            if uses.named.len() < NAMED_OF_OBJECT {
                uses.named.push(Use { snapshot: self.snapshot, path: path.to_owned() });
            }
        }
    }
}

/// The first that is lost below a tree, by its path.
async fn first_gaps(
    reader: &Reader,
    root: BlobId,
    known: &HashMap<BlobId, Gaps>,
    lost: &Lost,
) -> Result<Vec<Gap>, ReadError> {
    let mut gaps = Vec::new();
    let mut open: Vec<(Vec<u8>, std::vec::IntoIter<Node>)> = Vec::new();
    let mut ahead = Some((Vec::new(), root));
    while gaps.len() < NAMED_OF_SNAPSHOT {
        if let Some((path, id)) = ahead.take() {
            match reader.tree(&id).await {
                Ok(tree) => open.push((path, tree.nodes.into_iter())),
                Err(error) if error.is_environment() => return Err(error),
                Err(_) => {
                    gaps.push(Gap { path: folder_path(&path), object: object(BlobKind::Tree, &id) })
                }
            }
        }
        let Some((folder, nodes)) = open.last_mut() else { break };
        let Some(node) = nodes.next() else {
            open.pop();
            continue;
        };
        if let Some(blob) = lost_of(&node, lost).first() {
            let path = file_path(folder, &node);
            gaps.push(Gap { path, object: object(BlobKind::Data, blob) });
        }
        if let NodeKind::Dir { subtree } = node.kind
            && known.get(&subtree).is_some_and(|gaps| gaps.files > 0 || gaps.folders > 0)
        {
            ahead = Some((join(folder, &node.name), subtree));
        }
    }
    Ok(gaps)
}

/// The lost blobs of a file.
fn lost_of(node: &Node, lost: &Lost) -> BTreeSet<BlobId> {
    match &node.kind {
        NodeKind::File { content, .. } => {
            content.iter().filter(|blob| lost.data.contains_key(blob)).copied().collect()
        }
        _ => BTreeSet::new(),
    }
}

fn object(kind: BlobKind, id: &BlobId) -> String {
    match kind {
        BlobKind::Data => format!("blob {id}"),
        BlobKind::Tree => format!("tree {id}"),
    }
}

fn file_path(folder: &[u8], node: &Node) -> String {
    format!("/{}", String::from_utf8_lossy(&join(folder, &node.name)))
}

fn folder_path(folder: &[u8]) -> String {
    match folder {
        [] => "/".to_owned(),
        folder => format!("/{}/", String::from_utf8_lossy(folder)),
    }
}
