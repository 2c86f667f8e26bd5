//! `verify` and `repair` on real sites: what is told, what is put right, and what restic makes of it.

mod bench;

use std::fs;
use std::path::{Path, PathBuf};

use bench::{Bench, contents, must, new_restic, noise, old_restic};
use serde_json::{Value, json};

/// A backed-up site.
fn site() -> Bench {
    let bench = Bench::new();
    bench.backup();
    bench
}

fn pack(bench: &Bench, is_it: impl Fn(u64) -> bool) -> PathBuf {
    let packs = bench.files("store/acme/repo/data");
    packs.into_iter().find(|file| is_it(fs::metadata(file).unwrap().len())).unwrap()
}

fn flip(file: &Path, at: usize) {
    let mut bytes = fs::read(file).unwrap();
    bytes[at] ^= 1;
    fs::write(file, bytes).unwrap();
}

fn of_kind(bench: &Bench, kind: &str) -> Vec<Value> {
    let log = bench.run(&["ledger", "log", "shop", "--last", "0", "--json"]).exits(0).json();
    let records = log.as_array().unwrap().clone();
    records.into_iter().filter(|record| record["kind"] == kind).collect()
}

#[track_caller]
fn is_sound(bench: &Bench) {
    for restic in [old_restic(), new_restic()] {
        must(bench.restic(&restic).args(["check", "--read-data"]));
    }
    let verified = bench.run(&["verify", "shop", "--read-data", "--json"]).exits(0).json();
    assert_eq!(verified["errors"], json!([]));
    bench.run(&["ledger", "verify", "shop"]).exits(0);
}

fn restored(bench: &Bench, snapshot: &str) -> String {
    bench.run(&["restore", "shop", "--to", "back", "--snapshot", snapshot]).exits(0);
    let found = contents(&bench.path("back"));
    fs::remove_dir_all(bench.path("back")).unwrap();
    found
}

#[test]
fn verify_names_every_snapshot_and_file_that_a_damage_takes_with_it() {
    let bench = site();
    bench.sql("INSERT INTO orders VALUES (1000, 1, 'newer')");
    bench.backup();
    // The large file alone has a pack of its size.
    flip(&pack(&bench, |size| size > 2_000_000), 1_000_000);

    let ran = bench.run(&["verify", "shop", "--read-data", "--json"]).exits(1).json();

    let affected = ran["affected"].as_array().unwrap();
    assert_eq!(affected.len(), 2, "{ran:#}");
    for one in affected {
        assert_eq!((&one["policy"], &one["files"]), (&json!("acme/shop"), &json!(1)), "{one:#}");
        let path = one["lost"][0]["path"].as_str().unwrap();
        assert!(path.starts_with("/uploads/") && path.ends_with("/large.bin"), "{path}");
    }
    assert!(affected[0]["time"].as_str() > affected[1]["time"].as_str(), "newest first");
    let text = bench.run(&["verify", "shop", "--read-data"]).exits(1).stdout;
    assert!(text.contains("of acme/shop, "), "{text}");
    assert!(text.contains("lacks 1 file\n    /uploads/"), "{text}");
    assert!(text.contains("2 of 2 snapshots cannot be restored whole"), "{text}");
}

