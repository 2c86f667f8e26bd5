//! Trees: does every snapshot lead to whole folders, and every file to blobs that are there?

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use super::packs::Losses;
use super::{Verified, VerifyError, told};
use crate::ground::progress::Progress;
use crate::repo::reader::{ReadError, Reader};
use crate::repo::walk::join;
use crate::repo::writer::locked;
use crate::repo::{BlobId, BlobKind, NodeKind, SharedIndex, SnapshotId, Tree};

/// How many files are named behind a lost blob; the rest is counted.
const NAMED: usize = 5;

/// How a tree was reached first.
struct Origin {
    snapshot: SnapshotId,
    parent: Option<BlobId>,
    name: Vec<u8>,
}

/// A blob that some file needs and that cannot be had.
struct Lack {
    what: &'static str,
    files: Vec<String>,
    count: u64,
}

/// Everything seen so far.
struct Pass<'a> {
    index: &'a SharedIndex,
    losses: &'a Losses,
    found: &'a mut Verified,
    origins: HashMap<BlobId, Origin>,
    lacks: BTreeMap<BlobId, Lack>,
    /// Trees to be read next.
    ahead: Vec<BlobId>,
}

/// Reads every tree of every snapshot once, all trees of one depth together.
pub(super) async fn follow(
    reader: &Reader,
    index: &SharedIndex,
    snapshots: Vec<(SnapshotId, BlobId)>,
    losses: &Losses,
    found: &mut Verified,
    progress: &dyn Progress,
) -> Result<(), VerifyError> {
    progress.phase("read trees", None);
    let mut pass = Pass {
        index,
        losses,
        found,
        origins: HashMap::new(),
        lacks: BTreeMap::new(),
        ahead: Vec::new(),
    };
    for (snapshot, root) in snapshots {
        pass.reach(root, Origin { snapshot, parent: None, name: Vec::new() });
    }
    let pass = Mutex::new(pass);
    loop {
        let level = std::mem::take(&mut locked(&pass).ahead);
        if level.is_empty() {
            break;
        }
        let each = |id, outcome: Result<Vec<u8>, ReadError>| {
            let bytes = outcome.as_ref().map_or(0, |bytes| bytes.len() as u64);
            let tree = outcome.and_then(|bytes| {
                Tree::decode(&bytes).map_err(|source| ReadError::Tree { tree: id, source })
            });
            let mut pass = locked(&pass);
            pass.found.bytes_read += bytes;
            pass.look_at(id, tree);
            progress.advance(1, bytes);
            ControlFlow::Continue(())
        };
        reader.fetch(BlobKind::Tree, level, &each).await?;
    }
    pass.into_inner().unwrap_or_else(PoisonError::into_inner).tell_lacks();
    Ok(())
}

impl Pass<'_> {
    fn reach(&mut self, tree: BlobId, origin: Origin) {
        if let Entry::Vacant(unseen) = self.origins.entry(tree) {
            unseen.insert(origin);
            self.ahead.push(tree);
        }
    }

    fn look_at(&mut self, id: BlobId, tree: Result<Tree, ReadError>) {
        let tree = match tree {
            Ok(tree) => tree,
            Err(error) => {
                let object = format!("tree {id}, the folder {}", self.place(Some(id), b""));
                return self.found.damaged(object, told(&error));
            }
        };
        self.found.trees += 1;
        for node in tree.nodes {
            match node.kind {
                NodeKind::File { content, .. } => {
                    for blob in content {
                        self.need(blob, id, &node.name);
                    }
                }
                NodeKind::Dir { subtree } => {
                    let Some(snapshot) = self.origins.get(&id).map(|origin| origin.snapshot) else {
                        continue;
                    };
                    let parent = Some(id);
                    self.reach(subtree, Origin { snapshot, parent, name: node.name });
                }
                _ => {}
            }
        }
    }

    /// A file of the folder `tree` needs this blob.
    fn need(&mut self, blob: BlobId, tree: BlobId, name: &[u8]) {
        let what = {
            let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
            let mut places = index.places(BlobKind::Data, &blob).peekable();
            if places.peek().is_none() {
                "no index file names it"
            } else if places.all(|place| self.losses.include(&blob, &place)) {
                "no intact pack holds it"
            } else {
                return;
            }
        };
        let is_named = self.lacks.get(&blob).is_none_or(|lack| lack.files.len() < NAMED);
        let file = is_named.then(|| self.place(Some(tree), name));
        let lack = self.lacks.entry(blob).or_insert(Lack { what, files: Vec::new(), count: 0 });
        lack.count += 1;
        // A file of zeros names one blob many times.
        lack.files.extend(file.filter(|file| lack.files.last() != Some(file)));
    }

    /// `/a/b of snapshot 12345678`, for an entry of a folder or, without a name, the folder.
    fn place(&self, mut folder: Option<BlobId>, name: &[u8]) -> String {
        let mut path = name.to_vec();
        let mut snapshot = None;
        while let Some(origin) = folder.and_then(|tree| self.origins.get(&tree)) {
            snapshot = Some(origin.snapshot);
            path = if path.is_empty() { origin.name.clone() } else { join(&origin.name, &path) };
            folder = origin.parent;
        }
        let snapshot = snapshot.map(|id| id.0.short()).unwrap_or_default();
        format!("/{} of snapshot {snapshot}", String::from_utf8_lossy(&path).escape_debug())
    }

    fn tell_lacks(self) {
        for (blob, Lack { what, files, count }) in self.lacks {
            let more = count.saturating_sub(files.len() as u64);
            let more = if more == 0 { String::new() } else { format!(" and {more} more uses") };
            let object = format!("blob {blob}, in {}{more}", files.join(", "));
            self.found.damaged(object, what);
        }
    }
}
