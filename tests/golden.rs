//! The frozen repositories of `tests/golden/`: what every version up to this one wrote, this one reads.

mod bench;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bench::{Ran, files_below, inventory, must, new_restic, old_restic};
use serde_json::Value;

/// The folder of a version, as it stands in the project.
fn frozen(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(version)
}

/// The versions whose formats are kept.
const VERSIONS: [&str; 1] = ["0.1.0"];

/// A copy of a frozen site, which may be written to.
struct Copy {
    folder: tempfile::TempDir,
    frozen: PathBuf,
}

impl Copy {
    fn of(version: &str) -> Self {
        let (folder, frozen) = (tempfile::tempdir().unwrap(), frozen(version));
        must(Command::new("cp").arg("-r").arg(frozen.join(".")).arg(folder.path()));
        // A checkout knows neither modes nor empty folders.
        must(Command::new("chmod").args(["-R", "go="]).arg(folder.path()));
        fs::create_dir_all(folder.path().join("store/acme/repo/locks")).unwrap();
        Self { folder, frozen }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command.args(arguments).arg("--json").arg("--config").arg(self.path("lifeboat.toml"));
        command.current_dir(self.folder.path()).output().unwrap().into()
    }

    fn restic(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg("-r").arg(self.path("store/acme/repo"));
        command.arg("-p").arg(self.path("keys/repository-password"));
        command.arg("--no-cache").env("HOME", self.folder.path());
        command
    }

    /// What the version that made it answered.
    fn expected(&self, name: &str) -> Value {
        let text = fs::read_to_string(self.frozen.join("expected").join(name)).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    /// Every snapshot with the listing of what it restores to.
    fn snapshots(&self) -> Vec<(String, String)> {
        let snapshots = self.expected("snapshots.json");
        let ids = snapshots.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap());
        let listing = |id: &str| {
            let bytes = fs::read(self.frozen.join("expected").join(id)).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        ids.map(|id| (id.to_owned(), listing(id))).collect()
    }

    /// The newest checkpoint that was frozen: what an auditor has kept.
    fn kept_checkpoint(&self) -> PathBuf {
        let all = files_below(&self.frozen.join("store/acme/ledger/checkpoints"));
        all.into_iter().rfind(|path| path.extension().is_none()).unwrap()
    }

    /// Verifies the ledger against that checkpoint; answers how many records there are.
    #[track_caller]
    fn verified_records(&self) -> u64 {
        let kept = self.kept_checkpoint();
        let arguments = ["ledger", "verify", "acme", "--earlier", kept.to_str().unwrap()];
        let verified = self.run(&arguments).exits(0).json();
        assert_eq!(verified["ok"], true, "{verified:#}");
        verified["records"].as_u64().unwrap()
    }
}

/// Asserts that `now` says all that was said `then`; it may have more to say.
#[track_caller]
fn still_says(now: &Value, then: &Value) {
    match (now, then) {
        (Value::Object(now), Value::Object(then)) => {
            then.iter().for_each(|(key, value)| still_says(&now[key], value));
        }
        (Value::Array(now), Value::Array(then)) => {
            assert_eq!(now.len(), then.len());
            now.iter().zip(then).for_each(|(now, then)| still_says(now, then));
        }
        _ => assert_eq!(now, then),
    }
}

#[track_caller]
fn same(expected: &str, found: &str, what: &str) {
    let lost: Vec<_> = expected.lines().filter(|line| !found.lines().any(|l| l == *line)).collect();
    let added: Vec<_> =
        found.lines().filter(|line| !expected.lines().any(|l| l == *line)).collect();
    assert!(lost.is_empty() && added.is_empty(), "{what}: lost {lost:#?}, added {added:#?}");
}

#[test]
fn every_frozen_snapshot_is_intact_and_restores_to_what_it_was() {
    for version in VERSIONS {
        let copy = Copy::of(version);

        let verified = copy.run(&["verify", "shop", "--read-data"]).exits(0).json();
        let listed = copy.run(&["snapshots"]).exits(0).json();

        assert_eq!(verified["errors"], serde_json::json!([]), "{verified:#}");
        still_says(&listed, &copy.expected("snapshots.json"));
        let snapshots = copy.snapshots();
        assert!(snapshots.len() >= 5, "{snapshots:?}");
        for (id, expected) in snapshots {
            copy.run(&["restore", "shop", "--snapshot", &id, "--to", &id]).exits(0);
            same(&expected, &inventory(&copy.path(&id)), &id);
        }
    }
}

#[test]
fn the_newest_frozen_point_passes_its_drill_and_the_ledger_goes_on() {
    for version in VERSIONS {
        let copy = Copy::of(version);
        let before = copy.verified_records();
        let frozen = copy.expected("ledger.json");
        assert_eq!(before, frozen.as_array().unwrap().len() as u64);
        let log = copy.run(&["ledger", "log", "acme", "--last", "0"]).exits(0).json();
        still_says(&log, &frozen);

        let drilled = copy.run(&["drill", "shop"]).exits(0).json();

        assert_eq!(drilled["verdict"], "pass", "{drilled:#}");
        assert_eq!(drilled["snapshot"].as_str(), copy.snapshots().last().map(|(id, _)| &**id));
        assert!(copy.verified_records() > before, "the drill is not on the ledger");
    }
}

#[test]
fn stock_restic_checks_and_restores_what_was_frozen() {
    for version in VERSIONS {
        let copy = Copy::of(version);
        for program in [old_restic(), new_restic()] {
            must(copy.restic(&program).args(["check", "--read-data"]));
            for (id, expected) in copy.snapshots() {
                let target = copy.path(&format!("by-restic-{id}"));
                must(copy.restic(&program).args(["restore", &id, "--target"]).arg(&target));
                same(&expected, &inventory(&target), &id);
                fs::remove_dir_all(&target).unwrap();
            }
        }
    }
}

#[test]
fn a_backup_into_a_copy_stores_nothing_twice_and_all_acts_go_on() {
    for version in VERSIONS {
        let copy = Copy::of(version);
        let before = copy.verified_records();
        copy.run(&["restore", "shop", "--to", "back"]).exits(0);
        let policy = fs::read_to_string(copy.path("policies/shop.toml")).unwrap();
        let uploads = copy.path("back/uploads/mnt/shop/data/uploads").display().to_string();
        let policy = policy
            .replace("/mnt/shop/data/uploads", &uploads)
            .replace("/mnt/shop/data/shop.db", "back/orders/shop.db");
        fs::write(copy.path("policies/shop.toml"), policy).unwrap();

        let backup = copy.run(&["backup", "shop"]).exits(0).json();

        let bytes: u64 = files_below(&copy.path("back"))
            .iter()
            .map(|f| f.symlink_metadata().unwrap().len())
            .sum();
        let added = backup["added_bytes"].as_u64().unwrap();
        assert!(added < 20_000 && bytes > 1_000_000, "{added} of {bytes} bytes were new");
        copy.run(&["drill", "shop"]).exits(0);
        copy.run(&["forget", "shop"]).exits(0);
        copy.run(&["prune", "shop"]).exits(0);
        let verified = copy.run(&["verify", "shop", "--read-data"]).exits(0).json();
        assert_eq!(verified["errors"], serde_json::json!([]), "{verified:#}");
        must(copy.restic(&new_restic()).args(["check", "--read-data"]));
        assert!(copy.verified_records() > before + 4);
    }
}
