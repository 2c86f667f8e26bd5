//! What sources read: archives of `pg_dump`, and the manifests of captures.

use lifeboat::check::{self, Outcome};
use lifeboat::ledger::canonical;
use lifeboat::policy;
use lifeboat::source::Kind;
use lifeboat::source::manifest::Manifest;
use lifeboat::source::postgres::file_of;
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
        for kind in [Kind::Files, Kind::Sqlite, Kind::Postgres] {
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
