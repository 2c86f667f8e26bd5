//! The dump held against the server: what proves that it is of the fingerprint's moment and whole.

use std::collections::BTreeMap;

use super::super::{Error, Part};
use super::dump;
use super::fingerprint;
use super::server::Moment;
use super::tables::Table;
use super::text::Contents;

/// Fails unless the dump is of this very moment and has all tables, and all rows of those that the
/// moment holds still. Returns where the dump says that the counters stand.
pub(super) fn whole(
    moment: &Moment,
    tables: &[Table],
    parts: &BTreeMap<String, Part>,
    contents: &Contents,
) -> Result<BTreeMap<String, Part>, Error> {
    let wrong = |what: String| Error::Engine {
        object: "the dump".to_owned(),
        what,
        source: Some(Box::new(dump::Error::Unlike)),
    };
    if contents.binlog != moment.binlog {
        let told = |binlog: &Option<String>| binlog.clone().unwrap_or_else(|| "nowhere".to_owned());
        let (dumped, seen) = (told(&contents.binlog), told(&moment.binlog));
        return Err(wrong(format!(
            "it is of another moment ({dumped}) than the fingerprint ({seen})"
        )));
    }
    for table in tables {
        let name = table.part_name();
        let Some(dumped) = contents.rows.get(&name) else {
            return Err(wrong(format!("it lacks {name}")));
        };
        match parts.get(&name) {
            Some(part) if part.rows != *dumped => {
                let rows = part.rows;
                return Err(wrong(format!("it has {dumped} rows of {name}, the server {rows}")));
            }
            _ => {}
        }
    }
    if contents.rows.len() != tables.len() {
        return Err(wrong("it has tables that the server does not know".to_owned()));
    }
    let counters = contents.counters.iter();
    Ok(counters.map(|(name, value)| (name.clone(), fingerprint::counter(value))).collect())
}
