//! What people are told where lifeboat could not look, or where something is not what it should be.

mod bench;

use std::fs;
use std::process::Command;

use bench::{Bench, must, new_restic};

/// A site with one backup and one drill, so that the ledger is signed.
fn drilled() -> Bench {
    let bench = Bench::new();
    bench.backup();
    bench.run(&["drill", "shop"]).exits(0);
    bench
}

/// Asserts that `status` says that it does not know, why, and what to do.
#[track_caller]
fn status_is_unknown(bench: &Bench, exit: i32, why: &str, what_to_do: &str) {
    let document = bench.run(&["status", "--json"]).exits(exit).json();
    let text = bench.run(&["status"]).exits(exit).stdout;

    for key in ["last_backup", "last_drill", "data_age_seconds", "within_rpo", "incomplete"] {
        assert_eq!(document[0][key], "unknown", "{document:#}");
    }
    let trouble = &document[0]["trouble"];
    assert!(trouble["error"].as_str().unwrap().contains(why), "{document:#}");
    assert!(trouble["hint"].as_str().unwrap().contains(what_to_do), "{document:#}");
    assert!(text.contains("UNKNOWN") && !text.contains("none yet"), "{text}");
    assert!(text.contains(why) && text.contains(what_to_do), "{text}");
}

/// Asserts that `doctor` finds fault with the repository, says why, and what to do.
#[track_caller]
fn doctor_finds(bench: &Bench, why: &str, what_to_do: &str) {
    let document = bench.run(&["doctor", "--json"]).exits(1).json();
    let findings = document.as_array().unwrap();
    let found = findings.iter().find(|finding| finding["what"] == "repository").unwrap();

    assert_eq!(found["ok"], false, "{found:#}");
    assert!(found["found"].as_str().unwrap().contains(why), "{found:#}");
    assert!(found["hint"].as_str().unwrap().contains(what_to_do), "{found:#}");
}

#[test]
fn a_wrong_password_is_told_by_status_and_doctor() {
    let bench = drilled();
    bench.write("keys/repository-password", "another\n".into());

    status_is_unknown(&bench, 12, "opens none of the repository's keys", "repository_password");
    doctor_finds(&bench, "opens none of the repository's keys", "repository_password");
}

#[test]
fn a_store_that_is_away_is_told_by_status_and_doctor() {
    let bench = drilled();
    fs::rename(bench.path("store"), bench.path("away")).unwrap();

    status_is_unknown(&bench, 1, "cannot use the store", "mounted");
    doctor_finds(&bench, "cannot use the store", "mounted");
}

#[test]
fn a_repository_that_is_gone_from_beside_its_ledger_is_told_by_status_and_doctor() {
    let bench = drilled();
    fs::rename(bench.repository(), bench.path("gone")).unwrap();

    status_is_unknown(&bench, 10, "the ledger beside it has records", "bring the store back");
    doctor_finds(&bench, "the ledger beside it has records", "bring the store back");
}

#[test]
fn a_disk_that_is_not_mounted_is_no_new_store() {
    let bench = drilled();
    fs::rename(bench.path("store"), bench.path("disk")).unwrap();
    fs::create_dir(bench.path("store")).unwrap();

    status_is_unknown(&bench, 10, "this host signed the ledger", "mounted");
    doctor_finds(&bench, "this host signed the ledger", "mounted");
    bench.run(&["backup", "shop"]).exits(10);
    assert_eq!(bench.files("store"), Vec::<std::path::PathBuf>::new(), "something was begun");

    // The probe of `doctor` makes folders.
    fs::remove_dir_all(bench.path("store")).unwrap();
    fs::rename(bench.path("disk"), bench.path("store")).unwrap();
    bench.backup();
}

#[test]
fn before_the_first_backup_status_says_none_and_doctor_is_content() {
    let bench = Bench::new();

    let status = bench.run(&["status", "--json"]).exits(0).json();
    let doctor = bench.run(&["doctor", "--json"]).exits(0).json();

    assert!(status[0]["last_backup"].is_null(), "{status:#}");
    let findings = doctor.as_array().unwrap();
    let found = findings.iter().find(|finding| finding["what"] == "repository").unwrap();
    assert!(found["found"].as_str().unwrap().contains("none yet"), "{found:#}");
}

