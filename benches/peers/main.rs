//! lifeboat beside restic, rustic, borg, bupstash and `tar | zstd`, on the same seeded workloads.
//!
//! `cargo bench --bench peers [-- MEGABYTES ROUNDS WORD…]`; words pick workloads (media, small, dump,
//! pages), steps, tools, `s3` for a bucket on a local SeaweedFS instead of a folder, and `fresh` to do
//! all that follows a first backup as on a host that has nothing but passwords and keys. Every round
//! does everything once with a repository of its own, so that a busy moment of the machine meets all
//! alike, and in another order, so that what a tool leaves the disk to do does not always meet the same one;
//! before each step the files are read once, so that none finds them out of the cache.
//! Medians are shown, and as a ratio the median of the rounds' ratios to restic. What is
//! restored is compared with what was backed up. A tool that is not on this machine is left out.

mod bucket;
mod measure;
mod model;
#[path = "../../tests/seaweed/mod.rs"]
mod seaweed;
mod table;
mod tool;
mod workload;

use std::path::Path;
use std::time::Duration;

use bucket::Server;
use table::Table;
use tool::{Bench, Step, Tool};
use workload::Workload;

/// What was changed later than this before a backup is read again by lifeboat, and by nobody else.
const REST: Duration = Duration::from_secs(3);

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    if let [mode, source, store] = words.as_slice()
        && mode.starts_with("--cost-model")
    {
        if mode == "--cost-model-with-key" {
            model::derive_key();
        }
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        model::first_backup(Path::new(source), Path::new(store), cores);
        return;
    }
    let mut numbers = words.iter().filter_map(|word| word.parse().ok());
    let megabytes = numbers.next().unwrap_or(400);
    let rounds = numbers.next().unwrap_or(5);
    let server = words.iter().any(|word| word == "s3").then(Server::start);
    for workload in picked(&words, &Workload::ALL, |workload| workload.name()) {
        let folder = tempfile::Builder::new().prefix("peers-").tempdir().expect("a folder");
        let source = folder.path().join("source");
        workload.make(&source, megabytes);
        let mut table = Table::default();
        for round in 1..=rounds {
            eprintln!("{}: round {round} of {rounds}", workload.name());
            std::thread::sleep(REST);
            one_round(
                workload,
                megabytes,
                round,
                folder.path(),
                server.as_ref(),
                &words,
                &mut table,
            );
        }
        let host = if is_fresh(&words) { ", fresh hosts" } else { "" };
        println!("\n## {} ({megabytes} MB), {rounds} rounds{host}\n", workload.name());
        table.print(server.is_some());
    }
}

fn one_round(
    workload: Workload,
    megabytes: u64,
    round: u64,
    folder: &Path,
    server: Option<&Server>,
    words: &[String],
    table: &mut Table,
) {
    let source = folder.join("source");
    let tools = picked(words, &Tool::ALL, |tool| tool.name().split(' ').next().unwrap_or_default());
    let buckets: Vec<_> = tools
        .iter()
        .map(|tool| {
            let name = tool.name().split(' ').next().unwrap_or_default();
            server.map(|server| server.bucket(&format!("{}-{name}-{round}", workload.name())))
        })
        .collect();
    let mut benches: Vec<_> = tools
        .iter()
        .zip(&buckets)
        .filter(|(tool, _)| tool.does(Step::First, server.is_some()))
        .map(|(tool, bucket)| {
            let name = tool.name().replace(" | ", "-");
            Bench {
                tool: *tool,
                source: &source,
                place: folder.join(name),
                bucket: bucket.as_ref(),
            }
        })
        .collect();
    benches.iter().for_each(Bench::prepare);
    workload::shuffle(&mut benches, round);
    let steps = [
        ("init", Step::Init),
        ("first", Step::First),
        ("unchanged", Step::Unchanged),
        ("changed", Step::Changed),
        ("restore", Step::Restore),
        ("verify", Step::Verify),
    ];
    // Repositories need what comes before.
    let last = steps.iter().rposition(|(name, _)| words.iter().any(|word| word == name));
    for (name, step) in steps.into_iter().take(last.map_or(steps.len(), |last| last + 1)) {
        if step == Step::Changed {
            workload.change(&source, megabytes, round);
            std::thread::sleep(REST);
        }
        for bench in benches.iter().filter(|bench| bench.tool.does(step, server.is_some())) {
            if is_fresh(words) && !matches!(step, Step::Init | Step::First) {
                bench.move_to_a_fresh_host();
            }
            read_through(&source);
            table.note(name, bench.tool, bench.run(step));
        }
        if step == Step::First {
            table.sum("init + first", "init", "first");
        }
    }
    for bench in &benches {
        std::fs::remove_dir_all(&bench.place).expect("our folder");
    }
}

/// Brings the files into the page cache, from which borg puts what it has read: whoever came after it
/// would wait for the disk in its place.
fn read_through(folder: &Path) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        match path.is_dir() {
            true => read_through(&path),
            false => drop(std::io::copy(
                &mut std::fs::File::open(&path).expect("a file"),
                &mut std::io::sink(),
            )),
        }
    }
}

fn is_fresh(words: &[String]) -> bool {
    words.iter().any(|word| word == "fresh")
}

/// Those of `all` that a word names; all, where none does.
fn picked<T: Copy>(words: &[String], all: &[T], name: impl Fn(T) -> &'static str) -> Vec<T> {
    let named: Vec<T> =
        all.iter().copied().filter(|one| words.iter().any(|word| word == name(*one))).collect();
    if named.is_empty() { all.to_vec() } else { named }
}
