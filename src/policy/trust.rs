//! Whose hands a configuration file is in: files name programs, so others must not write them.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::diagnostic::Diagnostic;

const WRITABLE_BY_OTHERS: u32 = 0o022;
const STICKY: u32 = 0o1000;

/// What a configuration path is, since a folder of others may be shared where a file may not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// A file, or the folder of policies or drills.
    Configuration,
    /// The folder the site file stands in: what lies in it is checked by itself, and in a sticky
    /// one (as `/tmp`) others cannot replace it.
    Folder,
}

/// Refuses what others than root or the caller (`uid`) own or may write.
pub(super) fn check(path: &Path, meta: &Metadata, part: Part, uid: u32) -> Option<Diagnostic> {
    let shown = path.display();
    if meta.uid() != 0 && meta.uid() != uid {
        return Some(Diagnostic::of_file(
            path,
            format!("owned by user {}, who is neither root nor you", meta.uid()),
            Some(format!("configuration names programs to run: chown {uid} {shown}")),
        ));
    }
    let shared = part == Part::Folder && meta.mode() & STICKY != 0;
    (meta.mode() & WRITABLE_BY_OTHERS != 0 && !shared).then(|| {
        Diagnostic::of_file(
            path,
            "others may write this",
            Some(format!("configuration names programs to run: chmod go-w {shown}")),
        )
    })
}
