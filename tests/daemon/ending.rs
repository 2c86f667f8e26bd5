//! How a daemon ends: it drains, it interrupts, and it leaves nothing behind.

use rustix::process::Signal;

use crate::site::{Daemon, log, of_kind, scheduled, status, until};

pub const CASES: &[(&str, fn())] = &[
    ("sigterm_waits_for_what_runs_and_begins_nothing_new", sigterm_waits_for_what_runs),
    ("a_run_past_the_deadline_is_aborted_on_record", a_run_past_the_deadline_is_aborted),
    ("a_second_signal_interrupts_at_once", a_second_signal_interrupts_at_once),
    ("a_drain_begins_no_retention", a_drain_begins_no_retention),
];

fn sigterm_waits_for_what_runs() {
    let bench = scheduled("* * * * * *", true);
    let mut daemon = Daemon::real(&bench);
    until("a run", || bench.path("started").exists());

    daemon.signal(Signal::TERM);

    until("the drain", || status(&bench)["daemon"]["draining"] == true);
    assert!(!daemon.is_over(), "it did not wait: {}", log(&bench));
    std::fs::write(bench.path("go"), "").unwrap();
    assert_eq!(daemon.ends(), 0, "{}", log(&bench));
    assert_eq!(of_kind(&bench, "backup-finished").len(), 1);
    assert_eq!(of_kind(&bench, "backup-started").len(), 1, "nothing new was begun");
    assert!(status(&bench)["daemon"].is_null());
}

fn a_run_past_the_deadline_is_aborted() {
    let bench = scheduled("* * * * * *", true);
    bench.edit("lifeboat.toml", "[signing]", "[daemon]\ndrain = \"1s\"\n\n[signing]");
    let daemon = Daemon::real(&bench);
    until("a run", || bench.path("started").exists());

    daemon.signal(Signal::TERM);

    assert_eq!(daemon.ends(), 130, "{}", log(&bench));
    let aborted = of_kind(&bench, "backup-aborted");
    assert_eq!(aborted.len(), 1, "{aborted:?}");
    assert!(!aborted[0]["slot"].is_null() && aborted[0]["actor"]["name"] == "daemon");
    assert!(of_kind(&bench, "backup-finished").is_empty());
}

fn a_second_signal_interrupts_at_once() {
    let bench = scheduled("* * * * * *", true);
    let daemon = Daemon::real(&bench);
    until("a run", || bench.path("started").exists());
    daemon.signal(Signal::TERM);
    until("the drain", || log(&bench).contains("nothing new is begun"));

    daemon.signal(Signal::INT);

    assert_eq!(daemon.ends(), 130, "{}", log(&bench));
    assert_eq!(of_kind(&bench, "backup-aborted").len(), 1);
}

fn a_drain_begins_no_retention() {
    let bench = scheduled("* * * * * *", true);
    let kept = "[retention]\nlast = 1\n\n[objectives]";
    bench.edit("policies/shop.toml", "[objectives]", kept);
    let (started, go) = (bench.path("started"), bench.path("go"));
    std::fs::write(&go, "").unwrap();
    bench.backup();
    std::fs::remove_file(&go).unwrap();
    std::fs::remove_file(&started).unwrap();
    let daemon = Daemon::real(&bench);
    until("a run", || started.exists());

    daemon.signal(Signal::TERM);

    until("the drain", || log(&bench).contains("nothing new is begun"));
    std::fs::write(go, "").unwrap();
    assert_eq!(daemon.ends(), 0, "{}", log(&bench));
    assert_eq!(of_kind(&bench, "backup-finished").len(), 2);
    assert_eq!(of_kind(&bench, "forget-started").len(), 0, "{}", log(&bench));
    assert_eq!(bench.files("store/acme/repo/snapshots").len(), 2);
}
