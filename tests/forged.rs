//! Snapshots that somebody with the repository's key put there: the same tags, the same manifest,
//! other content. None passes for a recovery point, and the drill says what is wrong with it.

mod bench;

use std::sync::{Arc, RwLock};

use bench::Bench;
use jiff::{SignedDuration, Timestamp};
use lifeboat::ground::clock::SystemClock;
use lifeboat::repo::{
    BlobId, BlobKind, Node, NodeKind, Reader, Repository, Snapshot, SnapshotId, Tree, Writer,
};
use lifeboat::store::{Local, ObjectName, Prefixed};
use serde_json::{Value, json};

/// The repository as a forger has it: open, with everything that a writer needs.
struct Forger {
    runtime: tokio::runtime::Runtime,
    repository: Arc<Repository>,
    reader: Reader,
    writer: Writer,
    newest: Snapshot,
}

impl Forger {
    fn at(bench: &Bench) -> Self {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let store = Local::open(&bench.path("store")).unwrap();
        let place: ObjectName = "acme/repo".parse().unwrap();
        let store = Arc::new(Prefixed::new(Arc::new(store), place));
        let password = bench::PASSWORD.to_owned().into();
        let opened = runtime.block_on(Repository::open(store, &password)).unwrap();
        let repository = Arc::new(opened);
        let index = runtime.block_on(repository.load_index()).unwrap();
        let index = Arc::new(RwLock::new(index));
        let (_, newest) = runtime.block_on(repository.snapshots()).unwrap().pop().unwrap();
        let reader = Reader::new(repository.clone(), index.clone());
        let clock = Arc::new(SystemClock);
        let writer = repository.writer(index, runtime.handle().clone(), clock);
        Self { runtime, repository, reader, writer, newest }
    }

    /// The tree at `path` below `root`, changed; and every tree above it.
    fn change(&self, root: BlobId, path: &[&str], how: &dyn Fn(&Self, &mut Vec<Node>)) -> BlobId {
        let Tree { mut nodes } = self.runtime.block_on(self.reader.tree(&root)).unwrap();
        match path {
            [] => how(self, &mut nodes),
            [name, below @ ..] => {
                let node = nodes.iter_mut().find(|node| node.name == name.as_bytes()).unwrap();
                let NodeKind::Dir { subtree } = &mut node.kind else { panic!("{name}") };
                *subtree = self.change(*subtree, below, how);
            }
        }
        self.writer.store_tree(&Tree { nodes }).unwrap()
    }

    fn content(&self, node: &Node) -> Vec<u8> {
        let NodeKind::File { content, .. } = &node.kind else { panic!("{node:?}") };
        let read = |id| self.runtime.block_on(self.reader.blob(BlobKind::Data, id)).unwrap();
        content.iter().flat_map(|id| read(id).to_vec()).collect()
    }

    fn file(&self, bytes: &[u8]) -> NodeKind {
        let stored = self.writer.store_content(&mut &bytes[..]).unwrap();
        NodeKind::File { size: stored.size, content: stored.ids }
    }

    /// Publishes the newest snapshot once more, with another tree and time.
    fn publish(self, tree: BlobId, time: Timestamp) -> SnapshotId {
        self.runtime.block_on(self.writer.finish()).unwrap();
        let forged = Snapshot { tree, time, ..self.newest };
        self.runtime.block_on(self.repository.save_snapshot(&forged)).unwrap()
    }
}

/// Publishes a snapshot like the newest, but for what `how` does to the tree at `path`.
fn forge(bench: &Bench, path: &[&str], how: impl Fn(&Forger, &mut Vec<Node>)) -> String {
    let forger = Forger::at(bench);
    let tree = forger.change(forger.newest.tree, path, &how);
    forger.publish(tree, Timestamp::now()).to_string()
}

/// Changes the entries of one folder.
type Lie = fn(&Forger, &mut Vec<Node>);

/// Changes a manifest.
type Edit = fn(&mut Value);

