//! What must be true of every decoder, whatever bytes it gets.
//!
//! In: bytes. Out: nothing, or a panic, which is a finding. Nobody's bytes make a decoder panic, take
//! memory or time out of proportion, or be written again as something else. `tests/decoders.rs`
//! calls the same functions with the seeds.

mod bounded;
mod ledger;
mod pictures;
mod policy;
mod postgres;
mod repository;
mod restore;
mod source;
mod sqlite;
mod state;

pub use bounded::bounded;

/// Every target with what it checks.
pub const TARGETS: [(&str, fn(&[u8])); 27] = [
    ("archive", source::archive),
    ("blob", repository::blob),
    ("checkpoint", ledger::checkpoint),
    ("config", repository::config),
    ("details", ledger::details),
    ("file", repository::file),
    ("findings", source::findings),
    ("index", repository::index),
    ("key_file", repository::key_file),
    ("lock", repository::lock),
    ("manifest", source::manifest),
    ("outbox", ledger::outbox),
    ("pack_header", repository::pack_header),
    ("picture", pictures::picture),
    ("rdb", source::rdb),
    ("record", ledger::record),
    ("reply", sqlite::reply),
    ("restore", restore::restore),
    ("schedule", policy::schedule),
    ("sealed", repository::sealed),
    ("segment", ledger::segment),
    ("site", policy::site),
    ("snapshot", repository::snapshot),
    ("state", state::state),
    ("texts", policy::texts),
    ("tree", repository::tree),
    ("xbstream", source::xbstream),
];

/// Checks `input` as the target `name` does.
pub fn check(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|(target, _)| *target == name);
    let (_, check) = target.unwrap_or_else(|| panic!("there is no target {name}"));
    check(input);
}

/// Parts of an input that stands for several: a byte that no UTF-8 has keeps them apart.
fn parts(input: &[u8]) -> impl Iterator<Item = &[u8]> {
    input.split(|byte| *byte == 0xff)
}

/// A runtime of this process, for what is asynchronous.
fn runtime() -> &'static tokio::runtime::Runtime {
    static RUNTIME: std::sync::OnceLock<tokio::runtime::Runtime> = std::sync::OnceLock::new();
    RUNTIME.get_or_init(|| {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(1).enable_all().build().expect("a runtime can be made")
    })
}
