//! Sampling campaigns: what is drawn is on the ledger before it is restored, anybody can draw it again,
//! and no way of drawing until it passes goes unseen.

mod bench;

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use bench::Bench;
use serde_json::Value;

/// A small shop with so many backups and a monthly drill that draws `random` of them.
fn site(backups: usize, random: usize) -> Bench {
    let bench = Bench::new();
    std::fs::remove_file(bench.path("data/files/large.bin")).unwrap();
    std::fs::remove_file(bench.path("drills/weekly.toml")).unwrap();
    bench.write(
        "drills/monthly.toml",
        format!(
            "policy = \"acme/shop\"\nname = \"monthly\"\npick = {{ random = {random} }}\n\
             [[check]]\nname = \"there are orders\"\nsource = \"orders\"\n\
             query = \"SELECT count(*) FROM orders\"\nexpect = \"> 0\"\n"
        ),
    );
    for nth in 0..backups {
        bench.sql(&format!("INSERT INTO orders (cents, note) VALUES ({nth}, 'more')"));
        bench.backup();
    }
    bench
}

fn records(bench: &Bench) -> Vec<Value> {
    let log = bench.run(&["ledger", "log", "shop", "--last", "0", "--json"]).exits(0).json();
    log.as_array().unwrap().clone()
}

fn of<'a>(records: &'a [Value], kind: &str) -> Vec<&'a Value> {
    records.iter().filter(|record| record["kind"] == kind).collect()
}

/// The draw once more, by somebody who has the population and the record alone.
const PYTHON: &str = r#"
import hashlib, json, sys
record = json.load(sys.stdin)
ids = sorted(record["population_ids"])
sha = lambda text: hashlib.sha256(text.encode()).hexdigest()
population = sha("".join(id + "\n" for id in ids))
tickets = sorted((sha(f"{record['seed']}\n{population}\n{id}\n"), id) for id in ids)
print(json.dumps({"population": population, "drawn": [id for _, id in tickets[:record["wanted"]]]}))
"#;

fn drawn_again(started: &Value, population: &[Value], folder: &Path) -> Value {
    let mut record = started.clone();
    record["population_ids"] = population.into();
    let file = folder.join("record.json");
    std::fs::write(&file, record.to_string()).unwrap();
    let mut python = Command::new("python3");
    let told = bench::must(python.args(["-c", PYTHON]).stdin(std::fs::File::open(file).unwrap()));
    serde_json::from_str(&told).unwrap()
}

#[test]
fn what_is_drawn_is_signed_before_it_is_restored_and_can_be_drawn_again() {
    let bench = site(6, 3);
    let nonce = "7f3a, the auditor's";
    let seed = ["--seed", nonce, "--seed-from", "letter of the auditor, 3 May 2026"];

    let ran = bench.run(&[&["drill", "acme/shop/monthly", "--json"][..], &seed].concat()).exits(0);

    let answer = ran.json();
    let campaign = &answer["campaign"];
    assert_eq!(answer["verdict"], "pass");
    let numbers = ["population", "wanted", "drawn", "passed", "failed", "inconclusive"];
    let numbers = numbers.map(|key| campaign[key].as_u64().unwrap());
    assert_eq!(numbers, [6, 3, 3, 3, 0, 0], "{answer:#}");
    // C(3,3) of C(6,3) is one in twenty, which is not more than that.
    assert_eq!(campaign["at_least"], 4);
    assert_eq!(campaign["at_least_percent"], 66.6);
    assert_eq!(campaign["seed_from"], "letter of the auditor, 3 May 2026");
    let stated = "3 of 6 recovery points drawn, none failed: at least 4 of 6 (66.6 %) restorable with 95 % \
                  confidence";
    assert_eq!(campaign["statement"], stated);

    let records = records(&bench);
    let started = of(&records, "campaign-started")[0];
    let backups = of(&records, "backup-finished");
    let backups: Vec<_> = backups.iter().map(|one| one["snapshot"].clone()).collect();
    let again = drawn_again(started, &backups, &bench.path(""));
    assert_eq!(started["population_digest"], again["population"]);
    assert_eq!(started["drawn"], again["drawn"]);
    let drills = of(&records, "drill-finished");
    let drilled: Vec<_> = drills.iter().map(|one| one["snapshot"].clone()).collect();
    assert_eq!(Value::from(drilled), started["drawn"], "each draw once, in its order");
    assert!(drills.iter().all(|one| one["draw"]["campaign"] == started["run"]));
    assert!(drills.iter().all(|one| one["parts"]["within_rpo"] == "not_applicable"));

    let size = started["seq"].as_u64().unwrap();
    let first = of(&records, "drill-started")[0]["seq"].as_u64().unwrap();
    assert_eq!(first, size + 1);
    let checkpoint = bench.path(&format!("store/acme/ledger/checkpoints/{size:020}.sig"));
    assert!(checkpoint.exists(), "it is signed before the first draw starts");
    assert_eq!(of(&records, "campaign-finished")[0]["at_least"], 4);
    bench.run(&["ledger", "verify", "acme"]).exits(0);
    assert!(bench.leftovers().is_empty());
}

