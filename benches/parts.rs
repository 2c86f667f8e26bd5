//! What single parts of the pipeline can do on one thread: the chunker, the seal, the index.
//!
//! `cargo bench --bench parts`. Each line is the best of five: what the part costs without whatever
//! else the machine does.

use std::hint::black_box;
use std::sync::{Arc, RwLock};
use std::time::Instant;

use lifeboat::ground::clock::SystemClock;
use lifeboat::ground::digest::Digest;
use lifeboat::repo::{BlobId, BlobKind, Index, PackId, PackedBlob, Repository};
use lifeboat::seal::{Cost, MasterKey};
use lifeboat::store::Memory;

const MIB: usize = 1 << 20;
const BYTES: usize = 64 * MIB;
const BLOBS: u32 = 1_000_000;

fn main() {
    let mut noise = vec![0; BYTES];
    for (at, chunk) in noise.chunks_mut(32).enumerate() {
        chunk.copy_from_slice(&Digest::of(&at.to_le_bytes()).0);
    }
    known_content(&noise);
    sealing(&noise);
    index();
}

/// Cutting and hashing: what a content costs that is stored already.
fn known_content(noise: &[u8]) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let cost = Cost { log_n: 4, ..Cost::DEFAULT };
    let password = "secret".to_owned().into();
    let created = Repository::create(Arc::new(Memory::new()), &password, cost, &SystemClock);
    let repository = Arc::new(runtime.block_on(created).expect("a repository"));
    let index = Arc::new(RwLock::new(Index::default()));
    let writer = repository.writer(index, runtime.handle().clone(), Arc::new(SystemClock));
    let paged = [b"SQLite format 3\0", noise].concat();
    for (name, content) in [("a stream", noise), ("a page file", &paged)] {
        writer.store_content(&mut &content[..]).expect("it is stored");
        let seconds = best(|| {
            black_box(writer.store_content(&mut &content[..]).expect("it is known"));
        });
        println!("cut and hash {name}: {:.0} MB/s", content.len() as f64 / seconds / 1e6);
    }
}

fn sealing(noise: &[u8]) {
    let key = MasterKey::generate();
    let mut room = noise[..MIB + 32].to_vec();
    let seconds = best(|| (0..64).for_each(|_| key.seal_in_place(black_box(&mut room))));
    println!("seal: {:.0} MB/s", (64 * MIB) as f64 / seconds / 1e6);
    let mut plain = Vec::new();
    let seconds = best(|| {
        (0..64).for_each(|_| key.open_into(black_box(&room), &mut plain).expect("its own"));
    });
    println!("open: {:.0} MB/s", (64 * MIB) as f64 / seconds / 1e6);
}

fn index() {
    let blob = |number: u32| PackedBlob {
        id: BlobId(Digest::of(&number.to_le_bytes())),
        kind: BlobKind::Data,
        offset: number % 1000 * 16,
        length: 16,
        plain_length: None,
    };
    let packs: Vec<Vec<PackedBlob>> = (0..BLOBS / 1000)
        .map(|pack| (pack * 1000..pack * 1000 + 1000).map(blob).collect())
        .collect();
    let mut filled = Index::default();
    let seconds = best(|| {
        filled = Index::default();
        for (number, blobs) in packs.iter().enumerate() {
            filled.insert(PackId(Digest::of(&number.to_le_bytes())), blobs);
        }
    });
    println!("index: {:.0} ns to insert a blob", seconds * 1e9 / f64::from(BLOBS));
    let ids: Vec<BlobId> = packs.iter().flatten().map(|blob| blob.id).collect();
    let seconds = best(|| {
        assert!(ids.iter().all(|id| filled.lookup(BlobKind::Data, id).is_some()));
    });
    println!("index: {:.0} ns to find one", seconds * 1e9 / f64::from(BLOBS));
}

/// Seconds of the fastest of five.
fn best(mut work: impl FnMut()) -> f64 {
    let time = |_| {
        let begun = Instant::now();
        work();
        begun.elapsed().as_secs_f64()
    };
    (0..5).map(time).fold(f64::INFINITY, f64::min)
}
