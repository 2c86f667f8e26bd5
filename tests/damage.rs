//! Damage to every kind of object in the bucket, one at a time, and what every command makes of it.

mod bench;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use bench::{Bench, Ran, must};

/// What may lie in a bucket, by the folder it lies in; the one to be damaged is the newest.
const KINDS: [(&str, &str); 10] = [
    ("config", "repo/config"),
    ("key", "repo/keys"),
    ("data pack", "repo/data"),
    ("tree pack", "repo/data"),
    ("index", "repo/index"),
    ("snapshot", "repo/snapshots"),
    ("segment", "ledger/segments"),
    ("details", "ledger/details"),
    ("checkpoint", "ledger/checkpoints"),
    ("signature", "ledger/checkpoints"),
];

const ACTIONS: [&str; 6] = ["flipped", "cut", "emptied", "deleted", "swapped", "garbled"];

struct Bucket {
    bench: Bench,
    older: String,
    newer: String,
    /// Objects that only the newer snapshot brought, newest last.
    new: Vec<PathBuf>,
    /// Another customer's site.
    strangers: Bench,
}

impl Bucket {
    fn new() -> Self {
        let strangers = Bench::new();
        strangers.backup();
        let bench = Bench::new();
        let older = bench.backup()["snapshot"].as_str().unwrap().to_owned();
        bench.run(&["drill", "shop"]).exits(0);
        let before = bench.files("store");
        bench.sql("INSERT INTO orders VALUES (1000, 1, 'newer')");
        fs::write(bench.path("data/files/newer.bin"), bench::noise(200_000)).unwrap();
        let newer = bench.backup()["snapshot"].as_str().unwrap().to_owned();
        bench.run(&["drill", "shop"]).exits(0);
        let mut new: Vec<_> =
            bench.files("store").into_iter().filter(|path| !before.contains(path)).collect();
        new.sort_by_key(|path| fs::metadata(path).unwrap().modified().unwrap());
        fs::create_dir(bench.path("whole")).unwrap();
        must(
            Command::new("cp").args(["-a", "store", "state", "whole"]).current_dir(bench.path("")),
        );
        Self { bench, older, newer, new, strangers }
    }
}

impl Bucket {
    /// Everything as it was before any damage.
    fn mend(&self) {
        must(
            Command::new("bash")
                .args(["-c", "rm -rf store state && cp -a whole/store whole/state ."])
                .current_dir(self.bench.path("")),
        );
    }

    /// The objects of a kind, the one to be damaged last.
    fn objects(&self, kind: &str) -> Vec<PathBuf> {
        let (_, folder) = KINDS.iter().find(|(name, _)| *name == kind).unwrap();
        let is = |path: &PathBuf| {
            let size = fs::metadata(path).unwrap().len();
            match kind {
                "data pack" => size > 100_000,
                "tree pack" => size < 100_000,
                "signature" => path.extension().is_some(),
                "checkpoint" => path.extension().is_none(),
                _ => true,
            }
        };
        let place = self.bench.path("store/acme").join(folder);
        let all: Vec<_> = if place.is_file() { vec![place] } else { bench::files_below(&place) };
        let mut found: Vec<_> = all.into_iter().filter(is).collect();
        found.sort_by_key(|path| self.new.iter().position(|new| new == path));
        found
    }

    fn injure(&self, kind: &str, action: &str) -> PathBuf {
        let objects = self.objects(kind);
        let object = objects.last().unwrap().clone();
        for object in &objects {
            fs::set_permissions(object, fs::Permissions::from_mode(0o600)).unwrap();
        }
        let mut bytes = fs::read(&object).unwrap();
        let middle = bytes.len() / 2;
        match action {
            "flipped" => bytes[middle] ^= 1,
            "cut" => bytes.truncate(middle),
            "emptied" => bytes.clear(),
            "swapped" => {
                let other = objects.iter().rev().find(|other| **other != object);
                match other {
                    Some(other) => {
                        let own = std::mem::replace(&mut bytes, fs::read(other).unwrap());
                        fs::write(other, own).unwrap();
                    }
                    // The only one of its kind: what another repository has there.
                    None => {
                        let kept = self
                            .strangers
                            .path("store/acme")
                            .join(object.strip_prefix(self.bench.path("store/acme")).unwrap());
                        let kept = if kept.exists() {
                            kept
                        } else {
                            self.strangers.files("store/acme/repo/keys").remove(0)
                        };
                        bytes = fs::read(kept).unwrap();
                    }
                }
            }
            _ => bytes = bench::noise(bytes.len()),
        }
        fs::write(&object, bytes).unwrap();
        if action == "deleted" {
            fs::remove_file(&object).unwrap();
        }
        object
    }
}

