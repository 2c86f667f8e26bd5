//! A shop captured and drilled, beside MariaDB's or MySQL's own tools, in one run.
//!
//! `cargo bench --bench mariadb [-- MILLIONS ROUNDS mysql]`: so many times 2^20 orders. Every round does
//! everything once, so that a busy moment of the machine meets all alike; medians are shown. Each capture's
//! site is new; then the same again, and again with 1 % more orders, as to what that adds. How long a
//! writer is held is told by one that inserts, without a pause, rows of a table of its own while dumps and captures run.
//!
//! No capture goes without its fingerprint, so what one without it would take is put together: the
//! same dump streamed through the repository's own writer, and a capture of an empty database for
//! all that does not grow with the data.

mod engine;
#[path = "../tests/servers/mod.rs"]
mod servers;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use engine::{Cost, Site, Table, measure};
use servers::mariadb::{ADMINISTRATOR, Product, Server};

/// As the scratch server of a drill is set, for the server that the client fills.
const SCRATCH: [&str; 5] = [
    "--skip-log-bin",
    "--innodb-buffer-pool-size=256M",
    "--innodb-log-buffer-size=64M",
    "--innodb-flush-log-at-trx-commit=0",
    "--innodb-stats-persistent=0",
];

/// The size of the redo log that a drill's server would have for the shop.
const REDO_LOG: [&str; 2] = ["--innodb-log-file-size=256M", "--innodb-redo-log-capacity=256M"];

/// The first question to what came back.
const QUESTION: &str = "SELECT COUNT(*) FROM shop.customers";

const DOUBLED: &str = "INSERT INTO orders (customer, cents, placed, note)
    SELECT FLOOR(RAND() * 100000), FLOOR(RAND() * 100000), NOW() - INTERVAL FLOOR(RAND() * 1e7) SECOND,
      MD5(RAND()) FROM orders";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let mut numbers = words.iter().filter_map(|word| word.parse().ok());
    let (millions, rounds): (u32, u32) = (numbers.next().unwrap_or(3), numbers.next().unwrap_or(3));
    let (product, redo_log) = match words.iter().any(|word| word == "mysql") {
        true => (Product::Mysql, REDO_LOG[1]),
        false => (Product::Mariadb, REDO_LOG[0]),
    };
    let source = shop(product, millions);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("shop.sql");
    let dumped = dump(product, &source).stdout(fs::File::create(&file).expect("a file")).status();
    assert!(dumped.expect("it starts").success());
    let size = fs::metadata(&file).expect("the dump").len();
    println!("{product:?}, {} orders, a dump of {} MB", millions << 20, size / 1_000_000);

    let (mut table, mut pauses) = (Table::default(), Pauses::default());
    for round in 1..=rounds {
        eprintln!("round {round} of {rounds}");
        let writer = Writer::start(&source);
        let plain = measure(source.pid(), quiet(dump(product, &source)));
        pauses.note("the dump to null", writer.longest());
        table.note("dump to null", plain);
        let files = Site::new(&format!("kind = \"files\"\npaths = [{file:?}]"));
        let stored = measure(source.pid(), files.lifeboat(&["backup", "bench"]));
        table.note("lifeboat backup of that dump", stored);
        table.note("both", plain.and(stored));

        let site = site_of(product, &source, "shop");
        let writer = Writer::start(&source);
        let captured = measure(source.pid(), site.lifeboat(&["backup", "bench"]));
        pauses.note("lifeboat backup", writer.longest());
        table.note("lifeboat backup", captured);
        let empty = site_of(product, &source, "empty");
        let empty = measure(source.pid(), empty.lifeboat(&["backup", "bench"]));
        table.note("lifeboat backup of an empty database", empty);
        let streamed = engine::streamed(source.pid(), dump(product, &source));
        table.note("the dump through lifeboat's writer", streamed);
        table.note("without the fingerprint", streamed.and(empty));

        table.note("the client and the dump", restored(product, redo_log, &file));
        table.note("lifeboat drill", site.drilled());
    }
    table.print(&[
        ("without the fingerprint", "both", 1.15),
        ("lifeboat drill", "the client and the dump", 1.2),
    ]);
    pauses.print();
    growth(&site_of(product, &source, "shop"), &source, millions);
}

/// A server with so many times 2^20 orders, a table for the writer and an empty database.
fn shop(product: Product, millions: u32) -> Server {
    let source = Server::start_with(product, &["--log-bin=bin", "--innodb-buffer-pool-size=512M"]);
    source.sql(&format!(
        "CREATE DATABASE empty; CREATE DATABASE shop; USE shop;
         CREATE TABLE customers (id INT PRIMARY KEY); INSERT INTO customers VALUES (1);
         CREATE TABLE probe (id INT PRIMARY KEY AUTO_INCREMENT, n INT);
         CREATE TABLE first (id INT PRIMARY KEY AUTO_INCREMENT, customer INT, cents INT,
           placed DATETIME, note VARCHAR(64), KEY by_customer (customer));
         CREATE TABLE orders LIKE first; INSERT INTO orders (cents) VALUES (1); {}",
        format!("{DOUBLED};").repeat(20)
    ));
    let more = "INSERT INTO first (customer, cents, placed, note)
                SELECT customer, cents, placed, MD5(RAND()) FROM orders LIMIT 1048576;";
    source.sql(&format!(
        "USE shop; {} INSERT INTO orders (customer, cents, placed, note)
         SELECT customer, cents, placed, note FROM first; DROP TABLE first;",
        more.repeat(millions.saturating_sub(1) as usize)
    ));
    source
}

