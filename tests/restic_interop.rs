//! Stock restic on what our pipeline wrote, and our pipeline on what stock restic wrote.
//!
//! Needs `restic` on the path: what is promised here cannot be shown without it.

use std::collections::{BTreeMap, HashMap};
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::{Arc, Mutex, RwLock};

use futures_util::TryStreamExt;
use jiff::Timestamp;
use lifeboat::ground::clock::SystemClock;
use lifeboat::ground::progress::Silent;
use lifeboat::repo::{
    BlobKind, Depth, Index, Node, NodeKind, Reader, Repository, SharedIndex, Snapshot, Tree, verify,
};
use lifeboat::seal::Cost;
use lifeboat::store::{Memory, Put, Store};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const PASSWORD: &str = "correct horse";

/// A folder that holds a repository and its password.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("password"), PASSWORD).unwrap();
        for part in ["keys", "locks", "snapshots", "index", "data"] {
            std::fs::create_dir_all(folder.path().join("repo").join(part)).unwrap();
        }
        Self(folder)
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    fn restic(&self, arguments: &[&str]) -> Output {
        let output = Command::new("restic")
            .arg("--no-cache")
            .arg("-r")
            .arg(self.path("repo"))
            .arg("--password-file")
            .arg(self.path("password"))
            .args(arguments)
            .env("HOME", self.0.path())
            .output()
            .expect("restic is installed");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "restic {arguments:?}: {said}");
        output
    }

    /// Everything of the repository's folder, as objects.
    async fn load(&self) -> Arc<Memory> {
        let store = Memory::new();
        let root = self.path("repo");
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                    continue;
                }
                let name = path.strip_prefix(&root).unwrap().to_str().unwrap().parse().unwrap();
                let bytes = std::fs::read(&path).unwrap();
                store.put(&name, bytes.into(), Put::Create).await.unwrap();
            }
        }
        Arc::new(store)
    }

    /// Writes every object into the repository's folder.
    async fn save(&self, store: &Memory) {
        let objects: Vec<_> = store.list(None).try_collect().await.unwrap();
        for object in objects {
            let path = self.path("repo").join(object.name.as_str());
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, store.get(&object.name, None).await.unwrap()).unwrap();
        }
    }
}

fn noise(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    rand::TryRng::try_fill_bytes(&mut rand::rngs::SysRng, &mut bytes).unwrap();
    bytes
}

/// File contents that take every way through the pipeline.
fn contents() -> BTreeMap<String, Vec<u8>> {
    [
        ("empty", Vec::new()),
        ("media", noise(6 << 20)),
        ("small", b"x".to_vec()),
        ("text", b"INSERT INTO orders VALUES (1, 'pen');\n".repeat(120_000)),
        ("订单.db", [&b"SQLite format 3\0"[..], &noise(1 << 20)].concat()),
    ]
    .map(|(name, bytes)| (name.to_owned(), bytes))
    .into()
}

fn node(name: &str, kind: NodeKind) -> Node {
    Node {
        name: name.as_bytes().to_vec(),
        mode: if matches!(kind, NodeKind::Dir { .. }) { 0o755 } else { 0o644 },
        kind,
        mtime: Some(Timestamp::UNIX_EPOCH),
        atime: Some(Timestamp::UNIX_EPOCH),
        ctime: Some(Timestamp::UNIX_EPOCH),
        uid: rustix::process::getuid().as_raw(),
        gid: rustix::process::getgid().as_raw(),
        user: String::new(),
        group: String::new(),
        inode: 0,
        device_id: 0,
        links: 1,
        xattrs: Vec::new(),
    }
}

/// Stores `files` as the folder `shop` of a new snapshot.
async fn back_up(repository: &Arc<Repository>, files: &BTreeMap<String, Vec<u8>>) {
    let index: SharedIndex = Arc::new(RwLock::new(repository.load_index().await.unwrap()));
    let runtime = tokio::runtime::Handle::current();
    let writer = repository.writer(index, runtime, Arc::new(SystemClock));
    let files = files.clone();
    let (writer, tree) = tokio::task::spawn_blocking(move || {
        let mut shop = Tree::default();
        for (name, bytes) in &files {
            let stored = writer.store_content(&mut &bytes[..]).unwrap();
            let kind = NodeKind::File { size: stored.size, content: stored.ids };
            shop.nodes.push(node(name, kind));
        }
        let subtree = writer.store_tree(&shop).unwrap();
        let root = Tree { nodes: vec![node("shop", NodeKind::Dir { subtree })] };
        let tree = writer.store_tree(&root).unwrap();
        (writer, tree)
    })
    .await
    .unwrap();
    writer.finish().await.unwrap();
    let snapshot = Snapshot {
        time: Timestamp::now(),
        parent: None,
        original: None,
        tree,
        paths: vec!["/shop".into()],
        hostname: "acme".into(),
        username: "lifeboat".into(),
        uid: 0,
        gid: 0,
        tags: vec!["lifeboat".into()],
        program_version: "lifeboat".into(),
        others: Default::default(),
        summary: None,
    };
    repository.save_snapshot(&snapshot).await.unwrap();
}

