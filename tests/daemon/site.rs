//! Sites for daemons, and daemons as processes.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::bench::{Bench, Ran};
use crate::clock::{MODE, Scaled};

/// Longer than anything that is waited for takes on a busy machine.
pub const LONG: Duration = Duration::from_secs(90);

/// Waits until `is_so`; panics with `what` where that never comes.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !is_so() {
        assert!(Instant::now() < deadline, "never came: {what}");
        std::thread::sleep(Duration::from_millis(150));
    }
}

/// A daemon as a process; killed when dropped.
pub struct Daemon {
    child: Child,
    log: PathBuf,
}

impl Daemon {
    fn start(bench: &Bench, command: &mut Command) -> Self {
        let log = bench.path("daemon.log");
        let file = File::options().create(true).append(true).open(&log).unwrap();
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(file).spawn().unwrap();
        Self { child, log }
    }

    /// The built binary's own daemon.
    pub fn real(bench: &Bench) -> Self {
        Self::start(bench, &mut bench.command(&["daemon"]))
    }

    /// The built binary's own daemon, that talks to a service manager.
    pub fn with(bench: &Bench, variables: &[(&str, &str)]) -> Self {
        let mut command = bench.command(&["daemon", "--json"]);
        Self::start(bench, command.envs(variables.iter().copied()))
    }

    /// One that lives by `clock`.
    pub fn simulated(bench: &Bench, clock: &Scaled) -> Self {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.arg(MODE).arg(bench.path("lifeboat.toml")).args(clock.arguments());
        Self::start(bench, command.current_dir(bench.path("")))
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// Waits for its end; answers its exit status.
    #[track_caller]
    pub fn ends(mut self) -> i32 {
        until("the daemon's end", || self.is_over());
        self.child.wait().unwrap().code().unwrap_or(-1)
    }

    /// Ends it well, whatever it does.
    #[track_caller]
    pub fn drain(self) {
        self.signal(Signal::TERM);
        let log = self.log.clone();
        let code = self.ends();
        assert_eq!(code, 0, "{}", std::fs::read_to_string(log).unwrap());
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Where it has ended already there is nobody to kill.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until a daemon serves.
#[track_caller]
pub fn until_served(bench: &Bench) {
    until("a daemon", || !status(bench)["daemon"].is_null());
}

/// What this bench's daemons logged.
pub fn log(bench: &Bench) -> String {
    std::fs::read_to_string(bench.path("daemon.log")).unwrap_or_default()
}

/// A clock that begins now, at `begins`, and runs `scale` times as fast.
pub fn clock(bench: &Bench, begins: &str, scale: u32) -> Scaled {
    let begins: Timestamp = begins.parse().unwrap();
    Scaled { real: SystemTime::now(), begins, scale, set_by: bench.path("hands") }
}

/// Waits until the simulated time is past `moment`.
pub fn until_time(clock: &Scaled, moment: &str) {
    let moment: Timestamp = moment.parse().unwrap();
    let left = moment.duration_since(clock.unset());
    if let Ok(left) = Duration::try_from(left) {
        // Time itself is what is waited for.
        std::thread::sleep(left / clock.scale);
    }
}

/// A bench whose only policy `shop` has this schedule and, with `hook`, a hook before each backup
/// that writes `started` and waits for `go`.
pub fn scheduled(backup: &str, hook: bool) -> Bench {
    let bench = Bench::new();
    let schedule = format!("[schedule]\nbackup = \"{backup}\"\ntimezone = \"UTC\"\n\n[objectives]");
    bench.edit("policies/shop.toml", "[objectives]", &schedule);
    if hook {
        let place = bench.path("").display().to_string();
        let wait = format!("touch {place}/started; while [ ! -e {place}/go ]; do sleep 0.02; done");
        let hooks = format!("[hooks]\nbefore = [\"sh\", \"-c\", \"{wait}\"]\n\n[objectives]");
        bench.edit("policies/shop.toml", "[objectives]", &hooks);
    }
    bench
}

/// Ends the schedule of `shop`, and lets a daemon tell what became of the last slots.
pub fn settle(bench: &Bench, clock: &Scaled) {
    let text = std::fs::read_to_string(bench.path("policies/shop.toml")).unwrap();
    let begin = text.find("[schedule]").unwrap();
    let end = begin + text[begin..].find("\n\n").unwrap();
    bench.edit("policies/shop.toml", &text[begin..end], "");
    let versions = || of_kind(bench, "policy-version").len();
    let before = versions();
    let daemon = Daemon::simulated(bench, clock);
    until("the new version", || versions() > before);
    daemon.drain();
}

/// Every record of acme's ledger; none while there is no repository.
pub fn records(bench: &Bench) -> Vec<Value> {
    records_of(bench, "acme")
}

/// Every record of a customer's ledger; none while there is no repository.
pub fn records_of(bench: &Bench, customer: &str) -> Vec<Value> {
    let ran = bench.run(&["ledger", "log", customer, "--last", "0", "--json"]);
    match ran.code {
        10 => Vec::new(),
        _ => ran.exits(0).json().as_array().unwrap().clone(),
    }
}

/// The records of one kind.
pub fn of_kind(bench: &Bench, kind: &str) -> Vec<Value> {
    records(bench).into_iter().filter(|record| record["kind"] == kind).collect()
}

/// How `shop` stands, as `status --json` says.
pub fn status(bench: &Bench) -> Value {
    let ran: Ran = bench.run(&["status", "shop", "--json"]);
    ran.json()[0].clone()
}
