//! A 1 GB pgbench database captured and drilled, beside PostgreSQL's own tools, in one run.
//!
//! `cargo bench --bench postgres [-- SCALE ROUNDS capture|drill]`. Every round does everything once, so that a
//! busy moment of the machine meets all alike; medians are shown. CPU is that of a command with
//! all it started, and beside it that of the source's server. Needs PostgreSQL 15 and bubblewrap.
//!
//! No capture goes without its fingerprint, so what one without it would take is put together: the
//! same dump streamed through the repository's own writer, and a capture of an empty database for
//! all that does not grow with the data.

#[path = "../tests/servers/mod.rs"]
mod servers;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, RwLock};
use std::time::Instant;

use lifeboat::ground::clock::SystemClock;
use lifeboat::repo::{Index, Repository};
use lifeboat::seal;
use lifeboat::source::postgres::fingerprint;
use lifeboat::store::Local;
use servers::postgres::{Server, bin};

const MAJOR: u32 = 15;
const DATABASE: &str = "bench";

/// The first question to what came back.
const QUESTION: &str = "SELECT count(*) FROM pgbench_branches";

/// As the scratch server of a drill is set, for the server that `pg_restore` fills.
const SCRATCH: [&str; 11] = [
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "wal_level=minimal",
    "max_wal_senders=0",
    "autovacuum=off",
    "checkpoint_timeout=1h",
    "max_wal_size=2GB",
    "shared_buffers=128MB",
    "maintenance_work_mem=128MB",
    "jit=off",
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut numbers = words.iter().filter_map(|word| word.parse().ok());
    let (scale, rounds): (u32, u32) = (numbers.next().unwrap_or(65), numbers.next().unwrap_or(5));
    // Without a word: both.
    let is_wanted = |part: &str, other: &str| {
        words.iter().any(|word| word == part) || words.iter().all(|word| word != other)
    };

    let source = Server::start_with(MAJOR, &["shared_buffers=256MB"]);
    source.run("createdb", &[DATABASE]);
    source.run("pgbench", &["-i", "-q", "-s", &scale.to_string(), DATABASE]);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let dump = folder.path().join("bench.dump");
    fs::write(&dump, source.run("pg_dump", &["-Fc", "-Z0", DATABASE])).expect("room for a dump");
    let socket = source.socket();
    let server = |database: &str| {
        format!(
            "kind = \"postgres\"\nhost = {socket:?}\nuser = \"postgres\"\ndatabases = [{database:?}]"
        )
    };

    let mut table = Table::default();
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        if is_wanted("capture", "drill") {
            let dumped = measure(&source, pg_dump(&source));
            table.note("pg_dump -Fc -Z0 to null", dumped);
            let files = Site::new(&format!("kind = \"files\"\npaths = [{dump:?}]"));
            let stored = measure(&source, files.lifeboat(&["backup", "bench"]));
            table.note("lifeboat backup of that dump", stored);
            table.note("both", dumped.and(stored));
            let capture = |database| {
                let site = Site::new(&server(database));
                measure(&source, site.lifeboat(&["backup", "bench"]))
            };
            table.note("lifeboat backup", capture(DATABASE));
            table.note("its fingerprint alone", fingerprinted(&source));
            let (streamed, empty) = (streamed(&source), capture("postgres"));
            table.note("the dump through lifeboat's writer", streamed);
            table.note("lifeboat backup of an empty database", empty);
            table.note("without the fingerprint", streamed.and(empty));
        }
        if is_wanted("drill", "capture") {
            let site = Site::new(&server(DATABASE));
            measure(&source, site.lifeboat(&["backup", "bench"]));
            table.note("pg_restore -j2", restored(&dump));
            table.note("lifeboat drill", site.drilled());
        }
    }
    table.print();
}

/// What one command cost, in seconds.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    wall: f64,
    /// Of the command and all it started.
    cpu: f64,
    /// Of the source's server.
    server: f64,
}

impl Cost {
    fn and(self, other: Self) -> Self {
        Self {
            wall: self.wall + other.wall,
            cpu: self.cpu + other.cpu,
            server: self.server + other.server,
        }
    }
}

/// Runs a command that must succeed.
fn measure(server: &Server, mut command: Command) -> Cost {
    settle();
    let (children, backends) = (own_children(), server_cpu(server.pid()));
    let begun = Instant::now();
    let output = command.output().expect("it starts");
    let wall = begun.elapsed().as_secs_f64();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    Cost { wall, cpu: own_children() - children, server: server_cpu(server.pid()) - backends }
}

/// What the step before left to be written goes to the disk now, not during the next one.
fn settle() {
    let synced = Command::new("sync").status().expect("sync");
    assert!(synced.success());
}

/// Seconds of CPU of this process's children that have ended: proc(5).
fn own_children() -> f64 {
    seconds("self", 13..15)
}

/// Seconds of CPU of a server, its backends, and those that have ended.
fn server_cpu(pid: u32) -> f64 {
    let path = format!("/proc/{pid}/task/{pid}/children");
    let backends = fs::read_to_string(path).unwrap_or_default();
    let running: f64 = backends.split_whitespace().map(|backend| seconds(backend, 11..13)).sum();
    running + seconds(&pid.to_string(), 11..15)
}

/// The sum of some of the times in `/proc/<process>/stat`, counted from the field after the name.
fn seconds(process: &str, fields: std::ops::Range<usize>) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let Some((_, rest)) = stat.rsplit_once(") ") else { return 0.0 };
    let all: Vec<&str> = rest.split_whitespace().collect();
    let ticks = all[fields].iter().map(|ticks| ticks.parse::<f64>().expect("a number"));
    ticks.sum::<f64>() / 100.0
}

