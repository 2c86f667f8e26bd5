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
    let short = id.0.short();

    for action in [Action::Delete, Action::Truncate, Action::Empty] {
        action.on(&bench, &pack);
        let errors = bench.verify(Depth::Structure).unwrap().errors;
        assert!(errors.iter().any(|e| e.object.starts_with("pack ")), "{action:?}: {errors:?}");
        if !matches!(action, Action::Truncate) {
            // Cutting seven bytes off the header leaves the blob itself readable.
            let file = format!("/folder/订单.db of snapshot {short}");
            assert!(errors.iter().any(|e| e.object.ends_with(&file)), "{action:?}: {errors:?}");
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
    let errors = bench.verify(Depth::ReadData).unwrap().errors;
    let file = errors.iter().find(|e| e.object.starts_with(&format!("blob {victim}")));
    assert!(file.is_some_and(|e| e.object.contains("/2 of snapshot ")), "{errors:?}");
    assert_eq!(errors.iter().filter(|e| e.object.starts_with("blob ")).count(), 1, "{errors:?}");
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
