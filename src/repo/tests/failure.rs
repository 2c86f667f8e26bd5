//! A store that fails: a run ends with an error, and what was there before stays whole.

use super::*;

/// Every index file of the store, and whether each pack it names is there.
fn index_names_only_stored_packs(bench: &Bench) -> bool {
    let index = bench.index();
    let index = index.read().unwrap();
    let stored = bench.names("data");
    index.packs().all(|(pack, _)| stored.contains(&layout::pack(&pack)))
}

#[test]
fn whichever_put_fails_the_run_fails_and_no_index_names_a_pack_that_is_not_there() {
    // Two data packs, one tree pack, one index file: the fifth put never comes.
    let content = noise(24 << 20);
    for succeed in 0..=4 {
        let bench = Bench::new();
        bench.store.puts_left.store(succeed, Ordering::SeqCst);
        let writer = bench.writer();
        let stored = writer
            .store_content(&mut &content[..])
            .map(drop)
            .and_then(|()| Ok(writer.store_tree(&Tree::default()).map(drop)?));

        let outcome = stored.is_ok().then(|| bench.finish(writer));

        let failed = !matches!(outcome, Some(Ok(_)));
        assert_eq!(failed, succeed < 4, "after {succeed} puts");
        assert!(index_names_only_stored_packs(&bench), "after {succeed} puts");
        let verified = bench.verify(Depth::ReadData).unwrap();
        assert_eq!(verified.errors, [], "after {succeed} puts");
        assert_eq!(verified.hints.len(), if failed { succeed.min(3) } else { 0 });
    }
}

#[test]
fn after_a_failure_nothing_more_is_stored() {
    let bench = Bench::new();
    bench.store.puts_left.store(0, Ordering::SeqCst);
    let writer = bench.writer();
    // Closes a pack, whose upload fails some time later.
    writer.store_blob(BlobKind::Tree, &noise(5 << 20)).unwrap();

    let error = (0..).find_map(|_| {
        std::thread::yield_now();
        writer.store_blob(BlobKind::Data, b"more").err()
    });

    let error = error.unwrap();
    let WriteError::Stopped(first) = &error else { panic!("{error:?}") };
    assert!(matches!(**first, WriteError::StorePack { .. }), "{first:?}");
    let content = writer.store_content(&mut &b"more"[..]).unwrap_err();
    assert!(matches!(content, StoreError::Repository(_)), "{content:?}");
    assert!(matches!(bench.finish(writer), Err(WriteError::Stopped(_))));
    assert_eq!((bench.names("data"), bench.names("index")), (vec![], vec![]));
}

#[test]
fn a_source_that_breaks_harms_nobody_else() {
    let bench = Bench::new();
    let writer = bench.writer();

    let error = writer.store_content(&mut Breaking(&noise(9 << 20))).unwrap_err();
    let stored = writer.store_content(&mut &b"whole"[..]).unwrap();

    assert!(matches!(error, StoreError::Read(_)), "{error:?}");
    bench.finish(writer).unwrap();
    let got = bench.fetch(&bench.reader(), &stored.ids).unwrap();
    assert_eq!(got[&stored.ids[0]].as_ref().unwrap(), b"whole");
}

#[test]
fn a_thread_that_dies_with_a_claim_stops_the_writer() {
    let bench = Bench::new();
    let clock = Arc::new(SystemClock);
    let publisher = publish::Publisher::new(bench.repository.clone(), bench.index(), clock);
    let id = BlobId(crate::ground::digest::Digest::of(b"x"));

    let claim = publisher.claim(BlobKind::Data, id);
    assert!(publisher.claim(BlobKind::Data, id).is_none());
    assert!(publisher.check().is_ok());
    drop(claim);

    let error = publisher.check().unwrap_err();
    let WriteError::Stopped(first) = error else { panic!("{error:?}") };
    assert!(matches!(*first, WriteError::BlobAbandoned { blob } if blob == id), "{first:?}");
}

#[test]
fn a_long_run_writes_an_index_file_every_five_minutes() {
    let bench = Bench::new();
    let clock = standing_clock();
    let index = bench.index();
    let writer = bench.writer_with(index.clone(), clock.clone());
    let id = writer.store_blob(BlobKind::Tree, &noise(5 << 20)).unwrap();
    while bench.names("data").is_empty() {
        std::thread::yield_now();
    }
    writer.store_blob(BlobKind::Data, b"early").unwrap();
    assert!(bench.names("index").is_empty());

    // The pack counts as durable a moment after the store has it: the clock moves on until then.
    let mut minutes = 0;
    while index.read().unwrap().lookup(BlobKind::Tree, &id).is_none() {
        minutes += 5;
        let now = Timestamp::UNIX_EPOCH + jiff::SignedDuration::from_mins(minutes);
        clock.set(now);
        writer.store_blob(BlobKind::Data, b"early").unwrap();
        std::thread::yield_now();
    }

    assert_eq!(bench.names("index").len(), 1);
    drop(writer);
    assert!(bench.reader().plain_bytes(BlobKind::Tree, &id).is_some());
    assert!(index_names_only_stored_packs(&bench));
}

