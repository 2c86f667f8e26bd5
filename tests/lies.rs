//! Lies that a drill must not believe: whatever is wrong, the word is never `pass`, and the place
//! is named.

mod bench;

use std::fs;
use std::os::unix::fs::FileExt;

use bench::Bench;
use serde_json::Value;

/// Asserts that a drill did not pass and names `place` somewhere in its answer.
#[track_caller]
fn is_caught(bench: &Bench, code: i32, place: &str) -> Value {
    let (answered, document) = bench.drill();
    assert_ne!(document["verdict"], "pass", "{document:#}");
    assert_eq!(answered, code, "{document:#}");
    assert!(document.to_string().contains(place), "{place:?} is not named: {document:#}");
    assert_eq!(bench.leftovers(), Vec::<std::path::PathBuf>::new());
    let locks = bench.files("store/acme/repo/locks");
    assert_eq!(locks, Vec::<std::path::PathBuf>::new(), "the repository is still locked");
    document
}

#[test]
fn an_honest_backup_passes_and_every_control_is_found() {
    let bench = Bench::new();
    bench.backup();

    let (code, document) = bench.drill();

    assert_eq!((code, &document["verdict"]), (0, &"pass".into()), "{document:#}");
    let controls = document["controls"].as_array().unwrap();
    assert_eq!(controls.len(), 4, "{document:#}");
    assert!(controls.iter().all(|control| control["found"] == true), "{document:#}");
}

/// Damages a file of so many bytes.
type Injure = fn(&fs::File, u64);

#[test]
fn a_damaged_pack_fails_the_drill_and_is_named() {
    let kinds: [(&str, Injure); 2] = [
        ("flipped", |file, size| {
            let mut byte = [0];
            file.read_exact_at(&mut byte, size / 2).unwrap();
            file.write_all_at(&[byte[0] ^ 1], size / 2).unwrap();
        }),
        ("cut", |file, size| file.set_len(size / 2).unwrap()),
    ];
    for (kind, injure) in kinds {
        let bench = Bench::new();
        bench.backup();
        let pack = largest_pack(&bench);
        make_writable(&pack);
        let file = fs::OpenOptions::new().read(true).write(true).open(&pack).unwrap();
        injure(&file, file.metadata().unwrap().len());

        let document = is_caught(&bench, 4, "large.bin");

        assert_eq!(document["parts"]["restorable"], "no", "{kind}: {document:#}");
    }
}

#[test]
fn a_missing_pack_fails_the_drill() {
    let bench = Bench::new();
    bench.backup();
    fs::remove_file(largest_pack(&bench)).unwrap();

    is_caught(&bench, 4, "large.bin");
}

#[test]
fn missing_index_files_fail_the_drill() {
    let bench = Bench::new();
    bench.backup();
    for index in bench.files("store/acme/repo/index") {
        fs::remove_file(index).unwrap();
    }

    let (code, document) = bench.drill();

    assert_eq!((code, &document["parts"]["restorable"]), (4, &"no".into()), "{document:#}");
}

#[test]
fn a_snapshot_that_the_ledger_knows_but_the_bucket_lost_fails_the_drill() {
    let bench = Bench::new();
    let older = bench.backup()["snapshot"].as_str().unwrap().to_owned();
    bench.sql("INSERT INTO orders VALUES (1000, 1, 'newer')");
    let newest = bench.backup()["snapshot"].as_str().unwrap().to_owned();
    fs::remove_file(bench.repository().join("snapshots").join(&newest)).unwrap();

    let document = is_caught(&bench, 4, &newest[..8]);

    let found = &document["searched"]["found"];
    assert_eq!(found["snapshot"], older.as_str(), "it comes back, as good as it was: {found:#}");
    // The older one was rehearsed in its place, and is not what is wanting.
    let status = bench.run(&["status", "--json"]).json();
    assert_eq!(status[0]["last_drill"]["snapshot"], newest.as_str(), "{status:#}");
    let text = bench.run(&["status"]).stdout;
    assert!(!text.contains("damaged") || !text.contains(&older[..8]), "{text}");
}

