//! Damage to every kind of object: it is named, and everything else is read back.

use super::*;

#[derive(Debug, Clone, Copy)]
enum Action {
    Delete,
    Truncate,
    Flip,
    Empty,
}

const ACTIONS: [Action; 4] = [Action::Delete, Action::Truncate, Action::Flip, Action::Empty];

impl Action {
    fn on(self, bench: &Bench, name: &ObjectName) {
        let mut bytes = bench.bytes(name).to_vec();
        match self {
            Self::Delete => return bench.remove(name),
            Self::Truncate => bytes.truncate(bytes.len() - 7),
            Self::Flip => {
                let middle = bytes.len() / 2;
                bytes[middle] ^= 0x10;
            }
            Self::Empty => bytes.clear(),
        }
        bench.replace(name, bytes);
    }
}

#[test]
fn every_damage_to_every_object_is_found_and_named() {
    let bench = Bench::new();
    bench.back_up(&[("/first", &noise(50_000)), ("/folder/second", &b"text ".repeat(9000))]);
    let mut damaged = 0;
    for folder in ["data", "index", "snapshots"] {
        for name in bench.names(folder) {
            let sound = bench.bytes(&name);
            for action in ACTIONS {
                action.on(&bench, &name);
                let case = format!("{action:?} {name}");

                let verified = bench.verify(Depth::ReadData).unwrap();

                let id = name.as_str().rsplit('/').next().unwrap();
                let (names_it, objects): (Vec<_>, Vec<_>) = verified
                    .errors
                    .iter()
                    .map(|e| (e.object.contains(id) || e.what.contains(id), e.object.as_str()))
                    .unzip();
                match (folder, action) {
                    // What is not listed is not missed: the ledger knows what there should be.
                    ("snapshots", Action::Delete) => assert_eq!(verified.snapshots, 0, "{case}"),
                    ("index", Action::Delete) => {
                        assert!(objects.iter().any(|o| o.starts_with("tree ")), "{case}");
                    }
                    _ => assert!(names_it.contains(&true), "{case}: {objects:?}"),
                }
                damaged += 1;
                bench.replace(&name, sound.clone());
            }
        }
    }
    assert_eq!(damaged, 4 * 4);
    assert_eq!(bench.verify(Depth::ReadData).unwrap().errors, []);
}

#[test]
fn structure_alone_finds_missing_and_cut_packs_and_the_files_behind_them() {
    let bench = Bench::new();
    let (id, contents) = bench.back_up(&[("/folder/订单.db", &noise(50_000))]);
    let pack = data_pack(&bench, &contents[0][0]);
    let sound = bench.bytes(&pack);
    let file = Use { snapshot: id, path: "/folder/订单.db".into() };

    for action in [Action::Delete, Action::Truncate, Action::Empty] {
        action.on(&bench, &pack);
        let errors = bench.verify(Depth::Structure).unwrap().errors;
        assert!(errors.iter().any(|e| e.object.starts_with("pack ")), "{action:?}: {errors:?}");
        if !matches!(action, Action::Truncate) {
            // Cutting seven bytes off the header leaves the blob itself readable.
            let blob = errors.iter().find(|e| e.object.starts_with("blob ")).unwrap();
            assert_eq!((&blob.files[..], blob.more_files), (&[file.clone()][..], 0), "{action:?}");
        }
        bench.replace(&pack, sound.clone());
    }
}

#[test]
fn a_flipped_bit_takes_one_blob_with_it_and_no_other() {
    let bench = Bench::new();
    let files: Vec<_> = (0..5).map(|_| noise(3000)).collect();
    let named: Vec<_> =
        ["/0", "/1", "/2", "/3", "/4"].into_iter().zip(files.iter().map(Vec::as_slice)).collect();
    let (_, contents) = bench.back_up(&named);
    let victim = contents[2][0];
    let pack = data_pack(&bench, &victim);
    let place = bench.index().read().unwrap().lookup(BlobKind::Data, &victim).unwrap();
    let mut bytes = bench.bytes(&pack).to_vec();
    bytes[place.offset as usize + 100] ^= 1;
    bench.replace(&pack, bytes);

    let wanted: Vec<_> = contents.into_iter().flatten().collect();
    let got = bench.fetch(&bench.reader(), &wanted).unwrap();

    assert_eq!(got.len(), 5);
    for (id, outcome) in got {
        match outcome {
            Ok(_) => assert_ne!(id, victim),
            Err(error) => {
                assert_eq!(id, victim);
                assert!(matches!(error, ReadError::Damaged { .. }), "{error:?}");
                assert!(!error.is_environment());
            }
        }
    }
    let Verified { errors, affected, .. } = bench.verify(Depth::ReadData).unwrap();
    let blobs: Vec<_> = errors.iter().filter(|e| e.object.starts_with("blob ")).collect();
    assert_eq!(blobs.len(), 1, "{errors:?}");
    assert_eq!(blobs[0].object, format!("blob {victim}"));
    for damage in errors.iter().filter(|e| !e.files.is_empty()) {
        assert_eq!((&*damage.files[0].path, damage.files.len()), ("/2", 1), "{damage:?}");
    }
    assert!(errors.iter().any(|e| e.object.starts_with("pack ") && !e.files.is_empty()));
    assert_eq!((affected.len(), affected[0].files, affected[0].more), (1, 1, 0));
    assert_eq!((&*affected[0].lost[0].path, &affected[0].lost[0].object), ("/2", &blobs[0].object));
}