#[test]
fn successive_parts_read_everything_and_the_ledger_says_how_much() {
    let bench = site();
    for n in 0..4 {
        fs::write(bench.path("data/files/more.bin"), &noise(500_000)[n..]).unwrap();
        bench.backup();
    }
    let part = || {
        let ran = bench.run(&["verify", "shop", "--read-data-subset", "25%", "--json"]);
        ran.exits(0).json()["coverage"].clone()
    };

    let first = part();
    assert_eq!(first["begun_anew"], true);
    assert!(first["covered_bytes"].as_u64() < first["bytes"].as_u64(), "{first:#}");
    part();
    part();
    let last = part();
    assert_eq!((&last["covered_bytes"], &last["begun_anew"]), (&last["bytes"], &json!(false)));
    let record = of_kind(&bench, "verify").pop().unwrap();
    assert_eq!(record["read_data"], false);
    for key in ["read_packs", "covered_bytes", "packs", "since"] {
        assert_eq!(record["part"][key], last[key], "{record:#}");
    }
    bench.run(&["ledger", "verify", "shop"]).exits(0);

    // With the state goes what was read; it is said, and begins anew.
    fs::remove_dir_all(bench.path("state")).unwrap();
    let text = bench.run(&["verify", "shop", "--read-data-subset", "25%"]).exits(0).stdout;
    assert!(text.contains("remembers no earlier reading: it begins anew"), "{text}");
    for wrong in ["5", "0%", "101%"] {
        let ran = bench.run(&["verify", "shop", "--read-data-subset", wrong]).exits(2);
        assert!(ran.stderr.contains("is not a share"), "{}", ran.stderr);
    }
}

#[test]
fn a_damage_that_a_part_found_is_told_until_it_is_mended() {
    let bench = site();
    let file = pack(&bench, |size| size > 2_000_000);
    flip(&file, 1_000_000);
    bench.run(&["verify", "shop", "--read-data-subset", "100%"]).exits(1);

    for args in [&["verify", "shop"][..], &["verify", "shop", "--read-data-subset", "0.01%"]] {
        bench.run(args).exits(1);
    }

    flip(&file, 1_000_000);
    bench.run(&["verify", "shop"]).exits(0);
}

#[test]
fn a_backup_that_stops_at_a_damaged_index_says_what_repairs_it_and_goes_on_after_that() {
    let bench = site();
    bench.sql("INSERT INTO orders VALUES (1000, 1, 'newer')");
    let snapshot = bench.backup()["snapshot"].as_str().unwrap().to_owned();
    let whole = restored(&bench, &snapshot);
    for file in bench.files("store/acme/repo/index") {
        flip(&file, 40);
    }
    let ran = bench.run(&["backup", "shop"]).exits(1);
    assert!(ran.stderr.contains("`lifeboat repair index`"), "{}", ran.stderr);
    let dry = bench.run(&["repair", "index", "shop", "--dry-run", "--json"]).exits(0).json();
    assert_eq!(of_kind(&bench, "index-repaired"), Vec::<Value>::new());

    let done = bench.run(&["repair", "index", "shop", "--json"]).exits(0).json();

    for key in ["set_aside", "rewritten", "named", "forgotten", "errors"] {
        assert_eq!(done[key], dry[key], "{key}");
    }
    let packs = bench.files("store/acme/repo/data").len();
    assert_eq!(done["named"].as_array().unwrap().len(), packs);
    assert_eq!(bench.files("store/acme/repo/damaged").len(), 2);
    is_sound(&bench);
    assert_eq!(restored(&bench, &snapshot), whole);
    let record = of_kind(&bench, "index-repaired").pop().unwrap();
    assert_eq!(record["index_files"], 2);
    assert!(record["actor"]["name"].is_string());
    bench.backup();
    assert_eq!(bench.drill().0, 0);
    let text = bench.run(&["repair", "index", "shop"]).exits(0).stdout;
    assert!(text.contains("nothing is to be done"), "{text}");
}

#[test]
fn an_index_that_restic_left_in_pieces_is_put_together_and_restic_agrees() {
    let bench = site();
    bench.sql("INSERT INTO orders VALUES (1000, 1, 'newer')");
    bench.backup();
    fs::remove_file(bench.files("store/acme/repo/index").remove(0)).unwrap();
    bench.run(&["verify", "shop"]);

    bench.run(&["repair", "index", "shop"]).exits(0);

    is_sound(&bench);
    // And what restic repairs is sound for us.
    fs::remove_file(bench.files("store/acme/repo/index").remove(0)).unwrap();
    must(bench.restic(&new_restic()).args(["repair", "index"]));
    is_sound(&bench);
    let text = bench.run(&["repair", "index", "shop"]).exits(0).stdout;
    assert!(text.contains("nothing is to be done"), "{text}");
}

