//! Capturing files: one walk for each path of the policy.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::gitignore::Gitignore;
use jiff::{SignedDuration, Timestamp};
use rustix::fs::{FileType, Stat};
use rustix::io::Errno;

use super::super::{Capture, Context, Entry, Error, Fingerprint, Kind, Open, Sink, Skipped};
use super::content::{Account, Unread};
use super::fingerprint::{Print, Tally};
use super::owners::Owners;
use super::walk::{Found, Next, Visit, walk};
use super::{Files, disk, entry_path, relative};
use crate::ground::process::host_name;

/// A change within this time before the walk may leave no trace in the times: file systems stamp
/// with the kernel's tick, network file systems with another clock, FAT with two seconds.
const TOO_RECENT: SignedDuration = SignedDuration::from_secs(2);

pub(super) fn capture(files: &Files, context: &Context, out: &dyn Sink) -> Result<Capture, Error> {
    let started = context.clock.now();
    let owners = Owners::of_this_host();
    let excludes = files.excludes()?;
    let mut paths = files.settings.paths.clone();
    paths.sort();
    let mut parents: Vec<PathBuf> = Vec::new();
    let mut skipped = Vec::new();
    let mut tallies = Vec::new();
    for path in &paths {
        let tally = Arc::new(Tally::default());
        let mut capturing = Capturing {
            context,
            out,
            owners: &owners,
            excludes: &excludes,
            base: entry_path(path)?,
            tally: tally.clone(),
            device: None,
            one_file_system: files.settings.one_file_system,
            reuse_before: started.checked_sub(TOO_RECENT).unwrap_or(Timestamp::MIN),
            skipped: Vec::new(),
        };
        capturing.parents(path, &mut parents)?;
        capturing.path(path)?;
        skipped.append(&mut capturing.skipped);
        tallies.push((path.display().to_string(), tally));
    }
    // The sink knows entries' paths, the user absolute ones.
    skipped.extend(out.settle()?.into_iter().map(|item| Skipped {
        path: format!("/{}", item.path.trim_start_matches('/')),
        reason: item.reason,
    }));
    let sizes = tallies.iter().map(|(_, tally)| tally.size());
    let (entries, bytes) = sizes.fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    let parts = tallies.into_iter().map(|(path, tally)| (path, tally.part())).collect();
    Ok(Capture {
        source: files.name.clone(),
        kind: Kind::Files,
        engine: String::new(),
        host: host_name(),
        served: None,
        started,
        consistent_time: started,
        finished: context.clock.now(),
        entries,
        bytes,
        skipped,
        fingerprint: Fingerprint { parts, ..Fingerprint::empty(Kind::Files) },
        answers: Vec::new(),
        cluster: None,
        redis: None,
        server: None,
    })
}

struct Capturing<'a> {
    context: &'a Context,
    out: &'a dyn Sink,
    owners: &'a Owners,
    excludes: &'a Gitignore,
    /// The entry path of the policy's path.
    base: Vec<u8>,
    tally: Arc<Tally>,
    /// The device that the policy's path lies on, once known.
    device: Option<u64>,
    one_file_system: bool,
    reuse_before: Timestamp,
    skipped: Vec<Skipped>,
}