#[test]
fn a_folder_that_lost_its_content_is_never_a_pass() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("data/unmounted")).unwrap();
    bench.protect(
        "[[source]]\nname = \"uploads\"\nkind = \"files\"\npaths = [\"data/unmounted\"]\n",
    );
    // Without controls, that could be found missing from nothing, only the comparison speaks.
    bench.write(
        "drills/weekly.toml",
        "policy = \"acme/shop\"\nname = \"weekly\"\ncontrols = false\n".into(),
    );
    bench.backup();

    let document = is_caught(&bench, 5, "empty folder");

    assert_eq!(document["verdict"], "inconclusive", "{document:#}");
}

#[test]
fn a_pass_of_a_point_named_by_hand_says_nothing_of_the_latest() {
    let bench = Bench::new();
    let older = bench.backup()["snapshot"].as_str().unwrap().to_owned();
    bench.sql("INSERT INTO products VALUES (100, 'gone.jpg')");
    bench.backup();
    let failed = is_caught(&bench, 4, "gone.jpg");

    bench.run(&["drill", "shop", "--snapshot", &older]).exits(0);

    let status = bench.run(&["status", "--json"]).json();
    let last = &status[0]["last_drill"];
    assert_eq!([&last["verdict"], &last["record"]], [&"fail".into(), &failed["record"]]);
    let text = bench.run(&["status"]).stdout;
    assert!(text.contains("FAIL") && text.contains("named by hand"), "{text}");
}

#[test]
fn a_wrong_password_exits_12_and_its_record_waits_for_the_right_one() {
    let bench = Bench::new();
    bench.backup();
    bench.write("keys/repository-password", "wrong\n".into());

    bench.run(&["drill", "shop", "--json"]).exits(12);

    bench.write("keys/repository-password", format!("{}\n", bench::PASSWORD));
    bench.run(&["drill", "shop"]).exits(0);
    let log = bench.run(&["ledger", "log", "shop", "--json"]).exits(0).stdout;
    let verdicts: Vec<_> =
        log.match_indices("\"verdict\":").map(|(at, _)| &log[at..at + 22]).collect();
    assert_eq!(verdicts.len(), 2, "{log}");
    assert!(verdicts[0].contains("fail") && verdicts[1].contains("pass"), "{log}");
}

#[test]
fn a_missing_repository_exits_10_once_the_ledger_has_records() {
    let bench = Bench::new();
    bench.backup();
    fs::remove_dir_all(bench.repository()).unwrap();

    bench.run(&["drill", "shop"]).exits(10);
    bench.run(&["backup", "shop"]).exits(10);
}

#[test]
fn a_check_that_does_not_hold_fails_the_drill_by_name() {
    let bench = Bench::new();
    bench.edit("drills/weekly.toml", "\"> 0\"", "\"> 1000000\"");
    bench.backup();

    let document = is_caught(&bench, 4, "there are orders");

    assert_eq!(document["parts"]["intact"], "no");
}

#[test]
fn a_picture_that_the_database_names_but_no_file_has_fails_the_drill() {
    let bench = Bench::new();
    for (id, picture) in [(100, "gone.jpg"), (101, "../shop.db"), (102, "/etc/passwd")] {
        bench.sql(&format!("INSERT INTO products VALUES ({id}, '{picture}')"));
    }
    bench.backup();

    let document = is_caught(&bench, 4, "gone.jpg");

    assert!(document.to_string().contains("../shop.db"), "{document:#}");
}

#[test]
fn a_check_that_runs_for_ever_is_never_a_pass() {
    let bench = Bench::new();
    bench.edit(
        "drills/weekly.toml",
        "SELECT count(*) FROM orders",
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
    );
    bench.edit("drills/weekly.toml", "expect = \"> 0\"", "expect = \"> 0\"\ndeadline = \"1s\"");
    bench.backup();

    is_caught(&bench, 5, "there are orders");
}

#[test]
fn a_list_of_nothing_is_never_a_pass() {
    let bench = Bench::new();
    bench.sql("DELETE FROM products");
    bench.backup();

    is_caught(&bench, 5, "every picture exists");
}

#[test]
fn a_database_without_rows_and_tables_is_never_a_pass() {
    let bench = Bench::new();
    bench.sql("DROP TABLE products; DROP TABLE orders;");
    bench.backup();

    let (code, document) = bench.drill();

    assert_ne!(code, 0, "{document:#}");
    assert_ne!(document["verdict"], "pass", "{document:#}");
}

