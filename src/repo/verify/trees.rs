//! Trees: does every snapshot lead to whole folders, and every file to blobs that are there?

use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use super::packs::Losses;
use super::{Verified, VerifyError, told};
use crate::ground::progress::Progress;
use crate::repo::reader::{ReadError, Reader};
use crate::repo::writer::locked;
use crate::repo::{BlobId, BlobKind, NodeKind, SharedIndex, Tree};

/// What snapshots need and nobody can read, each with what is wrong.
#[derive(Debug, Default)]
pub(super) struct Lost {
    pub trees: BTreeMap<BlobId, String>,
    pub data: BTreeMap<BlobId, &'static str>,
}

impl Lost {
    pub fn is_empty(&self) -> bool {
        self.trees.is_empty() && self.data.is_empty()
    }

    pub fn tell(&self, found: &mut Verified) {
        for (tree, what) in &self.trees {
            found.damaged(format!("tree {tree}"), what);
        }
        for (blob, what) in &self.data {
            found.damaged(format!("blob {blob}"), *what);
        }
    }
}

/// Everything seen so far.
struct Pass<'a> {
    index: &'a SharedIndex,
    losses: &'a Losses,
    found: &'a mut Verified,
    seen: HashSet<BlobId>,
    lost: Lost,
    /// Trees to be read next.
    ahead: Vec<BlobId>,
}

/// Reads every tree below `roots` once, all trees of one depth together; answers what is lost, and the
/// trees that can be read.
pub(super) async fn follow(
    reader: &Reader,
    index: &SharedIndex,
    roots: impl Iterator<Item = BlobId>,
    losses: &Losses,
    found: &mut Verified,
    progress: &dyn Progress,
) -> Result<(Lost, HashSet<BlobId>), VerifyError> {
    progress.phase("read trees", None);
    let (seen, lost, ahead) = Default::default();
    let mut pass = Pass { index, losses, found, seen, lost, ahead };
    roots.for_each(|root| pass.reach(root));
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
    let Pass { mut seen, lost, .. } = pass.into_inner().unwrap_or_else(PoisonError::into_inner);
    seen.retain(|tree| !lost.trees.contains_key(tree));
    Ok((lost, seen))
}

impl Pass<'_> {
    fn reach(&mut self, tree: BlobId) {
        if self.seen.insert(tree) {
            self.ahead.push(tree);
        }
    }

    fn look_at(&mut self, id: BlobId, tree: Result<Tree, ReadError>) {
        let tree = match tree {
            Ok(tree) => tree,
            Err(error) => {
                self.lost.trees.insert(id, told(&error));
                return;
            }
        };
        self.found.trees += 1;
        for node in tree.nodes {
            match node.kind {
                NodeKind::File { content, .. } => {
                    content.iter().for_each(|blob| self.need(blob));
                }
                NodeKind::Dir { subtree } => self.reach(subtree),
                _ => {}
            }
        }
    }

    /// Some file needs this blob.
    fn need(&mut self, blob: &BlobId) {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let mut places = index.places(BlobKind::Data, blob).peekable();
        let what = if places.peek().is_none() {
            "no index file names it"
        } else if places.all(|place| self.losses.include(blob, &place)) {
            "no intact pack holds it"
        } else {
            return;
        };
        self.lost.data.insert(*blob, what);
    }
}