/// The folder of the snapshot that holds the bench's files.
fn uploads(bench: &Bench) -> Vec<String> {
    let real = bench.path("data/files").canonicalize().unwrap();
    let parts = real.to_str().unwrap().split('/').filter(|part| !part.is_empty());
    std::iter::once("uploads").chain(parts).map(str::to_owned).collect()
}

fn node<'a>(nodes: &'a mut [Node], name: &str) -> &'a mut Node {
    nodes.iter_mut().find(|node| node.name == name.as_bytes()).unwrap()
}

fn edit_manifest(forger: &Forger, nodes: &mut [Node], how: &dyn Fn(&mut Value)) {
    let page = node(nodes, "lifeboat.json");
    let mut manifest: Value = serde_json::from_slice(&forger.content(page)).unwrap();
    how(&mut manifest);
    page.kind = forger.file(manifest.to_string().as_bytes());
}

fn rewrite_database(forger: &Forger, nodes: &mut [Node], sql: &str) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let database = node(nodes, "shop.db");
    std::fs::write(&path, forger.content(database)).unwrap();
    let open = rusqlite::Connection::open(&path).unwrap();
    open.execute_batch(sql).unwrap();
    drop(open);
    database.kind = forger.file(&std::fs::read(&path).unwrap());
}

/// Drills, and asserts that the word is not `pass` and that every one of `places` is named.
#[track_caller]
fn is_caught(bench: &Bench, places: &[&str]) -> Value {
    let (code, document) = bench.drill();
    assert!(code == 4 || code == 5, "{code}: {document:#}");
    assert_ne!(document["verdict"], "pass", "{document:#}");
    for place in places {
        assert!(document.to_string().contains(place), "{place:?} is not named: {document:#}");
    }
    assert_eq!(bench.leftovers(), Vec::<std::path::PathBuf>::new());
    let locks = bench.files("store/acme/repo/locks");
    assert_eq!(locks, Vec::<std::path::PathBuf>::new(), "the repository is still locked");
    document
}

#[test]
fn a_database_with_other_rows_or_tables_fails_and_names_the_table() {
    let lies = [
        ("UPDATE orders SET cents = cents + 1 WHERE id = 77", "table orders"),
        ("UPDATE orders SET note = CAST(note AS BLOB) WHERE id = 7", "table orders"),
        ("DELETE FROM orders WHERE id = 299", "has 299 rows instead of 300"),
        ("INSERT INTO orders VALUES (4000, 1, 'more')", "has 301 rows instead of 300"),
        ("DROP TABLE products", "table products"),
        ("CREATE TABLE more (x)", "table more"),
        ("DROP INDEX orders_by_cents", "index orders_by_cents"),
        ("CREATE TRIGGER t AFTER INSERT ON orders BEGIN SELECT 1; END", "trigger t"),
        ("PRAGMA user_version = 9", "pragma user_version"),
    ];
    let bench = Bench::new();
    bench.backup();
    let honest = bench.run(&["snapshots", "shop", "--json"]).exits(0).json()[0]["id"].clone();
    for (sql, place) in lies {
        let forged = forge(&bench, &["orders"], |forger, nodes| {
            rewrite_database(forger, nodes, sql);
        });

        let document = is_caught(&bench, &[place, &forged]);

        assert_eq!(document["verdict"], "fail", "{sql}: {document:#}");
        assert_eq!(document["snapshot"], forged, "{sql}");
        // The next lie starts from the truth.
        std::fs::remove_file(bench.repository().join("snapshots").join(&forged)).unwrap();
    }
    let (code, document) = bench.drill();
    assert_eq!((code, &document["snapshot"]), (0, &honest), "{document:#}");
}

#[test]
fn a_database_cut_short_fails_and_is_not_inconclusive() {
    let bench = Bench::new();
    bench.backup();
    forge(&bench, &["orders"], |forger, nodes| {
        let database = node(nodes, "shop.db");
        let bytes = forger.content(database);
        database.kind = forger.file(&bytes[..bytes.len() - 4096]);
    });

    let document = is_caught(&bench, &["orders"]);

    assert_eq!(document["verdict"], "fail", "{document:#}");
}

