//! Looking ahead: is every path there and readable, and about how much is it?

use std::io;
use std::path::Path;

use ignore::gitignore::Gitignore;
use rustix::fs::FileType;

use super::super::{Context, Error, Facts};
use super::capture::{as_os, cannot, shown};
use super::walk::{Found, Next, Visit, walk};
use super::{Files, disk, entry_path, relative};

/// So many entries are looked at; the size is then a lower bound.
const ENOUGH: u64 = 200_000;
/// So many unreadable items are named.
const NAMED: usize = 5;

pub(super) fn probe(files: &Files, context: &Context) -> Result<Facts, Error> {
    let excludes = files.excludes()?;
    let mut looking = Looking {
        context,
        excludes: &excludes,
        base: Vec::new(),
        device: None,
        one_file_system: files.settings.one_file_system,
        entries: 0,
        bytes: 0,
        unreadable: Vec::new(),
    };
    for path in &files.settings.paths {
        looking.base = entry_path(path)?;
        let stat =
            std::fs::symlink_metadata(path).map_err(|source| cannot("read", path, source))?;
        if stat.is_dir() {
            let dir = disk::open_path(path).map_err(|source| cannot("list", path, source))?;
            let found = rustix::fs::fstat(&dir).map_err(|error| cannot("read", path, error.into()));
            looking.device = Some(found?.st_dev);
            let base = looking.base.clone();
            walk(dir, base, &mut looking)?;
        } else {
            std::fs::File::open(path).map_err(|source| cannot("read", path, source))?;
            looking.bytes += stat.len();
        }
    }
    Ok(Facts { engine: String::new(), scratch_bytes: looking.bytes, warnings: looking.warnings() })
}

struct Looking<'a> {
    context: &'a Context,
    excludes: &'a Gitignore,
    base: Vec<u8>,
    device: Option<u64>,
    one_file_system: bool,
    entries: u64,
    bytes: u64,
    unreadable: Vec<String>,
}

impl Looking<'_> {
    fn warnings(self) -> Vec<String> {
        let mut warnings: Vec<_> = self
            .unreadable
            .iter()
            .take(NAMED)
            .map(|item| {
                format!("{item}: give the backup's user the right to read it, exclude it, or name it in may_skip")
            })
            .collect();
        if self.unreadable.len() > NAMED {
            warnings.push(format!("{} more cannot be read", self.unreadable.len() - NAMED));
        }
        if self.entries >= ENOUGH {
            warnings.push(format!(
                "only the first {ENOUGH} entries were looked at: the size is larger"
            ));
        }
        warnings
    }
}

impl Visit for Looking<'_> {
    type Error = Error;

    fn entry(&mut self, found: &Found<'_>) -> Result<Next, Error> {
        self.context.check_interrupted()?;
        let kind = disk::file_type(&found.stat);
        let is_dir = kind == FileType::Directory;
        let below = Path::new(as_os(relative(found.path, &self.base)));
        if self.entries >= ENOUGH || self.excludes.matched(below, is_dir).is_ignore() {
            return Ok(Next::Over);
        }
        self.entries += 1;
        if kind == FileType::RegularFile {
            self.bytes += u64::try_from(found.stat.st_size).unwrap_or(0);
            let access = rustix::fs::Access::READ_OK;
            let flags = rustix::fs::AtFlags::empty();
            if let Err(error) = rustix::fs::accessat(found.dir, found.name, access, flags) {
                self.trouble(found.path, error.into())?;
            }
        }
        let elsewhere = self.one_file_system && self.device != Some(found.stat.st_dev);
        Ok(if is_dir && !elsewhere { Next::Into } else { Next::Over })
    }

    fn trouble(&mut self, path: &[u8], error: io::Error) -> Result<(), Error> {
        self.unreadable.push(format!("{} cannot be read: {error}", shown(path)));
        Ok(())
    }
}