#[test]
fn a_ledger_that_was_edited_is_an_alarm_of_status() {
    let bench = drilled();
    let second = &bench.files("store/acme/ledger/segments")[1];
    let mut bytes = fs::read(second).unwrap();
    bytes[40] ^= 1;
    fs::remove_file(second).unwrap();
    fs::write(second, bytes).unwrap();

    let document = bench.run(&["status", "--json"]).exits(1).json();

    let alarm = document[0]["alarm"].as_str().unwrap();
    assert!(alarm.contains("not as it was written"), "{document:#}");
}

/// Asserts that everything that looks at the ledger says once that it is not as it was written, and
/// that a backup is stored all the same.
#[track_caller]
fn the_ledger_alarms(bench: &Bench) {
    let ran = bench.run(&["backup", "shop", "-q", "--json"]).exits(1);

    let document = ran.json();
    let alarm = &document["alarm"];
    assert!(alarm["error"].as_str().unwrap().contains("not as it was written"), "{document:#}");
    assert!(alarm["hint"].as_str().unwrap().contains("lifeboat ledger verify"), "{document:#}");
    assert!(ran.stderr.contains("the snapshot is stored, but the ledger is not"), "{}", ran.stderr);
    let listed = bench.run(&["snapshots", "--json"]).exits(0).json();
    assert!(listed.as_array().unwrap().iter().any(|one| one["id"] == document["snapshot"]));

    let told = bench.run(&["backup", "shop"]).exits(1).stderr;
    let lines: Vec<_> = told.lines().filter(|line| line.contains("ledger")).collect();
    assert_eq!(told.matches("not as it was written").count(), 1, "{lines:#?}");
    assert!(told.contains("hint: `lifeboat ledger verify`"), "{told}");

    let doctor = bench.run(&["doctor", "--json"]).exits(1).json();
    let found = doctor.as_array().unwrap().iter().find(|finding| finding["what"] == "ledger");
    assert_eq!(found.unwrap()["ok"], false, "{doctor:#}");
    let verified = bench.run(&["verify", "shop", "--json"]).exits(1).json();
    assert_eq!(verified["errors"][0]["object"], "ledger", "{verified:#}");
}

#[test]
fn a_backup_beside_a_ledger_that_is_gone_is_stored_and_is_an_alarm() {
    let bench = drilled();
    fs::remove_dir_all(bench.path("store/acme/ledger")).unwrap();

    the_ledger_alarms(&bench);
}

#[test]
fn a_backup_beside_a_ledger_that_was_cut_is_stored_and_is_an_alarm() {
    let bench = drilled();
    fs::remove_file(bench.files("store/acme/ledger/segments").last().unwrap()).unwrap();

    the_ledger_alarms(&bench);
}

#[test]
fn a_backup_beside_a_ledger_that_was_edited_is_an_alarm_told_once() {
    let bench = drilled();
    let second = &bench.files("store/acme/ledger/segments")[1];
    let mut bytes = fs::read(second).unwrap();
    bytes.push(1);
    fs::remove_file(second).unwrap();
    fs::write(second, bytes).unwrap();

    the_ledger_alarms(&bench);
}

#[test]
fn a_snapshot_that_cannot_be_read_is_named_by_status_which_tells_of_the_others() {
    let bench = drilled();
    let sound = bench.run(&["snapshots", "--json"]).exits(0).json()[0]["id"].clone();
    let newer = bench.backup()["snapshot"].as_str().unwrap().to_owned();
    let object = bench.repository().join("snapshots").join(&newer);
    fs::remove_file(&object).unwrap();
    fs::write(&object, "nothing of ours").unwrap();

    let document = bench.run(&["status", "--json"]).exits(1).json();
    let text = bench.run(&["status"]).exits(1).stdout;

    assert_eq!(document[0]["unreadable"][0]["snapshot"], newer, "{document:#}");
    assert_eq!(document[0]["last_backup"]["snapshot"], sound, "{document:#}");
    assert_eq!(document[0]["last_drill"]["verdict"], "pass", "{document:#}");
    assert!(text.contains(&format!("TROUBLE snapshot {} cannot be read", &newer[..8])), "{text}");
    assert!(text.contains("lifeboat verify") && !text.contains("UNKNOWN"), "{text}");
}

#[test]
fn snapshots_that_are_on_the_ledger_and_gone_are_an_alarm_of_status() {
    let bench = drilled();
    let gone = bench.files("store/acme/repo/snapshots");
    for file in &gone {
        fs::remove_file(file).unwrap();
    }

    let document = bench.run(&["status", "--json"]).exits(1).json();
    let told = bench.run(&["status"]).exits(1);

    let named = document[0]["gone"].as_array().unwrap();
    assert_eq!(named.len(), gone.len(), "{document:#}");
    assert!(gone[0].ends_with(named[0].as_str().unwrap()), "{document:#}");
    assert!(told.stdout.contains("NOT IN THE REPOSITORY any more"), "{}", told.stdout);
}

