//! An enemy who holds the repository's key: writes what no honest writer would, and watches what
//! the binary makes of it.
#![allow(dead_code, reason = "each test program uses the part of it that it needs")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lifeboat::ground::digest::Digest;
use lifeboat::repo::layout::{self, Folder};
use lifeboat::repo::{
    BlobId, BlobKind, IndexFile, IndexPack, NodeKind, PackBuilder, Reader, Repository, Snapshot,
    SnapshotId,
};
use lifeboat::store::{self, Local, Prefixed, Put};
use serde_json::{Value, json};

use crate::bench::{self, Bench, Ran, inventory};

/// The most that any run here may hold in memory, in bytes, and the longest it may take.
const MEMORY: u64 = 1200 << 20;
const TIME: Duration = Duration::from_secs(240);

/// A bench with one honest backup, and the key to write lies beside it.
pub struct Enemy {
    pub bench: Bench,
    pub runtime: tokio::runtime::Runtime,
    pub repository: Arc<Repository>,
    /// The honest backup's snapshot.
    honest: String,
}

impl Enemy {
    pub fn new() -> Self {
        let bench = Bench::new();
        let honest = bench.backup()["snapshot"].as_str().unwrap().to_owned();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let store: store::Shared = Arc::new(Prefixed::new(
            Arc::new(Local::open(&bench.path("store")).unwrap()),
            "acme/repo".parse().unwrap(),
        ));
        let password = bench::PASSWORD.to_owned().into();
        let repository = runtime.block_on(Repository::open(store, &password)).unwrap();
        for folder in ["canary", "beside"] {
            fs::create_dir(bench.path(folder)).unwrap();
        }
        fs::write(bench.path("canary/song"), "tweet").unwrap();
        Self { bench, runtime, repository: Arc::new(repository), honest }
    }

    pub fn put(&self, name: &store::ObjectName, bytes: Vec<u8>) {
        let put = self.repository.store().put(name, bytes.into(), Put::Overwrite);
        self.runtime.block_on(put).unwrap();
    }

    /// Stores blobs as they are said to be: kind, id, stored bytes, claimed plain length.
    pub fn pack(&self, blobs: &[(BlobKind, BlobId, &[u8], Option<u32>)]) -> IndexPack {
        let key = self.repository.key();
        let mut builder = PackBuilder::new(key.clone());
        for (kind, id, stored, plain) in blobs {
            builder.add(*id, *kind, &key.seal(stored), plain.unwrap_or(0), plain.is_some());
        }
        let packed = builder.finish();
        self.put(&layout::pack(&packed.id), packed.bytes.to_vec());
        IndexPack { id: packed.id, blobs: packed.blobs }
    }

    pub fn index(&self, packs: Vec<IndexPack>) {
        let file = IndexFile { packs, ..IndexFile::default() };
        self.runtime.block_on(self.repository.save_index(&file)).unwrap();
    }

    pub fn blobs(&self, kind: BlobKind, plain: &[&[u8]]) -> Vec<BlobId> {
        let ids: Vec<_> = plain.iter().map(|plain| BlobId(Digest::of(plain))).collect();
        let blobs: Vec<_> =
            ids.iter().zip(plain).map(|(id, plain)| (kind, *id, *plain, None)).collect();
        self.index(vec![self.pack(&blobs)]);
        ids
    }

    /// A tree whose nodes are exactly this JSON.
    pub fn tree(&self, nodes: &Value) -> BlobId {
        let json = json!({ "nodes": nodes }).to_string();
        self.blobs(BlobKind::Tree, &[json.as_bytes()])[0]
    }

    pub fn snapshot(&self, tree: BlobId) -> String {
        let snapshot = Snapshot {
            time: jiff::Timestamp::now(),
            parent: None,
            original: None,
            tree,
            paths: vec!["/".into()],
            hostname: "acme".into(),
            username: String::new(),
            uid: 0,
            gid: 0,
            tags: vec!["lifeboat".into(), "policy:shop".into()],
            program_version: String::new(),
            others: Default::default(),
            summary: None,
        };
        self.runtime.block_on(self.repository.save_snapshot(&snapshot)).unwrap().to_string()
    }

    /// Seals `plain` (tagged as the format wants it) and stores it under its own name.
    pub fn file(&self, folder: Folder, plain: &[u8]) -> Digest {
        let sealed = self.repository.key().seal(plain);
        let id = Digest::of(&sealed);
        self.put(&folder.object(&id), sealed);
        id
    }

