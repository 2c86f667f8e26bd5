//! A snapshot's trees, depth first: each folder's entry before its content.
//!
//! In: a root tree. Out: one entry after the other with its path. A tree that cannot be read is
//! told with its path, and the walk goes on behind it.

use std::collections::VecDeque;

use super::reader::{ReadError, Reader};
use super::{BlobId, Node, NodeKind, Tree};

/// No file system is so deep; a hostile tree may be, though never endless: it cannot hold itself.
pub(super) const DEEPEST: usize = 4096;

/// One entry of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Names from the root, joined by `/`, without a leading one.
    pub path: Vec<u8>,
    pub node: Node,
}

/// A folder whose content could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot read the folder {:?}", String::from_utf8_lossy(path))]
pub struct WalkError {
    /// As in [`Entry`]; empty for the root.
    pub path: Vec<u8>,
    pub source: ReadError,
}

/// A walk under way; see [`Reader::walk`].
#[derive(Debug)]
pub struct Walk {
    reader: Reader,
    /// The folder whose content comes next.
    ahead: Option<(Vec<u8>, BlobId)>,
    /// The folders being read, outermost first.
    open: Vec<(Vec<u8>, std::vec::IntoIter<Node>)>,
    /// Small trees read lately: where folders repeat, so do their trees.
    recent: VecDeque<(BlobId, Tree)>,
}

/// How many trees are kept, and of how many nodes at most.
const RECENT: usize = 64;
const SMALL: usize = 64;

impl Reader {
    /// Walks everything below the tree `root`. A hostile snapshot may hold the same tree very many
    /// times over: who unfolds it bounds what he takes.
    pub fn walk(&self, root: BlobId) -> Walk {
        Walk {
            reader: self.clone(),
            ahead: Some((Vec::new(), root)),
            open: Vec::new(),
            recent: VecDeque::new(),
        }
    }
}

impl Walk {
    /// The next entry; `None` at the end. After a [`WalkError`] it goes on behind that folder.
    pub async fn next(&mut self) -> Option<Result<Entry, WalkError>> {
        if let Some((path, tree)) = self.ahead.take() {
            match self.load(&tree).await {
                Ok(loaded) => self.open.push((path, loaded.nodes.into_iter())),
                Err(source) => return Some(Err(WalkError { path, source })),
            }
        }
        while let Some((folder, nodes)) = self.open.last_mut() {
            let Some(node) = nodes.next() else {
                self.open.pop();
                continue;
            };
            let path = join(folder, &node.name);
            if let NodeKind::Dir { subtree } = node.kind {
                self.ahead = Some((path.clone(), subtree));
            }
            return Some(Ok(Entry { path, node }));
        }
        None
    }

    /// Leaves out the content of the folder that [`Self::next`] gave last.
    pub fn skip_content(&mut self) {
        self.ahead = None;
    }

    async fn load(&mut self, tree: &BlobId) -> Result<Tree, ReadError> {
        if self.open.len() >= DEEPEST {
            return Err(ReadError::TooDeep { tree: *tree, limit: DEEPEST });
        }
        if let Some((_, known)) = self.recent.iter().find(|(id, _)| id == tree) {
            return Ok(known.clone());
        }
        let loaded = self.reader.tree(tree).await?;
        if loaded.nodes.len() <= SMALL {
            if self.recent.len() >= RECENT {
                self.recent.pop_front();
            }
            self.recent.push_back((*tree, loaded.clone()));
        }
        Ok(loaded)
    }
}

pub(super) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() }
}