impl Capturing<'_> {
    /// Puts the folders above `path`, unless an earlier path of the policy had them too.
    fn parents(&self, path: &Path, done: &mut Vec<PathBuf>) -> Result<(), Error> {
        let mut above: Vec<&Path> = path.ancestors().skip(1).collect();
        above.reverse();
        for parent in above.into_iter().filter(|parent| parent.parent().is_some()) {
            if done.iter().any(|done| done == parent) {
                continue;
            }
            let read = || {
                let dir = disk::reach_path(parent)?;
                let mut meta = disk::meta(&dir, c".", &disk::stat(&dir, c".")?, self.owners)?;
                meta.xattrs = disk::xattrs(&dir, c".")?.0;
                Ok(meta)
            };
            let meta = read().map_err(|source| cannot("read", parent, source))?;
            self.out.put(Entry { path: entry_path(parent)?, meta, content: None })?;
            done.push(parent.to_owned());
        }
        Ok(())
    }

    /// Captures the policy's path and everything below it. That it can't be read is an error, not
    /// an item: a policy that protects nothing must not succeed.
    fn path(&mut self, path: &Path) -> Result<(), Error> {
        let start = if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
            let name = disk::c_name(name.as_encoded_bytes());
            let name = name.map_err(|source| cannot("read", path, source))?;
            let parent = disk::reach_path(parent).map_err(|source| cannot("read", path, source))?;
            let stat = disk::stat(&parent, &name).map_err(|source| cannot("read", path, source))?;
            let dir = match disk::file_type(&stat) {
                FileType::Directory => Some(
                    disk::open_dir(&parent, &name)
                        .map_err(|source| cannot("list", path, source))?,
                ),
                FileType::RegularFile => None,
                _ => {
                    return Err(Error::Engine {
                        object: path.display().to_string(),
                        what: "is neither a folder nor a file; of a link, name where it leads"
                            .to_owned(),
                        source: None,
                    });
                }
            };
            self.device = Some(stat.st_dev);
            let base = self.base.clone();
            self.take(&Arc::new(parent), &name, &base, stat)?;
            dir
        } else {
            let root = disk::open_path(path).map_err(|source| cannot("list", path, source))?;
            let stat = disk::stat(&root, c".").map_err(|source| cannot("read", path, source))?;
            self.device = Some(stat.st_dev);
            Some(root)
        };
        match start {
            Some(dir) => walk(dir, self.base.clone(), self),
            None => Ok(()),
        }
    }

    /// Puts one entry; `Over` if it could not be.
    fn take(
        &mut self,
        dir: &Arc<OwnedFd>,
        name: &CStr,
        path: &[u8],
        stat: Stat,
    ) -> Result<Next, Error> {
        let mut meta = match disk::meta(dir, name, &stat, self.owners) {
            Ok(meta) => meta,
            Err(error) => return self.trouble(path, error).map(|()| Next::Over),
        };
        match disk::xattrs(dir, name) {
            Ok((read, unread)) => {
                meta.xattrs = read;
                for (attribute, error) in unread {
                    let attribute = String::from_utf8_lossy(&attribute);
                    self.skip(path, format!("attribute {attribute} cannot be read: {error}"));
                }
            }
            Err(error) => self.skip(path, format!("attributes cannot be read: {error}")),
        }
        meta.reusable = meta.mtime < self.reuse_before && meta.ctime < self.reuse_before;
        let below = relative(path, &self.base);
        let size = match disk::file_type(&stat) {
            FileType::RegularFile => Some(u64::try_from(stat.st_size).unwrap_or(0)),
            _ => None,
        };
        let print = Print::of(below, &meta, size.unwrap_or(0));
        self.tally.add(&print);
        let content = size.map(|_| {
            let account = Account {
                tally: self.tally.clone(),
                path: below.to_vec(),
                meta: meta.clone(),
                print,
            };
            Box::new(Unread { dir: dir.clone(), name: name.to_owned(), stat, account })
                as Box<dyn Open>
        });
        self.out.put(Entry { path: path.to_vec(), meta, content })?;
        Ok(if size.is_none() { Next::Into } else { Next::Over })
    }

    fn skip(&mut self, path: &[u8], reason: String) {
        self.skipped.push(Skipped { path: shown(path), reason });
    }
}

impl Visit for Capturing<'_> {
    type Error = Error;

    fn entry(&mut self, found: &Found<'_>) -> Result<Next, Error> {
        self.context.check_interrupted()?;
        let is_dir = disk::file_type(&found.stat) == FileType::Directory;
        let below = Path::new(as_os(relative(found.path, &self.base)));
        if self.excludes.matched(below, is_dir).is_ignore() {
            return Ok(Next::Over);
        }
        let next = self.take(found.dir, found.name, found.path, found.stat)?;
        // Only folders tell: overlay file systems give files the device of their layer.
        let elsewhere = self.one_file_system && self.device != Some(found.stat.st_dev);
        Ok(if is_dir && !elsewhere { next } else { Next::Over })
    }

    fn trouble(&mut self, path: &[u8], error: io::Error) -> Result<(), Error> {
        // Not the item's fault: everything after it would be skipped too.
        let exhausted = [Errno::MFILE, Errno::NFILE, Errno::NOMEM];
        if exhausted.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) {
            return Err(Error::Io { action: "read", object: shown(path), source: error });
        }
        self.skip(path, error.to_string());
        Ok(())
    }
}

pub(super) fn cannot(action: &'static str, path: &Path, source: io::Error) -> Error {
    Error::Io { action, object: path.display().to_string(), source }
}

/// An entry's path as the user knows it.
pub(super) fn shown(path: &[u8]) -> String {
    format!("/{}", String::from_utf8_lossy(path))
}

pub(super) fn as_os(bytes: &[u8]) -> &std::ffi::OsStr {
    std::os::unix::ffi::OsStrExt::from_bytes(bytes)
}
