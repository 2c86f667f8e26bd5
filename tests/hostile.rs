//! A repository made by an enemy who holds the key: whatever it says, nothing is written outside
//! the target, no memory is taken for a lie, nothing hangs, and no drill of it passes.

mod bench;
mod enemy;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use enemy::{Enemy, compressed, dir, file, link};
use lifeboat::ground::digest::Digest;
use lifeboat::repo::layout::{self, Folder};
use lifeboat::repo::{BlobId, BlobKind, IndexPack, PackedBlob};
use serde_json::{Value, json};

#[test]
fn nothing_is_written_outside_the_target_and_the_rest_comes_back() {
    let enemy = Enemy::new();
    let canary = enemy.bench.path("canary").display().to_string();
    let evil = enemy.blobs(BlobKind::Data, &[b"evil"])[0];
    let deep = (0..300).fold(enemy.tree(&json!([file("bottom", 4, &[evil])])), |below, _| {
        enemy.tree(&json!([dir("d", below)]))
    });
    let song = enemy.tree(&json!([file("song", 4, &[evil]), file("new", 4, &[evil])]));
    let mut root = vec![dir("deep", deep), file("good", 4, &[evil])];
    let names = [
        "..",
        ".",
        "",
        "a/b",
        "/etc/x",
        "../../canary/song",
        "nul\\x00",
        "\\x2e\\x2e",
        "\\056\\056",
        "..\\x2f..\\x2fcanary\\x2fsong",
        &canary,
    ];
    for (number, name) in names.iter().enumerate() {
        root.push(dir(&format!("file {number}"), enemy.tree(&json!([file(name, 4, &[evil])]))));
        root.push(dir(&format!("dir {number}"), enemy.tree(&json!([dir(name, song)]))));
        root.push(dir(&format!("link {number}"), enemy.tree(&json!([link(name, &canary)]))));
    }
    let twice = enemy.tree(&json!([link("x", &canary), dir("x", song)]));
    let thrice = enemy.tree(&json!([link("x", "../canary/song"), file("x", 4, &[evil])]));
    root.push(dir("link then dir", twice));
    root.push(dir("link then file", thrice));
    let attributes = json!([{ "name": "security.capability", "value": "AQAAAgAgAAAAAAAAAAAAAAAAAAA=" },
        { "name": "trusted.x", "value": "eA==" }, { "name": "a/../b\u{0}", "value": null }]);
    root.push(dir(
        "odd",
        enemy.tree(&json!([
            link("absolute", "/etc"),
            link("outside", &format!("{canary}/song")),
            { "name": "suid", "type": "file", "mode": 0o755 | 1 << 23 | 1 << 22, "uid": 0,
              "size": 4, "content": [evil], "extended_attributes": attributes },
            { "name": "disk", "type": "dev", "mode": 0o666, "device": 0x800, "content": null },
            { "name": "memory", "type": "chardev", "mode": 0o666, "device": 0x101, "content": null },
            { "name": "one", "type": "file", "links": 2, "inode": 7, "size": 4, "content": [evil] },
            { "name": "two", "type": "file", "links": 2, "inode": 7, "size": 4, "content": [evil] },
            { "name": "three", "type": "file", "links": 2, "inode": 7, "size": 9, "content": [evil] },
        ])),
    ));
    let snapshot = enemy.snapshot(enemy.tree(&root.into()));

    let restored = enemy.restore(&snapshot, &[]).exits(1).json();

    let told = restored["damaged"].to_string();
    for number in 0..names.len() {
        for kind in ["file", "dir", "link"] {
            assert!(told.contains(&format!("{kind} {number}\"")), "{kind} {number}: {told}");
        }
    }
    assert!(told.contains("link then dir") && told.contains("link then file"), "{told}");
    let to = enemy.bench.path("beside/to");
    assert_eq!(fs::read(to.join("good")).unwrap(), b"evil");
    let bottom = format!("deep/{}bottom", "d/".repeat(300));
    assert_eq!(fs::read(to.join(bottom)).unwrap(), b"evil");
    assert_eq!(fs::read_link(to.join("odd/absolute")).unwrap(), PathBuf::from("/etc"));
    let same = |name: &str| fs::metadata(to.join("odd").join(name)).unwrap().ino();
    assert_eq!(same("one"), same("two"));
    assert!(!to.join("odd/three").exists());
    let drilled = enemy.drill(&snapshot);
    assert!(drilled.to_string().contains("link then dir"), "{drilled:#}");
}

