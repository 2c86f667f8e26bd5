//! An S3 service that fails, cuts, loses and lies, seen through the built binary.
//!
//! After every fault the same questions (design, 13): do earlier snapshots restore byte for byte?
//! Does every listed snapshot restore? Was there an error that names the thing? Does a plain rerun
//! succeed? Did nothing pass that should not? Is nothing left? Did the fault really fire?

mod bench;
mod proxy;
mod seaweed;

use std::time::{Duration, Instant};

use bench::{Bench, Ran, contents};
use proxy::{ALL, Fault, Harm, Proxy};
use seaweed::{ADMIN, seaweed, wait_for};
use serde_json::Value;

/// A site in a bucket behind a proxy, with one snapshot that was drilled.
struct Stage {
    bench: Bench,
    proxy: Proxy,
    bucket: String,
    baseline: String,
    content: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    Backup,
    Restore,
    Verify,
    Drill,
}

const ACTS: [Act; 4] = [Act::Backup, Act::Restore, Act::Verify, Act::Drill];

/// Those that list snapshots; a backup asks for the one before it by name.
const LISTING: [Act; 3] = [Act::Restore, Act::Verify, Act::Drill];

/// How acts may end under a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// As if there were none.
    Well,
    /// With an error that names the thing.
    Told,
    /// Either of the two; but never well and wrong.
    Either,
}

fn fresh(bucket: &str) -> (Bench, Proxy) {
    let bucket = seaweed().bucket(bucket);
    let delete = move |path: &str| {
        let (client, path) = (seaweed().client(), path.trim_start_matches('/').to_owned());
        let (bucket, key) =
            path.split_once('/').map(|(b, k)| (b.to_owned(), k.to_owned())).unwrap();
        wait_for(async move { client.delete_object().bucket(bucket).key(key).send().await })
            .unwrap();
    };
    let proxy = Proxy::start(seaweed().port(), delete);
    let bench = Bench::new();
    bench.move_to_bucket(&proxy.endpoint(), &bucket, ADMIN.access, ADMIN.secret);
    (bench, proxy)
}

impl Stage {
    fn new(bucket: &str) -> Self {
        let (bench, proxy) = fresh(bucket);
        let baseline = bench.backup()["snapshot"].as_str().unwrap().to_owned();
        let content = contents(&bench.path("data/files"));
        let (code, drilled) = bench.drill();
        assert_eq!(code, 0, "{drilled}");
        Self { bench, proxy, bucket: bucket.to_owned(), baseline, content }
    }

    fn run(&self, act: Act) -> Ran {
        match act {
            Act::Backup => self.bench.run(&["backup", "shop", "--json"]),
            Act::Verify => self.bench.run(&["verify", "shop", "--read-data", "--json"]),
            Act::Drill => self.bench.run(&["drill", "shop", "--json"]),
            Act::Restore => {
                let _ = std::fs::remove_dir_all(self.bench.path("back"));
                let which = ["--snapshot", &self.baseline, "--to", "back", "--json"];
                self.bench.run(&[&["restore", "shop"], &which[..]].concat())
            }
        }
    }

    /// Whatever ended well must be true.
    fn is_true(&self, act: Act, ran: &Ran, what: &str) {
        let answer = ran.json();
        match act {
            Act::Backup => assert!(answer["snapshot"].is_string(), "{what}: {answer}"),
            Act::Verify => assert_eq!(answer["errors"], Value::Array(vec![]), "{what}"),
            Act::Drill => assert_eq!(answer["verdict"], "pass", "{what}: {answer}"),
            Act::Restore => self.came_back(&self.baseline, what),
        }
    }

    /// What the restore of the baseline wrote is what was there.
    fn came_back(&self, snapshot: &str, what: &str) {
        let below = self.bench.path("data/files").display().to_string();
        let restored = contents(&self.bench.path(&format!("back/uploads{below}")));
        assert_eq!(restored, self.content, "{what}: snapshot {snapshot}");
    }

