//! Files: folders as they are.
//!
//! In: the policy's paths and excludes. Out: every entry below them with its metadata, and a
//! fingerprint of names and metadata; the same of what was restored. The paths of entries are the
//! absolute paths without the leading `/`. Knows no repository. Blocking.

mod capture;
mod content;
pub(crate) mod disk;
mod fingerprint;
pub(crate) mod owners;
mod probe;
mod recovered;
mod sums;
#[cfg(test)]
mod tests;
pub(crate) mod walk;

pub use sums::Sums;

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path};

use ignore::gitignore::{Gitignore, GitignoreBuilder};

use super::{Capture, Context, Error, Facts, Grants, Recovered, Sink, Source, Trouble};
use crate::ground::ids::Name;
use crate::policy::sources::FilesSettings;
use crate::sandbox::Scratch;

/// A source of kind `files`.
#[derive(Debug, Clone)]
pub struct Files {
    name: Name,
    settings: FilesSettings,
}

impl Files {
    /// The source called `name` in its policy.
    pub fn new(name: Name, settings: FilesSettings) -> Self {
        Self { name, settings }
    }

    /// What was restored to `data`, ready to be asked: files need no scratch beyond that folder.
    pub(crate) fn recovered(
        &self,
        capture: &Capture,
        data: &Path,
    ) -> Result<Box<dyn Recovered>, Trouble> {
        recovered::recover(self, capture, data)
    }

    fn excludes(&self) -> Result<Gitignore, Error> {
        let refused = |pattern: &str, source: ignore::Error| Error::Engine {
            object: format!("exclude {pattern:?}"),
            what: "is not a pattern in .gitignore's syntax".to_owned(),
            source: Some(Box::new(source)),
        };
        let mut builder = GitignoreBuilder::new("");
        for pattern in &self.settings.exclude {
            builder.add_line(None, pattern).map_err(|error| refused(pattern, error))?;
        }
        builder.build().map_err(|error| refused("", error))
    }
}

impl Source for Files {
    fn probe(&self, context: &Context) -> Result<Facts, Error> {
        probe::probe(self, context)
    }

    fn grants(&self) -> Grants {
        let folders = self.settings.paths.iter().map(|path| path.display().to_string());
        let read = "who runs lifeboat enters and reads every folder and reads every file below, or \
                    has the capability CAP_DAC_READ_SEARCH; what it cannot read is listed, and the \
                    backup ends with 3";
        Grants {
            client: "",
            needs: folders.clone().map(|path| format!("{path}: {read}")).collect(),
            statements: folders
                .flat_map(|path| {
                    let path = quoted(&path);
                    // The second is inherited by what is made later.
                    [
                        format!("setfacl -R -m u:USER:rX {path}"),
                        format!("setfacl -R -d -m u:USER:rX {path}"),
                    ]
                })
                .collect(),
        }
    }

    fn capture(&self, context: &Context, out: &dyn Sink) -> Result<Capture, Error> {
        capture::capture(self, context, out)
    }

    fn recover(
        &self,
        capture: &Capture,
        data: &Path,
        _: &Scratch,
    ) -> Result<Box<dyn Recovered>, Trouble> {
        self.recovered(capture, data)
    }
}

/// `path` as one word of a shell.
fn quoted(path: &str) -> String {
    format!("'{}'", path.replace('\'', r"'\''"))
}

/// The path of an entry: the absolute path without the leading `/`, empty for `/` itself.
fn entry_path(path: &Path) -> Result<Vec<u8>, Error> {
    let mut below = Vec::new();
    for part in path.components() {
        match part {
            Component::RootDir => {}
            Component::Normal(name) if path.is_absolute() => {
                if !below.is_empty() {
                    below.push(b'/');
                }
                below.extend_from_slice(name.as_bytes());
            }
            _ => {
                return Err(Error::Engine {
                    object: path.display().to_string(),
                    what: "is not an absolute path without '..'".to_owned(),
                    source: None,
                });
            }
        }
    }
    Ok(below)
}

/// What is left of an entry's path below the policy's path `base`; empty for that path itself.
fn relative<'a>(path: &'a [u8], base: &[u8]) -> &'a [u8] {
    let below = path.get(base.len()..).unwrap_or_default();
    below.strip_prefix(b"/").unwrap_or(below)
}
