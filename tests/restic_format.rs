//! Our reading of the format against repositories that stock restic made, and the other way round.
//! Without a `restic` in the path there is nothing to compare with, and the tests fail.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use lifeboat::ground::clock::{Clock, SystemClock};
use lifeboat::ground::digest::Digest;
use lifeboat::repo::layout::{self, Folder};
use lifeboat::repo::lock::{Claim, LockError};
use lifeboat::repo::pack::{self, PackBuilder};
use lifeboat::repo::{
    BlobId, BlobKind, IndexFile, IndexPack, Lock, NodeKind, Repository, Snapshot, Tree,
};
use lifeboat::seal::Cost;
use lifeboat::store::{Memory, Put, Shared, Store};

fn restic(repository: &Path, arguments: &[&str]) -> String {
    let output = Command::new("restic")
        .args(["--no-cache", "--repo"])
        .arg(repository)
        .args(arguments)
        .env("RESTIC_PASSWORD", "right")
        .env("TZ", "UTC")
        .output()
        .expect("restic is installed");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "restic {arguments:?}: {told}");
    String::from_utf8(output.stdout).unwrap()
}

/// The objects below `folder` in a store of their own.
async fn load(folder: &Path) -> Shared {
    let store = Memory::new();
    let mut pending = vec![folder.to_owned()];
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            pending.extend(std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()));
        } else {
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap().parse().unwrap();
            store.put(&name, std::fs::read(path).unwrap().into(), Put::Create).await.unwrap();
        }
    }
    Arc::new(store)
}

/// Writes all objects of a store below `folder`.
async fn dump(repository: &Repository, folder: &Path) {
    let folders = [Folder::Data, Folder::Index, Folder::Keys, Folder::Locks, Folder::Snapshots];
    let mut names = vec![layout::config()];
    for place in folders {
        let listed = place.list(&**repository.store()).await.unwrap();
        names.extend(listed.into_iter().map(|(_, object)| object.name));
    }
    for name in names {
        let path = folder.join(name.as_str());
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, repository.store().get(&name, None).await.unwrap()).unwrap();
    }
}