    /// Runs acts under faults, and asks what must be asked after each.
    fn suffer(&self, what: &str, faults: &[Fault], acts: &[Act], end: End) {
        for act in acts {
            let what = format!("{what}, {act:?}");
            // Something new to store, or a backup would meet few faults.
            self.bench.write("data/files/changing", format!("{what} {}", "x".repeat(5_000)));
            self.proxy.arm(faults);
            let ran = self.run(*act);
            let fired = self.proxy.disarm();

            assert!(fired > 0, "{what}: the fault did not fire");
            if ran.code == 0 {
                assert_ne!(end, End::Told, "{what}: ended well: {}", ran.stdout);
                self.is_true(*act, &ran, &what);
            } else {
                let told = format!("{}{}", ran.stdout, ran.stderr);
                assert_ne!(end, End::Well, "{what}: {told}");
                let things =
                    ["acme/", "pack ", "snapshot", "index", "tree", "blob", "lock", "keys"];
                assert!(things.iter().any(|thing| told.contains(thing)), "{what}: {told}");
                assert!(!told.contains("panicked"), "{what}: {told}");
            }
            assert!(self.bench.leftovers().is_empty(), "{what}: {:?}", self.bench.leftovers());
            assert_eq!(self.processes(), Vec::<String>::new(), "{what}");
            let again = self.run(*act);
            assert_eq!(again.code, 0, "{what}: rerun: {}{}", again.stdout, again.stderr);
            self.is_true(*act, &again, &what);
        }
        self.run(Act::Restore).exits(0);
        self.came_back(&self.baseline, what);
    }

    /// Every listed snapshot restores, the baseline among them; the ledger is sound; there is one
    /// repository.
    fn stands(&self) {
        let listed = self.bench.run(&["snapshots", "shop", "--json"]).exits(0).json();
        let ids: Vec<&str> =
            listed.as_array().unwrap().iter().map(|one| one["id"].as_str().unwrap()).collect();
        assert!(ids.contains(&self.baseline.as_str()), "{ids:?}");
        for id in ids {
            let _ = std::fs::remove_dir_all(self.bench.path("back"));
            let arguments = ["restore", "shop", "--snapshot", id, "--to", "back", "--json"];
            let answer = self.bench.run(&arguments).exits(0).json();
            assert_eq!(answer["damaged"], Value::Array(vec![]), "{id}: {answer}");
        }
        let ledger = self.bench.run(&["ledger", "verify", "acme", "--json"]).exits(0).json();
        assert_eq!(ledger["ok"], true, "{ledger}");
        let keys = self.objects("lifeboat/acme/repo/keys/");
        assert_eq!(keys.len(), 1, "a second repository was begun: {keys:?}");
        let locks = self.objects("lifeboat/acme/repo/locks/");
        assert!(locks.len() <= 2, "locks were left behind: {locks:?}");
    }

    /// Whose key opens the repository is to be found out anew: a host that knows lists no keys.
    fn forget_the_key(&self) {
        let state = rusqlite::Connection::open(self.bench.path("state/state.db")).unwrap();
        state.execute("DELETE FROM opening_key", ()).unwrap();
    }

    /// What still runs and names the bench's folder.
    fn processes(&self) -> Vec<String> {
        let folder = self.bench.path("").display().to_string();
        let running = std::fs::read_dir("/proc").unwrap().flatten();
        let lines = running.filter_map(|one| std::fs::read(one.path().join("cmdline")).ok());
        let lines = lines.map(|line| String::from_utf8_lossy(&line).replace('\0', " "));
        lines.filter(|line| line.contains(folder.trim_end_matches('/'))).collect()
    }

    fn objects(&self, prefix: &str) -> Vec<String> {
        let (client, bucket) = (seaweed().client(), self.bucket.clone());
        let prefix = prefix.to_owned();
        wait_for(async move {
            let list = client.list_objects_v2().bucket(bucket).prefix(prefix).send().await.unwrap();
            list.contents().iter().map(|object| object.key().unwrap().to_owned()).collect()
        })
    }
}

fn on(act: &'static str, name: &'static str, harm: Harm) -> [Fault; 1] {
    [Fault { act, name, calls: ALL, harm }]
}

/// The fault meets the second and third of such requests.
fn twice(act: &'static str, harm: Harm) -> [Fault; 1] {
    [Fault { act, name: "", calls: 1..3, harm }]
}

#[test]
fn refusals_that_pass_are_outlived() {
    let stage = Stage::new("passing-refusals");
    for (what, faults) in [
        ("500", twice("", Harm::Refuse(500, "InternalError"))),
        ("503", twice("", Harm::Refuse(503, "SlowDown"))),
        ("429", twice("", Harm::Refuse(429, "TooManyRequests"))),
        ("slow", on("", "", Harm::Slow(Duration::from_millis(50)))),
    ] {
        stage.suffer(what, &faults, &ACTS, End::Well);
    }
    stage.stands();
}

