//! What goes in comes out again, and what is there already is not stored twice.

use super::*;

#[test]
fn what_was_stored_is_read_back_whole_from_the_index_files_alone() {
    let bench = Bench::new();
    let text = b"a line of text\n".repeat(300_000);
    let files: [(&str, &[u8]); 4] = [
        ("/noise", &noise(3 << 20)),
        ("/text", &text),
        ("/folder/empty", b""),
        ("/folder/small", b"x"),
    ];

    let (_, contents) = bench.back_up(&files);

    let reader = bench.reader();
    let wanted: Vec<_> = contents.iter().flatten().copied().collect();
    let got = bench.fetch(&reader, &wanted).unwrap();
    for ((path, bytes), ids) in files.iter().zip(&contents) {
        let joined: Vec<u8> = ids.iter().flat_map(|id| got[id].as_ref().unwrap().clone()).collect();
        assert!(joined == *bytes, "{path} is not what was stored");
    }
    let verified = bench.verify(Depth::ReadData).unwrap();
    assert_eq!(verified.errors, []);
    assert_eq!((verified.snapshots, verified.trees, verified.packs), (1, 2, 2));
}

#[test]
fn what_the_repository_has_is_not_stored_again() {
    let bench = Bench::new();
    let bytes = noise(5 << 20);
    let first = bench.writer();
    let stored = first.store_content(&mut &bytes[..]).unwrap();
    let again = first.store_content(&mut &bytes[..]).unwrap();
    let added = bench.finish(first).unwrap();

    let second = bench.writer();
    let later = second.store_content(&mut &bytes[..]).unwrap();

    assert_eq!((stored.added, again.added, later.added), (5 << 20, 0, 0));
    assert_eq!((&again.ids, &later.ids), (&stored.ids, &stored.ids));
    assert_eq!((added.packs, added.added_bytes), (1, 5 << 20));
    assert!(stored.ids.iter().all(|id| second.contains(BlobKind::Data, id)));
    assert!(!second.contains(BlobKind::Tree, &stored.ids[0]));
    assert_eq!(bench.finish(second).unwrap(), Added::default());
    assert_eq!((bench.names("data").len(), bench.names("index").len()), (1, 1));
}

#[test]
fn eight_threads_that_store_the_same_store_it_once() {
    let bench = Bench::new();
    let contents: Vec<_> = (0..6).map(|_| noise(2 << 20)).collect();
    let writer = bench.writer();

    let stored: Vec<Vec<Content>> = std::thread::scope(|scope| {
        let all = || contents.iter().map(|c| writer.store_content(&mut &c[..]).unwrap()).collect();
        let threads: Vec<_> = (0..8).map(|_| scope.spawn(all)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });

    let added = bench.finish(writer).unwrap();
    let wanted: Vec<_> = stored[0].iter().flat_map(|content| content.ids.clone()).collect();
    assert_eq!(added.blobs, wanted.len() as u64);
    assert_eq!(added.added_bytes, 12 << 20);
    assert_eq!(stored.iter().flatten().map(|content| content.added).sum::<u64>(), 12 << 20);
    let got = bench.fetch(&bench.reader(), &wanted).unwrap();
    assert!(got.values().all(Result::is_ok));
}

#[test]
fn packs_are_closed_at_their_size_and_uploaded_on_the_way() {
    let bench = Bench::new();
    let writer = bench.writer();
    writer.store_content(&mut &noise(70 << 20)[..]).unwrap();

    let added = bench.finish(writer).unwrap();

    assert!((4..=5).contains(&added.packs), "{added:?}");
    for name in bench.names("data") {
        assert!(bench.bytes(&name).len() < 21 << 20);
    }
    assert_eq!(bench.verify(Depth::Structure).unwrap().errors, []);
}

#[test]
fn an_index_that_is_made_while_packs_are_on_their_way_names_each_of_them_once() {
    let content = noise(24 << 20);
    for _ in 0..8 {
        let bench = Bench::new();
        let writer = bench.writer();
        writer.store_content(&mut &content[..]).unwrap();
        writer.store_tree(&Tree::default()).unwrap();

        bench.finish(writer).unwrap();

        let files = bench.runtime.block_on(bench.repository.index_files()).unwrap();
        let packs: Vec<_> = files.into_iter().flat_map(|(_, file)| file.unwrap().packs).collect();
        let mut names: Vec<_> = packs.iter().map(|pack| layout::pack(&pack.id)).collect();
        names.sort();
        assert_eq!(names, bench.names("data"));
    }
}

#[test]
fn a_walk_gives_each_folder_before_its_content() {
    let bench = Bench::new();
    let (id, _) = bench.back_up(&[("/a", b"1"), ("/folder/b", b"2"), ("/folder/c", b"3")]);
    let tree = bench.runtime.block_on(bench.repository.snapshot(&id)).unwrap().tree;

    let mut walk = bench.reader().walk(tree);
    let mut paths = Vec::new();
    while let Some(entry) = bench.runtime.block_on(walk.next()) {
        paths.push(String::from_utf8(entry.unwrap().path).unwrap());
    }

    assert_eq!(paths, ["a", "folder", "folder/b", "folder/c"]);
}

#[test]
fn a_receiver_that_has_enough_ends_the_fetch() {
    let bench = Bench::new();
    let (_, contents) = bench.back_up(&[("/a", b"1"), ("/b", b"2"), ("/c", b"3")]);
    let calls = AtomicUsize::new(0);
    let each = |_, _: Result<_, _>| {
        calls.fetch_add(1, Ordering::SeqCst);
        ControlFlow::Break(())
    };

    let wanted = contents.into_iter().flatten();
    let reader = bench.reader();
    let done = bench.runtime.block_on(reader.fetch(BlobKind::Data, wanted, &each)).unwrap();

    assert!(done.stopped);
    assert_eq!(calls.into_inner(), 1);
}