#[test]
fn where_no_more_are_there_all_are_drilled_and_nothing_is_inferred() {
    let bench = site(2, 30);

    let told = bench.run(&["drill", "shop"]).exits(0);

    let said =
        "all 2 recovery points drilled, none failed: 2 of 2 restorable, counted, not inferred";
    assert!(told.stdout.contains(said), "{}", told.stdout);
    assert!(told.stdout.contains("operator-chosen"), "{}", told.stdout);
    let again = bench.run(&["drill", "shop", "--json"]).exits(0).json();
    assert_eq!(again["campaign"]["earlier"], 1, "a second campaign is told apart: {again:#}");
    assert_eq!(again["campaign"]["earlier_completed"], 1);
    bench.run(&["ledger", "verify", "acme"]).exits(0);
}

#[test]
fn a_policy_without_recovery_points_states_nothing() {
    let bench = site(0, 3);
    bench.backup();
    let id = records(&bench).iter().find_map(|one| one["snapshot"].as_str().map(str::to_owned));
    bench.edit("policies/shop.toml", "name = \"shop\"", "name = \"other\"");
    bench.edit("drills/monthly.toml", "acme/shop", "acme/other");
    assert!(id.is_some());

    let answer = bench.run(&["drill", "other", "--json"]).exits(5).json();

    assert_eq!(answer["verdict"], "inconclusive");
    assert_eq!(answer["campaign"]["population"], 0);
    assert_eq!(answer["campaign"]["at_least"], Value::Null);
    bench.run(&["ledger", "verify", "acme"]).exits(0);
}

#[test]
fn a_point_that_is_broken_or_gone_fails_the_campaign_and_counts_against_the_bound() {
    let bench = site(4, 4);
    let snapshots = bench.files("store/acme/repo/snapshots");
    let (broken, gone) = (&snapshots[0], &snapshots[1]);
    std::fs::write(broken, b"not what its name says").unwrap();
    std::fs::remove_file(gone).unwrap();

    let answer = bench.run(&["drill", "shop", "--json"]).exits(4).json();

    let campaign = &answer["campaign"];
    assert_eq!((&campaign["passed"], &campaign["failed"]), (&2.into(), &2.into()), "{answer:#}");
    assert_eq!(campaign["at_least"], 2);
    for file in [broken, gone] {
        let id = file.file_name().unwrap().to_str().unwrap();
        let draws = campaign["draws"].as_array().unwrap();
        let draw = draws.iter().find(|draw| draw["snapshot"] == id).unwrap();
        assert_eq!(draw["verdict"], "fail", "{draw:#}");
        assert!(draw["reasons"].to_string().contains(id), "{draw:#}");
    }
    let verified = bench.run(&["ledger", "verify", "acme", "--json"]).exits(0).json();
    assert_eq!(verified["ok"], true);
    let status = bench.run(&["status", "--json"]).json();
    assert!(!status.to_string().contains("\"drill\":\"monthly\",\"record\""), "{status:#}");
}

