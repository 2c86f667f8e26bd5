//! A private folder with an owner: whoever holds its token file locked.

use std::path::{Path, PathBuf};

/// A scratch environment's folder.
#[derive(Debug)]
pub struct Scratch {
    dir: PathBuf,
}

impl Scratch {
    /// Where restored data and engines' files go.
    pub fn dir(&self) -> &Path {
        &self.dir
    }
}
