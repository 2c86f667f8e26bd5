//! A system that only its owner's programs know, from a policy to a verdict: what they must do, what
//! they can get wrong, and what nobody believes them.

mod bench;

use std::fs;
use std::os::unix::fs::PermissionsExt;

use bench::Bench;
use serde_json::Value;

const SECRET: &str = "canary-of-the-crm";

/// Keeps `key=value` lines: prints them, makes a folder with a file for each, and reports both alike.
const PROGRAM: &str = r#"#!/bin/sh
set -eu
report() {
  # Of the lines on standard input, whatever their order.
  LC_ALL=C sort > "$1.sorted"
  echo "part $(wc -l < "$1.sorted") $(sha256sum < "$1.sorted" | cut -d' ' -f1) customers"
  rm "$1.sorted"
}
case $1 in
capture)
  test "$CRM_PASSWORD" = canary-of-the-crm
  cat @LIVE@
  report "$LIFEBOAT_REPORT" < @LIVE@ > "$LIFEBOAT_REPORT"
  echo "end $(wc -c < @LIVE@)" >> "$LIFEBOAT_REPORT"
  ;;
recover)
  mkdir "$LIFEBOAT_FOLDER/customers"
  while IFS='=' read -r key value; do
    echo "$value" > "$LIFEBOAT_FOLDER/customers/$key"
  done < "$LIFEBOAT_DATA"
  ;;
