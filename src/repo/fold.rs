//! Trees from the bottom up: what is below a folder is looked at before the folder, each distinct
//! tree once, whatever leads to it.
//!
//! In: a reader, root trees, a [`Fold`]. Out: what the fold makes of each root. Memory: what the
//! fold keeps of each tree, and the trees between a root and where it is.

use std::collections::HashMap;

use super::reader::{ReadError, Reader, in_place};
use super::walk::{DEEPEST, join};
use super::{BlobId, BlobKind, NodeKind, Tree};

/// What is made of trees.
pub(super) trait Fold: Send {
    /// What one tree comes to.
    type Out: Clone + Send;
    type Error: From<ReadError> + Send;

    /// Of a tree that nobody can read; `folder` is its path from the first root that led to it.
    fn unreadable(&mut self, folder: &[u8], id: BlobId, error: &ReadError) -> Self::Out;

    /// Of a tree with what its folders came to, in their order. May block.
    fn leave(&mut self, seen: Seen<'_>, below: Vec<Self::Out>) -> Result<Self::Out, Self::Error>;
}

/// A tree that was read.
pub(super) struct Seen<'a> {
    /// Its path from the first root that led to it.
    pub folder: &'a [u8],
    pub id: BlobId,
    /// As it is stored.
    pub json: &'a [u8],
    pub tree: &'a Tree,
}

struct Open<T> {
    id: BlobId,
    path: Vec<u8>,
    json: Vec<u8>,
    tree: Tree,
    /// The node that is looked at next.
    next: usize,
    below: Vec<T>,
}

/// What `fold` makes of the tree `root`; what lies too deep counts as unreadable. `known` is what it
/// made of trees before: they are not looked at again. A store that is out of reach is an error.
pub(super) async fn fold<F: Fold>(
    reader: &Reader,
    root: BlobId,
    known: &mut HashMap<BlobId, F::Out>,
    fold: &mut F,
) -> Result<F::Out, F::Error> {
    let mut open: Vec<Open<F::Out>> = Vec::new();
    let mut ahead = Some((root, Vec::new()));
    loop {
        let (id, out) = match ahead.take() {
            Some((id, path)) => match known.get(&id) {
                Some(out) => (id, out.clone()),
                None => match read(reader, id, open.len()).await {
                    Ok((json, tree)) => {
                        open.push(Open { id, path, json, tree, next: 0, below: Vec::new() });
                        ahead = next_folder(&mut open);
                        if ahead.is_some() {
                            continue;
                        }
                        leave(&mut open, fold)?
                    }
                    Err(error) if error.is_environment() => return Err(error.into()),
                    Err(error) => (id, fold.unreadable(&path, id, &error)),
                },
            },
            None => leave(&mut open, fold)?,
        };
        known.insert(id, out.clone());
        match open.last_mut() {
            Some(parent) => parent.below.push(out),
            None => return Ok(out),
        }
        ahead = next_folder(&mut open);
    }
}

async fn read(reader: &Reader, id: BlobId, depth: usize) -> Result<(Vec<u8>, Tree), ReadError> {
    if depth >= DEEPEST {
        return Err(ReadError::TooDeep { tree: id, limit: DEEPEST });
    }
    let json = reader.blob(BlobKind::Tree, &id).await?;
    let tree = Tree::decode(&json).map_err(|source| ReadError::Tree { tree: id, source })?;
    Ok((json, tree))
}

/// The next folder of the innermost open tree.
fn next_folder<T>(open: &mut [Open<T>]) -> Option<(BlobId, Vec<u8>)> {
    let Open { path, tree, next, .. } = open.last_mut()?;
    for node in &tree.nodes[*next..] {
        *next += 1;
        if let NodeKind::Dir { subtree } = node.kind {
            return Some((subtree, join(path, &node.name)));
        }
    }
    None
}

fn leave<F: Fold>(
    open: &mut Vec<Open<F::Out>>,
    fold: &mut F,
) -> Result<(BlobId, F::Out), F::Error> {
    let Open { id, path, json, tree, below, .. } =
        open.pop().expect("a tree is open until it is left");
    let seen = Seen { folder: &path, id, json: &json, tree: &tree };
    let out = in_place(|| fold.leave(seen, below))?;
    Ok((id, out))
}
