//! What is left of a tree: without the files that need what is lost, and without the folders that
//! nobody can read. A file is whole or it is left out.

use std::collections::HashSet;
use std::sync::PoisonError;

use super::Error;
use super::text::{Fate, edited};
use crate::ground::digest::Digest;
use crate::repo::fold::{Fold, Seen};
use crate::repo::reader::ReadError;
use crate::repo::writer::Writer;
use crate::repo::{BlobId, BlobKind, NodeKind, SharedIndex};

/// What is left of one tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Left {
    /// Itself where nothing below it is lost; none where nobody can read it.
    pub tree: Option<BlobId>,
    /// Files and folders below it that are left out.
    pub files: u64,
    pub folders: u64,
}

impl Left {
    /// Of a tree below which nothing is lost.
    pub fn whole(tree: BlobId) -> Self {
        Self { tree: Some(tree), files: 0, folders: 0 }
    }
}

pub(super) struct Rewriting<'a> {
    pub index: &'a SharedIndex,
    pub lost: &'a HashSet<(BlobKind, BlobId)>,
    /// Trees that were read. What an index file says of others proves nothing: an earlier repair may
    /// have stored the same tree in a pack that is damaged by now.
    pub sound: &'a HashSet<BlobId>,
    /// None: nothing is stored.
    pub writer: Option<&'a Writer>,
    /// Trees that are stored, and whole.
    pub stored: Vec<BlobId>,
}

impl Fold for Rewriting<'_> {
    type Out = Left;
    type Error = Error;

    fn unreadable(&mut self, _: &[u8], _: BlobId, _: &ReadError) -> Left {
        Left { tree: None, files: 0, folders: 1 }
    }

    fn leave(&mut self, seen: Seen<'_>, below: Vec<Left>) -> Result<Left, Error> {
        let mut left = Left::whole(seen.id);
        let mut below = below.into_iter();
        let mut fates = Vec::with_capacity(seen.tree.nodes.len());
        for node in &seen.tree.nodes {
            fates.push(match &node.kind {
                NodeKind::File { content, .. } if !content.iter().all(|blob| self.has(blob)) => {
                    left.files = left.files.saturating_add(1);
                    Fate::Leaves
                }
                NodeKind::Dir { subtree } => {
                    let inner = below.next().expect("a fold gives one for each folder");
                    left.files = left.files.saturating_add(inner.files);
                    left.folders = left.folders.saturating_add(inner.folders);
                    match inner.tree {
                        Some(tree) if tree == *subtree => Fate::Stays,
                        Some(tree) => Fate::Becomes(tree),
                        None => Fate::Leaves,
                    }
                }
                _ => Fate::Stays,
            });
        }
        if fates.iter().any(|fate| *fate != Fate::Stays) {
            left.tree = Some(self.store(&seen, &fates)?);
        }
        Ok(left)
    }
}

impl Rewriting<'_> {
    fn has(&self, blob: &BlobId) -> bool {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.places(BlobKind::Data, blob).next().is_some()
            && !self.lost.contains(&(BlobKind::Data, *blob))
    }

    /// Stores what is left of a tree.
    fn store(&mut self, seen: &Seen<'_>, fates: &[Fate]) -> Result<BlobId, Error> {
        let json = edited(seen.json, fates).ok_or(Error::NoTree { tree: seen.id })?;
        let id = BlobId(Digest::of(&json));
        let is_sound = self.sound.contains(&id) && !self.lost.contains(&(BlobKind::Tree, id));
        if let Some(writer) = self.writer.filter(|_| !is_sound) {
            writer.store_blob(BlobKind::Tree, &json).map_err(Error::Write)?;
        }
        self.stored.push(id);
        Ok(id)
    }
}
