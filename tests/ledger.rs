//! The ledger through the binary: damage is named, checkpoints verify with stock `ssh-keygen`.

mod bench;

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use bench::{Bench, Ran};

/// Two backups and a drill: a ledger of several segments with at least one checkpoint.
fn history() -> Bench {
    let bench = Bench::new();
    bench.backup();
    bench.sql("INSERT INTO orders VALUES (1000, 1, 'newer')");
    bench.backup();
    bench.run(&["drill", "shop"]).exits(0);
    bench
}

fn segments(bench: &Bench) -> Vec<PathBuf> {
    bench.files("store/acme/ledger/segments")
}

fn newest_checkpoint(bench: &Bench) -> PathBuf {
    let is_note = |path: &PathBuf| path.extension().is_none();
    bench.files("store/acme/ledger/checkpoints").into_iter().rfind(is_note).unwrap()
}

#[test]
fn an_untouched_ledger_verifies_and_says_how_many_records_it_holds() {
    let bench = history();

    let verified = bench.run(&["ledger", "verify", "shop", "--json"]).exits(0).json();

    assert_eq!(verified["ok"], true, "{verified:#}");
    assert!(verified["records"].as_u64().unwrap() >= 7, "{verified:#}");
    assert_eq!(verified["first_bad"], serde_json::Value::Null);
}

#[test]
fn a_damaged_a_dropped_and_a_swapped_segment_are_each_named() {
    let damages: [(&str, fn(&[PathBuf])); 3] = [
        ("edited", |all| {
            let mut bytes = fs::read(&all[1]).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            rewrite(&all[1], &bytes);
        }),
        ("dropped", |all| fs::remove_file(&all[1]).unwrap()),
        ("reordered", |all| {
            let (one, two) = (fs::read(&all[1]).unwrap(), fs::read(&all[2]).unwrap());
            rewrite(&all[1], &two);
            rewrite(&all[2], &one);
        }),
    ];
    for (kind, damage) in damages {
        let bench = history();
        damage(&segments(&bench));

        let verified = bench.run(&["ledger", "verify", "shop", "--json"]).exits(1).json();

        assert_eq!(verified["ok"], false, "{kind}: {verified:#}");
        assert!(!verified["first_bad"].is_null(), "{kind}: {verified:#}");
    }
}

#[test]
fn a_cut_tail_is_found_by_whoever_holds_an_earlier_checkpoint() {
    let bench = history();
    let kept = bench.path("kept-checkpoint");
    fs::copy(newest_checkpoint(&bench), &kept).unwrap();
    let mut signature = newest_checkpoint(&bench).into_os_string();
    signature.push(".sig");
    fs::copy(&signature, bench.path("kept-checkpoint.sig")).unwrap();
    fs::remove_file(segments(&bench).pop().unwrap()).unwrap();
    for checkpoint in bench.files("store/acme/ledger/checkpoints") {
        fs::remove_file(checkpoint).unwrap();
    }

    let kept = kept.to_str().unwrap();
    let verified =
        bench.run(&["ledger", "verify", "shop", "--earlier", kept, "--json"]).exits(1).json();

    assert_eq!(verified["ok"], false, "{verified:#}");
}

#[test]
fn stock_ssh_keygen_accepts_a_checkpoint_and_refuses_a_changed_one() {
    let bench = history();
    let checkpoint = newest_checkpoint(&bench);
    let public = fs::read_to_string(bench.path("keys/ledger_ed25519.pub")).unwrap();
    bench.write("allowed_signers", format!("acme namespaces=\"lifeboat-evidence-v1\" {public}"));
    let note = fs::read(&checkpoint).unwrap();
    assert_eq!(note.iter().filter(|byte| **byte == b'\n').count(), 5, "five lines in the clear");

    assert_eq!(keygen_verify(&bench, &checkpoint, &note).code, 0);
    for line in 0..5 {
        let mut lines: Vec<_> = note.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        let last = lines[line].len() - 1;
        lines[line][last] ^= 1;
        let changed = lines.join(&b'\n');
        assert_ne!(keygen_verify(&bench, &checkpoint, &changed).code, 0, "line {line}");
    }
}

#[test]
fn an_only_customer_need_not_be_named_and_what_waits_in_the_outbox_is_told() {
    let bench = Bench::new();
    bench.backup();
    let log = bench.run(&["ledger", "log"]).exits(0).stdout;
    assert!(log.lines().last().unwrap().contains("  complete  run "), "{log}");
    let cut = bench.run(&["ledger", "log", "--last", "1"]).exits(0).stdout;
    assert!(cut.starts_with("the newest 1 of "), "{cut}");
    assert_eq!(cut.lines().count(), 2, "{cut}");
    bench.run(&["ledger", "show", "1"]).exits(0);
    let told = "in this host's outbox";
    for words in [&["ledger", "verify"][..], &["status"]] {
        let ran = bench.run(words).exits(0);
        assert!(!ran.stdout.contains(told), "{}", ran.stdout);
    }

    let outbox = bench.path("state/outbox/acme");
    fs::create_dir_all(&outbox).unwrap();
    fs::write(outbox.join(format!("{:020}.held", 1)), "as a run leaves it").unwrap();

    for words in [&["ledger", "verify"][..], &["status"]] {
        let ran = bench.run(words).exits(0);
        assert!(ran.stdout.contains(told), "{}", ran.stdout);
    }
    assert_eq!(bench.run(&["ledger", "verify", "--json"]).exits(0).json()["waiting"], 1);
    assert_eq!(bench.run(&["status", "--json"]).exits(0).json()[0]["in_outbox"], 1);
}

