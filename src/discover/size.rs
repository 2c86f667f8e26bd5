//! How large a folder is.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

/// So many entries are counted: a size is for people, who do not wait for it.
const MOST_ENTRIES: u32 = 200_000;

/// The bytes of what lies in a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Size {
    pub bytes: u64,
    /// Whether more was there than was counted.
    pub is_more: bool,
}

/// The sizes of all files at and below `path`; what cannot be read counts nothing.
pub(super) fn of(path: &Path) -> Size {
    let mut size = Size { bytes: 0, is_more: false };
    let (mut entries, mut waiting): (u32, Vec<PathBuf>) = (0, vec![path.to_owned()]);
    while let Some(path) = waiting.pop() {
        let Ok(meta) = path.symlink_metadata() else { continue };
        entries += 1;
        if entries > MOST_ENTRIES {
            size.is_more = true;
            break;
        }
        if meta.is_dir() {
            let listed = fs::read_dir(&path).into_iter().flatten().flatten();
            waiting.extend(listed.map(|entry| entry.path()));
        } else if meta.is_file() {
            size.bytes += meta.len();
        }
    }
    size
}