#[test]
fn files_that_are_missing_extra_or_of_another_size_fail_the_drill() {
    let lies: [(&str, Lie); 4] = [
        ("missing", |_, nodes| nodes.retain(|node| node.name != b"large.bin")),
        ("extra", |_, nodes| {
            let mut more = node(nodes, "large.bin").clone();
            more.name = b"large.bin.more".to_vec();
            nodes.push(more);
            nodes.sort_by(|one, other| one.name.cmp(&other.name));
        }),
        ("longer", |forger, nodes| {
            let file = node(nodes, "large.bin");
            let mut bytes = forger.content(file);
            bytes.push(0);
            file.kind = forger.file(&bytes);
        }),
        ("executable", |_, nodes| node(nodes, "large.bin").mode = 0o755),
    ];
    for (kind, lie) in lies {
        let bench = Bench::new();
        bench.backup();
        let below = uploads(&bench);
        let below: Vec<_> = below.iter().map(String::as_str).collect();
        let forged = forge(&bench, &below, lie);

        let document = is_caught(&bench, &["data/files", &forged]);

        assert_eq!(document["parts"]["intact"], "no", "{kind}: {document:#}");
    }
}

fn one_byte_changed(bench: &Bench) -> String {
    let below = uploads(bench);
    let below: Vec<_> = below.iter().map(String::as_str).collect();
    forge(bench, &below, |forger, nodes| {
        let file = node(nodes, "large.bin");
        let mut bytes = forger.content(file);
        bytes[1_000_000] ^= 1;
        file.kind = forger.file(&bytes);
    })
}

#[test]
fn a_snapshot_that_the_ledger_never_saw_is_no_recovery_point() {
    let bench = Bench::new();
    bench.backup();
    // Size, times and rights are as they were: nothing in the snapshot itself tells.
    let forged = one_byte_changed(&bench);

    let document = is_caught(&bench, &["recovery point", &forged]);

    assert_eq!(document["verdict"], "inconclusive", "{document:#}");
    assert_eq!(document["parts"]["intact"], "unknown", "{document:#}");
    let named = bench.run(&["drill", "shop", "--snapshot", &forged, "--json"]).exits(5).json();
    assert!(named.to_string().contains("no record on the ledger"), "{named:#}");
}

#[test]
fn a_forged_snapshot_does_not_count_as_a_backup_and_is_restored_with_a_warning_only() {
    let bench = Bench::new();
    let honest = bench.backup()["snapshot"].clone();
    let forged = one_byte_changed(&bench);

    let status = bench.run(&["status", "--json"]).exits(0).json();
    let restored = bench.run(&["restore", "shop", "--to", "back", "--json"]).exits(0).json();

    assert_eq!(status[0]["last_backup"]["snapshot"], honest, "{status:#}");
    assert_eq!(status[0]["unrecorded"], forged, "{status:#}");
    let text = bench.run(&["status"]).exits(0).stdout;
    assert!(text.contains(&format!("{}, is NOT ON THE LEDGER", &forged[..8])), "{text}");
    assert_eq!((&restored["snapshot"], &restored["on_ledger"]), (&json!(forged), &json!("no")));
    let warnings = restored["warnings"].to_string();
    assert!(warnings.contains(&format!("snapshot {forged} is not on the ledger")), "{warnings}");
    let better = format!("the ledger's latest is {}", honest.as_str().unwrap());
    assert!(warnings.contains(&better), "{warnings}");
}

#[test]
fn content_of_a_snapshot_that_the_ledger_never_saw_is_not_taken_over_by_the_next_backup() {
    let bench = Bench::new();
    bench.backup();
    one_byte_changed(&bench);
    // Files touched a moment ago are read whatever the snapshot before says.
    std::thread::sleep(std::time::Duration::from_millis(2500));

    bench.backup();

    bench.run(&["restore", "shop", "--to", "back"]).exits(0);
    let back = bench.files("back").into_iter().find(|path| path.ends_with("large.bin")).unwrap();
    assert!(std::fs::read(back).unwrap() == bench::noise(3_000_000), "forged content came back");
    let (code, document) = bench.drill();
    assert_eq!(code, 0, "{document:#}");
}

