//! Segments and volumes kept on this host: they never change in the bucket, so a run need not fetch them again.
//!
//! In: sealed segments of a ledger that held together. Out: the same bytes, and no promise: whoever
//! reads holds them against the chain as if they came from the bucket. Blocking.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;

/// Sealed segments by their first record, one file each.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    folder: PathBuf,
}

impl Kept {
    pub fn below(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    /// The place beside them for volumes.
    pub fn volumes(&self) -> Self {
        Self { folder: self.folder.join("volumes") }
    }

    /// Those of `wanted`, by first record and sealed size, that are here at that size.
    pub fn get(&self, wanted: &[(u64, u64)]) -> BTreeMap<u64, Bytes> {
        let here = wanted.iter().filter_map(|(first, size)| {
            let sealed = fs::read(self.file(*first)).ok()?;
            (sealed.len() as u64 == *size).then(|| (*first, sealed.into()))
        });
        here.collect()
    }

    /// Keeps `segments`. What cannot be kept is fetched again the next time.
    pub fn put(&self, segments: &[(u64, Bytes)]) {
        if segments.is_empty() {
            return;
        }
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        let put = made.and_then(|()| segments.iter().try_for_each(|one| self.put_one(one)));
        if let Err(error) = put {
            tracing::debug!(folder = %self.folder.display(), %error, "segments are not kept");
        }
    }

    /// Removes those that begin before record `first`. What cannot be removed only takes room.
    pub fn remove_before(&self, first: u64) {
        for entry in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            let number = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            if number.is_some_and(|number| number < first)
                && let Err(error) = fs::remove_file(entry.path())
            {
                tracing::debug!(file = %entry.path().display(), %error, "a segment stays kept");
            }
        }
    }

    fn put_one(&self, (first, sealed): &(u64, Bytes)) -> io::Result<()> {
        // Several processes may keep the same one; each has a name of its own until it is whole.
        let beside = tempfile::NamedTempFile::new_in(&self.folder)?;
        fs::write(beside.path(), sealed)?;
        beside.persist(self.file(*first)).map(drop).map_err(|error| error.error)
    }

    fn file(&self, first: u64) -> PathBuf {
        self.folder.join(format!("{first:020}"))
    }
}