fn site_of(product: Product, server: &Server, database: &str) -> Site {
    let kind = format!("{product:?}").to_lowercase();
    let socket = server.socket();
    Site::new(&format!(
        "kind = {kind:?}\nhost = {socket:?}\nuser = {ADMINISTRATOR:?}\ndatabases = [{database:?}]"
    ))
}

/// The dumping program as anybody would run it for one moment of a whole database.
fn dump(product: Product, server: &Server) -> Command {
    let program = match product {
        Product::Mariadb => "bin/mariadb-dump",
        Product::Mysql => "bin/mysqldump",
    };
    let mut dump = Command::new(product.root().join(program));
    dump.args(["--no-defaults", "--single-transaction", "--quick", "--routines", "--events"]);
    dump.args(["--user", ADMINISTRATOR, "--databases", "shop"]);
    dump.arg(format!("--socket={}", server.socket().display()));
    dump
}

fn quiet(mut command: Command) -> Command {
    command.stdout(Stdio::null());
    command
}

/// Restores into a server of its own that runs already, up to the first answer.
fn restored(product: Product, redo_log: &str, dump: &Path) -> Cost {
    let server = Server::start_with(product, &[&SCRATCH[..], &[redo_log]].concat());
    let client = server.client(ADMINISTRATOR);
    let words: Vec<String> = [client.get_program()]
        .into_iter()
        .chain(client.get_args())
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let (client, dump) = (words.join(" "), dump.display());
    let mut command = Command::new("sh");
    command.arg("-ec").arg(format!("{client} < {dump}; {client} -e '{QUESTION}'"));
    measure(server.pid(), command)
}

/// Inserts one row after the other until it is asked for its longest wait.
struct Writer {
    client: Child,
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<Duration>,
}

impl Writer {
    fn start(server: &Server) -> Self {
        let mut client = server.client(ADMINISTRATOR);
        let mut client = client.arg("--unbuffered").spawn().expect("a client");
        let (mut pipe, answers) =
            (client.stdin.take().expect("a pipe"), client.stdout.take().expect("a pipe"));
        let is_over = Arc::new(AtomicBool::new(false));
        let asked = is_over.clone();
        let thread = std::thread::spawn(move || {
            let mut answers = BufReader::new(answers).lines();
            let mut longest = Duration::ZERO;
            while !asked.load(Ordering::Relaxed) {
                let begun = Instant::now();
                pipe.write_all(b"INSERT INTO shop.probe (n) VALUES (1); SELECT 1;\n")
                    .expect("sent");
                answers.next().expect("an answer").expect("text");
                longest = longest.max(begun.elapsed());
            }
            longest
        });
        Self { client, is_over, thread }
    }

    fn longest(mut self) -> Duration {
        self.is_over.store(true, Ordering::Relaxed);
        let longest = self.thread.join().expect("the writer");
        self.client.wait().expect("the client");
        longest
    }
}

/// The longest pauses of the writer, by what ran beside it.
#[derive(Default)]
struct Pauses {
    rows: Vec<(&'static str, Vec<Duration>)>,
}

impl Pauses {
    fn note(&mut self, beside: &'static str, pause: Duration) {
        match self.rows.iter_mut().find(|(name, _)| *name == beside) {
            Some((_, pauses)) => pauses.push(pause),
            None => self.rows.push((beside, vec![pause])),
        }
    }

    fn print(&mut self) {
        for (beside, pauses) in &mut self.rows {
            pauses.sort();
            let (median, most) = (pauses[pauses.len() / 2], pauses.last().expect("one"));
            println!("a writer's longest pause beside {beside}: {median:.0?} (most {most:.0?})");
        }
    }
}

/// What unchanged data adds to the bucket, and 1 % more orders do.
fn growth(site: &Site, source: &Server, millions: u32) {
    let stored = || {
        let output = site.lifeboat(&["backup", "bench"]).output().expect("it starts");
        let answer: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
        answer["stored_bytes"].as_f64().expect("a size")
    };
    let first = stored();
    let again = stored();
    let more = (millions << 20) / 100;
    source.sql(&format!("USE shop; {DOUBLED} LIMIT {more}"));
    let appended = stored();
    println!(
        "unchanged adds {:.2} % of the first backup (at most 1 is wanted)",
        again / first * 100.0
    );
    println!("1 % more rows add {:.2} % (at most 3 are wanted)", appended / first * 100.0);
}
