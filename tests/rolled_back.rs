//! Objects of an older bucket, or of another customer's, in the place of today's or beside them: what
//! every command makes of them. Nothing passes that should not, and what is whole is restored.

mod bench;

use std::process::Command;

use bench::{Bench, contents, must, noise};

/// How an older bucket comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// What was removed since is there again.
    Returned,
    /// The folder is what it was: what came since is gone.
    RolledBack,
    /// A stranger's objects lie beside ours.
    Replayed,
}
use Way::{Replayed, Returned, RolledBack};

/// A bucket with a past: two snapshots that were forgotten and pruned, and two that are there.
struct Bucket {
    bench: Bench,
    /// What each of the snapshots that are there holds, oldest first.
    there: Vec<(String, String)>,
}

impl Bucket {
    fn new() -> Self {
        let bench = Bench::new();
        let kept = "[retention]\nlast = 2\n\n[objectives]";
        bench.edit("policies/shop.toml", "[objectives]", kept);
        let change = |nth: usize| {
            std::fs::write(bench.path("data/files/large.bin"), &noise(900_000)[nth..]).unwrap();
            std::fs::write(bench.path(&format!("data/files/of{nth}")), format!("{nth}")).unwrap();
            bench.sql("INSERT INTO orders (cents, note) VALUES (1, hex(randomblob(9000)))");
            bench.backup()["snapshot"].as_str().unwrap().to_owned()
        };
        change(0);
        change(1);
        bench.run(&["drill", "shop"]).exits(0);
        shell(&bench, "mkdir old && cp -a store/acme old");
        let there = [change(2), change(3)];
        bench.run(&["forget", "shop"]).exits(0);
        bench.run(&["prune", "shop"]).exits(0);
        bench.run(&["drill", "shop"]).exits(0);
        shell(&bench, "mkdir now && cp -a store state now");
        let stranger = Bench::new();
        stranger.backup();
        let theirs = stranger.path("store/acme").display().to_string();
        shell(&bench, &format!("cp -a {theirs} theirs"));
        let mut bucket = Self { bench, there: Vec::new() };
        bucket.there = there.map(|id| (id.clone(), bucket.restored(&id))).into();
        bucket
    }

    /// Today's bucket, in which one folder suffered.
    fn suffers(&self, way: Way, folder: &str) {
        let rollback =
            "rm -rf store/acme/$F && mkdir -p store/acme/$F && cp -aT old/acme/$F store/acme/$F";
        let script = match way {
            Returned => "cp -an old/acme/$F/. store/acme/$F",
            RolledBack => rollback,
            Replayed => "cp -an theirs/$F/. store/acme/$F",
        };
        let back = "rm -rf store/* state/*; cp -aT now/store store; cp -aT now/state state";
        shell(&self.bench, &format!("{back}; F={folder}; {script}"));
    }

    /// What a restore of a snapshot gives, whether or not all of it.
    fn restored(&self, id: &str) -> String {
        let back = self.bench.path("back");
        let _ = std::fs::remove_dir_all(&back);
        self.bench.run(&["restore", "shop", "--snapshot", id, "--to", "back"]);
        std::fs::create_dir_all(&back).unwrap();
        contents(&back)
    }

    /// How much of each snapshot can be had; whatever can be is what was backed up.
    fn can_be_had(&self, what: &str) -> Vec<usize> {
        let one = |(id, held): &(String, String)| {
            let restored = self.restored(id);
            let is_own = |line: &str| held.lines().any(|own| own == line);
            assert!(restored.lines().all(is_own), "{what}: {id} gives another file back");
            restored.lines().count()
        };
        self.there.iter().map(one).collect()
    }

    fn everything(&self) -> Vec<usize> {
        self.there.iter().map(|(_, held)| held.lines().count()).collect()
    }
}

fn shell(bench: &Bench, script: &str) {
    must(Command::new("bash").args(["-ec", script]).current_dir(bench.path("")));
}

/// What is to be expected: exit statuses of a verification and a drill, whether everything that is
/// there can be had before and after repairs, and the exit status of a prune after them.
type Expected = (i32, i32, bool, bool, i32);