#[test]
fn a_second_restore_over_the_first_does_not_follow_the_links_that_it_left() {
    let enemy = Enemy::new();
    let canary = enemy.bench.path("canary").display().to_string();
    let evil = enemy.blobs(BlobKind::Data, &[b"evil"])[0];
    let below = enemy.tree(&json!([file("song", 4, &[evil])]));
    let first = json!([link("x", &canary), link("y", &format!("{canary}/song"))]);
    let first = enemy.snapshot(enemy.tree(&first));
    let second = json!([dir("x", below), file("y", 4, &[evil])]);
    let second = enemy.snapshot(enemy.tree(&second));

    enemy.restore(&first, &[]).exits(0);
    enemy.restore(&second, &["--overwrite"]).exits(0);

    let to = enemy.bench.path("beside/to");
    assert_eq!(fs::read(to.join("x/song")).unwrap(), b"evil");
    assert!(to.join("x").symlink_metadata().unwrap().is_dir());
    assert!(to.join("y").symlink_metadata().unwrap().is_file());
}

#[test]
fn a_tree_that_unfolds_to_a_trillion_entries_is_refused() {
    let enemy = Enemy::new();
    let bomb = (0..40).fold(enemy.tree(&json!([])), |below, _| {
        enemy.tree(&json!([dir("a", below), dir("b", below)]))
    });
    let snapshot = enemy.snapshot(bomb);

    let ran = enemy.restore(&snapshot, &[]).exits(1);

    assert!(ran.stderr.contains("repeats the same folders without end"), "{}", ran.stderr);
    let drilled = enemy.drill(&snapshot);
    assert!(drilled.to_string().contains(&snapshot), "{drilled:#}");
}

#[test]
fn one_long_file_repeated_in_many_folders_fills_no_memory() {
    let enemy = Enemy::new();
    let empty = enemy.blobs(BlobKind::Data, &[b""])[0];
    let long = enemy.tree(&json!([file("long", 0, &vec![empty; 50_000])]));
    let many: Vec<_> = (0..8000).map(|number| dir(&format!("d{number}"), long)).collect();
    let snapshot = enemy.snapshot(enemy.tree(&many.into()));

    let ran = enemy.restore(&snapshot, &[]).exits(1);

    assert!(ran.stderr.contains("repeats the same folders without end"), "{}", ran.stderr);
}

#[test]
fn lengths_that_cannot_be_are_refused_before_memory_is_taken() {
    let enemy = Enemy::new();
    let key = enemy.repository.key();
    let mut nodes = Vec::new();
    for (number, size) in [1 << 63, u64::MAX, i64::MAX as u64, 1 << 44].into_iter().enumerate() {
        nodes.push(file(&format!("size {number}"), size, &[]));
    }
    let real = key.seal(b"evil");
    let index = |offset, length, plain_length, kind, name: &str| {
        let id = BlobId(Digest::of(name.as_bytes()));
        PackedBlob { id, kind, offset, length, plain_length }
    };
    let (data, tree) = (BlobKind::Data, BlobKind::Tree);
    let lies = [
        index(0, u32::MAX, None, data, "long"),
        index(u32::MAX, u32::MAX, Some(u32::MAX), data, "beyond"),
        index(0, 36, Some(u32::MAX), data, "plain"),
        index(0, 36, Some(512 << 20), data, "plain at the limit"),
        index(0, 0, None, data, "nothing"),
        index(4, 31, None, data, "less than a seal"),
        index(0, u32::MAX, Some(u32::MAX), tree, "tree"),
    ];
    let pack = lifeboat::repo::PackId(Digest::of(&real));
    enemy.put(&layout::pack(&pack), real);
    enemy.index(vec![IndexPack { id: pack, blobs: lies.to_vec() }]);
    for lie in &lies {
        let name = format!("{} {} {:?}", lie.offset, lie.length, lie.plain_length);
        nodes.push(match lie.kind {
            BlobKind::Data => file(&name, lie.plain_bytes(), &[lie.id]),
            BlobKind::Tree => dir(&name, lie.id),
        });
    }
    let count = nodes.len();
    let snapshot = enemy.snapshot(enemy.tree(&nodes.into()));

    let restored = enemy.restore(&snapshot, &[]).exits(1).json();

    assert_eq!(restored["damaged"].as_array().unwrap().len(), count, "{restored:#}");
    assert_eq!(restored["files"], 0, "{restored:#}");
    enemy.drill(&snapshot);
    let verified = enemy.watched(&["verify", "shop", "--read-data", "--json"]).exits(1).json();
    assert!(verified["errors"].to_string().contains(&pack.to_string()), "{verified:#}");
    enemy.honest_still_restores(&enemy.honest());
}