#[test]
fn snapshots_that_are_on_the_ledger_and_gone_are_told_by_verify_snapshots_and_restore() {
    let bench = drilled();
    let gone = bench.files("store/acme/repo/snapshots");
    for file in &gone {
        fs::remove_file(file).unwrap();
    }

    let verified = bench.run(&["verify", "shop", "--json"]).exits(1).json();
    let listed = bench.run(&["snapshots"]).exits(1).stdout;
    let restored = bench.run(&["restore", "shop", "--to", "back"]).exits(1).stderr;

    let errors = verified["errors"].as_array().unwrap();
    let named = errors.iter().map(|error| error["object"].as_str().unwrap());
    let is_named = |object: &str| gone.iter().any(|file| object.ends_with(name_of(file)));
    assert_eq!((errors.len(), named.filter(|object| is_named(object)).count()), (1, 1));
    assert!(listed.contains("GONE: 1") && !listed.contains("no snapshots yet"), "{listed}");
    assert!(restored.contains("the ledger names 1 that were published"), "{restored}");
    assert!(restored.contains("hint: bring back") && !restored.contains("makes the first"));
}

fn name_of(file: &std::path::Path) -> &str {
    file.file_name().unwrap().to_str().unwrap()
}

#[test]
fn a_signature_that_is_damaged_or_a_checkpoint_that_is_gone_is_an_alarm_of_status() {
    let bench = drilled();
    let checkpoints = bench.files("store/acme/ledger/checkpoints");
    let signature = checkpoints.iter().find(|file| name_of(file).ends_with(".sig")).unwrap();
    bench.run(&["status"]).exits(0);

    fs::remove_file(signature).unwrap();
    fs::write(signature, "no signature").unwrap();
    let damaged = bench.run(&["status"]).exits(1).stdout;
    for file in &checkpoints {
        fs::remove_file(file).unwrap();
    }
    let gone = bench.run(&["status", "--json"]).exits(1).json();

    assert!(damaged.contains("ALARM") && damaged.contains(name_of(signature)), "{damaged}");
    let alarm = gone[0]["alarm"].as_str().unwrap();
    assert!(alarm.contains("is missing: this host signed it"), "{alarm}");
}

#[test]
fn backups_that_came_to_nothing_since_the_last_are_told_by_status() {
    let bench = Bench::new();
    bench.backup();
    fs::rename(bench.path("data/files"), bench.path("data/moved")).unwrap();
    bench.run(&["backup", "shop"]).exits(1);
    bench.run(&["backup", "shop"]).exits(1);

    let document = bench.run(&["status", "--json"]).exits(0).json();
    let text = bench.run(&["status"]).exits(0).stdout;

    assert_eq!(document[0]["aborted"]["number"], 2, "{document:#}");
    let reason = document[0]["aborted"]["reason"].as_str().unwrap();
    assert!(reason.contains("data/files"), "{document:#}");
    assert!(text.contains("2 aborted since, last ") && text.contains(reason), "{text}");
    fs::rename(bench.path("data/moved"), bench.path("data/files")).unwrap();
    bench.backup();
    assert!(bench.run(&["status", "--json"]).exits(0).json()[0]["aborted"].is_null());
}

#[test]
fn a_drill_that_failed_is_told_beside_another_that_passed_later() {
    let bench = Bench::new();
    bench.backup();
    bench.edit("drills/weekly.toml", "\"> 0\"", "\"> 1000000\"");
    bench.write("drills/quick.toml", "policy = \"acme/shop\"\nname = \"quick\"\n".into());
    bench.run(&["drill", "acme/shop/weekly"]).exits(4);
    bench.run(&["drill", "acme/shop/quick"]).exits(0);

    let document = bench.run(&["status", "--json"]).exits(0).json();
    let told = bench.run(&["status"]).exits(0).stdout;

    let drills = &document[0]["drills"];
    assert_eq!((&drills[0]["drill"], &drills[0]["verdict"]), (&"quick".into(), &"pass".into()));
    assert_eq!((&drills[1]["drill"], &drills[1]["verdict"]), (&"weekly".into(), &"fail".into()));
    assert!(told.contains("quick: pass at") && told.contains("weekly: FAIL at"), "{told}");
}