/// Every regular file of a snapshot, by the last part of its path.
async fn read_files(
    repository: &Arc<Repository>,
    snapshot: &Snapshot,
) -> BTreeMap<String, Vec<u8>> {
    let index: Index = repository.load_index().await.unwrap();
    let reader = Reader::new(repository.clone(), Arc::new(RwLock::new(index)));
    let mut walk = reader.walk(snapshot.tree);
    let mut files = Vec::new();
    while let Some(entry) = walk.next().await {
        let node = entry.unwrap().node;
        if let NodeKind::File { content, size } = node.kind {
            files.push((String::from_utf8(node.name).unwrap(), content, size));
        }
    }
    let blobs = Mutex::new(HashMap::new());
    let each = |id, bytes: Result<Vec<u8>, _>| {
        blobs.lock().unwrap().insert(id, bytes.unwrap());
        ControlFlow::Continue(())
    };
    let wanted = files.iter().flat_map(|(_, content, _)| content.clone());
    reader.fetch(BlobKind::Data, wanted, &each).await.unwrap();
    let blobs = blobs.into_inner().unwrap();
    files
        .into_iter()
        .map(|(name, content, size)| {
            let bytes: Vec<u8> = content.iter().flat_map(|id| blobs[id].clone()).collect();
            assert_eq!(bytes.len() as u64, size, "{name}");
            (name, bytes)
        })
        .collect()
}

fn assert_same(found: &BTreeMap<String, Vec<u8>>, expected: &BTreeMap<String, Vec<u8>>) {
    let names: (Vec<_>, Vec<_>) = (found.keys().collect(), expected.keys().collect());
    assert_eq!(names.0, names.1);
    for (name, bytes) in expected {
        assert!(found[name] == *bytes, "{name} is not what was stored");
    }
}

fn read_folder(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap());
    entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

async fn open(store: &Arc<Memory>) -> Arc<Repository> {
    let password = PASSWORD.to_owned().into();
    Arc::new(Repository::open(store.clone(), &password).await.unwrap())
}

#[test]
fn restic_checks_and_restores_what_we_wrote() {
    let folder = Folder::new();
    let files = contents();
    Runtime::new().unwrap().block_on(async {
        let store = Arc::new(Memory::new());
        let password = PASSWORD.to_owned().into();
        let cost = Cost::DEFAULT;
        let repository =
            Repository::create(store.clone(), &password, cost, &SystemClock).await.unwrap();
        back_up(&Arc::new(repository), &files).await;
        folder.save(&store).await;
    });

    folder.restic(&["check", "--read-data"]);
    let target = folder.path("restored");
    folder.restic(&["restore", "latest", "--target", target.to_str().unwrap()]);

    assert_same(&read_folder(&target.join("shop")), &files);
}

#[test]
fn we_verify_and_read_what_restic_wrote_and_restic_checks_what_we_add() {
    // Arguments of `init`, then of `backup`.
    let cases: [(&[&str], &[&str]); 4] = [
        (&[], &[]),
        (&[], &["--compression", "off"]),
        (&[], &["--compression", "max"]),
        (&["--repository-version", "1"], &[]),
    ];
    let mut files = contents();
    let runtime = Runtime::new().unwrap();
    for (init, backup) in cases {
        let folder = Folder::new();
        let shop = folder.path("shop");
        std::fs::create_dir(&shop).unwrap();
        for (name, bytes) in &files {
            std::fs::write(shop.join(name), bytes).unwrap();
        }
        // restic wants to make these itself.
        std::fs::remove_dir_all(folder.path("repo")).unwrap();
        folder.restic(&[&["init"], init].concat());
        folder.restic(&[&["backup", shop.to_str().unwrap()], backup].concat());

        runtime.block_on(async {
            let store = folder.load().await;
            let repository = open(&store).await;
            let verified = verify(&repository, &[], Depth::ReadData, &Silent).await.unwrap();
            assert_eq!(verified.errors, [], "{init:?} {backup:?}");
            assert_eq!((verified.snapshots, verified.hints), (1, vec![]));
            let snapshots = repository.snapshots().await.unwrap();
            assert_same(&read_files(&repository, &snapshots[0].1).await, &files);

            files.insert("later".into(), b"a later line\n".repeat(1000));
            back_up(&repository, &files).await;
            let verified = verify(&repository, &[], Depth::ReadData, &Silent).await.unwrap();
            assert_eq!(verified.errors, [], "{init:?} {backup:?}");
            folder.save(&store).await;
        });
        folder.restic(&["check", "--read-data"]);
        let target = folder.path("restored");
        folder.restic(&["restore", "latest", "--target", target.to_str().unwrap()]);
        assert_same(&read_folder(&target.join("shop")), &files);
        files.remove("later");
    }
}