/// A source with every kind of entry that a test can make without being root.
fn make_source(folder: &Path) {
    use std::os::unix::ffi::OsStrExt;

    std::fs::create_dir_all(folder.join("deep/er")).unwrap();
    std::fs::write(folder.join("deep/er/orders"), "order 4711\n".repeat(5000)).unwrap();
    std::fs::write(folder.join("empty"), "").unwrap();
    for name in [&b"a<b>&\"q\\"[..], b"raw\xff\x01\n", "中文 \u{2028}\u{e9}".as_bytes()] {
        std::fs::write(folder.join(std::ffi::OsStr::from_bytes(name)), name).unwrap();
    }
    std::os::unix::fs::symlink("deep/<er>", folder.join("link")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        folder.join("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RWXU,
        0,
    )
    .unwrap();
}

/// Reads every pack, blob, tree and snapshot; returns how many trees there were.
async fn read_everything(repository: &Repository) -> usize {
    let key = repository.key();
    let index = repository.load_index().await.unwrap();
    let mut trees = 0;
    for (id, blobs) in index.packs() {
        let bytes = repository.store().get(&layout::pack(&id), None).await.unwrap();
        let size = bytes.len() as u64;
        assert_eq!(Digest::of(&bytes), id.0);
        assert_eq!(pack::read_header(key, size, &bytes).unwrap(), blobs);
        assert_eq!(pack::expected_size(&blobs), size);
        for blob in &blobs {
            let sealed = &bytes[blob.offset as usize..blob.end() as usize];
            let plain = pack::open_blob(key, blob, sealed).unwrap();
            if blob.kind == BlobKind::Tree {
                let again = Tree::decode(&plain).unwrap().encode();
                assert_eq!(String::from_utf8(again).unwrap(), String::from_utf8(plain).unwrap());
                trees += 1;
            }
        }
    }
    for (_, snapshot) in repository.snapshots().await.unwrap() {
        assert!(index.lookup(BlobKind::Tree, &snapshot.tree).is_some());
    }
    trees
}

#[tokio::test]
async fn everything_in_a_repository_of_restics_is_read_and_trees_are_written_again_alike() {
    let place = tempfile::tempdir().unwrap();
    let (folder, source) = (place.path().join("repo"), place.path().join("source"));
    make_source(&source);
    for (init, backup) in [
        (&["init"][..], &["backup", "--tag", "lifeboat", "--compression", "max"][..]),
        (&["init", "--repository-version", "1"], &["backup", "--tag", "lifeboat"]),
    ] {
        restic(&folder, init);
        restic(&folder, &[backup, &[source.to_str().unwrap()]].concat());

        let password = "right".to_owned().into();
        let repository = Repository::open(load(&folder).await, &password).await.unwrap();

        assert!(repository.config().chunker_polynomial.is_irreducible());
        assert!(read_everything(&repository).await >= 4);
        let (id, snapshot) = repository.snapshots().await.unwrap().remove(0);
        assert_eq!(snapshot.tags, ["lifeboat"]);
        assert_eq!(repository.find(&id.0.short(), &[]).await.unwrap(), id);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}

#[tokio::test]
async fn a_repository_frozen_from_restic_0_14_stays_readable() {
    let frozen =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/frozen/restic-0.14.0-repository");

    let repository =
        Repository::open(load(&frozen).await, &"right".to_owned().into()).await.unwrap();

    assert_eq!(read_everything(&repository).await, 2);
    let (_, snapshot) = repository.snapshots().await.unwrap().remove(0);
    assert_eq!((&*snapshot.hostname, &*snapshot.tags), ("acme", &["lifeboat".to_owned()][..]));
}

#[tokio::test]
async fn restic_checks_and_prints_a_repository_of_ours() {
    let store: Shared = Arc::new(Memory::new());
    let password = "right".to_owned().into();
    let repository =
        Repository::create(store, &password, Cost::DEFAULT, &SystemClock).await.unwrap();
    let mut builder = PackBuilder::new(repository.key().clone());
    let content = b"order 4711\n".repeat(100);
    let node = |name: &str, kind| lifeboat::repo::Node {
        name: name.into(),
        kind,
        mode: 0o640,
        mtime: Some(SystemClock.now()),
        atime: None,
        ctime: None,
        uid: 1,
        gid: 1,
        user: String::new(),
        group: String::new(),
        inode: 0,
        device_id: 0,
        links: 1,
        xattrs: vec![],
    };
    let id = BlobId(Digest::of(&content));
    let file = NodeKind::File { size: content.len() as u64, content: vec![id] };
    let tree = Tree { nodes: vec![node("orders", file)] }.encode();
    let root = BlobId(Digest::of(&tree));
    let compressed = zstd::bulk::compress(&content, 3).unwrap();
    let sealed = repository.key().seal(&compressed);
    builder.add(id, BlobKind::Data, &sealed, content.len() as u32, true);
    let data = builder.finish();
    let mut builder = PackBuilder::new(repository.key().clone());
    builder.add(root, BlobKind::Tree, &repository.key().seal(&tree), tree.len() as u32, false);
    let trees = builder.finish();
    let mut index = IndexFile::default();
    for packed in [data, trees] {
        let name = layout::pack(&packed.id);
        repository.store().put(&name, packed.bytes, Put::Create).await.unwrap();
        index.packs.push(IndexPack { id: packed.id, blobs: packed.blobs });
    }
    repository.save_index(&index).await.unwrap();
    let snapshot = Snapshot {
        time: SystemClock.now(),
        parent: None,
        original: None,
        tree: root,
        paths: vec!["/".into()],
        hostname: "acme".into(),
        username: String::new(),
        uid: 0,
        gid: 0,
        tags: vec!["lifeboat".into()],
        program_version: "lifeboat 0.1.0".into(),
        others: Default::default(),
        summary: None,
    };
    let id = repository.save_snapshot(&snapshot).await.unwrap();
    let place = tempfile::tempdir().unwrap();
    dump(&repository, place.path()).await;

    restic(place.path(), &["check", "--read-data"]);
    assert_eq!(restic(place.path(), &["dump", &id.to_string(), "/orders"]).as_bytes(), content);
    assert!(restic(place.path(), &["snapshots"]).contains("acme"));
}

#[tokio::test]
async fn restic_honours_our_locks_and_we_honour_its() {
    let password = "right".to_owned().into();
    let place = tempfile::tempdir().unwrap();
    restic(place.path(), &["init"]);
    let store = load(place.path()).await;
    let repository = Arc::new(Repository::open(store, &password).await.unwrap());
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);

    let lock = Lock::exclusive(&repository, &clock, &Claim::default()).await.unwrap();
    dump(&repository, place.path()).await;
    let refused = Command::new("restic")
        .args(["--no-cache", "prune", "--repo"])
        .arg(place.path())
        .env("RESTIC_PASSWORD", "right")
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&refused.stderr);
    assert!(!refused.status.success() && told.contains("lifeboat"), "{told}");
    lock.release().await.unwrap();

    // A lock as restic writes it, with its zone and without the fields that it omits.
    let json = br#"{"time":"2026-11-23T06:47:59.5+08:00","exclusive":true,"hostname":"vm","username":"root","pid":7}"#;
    let (name, sealed) = lifeboat::repo::file::encode(repository.key(), json);
    repository.store().put(&Folder::Locks.object(&name), sealed, Put::Create).await.unwrap();
    let error = Lock::shared(&repository, &clock, &Claim::default()).await.unwrap_err();
    assert!(matches!(error, LockError::Locked { pid: 7, .. }), "{error:?}");
}