#[test]
fn an_unreadable_file_makes_the_backup_incomplete_and_the_drill_inconclusive() {
    let bench = Bench::new();
    bench.write("data/files/roots-own", "not for nobody".into());
    let nobody = bench.as_nobody_except("data/files/roots-own");

    let document = nobody(&["backup", "shop", "--json"]).exits(3).json();

    let skipped = document["skipped"].as_array().unwrap();
    assert_eq!(skipped.len(), 1, "{document:#}");
    assert!(skipped[0]["path"].as_str().unwrap().ends_with("roots-own"), "{document:#}");
    let drilled = nobody(&["drill", "shop", "--json"]).exits(5).json();
    assert_eq!(drilled["verdict"], "inconclusive", "{drilled:#}");
    assert!(drilled.to_string().contains("roots-own"), "{drilled:#}");
}

#[test]
fn after_a_fail_the_newest_older_point_that_comes_back_is_named_and_the_fail_stands() {
    let bench = Bench::new();
    let mut ids = Vec::new();
    for number in 0..6 {
        // Of the six points the newest three name a picture that no file is.
        match number {
            3 => bench.sql("INSERT INTO products VALUES (100, 'gone.jpg')"),
            other => bench.sql(&format!("INSERT INTO orders VALUES ({}, 1, '')", 1000 + other)),
        }
        ids.push(bench.backup()["snapshot"].as_str().unwrap().to_owned());
    }

    let document = is_caught(&bench, 4, "gone.jpg");

    let searched = &document["searched"];
    assert_eq!(searched["found"]["snapshot"], ids[2].as_str(), "{searched:#}");
    let found = &searched["found"];
    assert_eq!([&searched["older"], &searched["tried"], &found["untried"]], [5, 3, 0], "{found:#}");
    assert!(searched["found"]["data_age_seconds"].as_f64().unwrap() > 0.0, "{searched:#}");
    // What passed was an older point: of the latest the fail is still the last word.
    let status = bench.run(&["status", "--json"]).json();
    let last = &status[0]["last_drill"];
    assert_eq!([&last["verdict"], &last["record"]], [&"fail".into(), &document["record"]]);
    assert_eq!(last["comes_back"]["record"], searched["found"]["record"], "{last:#}");
    assert_eq!(status[0]["drills"].as_array().unwrap().len(), 1, "{status:#}");
    let page = bench.run(&["report", "drill", "shop", "--lang", "en"]).exits(0).stdout;
    assert!(page.contains("Point that comes back") && page.contains(&ids[2]), "{page}");
    // What comes back is kept, however few are to be.
    bench.edit("policies/shop.toml", "[objectives]", "[retention]\nlast = 1\n\n[objectives]");
    let plan = bench.run(&["forget", "shop", "--dry-run"]).exits(0).stdout;
    let kept = plan.lines().find(|line| line.contains(&ids[2][..8])).unwrap();
    assert!(kept.contains("newest proven by a drill"), "{plan}");
}

#[test]
fn where_no_older_point_comes_back_none_is_named() {
    let bench = Bench::new();
    bench.sql("INSERT INTO products VALUES (100, 'gone.jpg')");
    for number in 0..4 {
        bench.sql(&format!("INSERT INTO orders VALUES ({}, 1, '')", 1000 + number));
        bench.backup();
    }

    let document = is_caught(&bench, 4, "gone.jpg");

    let searched = &document["searched"];
    assert_eq!([&searched["older"], &searched["tried"]], [3, 2], "the next older and the oldest");
    assert_eq!(searched["found"], Value::Null, "{searched:#}");
    let page = bench.run(&["report", "drill", "shop", "--lang", "en"]).exits(0).stdout;
    assert!(page.contains("None of the 2 older ones drilled"), "{page}");
    let again = bench.run(&["drill", "shop", "--no-search", "--json"]).exits(4).json();
    assert_eq!(again["searched"], Value::Null, "{again:#}");
}

fn largest_pack(bench: &Bench) -> std::path::PathBuf {
    let packs = bench.files("store/acme/repo/data");
    packs.into_iter().max_by_key(|pack| fs::metadata(pack).unwrap().len()).unwrap()
}

fn make_writable(path: &std::path::Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}
