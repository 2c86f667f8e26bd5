//! What the benches of database engines share: a site, costs of commands and their table.
#![allow(dead_code, reason = "each bench uses a part")]

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, RwLock};
use std::time::Instant;

use lifeboat::ground::clock::SystemClock;
use lifeboat::repo::{Index, Repository};
use lifeboat::seal;
use lifeboat::store::Local;

/// What one command cost, in seconds.
#[derive(Debug, Clone, Copy, Default)]
pub struct Cost {
    pub wall: f64,
    /// Of the command and all it started.
    pub cpu: f64,
    /// Of the source's server.
    pub server: f64,
}

impl Cost {
    pub fn and(self, other: Self) -> Self {
        Self {
            wall: self.wall + other.wall,
            cpu: self.cpu + other.cpu,
            server: self.server + other.server,
        }
    }
}

/// Runs a command that must succeed.
pub fn measure(server: u32, mut command: Command) -> Cost {
    settle();
    let (children, backends) = (own_children(), server_cpu(server));
    let begun = Instant::now();
    let output = command.output().expect("it starts");
    let wall = begun.elapsed().as_secs_f64();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Cost { wall, cpu: own_children() - children, server: server_cpu(server) - backends }
}

/// What the step before left to be written goes to the disk now, not during the next one.
pub fn settle() {
    let synced = Command::new("sync").status().expect("sync");
    assert!(synced.success());
}

/// Seconds of CPU of this process's children that have ended: proc(5).
pub fn own_children() -> f64 {
    seconds("self", 13..15)
}

/// Seconds of CPU of a server, its backends, and those that have ended.
pub fn server_cpu(pid: u32) -> f64 {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let backends = fs::read_to_string(path).unwrap_or_default();
    let running: f64 = backends.split_whitespace().map(|backend| seconds(backend, 11..13)).sum();
    running + seconds(&pid.to_string(), 11..15)
}

/// The sum of some of the times in `/proc/<process>/stat`, counted from the field after the name.
pub fn seconds(process: &str, fields: std::ops::Range<usize>) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let Some((_, rest)) = stat.rsplit_once(") ") else { return 0.0 };
    let all: Vec<&str> = rest.split_whitespace().collect();
    let ticks = all[fields].iter().map(|ticks| ticks.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() / 100.0
}

/// A capture's way from a dump, written by `program`, to durable packs and their index, without anything else.
pub fn streamed(server: u32, mut program: Command) -> Cost {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Arc::new(Local::open(folder.path()).expect("a store"));
    let password = "secret".to_owned().into();
    let created = Repository::create(store, &password, seal::Cost::DEFAULT, &SystemClock);
    let repository = Arc::new(runtime.block_on(created).expect("a repository"));
    settle();
    let (own, backends) = (seconds("self", 11..15), server_cpu(server));
    let begun = Instant::now();
    let (index, clock) = (Arc::new(RwLock::new(Index::default())), Arc::new(SystemClock));
    let writer = repository.writer(index, runtime.handle().clone(), clock);
    let mut dump = program.stdout(Stdio::piped()).spawn().expect("it starts");
    let mut stream = dump.stdout.take().expect("a pipe");
    rustix::pipe::fcntl_setpipe_size(&stream, 1 << 20).expect("a pipe like a capture's");
    writer.store_content(&mut stream).expect("it is stored");
    assert!(dump.wait().expect("it ends").success());
    runtime.block_on(writer.finish()).expect("it is durable");
    Cost {
        wall: begun.elapsed().as_secs_f64(),
        cpu: seconds("self", 11..15) - own,
        server: server_cpu(server) - backends,
    }
}

/// A site with one policy and an empty store.
pub struct Site {
    pub folder: tempfile::TempDir,
}

impl Site {
    /// One of a single source.
    pub fn new(source: &str) -> Self {
        Self::with(&format!("[[source]]\nname = \"data\"\n{source}\n"), "")
    }