#[test]
fn connections_and_answers_that_break_for_a_moment_are_outlived() {
    let stage = Stage::new("passing-breaks");
    for (what, faults) in [
        ("reset", twice("", Harm::Reset)),
        ("reply lost", twice("PUT", Harm::LoseReply)),
        ("body cut", twice("GET", Harm::Truncate)),
        ("error inside", twice("", Harm::ErrorInside)),
    ] {
        stage.suffer(what, &faults, &ACTS, End::Well);
    }
    stage.stands();
}

#[test]
fn refusals_and_breaks_that_last_are_told_and_harm_nothing() {
    let stage = Stage::new("lasting");
    for (what, faults) in [
        ("500", on("", "/data/", Harm::Refuse(500, "InternalError"))),
        ("reset", on("", "/data/", Harm::Reset)),
        ("body cut", on("GET", "/data/", Harm::Truncate)),
        ("error inside", on("GET", "/data/", Harm::ErrorInside)),
        ("listing without end", on("LIST", "index", Harm::Endless)),
        ("listing that breaks off", on("LIST", "index", Harm::Lost)),
    ] {
        stage.suffer(what, &faults, &ACTS, End::Told);
    }
    let midway =
        [Fault { act: "", name: "", calls: 12..u64::MAX, harm: Harm::Refuse(403, "AccessDenied") }];
    stage.suffer("403 midway", &midway, &ACTS, End::Told);
    stage.suffer("reply lost", &on("PUT", "/data/", Harm::LoseReply), &[Act::Backup], End::Told);
    stage.stands();
}

#[test]
fn a_service_that_takes_connections_and_says_nothing_is_given_up_within_a_minute() {
    let (bench, proxy) = fresh("silent");
    proxy.arm(&on("", "", Harm::Slow(Duration::from_secs(600))));
    let begun = Instant::now();

    let ran = bench.run(&["backup", "shop"]).exits(1);

    let took = begun.elapsed();
    assert!((30..75).contains(&took.as_secs()), "{took:?}");
    assert!(proxy.disarm() >= 3, "it was not asked again");
    assert!(ran.stderr.contains("did not answer in time"), "{}", ran.stderr);
    let told = ran.stderr.lines().find(|line| line.contains("asking again")).expect("a line");
    assert!(told.contains(&proxy.endpoint()) && told.contains("attempt=2"), "{told}");
    bench.backup();
}

#[test]
fn wrong_bytes_never_pass() {
    let stage = Stage::new("wrong-bytes");
    let wrong = on("GET", "/data/", Harm::WrongByte);
    stage.suffer("packs", &wrong, &[Act::Restore, Act::Verify, Act::Drill], End::Told);
    stage.suffer("packs", &wrong, &[Act::Backup], End::Either);
    for name in ["/index/", "/snapshots/", "/segments/", "/repo/config"] {
        stage.suffer(name, &on("GET", name, Harm::WrongByte), &ACTS, End::Either);
    }
    stage.stands();
}

#[test]
fn giving_the_lock_back_is_part_of_the_recovery_time() {
    let stage = Stage::new("slow-release");
    let slow = Duration::from_secs(6);

    let harm = Harm::Slow(slow);
    stage.proxy.arm(&[Fault { act: "DELETE", name: "/locks/", calls: ALL, harm }]);
    let (code, drilled) = stage.bench.drill();

    assert!(stage.proxy.disarm() > 0, "nothing was slow");
    assert_eq!(code, 0, "{drilled:#}");
    let measured = drilled["recovery_seconds"].as_f64().unwrap();
    assert!(measured >= slow.as_secs_f64(), "{drilled:#}");
}

#[test]
fn a_second_look_at_the_ledger_is_as_thorough_as_the_first() {
    let (bench, proxy) = fresh("second-look");
    let twin = std::fs::read_to_string(bench.path("policies/shop.toml")).unwrap();
    bench.write("policies/twin.toml", twin.replace("\"shop\"", "\"twin\""));
    bench.backup();
    let other = bench.run(&["backup", "twin", "--json"]).exits(0).json();
    let other = other["snapshot"].as_str().unwrap();

    // No record vouches for it as this policy's, so the ledger is read again.
    let name = "/ledger/segments/00000000000000000001";
    proxy.arm(&[Fault { act: "GET", name, calls: 1..u64::MAX, harm: Harm::WrongByte }]);
    let drilled = bench.run(&["drill", "shop", "--snapshot", other, "--json"]).exits(5).json();

    assert!(proxy.disarm() > 0, "what this host keeps was taken for the ledger");
    let told = drilled.to_string();
    assert!(told.contains("the ledger is not as it was written"), "{drilled:#}");
}

