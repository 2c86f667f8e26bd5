//! Writes the seeds that come from the golden repository: `cargo run --example seeds`, in `fuzz/`.
//!
//! Everything in it is opened: what fuzzing begins with are real plain texts, a few of each kind and
//! the smallest. Seeds of archives come from `pg_dump` itself (README.md), others are written by hand.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use lifeboat::ground::digest::Digest;
use lifeboat::ledger::record::Record;
use lifeboat::repo::pack::open_blob;
use lifeboat::repo::{BlobId, BlobKind, NodeKind, Repository, Tree, file};
use lifeboat::seal::{Cost, KeyFile, MasterKey};
use lifeboat::store::Local;
use serde_json::{Value, json};

const PASSWORD: &str = "golden-and-known-to-everybody";

fn main() {
    let fuzz = Path::new(env!("CARGO_MANIFEST_DIR"));
    let golden = fuzz.join("../tests/golden/0.1.0");
    let seeds = Seeds { folder: fuzz.join("seeds") };
    let account = golden.join("store/acme");
    let store = Arc::new(Local::open(&account.join("repo")).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let password = PASSWORD.to_owned().into();
    let opened = Repository::open(store, &password);
    let repository = runtime.block_on(opened).unwrap();
    let key = repository.key();
    of_repository(&seeds, &account.join("repo"), key);
    of_blobs(&seeds, &account.join("repo"), key, &runtime, &repository);
    of_ledger(&seeds, &account.join("ledger"), &golden.join("keys"), key);
    of_configuration(&seeds, &golden, &fuzz.join(".."));
}

struct Seeds {
    folder: PathBuf,
}

impl Seeds {
    fn put(&self, target: &str, name: &str, bytes: impl AsRef<[u8]>) {
        let folder = self.folder.join(target);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join(name), bytes).unwrap();
    }

    /// The smallest of many, by name.
    fn put_smallest(&self, target: &str, name: &str, most: usize, mut all: Vec<Vec<u8>>) {
        all.sort_by_key(|bytes| (bytes.len(), bytes.clone()));
        all.dedup();
        for (number, bytes) in all.into_iter().take(most).enumerate() {
            self.put(target, &format!("{name}-{number}"), bytes);
        }
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

fn of_repository(seeds: &Seeds, repo: &Path, key: &MasterKey) {
    let json = |path: &PathBuf| file::decode_unnamed(key, &fs::read(path).unwrap()).unwrap();
    let config = fs::read(repo.join("config")).unwrap();
    seeds.put("config", "golden", file::decode_unnamed(key, &config).unwrap());
    seeds.put("sealed", "golden", &config);
    let indexes = files(&repo.join("index"));
    let snapshots = files(&repo.join("snapshots"));
    seeds.put_smallest("index", "golden", 2, indexes.iter().map(json).collect());
    seeds.put_smallest("snapshot", "golden", 2, snapshots.iter().map(json).collect());
    let plain = |path: &PathBuf| key.open(&fs::read(path).unwrap()).unwrap();
    let all = indexes.iter().chain(&snapshots).map(plain).collect();
    seeds.put_smallest("file", "golden", 2, all);
    for (number, path) in files(&repo.join("keys")).iter().enumerate() {
        seeds.put("key_file", &format!("golden-{number}"), fs::read(path).unwrap());
    }
    let (password, cheap) = (PASSWORD.to_owned().into(), Cost { log_n: 4, ..Cost::DEFAULT });
    let cheap = KeyFile::create(&password, key, cheap, jiff::Timestamp::UNIX_EPOCH, "host");
    seeds.put("key_file", "cheap", serde_json::to_vec(&cheap).unwrap());
    let headers = files(&repo.join("data")).into_iter().map(|path| {
        let pack = fs::read(path).unwrap();
        let (rest, length) = pack.split_last_chunk::<4>().unwrap();
        key.open(&rest[rest.len() - u32::from_le_bytes(*length) as usize..]).unwrap()
    });
    seeds.put_smallest("pack_header", "golden", 3, headers.collect());
}

fn of_blobs(
    seeds: &Seeds,
    repo: &Path,
    key: &MasterKey,
    runtime: &tokio::runtime::Runtime,
    repository: &Repository,
) {
    let index = runtime.block_on(repository.load_index()).unwrap();
    let (mut trees, mut data) = (BTreeMap::new(), Vec::new());
    let mut blobs: BTreeMap<_, Vec<Vec<u8>>> = BTreeMap::new();
    for (pack, packed) in index.packs() {
        let name = pack.to_string();
        let bytes = fs::read(repo.join("data").join(&name[..2]).join(&name)).unwrap();
        for blob in packed {
            let sealed = &bytes[blob.offset as usize..blob.end() as usize];
            let plain = open_blob(key, &blob, sealed).unwrap();
            let says = blob.plain_length.map_or(0, |plain| plain << 1);
            let says = says | u32::from(blob.kind == BlobKind::Tree);
            let seed = [&says.to_le_bytes()[..], &key.open(sealed).unwrap()].concat();
            blobs.entry((blob.kind, blob.plain_length.is_some())).or_default().push(seed);
            match blob.kind {
                BlobKind::Tree => drop(trees.insert(blob.id, plain)),
                BlobKind::Data => data.push(plain),
            }
        }
    }
    for ((kind, is_compressed), all) in blobs {
        let name = format!("{kind:?}-{is_compressed}").to_lowercase();
        seeds.put_smallest("blob", &name, 1, all);
    }
    data.retain(|plain| plain.starts_with(b"{\"format\":1,\"lifeboat\""));
    seeds.put_smallest("manifest", "golden", 1, data);
    let snapshots = runtime.block_on(repository.snapshots()).unwrap();
    let (_, newest) = snapshots.last().unwrap();
    seeds.put("restore", "golden", below(newest.tree, &trees).join(&b"\xff"[..]));
    let mut trees: Vec<_> = trees.into_values().collect();
    trees.sort_by_key(Vec::len);
    seeds.put("tree", "largest", trees.pop().unwrap());
    seeds.put_smallest("tree", "golden", 3, trees);
}

/// The trees of a snapshot, outermost first.
fn below(root: BlobId, trees: &BTreeMap<BlobId, Vec<u8>>) -> Vec<Vec<u8>> {
    let json = &trees[&root];
    let mut found = vec![json.clone()];
    for node in Tree::decode(json).unwrap().nodes {
        if let NodeKind::Dir { subtree } = node.kind {
            found.extend(below(subtree, trees));
        }
    }
    found
}

fn of_ledger(seeds: &Seeds, ledger: &Path, keys: &Path, key: &MasterKey) {
    let plain = |path: &PathBuf| key.open(&fs::read(path).unwrap()).unwrap();
    let segments: Vec<_> = files(&ledger.join("segments")).iter().map(plain).collect();
    seeds.put("segment", "golden", segments[..3.min(segments.len())].join(&b"\xff"[..]));
    let mut kinds: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    for line in segments.concat().split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let record: Value = serde_json::from_slice(line).unwrap();
        let known = kinds.entry(record["kind"].as_str().unwrap().to_owned()).or_default();
        if known.is_empty() || line.len() < known.len() {
            *known = line.to_vec();
        }
    }
    let events = kinds.values().map(|line| serde_json::from_slice::<Record>(line).unwrap().event);
    let events: Vec<_> = events.take(4).collect();
    let held = json!({ "format": 1, "events": events, "details": ["{\"a\":1}"] });
    seeds.put("outbox", "golden", held.to_string());
    for (kind, line) in kinds {
        seeds.put("record", &kind, line);
    }
    let details = files(&ledger.join("details"));
    let (drills, others): (Vec<_>, Vec<_>) =
        details.iter().map(plain).partition(|text| text.windows(8).any(|part| part == b"scratch\""));
    seeds.put_smallest("details", "drill", 1, drills);
    seeds.put_smallest("details", "other", 2, others);
    let checkpoints = files(&ledger.join("checkpoints"));
    let [text, signature] = [&checkpoints[0], &checkpoints[1]].map(|path| fs::read(path).unwrap());
    let [private, public] =
        ["ledger_ed25519", "ledger_ed25519.pub"].map(|name| fs::read(keys.join(name)).unwrap());
    seeds.put("checkpoint", "golden", [text, signature, public, private].join(&b"\xff"[..]));
}

fn of_configuration(seeds: &Seeds, golden: &Path, project: &Path) {
    let read = |path: PathBuf| fs::read(path).unwrap();
    let site = read(golden.join("lifeboat.toml"));
    let shop = [
        site.clone(),
        read(golden.join("policies/shop.toml")),
        read(golden.join("drills/weekly.toml")),
    ];
    seeds.put("site", "golden", shop.join(&b"\xff"[..]));
    for drill in files(&project.join("drills")).into_iter().filter(is_toml) {
        let policy = project.join("policies").join(drill.file_name().unwrap());
        let site = String::from_utf8(site.clone()).unwrap().replace("acme", "example");
        let parts = [site.into_bytes(), read(policy), read(drill.clone())];
        let name = drill.file_stem().unwrap().to_str().unwrap();
        seeds.put("site", name, parts.join(&b"\xff"[..]));
    }
    seeds.put("sealed", "nothing", Digest::ZERO.0);
}

fn is_toml(path: &PathBuf) -> bool {
    path.extension().is_some_and(|extension| extension == "toml")
}
