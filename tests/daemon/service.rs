//! The daemon as a service: what systemd hears of it, and the unit that it comes with.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::bench::Ran;
use crate::site::{Daemon, LONG, log, of_kind, scheduled, status, until};
use crate::unit;

pub const CASES: &[(&str, fn())] = &[
    ("a_service_manager_hears_when_it_serves_reloads_and_ends", a_service_manager_hears),
    ("a_scheduler_that_stands_still_is_seen_by_the_watchdog", a_scheduler_that_stands_still),
    ("its_log_is_json_lines_that_name_run_and_slot", its_log_is_json_lines),
    ("its_unit_is_what_systemd_takes_and_well_shut", its_unit_is_what_systemd_takes),
];

/// A service manager's ear.
struct Manager {
    socket: UnixDatagram,
    heard: Vec<String>,
}

impl Manager {
    fn new(path: &std::path::Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        Self { socket, heard: Vec::new() }
    }

    fn listen(&mut self) {
        let mut message = [0; 4096];
        match self.socket.recv(&mut message) {
            Ok(length) => {
                let text = String::from_utf8_lossy(&message[..length]).into_owned();
                self.heard.extend(text.lines().map(str::to_owned));
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Listens until `what` was heard `times` in all.
    #[track_caller]
    fn hears(&mut self, what: &str, times: usize) {
        let deadline = Instant::now() + LONG;
        while self.heard.iter().filter(|line| line.starts_with(what)).count() < times {
            assert!(Instant::now() < deadline, "never heard {what}: {:?}", self.heard);
            self.listen();
        }
    }
}

fn a_service_manager_hears() {
    let bench = scheduled("0 3 * * *", false);
    let socket = bench.path("notify");
    let mut manager = Manager::new(&socket);
    let socket = socket.display().to_string();
    let daemon = Daemon::with(&bench, &[("NOTIFY_SOCKET", &socket), ("WATCHDOG_USEC", "300000")]);

    manager.hears("READY=1", 1);
    manager.hears("WATCHDOG=1", 5);
    manager.hears("STATUS=0 running, 0 waiting, next slot 20", 1);
    daemon.signal(Signal::HUP);
    manager.hears("RELOADING=1", 1);
    manager.hears("MONOTONIC_USEC=", 1);
    manager.hears("READY=1", 2);
    daemon.signal(Signal::TERM);
    manager.hears("STOPPING=1", 1);
    assert_eq!(daemon.ends(), 0);
}

fn a_scheduler_that_stands_still() {
    let bench = scheduled("0 3 * * *", false);
    let socket = bench.path("notify");
    let mut manager = Manager::new(&socket);
    let socket = socket.display().to_string();
    let daemon = Daemon::with(&bench, &[("NOTIFY_SOCKET", &socket), ("WATCHDOG_USEC", "300000")]);
    manager.hears("WATCHDOG=1", 1);

    daemon.signal(Signal::STOP);
    until("the stop", || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap();
        stat.contains(") T ")
    });
    // What was sent before is heard; after that nothing for several times the watchdog's time.
    let quiet = Instant::now();
    while manager.socket.recv(&mut [0; 4096]).is_ok() {
        assert!(quiet.elapsed() < LONG);
    }
    manager.heard.clear();
    for _ in 0..8 {
        manager.listen();
    }
    assert!(manager.heard.is_empty(), "{:?}", manager.heard);

    daemon.signal(Signal::CONT);
    manager.hears("WATCHDOG=1", 1);
    daemon.drain();
}

fn its_log_is_json_lines() {
    let bench = scheduled("* * * * * *", false);
    let daemon = Daemon::with(&bench, &[]);
    until("a run", || log(&bench).contains("backed up"));
    daemon.drain();

    let log = log(&bench);
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();

    let done = lines.iter().find(|line| line["fields"]["message"] == "backed up").unwrap();
    let run = done["fields"]["run"].as_str().unwrap();
    assert_eq!(done["spans"][0]["series"], "acme/shop");
    assert!(done["spans"][0]["slot"].as_str().unwrap().starts_with("20"), "{done}");
    let finished = of_kind(&bench, "backup-finished");
    assert!(finished.iter().any(|record| record["run"] == run), "{run} is on the ledger");
    let within = lines.iter().filter(|line| {
        line["spans"].as_array().is_some_and(|spans| spans.iter().any(|span| span["run"] == run))
    });
    assert!(within.count() >= 4, "its phases carry the run's id");
    assert!(status(&bench)["daemon"].is_null());
}

fn its_unit_is_what_systemd_takes() {
    for drop_in in [None, Some(unit::DROP_IN)] {
        let folder = tempfile::tempdir().unwrap();
        let copy = folder.path().join("lifeboat.service");
        // The only change: where the program is, for verification looks whether it is there.
        let here = unit::UNIT.replace("/usr/bin/lifeboat", env!("CARGO_BIN_EXE_lifeboat"));
        assert_ne!(unit::UNIT, here);
        std::fs::write(&copy, here).unwrap();
        if let Some(text) = drop_in {
            std::fs::create_dir(folder.path().join("lifeboat.service.d")).unwrap();
            std::fs::write(folder.path().join("lifeboat.service.d/user.conf"), text).unwrap();
        }
        is_taken_and_well_shut(&copy);
    }
}

fn is_taken_and_well_shut(unit: &std::path::Path) {
    let verified: Ran = Command::new("systemd-analyze")
        .args(["verify", "--man=no", "--recursive-errors=no"])
        .arg(unit)
        .output()
        .expect("systemd-analyze is installed: run tests/tools")
        .into();
    assert_eq!((verified.code, verified.stderr.trim()), (0, ""), "{}", verified.stdout);

    // At most 5.0 of 10, which systemd calls OK. The rest is what it lives by: root, to read all
    // files; namespaces and mounts, for sandboxes; the network, for stores.
    let secure: Ran = Command::new("systemd-analyze")
        .args(["security", "--offline=yes", "--threshold=50", "--no-pager"])
        .arg(unit)
        .output()
        .unwrap()
        .into();
    assert_eq!(secure.code, 0, "{}\n{}", secure.stdout, secure.stderr);
}