/// Runs the drill until it logs `phase` for the `nth` time, then kills it.
fn kill_in(bench: &Bench, phase: &str, nth: usize) {
    let mut child = bench
        .command(&["drill", "acme/shop/monthly"])
        .env("LIFEBOAT_LOG", "lifeboat=debug")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let log = BufReader::new(child.stderr.take().unwrap());
    let wanted = format!("\"{phase}\"");
    let is_it = |line: &String| line.contains("phase") && line.contains(&wanted);
    let hit = log.lines().map_while(Result::ok).filter(is_it).nth(nth - 1);
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(hit.is_some(), "{phase} was not logged {nth} times");
}

#[test]
fn a_campaign_that_was_killed_is_aborted_on_record_and_the_next_one_draws_in_sight() {
    let bench = site(4, 3);
    let phases = [("population", 1), ("seal", 1), ("draw", 1), ("draw", 2), ("conclude", 1)];
    for (phase, nth) in phases {
        kill_in(&bench, phase, nth);
        let verified = bench.run(&["ledger", "verify", "acme", "--json"]).exits(0).json();
        assert_eq!(verified["ok"], true, "after a kill in {phase}: {verified:#}");
        assert!(scratch_is_swept(&bench), "after a kill in {phase}");
    }

    let answer = bench.run(&["drill", "shop", "--json"]).exits(0).json();

    let records = records(&bench);
    let begun = of(&records, "campaign-started").len();
    assert!((4..=6).contains(&begun), "the first kill may come before the record: {begun}");
    assert_eq!(of(&records, "campaign-aborted").len(), begun - 1);
    assert_eq!(answer["campaign"]["earlier"], begun - 1);
    assert_eq!(answer["campaign"]["earlier_completed"], 0);
    let verified = bench.run(&["ledger", "verify", "acme"]).exits(0).stdout;
    assert!(verified.contains("ABORTED, nothing is stated"), "{verified}");
    assert!(verified.contains("the SAME recovery points were drawn from by record"), "{verified}");
    assert!(bench.leftovers().is_empty());
}

/// A run of anything sweeps what a killed one left in scratch.
fn scratch_is_swept(bench: &Bench) -> bool {
    bench.run(&["drill", "shop", "--snapshot", "latest"]).exits(0);
    bench.leftovers().is_empty()
}

#[test]
fn retention_leaves_what_is_drawn_alone_until_the_campaign_is_over() {
    let bench = site(4, 4);
    bench.edit("policies/shop.toml", "[objectives]", "[retention]\nlast = 1\n\n[objectives]");
    let slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) \
                SELECT max(i) FROM n";
    bench.edit("drills/monthly.toml", "SELECT count(*) FROM orders", slow);
    let mut drill = bench.command(&["drill", "acme/shop/monthly", "--json"]);
    let campaign = drill.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while of(&records(&bench), "drill-started").is_empty() {
        assert!(begun.elapsed() < Duration::from_secs(60), "no draw starts");
    }

    let forgotten = bench.run(&["forget", "shop", "--json"]).exits(0).json();

    assert_eq!(forgotten["removed"], serde_json::json!([]), "{forgotten:#}");
    assert!(
        forgotten.to_string().contains("drawn by a campaign that is not over"),
        "{forgotten:#}"
    );
    let answer = bench::Ran::from(campaign.wait_with_output().unwrap()).exits(0).json();
    assert_eq!(answer["campaign"]["passed"], 4);
    bench.run(&["forget", "shop"]).exits(0);
    // The newest, and no other: all are proven, the newest of these stays.
    assert_eq!(bench.files("store/acme/repo/snapshots").len(), 1);
    bench.run(&["ledger", "verify", "acme"]).exits(0);
}