#[test]
fn every_snapshot_that_a_damage_affects_is_told_with_its_files_and_how_many_more() {
    let bench = Bench::new();
    let shared = noise(3000);
    let names: Vec<_> = (0..30).map(|n| format!("/folder/{n:02}")).collect();
    let files: Vec<_> = names.iter().map(|name| (name.as_str(), &shared[..])).collect();
    let (first, contents) = bench.back_up(&files);
    let whole = noise(2000);
    let (_, _) = bench.back_up(&[("/whole", &whole)]);
    let (second, _) = bench.back_up(&[("/alone", &shared), ("/whole", &whole)]);
    let pack = data_pack(&bench, &contents[0][0]);

    bench.remove(&pack);
    let found = bench.verify(Depth::Structure).unwrap();

    let mut affected: Vec<_> = found
        .affected
        .iter()
        .map(|one| (one.snapshot, one.files, one.lost.len(), one.more))
        .collect();
    affected.sort();
    let mut expected = [(first, 30, 10, 20), (second, 1, 1, 0)];
    expected.sort();
    assert_eq!(affected, expected);
    let of_first = found.affected.iter().find(|one| one.snapshot == first).unwrap();
    let paths: Vec<_> = of_first.lost.iter().map(|gap| &*gap.path).collect();
    assert_eq!(paths, names[..10]);
    for kind in ["pack ", "blob "] {
        let damage = found.errors.iter().find(|e| e.object.starts_with(kind)).unwrap();
        assert_eq!((damage.files.len(), damage.more_files), (5, 26), "{damage:?}");
    }
}

#[test]
fn a_lost_folder_is_told_with_its_path_and_what_lies_beside_it_is_not() {
    let bench = Bench::new();
    let writer = bench.writer();
    let gone = BlobId(crate::ground::digest::Digest::of(b"never stored"));
    let inner = Tree { nodes: vec![node("deep", NodeKind::Dir { subtree: gone })] };
    let subtree = writer.store_tree(&inner).unwrap();
    let file = node("file", NodeKind::File { size: 0, content: Vec::new() });
    let root = Tree { nodes: vec![node("a", NodeKind::Dir { subtree }), file] };
    let tree = writer.store_tree(&root).unwrap();
    bench.finish(writer).unwrap();
    let saved = bench.runtime.block_on(bench.repository.save_snapshot(&snapshot(tree))).unwrap();

    let found = bench.verify(Depth::Structure).unwrap();

    let [Affected { snapshot, files: 0, folders: 1, more: 0, lost, .. }] = &found.affected[..]
    else {
        panic!("{:?}", found.affected)
    };
    assert_eq!((*snapshot, &*lost[0].path), (saved, "/a/deep/"));
    assert_eq!(found.errors.len(), 1);
    assert_eq!(found.errors[0].files, [Use { snapshot: saved, path: "/a/deep/".into() }]);
}

#[test]
fn of_a_thousand_damages_and_more_the_rest_is_counted() {
    let bench = Bench::new();
    let writer = bench.writer();
    let missing = |n: u32| BlobId(crate::ground::digest::Digest::of(&n.to_le_bytes()));
    let content = (0..1500).map(missing).collect();
    let root = Tree { nodes: vec![node("file", NodeKind::File { size: 9, content })] };
    let tree = writer.store_tree(&root).unwrap();
    bench.finish(writer).unwrap();
    bench.runtime.block_on(bench.repository.save_snapshot(&snapshot(tree))).unwrap();

    let found = bench.verify(Depth::Structure).unwrap();

    assert_eq!((found.errors.len(), found.more_errors), (1000, 500));
    assert!(found.errors.iter().all(|damage| damage.files[0].path == "/file"));
    assert_eq!((found.affected.len(), found.affected[0].files), (1, 1));
}

#[test]
fn a_cut_pack_loses_only_the_blobs_beyond_the_cut() {
    let bench = Bench::new();
    let (first, last) = (noise(3000), noise(3000));
    let (_, contents) = bench.back_up(&[("/first", &first), ("/last", &last)]);
    let pack = data_pack(&bench, &contents[0][0]);
    bench.replace(&pack, bench.bytes(&pack).slice(..4000));

    let got = bench.fetch(&bench.reader(), &[contents[0][0], contents[1][0]]).unwrap();

    assert!(*got[&contents[0][0]].as_ref().unwrap() == first);
    let error = got[&contents[1][0]].as_ref().unwrap_err();
    assert!(matches!(error, ReadError::Pack { .. }) && !error.is_environment(), "{error:?}");
}

