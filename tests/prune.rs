//! `lifeboat prune` on real sites: what goes, what never does, and what others make of the rest.

mod bench;

use std::fs;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use bench::{
    Bench, PASSWORD, Ran, contents, inventory, must, new_restic, noise, old_restic, rustic,
};
use lifeboat::repo::{DoomedPack, Repository};
use lifeboat::store::Local;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

/// A site that keeps one snapshot.
fn site() -> Bench {
    let bench = Bench::new();
    let kept = "[retention]\nlast = 1\n\n[objectives]";
    bench.edit("policies/shop.toml", "[objectives]", kept);
    bench
}

/// Three backups, of which only the last is kept; packs of the first two hold what is needed no
/// more, and some that still is.
fn with_garbage() -> Bench {
    let bench = site();
    fs::write(bench.path("data/files/other.bin"), noise(900_000)).unwrap();
    bench.backup();
    fs::write(bench.path("data/files/large.bin"), &noise(2_000_000)[7..]).unwrap();
    bench.sql("INSERT INTO orders (cents, note) VALUES (1, hex(randomblob(90000)))");
    bench.backup();
    fs::remove_file(bench.path("data/files/large.bin")).unwrap();
    bench.backup();
    bench.run(&["forget", "shop"]).exits(0);
    bench
}

/// A small file system, unmounted in the end.
struct Mount(PathBuf);

impl Mount {
    fn over(path: PathBuf, size: &str) -> Self {
        let options = format!("size={size},mode=0700");
        must(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(&path));
        Self(path)
    }

