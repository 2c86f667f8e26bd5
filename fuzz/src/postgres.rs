//! The parsers of archives and of `pg_amcheck`'s findings, compiled here as they are: they are their
//! room's own, and nobody else may use them.

use lifeboat::source::Place;
use lifeboat::source::postgres::names::readable;

#[path = "../../src/source/postgres/archive/mod.rs"]
#[allow(dead_code, unused_imports, reason = "one table out of an archive is not what is fuzzed")]
mod archive;
#[path = "../../src/source/postgres/recover/findings.rs"]
mod findings;
#[path = "../../src/source/postgres/recover/values.rs"]
mod values;

/// What `pg_amcheck` found in `database`, by what it `printed`.
pub fn places(printed: &str, database: &str) -> Vec<Place> {
    findings::places(printed, database)
}

/// `message` without the values in it.
pub fn without_values(message: &str) -> String {
    values::without_values(message)
}

/// As the room has it, without what asks servers.
mod sequences {
    #[derive(Debug, Clone, PartialEq, Eq)]
    pub struct SequenceValue {
        pub last: i64,
        pub is_called: bool,
    }
}

/// What an archive holds, or how it is damaged, told.
pub fn read<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<String, String> {
    let mut archive = archive::Archive::default();
    let fed = pieces.into_iter().try_for_each(|piece| archive.feed(piece));
    let read = fed.and_then(|()| archive.finish());
    read.map(|contents| format!("{contents:?}")).map_err(|damaged| damaged.to_string())
}
