//! What sources read: archives of `pg_dump`, findings of `pg_amcheck`, data sets of Redis, copies of
//! MariaDB's files, and the manifests of captures.

use lifeboat::check::{self, Outcome};
use lifeboat::ledger::canonical;
use lifeboat::policy;
use lifeboat::source::Kind;
use lifeboat::source::manifest::Manifest;
use lifeboat::source::mysql::xbstream::{Chunk, Chunks, Error};
use lifeboat::source::postgres::file_of;
use lifeboat::source::redis::rdb;
use serde_json::Value;

use super::bounded::bounded;
use super::postgres;

/// An archive whole, and cut where its first byte says.
pub fn archive(input: &[u8]) {
    let Some((cut, input)) = input.split_first() else { return };
    let whole = bounded(input, 64, || postgres::read([input]));
    let cut = usize::from(*cut) * input.len() / 256;
    let (begin, end) = input.split_at(cut);
    assert_eq!(bounded(input, 64, || postgres::read([begin, end])), whole);
    assert_eq!(postgres::read(input.chunks(7)), whole);
}

/// A database's name in the first line, and below it what `pg_amcheck` printed.
pub fn findings(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let (database, printed) = text.split_once('\n').unwrap_or(("", text));
    let places = bounded(input, 64, || postgres::places(printed, database));
    assert!(places.len() <= printed.lines().count());
    for place in &places {
        assert!(!place.object.is_empty());
    }
    // A value in quotes that no name precedes does not show.
    let told = bounded(input, 64, || postgres::without_values("value \"canary\" is wrong"));
    assert_eq!(told, "value \"…\" is wrong");
    bounded(input, 64, || postgres::without_values(text));
}

/// A data set of Redis, at once and by drops.
pub fn rdb(input: &[u8]) {
    let told =
        |read: Result<rdb::Contents, rdb::Damaged>| read.map_err(|damaged| damaged.to_string());
    let whole = bounded(input, 64, || told(rdb::read(&mut &*input)));
    assert_eq!(told(rdb::read(&mut Drops(input))), whole);
    if let Ok(contents) = &whole {
        assert_eq!(contents.bytes, input.len() as u64);
        let first = rdb::first(&mut &*input).expect("what was read is read again");
        assert!(first.is_none_or(|key| contents.parts.contains_key(&key.part())));
    }
}

/// A stream of `mariadb-backup`, at once and by drops.
pub fn xbstream(input: &[u8]) {
    let whole = bounded(input, 64, || chunks(input));
    assert_eq!(chunks(Drops(input)), whole);
    for chunk in whole.unwrap_or_default() {
        let (Chunk::Bytes { path, .. } | Chunk::End { path } | Chunk::Moved { path }) = chunk;
        let parts: Vec<&str> = path.split('/').collect();
        assert!(!parts.iter().any(|part| ["", ".", ".."].contains(part)), "{path}");
    }
}

/// All chunks of a stream, whose bytes are as many as they say.
fn chunks(input: impl std::io::Read) -> Result<Vec<Chunk>, String> {
    let told = |error: Error| error.to_string();
    let (mut chunks, mut found) = (Chunks::of(input), Vec::new());
    while let Some(chunk) = chunks.chunk().map_err(told)? {
        let (mut piece, mut count) = ([0; 100], 0);
        while let read @ 1.. = chunks.read(&mut piece).map_err(told)? {
            count += read as u64;
        }
        let length = if let Chunk::Bytes { length, .. } = chunk { length } else { 0 };
        assert_eq!(count, length);
        found.push(chunk);
    }
    Ok(found)
}

/// Gives three bytes at a time.
struct Drops<'a>(&'a [u8]);

impl std::io::Read for Drops<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let most = buffer.len().min(3);
        self.0.read(&mut buffer[..most])
    }
}

pub fn manifest(input: &[u8]) {
    let Ok(manifest) = bounded(input, 64, || serde_json::from_slice::<Manifest>(input)) else {
        return;
    };
    let again: Value = serde_json::to_value(&manifest).unwrap();
    if canonical::to_vec(&again).is_ok() {
        assert_eq!(serde_json::from_value::<Manifest>(again).unwrap(), manifest);
    }
    let _ = policy::schedules_of(&manifest.effective);
    for capture in &manifest.sources {
        for gap in capture.gaps() {
            let _ = gap.to_string();
        }
        for kind in [Kind::Files, Kind::Sqlite, Kind::Postgres, Kind::Redis, Kind::Command] {
            let same = check::compare(kind, &capture.fingerprint, &capture.fingerprint);
            assert!(!matches!(same, Outcome::Broke(_)), "a fingerprint differs from itself");
        }
        for database in capture.cluster.iter().flat_map(|cluster| &cluster.databases) {
            let file = file_of(&database.name);
            let name = file.strip_prefix("databases/").unwrap();
            assert!(!name.contains(['/', '\0']) && name.ends_with(".dump"), "{file:?}");
        }
    }
}