#[test]
fn numbers_that_no_index_can_hold_are_refused_by_name() {
    for (field, number) in [
        ("offset", "9223372036854775808"),
        ("length", "18446744073709551616"),
        ("length", "-1"),
        ("uncompressed_length", "1e300"),
    ] {
        let enemy = Enemy::new();
        let honest = enemy.honest();
        let id = Digest::of(b"x");
        let mut blob = json!({ "id": id, "type": "data", "offset": 0, "length": 40 }).to_string();
        blob.truncate(blob.len() - 1);
        let blob = blob.replace(&format!("\"{field}\":"), "\"other\":");
        let json = format!(
            "{{\"packs\":[{{\"id\":\"{id}\",\"blobs\":[{blob},\"{field}\":{number}}}]}}]}}"
        );
        let name = enemy.file(Folder::Index, json.as_bytes()).to_string();

        let ran = enemy.restore(&honest, &[]).exits(1);

        assert!(ran.stdout.contains(&name), "{}", ran.stdout);
        assert!(enemy.drill(&honest).to_string().contains(&name));
        let verified = enemy.watched(&["verify", "shop", "--json"]).exits(1).json();
        assert!(verified["errors"].to_string().contains(&name), "{verified:#}");
    }
}

#[test]
fn packs_whose_headers_lie_are_named() {
    let enemy = Enemy::new();
    let id = BlobId(Digest::of(b"evil"));
    let honest = enemy.pack(&[(BlobKind::Data, id, b"evil", None)]);
    let bytes =
        enemy.runtime.block_on(enemy.repository.store().get(&layout::pack(&honest.id), None));
    let bytes = bytes.unwrap().to_vec();
    let mut packs = Vec::new();
    for length in [0, 31, 32, u32::MAX, u32::MAX / 2, 1 << 24] {
        let mut lie = bytes.clone();
        let end = lie.len() - 4;
        lie[end..].copy_from_slice(&length.to_le_bytes());
        let pack = lifeboat::repo::PackId(Digest::of(&lie));
        enemy.put(&layout::pack(&pack), lie);
        packs.push(IndexPack { id: pack, blobs: honest.blobs.clone() });
    }
    let names: Vec<_> = packs.iter().map(|pack| pack.id.to_string()).collect();
    enemy.index(packs);

    let verified = enemy.watched(&["verify", "shop", "--read-data", "--json"]).exits(1).json();

    for name in names {
        assert!(verified["errors"].to_string().contains(&name), "{name}: {verified:#}");
    }
}