    /// The honest snapshot with another database behind its honest manifest.
    pub fn with_database(&self, bytes: &[u8]) -> String {
        let id: SnapshotId = self.honest().parse().unwrap();
        let index = self.runtime.block_on(self.repository.load_index()).unwrap();
        let reader = Reader::new(self.repository.clone(), Arc::new(std::sync::RwLock::new(index)));
        let snapshot = self.runtime.block_on(self.repository.snapshot(&id)).unwrap();
        let mut root = self.runtime.block_on(reader.tree(&snapshot.tree)).unwrap();
        let content = self.blobs(BlobKind::Data, &[bytes]);
        let folder = self.tree(&json!([file("shop.db", bytes.len() as u64, &content)]));
        let orders = root.nodes.iter_mut().find(|node| node.name == b"orders").unwrap();
        orders.kind = NodeKind::Dir { subtree: folder };
        let tree = self.blobs(BlobKind::Tree, &[&root.encode()])[0];
        self.snapshot(tree)
    }

    /// Restores into `beside/to`, whose neighbours are watched.
    pub fn restore(&self, snapshot: &str, more: &[&str]) -> Ran {
        let to = self.bench.path("beside/to").display().to_string();
        let arguments = ["restore", "shop", "--to", &to, "--snapshot", snapshot, "--json"];
        self.watched(&[&arguments, more].concat())
    }

    pub fn drill(&self, snapshot: &str) -> Value {
        let ran = self.watched(&["drill", "shop", "--snapshot", snapshot, "--json"]);
        assert!(matches!(ran.code, 4 | 5), "{}: {}\n{}", ran.code, ran.stdout, ran.stderr);
        let document = ran.json();
        assert_ne!(document["verdict"], "pass", "{document:#}");
        assert_eq!(self.bench.leftovers(), Vec::<PathBuf>::new());
        document
    }

    /// Runs the binary; whatever comes of it, it neither panics nor takes more than it may, and the
    /// canary and everything beside the target stay as they were.
    #[track_caller]
    pub fn watched(&self, arguments: &[&str]) -> Ran {
        let before = inventory(&self.bench.path("canary"));
        let mut command = self.bench.command(arguments);
        command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped());
        let begun = Instant::now();
        let child = command.spawn().unwrap();
        let pid = child.id();
        let output = std::thread::spawn(move || child.wait_with_output().unwrap());
        let mut peak = 0;
        while !output.is_finished() {
            peak = peak_bytes(pid).unwrap_or(0).max(peak);
            if peak > 2 * MEMORY || begun.elapsed() > TIME {
                let pid = rustix::process::Pid::from_raw(pid as i32).unwrap();
                rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
            }
            std::thread::park_timeout(Duration::from_millis(2));
        }
        let ran = Ran::from(output.join().unwrap());
        let took = begun.elapsed();
        println!("{arguments:?}: {} MiB, {took:?}, exit {}", peak >> 20, ran.code);
        assert!(peak < MEMORY, "{arguments:?} took {} MiB: {}", peak >> 20, ran.stderr);
        assert!(took < TIME, "{arguments:?} took {took:?}");
        assert!(ran.code < 100, "{arguments:?} ended with {}: {}", ran.code, ran.stderr);
        assert!(!ran.stderr.contains("panicked"), "{}", ran.stderr);
        assert_eq!(inventory(&self.bench.path("canary")), before, "the canary was touched");
        let beside: Vec<_> = fs::read_dir(self.bench.path("beside")).unwrap().collect();
        assert!(beside.len() <= 1, "something lies beside the target: {beside:?}");
        ran
    }

    /// What an honest snapshot of the bench gives still comes back.
    pub fn honest_still_restores(&self, snapshot: &str) {
        let to = self.bench.path("honest").display().to_string();
        self.bench.run(&["restore", "shop", "--to", &to, "--snapshot", snapshot]).exits(0);
    }

    pub fn honest(&self) -> String {
        self.honest.clone()
    }
}

/// The most memory that a process ever held.
fn peak_bytes(pid: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok()? << 10)
}

pub fn dir(name: &str, subtree: BlobId) -> Value {
    json!({ "name": name, "type": "dir", "mode": 0o700, "content": null, "subtree": subtree })
}

pub fn file(name: &str, size: u64, content: &[BlobId]) -> Value {
    json!({ "name": name, "type": "file", "mode": 0o600, "size": size, "content": content })
}

pub fn link(name: &str, target: &str) -> Value {
    json!({ "name": name, "type": "symlink", "linktarget": target, "content": null })
}

pub fn compressed(bytes: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(bytes, 3).unwrap()
}
