//! A repository in memory, files captured into it by the real source, and folders to restore to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, RwLock};

use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::super::*;
use crate::ground::clock::SystemClock;
use crate::ground::progress::Silent;
use crate::policy::sources::FilesSettings;
use crate::repo::{Node, NodeKind, Repository, SharedIndex, Tree, Writer};
use crate::seal::Cost;
use crate::source::files::Files;
use crate::source::{Capture, Context, Entry, EntryKind, Error, Sink, Skipped, Source};
use crate::store::Shared;

pub(in crate::restore) struct Bench {
    pub(in crate::restore) runtime: Runtime,
    pub(super) repository: Arc<Repository>,
    index: SharedIndex,
    /// Where the files to be captured are, and where they are restored to.
    pub(super) origin: TempDir,
    pub(super) scratch: TempDir,
}

impl Bench {
    pub(in crate::restore) fn new(store: Shared) -> Self {
        let runtime = Runtime::new().unwrap();
        let cost = Cost { log_n: 4, ..Cost::DEFAULT };
        let password = "correct horse".to_owned().into();
        let repository =
            runtime.block_on(Repository::create(store, &password, cost, &SystemClock)).unwrap();
        Self {
            runtime,
            repository: Arc::new(repository),
            index: Arc::new(RwLock::new(Default::default())),
            origin: tempfile::tempdir().unwrap(),
            scratch: tempfile::tempdir().unwrap(),
        }
    }

    pub(super) fn source(&self) -> Files {
        let settings = FilesSettings {
            paths: vec![self.origin.path().to_owned()],
            exclude: Vec::new(),
            one_file_system: true,
            may_skip: Vec::new(),
        };
        Files::new("uploads".parse().unwrap(), settings)
    }

    /// Captures the origin into a tree with one folder, `uploads`.
    pub(super) fn back_up(&self) -> (BlobId, Capture) {
        let clock = Arc::new(SystemClock);
        let handle = self.runtime.handle().clone();
        let writer = self.repository.writer(self.index.clone(), handle, clock.clone());
        let sink = TreeSink { writer, root: Mutex::default() };
        let context = Context {
            clock,
            progress: Arc::new(Silent),
            staging: PathBuf::new(),
            interrupted: Arc::new(AtomicBool::new(false)),
            questions: Vec::new(),
        };
        let captured = self.source().capture(&context, &sink).unwrap();
        let mut root = Folder::default();
        root.insert(b"uploads", node(b"uploads", DIR));
        root.children.get_mut(&b"uploads"[..]).unwrap().children =
            sink.root.into_inner().unwrap().children;
        let tree = root.store(&sink.writer);
        self.runtime.block_on(sink.writer.finish()).unwrap();
        (tree, captured)
    }

    /// A tree with one file.
    pub(in crate::restore) fn with_file(&self, name: &str, content: &str) -> BlobId {
        let (handle, clock) = (self.runtime.handle().clone(), Arc::new(SystemClock));
        let writer = self.repository.writer(self.index.clone(), handle, clock);
        let stored = writer.store_content(&mut content.as_bytes()).unwrap();
        let kind = NodeKind::File { size: stored.size, content: stored.ids };
        let tree = writer.store_tree(&Tree { nodes: vec![node(name.as_bytes(), kind)] }).unwrap();
        self.runtime.block_on(writer.finish()).unwrap();
        tree
    }

    pub(in crate::restore) fn reader(&self) -> Reader {
        Reader::new(self.repository.clone(), self.index.clone())
    }

    pub(super) fn request(&self) -> Request {
        Request {
            to: self.scratch.path().join("to"),
            select: Select::Everything,
            occupied: Occupied::Refuse,
            fidelity: Fidelity::Full,
            most_bytes: None,
            interrupted: Arc::default(),
        }
    }

    pub(super) fn restore(
        &self,
        reader: &Reader,
        tree: BlobId,
        request: &Request,
    ) -> Result<Restored, super::super::Error> {
        self.runtime.block_on(run(reader, tree, request, Arc::new(Silent)))
    }