/// Runs one command over one damage, from a whole bucket.
fn over(bucket: &Bucket, kind: &str, action: &str, command: &[&str]) -> (Ran, bool) {
    bucket.mend();
    for to in ["older", "newer"] {
        let _ = fs::remove_dir_all(bucket.bench.path(to));
    }
    let object = bucket.injure(kind, action);
    let ran = bucket.bench.run(command);
    let said = format!("{}{}", ran.stdout, ran.stderr);
    assert!(!said.contains("panicked"), "{kind} {action}: {said}");
    assert!(ran.code < 100, "{kind} {action}: {} {said}", ran.code);
    let name = object.file_name().unwrap().to_str().unwrap().to_owned();
    let number = name.trim_start_matches('0').trim_end_matches(".sig");
    let numbers =
        [format!("record {number} "), format!("record {number}:"), format!("of {number} records")];
    let named = said.contains(&name)
        || kind == "config" && said.contains("repository")
        || kind == "key" && (said.contains("key") || said.contains("password"))
        || (kind == "segment" || kind == "checkpoint")
            && numbers.iter().any(|number| said.contains(number.as_str()));
    println!(
        "{kind:10} {action:8} {} exit {}{}",
        command[0],
        ran.code,
        if named { ", named" } else { "" }
    );
    (ran, named)
}

#[test]
fn damage_to_the_repository_never_passes_and_is_named() {
    let bucket = Bucket::new();
    for kind in ["config", "key", "data pack", "tree pack", "index", "snapshot"] {
        for action in ACTIONS {
            // What is gone from the listing can be named by what refers to it only.
            let unnamed = (kind, action) == ("index", "deleted");
            for command in [
                &["verify", "shop", "--read-data", "--json"][..],
                &["drill", "shop", "--json"],
                &["restore", "shop", "--to", "newer", "--snapshot", &bucket.newer, "--json"],
            ] {
                let (ran, named) = over(&bucket, kind, action, command);
                assert_ne!(ran.code, 0, "{kind} {action} {command:?}: {}", ran.stdout);
                assert!(named || unnamed, "{kind} {action}: {}{}", ran.stdout, ran.stderr);
                if command[0] == "drill" {
                    assert!(matches!(ran.code, 4 | 10 | 12), "{kind} {action}: {}", ran.code);
                }
            }
        }
    }
}

#[test]
fn what_the_damage_did_not_touch_still_restores_and_is_backed_up_again() {
    let bucket = Bucket::new();
    let older = ["restore", "shop", "--to", "older", "--snapshot", &bucket.older, "--json"];
    bucket.bench.run(&older).exits(0);
    let whole = bench::contents(&bucket.bench.path("older"));
    for kind in ["data pack", "tree pack", "index", "snapshot"] {
        for action in ACTIONS {
            if action != "swapped" {
                let (ran, named) = over(&bucket, kind, action, &older);
                assert_eq!(bench::contents(&bucket.bench.path("older")), whole, "{kind} {action}");
                let index_is_told = kind == "index" && action != "deleted";
                assert_eq!((ran.code, named), if index_is_told { (1, true) } else { (0, false) });
            }
            let (ran, named) = over(&bucket, kind, action, &["backup", "shop", "--json"]);
            if kind == "index" && action != "deleted" {
                assert!(ran.code == 1 && named, "{kind} {action}: {}", ran.stderr);
                continue;
            }
            assert_eq!(ran.code, 0, "{kind} {action}: {}", ran.stderr);
            let snapshot = ran.json()["snapshot"].as_str().unwrap().to_owned();
            // Bytes changed in place are seen by reading them only: verify and the drill do.
            if !(kind.ends_with("pack") && matches!(action, "flipped" | "garbled")) {
                let again = ["restore", "shop", "--to", "newer", "--snapshot", &snapshot];
                bucket.bench.run(&again).exits(0);
            }
        }
    }
}

