//! What the repository cannot give whole, and what this machine does not let be done.

use std::fs;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use futures_util::stream::BoxStream;

use super::super::*;
use super::bench::Bench;
use crate::store::{self, Memory, Object, ObjectName, Put, Store};

/// A store in memory that can go out of reach, and have a bad sector in one object.
#[derive(Debug, Default)]
struct Remote {
    memory: Memory,
    away: AtomicBool,
    bad: Mutex<Option<ObjectName>>,
}

#[async_trait]
impl Store for Remote {
    async fn put(&self, name: &ObjectName, body: Bytes, how: Put) -> store::Result<()> {
        self.memory.put(name, body, how).await
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> store::Result<Bytes> {
        if self.away.load(Ordering::Relaxed) {
            return Err(store::Error::io("reach", name.as_str(), "the line is cut"));
        }
        if self.bad.lock().unwrap().as_ref() == Some(name) {
            let error = std::io::Error::from_raw_os_error(rustix::io::Errno::IO.raw_os_error());
            return Err(store::Error::io("read", name.as_str(), error));
        }
        self.memory.get(name, range).await
    }

    fn list(&self, prefix: Option<&ObjectName>) -> BoxStream<'_, store::Result<Object>> {
        self.memory.list(prefix)
    }

    async fn delete(&self, name: &ObjectName) -> store::Result<()> {
        self.memory.delete(name).await
    }

    fn place(&self) -> String {
        self.memory.place()
    }
}

#[test]
fn a_file_with_a_missing_blob_is_left_out_and_named_and_the_others_come_back() {
    let bench = Bench::new(Arc::new(Memory::new()));
    for name in ["good", "bad"] {
        fs::write(bench.origin.path().join(name), name.repeat(1000)).unwrap();
    }
    fs::hard_link(bench.origin.path().join("bad"), bench.origin.path().join("bad too")).unwrap();
    let (tree, _) = bench.back_up();
    let lost = BlobId(crate::ground::digest::Digest::of("bad".repeat(1000).as_bytes()));
    let reader = bench.reader().without([lost]);

    let restored = bench.restore(&reader, tree, &bench.request()).unwrap();

    let damaged: Vec<_> = restored.damaged.iter().map(|place| place.object.as_str()).collect();
    let expected =
        [format!("file {}", bench.shown("bad")), format!("file {}", bench.shown("bad too"))];
    assert_eq!(damaged, expected, "{restored:?}");
    assert!(restored.damaged[0].what.contains(&lost.to_string()), "{restored:?}");
    assert!(!bench.restored("bad").exists() && !bench.restored("bad too").exists());
    assert_eq!(fs::read(bench.restored("good")).unwrap(), "good".repeat(1000).as_bytes());
}

#[test]
fn an_older_file_stays_where_nothing_came_of_a_damaged_one_and_is_told() {
    let bench = Bench::new(Arc::new(Memory::new()));
    fs::write(bench.origin.path().join("bad"), "bad".repeat(1000)).unwrap();
    fs::hard_link(bench.origin.path().join("bad"), bench.origin.path().join("bad too")).unwrap();
    let (tree, _) = bench.back_up();
    let told = Request { occupied: Occupied::Overwrite, ..bench.request() };
    bench.restore(&bench.reader(), tree, &told).unwrap();
    let names = ["bad", "bad too"].map(|name| bench.restored(name));
    for name in &names {
        fs::remove_file(name).unwrap();
        fs::write(name, "older").unwrap();
    }
    let lost = BlobId(crate::ground::digest::Digest::of("bad".repeat(1000).as_bytes()));

    let restored = bench.restore(&bench.reader().without([lost]), tree, &told).unwrap();

    let whats: Vec<_> = restored.damaged.iter().map(|place| place.what.as_str()).collect();
    assert_eq!(whats.len(), 2, "{restored:?}");
    assert!(whats.iter().all(|what| what.ends_with("; what is there now is older and stays")));
    assert!(names.iter().all(|name| fs::read(name).unwrap() == b"older"), "the last copy went");
}

#[test]
fn damaged_packs_are_damage_and_leave_no_half_files() {
    let store = Arc::new(Memory::new());
    let bench = Bench::new(store.clone());
    fs::write(bench.origin.path().join("file"), "content").unwrap();
    let (tree, _) = bench.back_up();
    let blob = BlobId(crate::ground::digest::Digest::of(b"content"));
    let data: ObjectName = "data".parse().unwrap();
    let packs: Vec<_> = bench.runtime.block_on(store.list(Some(&data)).try_collect()).unwrap();
    // The tree's pack stays readable: damage each pack at its beginning, and keep those with trees.
    let mut hit = false;
    for pack in packs {
        let bytes = bench.runtime.block_on(store.get(&pack.name, None)).unwrap();
        let mut flipped = bytes.to_vec();
        flipped[3] ^= 1;
        let put = |bytes: Bytes| {
            bench.runtime.block_on(store.put(&pack.name, bytes, Put::Overwrite)).unwrap();
        };
        put(flipped.into());
        let readable = bench.runtime.block_on(bench.reader().tree(&tree)).is_ok();
        let whole =
            bench.runtime.block_on(bench.reader().blob(crate::repo::BlobKind::Data, &blob)).is_ok();
        if readable && !whole {
            hit = true;
        } else {
            put(bytes);
        }
    }
    assert!(hit, "no pack was damaged");

    let restored = bench.restore(&bench.reader(), tree, &bench.request()).unwrap();

    assert_eq!(restored.damaged.len(), 1, "{restored:?}");
    assert!(!bench.restored("file").exists());
}

