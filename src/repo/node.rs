//! Trees and their nodes: one node an entry of a directory.

use jiff::Timestamp;

use super::BlobId;

/// A directory's entries, sorted by name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tree {
    pub nodes: Vec<Node>,
}

/// What kind of entry a node is, with what only that kind has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NodeKind {
    File {
        size: u64,
        content: Vec<BlobId>,
    },
    Dir {
        subtree: BlobId,
    },
    Symlink {
        target: Vec<u8>,
    },
    /// Block device with its number.
    Device {
        number: u64,
    },
    CharDevice {
        number: u64,
    },
    Fifo,
    Socket,
}

/// One entry of a directory: its name, kind and metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The name's bytes as the file system has them: no `/`, no NUL, not `.`, not `..`.
    pub name: Vec<u8>,
    pub kind: NodeKind,
    /// POSIX permission bits with setuid, setgid and sticky: `st_mode & 0o7777`.
    pub mode: u32,
    pub mtime: Option<Timestamp>,
    pub atime: Option<Timestamp>,
    pub ctime: Option<Timestamp>,
    pub uid: u32,
    pub gid: u32,
    /// Owner's and group's names, empty where unknown.
    pub user: String,
    pub group: String,
    pub inode: u64,
    /// The device it lies on (`st_dev`), which with `inode` tells hard links apart.
    pub device_id: u64,
    /// Number of hard links; 0 where unknown.
    pub links: u64,
    /// Extended attributes (ACLs among them), by name.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}
