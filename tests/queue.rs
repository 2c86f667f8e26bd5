//! Drills that together need more room in scratch than there is take turns.

mod bench;

use std::fs;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use bench::{Bench, Ran};
use serde_json::Value;

/// A site whose scratch holds one restored shop at a time, and two policies for it whose drills take a
/// while.
fn two_policies() -> Bench {
    let bench = Bench::new();
    let scratch = format!("dir = \"{}\"", bench.path("scratch").display());
    bench.edit("lifeboat.toml", &scratch, &format!("{scratch}\nmax = \"5MiB\""));
    bench.check(
        "[[check]]\nname = \"slow\"\nsource = \"orders\"\nexpect = \"> 0\"\nquery = \"\"\"\n\
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5000000)\n\
         SELECT max(i) FROM n\"\"\"\n",
    );
    for (kind, names) in [("policies", ["shop", "twin"]), ("drills", ["weekly", "monthly"])] {
        let [mine, other] = names.map(|name| format!("{kind}/{name}.toml"));
        let text = fs::read_to_string(bench.path(&mine)).unwrap();
        let named = |name: &str| format!("name = \"{name}\"");
        let twin = text.replace("acme/shop", "acme/twin");
        bench.write(&other, twin.replacen(&named(names[0]), &named(names[1]), 1));
    }
    for policy in ["shop", "twin"] {
        bench.run(&["backup", policy]).exits(0);
    }
    bench
}

fn start(bench: &Bench, policy: &str) -> Child {
    let mut drill = bench.command(&["drill", policy, "--json"]);
    drill.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Waits until a drill has reserved room.
fn holds_room(bench: &Bench) {
    let begun = Instant::now();
    while !bench.leftovers().iter().any(|scratch| scratch.join("reserved").exists()) {
        assert!(begun.elapsed() < Duration::from_secs(60), "nobody reserves room");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn queued_ms(answer: &Value) -> u64 {
    let phases = answer["phases"].as_array().unwrap();
    let queue = phases.iter().filter(|phase| phase["name"] == "queue");
    queue.map(|phase| phase["duration_ms"].as_u64().unwrap()).sum()
}

#[test]
fn the_second_waits_for_the_first_and_its_waiting_is_no_recovery_time() {
    let bench = two_policies();
    let first = start(&bench, "shop");
    holds_room(&bench);

    let second = start(&bench, "twin");

    let [first, second] =
        [first, second].map(|drill| Ran::from(drill.wait_with_output().unwrap()).exits(0));
    assert!(second.stderr.contains("waiting for room in scratch"), "{}", second.stderr);
    let (waited, answer) = (queued_ms(&second.json()), second.json());
    assert!(waited > queued_ms(&first.json()) + 300, "{waited} ms: {answer:#}");
    let recovery = answer["recovery_seconds"].as_f64().unwrap();
    assert!(recovery * 1000.0 < waited as f64, "{recovery} s, of which {waited} ms waiting");
    assert_eq!(bench.leftovers(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_dead_drill_holds_no_room_and_one_that_waits_can_be_ended() {
    let bench = two_policies();
    let mut killed = start(&bench, "shop");
    holds_room(&bench);
    let waiting = start(&bench, "twin");
    std::thread::sleep(Duration::from_millis(700));
    let pid = rustix::process::Pid::from_child(&waiting);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let ended: Ran = waiting.wait_with_output().unwrap().into();
    assert!(ended.code > 100, "{} {}", ended.code, ended.stderr);

    killed.kill().unwrap();
    killed.wait().unwrap();

    let ran: Ran = start(&bench, "twin").wait_with_output().unwrap().into();
    assert!(!ran.exits(0).stderr.contains("waiting for room"));
}