/// A capture's way from `pg_dump` to durable packs and their index, without anything else.
fn streamed(server: &Server) -> Cost {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let store = Arc::new(Local::open(folder.path()).expect("a store"));
    let password = "secret".to_owned().into();
    let created = Repository::create(store, &password, seal::Cost::DEFAULT, &SystemClock);
    let repository = Arc::new(runtime.block_on(created).expect("a repository"));
    settle();
    let (own, backends) = (seconds("self", 11..15), server_cpu(server.pid()));
    let begun = Instant::now();
    let (index, clock) = (Arc::new(RwLock::new(Index::default())), Arc::new(SystemClock));
    let writer = repository.writer(index, runtime.handle().clone(), clock);
    let mut dump = pg_dump(server).stdout(Stdio::piped()).spawn().expect("it starts");
    let mut stream = dump.stdout.take().expect("a pipe");
    rustix::pipe::fcntl_setpipe_size(&stream, 1 << 20).expect("a pipe like a capture's");
    writer.store_content(&mut stream).expect("it is stored");
    assert!(dump.wait().expect("it ends").success());
    runtime.block_on(writer.finish()).expect("it is durable");
    Cost {
        wall: begun.elapsed().as_secs_f64(),
        cpu: seconds("self", 11..15) - own,
        server: server_cpu(server.pid()) - backends,
    }
}

fn pg_dump(server: &Server) -> Command {
    let mut command = Command::new(bin(MAJOR).join("pg_dump"));
    command.args(["-Fc", "-Z0", "-U", "postgres", "-h"]).arg(server.socket()).arg(DATABASE);
    command.stdout(Stdio::null());
    command
}

/// The fingerprint that a capture takes beside the dump, with nothing beside it.
fn fingerprinted(server: &Server) -> Cost {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let _inside = runtime.enter();
    settle();
    let backends = server_cpu(server.pid());
    let begun = Instant::now();
    let mut session = server.session(DATABASE);
    fingerprint(&mut session).expect("a fingerprint");
    let wall = begun.elapsed().as_secs_f64();
    Cost { wall, cpu: 0.0, server: server_cpu(server.pid()) - backends }
}

/// Restores into a server of its own that runs already, up to the first answer.
fn restored(dump: &Path) -> Cost {
    let server = Server::start_with(MAJOR, &SCRATCH);
    server.run("createdb", &[DATABASE]);
    let mut command = Command::new("sh");
    let socket = server.socket().display();
    let (bin, dump) = (bin(MAJOR).display().to_string(), dump.display());
    command.arg("-ec").arg(format!(
        "{bin}/pg_restore -j2 -e -U postgres -h {socket} -d {DATABASE} {dump}; \
         {bin}/psql -qAt -U postgres -h {socket} {DATABASE} -c '{QUESTION}'"
    ));
    measure(&server, command)
}

/// A site with one policy of one source and an empty store.
struct Site {
    folder: tempfile::TempDir,
}

impl Site {
    fn new(source: &str) -> Self {
        use std::os::unix::fs::PermissionsExt;

        let site = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let place = site.folder.path();
        for folder in ["policies", "store"] {
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
            (
                "policies/bench.toml",
                format!(
                    "customer = \"acme\"\nname = \"bench\"\n[[source]]\nname = \"data\"\n{source}\n"
                ),
            ),
        ];
        for (name, text) in files {
            let path: PathBuf = place.join(name);
            fs::write(&path, text).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("our file");
        }
        site
    }

    fn lifeboat(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command.args(arguments).arg("--config").arg(self.folder.path().join("lifeboat.toml"));
        command.args(["--json", "--no-progress"]).stdin(Stdio::null());
        command
    }

    /// A drill that must pass: its wall is the time to the first answer, as it is recorded.
    fn drilled(&self) -> Cost {
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
struct Table {
    rows: Vec<(&'static str, Vec<Cost>)>,
}

impl Table {
    fn note(&mut self, step: &'static str, cost: Cost) {
        match self.rows.iter_mut().find(|(name, _)| *name == step) {
            Some((_, costs)) => costs.push(cost),
            None => self.rows.push((step, vec![cost])),
        }
    }

    fn median(&self, step: &str, of: impl Fn(&Cost) -> f64) -> f64 {
        let row = self.rows.iter().find(|(name, _)| *name == step);
        let mut all: Vec<f64> = row.expect("a step").1.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all[all.len() / 2]
    }

    /// The median of a step's wall in each round divided by another's in the same round; none where
    /// they were not measured.
    fn ratio(&self, step: &str, by: &str) -> Option<f64> {
        let costs = |name: &str| self.rows.iter().find(|(step, _)| *step == name);
        let (one, other) = (&costs(step)?.1, &costs(by)?.1);
        let mut all: Vec<f64> =
            one.iter().zip(other).map(|(one, other)| one.wall / other.wall).collect();
        all.sort_by(f64::total_cmp);
        Some(all[all.len() / 2])
    }

    fn print(&self) {
        println!("| | wall s | CPU s | server CPU s |\n|---|---|---|---|");
        for (step, _) in &self.rows {
            let [wall, cpu, server] =
                [|cost: &Cost| cost.wall, |cost: &Cost| cost.cpu, |cost: &Cost| cost.server]
                    .map(|of| self.median(step, of));
            println!("| {step} | {wall:.2} | {cpu:.2} | {server:.2} |");
        }
        for (step, by, most) in
            [("without the fingerprint", "both", 1.15), ("lifeboat drill", "pg_restore -j2", 1.2)]
        {
            if let Some(ratio) = self.ratio(step, by) {
                println!("{step} / {by}: {ratio:.2} (at most {most} is wanted)");
            }
        }
    }
}
