//! What a command costs: wall, CPU of all its processes, and the memory that they held at most.
#![allow(dead_code, reason = "each bench uses the part that it needs")]

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// The cost of one step.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    pub wall: f64,
    /// User and system seconds of the command and all that it started.
    pub cpu: f64,
    /// The most resident bytes, those of all its processes together.
    pub memory: u64,
    /// What the repository has grown by, bytes.
    pub stored: u64,
    /// Requests that an S3 server was sent.
    pub requests: u64,
}

impl Cost {
    /// One step after the other.
    pub fn then(self, next: Self) -> Self {
        Self {
            wall: self.wall + next.wall,
            cpu: self.cpu + next.cpu,
            memory: self.memory.max(next.memory),
            stored: self.stored + next.stored,
            requests: self.requests + next.requests,
        }
    }
}

/// Runs a command that must succeed.
pub fn measure(mut command: Command) -> Cost {
    // What the step before left to be written goes to the disk now, not during the next one.
    assert!(Command::new("sync").status().expect("sync").success());
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let log = tempfile::tempfile().expect("a temporary file");
    command.stderr(log.try_clone().expect("a descriptor"));
    let cpu = own_children();
    let begun = Instant::now();
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let mut memory = 0;
    let status = loop {
        memory = memory.max(resident(child.id()));
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        std::thread::sleep(Duration::from_millis(4));
    };
    let wall = begun.elapsed().as_secs_f64();
    assert!(status.success(), "{command:?}: {status}\n{}", text_of(log));
    Cost { wall, cpu: own_children() - cpu, memory, ..Cost::default() }
}

fn text_of(mut log: fs::File) -> String {
    use std::io::{Read as _, Seek as _};
    let mut text = String::new();
    log.rewind().and_then(|()| log.read_to_string(&mut text)).expect("a log");
    text
}

/// The peaks of a process and of all below it: VmHWM of proc(5). It never falls, so that a look every
/// few milliseconds loses only what was taken at the very end.
fn resident(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let own = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let own = own.and_then(|text| text.trim().split(' ').next()?.parse::<u64>().ok());
    let below = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let below = below.unwrap_or_default();
    let below = below.split_whitespace().filter_map(|child| child.parse().ok()).map(resident);
    own.unwrap_or(0) * 1024 + below.sum::<u64>()
}

/// Seconds of CPU of this process's children that have ended: proc(5).
fn own_children() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("proc(5)");
    let (_, rest) = stat.rsplit_once(") ").expect("a name in brackets");
    let ticks = rest.split(' ').skip(13).take(2).map(|ticks| ticks.parse::<f64>().expect("ticks"));
    ticks.sum::<f64>() / 100.0
}
