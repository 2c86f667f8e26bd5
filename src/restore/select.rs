//! Which entries of a snapshot are wanted.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::Error;
use crate::ground::ids::Name;

/// What is selected of a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Select {
    Everything,
    /// One source's folder.
    Source(Name),
    /// One file, by its whole path in the snapshot without a leading `/`.
    File(String),
    /// What matches any of these, in .gitignore's syntax, and all below it. Matched against the
    /// path in the snapshot and against the path in a source's folder.
    Patterns(Vec<String>),
}

/// What a [`Selection`] says of one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    Yes,
    /// Not by itself, but what is below may be.
    Below,
    No,
}

/// A [`Select`] ready for matching.
pub(super) enum Selection {
    Everything,
    Source(Vec<u8>),
    File(Vec<u8>),
    Patterns(Gitignore),
}

impl Selection {
    pub(super) fn new(select: &Select) -> Result<Self, Error> {
        Ok(match select {
            Select::Everything => Self::Everything,
            Select::Source(name) => Self::Source(name.as_str().as_bytes().to_vec()),
            Select::File(path) => Self::File(path.as_bytes().to_vec()),
            Select::Patterns(patterns) => Self::Patterns(compile(patterns)?),
        })
    }

    /// `path` is relative to the snapshot's root and holds validated names only.
    pub(super) fn wants(&self, path: &[u8], is_dir: bool) -> Wanted {
        match self {
            Self::Everything => Wanted::Yes,
            Self::Source(name) => {
                let first = path.split(|byte| *byte == b'/').next();
                if first == Some(name.as_slice()) { Wanted::Yes } else { Wanted::No }
            }
            Self::File(file) => match file.strip_prefix(path) {
                Some([]) => Wanted::Yes,
                Some([b'/', ..]) if is_dir => Wanted::Below,
                _ => Wanted::No,
            },
            Self::Patterns(patterns) => {
                let matches = |path: &[u8]| {
                    let path = Path::new(OsStr::from_bytes(path));
                    patterns.matched_path_or_any_parents(path, is_dir).is_ignore()
                };
                let slash = path.iter().position(|byte| *byte == b'/');
                if matches(path) || slash.is_some_and(|slash| matches(&path[slash + 1..])) {
                    Wanted::Yes
                } else if is_dir {
                    Wanted::Below
                } else {
                    Wanted::No
                }
            }
        }
    }
}

fn compile(patterns: &[String]) -> Result<Gitignore, Error> {
    let refused = |pattern: &str, source| Error::Pattern { pattern: pattern.to_owned(), source };
    let mut builder = GitignoreBuilder::new("");
    for pattern in patterns {
        builder.add_line(None, pattern).map_err(|source| refused(pattern, source))?;
    }
    builder.build().map_err(|source| refused(&patterns.join(" "), source))
}
