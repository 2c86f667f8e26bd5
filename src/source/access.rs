//! How a program of the owner's, in a cage of its own, reaches what was recovered.

use std::path::PathBuf;

/// What such a program is shown of a source, and told. The names are ends of variables' names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// Seen by it, read-only. Nobody who is not trusted may replace it.
    pub folder: PathBuf,
    /// Places in that folder, empty for itself: `SOCKET`, `FOLDER`, `FILE`, `HOST`.
    pub paths: Vec<(&'static str, PathBuf)>,
    /// What else it must know: `USER`, `PORT`.
    pub words: Vec<(&'static str, String)>,
}
