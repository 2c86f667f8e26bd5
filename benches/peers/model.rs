//! A first backup with the format's real costs for each blob and pack: read, cut, hash, compress
//! (unless a sample says that it is in vain), seal, hash the pack, write it durably; and the JSON of
//! the trees. No index, no locks, no look-up in a parent, no proof that what was compressed expands.
//! The key derivation, which the format demands too, is done where it is asked for.
//!
//! Contents are cut as lifeboat cuts them, so that both store the same blobs.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use fastcdc::v2020::FastCDC;
use lifeboat::ground::clock::{Clock as _, SystemClock};
use lifeboat::ground::digest::Digest;
use lifeboat::seal::{Cost, KeyFile, MasterKey, OVERHEAD};
use zstd::bulk::Compressor;

/// Made of whole pieces of page files.
const SEGMENT: u64 = 30 << 20;
/// A piece of a page file: `src/repo/chunker.rs`.
const PAGES: usize = 96 << 10;
const SQLITE: &[u8; 16] = b"SQLite format 3\0";
const PACK: usize = 32 << 20;
const SAMPLE: usize = 4 << 10;

/// A part of a file, small enough for every core to get some.
struct Segment {
    path: PathBuf,
    offset: u64,
    length: usize,
}

/// Derives a key from a password, as making a repository and opening one do.
pub fn derive_key() {
    let password = "a password of the bench".to_owned().into();
    KeyFile::create(&password, &MasterKey::generate(), Cost::DEFAULT, SystemClock.now(), "bench");
}

/// Stores everything below `folder` as packs in `store`; returns the bytes stored.
pub fn first_backup(folder: &Path, store: &Path, threads: usize) -> u64 {
    let (mut segments, mut trees) = (Vec::new(), Vec::new());
    look_at(folder, &mut segments, &mut trees);
    let (next, stored) = (AtomicUsize::new(0), AtomicU64::new(0));
    let trees = Mutex::new(trees);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                let mut worker = Worker::new(store, &stored);
                while let Some(segment) = segments.get(next.fetch_add(1, Ordering::Relaxed)) {
                    worker.store_segment(segment);
                }
                while let Some(tree) = { trees.lock().expect("no panic").pop() } {
                    worker.store(&tree);
                }
                worker.close_pack();
            });
        }
    });
    stored.into_inner()
}

/// Finds the contents and writes each folder's tree, with zeros for the ids of its contents.
fn look_at(folder: &Path, segments: &mut Vec<Segment>, trees: &mut Vec<Vec<u8>>) {
    let mut nodes = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder that can be listed") {
        let entry = entry.expect("an entry");
        let metadata = entry.metadata().expect("metadata");
        if metadata.is_dir() {
            look_at(&entry.path(), segments, trees);
        }
        let blobs = if metadata.is_file() { metadata.len().div_ceil(1 << 20) } else { 1 };
        nodes.push(serde_json::json!({
            "name": entry.file_name().to_string_lossy(), "type": "file", "mode": metadata.mode(),
            "mtime": metadata.mtime(), "ctime": metadata.ctime(), "uid": metadata.uid(),
            "gid": metadata.gid(), "inode": metadata.ino(), "device_id": metadata.dev(),
            "size": metadata.len(), "links": metadata.nlink(),
            "content": vec![Digest::ZERO; blobs as usize],
        }));
        let mut offset = 0;
        while metadata.is_file() && offset < metadata.len() {
            let length = SEGMENT.min(metadata.len() - offset);
            segments.push(Segment { path: entry.path(), offset, length: length as usize });
            offset += length;
        }
    }
    trees.push(serde_json::to_vec(&nodes).expect("JSON"));
}

struct Worker<'a> {
    store: &'a Path,
    stored: &'a AtomicU64,
    key: MasterKey,
    compressor: Compressor<'static>,
    sampler: Compressor<'static>,
    content: Vec<u8>,
    compressed: Vec<u8>,
    pack: Vec<u8>,
}

impl<'a> Worker<'a> {
    fn new(store: &'a Path, stored: &'a AtomicU64) -> Self {
        Self {
            store,
            stored,
            key: MasterKey::generate(),
            compressor: Compressor::new(3).expect("memory"),
            sampler: Compressor::new(1).expect("memory"),
            content: Vec::new(),
            compressed: Vec::new(),
            pack: Vec::with_capacity(PACK + (8 << 20)),
        }
    }

    fn store_segment(&mut self, segment: &Segment) {
        let file = File::open(&segment.path).expect("a file");
        let mut content = std::mem::take(&mut self.content);
        content.resize(segment.length, 0);
        file.read_exact_at(&mut content, segment.offset).expect("as long as listed");
        if is_paged(&file) {
            content.chunks(PAGES).for_each(|piece| self.store(piece));
        } else {
            for cut in FastCDC::new(&content, 256 << 10, 1 << 20, 4 << 20) {
                self.store(&content[cut.offset..cut.offset + cut.length]);
            }
        }
        self.content = content;
    }

    fn store(&mut self, plain: &[u8]) {
        let id = Digest::of(plain);
        let body = if self.shrinks(plain) {
            self.compressed.clear();
            self.compressed.reserve(zstd::zstd_safe::compress_bound(plain.len()));
            self.compressor.compress_to_buffer(plain, &mut self.compressed).expect("memory");
            &self.compressed[..]
        } else {
            plain
        };
        self.key.seal_onto(body, &mut self.pack);
        // The header's entry, so that the id is not for nothing.
        self.pack.extend_from_slice(&id.0);
        if self.pack.len() >= PACK {
            self.close_pack();
        }
    }

    fn shrinks(&mut self, plain: &[u8]) -> bool {
        if plain.len() < 64 << 10 {
            return true;
        }
        let last = plain.len() - SAMPLE;
        let sample: Vec<u8> =
            [0, last / 2, last].iter().flat_map(|at| &plain[*at..at + SAMPLE]).copied().collect();
        self.sampler.compress(&sample).is_ok_and(|out| out.len() * 100 <= sample.len() * 97)
    }

    fn close_pack(&mut self) {
        if self.pack.len() <= OVERHEAD {
            return;
        }
        let path = self.store.join(Digest::of(&self.pack).to_string());
        let mut file = File::create(path).expect("a new file");
        file.write_all(&self.pack).expect("room on the disk");
        file.sync_all().expect("a disk that keeps it");
        self.stored.fetch_add(self.pack.len() as u64, Ordering::Relaxed);
        self.pack.clear();
    }
}

/// Whether the file begins as an SQLite database does.
fn is_paged(file: &File) -> bool {
    let mut beginning = [0; SQLITE.len()];
    file.read_exact_at(&mut beginning, 0).is_ok() && beginning == *SQLITE
}