#[test]
fn a_store_out_of_reach_is_the_environments_fault_and_not_damage() {
    let store = Arc::new(Remote::default());
    let bench = Bench::new(store.clone());
    fs::write(bench.origin.path().join("file"), "content").unwrap();
    let (tree, _) = bench.back_up();
    store.away.store(true, Ordering::Relaxed);

    let error = bench.restore(&bench.reader(), tree, &bench.request()).unwrap_err();

    assert!(error.is_environment(), "{error:?}");
}

#[test]
fn a_bad_sector_costs_a_restore_the_files_there_and_tells_a_drill_nothing() {
    let store = Arc::new(Remote::default());
    let bench = Bench::new(store.clone());
    fs::write(bench.origin.path().join("lost"), "lost").unwrap();
    bench.back_up();
    fs::write(bench.origin.path().join("kept"), "kept").unwrap();
    let (tree, _) = bench.back_up();
    let lost = BlobId(crate::ground::digest::Digest::of(b"lost"));
    let reader = bench.reader();
    let data: ObjectName = "data".parse().unwrap();
    let packs: Vec<_> = bench.runtime.block_on(store.list(Some(&data)).try_collect()).unwrap();
    let bad = packs.into_iter().map(|pack| pack.name).find(|pack| {
        *store.bad.lock().unwrap() = Some(pack.clone());
        let read = |kind, id| bench.runtime.block_on(bench.reader().blob(kind, id));
        read(BlobKind::Data, &lost).is_err() && read(BlobKind::Tree, &tree).is_ok()
    });
    assert!(bad.is_some(), "no pack holds that file alone");

    let drill = Request { fidelity: Fidelity::Drill, ..bench.request() };
    let error = bench.restore(&reader, tree, &drill).unwrap_err();
    assert!(error.is_environment(), "{error:?}");
    let told = Request { occupied: Occupied::Overwrite, fidelity: Fidelity::Full, ..drill };
    let restored = bench.restore(&reader, tree, &told).unwrap();

    assert_eq!(restored.damaged.len(), 1, "{restored:?}");
    let Place { object, what } = &restored.damaged[0];
    assert!(object.ends_with("/lost") && what.contains("Input/output error"), "{restored:?}");
    assert!(!bench.restored("lost").exists());
    assert_eq!(fs::read(bench.restored("kept")).unwrap(), b"kept");
}

#[test]
fn an_occupied_target_is_refused_unless_told() {
    let bench = Bench::new(Arc::new(Memory::new()));
    fs::write(bench.origin.path().join("file"), "content").unwrap();
    let (tree, _) = bench.back_up();
    let request = bench.request();
    fs::create_dir(&request.to).unwrap();
    fs::write(request.to.join("mine"), "mine").unwrap();

    let refused = bench.restore(&bench.reader(), tree, &request).unwrap_err();
    assert!(matches!(refused, Error::Occupied { .. }), "{refused:?}");

    let told = Request { occupied: Occupied::Overwrite, ..request };
    for _ in 0..2 {
        let restored = bench.restore(&bench.reader(), tree, &told).unwrap();
        assert!(restored.unrestored.is_empty(), "{restored:?}");
    }
    assert_eq!(fs::read(told.to.join("mine")).unwrap(), b"mine");
    assert_eq!(fs::read(bench.restored("file")).unwrap(), b"content");
    assert_eq!(bench.recheck(tree, &told).total_differences, 0);
}

#[test]
fn what_needs_more_room_than_there_is_is_refused_before_anything_is_written() {
    let bench = Bench::new(Arc::new(Memory::new()));
    let target = target::Target::create(&bench.request()).unwrap();

    let error = target.check_room(u64::MAX, None, 1).unwrap_err();

    assert!(matches!(error, Error::NoRoom { .. }), "{error:?}");
    assert!(target.check_room(1000, Some(1000), 1).is_ok());
    let error = target.check_room(1001, Some(1000), 1).unwrap_err();
    assert!(matches!(error, Error::NoRoom { free_bytes: 1000, .. }), "{error:?}");
}
