//! A 1 GB pgbench database captured and drilled, beside PostgreSQL's own tools, in one run.
//!
//! `cargo bench --bench postgres [-- SCALE ROUNDS capture|drill]`. Every round does everything once, so that a
//! busy moment of the machine meets all alike; medians are shown. CPU is that of a command with
//! all it started, and beside it that of the source's server. Needs PostgreSQL 15 and bubblewrap.
//!
//! No capture goes without its fingerprint, so what one without it would take is put together: the
//! same dump streamed through the repository's own writer, and a capture of an empty database for
//! all that does not grow with the data.

mod engine;
#[path = "../tests/servers/mod.rs"]
mod servers;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use engine::{Cost, Site, Table, measure, server_cpu, settle};
use lifeboat::source::postgres::fingerprint;
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
            let dumped = measure(source.pid(), pg_dump(&source));
            table.note("pg_dump -Fc -Z0 to null", dumped);
            let files = Site::new(&format!("kind = \"files\"\npaths = [{dump:?}]"));
            let stored = measure(source.pid(), files.lifeboat(&["backup", "bench"]));
            table.note("lifeboat backup of that dump", stored);
            table.note("both", dumped.and(stored));
            let capture = |database| {
                let site = Site::new(&server(database));
                measure(source.pid(), site.lifeboat(&["backup", "bench"]))
            };
            table.note("lifeboat backup", capture(DATABASE));
            table.note("its fingerprint alone", fingerprinted(&source));
            let (streamed, empty) =
                (engine::streamed(source.pid(), pg_dump(&source)), capture("postgres"));
            table.note("the dump through lifeboat's writer", streamed);
            table.note("lifeboat backup of an empty database", empty);
            table.note("without the fingerprint", streamed.and(empty));
        }
        if is_wanted("drill", "capture") {
            let site = Site::new(&server(DATABASE));
            measure(source.pid(), site.lifeboat(&["backup", "bench"]));
            table.note("pg_restore -j2", restored(&dump));
            table.note("lifeboat drill", site.drilled());
        }
    }
    table.print(&[
        ("without the fingerprint", "both", 1.15),
        ("lifeboat drill", "pg_restore -j2", 1.2),
    ]);
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
    measure(server.pid(), command)
}