    /// One of these sources; where there are checks, with a drill that makes them and all controls.
    pub fn with(sources: &str, checks: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;

        let site = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let place = site.folder.path();
        for folder in ["policies", "drills", "store"] {
            fs::create_dir(place.join(folder)).expect("a folder");
        }
        let here = place.display();
        let files = [
            ("password", "secret\n".to_owned()),
            (
                "lifeboat.toml",
                format!(
                    "[state]\nurl = \"sqlite://{here}/state.db\"\n[scratch]\ndir = \"{here}/scratch\"\n\
                     [[store]]\nname = \"store\"\nurl = \"file://{here}/store\"\n\
                     [[customer]]\nid = \"acme\"\nstore = \"store\"\n\
                     repository_password = {{ file = \"password\" }}\n"
                ),
            ),
            ("policies/bench.toml", format!("customer = \"acme\"\nname = \"bench\"\n{sources}")),
            (
                "drills/whole.toml",
                format!("policy = \"acme/bench\"\nname = \"whole\"\ncontrols = true\n{checks}"),
            ),
        ];
        for (name, text) in files {
            if name.starts_with("drills/") && checks.is_empty() {
                continue;
            }
            let path: PathBuf = place.join(name);
            fs::write(&path, text).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our file");
        }
        site
    }

    pub fn lifeboat(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command.args(arguments).arg("--config").arg(self.folder.path().join("lifeboat.toml"));
        command.args(["--json", "--no-progress"]).stdin(Stdio::null());
        command
    }

    /// A drill that must pass: its wall is the time to the first answer, as it is recorded.
    pub fn drilled(&self) -> Cost {
        settle();
        let children = own_children();
        let output = self.lifeboat(&["drill", "bench"]).output().expect("it starts");
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert!(output.status.success(), "{answer:#}");
        let wall = answer["recovery_seconds"].as_f64().expect("a recovery time");
        Cost { wall, cpu: own_children() - children, server: 0.0 }
    }
}

/// All costs of each step, in the order of their first appearance.
#[derive(Default)]
pub struct Table {
    rows: Vec<(&'static str, Vec<Cost>)>,
}

impl Table {
    pub fn note(&mut self, step: &'static str, cost: Cost) {
        match self.rows.iter_mut().find(|(name, _)| *name == step) {
            Some((_, costs)) => costs.push(cost),
            None => self.rows.push((step, vec![cost])),
        }
    }

    pub fn median(&self, step: &str, of: impl Fn(&Cost) -> f64) -> f64 {
        let row = self.rows.iter().find(|(name, _)| *name == step);
        let mut all: Vec<f64> = row.expect("a step").1.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    }

    /// The median of a step's wall in each round divided by another's in the same round; none where
    /// they were not measured.
    pub fn ratio(&self, step: &str, by: &str) -> Option<f64> {
        let costs = |name: &str| self.rows.iter().find(|(step, _)| *step == name);
        let (one, other) = (&costs(step)?.1, &costs(by)?.1);
        let mut all: Vec<f64> =
            one.iter().zip(other).map(|(one, other)| one.wall / other.wall).collect();
        all.sort_by(f64::total_cmp);
        Some(all[all.len() / 2])
    }

    /// Prints the medians, then for each of `ratios` a step's to another and the most that is wanted.
    pub fn print(&self, ratios: &[(&str, &str, f64)]) {
        println!("| | wall s | CPU s | server CPU s |\n|---|---|---|---|");
        for (step, _) in &self.rows {
            let [wall, cpu, server] =
                [|cost: &Cost| cost.wall, |cost: &Cost| cost.cpu, |cost: &Cost| cost.server]
                    .map(|of| self.median(step, of));
            println!("| {step} | {wall:.2} | {cpu:.2} | {server:.2} |");
        }
        for (step, by, most) in ratios {
            if let Some(ratio) = self.ratio(step, by) {
                println!("{step} / {by}: {ratio:.2} (at most {most} is wanted)");
            }
        }
    }
}