const CASES: [(Way, &str, Expected); 13] = [
    // Nobody needs what came back.
    (Returned, "repo/data", (0, 0, true, true, 0)),
    (Returned, "repo", (0, 0, true, true, 0)),
    // It names packs that are gone.
    (Returned, "repo/index", (1, 0, true, true, 0)),
    // Whoever comes back needs what was removed: nothing is, until it is forgotten again.
    (Returned, "repo/snapshots", (1, 0, true, true, 1)),
    (RolledBack, "repo/data", (1, 4, false, false, 1)),
    // Packs say what they hold.
    (RolledBack, "repo/index", (1, 4, false, true, 0)),
    (RolledBack, "repo/snapshots", (1, 4, false, false, 1)),
    (RolledBack, "repo", (1, 4, false, false, 1)),
    // What was signed is remembered.
    (RolledBack, "ledger/segments", (1, 5, true, true, 1)),
    (RolledBack, "", (1, 5, false, false, 1)),
    (Replayed, "repo/data", (0, 0, true, true, 0)),
    (Replayed, "repo/index", (1, 4, true, true, 0)),
    // A stranger's snapshot may need anything: nothing is removed.
    (Replayed, "repo/snapshots", (1, 0, true, true, 1)),
];

#[test]
fn what_comes_back_or_from_elsewhere_is_told_and_what_is_whole_is_restored() {
    let bucket = Bucket::new();
    let bench = &bucket.bench;
    for (way, folder, expected) in CASES {
        let what = format!("{way:?} {folder}");
        bucket.suffers(way, folder);
        let verified = bench.run(&["verify", "shop", "--read-data", "--json"]);
        let drilled = bench.run(&["drill", "shop", "--json"]);
        let before = bucket.can_be_had(&what);
        bench.run(&["repair", "index", "shop"]);
        bench.run(&["repair", "snapshots", "shop", "--read-data"]);
        let after = bucket.can_be_had(&what);
        let pruned = bench.run(&["prune", "shop"]);

        assert!(before.iter().zip(&after).all(|(before, after)| before <= after), "{what}");
        assert_eq!(bucket.can_be_had(&what), after, "{what}: pruned");
        let is_all = |had: &[usize]| had == bucket.everything();
        let got = (verified.code, drilled.code, is_all(&before), is_all(&after), pruned.code);
        let told = format!("{}{}{}", verified.stdout, drilled.stdout, pruned.stderr);
        assert_eq!(got, expected, "{what}: {told}");
        if (way, folder) == (Returned, "repo/snapshots") {
            bench.run(&["forget", "shop"]).exits(0);
            bench.run(&["prune", "shop"]).exits(0);
            bench.run(&["verify", "shop", "--read-data"]).exits(0);
        }
    }
}

#[test]
fn a_lock_that_comes_back_is_in_the_way_of_removers_until_it_is_unlocked() {
    let bench = Bench::new();
    let hooks = "[retention]\nlast = 1\n\n[hooks]\nbefore = [\"/bin/cp\", \"-a\", \"LOCKS\", \"KEPT\"]\n\n\
                 [objectives]";
    let locks = bench.repository().join("locks").display().to_string();
    let kept = bench.path("kept").display().to_string();
    bench.edit(
        "policies/shop.toml",
        "[objectives]",
        &hooks.replace("LOCKS", &locks).replace("KEPT", &kept),
    );
    bench.backup();
    shell(&bench, "cp -a kept/. store/acme/repo/locks");

    let ran = bench.run(&["forget", "shop"]).exits(11);

    assert!(ran.stderr.contains("`lifeboat unlock`"), "{}", ran.stderr);
    bench.run(&["verify", "shop"]).exits(0);
    let unlocked = bench.run(&["unlock", "shop", "--json"]).exits(0).json();
    assert_eq!(
        (&unlocked["removed"], unlocked["kept"].as_array().map(Vec::len)),
        (&1.into(), Some(0))
    );
    bench.run(&["forget", "shop"]).exits(0);
}