#[test]
fn manifests_that_promise_less_are_never_a_pass() {
    let lies: [(&str, Edit); 7] = [
        ("no sources", |manifest| manifest["sources"] = json!([])),
        ("one source less", |manifest| {
            manifest["sources"].as_array_mut().unwrap().pop();
        }),
        ("no parts", |manifest| {
            for source in manifest["sources"].as_array_mut().unwrap() {
                source["fingerprint"] = json!({"parts": {}, "schema": {}});
            }
        }),
        ("one table less", |manifest| {
            let parts = &mut manifest["sources"][0]["fingerprint"]["parts"];
            parts.as_object_mut().unwrap().remove("products").unwrap();
        }),
        ("no rows", |manifest| {
            let parts = &mut manifest["sources"][0]["fingerprint"]["parts"];
            for part in parts.as_object_mut().unwrap().values_mut() {
                part["rows"] = json!(0);
            }
        }),
        ("two captures of one source", |manifest| {
            let first = manifest["sources"][0].clone();
            manifest["sources"].as_array_mut().unwrap().push(first);
        }),
        ("another policy's", |manifest| manifest["policy"] = json!("other")),
    ];
    for (kind, lie) in lies {
        let bench = Bench::new();
        bench.backup();
        let forged = forge(&bench, &[], |forger, nodes| edit_manifest(forger, nodes, &lie));

        let document = is_caught(&bench, &[&forged]);

        assert_ne!(document["parts"]["intact"], "yes", "{kind}: {document:#}");
    }
}

fn says_version(manifest: &mut Value, version: &Value) {
    for source in manifest["sources"].as_array_mut().unwrap() {
        source["fingerprint"]["version"] = version.clone();
    }
}

#[test]
fn a_fingerprint_of_another_version_leaves_equality_open_and_all_else_is_checked() {
    for version in [json!(0), json!(2), json!(u32::MAX)] {
        let bench = Bench::new();
        bench.backup();
        forge(&bench, &[], |forger, nodes| {
            edit_manifest(forger, nodes, &|manifest| says_version(manifest, &version));
        });

        let document = is_caught(&bench, &[&format!("version {version} of sqlite's")]);

        assert_eq!(document["verdict"], "inconclusive", "{document:#}");
        for check in document["checks"].as_array().unwrap() {
            let is_open = check["rung"] == "equality" || check["rung"] == "point";
            let wanted = if is_open { "not-run" } else { "held" };
            assert_eq!(check["outcome"], wanted, "{check:#}");
        }
        let text = bench.run(&["drill", "shop"]).exits(5).stdout;
        assert!(!text.contains("parts equal"), "{text}");
    }
}

#[test]
fn a_fingerprint_of_another_version_hides_no_lie_that_anything_else_finds() {
    let bench = Bench::new();
    bench.backup();
    forge(&bench, &["orders"], |forger, nodes| {
        rewrite_database(forger, nodes, "DELETE FROM orders");
    });
    forge(&bench, &[], |forger, nodes| {
        edit_manifest(forger, nodes, &|manifest| says_version(manifest, &json!(0)));
    });

    let document = is_caught(&bench, &["there are orders"]);

    assert_eq!(document["verdict"], "fail", "{document:#}");
}

#[test]
fn a_version_that_is_no_number_makes_the_manifest_unreadable() {
    for version in [json!("1"), json!(null), json!(-1), json!(1.5), json!([2])] {
        let bench = Bench::new();
        bench.backup();
        forge(&bench, &[], |forger, nodes| {
            edit_manifest(forger, nodes, &|manifest| says_version(manifest, &version));
        });

        let document = is_caught(&bench, &["lifeboat.json"]);

        assert_eq!(document["verdict"], "fail", "{version}: {document:#}");
    }
}