#[test]
fn a_draw_that_was_given_up_meanwhile_leaves_the_campaign_without_a_statement() {
    let bench = site(3, 3);
    let slow = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 3000000) \
                SELECT max(i) FROM n";
    bench.edit("drills/monthly.toml", "SELECT count(*) FROM orders", slow);
    let mut drill = bench.command(&["drill", "acme/shop/monthly", "--json"]);
    let campaign = drill.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    let drawn = loop {
        let records = records(&bench);
        if !of(&records, "drill-started").is_empty() {
            break of(&records, "campaign-started")[0]["drawn"].clone();
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "no draw starts");
    };
    let last = drawn[2].as_str().unwrap();

    std::fs::remove_file(bench.path(&format!("store/acme/repo/snapshots/{last}"))).unwrap();
    bench.run(&["forget", "shop", "--accept-lost"]).exits(0);

    let answer = bench::Ran::from(campaign.wait_with_output().unwrap()).exits(5).json();
    let numbers = ["passed", "failed", "inconclusive"].map(|key| &answer["campaign"][key]);
    assert_eq!(numbers, [2, 0, 1], "{answer:#}");
    assert_eq!(answer["campaign"]["at_least"], Value::Null);
    let statement = answer["campaign"]["statement"].as_str().unwrap();
    assert!(statement.ends_with("not completed, for 1 could not be decided; nothing is stated"));
    bench.run(&["ledger", "verify", "acme"]).exits(0);
}

#[test]
fn a_draw_says_nothing_of_the_latest_in_status_and_reports() {
    let bench = site(3, 2);
    bench.check("");
    bench.edit("drills/weekly.toml", "controls = true", "");
    bench.run(&["drill", "acme/shop/weekly"]).exits(0);
    let before = bench.run(&["status", "shop", "--json"]).exits(0).json()[0]["last_drill"].clone();

    bench.run(&["drill", "acme/shop/monthly"]).exits(0);

    let status = bench.run(&["status", "shop", "--json"]).exits(0).json()[0].clone();
    assert_eq!(status["last_drill"], before);
    assert_eq!(status["drills"].as_array().unwrap().len(), 1, "{status:#}");
    assert_eq!(status["campaigns"][0]["verdict"], "pass", "{status:#}");
    let text = bench.run(&["status", "shop"]).exits(0).stdout;
    assert!(text.contains("sample  monthly: 2 of 3 recovery points drawn, none failed"), "{text}");
    let page = bench.run(&["report", "drill", "shop", "--lang", "en"]).exits(0).stdout;
    assert!(page.contains("shop/weekly"), "the newest drill is not a draw");

    let drawn = records(&bench);
    let drawn = of(&drawn, "drill-finished").pop().unwrap().clone();
    let (seq, run) = (drawn["seq"].to_string(), drawn["draw"]["campaign"].as_str().unwrap());
    let page =
        bench.run(&["report", "drill", "shop", "--record", &seq, "--lang", "en"]).exits(0).stdout;
    assert!(
        page.contains(run) && page.contains("drawn at random, out of 3 recovery points"),
        "{page}"
    );
    for (lang, told) in [
        ("en", "2 of 3 recovery points drawn, none failed"),
        ("zh", "从 3 个恢复点中随机抽取 2 个"),
    ] {
        let page = bench.run(&["report", "campaign", "shop", "--lang", lang]).exits(0).stdout;
        assert!(page.contains(told) && page.contains(run) && page.contains("ssh-keygen"), "{page}");
        assert!(!page.contains("role=\"alert\""), "nothing contradicts it: {page}");
    }
}

#[test]
fn a_seed_without_a_draw_or_a_word_on_its_origin_is_refused_and_so_is_a_draw_nobody_can_see() {
    let bench = site(1, 2);
    let drill = ["drill", "acme/shop/monthly"];
    let refused = |more: &[&str], code: i32, says: &str| {
        let ran = bench.run(&[&drill[..], more].concat()).exits(code);
        assert!(ran.stderr.contains(says), "{}", ran.stderr);
    };
    refused(&["--seed", "7"], 2, "--seed-from");
    refused(&["--seed", "two\nlines", "--seed-from", "x"], 2, "one line");
    refused(&["--seed", "7", "--seed-from", "x", "--snapshot", "latest"], 2, "a seed says nothing");
    let site = std::fs::read_to_string(bench.path("lifeboat.toml")).unwrap();
    bench.write("lifeboat.toml", site.split("[signing]").next().unwrap().to_owned());
    refused(&[], 2, "no signing key");

    assert!(of(&records(&bench), "campaign-started").is_empty());
}