    pub(super) fn recheck(&self, tree: BlobId, request: &Request) -> Compared {
        let reader = self.reader();
        self.runtime.block_on(recheck(&reader, tree, request, Arc::new(Silent))).unwrap()
    }

    /// Where a file of the origin lies once restored.
    pub(super) fn restored(&self, name: &str) -> PathBuf {
        let below = self.origin.path().strip_prefix("/").unwrap();
        self.request().to.join("uploads").join(below).join(name)
    }

    /// The path of a file of the origin as reports show it.
    pub(super) fn shown(&self, name: &str) -> String {
        Path::new("uploads")
            .join(self.origin.path().strip_prefix("/").unwrap())
            .join(name)
            .display()
            .to_string()
    }
}

/// A folder whose subtree is filled in when it is stored.
pub(in crate::restore) const DIR: NodeKind =
    NodeKind::Dir { subtree: BlobId(crate::ground::digest::Digest::ZERO) };

pub(in crate::restore) fn node(name: &[u8], kind: NodeKind) -> Node {
    Node {
        name: name.to_vec(),
        kind,
        mode: 0o700,
        mtime: None,
        atime: None,
        ctime: None,
        uid: 0,
        gid: 0,
        user: String::new(),
        group: String::new(),
        inode: 0,
        device_id: 0,
        links: 1,
        xattrs: Vec::new(),
    }
}

struct TreeSink {
    writer: Writer,
    root: Mutex<Folder>,
}

#[derive(Default)]
struct Folder {
    node: Option<Node>,
    children: BTreeMap<Vec<u8>, Folder>,
}

impl Folder {
    fn insert(&mut self, path: &[u8], node: Node) {
        let mut at = self;
        for part in path.split(|byte| *byte == b'/') {
            at = at.children.entry(part.to_vec()).or_default();
        }
        at.node = Some(node);
    }

    fn store(&self, writer: &Writer) -> BlobId {
        let mut nodes = Vec::new();
        for child in self.children.values() {
            let mut node = child.node.clone().unwrap();
            if let NodeKind::Dir { subtree } = &mut node.kind {
                *subtree = child.store(writer);
            }
            nodes.push(node);
        }
        writer.store_tree(&Tree { nodes }).unwrap()
    }
}

impl Sink for TreeSink {
    fn put(&self, entry: Entry) -> Result<(), Error> {
        let kind = match entry.meta.kind {
            EntryKind::File { .. } => {
                let mut stream = entry.content.unwrap().open().unwrap();
                let content = self.writer.store_content(&mut stream).unwrap();
                assert_eq!(stream.finish().unwrap(), None);
                NodeKind::File { size: content.size, content: content.ids }
            }
            EntryKind::Dir => DIR,
            EntryKind::Symlink { target } => NodeKind::Symlink { target },
            EntryKind::BlockDevice { number } => NodeKind::Device { number },
            EntryKind::CharDevice { number } => NodeKind::CharDevice { number },
            EntryKind::Fifo => NodeKind::Fifo,
            EntryKind::Socket => NodeKind::Socket,
        };
        let name = entry.path.rsplit(|byte| *byte == b'/').next().unwrap();
        let node = Node {
            mode: entry.meta.mode,
            mtime: Some(entry.meta.mtime),
            atime: Some(entry.meta.mtime),
            ctime: Some(entry.meta.ctime),
            uid: entry.meta.uid,
            gid: entry.meta.gid,
            inode: entry.meta.inode,
            device_id: entry.meta.device_id,
            links: entry.meta.links,
            xattrs: entry.meta.xattrs,
            ..node(name, kind)
        };
        self.root.lock().unwrap().insert(&entry.path, node);
        Ok(())
    }

    fn in_any_order(&self) {}

    fn start_over(&self) -> Result<(), Error> {
        unreachable!("a tree is captured once")
    }

    fn settle(&self) -> Result<Vec<Skipped>, Error> {
        Ok(Vec::new())
    }
}