#[test]
fn bombs_in_blobs_and_trees_fill_no_memory() {
    let enemy = Enemy::new();
    let zeros = compressed(&vec![0; 512 << 20]);
    let id = |name: &str| BlobId(Digest::of(name.as_bytes()));
    let data: Vec<_> = (0..8).map(|number| format!("data {number}")).collect();
    let packs = data
        .iter()
        .map(|name| enemy.pack(&[(BlobKind::Data, id(name), &zeros, Some(512 << 20))]))
        .collect();
    enemy.index(packs);
    let more = enemy.pack(&[(BlobKind::Data, id("small"), &zeros, Some(1 << 20))]);
    // A true tree with a true name: only what it makes of its bytes is out of all proportion.
    let nodes: Vec<_> = (0..2_000_000)
        .map(|number| format!("{{\"name\":\"{number}\",\"type\":\"fifo\",\"content\":null}}"))
        .collect();
    let plain = format!("{{\"nodes\":[{}]}}{}", nodes.join(","), " ".repeat(400 << 20));
    let folder = BlobId(Digest::of(plain.as_bytes()));
    let tree = compressed(plain.as_bytes());
    let blank = compressed(" ".repeat(500 << 20).as_bytes());
    let trees = enemy.pack(&[
        (BlobKind::Tree, folder, &tree, Some(plain.len() as u32)),
        (BlobKind::Tree, id("blank"), &blank, Some(500 << 20)),
    ]);
    enemy.index(vec![more, trees]);
    let mut nodes: Vec<_> = data.iter().map(|name| file(name, 512 << 20, &[id(name)])).collect();
    nodes.push(file("small", 1 << 20, &[id("small")]));
    nodes.push(dir("folder", folder));
    nodes.push(dir("blank", id("blank")));
    let count = nodes.len();
    let snapshot = enemy.snapshot(enemy.tree(&nodes.into()));

    let restored = enemy.restore(&snapshot, &[]).exits(1).json();

    let damaged = restored["damaged"].as_array().unwrap();
    let folder_is_told = restored["damaged"].to_string().contains("folder folder");
    assert_eq!(damaged.len() + usize::from(!folder_is_told), count, "{restored:#}");
    assert_eq!(restored["files"], 0, "{restored:#}");
    enemy.drill(&snapshot);
    enemy.watched(&["verify", "shop", "--read-data", "--json"]).exits(1);
}

#[test]
fn bombs_among_snapshots_and_index_files_fill_no_memory_and_are_named() {
    for (folder, begin, end) in
        [(Folder::Snapshots, "{\"tags\":[", "]}"), (Folder::Index, "{\"packs\":[", "]}")]
    {
        let enemy = Enemy::new();
        let honest = enemy.honest();
        let names: Vec<_> = (0..20)
            .map(|number| {
                let json = format!("{begin}{}{end}{number}", " ".repeat(400 << 20));
                let plain = [&[2][..], &compressed(json.as_bytes())].concat();
                enemy.file(folder, &plain).to_string()
            })
            .collect();

        let restored = enemy.restore(&honest, &[]);

        match folder {
            Folder::Index => assert!(names.iter().all(|name| restored.stdout.contains(name))),
            _ => assert_eq!(restored.code, 0, "{}", restored.stderr),
        }
        let verified = enemy.watched(&["verify", "shop", "--json"]).exits(1).json();
        for name in &names {
            assert!(verified["errors"].to_string().contains(name), "{name}");
        }
        let drilled = enemy.watched(&["drill", "shop", "--json"]);
        match folder {
            Folder::Index => assert_ne!(drilled.code, 0, "{}", drilled.stdout),
            // They are not what is drilled, nor what the ledger says should be.
            _ => {
                let beside = drilled.exits(0).json()["beside"].to_string();
                assert!(names.iter().all(|name| beside.contains(name)), "{beside}");
            }
        }
    }
}

#[test]
fn json_that_nests_without_end_is_refused_everywhere() {
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let enemy = Enemy::new();
    let honest = enemy.honest();
    let deep = format!(
        "{{\"nodes\":[{{\"name\":\"x\",\"type\":\"fifo\",\"x\":{nested}}}],\"y\":{nested}}}"
    );
    let manifest = format!("{{\"effective\":{nested}}}");
    let deep = enemy.blobs(BlobKind::Tree, &[deep.as_bytes()])[0];
    let page = enemy.blobs(BlobKind::Data, &[manifest.as_bytes()])[0];
    let root = json!([dir("deep", deep), file("lifeboat.json", manifest.len() as u64, &[page])]);
    let snapshot = enemy.snapshot(enemy.tree(&root));
    enemy.restore(&snapshot, &[]);
    assert!(enemy.drill(&snapshot).to_string().contains("lifeboat.json"));
    enemy.watched(&["verify", "shop", "--json"]);

    let text = format!("{{\"tags\":{nested},\"packs\":{nested}}}");
    for folder in [Folder::Snapshots, Folder::Index] {
        let name = enemy.file(folder, text.as_bytes()).to_string();
        let verified = enemy.watched(&["verify", "shop", "--json"]).exits(1).json();
        assert!(verified["errors"].to_string().contains(&name), "{verified:#}");
    }
    enemy.file(Folder::Locks, text.as_bytes());
    enemy.watched(&["restore", "shop", "--to", "elsewhere", "--snapshot", &honest]).exits(1);
    enemy.put(&layout::config(), enemy.repository.key().seal(text.as_bytes()));
    let ran = enemy.watched(&["drill", "shop", "--json"]);
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("config"), "{}", ran.stderr);
}