#[test]
fn a_removal_whose_answer_was_lost_is_not_taken_for_a_loss() {
    let (bench, proxy) = fresh("lost-removal");
    bench.edit("policies/shop.toml", "[objectives]", "[retention]\nlast = 1\n\n[objectives]");
    let older: &str = bench.backup()["snapshot"].as_str().unwrap().to_owned().leak();
    bench.backup();
    let read = |calls, harm| Fault { act: "GET", name: older, calls, harm };
    proxy.arm(&[read(ALL, Harm::Slow(Duration::ZERO))]);
    bench.run(&["forget", "shop", "--dry-run"]).exits(0);
    let reads = proxy.disarm();

    // Nobody answers any more whether it is there.
    let lost = Fault { act: "DELETE", name: older, calls: ALL, harm: Harm::LoseReply };
    proxy.arm(&[lost, read(reads..u64::MAX, Harm::Refuse(503, "SlowDown"))]);
    let ran = bench.run(&["forget", "shop"]).exits(1);
    assert!(proxy.disarm() > 0, "no answer was lost");

    assert!(ran.stderr.contains("cannot remove snapshot"), "{}", ran.stderr);
    bench.run(&["verify", "shop"]).exits(0);
    bench.run(&["forget", "shop"]).exits(0);
    let log = bench.run(&["ledger", "log", "shop", "--last", "0", "--json"]).exits(0).json();
    let records = log["records"].as_array().or(log.as_array()).unwrap();
    let ended: Vec<_> =
        records.iter().filter(|record| record["kind"] == "forget-finished").collect();
    assert!(ended.len() == 1 && ended[0]["snapshots"][0] == older, "{ended:#?}");
}

#[test]
fn listings_that_lack_snapshots_records_or_packs_change_nothing() {
    let stage = Stage::new("lying-listings");
    for harm in [Harm::Empty, Harm::Partial, Harm::Stale] {
        let (snapshots, segments) = (on("LIST", "snapshots", harm), on("LIST", "segments", harm));
        stage.suffer(&format!("{harm:?} snapshots"), &snapshots, &LISTING, End::Well);
        stage.suffer(&format!("{harm:?} segments"), &segments, &ACTS, End::Well);
        let (data, checkpoints) = (on("LIST", "%2Fdata", harm), on("LIST", "checkpoints", harm));
        let packs = [Act::Backup, Act::Verify];
        stage.suffer(&format!("{harm:?} data"), &data, &packs, End::Well);
        stage.suffer(&format!("{harm:?} checkpoints"), &checkpoints, &[Act::Drill], End::Well);
    }
    stage.stands();
}

#[test]
fn listings_that_lack_indexes_keys_or_everything_are_told_or_outlived() {
    let stage = Stage::new("lying-listings-of-keys");
    for harm in [Harm::Empty, Harm::Partial, Harm::Stale] {
        for name in ["index", "locks", ""] {
            stage.suffer(&format!("{harm:?} {name}"), &on("LIST", name, harm), &ACTS, End::Either);
        }
        for act in ACTS {
            stage.forget_the_key();
            stage.suffer(&format!("{harm:?} keys"), &on("LIST", "keys", harm), &[act], End::Either);
        }
    }
    stage.stands();
}

#[test]
fn a_first_backup_whose_key_is_refused_has_stored_nothing_though_it_has_read_much() {
    let (bench, proxy) = fresh("before-the-key");
    let large = bench.path("data/files/large.bin");
    std::fs::write(&large, bench::noise(60 << 20)).unwrap();
    let slow =
        Fault { calls: 0..1, ..on("PUT", "/keys/", Harm::Slow(Duration::from_secs(8)))[0].clone() };
    let [refused] = on("PUT", "/keys/", Harm::Refuse(403, "AccessDenied"));
    proxy.arm(&[slow, refused]);

    let ran = bench.run(&["backup", "shop", "--json"]).exits(1);

    assert!(proxy.disarm() > 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("cannot create the repository"), "{}", ran.stderr);
    let client = seaweed().client();
    let left = wait_for(async move {
        let list = client.list_objects_v2().bucket("before-the-key").prefix("lifeboat/").send();
        list.await
            .unwrap()
            .contents()
            .iter()
            .filter_map(|one| one.key().map(str::to_owned))
            .collect::<Vec<_>>()
    });
    assert_eq!(left, Vec::<String>::new());
    assert!(bench.leftovers().is_empty(), "{:?}", bench.leftovers());
    std::fs::remove_file(large).unwrap();
    bench.backup();
    bench.run(&["verify", "shop", "--read-data"]).exits(0);
}

