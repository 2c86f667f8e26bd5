//! The pipeline as a whole, both ways, on stores that work and on stores that do not.

mod damage;
mod failure;
mod forgotten;
mod matrix;
mod parts;
mod repair_index;
mod repair_snapshots;
mod round_trip;
mod shared;

use std::collections::HashMap;
use std::io::Read;
use std::ops::{ControlFlow, Range};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt;
use futures_util::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;
use tokio::runtime::Runtime;

use super::*;
use crate::ground::clock::{Clock, SetClock, SystemClock};
use crate::seal::Cost;
use crate::store::{self, Memory, Object, ObjectName, Put, Store};

/// Bytes that no cut can guess and no compressor shrinks.
fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut bytes).unwrap();
    bytes
}

/// A store in memory that can be told to fail.
#[derive(Debug, Default)]
struct Faulty {
    memory: Memory,
    /// Puts below `data/` and `index/` that still succeed; `usize::MAX` for all.
    puts_left: AtomicUsize,
    gets_fail: AtomicBool,
    /// An object that lies on a bad sector.
    bad: std::sync::Mutex<Option<ObjectName>>,
    lists_fail: AtomicBool,
}

impl Faulty {
    fn working() -> Arc<Self> {
        Arc::new(Self { puts_left: AtomicUsize::new(usize::MAX), ..Self::default() })
    }

    fn broken(name: &str) -> store::Error {
        store::Error::io("reach", name, "the line is cut")
    }
}

#[async_trait]
impl Store for Faulty {
    async fn put(&self, name: &ObjectName, body: Bytes, how: Put) -> store::Result<()> {
        let counts = ["data/", "index/"].iter().any(|folder| name.as_str().starts_with(folder));
        let fewer = |left: usize| if left == usize::MAX { Some(left) } else { left.checked_sub(1) };
        if counts && self.puts_left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, fewer).is_err()
        {
            return Err(Self::broken(name.as_str()));
        }
        self.memory.put(name, body, how).await
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> store::Result<Bytes> {
        if self.gets_fail.load(Ordering::SeqCst) {
            return Err(Self::broken(name.as_str()));
        }
        if self.bad.lock().unwrap().as_ref() == Some(name) {
            let error = std::io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error());
            return Err(store::Error::io("read", name.as_str(), error));
        }
        self.memory.get(name, range).await
    }

    fn list(&self, prefix: Option<&ObjectName>) -> BoxStream<'_, store::Result<Object>> {
        if self.lists_fail.load(Ordering::SeqCst) {
            return stream::iter([Err(Self::broken("a listing"))]).boxed();
        }
        self.memory.list(prefix)
    }

    async fn delete(&self, name: &ObjectName) -> store::Result<()> {
        self.memory.delete(name).await
    }

    fn place(&self) -> String {
        "a faulty memory".into()
    }
}

/// A new repository, a runtime, and what the tests ask of both.
struct Bench {
    runtime: Runtime,
    store: Arc<Faulty>,
    repository: Arc<Repository>,
}