#[test]
fn a_snapshot_of_restic_is_restored_with_a_warning() {
    let bench = drilled();
    let restic = new_restic();
    fs::write(bench.path("data/files/deep/er/note"), "by restic").unwrap();
    must(bench.restic(&restic).args(["backup", "--host", "other"]).arg(bench.path("data/files")));
    let listed = must(bench.restic(&restic).args(["snapshots", "--json", "--host", "other"]));
    let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
    let id = listed[0]["id"].as_str().unwrap();

    let arguments = ["restore", "shop", "--snapshot", id, "--to", "back"];
    let ran = bench.run(&[&arguments[..], &["--json"]].concat()).exits(0);

    let document = ran.json();
    assert_eq!((&document["snapshot"], &document["on_ledger"]), (&id.into(), &"no".into()));
    let warning = document["warnings"][0].as_str().unwrap();
    assert!(warning.contains(id) && warning.contains("not on the ledger"), "{document:#}");
    assert!(ran.stderr.contains("not on the ledger"), "{}", ran.stderr);
    let back = bench.files("back").into_iter().find(|path| path.ends_with("er/note")).unwrap();
    assert_eq!(fs::read_to_string(back).unwrap(), "by restic");
    let text = bench.run(&[&arguments[..], &["--overwrite"]].concat()).exits(0).stdout;
    assert!(text.contains("WARNING: snapshot"), "{text}");
}

#[test]
fn a_snapshot_on_the_ledger_is_restored_without_a_warning() {
    let bench = drilled();

    let document = bench.run(&["restore", "shop", "--to", "back", "--json"]).exits(0).json();

    assert_eq!(document["on_ledger"], "yes", "{document:#}");
    assert_eq!(document["warnings"], serde_json::json!([]), "{document:#}");
}

#[test]
fn the_latest_snapshot_is_restored_from_beside_damaged_and_lost_ones_and_they_are_named() {
    let bench = Bench::new();
    let first = bench.backup()["snapshot"].as_str().unwrap().to_owned();
    bench.sql("INSERT INTO orders VALUES (1000, 1, 'newer')");
    let second = bench.backup()["snapshot"].as_str().unwrap().to_owned();
    let file = bench.repository().join("snapshots").join(&second);
    fs::remove_file(&file).unwrap();

    let lost = bench.run(&["restore", "shop", "--to", "lost", "--json"]).exits(0).json();
    fs::write(&file, "damaged").unwrap();
    let damaged = bench.run(&["restore", "shop", "--to", "damaged", "--json"]).exits(0).json();

    for document in [lost, damaged] {
        assert_eq!(document["snapshot"], first, "{document:#}");
        let warnings = document["warnings"].to_string();
        assert!(warnings.contains(&second), "{document:#}");
    }
}

#[test]
fn a_ledger_out_of_order_does_not_keep_the_data_from_coming_back() {
    let bench = drilled();
    fs::rename(bench.path("store/acme/ledger"), bench.path("ledger")).unwrap();

    let document = bench.run(&["restore", "shop", "--to", "back", "--json"]).exits(0).json();

    assert_eq!(document["on_ledger"], "unknown", "{document:#}");
    assert!(document["warnings"].to_string().contains("not as it was written"), "{document:#}");
}

#[test]
fn a_source_that_is_not_there_ends_the_backup_with_a_hint() {
    let bench = Bench::new();
    fs::rename(bench.path("data/files"), bench.path("data/moved")).unwrap();

    let ran = bench.run(&["backup", "shop", "--json"]).exits(1);

    let last: serde_json::Value = serde_json::from_str(ran.stderr.lines().last().unwrap()).unwrap();
    assert!(last["error"].as_str().unwrap().contains("data/files"), "{last}");
    assert!(last["hint"].as_str().unwrap().contains("mounted"), "{last}");
}

#[test]
fn the_name_of_a_file_cannot_write_lines_into_an_answer() {
    let bench = Bench::new();
    let name = "a\nok    everything\x1b[2J";
    bench.write(&format!("data/files/{name}"), "secret".into());
    let run = bench.as_nobody_except("data/files/large.bin");
    must(Command::new("chown").arg("0:0").arg(bench.path(&format!("data/files/{name}"))));

    let text = run(&["backup", "shop"]).exits(3).stdout;

    assert!(text.contains("a\\nok    everything\\u{1b}[2J"), "{text}");
    assert!(!text.lines().any(|line| line.starts_with("ok")), "{text}");
}