#[test]
fn a_moment_still_to_come_is_no_data_age() {
    let bench = Bench::new();
    bench.backup();
    forge(&bench, &[], |forger, nodes| {
        edit_manifest(forger, nodes, &|manifest| {
            let later = (Timestamp::now() + SignedDuration::from_hours(9)).to_string();
            for source in manifest["sources"].as_array_mut().unwrap() {
                source["consistent_time"] = json!(later);
            }
        });
    });

    let document = is_caught(&bench, &["the data age was not measured"]);

    assert_eq!(document["parts"]["within_rpo"], "unknown", "{document:#}");
}

#[test]
fn a_ledger_rewritten_with_the_right_key_does_not_agree_with_what_was_signed() {
    let bench = Bench::new();
    bench.edit("drills/weekly.toml", "\"> 0\"", "\"> 1000000\"");
    bench.backup();
    bench.run(&["drill", "shop"]).exits(4);
    bench.edit("drills/weekly.toml", "\"> 1000000\"", "\"> 0\"");
    // The chain ends with it, so that no other line tells.
    let segment = bench.files("store/acme/ledger/segments").pop().unwrap();
    let forger = Forger::at(&bench);
    let text = forger.repository.key().open(&std::fs::read(&segment).unwrap()).unwrap();
    let text = String::from_utf8(text).unwrap();
    assert!(text.contains(r#""verdict":"fail""#), "{text}");
    let text = text.replace(r#""verdict":"fail""#, r#""verdict":"pass""#);
    let sealed = forger.repository.key().seal(text.as_bytes());
    std::fs::remove_file(&segment).unwrap();
    std::fs::write(&segment, sealed).unwrap();

    let verified = bench.run(&["ledger", "verify", "shop", "--json"]).exits(1).json();

    assert_eq!(verified["ok"], false, "{verified:#}");
    assert!(!verified["first_bad"].is_null(), "{verified:#}");
    is_caught(&bench, &["the ledger is not as it was written"]);
}

#[test]
fn a_snapshot_without_its_manifest_is_never_a_pass() {
    let bench = Bench::new();
    bench.backup();
    forge(&bench, &[], |_, nodes| nodes.retain(|node| node.name != b"lifeboat.json"));

    let document = is_caught(&bench, &["nothing was captured to compare with"]);

    assert_eq!(document["verdict"], "inconclusive", "{document:#}");
}

#[test]
fn a_snapshot_from_the_future_is_not_picked_and_status_tells_of_it() {
    let bench = Bench::new();
    let honest = bench.backup()["snapshot"].clone();
    let forger = Forger::at(&bench);
    let (tree, time) = (forger.newest.tree, Timestamp::now() + SignedDuration::from_hours(9));
    let forged = forger.publish(tree, time).to_string();

    let (code, document) = bench.drill();
    let status = bench.run(&["status", "--json"]).exits(0).json();

    assert_eq!((code, &document["snapshot"]), (0, &honest), "{document:#}");
    assert_eq!(status[0]["last_backup"]["snapshot"], honest, "{status:#}");
    assert_eq!(status[0]["still_to_come"], json!([forged]), "{status:#}");
}

#[test]
fn an_index_or_a_tree_that_is_gone_fails_the_drill() {
    let bench = Bench::new();
    bench.backup();
    let forger = Forger::at(&bench);
    let root = forger.newest.tree;
    let pack = {
        let index = forger.runtime.block_on(forger.repository.load_index()).unwrap();
        index.lookup(BlobKind::Tree, &root).unwrap().pack.to_string()
    };
    drop(forger);
    std::fs::remove_file(bench.repository().join("data").join(&pack[..2]).join(&pack)).unwrap();

    let document = is_caught(&bench, &[&root.to_string()]);

    assert_eq!(document["parts"]["restorable"], "no", "{document:#}");
}