    /// Fills it but for `room` bytes; answers the file that does.
    fn fill_but(&self, room: u64) -> PathBuf {
        let filler = self.0.join("filler");
        let mut file = fs::File::create(&filler).unwrap();
        let block = vec![1; 4096];
        while file.write_all(&block).is_ok() {}
        file.set_len(file.metadata().unwrap().len().saturating_sub(room)).unwrap();
        filler
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Where it is not mounted any more nothing is to be done.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn stored(bench: &Bench) -> u64 {
    bench.files("store/acme/repo/data").iter().map(|file| fs::metadata(file).unwrap().len()).sum()
}

fn restored(bench: &Bench) -> String {
    bench.run(&["restore", "shop", "--to", "restored"]).exits(0);
    let found = inventory(&bench.path("restored"));
    fs::remove_dir_all(bench.path("restored")).unwrap();
    found
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

fn of_kind(bench: &Bench, kind: &str) -> Vec<Value> {
    let log = bench.run(&["ledger", "log", "shop", "--last", "0", "--json"]).exits(0).json();
    let records = log.as_array().unwrap().clone();
    records.into_iter().filter(|record| record["kind"] == kind).collect()
}

/// Everything in the repository but its locks, by name, with content.
fn repository(bench: &Bench) -> String {
    let all = contents(&bench.repository());
    all.lines().filter(|line| !line.contains("./locks/")).collect::<Vec<_>>().join("\n")
}

#[test]
fn prune_frees_what_no_snapshot_needs_and_nothing_else() {
    let bench = with_garbage();
    let (before, whole) = (stored(&bench), restored(&bench));

    let dry = bench.run(&["prune", "shop", "--dry-run", "--json"]).exits(0).json();
    assert!(dry["freed_bytes"].as_u64().unwrap() > 3_000_000, "{dry:#}");
    assert_eq!(stored(&bench), before, "a dry run removes nothing");
    let done = bench.run(&["prune", "shop", "--json"]).exits(0).json();

    assert_eq!(done["packs"], dry["packs"]);
    let planned = ["removed_packs", "repacked_packs"].map(|key| done[key].clone());
    let really = ["removed_packs", "repacked_packs"].map(|key| done["done"][key].clone());
    assert_eq!((planned, &dry["done"]), (really, &Value::Null), "{done:#}");
    assert!(done["packs"].to_string().contains("pack anew"), "{done:#}");
    let freed = before - stored(&bench);
    assert_eq!(done["done"]["freed_bytes"], freed, "{done:#}");
    assert!(freed > 3_000_000, "only {freed} bytes were freed");
    assert_eq!(restored(&bench), whole);
    is_sound(&bench);
    assert_eq!(bench.drill().0, 0);
    let started = of_kind(&bench, "prune-started");
    let named = started.iter().map(|record| {
        let seq = record["seq"].to_string();
        let shown = bench.run(&["ledger", "show", "shop", &seq, "--json"]).exits(0).json();
        shown["details"]["packs"].as_array().unwrap().len()
    });
    assert_eq!(named.sum::<usize>(), done["packs"].as_array().unwrap().len(), "{started:#?}");
    assert_eq!(of_kind(&bench, "prune-finished").len(), 1);

    let again = bench.run(&["prune", "shop", "--json"]).exits(0).json();
    assert_eq!((&again["packs"], &again["freed_bytes"]), (&json!([]), &json!(0)));
    bench.backup();
    is_sound(&bench);
}

/// A site on a small disk: one pack of which nothing is needed, and one of which some is.
fn on_a_small_disk() -> (Bench, Mount) {
    let bench = site();
    let disk = Mount::over(bench.path("store"), "24m");
    fs::write(bench.path("data/files/other.bin"), &noise(10_000_000)[9_000_000..]).unwrap();
    bench.backup();
    fs::write(bench.path("data/files/extra.bin"), &noise(9_000_000)[4_000_000..]).unwrap();
    bench.backup();
    fs::remove_file(bench.path("data/files/extra.bin")).unwrap();
    fs::remove_file(bench.path("data/files/large.bin")).unwrap();
    bench.backup();
    bench.run(&["forget", "shop"]).exits(0);
    (bench, disk)
}

#[test]
fn a_disk_that_is_nearly_full_is_freed_of_what_nobody_needs_before_anything_is_packed_anew() {
    let (bench, disk) = on_a_small_disk();
    let whole = restored(&bench);
    let room = 300_000;
    disk.fill_but(room);

    let done = bench.run(&["prune", "shop", "--json"]).exits(0).json();

    let action = |pack: &Value| pack["action"].as_str().unwrap().to_owned();
    let packs = done["packs"].as_array().unwrap();
    let live: u64 = packs.iter().map(|pack| pack["live_bytes"].as_u64().unwrap()).sum();
    assert!(packs.iter().any(|pack| action(pack).starts_with("remove")), "{done:#}");
    assert!(live > room, "what was packed anew had room from the beginning: {done:#}");
    assert!(done["done"]["freed_bytes"].as_u64().unwrap() > 7_000_000, "{done:#}");
    assert_eq!(done["stopped"], Value::Null);
    assert_eq!(restored(&bench), whole);
    is_sound(&bench);
}

#[test]
fn a_disk_without_any_room_is_told_with_what_to_do_and_loses_nothing() {
    let (bench, disk) = on_a_small_disk();
    let filler = disk.fill_but(0);
    let before = repository(&bench);

    let ran = bench.run(&["prune", "shop"]).exits(1);

    assert!(ran.stderr.contains("No space left"), "{}", ran.stderr);
    assert!(ran.stderr.contains("make a few MiB of room"), "{}", ran.stderr);
    assert_eq!(repository(&bench), before);
    // Enough for a lock and a record, and not for what is to be packed anew.
    fs::remove_file(filler).unwrap();
    disk.fill_but(100_000);
    bench.run(&["prune", "shop"]).exits(0);
    is_sound(&bench);
}

#[test]
fn a_prune_that_is_interrupted_tells_what_it_did_and_the_next_one_goes_on() {
    let (bench, _disk) = on_a_small_disk();
    let whole = restored(&bench);
    let mut prune = bench.command(&["prune", "shop", "--json"]);
    prune.env("LIFEBOAT_LOG", "lifeboat=debug").stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut prune = prune.spawn().unwrap();
    let mut log = BufReader::new(prune.stderr.take().unwrap()).lines().map_while(Result::ok);

    // What nobody needs is gone by then, and others have the repository for a while.
    log.by_ref().find(|line| line.contains("repack")).expect("it packs anew");
    kill_process(Pid::from_child(&prune), Signal::INT).unwrap();
    let told: Vec<_> = log.collect();
    let ran = Ran::from(prune.wait_with_output().unwrap()).exits(130);

    let document = ran.json();
    let removed = &document["done"]["removed_packs"];
    assert!(removed.as_u64().unwrap() > 0, "{document:#}\n{told:#?}");
    assert_ne!(removed, &document["removed_packs"], "it came to its end: {document:#}");
    assert!(document["stopped"]["error"].as_str().unwrap().contains("interrupted"));
    let finished = of_kind(&bench, "prune-finished");
    assert_eq!((finished.len(), &finished[0]["removed_packs"]), (1, removed), "{finished:#?}");
    assert_eq!(restored(&bench), whole);
    bench.run(&["prune", "shop"]).exits(0);
    is_sound(&bench);
}

#[test]
fn what_restic_and_other_policies_keep_in_the_repository_is_needed_too() {
    let bench = with_garbage();
    fs::write(bench.path("foreign"), noise(400_000)).unwrap();
    must(bench.restic(&new_restic()).arg("backup").arg(bench.path("foreign")));
    let policy = fs::read_to_string(bench.path("policies/shop.toml")).unwrap();
    let policy = policy.replace("name = \"shop\"", "name = \"second\"");
    bench.write("policies/second.toml", policy.replace("last = 1", "last = 9"));
    bench.run(&["backup", "second"]).exits(0);

    bench.run(&["prune", "shop"]).exits(0);

    is_sound(&bench);
    let mut back = bench.restic(&new_restic());
    must(
        back.args(["restore", "latest", "--path"])
            .arg(bench.path("foreign"))
            .args(["--target", "/"]),
    );
    assert_eq!(fs::read(bench.path("foreign")).unwrap(), noise(400_000));
    bench.run(&["restore", "second", "--to", "second"]).exits(0);
}

#[test]
fn a_prune_that_restic_makes_is_sound_for_us_and_ours_for_restic() {
    let bench = with_garbage();
    must(bench.restic(&new_restic()).arg("prune"));
    is_sound(&bench);
    assert_eq!(bench.drill().0, 0);
    fs::remove_file(bench.path("data/files/other.bin")).unwrap();
    bench.backup();
    bench.run(&["forget", "shop", "--json"]).exits(0);

    bench.run(&["prune", "shop"]).exits(0);

    is_sound(&bench);
    must(bench.restic(&new_restic()).args(["prune", "--max-unused", "0"]));
    is_sound(&bench);
}

/// Damages the repository, and expects of a prune that it stops, says why and removes nothing.
#[track_caller]
fn stops(damage: impl Fn(&Bench), why: &str) {
    let bench = with_garbage();
    damage(&bench);
    let before = repository(&bench);

    for flags in [&["prune", "shop"][..], &["prune", "shop", "--dry-run"]] {
        let ran = bench.run(flags).exits(1);
        assert!(ran.stderr.contains(why), "{why:?} is not in {}", ran.stderr);
    }

    assert_eq!(repository(&bench), before, "{why}");
    assert_eq!(of_kind(&bench, "prune-started").len(), 0);
}

fn first(bench: &Bench, folder: &str) -> PathBuf {
    bench.files(&format!("store/acme/repo/{folder}")).remove(0)
}

fn spoil(file: &Path) {
    let mut bytes = fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes).unwrap();
}

#[test]
fn a_listing_without_snapshots_stops_it() {
    let hidden = |bench: &Bench| fs::remove_file(first(bench, "snapshots")).unwrap();
    stops(hidden, "no snapshot is listed");
}

#[test]
fn a_snapshot_that_the_ledger_knows_and_the_listing_lacks_stops_it() {
    let replaced = |bench: &Bench| {
        must(bench.restic(&new_restic()).arg("backup").arg(bench.path("data")));
        let own = bench.run(&["snapshots", "shop", "--json"]).exits(0).json();
        let own = own[0]["id"].as_str().unwrap().to_owned();
        fs::remove_file(bench.repository().join("snapshots").join(own)).unwrap();
    };
    stops(replaced, "listing lacks snapshot");
}

#[test]
fn a_snapshot_or_an_index_file_that_cannot_be_read_stops_it() {
    stops(|bench| spoil(&first(bench, "snapshots")), "cannot read a snapshot, so nobody knows");
    stops(|bench| spoil(&first(bench, "index")), "is damaged");
}

#[test]
fn an_index_file_that_is_missing_stops_it() {
    let lost = |bench: &Bench| {
        let files = bench.files("store/acme/repo/index");
        // The newest names what the kept snapshot needs.
        let newest =
            files.iter().max_by_key(|file| fs::metadata(file).unwrap().modified().unwrap());
        fs::remove_file(newest.unwrap()).unwrap();
    };
    stops(lost, "tree");
}

#[test]
fn a_tree_that_cannot_be_read_stops_it() {
    // Trees of so few files lie in the small packs.
    let spoilt = |bench: &Bench| {
        for file in bench.files("store/acme/repo/data") {
            let mut bytes = fs::read(&file).unwrap();
            if bytes.len() < 10_000 {
                bytes.iter_mut().take(100).for_each(|byte| *byte ^= 1);
                fs::write(file, bytes).unwrap();
            }
        }
    };
    stops(spoilt, "cannot read a tree");
}

#[test]
fn a_pack_that_is_needed_and_missing_or_cut_stops_it() {
    let largest = |bench: &Bench| {
        let packs = bench.files("store/acme/repo/data");
        packs.into_iter().max_by_key(|file| fs::metadata(file).unwrap().len()).unwrap()
    };
    stops(|bench| fs::remove_file(largest(bench)).unwrap(), "no pack that is there holds it");
    let cut = |bench: &Bench| {
        let file = fs::File::options().write(true).open(largest(bench)).unwrap();
        file.set_len(fs::metadata(largest(bench)).unwrap().len() - 1).unwrap();
    };
    stops(cut, "no pack that is there holds it");
}

#[test]
fn damage_is_never_packed_anew_under_a_good_name() {
    let bench = with_garbage();
    let dry = bench.run(&["prune", "shop", "--dry-run", "--json"]).exits(0).json();
    let packs = dry["packs"].as_array().unwrap();
    let repacked: Vec<_> = packs.iter().filter(|pack| pack["action"] == "pack anew").collect();
    assert!(!repacked.is_empty(), "{dry:#}");
    for pack in repacked {
        let id = pack["id"].as_str().unwrap();
        let file = bench.repository().join("data").join(&id[..2]).join(id);
        let mut bytes = fs::read(&file).unwrap();
        let data = bytes.len() - 2000.min(bytes.len() / 2);
        bytes[..data].iter_mut().step_by(100).for_each(|byte| *byte ^= 1);
        fs::write(&file, bytes).unwrap();
    }
    let before = repository(&bench);

    let ran = bench.run(&["prune", "shop"]).exits(1);

    assert!(
        ran.stderr.contains("is damaged") || ran.stderr.contains("cannot read"),
        "{}",
        ran.stderr
    );
    let after = repository(&bench);
    assert!(before.lines().all(|line| after.contains(line)), "something was removed");
    bench.run(&["verify", "shop", "--read-data"]).exits(1);
}

/// The packs that rustic marked for removal, with when it did.
fn doomed(bench: &Bench) -> Vec<DoomedPack> {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let store = Arc::new(Local::open(&bench.repository()).unwrap());
        let repository = Repository::open(store, &PASSWORD.to_owned().into()).await.unwrap();
        let files = repository.index_files().await.unwrap();
        let files = files.into_iter().map(|(_, file)| file.unwrap());
        let mut doomed: Vec<_> = files.flat_map(|file| file.packs_to_delete).collect();
        doomed.sort_by_key(|pack| pack.pack.id);
        doomed
    })
}

#[test]
fn packs_that_rustic_is_about_to_delete_are_left_to_it() {
    let bench = with_garbage();
    must(bench.rustic(&rustic()).args(["prune", "--max-unused", "0%"]));
    let marked = doomed(&bench);
    assert!(!marked.is_empty(), "rustic marked nothing");

    fs::remove_file(bench.path("data/files/other.bin")).unwrap();
    bench.backup();
    bench.run(&["forget", "shop"]).exits(0);
    let done = bench.run(&["prune", "shop", "--json"]).exits(0).json();

    assert!(!done["packs"].as_array().unwrap().is_empty(), "{done:#}");
    assert_eq!(doomed(&bench), marked, "what rustic wrote of them is lost");
    for pack in marked.iter().map(|pack| pack.pack.id.to_string()) {
        assert!(!done.to_string().contains(&pack), "{pack} is in {done:#}");
        assert!(bench.repository().join("data").join(&pack[..2]).join(&pack).exists());
    }
    must(bench.rustic(&rustic()).args(["prune", "--keep-delete", "0s"]));
    must(bench.rustic(&rustic()).args(["check", "--read-data"]));
    is_sound(&bench);
    assert_eq!(bench.drill().0, 0);
}