check)
  for file in "$LIFEBOAT_FOLDER"/customers/*; do
    [ ! -e "$file" ] || echo "$(basename "$file")=$(cat "$file")"
  done | report "$LIFEBOAT_FOLDER/told" > "$LIFEBOAT_REPORT"
  echo end >> "$LIFEBOAT_REPORT"
  ;;
esac
"#;

/// A site whose policy has such a system with fifty customers.
fn crm() -> Bench {
    let bench = Bench::new();
    // The user that scratch servers run as must reach the program.
    fs::set_permissions(bench.path(""), fs::Permissions::from_mode(0o711)).unwrap();
    fs::create_dir(bench.path("programs")).unwrap();
    bench.write("data/crm", (0..50).map(|n| format!("c{n}=name {n}\n")).collect());
    program(&bench, PROGRAM);
    bench.write("keys/crm", format!("{SECRET}\n"));
    bench.write(
        "policies/shop.toml",
        r#"customer = "acme"
name = "shop"

[[source]]
name = "crm"
kind = "command"
capture = ["programs/crm", "capture"]
recover = ["programs/crm", "recover"]
check = ["programs/crm", "check"]
deadline = "30s"

[[source.secret]]
variable = "CRM_PASSWORD"
value = { file = "keys/crm" }
"#
        .to_owned(),
    );
    bench.write(
        "drills/weekly.toml",
        "policy = \"acme/shop\"\nname = \"weekly\"\ncontrols = true\n".to_owned(),
    );
    bench
}

/// Puts `text` in the place of the owner's program.
fn program(bench: &Bench, text: &str) {
    let data = bench.path("data/crm").display().to_string();
    bench.write("programs/crm", text.replace("@LIVE@", &data));
    fs::set_permissions(bench.path("programs/crm"), fs::Permissions::from_mode(0o755)).unwrap();
}

/// The program with one thing in it done in another way.
fn changed(from: &str, to: &str) -> String {
    assert!(PROGRAM.contains(from), "{from}");
    PROGRAM.replacen(from, to, 1)
}

#[test]
fn what_the_owners_programs_bring_back_is_compared_and_no_secret_shows() {
    let bench = crm();
    bench.run(&["validate"]).exits(0);
    bench.run(&["doctor"]).exits(0);
    bench.backup();
    // What it was is compared with what was captured, not with what is.
    bench.write("data/crm", "c0=gone\n".to_owned());

    let ran = bench.run(&["drill", "shop", "--json"]);

    let report = ran.json();
    assert_eq!((ran.code, &report["verdict"]), (0, &Value::from("pass")), "{report:#}");
    let told = format!("{report}{}{}", ran.stderr, bench.run(&["report", "drill", "shop"]).stdout);
    assert!(told.contains("bubblewrap") && told.contains("customers"), "{told}");
    assert!(!told.contains(SECRET));
    assert!(bench.leftovers().is_empty());
    let to = bench.path("back");
    bench.run(&["restore", "shop", "--to", to.to_str().unwrap()]).exits(0);
    assert!(fs::read_to_string(to.join("crm/output")).unwrap().contains("c49=name 49"));
}

#[test]
fn a_capture_that_is_not_whole_is_no_snapshot_whatever_its_exit_status() {
    for (from, to, what) in [
        ("  cat @LIVE@\n", "  head -c 100 @LIVE@\n", "says that it has written"),
        ("  cat @LIVE@\n", "  cat @LIVE@; exit 0\n", "the report has no end"),
        ("  echo \"end $(wc -c < @LIVE@)\"", "  echo end", "how many bytes"),
        ("echo \"end $(wc -c < @LIVE@)\" >> \"$LIFEBOAT_REPORT\"", ":", "the report has no end"),
        ("  cat @LIVE@\n", "  cat @LIVE@; echo no more >&2; exit 3\n", "no more"),
        ("  cat @LIVE@\n", "  cat @LIVE@; kill -9 $$\n", "signal: 9"),
        ("echo \"part $(wc -l", "echo \"part of $(wc -l", "line 1 of the report"),
        (
            "test \"$CRM_PASSWORD\" = canary-of-the-crm",
            "echo \"$CRM_PASSWORD\" >&2; exit 1",
            "(the value of CRM_PASSWORD)",
        ),
    ] {
        let bench = crm();
        program(&bench, &changed(from, to));

        let ran = bench.run(&["backup", "shop"]).exits(1);

        assert!(ran.stderr.contains(what), "{to}: {}", ran.stderr);
        assert!(!ran.stderr.contains(SECRET), "{}", ran.stderr);
        let snapshots = bench.run(&["snapshots", "shop", "--json"]).exits(0).json();
        assert_eq!(snapshots, Value::Array(Vec::new()), "{to}");
    }
}

#[test]
fn a_capture_that_does_not_end_is_ended_with_all_that_it_started() {
    // The program itself, and one that is over but for what holds its output open.
    for stuck in ["cat @LIVE@; sleep 4711 & sleep 4711", "sleep 4711 & cat @LIVE@"] {
        let bench = crm();
        bench.edit("policies/shop.toml", "30s", "2s");
        program(&bench, &changed("  cat @LIVE@\n", &format!("  {stuck}\n")));

        let ran = bench.run(&["backup", "shop"]).exits(1);

        assert!(ran.stderr.contains("was ended after 2 s"), "{}", ran.stderr);
        assert_eq!(sleeping(), 0, "something of it still runs");
    }
}

/// Processes that such programs leave behind.
fn sleeping() -> usize {
    let sleeping = fs::read_dir("/proc").unwrap().flatten().filter(|process| {
        fs::read(process.path().join("cmdline")).is_ok_and(|line| line == b"sleep\x004711\0")
    });
    sleeping.count()
}

/// The verdict where the programs of the drill are these, and one of them may sleep.
fn verdict(text: &str) -> (i32, Value) {
    let bench = crm();
    bench.backup();
    if text.contains("sleep") {
        bench.edit("policies/shop.toml", "30s", "3s");
    }
    program(&bench, text);
    let drilled = bench.drill();
    assert!(bench.leftovers().is_empty());
    drilled
}

#[test]
fn what_is_not_as_it_was_captured_fails_and_is_named() {
    for (from, to) in [
        (
            "done < \"$LIFEBOAT_DATA\"",
            "done < \"$LIFEBOAT_DATA\"; rm \"$LIFEBOAT_FOLDER/customers/c7\"",
        ),
        (
            "done < \"$LIFEBOAT_DATA\"",
            "done < \"$LIFEBOAT_DATA\"; echo x > \"$LIFEBOAT_FOLDER/customers/c7\"",
        ),
        (
            "done < \"$LIFEBOAT_DATA\"",
            "done < \"$LIFEBOAT_DATA\"; echo x > \"$LIFEBOAT_FOLDER/customers/new\"",
        ),
        ("customers\"\n  rm", "clients\"\n  rm"),
    ] {
        let (code, report) = verdict(&changed(from, to));

        assert_eq!((code, &report["verdict"]), (4, &Value::from("fail")), "{to}: {report:#}");
        assert!(report.to_string().contains("customers"), "{to}: {report:#}");
    }
    let (code, report) = verdict(&changed("  mkdir \"$LIFEBOAT_FOLDER/customers\"", "  exit 1"));
    assert_eq!((code, &report["verdict"]), (4, &Value::from("fail")), "{report:#}");
}

#[test]
fn programs_that_say_nothing_stop_half_way_or_blame_the_host_prove_nothing() {
    for (from, to) in [
        ("  echo end >>", "  : >>"),
        ("check)\n", "check)\n  exit 0\n"),
        ("check)\n", "check)\n  echo end > \"$LIFEBOAT_REPORT\"; exit 75\n"),
        ("check)\n", "check)\n  sleep 4712\n"),
        ("check)\n", "check)\n  ln -s /etc/passwd \"$LIFEBOAT_REPORT\"; exit 0\n"),
        ("check)\n", "check)\n  mkfifo \"$LIFEBOAT_REPORT\"; exit 0\n"),
        ("recover)\n", "recover)\n  exit 75\n"),
        ("recover)\n", "recover)\n  kill -9 $$\n"),
    ] {
        let (code, report) = verdict(&changed(from, to));

        assert_eq!(code, 5, "{to}: {report:#}");
        assert_eq!(report["verdict"], "inconclusive", "{to}: {report:#}");
    }
}

#[test]
fn nothing_to_compare_never_passes() {
    let bench = crm();
    bench.write("data/crm", String::new());
    bench.backup();

    let (code, report) = bench.drill();

    assert_eq!((code, &report["verdict"]), (5, &Value::from("inconclusive")), "{report:#}");
    let other = crm();
    program(&other, &changed("  report \"$LIFEBOAT_REPORT\" < @LIVE@ >", "  : >"));
    other.backup();
    let (_, report) = other.drill();
    assert_ne!(report["verdict"], "pass", "{report:#}");
}

#[test]
fn a_drills_programs_see_neither_keys_nor_network_nor_the_live_data() {
    let bench = crm();
    bench.backup();
    let key = bench.path("keys/crm").display().to_string();
    let probe = format!(
        "check)\n  for seen in {key} {} /root /home; do if [ -e \"$seen\" ]; then exit 1; fi; done\n  \
         if [ -n \"${{CRM_PASSWORD:-}}\" ]; then exit 1; fi\n  \
         if [ -e /sys/class/net/eth0 ]; then exit 1; fi\n",
        bench.path("data/crm").display()
    );
    program(&bench, &changed("check)\n", &probe));

    let (code, report) = bench.drill();

    assert_eq!((code, &report["verdict"]), (0, &Value::from("pass")), "{report:#}");
}
