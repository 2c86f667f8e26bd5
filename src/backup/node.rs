//! Nodes out of entries: what stands in a tree of what a source saw, and of lifeboat's own pages.

use jiff::Timestamp;

use crate::repo::{BlobId, Node, NodeKind, Tree};
use crate::source::{EntryKind, Meta};

/// A node that lacks only what is learnt by reading.
pub(super) struct Template {
    pub(super) name: Vec<u8>,
    pub(super) meta: Meta,
}

/// A tree of `nodes` in the order that the format wants.
pub(super) fn sorted(mut nodes: Vec<Node>) -> Tree {
    nodes.sort_by(|a, b| a.name.cmp(&b.name));
    Tree { nodes }
}

/// A directory's node that stands for nothing on the source: the same in every run.
pub(super) fn neutral_node(name: &str, subtree: BlobId) -> Node {
    Template { name: name.as_bytes().to_vec(), meta: neutral_directory() }.directory(subtree)
}

/// A regular file's node made by lifeboat itself.
pub(super) fn file_node(name: &str, content: Vec<BlobId>, size: u64, time: Timestamp) -> Node {
    let mut meta = neutral_directory();
    meta.kind = EntryKind::File { size };
    meta.mode = 0o600;
    (meta.mtime, meta.ctime) = (time, time);
    Template { name: name.as_bytes().to_vec(), meta }.node(NodeKind::File { size, content })
}

pub(super) fn neutral_directory() -> Meta {
    let epoch = Timestamp::UNIX_EPOCH;
    Meta {
        kind: EntryKind::Dir,
        mode: 0o755,
        mtime: epoch,
        ctime: epoch,
        uid: 0,
        gid: 0,
        user: String::new(),
        group: String::new(),
        inode: 0,
        device_id: 0,
        links: 0,
        xattrs: Vec::new(),
        reusable: false,
    }
}

impl Template {
    pub(super) fn directory(&self, subtree: BlobId) -> Node {
        Self { name: self.name.clone(), meta: self.meta.clone() }.node(NodeKind::Dir { subtree })
    }

    pub(super) fn node(self, kind: NodeKind) -> Node {
        let Self { name, meta } = self;
        Node {
            name,
            kind,
            mode: meta.mode,
            mtime: Some(meta.mtime),
            // As restic: times of access would make a new tree of every folder that was read.
            atime: Some(meta.mtime),
            ctime: Some(meta.ctime),
            uid: meta.uid,
            gid: meta.gid,
            user: meta.user,
            group: meta.group,
            inode: meta.inode,
            device_id: meta.device_id,
            links: meta.links,
            xattrs: meta.xattrs,
        }
    }
}