/// The snapshot that holds what is left of another.
fn left_of(bench: &Bench, original: &str) -> Value {
    let all = bench.run(&["snapshots", "shop", "--json"]).exits(0).json();
    all.as_array().unwrap().iter().find(|one| one["original"] == original).unwrap().clone()
}

#[test]
fn what_is_left_of_a_snapshot_restores_byte_for_byte_and_is_never_taken_for_it() {
    let bench = site();
    let original = bench.run(&["snapshots", "shop", "--json"]).exits(0).json()[0]["id"].clone();
    let original = original.as_str().unwrap();
    let whole = restored(&bench, original);
    flip(&pack(&bench, |size| size > 2_000_000), 1_000_000);
    let hint = bench.run(&["verify", "shop", "--read-data"]).exits(1).stdout;
    assert!(hint.contains("`lifeboat repair snapshots acme/shop`"), "{hint}");

    // The verification's finding is remembered: no data need be read again.
    let done = bench.run(&["repair", "snapshots", "shop", "--json"]).exits(3).json();

    let one = &done["snapshots"][0];
    assert_eq!((&one["original"], &one["files"]), (&json!(original), &json!(1)), "{done:#}");
    assert!(one["lost"][0]["path"].as_str().unwrap().ends_with("/large.bin"), "{done:#}");
    let left = left_of(&bench, original);
    assert_eq!((&left["id"], &left["complete"]), (&one["repaired"], &json!(false)));
    let id = left["id"].as_str().unwrap();
    let record = of_kind(&bench, "snapshot-repaired").pop().unwrap();
    assert_eq!((&record["original"], &record["snapshot"]), (&json!(original), &json!(id)));
    assert!(record["actor"]["name"].is_string());

    let rest = restored(&bench, id);
    let expected: Vec<_> = whole.lines().filter(|line| !line.contains("large.bin")).collect();
    assert_eq!(rest.lines().collect::<Vec<_>>(), expected);
    let ran = bench.run(&["restore", "shop", "--to", "left", "--snapshot", id, "--json"]).exits(0);
    let warning = ran.json()["warnings"][0].as_str().unwrap().to_owned();
    assert!(warning.contains("what a repair left of another"), "{warning}");

    // `latest` is the original still: its drill fails. What is left passes none either.
    let ran = bench.run(&["restore", "shop", "--to", "latest", "--json"]).exits(1).json();
    assert_eq!(ran["snapshot"], original);
    let (code, drill) = bench.drill();
    assert_eq!((code, &drill["snapshot"]), (4, &json!(original)), "{drill:#}");
    let status = bench.run(&["status", "--json"]).exits(0).json();
    assert_eq!(status[0]["last_backup"]["snapshot"], original);
    assert_eq!(status[0]["damaged"], json!([original]));
    assert!(!status.to_string().contains(id), "{status:#}");
    let ran = bench.run(&["drill", "shop", "--snapshot", id, "--json"]);
    assert!(matches!(ran.code, 4 | 5), "{}", ran.stdout);
    assert_eq!(ran.json()["parts"]["restorable"], "unknown");

    // Nothing is pruned while a snapshot needs what is lost.
    bench.run(&["prune", "shop"]).exits(1);
    let again = bench.run(&["repair", "snapshots", "shop", "--json"]).exits(3).json();
    assert_eq!(again["snapshots"][0]["was_there"], true);
    assert_eq!(of_kind(&bench, "snapshot-repaired").len(), 1);
}

#[test]
fn what_the_source_still_has_makes_the_original_whole_and_restic_agrees() {
    let bench = site();
    let snapshot = bench.run(&["snapshots", "shop", "--json"]).exits(0).json()[0]["id"].clone();
    let snapshot = snapshot.as_str().unwrap();
    let whole = restored(&bench, snapshot);
    flip(&pack(&bench, |size| size > 2_000_000), 1_000_000);
    bench.run(&["repair", "snapshots", "shop", "--read-data"]).exits(3);

    bench.backup();

    assert_eq!(restored(&bench, snapshot), whole);
    bench.run(&["prune", "shop"]).exits(0);
    is_sound(&bench);
    assert_eq!(bench.drill().0, 0);
    let text = bench.run(&["repair", "snapshots", "shop", "--read-data"]).exits(0).stdout;
    assert!(text.contains("no snapshot lost anything"), "{text}");
}