#[test]
fn a_store_out_of_reach_is_neither_damage_nor_success() {
    let bench = Bench::new();
    let (_, contents) = bench.back_up(&[("/a", b"1")]);
    let reader = bench.reader();
    bench.store.gets_fail.store(true, Ordering::SeqCst);

    let error = bench.fetch(&reader, &contents[0]).unwrap_err();
    let alone = bench.runtime.block_on(reader.blob(BlobKind::Data, &contents[0][0])).unwrap_err();

    assert!(error.is_environment() && alone.is_environment(), "{error:?}, {alone:?}");
    assert!(bench.verify(Depth::Structure).is_err());
}

#[test]
fn a_pack_on_a_bad_sector_is_named_and_the_others_are_read() {
    let bench = Bench::new();
    bench.back_up(&[("/a", b"1")]);
    let (_, contents) = bench.back_up(&[("/b", b"2")]);
    let holds_only_b = |pack: &ObjectName| {
        *bench.store.bad.lock().unwrap() = Some(pack.clone());
        let read = |kind, id| bench.runtime.block_on(bench.reader().blob(kind, id));
        read(BlobKind::Data, &contents[0][0]).is_err() && bench.verify(Depth::Structure).is_ok()
    };
    let bad = bench.names("data").into_iter().find(holds_only_b).expect("a pack of data");

    let found = bench.verify(Depth::ReadData).unwrap();

    let named: Vec<_> = found.errors.iter().map(|damage| damage.object.as_str()).collect();
    let pack = format!("pack {}", bad.as_str().rsplit('/').next().unwrap());
    assert!(named.contains(&pack.as_str()), "{named:?}");
    assert_eq!(found.affected.len(), 1, "{found:?}");
}

#[test]
fn a_listing_that_fails_is_no_clean_verification() {
    let bench = Bench::new();
    bench.back_up(&[("/a", b"1")]);
    bench.store.lists_fail.store(true, Ordering::SeqCst);

    assert!(bench.verify(Depth::Structure).is_err());
    assert!(bench.verify(Depth::ReadData).is_err());
}

/// Packs of one tree each, more than are held back.
fn packs() -> Vec<Vec<u8>> {
    (0..6).map(|n| [noise(5 << 20), vec![n]].concat()).collect()
}

/// Stores them, as far as it may.
fn fill(writer: &Writer, packs: &[Vec<u8>]) -> Result<(), WriteError> {
    packs.iter().try_for_each(|pack| writer.store_blob(BlobKind::Tree, pack).map(drop))
}

/// Waits until somebody who fills the writer has begun the pack that is not held back any more.
fn wait_until_full(writer: &Writer, packs: &[Vec<u8>]) {
    let second = BlobId(crate::ground::digest::Digest::of(&packs[1]));
    while !writer.contains(BlobKind::Tree, &second) {
        std::thread::yield_now();
    }
}

#[test]
fn what_is_held_back_waits_in_memory_and_goes_once_the_gate_is_opened() {
    let bench = Bench::new();
    let writer = bench.writer();
    let (gate, packs) = (writer.hold_back(), packs());

    std::thread::scope(|scope| {
        let filling = scope.spawn(|| fill(&writer, &packs));
        wait_until_full(&writer, &packs);
        let held = (filling.is_finished(), bench.names("data"));
        gate.open();
        filling.join().unwrap().unwrap();
        assert_eq!(held, (false, vec![]), "six packs went into the memory of two");
    });

    assert_eq!(bench.finish(writer).unwrap().packs, 6);
    assert_eq!(bench.verify(Depth::ReadData).unwrap().errors, []);
}

#[test]
fn a_gate_that_is_never_opened_lets_nothing_through_and_keeps_nobody_waiting() {
    let bench = Bench::new();
    let writer = bench.writer();
    let (gate, packs) = (writer.hold_back(), packs());

    std::thread::scope(|scope| {
        let filling = scope.spawn(|| fill(&writer, &packs));
        wait_until_full(&writer, &packs);
        drop(gate);
        filling.join().unwrap().unwrap_err();
    });

    let WriteError::Stopped(first) = bench.finish(writer).unwrap_err() else { panic!() };
    assert!(matches!(*first, WriteError::HeldBack), "{first:?}");
    assert_eq!((bench.names("data"), bench.names("index")), (vec![], vec![]));
}