#[test]
fn a_million_tags_and_a_manifest_without_end_do_no_harm() {
    let enemy = Enemy::new();
    let tags: Vec<_> = (0..1_000_000).map(|number| format!("tag {number}")).collect();
    let page = vec![b' '; 16 << 20];
    let page = enemy.blobs(BlobKind::Data, &[&page])[0];
    let root = json!([file("lifeboat.json", 1 << 44, &vec![page; 1 << 20])]);
    let tree = enemy.tree(&root);
    let json =
        json!({ "time": jiff::Timestamp::now(), "tree": tree, "paths": ["/"], "tags": tags });
    let plain = [&[2][..], &compressed(json.to_string().as_bytes())].concat();
    let snapshot = enemy.file(Folder::Snapshots, &plain).to_string();

    enemy.watched(&["snapshots", "shop", "--json"]).exits(0);
    let drilled = enemy.drill(&snapshot);

    assert!(drilled.to_string().contains("lifeboat.json"), "{drilled:#}");
}

#[test]
fn keys_that_ask_for_huge_work_are_passed_over_in_time() {
    let enemy = Enemy::new();
    let honest = enemy.honest();
    let real = enemy.bench.files("store/acme/repo/keys").remove(0);
    let real: Value = serde_json::from_slice(&fs::read(real).unwrap()).unwrap();
    for (n, r, p) in [
        (json!(1_u64 << 62), json!(8), json!(1)),
        (json!(1 << 20), json!(8), json!(64)),
        (json!(2), json!(u32::MAX), json!(1)),
        (json!(2), json!(1), json!(u32::MAX)),
        (json!(32768), json!(0), json!(0)),
        (json!(u64::MAX), json!(8), json!(1)),
        (json!(1.5e300), json!(8), json!(1)),
    ] {
        let mut lie = real.clone();
        (lie["N"], lie["r"], lie["p"]) = (n, r, p);
        let bytes = lie.to_string().into_bytes();
        enemy.put(&Folder::Keys.object(&Digest::of(&bytes)), bytes);
    }
    let bytes = "[".repeat(100_000).into_bytes();
    enemy.put(&Folder::Keys.object(&Digest::of(&bytes)), bytes);

    let begun = Instant::now();
    enemy.restore(&honest, &[]).exits(0);

    assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
}

#[test]
fn objects_of_a_terabyte_fill_no_memory() {
    for folder in ["snapshots", "index", "keys"] {
        let enemy = Enemy::new();
        let honest = enemy.honest();
        let name = Digest::of(folder.as_bytes()).to_string();
        let path = enemy.bench.repository().join(folder).join(&name);
        fs::File::create(&path).unwrap().set_len(1 << 40).unwrap();

        let restored = enemy.restore(&honest, &[]);

        match folder {
            "index" => assert!(restored.stdout.contains(&name), "{}", restored.stdout),
            _ => assert_eq!(restored.code, 0, "{}", restored.stderr),
        }
        if folder != "keys" {
            let verified = enemy.watched(&["verify", "shop", "--json"]).exits(1).json();
            assert!(verified["errors"].to_string().contains(&name), "{verified:#}");
        }
    }
    let enemy = Enemy::new();
    let pack = enemy.bench.files("store/acme/repo/data").remove(0);
    fs::set_permissions(&pack, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    fs::OpenOptions::new().write(true).open(&pack).unwrap().set_len(1 << 40).unwrap();
    let name = pack.file_name().unwrap().to_str().unwrap().to_owned();
    let ran = enemy.watched(&["verify", "shop", "--read-data", "--json"]).exits(1);
    assert!(ran.stdout.contains(&name), "{}\n{}", ran.stdout, ran.stderr);
}