#[test]
fn a_blob_in_two_packs_survives_the_loss_of_either() {
    let bench = Bench::new();
    let bytes = noise(3000);
    let store = || {
        let nothing_known = Arc::new(RwLock::new(Index::new()));
        let writer = bench.writer_with(nothing_known, Arc::new(SystemClock));
        let content = writer.store_content(&mut &bytes[..]).unwrap();
        bench.finish(writer).unwrap();
        content.ids[0]
    };
    let (id, same) = (store(), store());
    assert_eq!(id, same);
    let packs = bench.names("data");
    assert_eq!(packs.len(), 2);

    for pack in packs {
        let sound = bench.bytes(&pack);
        for action in ACTIONS {
            action.on(&bench, &pack);
            let got = bench.fetch(&bench.reader(), &[id]).unwrap();
            assert!(got[&id].as_ref().unwrap() == &bytes, "{action:?} {pack}");
            bench.replace(&pack, sound.clone());
        }
    }
}

#[test]
fn a_walk_tells_the_folder_it_cannot_read_and_goes_on() {
    let bench = Bench::new();
    let writer = bench.writer();
    let gone = BlobId(crate::ground::digest::Digest::of(b"never stored"));
    let file = |name| node(name, NodeKind::File { size: 0, content: Vec::new() });
    let root = Tree { nodes: vec![node("a", NodeKind::Dir { subtree: gone }), file("b")] };
    let tree = writer.store_tree(&root).unwrap();
    bench.finish(writer).unwrap();

    let mut walk = bench.reader().walk(tree);
    let mut seen = Vec::new();
    while let Some(entry) = bench.runtime.block_on(walk.next()) {
        seen.push(match entry {
            Ok(entry) => String::from_utf8(entry.path).unwrap(),
            Err(error) => error.to_string(),
        });
    }

    assert_eq!(seen, ["a", "cannot read the folder \"a\"", "b"]);
}

#[test]
fn a_hidden_blob_is_missing_for_that_reader_only() {
    let bench = Bench::new();
    let (_, contents) = bench.back_up(&[("/a", b"1"), ("/b", b"2")]);
    let (hidden, other) = (contents[0][0], contents[1][0]);
    let reader = bench.reader();

    let got = bench.fetch(&reader.without([hidden]), &[hidden, other]).unwrap();

    assert!(matches!(got[&hidden], Err(ReadError::NotIndexed { blob }) if blob == hidden));
    assert!(got[&other].is_ok());
    assert!(bench.fetch(&reader, &[hidden]).unwrap()[&hidden].is_ok());
}

/// The name of the pack that holds a data blob.
fn data_pack(bench: &Bench, id: &BlobId) -> ObjectName {
    let place = bench.index().read().unwrap().lookup(BlobKind::Data, id).unwrap();
    layout::pack(&place.pack)
}

#[test]
fn a_needed_pack_that_rustic_marked_for_removal_is_read_too() {
    let bench = Bench::new();
    let (_, contents) = bench.back_up(&[("/a", b"1")]);
    let files = bench.runtime.block_on(bench.repository.index_files()).unwrap();
    for (id, file) in files {
        let doom = |pack| DoomedPack { pack, time: None, size: None };
        let packs_to_delete = file.unwrap().packs.into_iter().map(doom).collect();
        let marked = IndexFile { packs_to_delete, ..IndexFile::default() };
        bench.runtime.block_on(bench.repository.save_index(&marked)).unwrap();
        bench.runtime.block_on(bench.store.delete(&layout::index(&id))).unwrap();
    }
    assert!(bench.verify(Depth::ReadData).unwrap().is_intact());
    let place = |index: Index| index.places(BlobKind::Data, &contents[0][0]).next().unwrap().pack;
    let pack = place(bench.runtime.block_on(bench.repository.load_index()).unwrap());
    let name = layout::pack(&pack);
    let mut bytes = bench.runtime.block_on(bench.store.get(&name, None)).unwrap().to_vec();
    bytes[3] ^= 1;
    bench.runtime.block_on(bench.store.put(&name, bytes.into(), Put::Overwrite)).unwrap();

    let found = bench.verify(Depth::ReadData).unwrap();

    assert!(found.errors.iter().any(|damage| damage.object == format!("pack {pack}")), "{found:?}");
    assert_eq!(found.affected.len(), 1, "{found:?}");
}

#[test]
fn a_pack_cut_within_its_header_is_named_though_all_of_its_blobs_can_be_read() {
    let bench = Bench::new();
    let (_, contents) = bench.back_up(&[("/a", &noise(3000)), ("/b", &noise(3000))]);
    let place = bench.index().read().unwrap().lookup(BlobKind::Data, &contents[0][0]).unwrap();
    let name = layout::pack(&place.pack);
    let bytes = bench.bytes(&name);
    bench.replace(&name, bytes.slice(..bytes.len() - 7));

    let verified = bench.verify(Depth::Structure).unwrap();

    let [damage] = &verified.errors[..] else { panic!("{:?}", verified.errors) };
    assert_eq!(damage.object, format!("pack {}", place.pack));
    assert!(damage.what.contains("its index says"), "{}", damage.what);
    assert!(verified.affected.is_empty(), "no file needs what is cut off");
    let wanted: Vec<_> = contents.iter().flatten().copied().collect();
    assert!(bench.fetch(&bench.reader(), &wanted).unwrap().values().all(Result::is_ok));
}