#[test]
fn a_configuration_or_a_key_that_is_cut_says_where_it_may_come_from_again() {
    for (folder, what) in
        [("config", "`config` is written once"), ("keys", "`keys/` are written once")]
    {
        let bench = drilled();
        let file = bench
            .files("store/acme/repo")
            .into_iter()
            .find(|file| file.strip_prefix(bench.repository()).unwrap().starts_with(folder));
        let file = file.unwrap();
        let bytes = fs::read(&file).unwrap();
        fs::remove_file(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();

        for act in [&["backup", "shop"][..], &["restore", "shop", "--to", "back"]] {
            let ran = bench.run(act).exits(1);
            assert!(ran.stderr.contains(what), "{}", ran.stderr);
        }
    }
}

#[test]
fn a_store_that_may_only_be_read_says_so_to_whoever_writes() {
    let bench = drilled();
    let run = bench.as_nobody_except("store");
    must(Command::new("chown").args(["-R", "0:0"]).arg(bench.path("store")));
    must(Command::new("chmod").args(["-R", "a+rX,go-w"]).arg(bench.path("store")));

    let ran = run(&["backup", "shop"]).exits(1);

    assert!(ran.stderr.contains("denied"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: look at who owns it"), "{}", ran.stderr);
}

#[test]
fn a_drill_that_could_not_look_says_what_to_try() {
    let bench = drilled();
    bench.edit("lifeboat.toml", "[scratch]", "[scratch]\nmax = \"1MiB\"");

    let text = bench.run(&["drill", "shop"]).exits(5).stdout;

    assert!(text.contains("hint: `lifeboat doctor acme/shop`"), "{text}");
}

#[test]
fn an_init_that_died_half_way_is_told_apart_from_a_site_that_is_there() {
    let bench = Bench::new();
    let folder = bench.path("host").display().to_string();
    let init = || Command::new(env!("CARGO_BIN_EXE_lifeboat")).args(["init", &folder]).output();
    let init = || bench::Ran::from(init().unwrap());
    init().exits(0);
    let again = init().exits(1);
    assert!(again.stderr.contains("name another folder"), "{}", again.stderr);
    assert!(!again.stderr.contains("half way"), "{}", again.stderr);

    // The site file is written last.
    fs::remove_file(bench.path("host/lifeboat.toml")).unwrap();
    let half = init().exits(1);
    assert!(
        half.stderr.contains("half way") && half.stderr.contains("move keys/"),
        "{}",
        half.stderr
    );
    let moved = "mkdir aside; mv keys policies drills aside";
    must(Command::new("bash").args(["-ec", moved]).current_dir(bench.path("host")));
    init().exits(0);
}

#[test]
fn the_week_to_come_is_planned_with_the_time_and_space_that_runs_took() {
    let bench = Bench::new();
    let hourly = "\n[schedule]\nbackup = \"0 * * * *\"\n[objectives]";
    bench.edit("policies/shop.toml", "\n[objectives]", hourly);
    let weekly = "controls = true\nschedule = \"30 2 * * 1\"\n";
    bench.edit("drills/weekly.toml", "controls = true\n", weekly);

    let before = bench.run(&["plan", "--json"]).exits(0).json();

    let runs = before["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 7 * 24 + 1, "{before:#}");
    assert!(runs.iter().all(|run| run["seconds"].is_null()), "nothing ran yet: {before:#}");

    let stored = bench.backup();
    assert_eq!(bench.drill().0, 0);
    let after = bench.run(&["plan", "--json", "--days", "8"]).exits(0).json();

    let of = |is_drill: bool| {
        let mut runs = after["runs"].as_array().unwrap().iter();
        runs.find(|run| run["drill"].is_string() == is_drill).unwrap().clone()
    };
    let (backup, drill) = (of(false), of(true));
    assert!(backup["seconds"].as_u64() >= Some(1), "{backup:#}");
    assert!(backup["stores_bytes"].as_u64() > Some(3_000_000), "noise does not shrink: {backup:#}");
    assert_eq!(drill["restores_bytes"], stored["bytes"], "{drill:#}");
    assert_eq!(after["scratch"]["bytes"], stored["bytes"], "{after:#}");
    let shown = bench.run(&["plan"]).exits(0).stdout;
    assert!(shown.contains("drill acme/shop/weekly"), "{shown}");
    assert!(shown.contains("are free"), "{shown}");

    // What cannot be read leaves the times of its runs, and is told.
    bench.write("keys/repository-password", "another\n".to_owned());
    let unread = bench.run(&["plan", "--json"]).exits(12).json();
    assert_eq!(unread["trouble"][0]["customer"], "acme", "{unread:#}");
    assert!(unread["runs"].as_array().unwrap().iter().all(|run| run["seconds"].is_null()));
}
