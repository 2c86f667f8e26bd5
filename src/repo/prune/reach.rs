//! What snapshots reach: every tree and every piece of every file.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};

use super::Error;
use crate::ground::progress::Progress;
use crate::repo::reader::{ReadError, Reader};
use crate::repo::writer::locked;
use crate::repo::{BlobId, BlobKind, NodeKind, Tree};

/// Blobs that must stay; some 40 bytes each.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub trees: HashSet<BlobId>,
    pub data: HashSet<BlobId>,
}

/// A level of trees being read.
#[derive(Default)]
struct Level {
    ahead: Vec<BlobId>,
    broken: Option<ReadError>,
}

impl Reach {
    pub fn includes(&self, kind: BlobKind, id: &BlobId) -> bool {
        match kind {
            BlobKind::Tree => self.trees.contains(id),
            BlobKind::Data => self.data.contains(id),
        }
    }

    /// Every blob that must stay.
    pub fn all(&self) -> impl Iterator<Item = (BlobKind, BlobId)> {
        let trees = self.trees.iter().map(|id| (BlobKind::Tree, *id));
        trees.chain(self.data.iter().map(|id| (BlobKind::Data, *id)))
    }

    /// Takes in everything below `roots`; a tree that cannot be read is an error, for nobody knows
    /// what it needs.
    pub async fn extend(
        &mut self,
        reader: &Reader,
        roots: impl IntoIterator<Item = BlobId>,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let mut ahead: Vec<_> = roots.into_iter().filter(|root| self.trees.insert(*root)).collect();
        while !ahead.is_empty() {
            let level = Mutex::new((&mut *self, Level::default()));
            let each = |id, outcome: Result<Vec<u8>, ReadError>| {
                let tree = outcome.and_then(|bytes| {
                    Tree::decode(&bytes).map_err(|source| ReadError::Tree { tree: id, source })
                });
                let mut level = locked(&level);
                match tree {
                    Ok(tree) => {
                        let (reach, level) = &mut *level;
                        reach.take_in(tree, level);
                        progress.advance(1, 0);
                        ControlFlow::Continue(())
                    }
                    Err(error) => {
                        level.1.broken = Some(error);
                        ControlFlow::Break(())
                    }
                }
            };
            reader.fetch(BlobKind::Tree, ahead, &each).await.map_err(Error::Tree)?;
            let (_, done) = level.into_inner().unwrap_or_else(PoisonError::into_inner);
            if let Some(error) = done.broken {
                return Err(Error::Tree(error));
            }
            ahead = done.ahead;
        }
        Ok(())
    }

    fn take_in(&mut self, tree: Tree, level: &mut Level) {
        for node in tree.nodes {
            match node.kind {
                NodeKind::File { content, .. } => self.data.extend(content),
                NodeKind::Dir { subtree } if self.trees.insert(subtree) => {
                    level.ahead.push(subtree);
                }
                _ => {}
            }
        }
    }
}
