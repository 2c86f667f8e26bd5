//! What lies below `repo/` in the bucket.

use std::sync::{Arc, OnceLock};

use lifeboat::ground::clock::SystemClock;
use lifeboat::ground::digest::Digest;
use lifeboat::repo::file;
use lifeboat::repo::layout::Folder;
use lifeboat::repo::pack::{self, BlobError, HeaderError, PackBuilder, PackedBlob};
use lifeboat::repo::{
    BlobId, BlobKind, Config, Index, IndexFile, IndexId, Repository, Snapshot, Tree, lock as locks,
};
use lifeboat::seal::{Cost, KeyFile, MasterKey, OVERHEAD};
use lifeboat::store::{Memory, Put};
use serde_json::Value;

use super::bounded::bounded;
use super::runtime;

/// The key that seals what must be opened before it is decoded.
pub fn key() -> &'static MasterKey {
    static KEY: OnceLock<MasterKey> = OnceLock::new();
    KEY.get_or_init(MasterKey::generate)
}

pub fn config(input: &[u8]) {
    let Ok(config) = bounded(input, 16, || serde_json::from_slice::<Config>(input)) else { return };
    config.chunker_polynomial.is_irreducible();
    let json = serde_json::to_vec(&config).unwrap();
    assert_eq!(serde_json::from_slice::<Config>(&json).unwrap(), config);
}

/// What `open` pays for is kept small here: that it refuses what is dear is a test of `seal`.
pub fn key_file(input: &[u8]) {
    let Ok(file) = bounded(input, 16, || serde_json::from_slice::<KeyFile>(input)) else { return };
    let json = serde_json::to_value(&file).unwrap();
    let number = |name: &str| u128::from(json[name].as_u64().unwrap());
    let (n, r, p) = (number("N"), number("r"), number("p"));
    if 128 * r * n.max(1) * p.max(1) <= 1 << 20 {
        let password = "golden-and-known-to-everybody".to_owned().into();
        let _ = bounded(input, 16, || file.open(&password));
    }
}

pub fn sealed(input: &[u8]) {
    assert!(key().open(input).is_err(), "bytes that nobody sealed were opened");
    assert!(file::decode(key(), &Digest::of(input), input).is_err());
    let _ = bounded(input, 2, || pack::read_header(key(), input.len() as u64, input));
    let mut sealed = key().seal(input);
    assert_eq!(key().open(&sealed).unwrap(), input);
    if let Some(first) = input.first() {
        let at = usize::from(*first) % sealed.len();
        sealed[at] ^= 1 << (input.len() % 8);
        assert!(key().open(&sealed).is_err(), "a flipped bit was not seen");
    }
}

/// A file's plain bytes, as they come out of the seal.
pub fn file(input: &[u8]) {
    let (name, stored) = file::encode_uncompressed(key(), input);
    let decoded = bounded(input, 512, || file::decode(key(), &name, &stored));
    if let Ok(json) = decoded
        && matches!(json.first(), Some(b'{' | b'['))
    {
        let (name, stored) = file::encode(key(), &json);
        // What expands more than JSON does is refused, whoever compressed it.
        assert!(
            file::decode(key(), &name, &stored).is_ok_and(|again| again == json)
                || json.len() > 4 << 20
        );
    }
}

pub fn snapshot(input: &[u8]) {
    let Ok(snapshot) = bounded(input, 64, || Snapshot::decode(input)) else { return };
    assert_eq!(Snapshot::decode(&snapshot.encode()).unwrap(), snapshot);
}

pub fn tree(input: &[u8]) {
    let Ok(tree) = bounded(input, 64, || Tree::decode(input)) else { return };
    for node in &tree.nodes {
        assert!(!matches!(&node.name[..], b"" | b"." | b".."));
        assert!(!node.name.iter().any(|byte| matches!(byte, b'/' | 0)));
    }
    let written = tree.encode();
    let again = Tree::decode(&written).unwrap();
    // A NUL in a text, which no file system has, becomes U+FFFD and stays that.
    assert_eq!(again.encode(), written);
    let is_exact = !written.windows(6).any(|text| text == b"\\ufffd");
    assert!(!is_exact || again == tree);
}