#[test]
fn a_lost_repository_is_not_begun_anew_because_listings_are_empty() {
    let stage = Stage::new("lost-behind-listings");
    let (client, bucket) = (seaweed().client(), stage.bucket.clone());
    wait_for(async move {
        client.delete_object().bucket(bucket).key("lifeboat/acme/repo/config").send().await.unwrap()
    });
    stage.proxy.arm(&on("LIST", "", Harm::Empty));

    let ran = stage.bench.run(&["backup", "shop", "--json"]).exits(10);

    assert!(stage.proxy.disarm() > 0);
    assert!(ran.stderr.contains("the ledger beside it has records"), "{}", ran.stderr);
    assert!(stage.objects("lifeboat/acme/repo/config").is_empty(), "a second one was begun");
}

#[test]
fn a_service_that_forbids_what_is_missing_is_understood() {
    let (bench, proxy) = fresh("secretive");
    proxy.arm(&on("GET", "", Harm::Secretive));

    bench.run(&["restore", "shop", "--to", "nowhere"]).exits(10);
    bench.backup();
    let (code, drilled) = bench.drill();
    assert_eq!(code, 0, "{drilled}");
    bench.run(&["ledger", "verify", "acme"]).exits(0);

    assert!(proxy.disarm() > 0);
}

#[test]
fn a_service_that_creates_twice_holds_no_ledger() {
    let (bench, proxy) = fresh("unconditional");
    proxy.arm(&on("PUT", "", Harm::Unconditional));

    let refused = bench.run(&["backup", "shop", "--json"]).exits(1);
    let doctor = bench.run(&["doctor", "shop"]).exits(1);

    assert!(proxy.disarm() > 0);
    assert!(refused.stderr.contains("it cannot hold a ledger"), "{}", refused.stderr);
    assert!(doctor.stdout.contains("a repository, but no ledger"), "{}", doctor.stdout);
    bench.backup();
}

/// Runs `words` while a forget removes one of two snapshots after the ledger was read and before the
/// listing; no lock keeps them apart.
fn run_while_forgetting(bucket: &str, words: &'static [&'static str]) -> Ran {
    let (bench, proxy) = fresh(bucket);
    bench.edit("policies/shop.toml", "[objectives]", "[retention]\nlast = 1\n\n[objectives]");
    bench.edit("drills/weekly.toml", "controls = true", "pick = \"oldest\"");
    bench.backup();
    bench.backup();
    let harm = Harm::Slow(Duration::from_secs(6));
    let late = Fault { act: "LIST", name: "snapshots", calls: 0..1, harm };
    let harm = Harm::Refuse(403, "AccessDenied");
    proxy.arm(&[late, Fault { act: "PUT", name: "/locks/", calls: 0..1, harm }]);
    let mut command = bench.command(words);
    let reader = std::thread::spawn(move || Ran::from(command.output().unwrap()));
    // By then it has read the ledger, and waits for its listing.
    std::thread::sleep(Duration::from_secs(2));
    if words[0] == "snapshots" {
        // It asked for no lock; the forget is to get its own.
        proxy.disarm();
    }

    let forgotten = bench.run(&["forget", "shop", "--json"]).exits(0).json();

    assert!(!reader.is_finished(), "the listing did not wait");
    assert_eq!(forgotten["removed"].as_array().map(Vec::len), Some(1), "{forgotten}");
    reader.join().unwrap()
}

#[test]
fn what_is_forgotten_between_ledger_and_listing_is_not_missed() {
    let listing = &["snapshots", "shop", "--json"];
    let listed = run_while_forgetting("forgotten-while-listing", listing).exits(0).json();
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");

    let drill = &["drill", "shop", "--json"];
    let drilled = run_while_forgetting("forgotten-while-drilling", drill).exits(0);
    assert_eq!(drilled.json()["verdict"], "pass", "{}", drilled.stdout);
    assert!(drilled.stderr.contains("read without a lock"), "{}", drilled.stderr);

    let verify = &["verify", "shop", "--json"];
    let verified = run_while_forgetting("forgotten-while-verifying", verify).exits(0);
    assert_eq!(verified.json()["errors"], serde_json::json!([]), "{}", verified.stdout);
    assert!(verified.stderr.contains("read without a lock"), "{}", verified.stderr);
}