impl Bench {
    fn new() -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_time()
            .build()
            .unwrap();
        let store = Faulty::working();
        let cheap = Cost { log_n: 4, r: 8, p: 1 };
        let password = "a password".to_owned().into();
        let repository = runtime
            .block_on(Repository::create(store.clone(), &password, cheap, &SystemClock))
            .unwrap();
        Self { runtime, store, repository: Arc::new(repository) }
    }

    /// The index as its files have it now.
    fn index(&self) -> SharedIndex {
        let index = self.runtime.block_on(self.repository.load_index()).unwrap();
        Arc::new(RwLock::new(index))
    }

    fn writer(&self) -> Writer {
        self.writer_with(self.index(), Arc::new(SystemClock))
    }

    fn writer_with(&self, index: SharedIndex, clock: Arc<dyn Clock>) -> Writer {
        self.repository.writer(index, self.runtime.handle().clone(), clock)
    }

    fn finish(&self, writer: Writer) -> Result<Added, WriteError> {
        self.runtime.block_on(writer.finish())
    }

    fn reader(&self) -> Reader {
        Reader::new(self.repository.clone(), self.index())
    }

    /// Everything that fetching `wanted` handed over.
    fn fetch(
        &self,
        reader: &Reader,
        wanted: &[BlobId],
    ) -> Result<HashMap<BlobId, Result<Vec<u8>, ReadError>>, ReadError> {
        let got = Mutex::new(HashMap::new());
        let each = |id, outcome| {
            assert!(got.lock().unwrap().insert(id, outcome).is_none(), "{id} came twice");
            ControlFlow::Continue(())
        };
        let wanted = wanted.iter().copied();
        self.runtime.block_on(reader.fetch(BlobKind::Data, wanted, &each))?;
        Ok(got.into_inner().unwrap())
    }

    fn verify(&self, depth: Depth) -> Result<Verified, VerifyError> {
        let silent = crate::ground::progress::Silent;
        self.runtime.block_on(verify(&self.repository, &[], depth, &silent))
    }

    /// The names below `folder`, sorted.
    fn names(&self, folder: &str) -> Vec<ObjectName> {
        let folder = folder.parse().unwrap();
        let listed = self.store.memory.list(Some(&folder)).map_ok(|object| object.name);
        let mut names: Vec<_> = self.runtime.block_on(listed.try_collect()).unwrap();
        names.sort();
        names
    }

    fn bytes(&self, name: &ObjectName) -> Bytes {
        self.runtime.block_on(self.store.memory.get(name, None)).unwrap()
    }

    fn replace(&self, name: &ObjectName, bytes: impl Into<Bytes>) {
        let put = self.store.memory.put(name, bytes.into(), Put::Overwrite);
        self.runtime.block_on(put).unwrap();
    }

    fn remove(&self, name: &ObjectName) {
        self.runtime.block_on(self.store.memory.delete(name)).unwrap();
    }

    /// Every object but locks.
    fn objects(&self) -> HashMap<ObjectName, Bytes> {
        let folders = ["data", "index", "snapshots", "damaged"];
        let names = folders.iter().flat_map(|folder| self.names(folder));
        names.map(|name| (name.clone(), self.bytes(&name))).collect()
    }

    /// Makes everything as it was.
    fn reset(&self, objects: &HashMap<ObjectName, Bytes>) {
        self.objects().keys().filter(|name| !objects.contains_key(name)).for_each(|name| {
            self.remove(name);
        });
        objects.iter().for_each(|(name, bytes)| self.replace(name, bytes.clone()));
    }

    /// Stores files (`/a` or `/folder/a`) as one snapshot; returns its id and the files' blobs.
    fn back_up(&self, files: &[(&str, &[u8])]) -> (SnapshotId, Vec<Vec<BlobId>>) {
        let writer = self.writer();
        let mut root = Tree::default();
        let mut folder = Tree::default();
        let mut contents = Vec::new();
        for (path, bytes) in files {
            let stored = writer.store_content(&mut &bytes[..]).unwrap();
            assert_eq!(stored.size, bytes.len() as u64);
            let kind = NodeKind::File { size: stored.size, content: stored.ids.clone() };
            contents.push(stored.ids);
            match path.strip_prefix("/folder/") {
                Some(name) => folder.nodes.push(node(name, kind)),
                None => root.nodes.push(node(&path[1..], kind)),
            }
        }
        if !folder.nodes.is_empty() {
            let subtree = writer.store_tree(&folder).unwrap();
            root.nodes.push(node("folder", NodeKind::Dir { subtree }));
        }
        let tree = writer.store_tree(&root).unwrap();
        self.finish(writer).unwrap();
        let snapshot = snapshot(tree);
        let id = self.runtime.block_on(self.repository.save_snapshot(&snapshot)).unwrap();
        (id, contents)
    }
}

fn node(name: &str, kind: NodeKind) -> Node {
    let mode = if matches!(kind, NodeKind::Dir { .. }) { 0o755 } else { 0o644 };
    Node {
        name: name.as_bytes().to_vec(),
        kind,
        mode,
        mtime: Some(Timestamp::UNIX_EPOCH),
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

fn snapshot(tree: BlobId) -> Snapshot {
    Snapshot {
        time: Timestamp::UNIX_EPOCH,
        parent: None,
        original: None,
        tree,
        paths: vec!["/".into()],
        hostname: "host".into(),
        username: "user".into(),
        uid: 0,
        gid: 0,
        tags: Vec::new(),
        program_version: "test".into(),
        others: Default::default(),
        summary: None,
    }
}

/// Reads a stream that ends badly after its first bytes.
struct Breaking<'a>(&'a [u8]);

impl Read for Breaking<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        match self.0.read(out)? {
            0 => Err(std::io::Error::other("the disk is gone")),
            count => Ok(count),
        }
    }
}

fn standing_clock() -> Arc<SetClock> {
    Arc::new(SetClock::at(Timestamp::UNIX_EPOCH))
}