#[test]
fn a_backup_stores_again_what_a_verification_found_damaged() {
    let bench = site();
    let snapshot = bench.run(&["snapshots", "shop", "--json"]).exits(0).json()[0]["id"].clone();
    let snapshot = snapshot.as_str().unwrap();
    let whole = restored(&bench, snapshot);
    flip(&pack(&bench, |size| size > 2_000_000), 1_000_000);
    bench.run(&["verify", "shop", "--read-data"]).exits(1);

    let first = bench.run(&["backup", "shop", "--json"]).exits(0).json();
    let second = bench.run(&["backup", "shop", "--json"]).exits(0).json();

    let added = |run: &Value| run["added_bytes"].as_u64().unwrap();
    assert!(added(&first) > 2_000_000 && added(&second) < 100_000, "{first:#} {second:#}");
    assert_eq!(restored(&bench, snapshot), whole);
    assert_eq!(bench.drill().0, 0);
}

#[test]
fn with_the_damaged_original_given_up_what_is_left_stays_whole_for_everybody() {
    let bench = site();
    let original = bench.run(&["snapshots", "shop", "--json"]).exits(0).json()[0]["id"].clone();
    let original = original.as_str().unwrap();
    let whole = restored(&bench, original);
    flip(&pack(&bench, |size| size > 2_000_000), 1_000_000);
    bench.run(&["verify", "shop", "--read-data"]).exits(1);
    let dry = bench.run(&["repair", "snapshots", "shop", "--dry-run"]).exits(3).stdout;
    assert!(dry.contains("the rest would be published"), "{dry}");
    let done = bench.run(&["repair", "snapshots", "shop", "--json"]).exits(3).json();
    let left = done["snapshots"][0]["repaired"].as_str().unwrap();

    must(bench.restic(&new_restic()).args(["forget", original]));
    bench.run(&["forget", "shop", "--accept-lost"]).exits(0);
    bench.run(&["prune", "shop"]).exits(0);

    is_sound(&bench);
    let expected: Vec<_> = whole.lines().filter(|line| !line.contains("large.bin")).collect();
    assert_eq!(restored(&bench, left).lines().collect::<Vec<_>>(), expected);
    let mut restic = bench.restic(&old_restic());
    must(restic.args(["restore", left, "--target"]).arg(bench.path("restic")));
    assert_eq!(contents(&bench.path("restic")).lines().collect::<Vec<_>>(), expected);
    // The next backup knows nothing of it, and its drill passes.
    bench.backup();
    assert_eq!(bench.drill().0, 0);
}

#[test]
fn a_damaged_index_is_to_be_repaired_before_snapshots_are() {
    let bench = site();
    flip(&bench.files("store/acme/repo/index")[0], 40);

    let ran = bench.run(&["repair", "snapshots", "shop"]).exits(1);

    assert!(ran.stderr.contains("the index must be repaired first"), "{}", ran.stderr);
    assert!(ran.stderr.contains("`lifeboat repair index`"), "{}", ran.stderr);
}