#[test]
fn damage_to_the_ledger_is_named_by_its_verification_and_hides_no_data() {
    let bucket = Bucket::new();
    for kind in ["segment", "details", "checkpoint", "signature"] {
        for action in ACTIONS {
            let (ran, named) = over(&bucket, kind, action, &["ledger", "verify", "acme", "--json"]);
            let answer = ran.json();
            if (kind, action) == ("signature", "deleted") {
                assert_eq!(answer["unsigned"].as_array().unwrap().len(), 1, "{answer:#}");
            } else {
                assert_eq!(
                    (ran.code, &answer["ok"]),
                    (1, &false.into()),
                    "{kind} {action}: {answer:#}"
                );
                assert!(named, "{kind} {action}: {answer:#}");
            }
            let newer = ["restore", "shop", "--to", "newer", "--snapshot", &bucket.newer, "--json"];
            assert_eq!(over(&bucket, kind, action, &newer).0.code, 0, "{kind} {action}");
        }
    }
}

#[test]
fn repairs_save_what_the_damage_left_and_stock_restic_agrees_in_the_end() {
    let bucket = Bucket::new();
    let bench = &bucket.bench;
    let older = ["restore", "shop", "--to", "older", "--snapshot", &bucket.older, "--json"];
    bench.run(&older).exits(0);
    let whole = bench::contents(&bench.path("older"));
    for kind in ["data pack", "tree pack", "index"] {
        for action in ["flipped", "cut", "deleted", "swapped"] {
            let what = format!("{kind} {action}");
            let (ran, _) = over(&bucket, kind, action, &["repair", "index", "shop"]);
            assert!(matches!(ran.code, 0 | 1), "{what}: {}", ran.stderr);
            let ran = bench.run(&["repair", "snapshots", "shop", "--read-data", "--json"]);
            assert!(matches!(ran.code, 0 | 3), "{what}: {}", ran.stderr);
            let lacking: Vec<_> = ran.json()["snapshots"].as_array().unwrap().clone();
            assert!(lacking.iter().all(|one| one["original"] == bucket.newer), "{what}");
            assert!(kind != "index" || lacking.is_empty(), "{what}");
            for one in lacking.iter().filter_map(|one| one["repaired"].as_str()) {
                let _ = fs::remove_dir_all(bench.path("newer"));
                bench.run(&["restore", "shop", "--to", "newer", "--snapshot", one]).exits(0);
            }
            let _ = fs::remove_dir_all(bench.path("older"));
            bench.run(&older).exits(0);
            assert_eq!(bench::contents(&bench.path("older")), whole, "{what}");

            let snapshot = bench.backup()["snapshot"].as_str().unwrap().to_owned();
            let verified = bench.run(&["verify", "shop", "--read-data", "--json"]).json();
            for lost in verified["affected"].as_array().unwrap() {
                assert_eq!(lost["snapshot"], bucket.newer, "{what}: {verified:#}");
                bench.run(&["prune", "shop"]).exits(1);
                let lost = lost["snapshot"].as_str().unwrap();
                must(bench.restic(&bench::new_restic()).args(["forget", lost]));
                bench.run(&["forget", "shop", "--accept-lost"]).exits(0);
            }
            bench.run(&["prune", "shop"]).exits(0);
            must(bench.restic(&bench::new_restic()).args(["check", "--read-data"]));
            let _ = fs::remove_dir_all(bench.path("newer"));
            bench.run(&["restore", "shop", "--to", "newer", "--snapshot", &snapshot]).exits(0);
        }
    }
}