pub fn index(input: &[u8]) {
    let Ok(mut decoded) = bounded(input, 64, || IndexFile::decode(input)) else { return };
    for doomed in &mut decoded.packs_to_delete {
        // Any JSON may stand there, floats among them, which are not read exactly.
        doomed.time = None;
    }
    assert_eq!(IndexFile::decode(&decoded.encode()).unwrap(), decoded);
    let files = ["one", "two"].map(|name| (IndexId(Digest::of(name.as_bytes())), decoded.clone()));
    let index = bounded(input, 64, || Index::of_files(files.to_vec()));
    let superseded = |id| decoded.supersedes.contains(id);
    if files.iter().all(|(id, _)| superseded(id)) {
        return;
    }
    for pack in &decoded.packs {
        assert!(index.has_pack(&pack.id));
        for blob in &pack.blobs {
            assert!(index.lookup(blob.kind, &blob.id).is_some());
            let mut places = index.places(blob.kind, &blob.id);
            assert!(places.any(|at| (at.pack, at.offset) == (pack.id, blob.offset)));
            assert!(index.blobs_end(&pack.id) >= Some(blob.end()));
        }
    }
    for (_, blobs) in index.packs().chain(index.doomed_packs()) {
        assert!(blobs.is_sorted_by_key(|blob| blob.offset));
        pack::expected_size(&blobs);
    }
    index.without(&Default::default());
}

/// The plain header of a pack of just the size that it describes.
pub fn pack_header(input: &[u8]) {
    let mut tail = key().seal(input);
    tail.extend_from_slice(&((input.len() + OVERHEAD) as u32).to_le_bytes());
    let read = |size| bounded(input, 16, || pack::read_header(key(), size, &tail));
    let size = match read(tail.len() as u64) {
        Ok(_) => tail.len() as u64,
        Err(HeaderError::SizesDisagree { described, .. }) => described,
        Err(_) => return,
    };
    let Ok(blobs) = read(size) else { return };
    assert_eq!(pack::expected_size(&blobs), size);
    if size > 1 << 16 {
        return;
    }
    let mut builder = PackBuilder::new(key().clone());
    for blob in &blobs {
        let (body, plain) = (vec![0; blob.length as usize], blob.plain_length);
        builder.add(blob.id, blob.kind, &body, plain.unwrap_or(0), plain.is_some());
    }
    let packed = builder.finish();
    assert_eq!(packed.blobs, blobs);
    assert_eq!(pack::read_header(key(), size, &packed.bytes).unwrap(), blobs);
}

/// Four bytes of what the index says, then a blob's bytes as they come out of the seal.
pub fn blob(input: &[u8]) {
    let Some((says, plain)) = input.split_first_chunk::<4>() else { return };
    let sealed = key().seal(plain);
    let says = u32::from_le_bytes(*says);
    let mut blob = PackedBlob {
        id: BlobId(Digest::ZERO),
        kind: if says.is_multiple_of(2) { BlobKind::Data } else { BlobKind::Tree },
        offset: 0,
        length: sealed.len() as u32,
        plain_length: (says > 1).then_some(says >> 1),
    };
    // zstd makes 32 KiB of a byte at most.
    let open =
        |blob: &PackedBlob| bounded(plain, 33 << 10, || pack::open_blob(key(), blob, &sealed));
    if let Err(BlobError::Digest { found, .. }) = open(&blob) {
        blob.id = BlobId(found);
        let opened = open(&blob).unwrap();
        assert_eq!(Digest::of(&opened), found);
        assert_eq!(opened.len() as u64, blob.plain_bytes());
    }
}

/// A lock's JSON, beside which others want to lock.
pub fn lock(input: &[u8]) {
    static REPOSITORY: OnceLock<Arc<Repository>> = OnceLock::new();
    let repository = REPOSITORY.get_or_init(|| {
        let (store, password) = (Arc::new(Memory::new()), "right".to_owned().into());
        let cost = Cost { log_n: 1, ..Cost::DEFAULT };
        let made = Repository::create(store, &password, cost, &SystemClock);
        Arc::new(runtime().block_on(made).unwrap())
    });
    let (name, stored) = file::encode(repository.key(), input);
    runtime().block_on(async {
        let object = Folder::Locks.object(&name);
        repository.store().put(&object, stored, Put::Overwrite).await.unwrap();
        let _ = locks::unlock(repository, &SystemClock, &[], false).await;
        locks::unlock(repository, &SystemClock, &[], true).await.unwrap();
        assert_eq!(Folder::Locks.list(&**repository.store()).await.unwrap(), []);
    });
    let _: Option<Value> = serde_json::from_slice(input).ok();
}