#[test]
fn several_customers_must_be_named() {
    let bench = Bench::new();
    let site = fs::read_to_string(bench.path("lifeboat.toml")).unwrap();
    let second = "[[customer]]\nid = \"globex\"\nstore = \"primary\"\n\
                  repository_password = { file = \"keys/repository-password\" }\n";
    bench.edit("lifeboat.toml", &site, &format!("{site}\n{second}"));

    let refused = bench.run(&["ledger", "log"]).exits(2);

    assert!(
        refused.stderr.contains("name the customer; there are: acme, globex"),
        "{}",
        refused.stderr
    );
}

#[test]
fn slots_that_nobody_ran_are_on_the_ledger_as_due_and_missed() {
    let bench = Bench::new();
    bench.edit(
        "policies/shop.toml",
        "[objectives]",
        "[schedule]\nbackup = \"* * * * * *\"\n\n[objectives]",
    );
    bench.backup();
    let begun = std::time::Instant::now();
    let log = loop {
        bench.backup();
        let log = bench.run(&["ledger", "log", "shop", "--json"]).exits(0).stdout;
        if log.contains("backup-missed") || begun.elapsed().as_secs() > 30 {
            break log;
        }
    };

    assert!(log.contains("backup-due") && log.contains("backup-missed"), "{log}");
    bench.run(&["ledger", "verify", "shop"]).exits(0);
}

#[test]
fn a_policy_that_is_given_up_is_retired_by_a_person_and_misses_nothing_from_then_on() {
    let bench = Bench::new();
    let every_second = "[schedule]\nbackup = \"* * * * * *\"\n\n[objectives]";
    bench.edit("policies/shop.toml", "[objectives]", every_second);
    bench.backup();
    let ran = bench.run(&["ledger", "retire", "acme/shop"]).exits(1);
    assert!(ran.stderr.contains("still declared"), "{}", ran.stderr);
    fs::remove_file(bench.path("policies/shop.toml")).unwrap();
    fs::remove_file(bench.path("drills/weekly.toml")).unwrap();

    let retired = bench.run(&["ledger", "retire", "acme/shop", "--json"]).exits(0).json();

    assert_eq!(retired["retired"], true, "{retired}");
    let log = bench.run(&["ledger", "log", "acme", "--json"]).exits(0).json();
    let last = log.as_array().unwrap().last().unwrap();
    assert_eq!(last["kind"], "policy-retired", "{log:#}");
    assert!(!last["actor"]["name"].as_str().unwrap().is_empty(), "{last}");
    bench.run(&["ledger", "verify", "acme"]).exits(0);
    let again = bench.run(&["ledger", "retire", "acme/shop", "--json"]).exits(0).json();
    assert_eq!(again["retired"], false, "{again}");
}

#[test]
fn the_steps_on_a_report_verify_its_checkpoint_as_they_stand() {
    let bench = Bench::new();
    bench.backup();
    bench.drill();
    let page = bench.run(&["report", "drill", "shop", "--lang", "en"]).exits(0).stdout;
    let steps = &page[page.find("id=\"s-verify\"").unwrap()..];
    let blocks: Vec<_> = steps
        .split("<pre>")
        .skip(1)
        .map(|block| block.split("</pre>").next().unwrap())
        .map(|block| block.replace("&lt;", "<").replace("&#34;", "\"").replace("&quot;", "\""))
        .collect();
    let [signers, objects, command, ..] = &blocks[..] else { panic!("{blocks:?}") };

    fs::create_dir(bench.path("auditor")).unwrap();
    fs::write(bench.path("auditor/allowed_signers"), format!("{signers}\n")).unwrap();
    for object in objects.lines() {
        let name = std::path::Path::new(object).file_name().unwrap();
        fs::copy(bench.path("store/acme").join(object), bench.path("auditor").join(name)).unwrap();
    }
    let ran: Ran = Command::new("sh")
        .args(["-c", command])
        .current_dir(bench.path("auditor"))
        .output()
        .unwrap()
        .into();

    let ran = ran.exits(0);
    assert!(ran.stdout.starts_with("Good"), "{} {}", ran.stdout, ran.stderr);
}

fn rewrite(path: &PathBuf, bytes: &[u8]) {
    fs::remove_file(path).unwrap();
    fs::write(path, bytes).unwrap();
}

fn keygen_verify(bench: &Bench, checkpoint: &std::path::Path, note: &[u8]) -> Ran {
    let message = bench.path("message");
    fs::write(&message, note).unwrap();
    let mut signature = checkpoint.as_os_str().to_owned();
    signature.push(".sig");
    Command::new("ssh-keygen")
        .args(["-Y", "verify", "-I", "acme", "-n", "lifeboat-evidence-v1", "-f"])
        .arg(bench.path("allowed_signers"))
        .arg("-s")
        .arg(signature)
        .stdin(Stdio::from(fs::File::open(message).unwrap()))
        .output()
        .unwrap()
        .into()
}
