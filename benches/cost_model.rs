//! The least work that restic's format demands for a first backup, and nothing else: how far lifeboat
//! is from its limit is one number.
//!
//! `cargo bench --bench cost_model -- FOLDER [THREADS]` prints the seconds it took, those of one key
//! derivation beside them, and the bytes it stored. Source: the measurement of 22 November 2026, docs/performance.md.

#[path = "peers/model.rs"]
mod model;

use std::path::Path;
use std::time::Instant;

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let [folder, rest @ ..] = words.as_slice() else {
        println!("cost_model FOLDER [THREADS]: the folder is read, what is stored is thrown away");
        return;
    };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = rest.first().and_then(|word| word.parse().ok()).unwrap_or(cores);
    let store = tempfile::tempdir().expect("a temporary folder");
    let begun = Instant::now();
    let stored = model::first_backup(Path::new(folder), store.path(), threads);
    let seconds = begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    model::derive_key();
    let key_seconds = begun.elapsed().as_secs_f64();
    println!(
        "{seconds:.2} s, {stored} bytes stored by {threads} threads; a key {key_seconds:.2} s"
    );
}