#[test]
fn what_a_verification_found_is_shown_by_status_and_pushes_no_whole_snapshot_out() {
    let bench = Bench::new();
    let kept = "[retention]\nlast = 1\n\n[objectives]";
    bench.edit("policies/shop.toml", "[objectives]", kept);
    let older = bench.backup()["snapshot"].clone();
    let before = bench.files("store/acme/repo/data");
    fs::write(bench.path("data/files/newer.bin"), noise(400_000)).unwrap();
    let newer = bench.backup()["snapshot"].clone();
    let is_new = |file: &PathBuf| !before.contains(file);
    let brought: Vec<_> = bench.files("store/acme/repo/data").into_iter().filter(is_new).collect();
    let largest = brought.iter().max_by_key(|file| fs::metadata(file).unwrap().len()).unwrap();
    flip(largest, 200_000);
    let status = bench.run(&["status", "--json"]).exits(0).json();
    assert_eq!(
        (&status[0]["damaged"], &status[0]["last_verification"]),
        (&json!([]), &Value::Null)
    );

    bench.run(&["verify", "shop", "--read-data"]).exits(1);

    let status = bench.run(&["status", "--json"]).exits(0).json();
    assert_eq!(status[0]["damaged"], json!([newer]), "{status:#}");
    let text = bench.run(&["status"]).exits(0).stdout;
    assert!(text.contains("DAMAGES at") && text.contains("everything read)"), "{text}");
    assert!(text.contains("TROUBLE 1 snapshots cannot be restored whole"), "{text}");
    let plan = bench.run(&["forget", "shop", "--json"]).exits(0).json();
    assert_eq!(plan["removed"], json!([]), "{plan:#}");
    let [first, second] = &plan["snapshots"].as_array().unwrap()[..] else { panic!("{plan:#}") };
    assert_eq!((&first["id"], &second["id"]), (&older, &newer));
    assert_eq!(first["reasons"][0], "last, in the place of a damaged one", "{plan:#}");
    assert!(first["damaged"].is_null() && second["damaged"].is_u64(), "{plan:#}");

    // Stored again it is whole, and the older one goes as ever.
    bench.backup();
    let verified = bench.run(&["verify", "shop", "--read-data", "--json"]).exits(1).json();
    assert_eq!(verified["affected"], json!([]), "the pack is damaged still, and nobody needs it");
    let status = bench.run(&["status", "--json"]).exits(0).json();
    assert_eq!(status[0]["damaged"], json!([]), "{status:#}");
    let plan = bench.run(&["forget", "shop", "--json"]).exits(0).json();
    assert_eq!(plan["removed"], json!([older, newer]), "{plan:#}");
}

#[test]
fn a_damaged_file_of_an_older_snapshot_is_told_by_a_drill_of_the_newest_and_is_no_reason_to_fail() {
    let bench = site();
    let older = bench.run(&["snapshots", "shop", "--json"]).exits(0).json()[0]["id"].clone();
    let older = older.as_str().unwrap();
    bench.sql("INSERT INTO orders VALUES (1000, 1, 'newer')");
    let newer = bench.backup()["snapshot"].as_str().unwrap().to_owned();
    let file = |id: &str| bench.repository().join("snapshots").join(id);
    flip(&file(older), 50);

    let (code, drilled) = bench.drill();

    assert_eq!((code, &drilled["snapshot"]), (0, &json!(newer)), "{drilled:#}");
    assert_eq!(drilled["beside"][0]["object"], format!("snapshot {older}"), "{drilled:#}");
    let text = bench.run(&["drill", "shop"]).exits(0).stdout;
    assert!(text.contains("damaged beside") && text.contains(older), "{text}");
    // Asked for by name, or wanted as the oldest, it is what the drill is about.
    let named = bench.run(&["drill", "shop", "--snapshot", &older[..10], "--json"]).exits(4).json();
    assert!(named["checks"].to_string().contains(older), "{named:#}");
    bench.edit("drills/weekly.toml", "controls = true", "pick = \"oldest\"");
    bench.run(&["drill", "shop"]).exits(4);

    // And the newest of all may not hide behind the one before it.
    bench.edit("drills/weekly.toml", "pick = \"oldest\"", "pick = \"latest\"");
    flip(&file(older), 50);
    flip(&file(&newer), 50);
    let (code, drilled) = bench.drill();
    assert_eq!(code, 4, "{drilled:#}");
    assert!(drilled["beside"].as_array().unwrap().is_empty(), "{drilled:#}");
}
