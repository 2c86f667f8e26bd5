//! Restored files: counted, fingerprinted and, for a control, injured.
//!
//! In: the restored `/<source>/` folder. Out: what a drill asks. No link in it is followed: the
//! folder's content is as trustworthy as the snapshot. Blocking.

use std::io;
use std::num::NonZeroU64;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use rustix::fs::{FileType, Mode, OFlags, Stat, Timespec, Timestamps};

use super::super::{
    Access, Capture, Checked, Fault, Fingerprint, Kind, Part, Place, Recovered, Rows, Trouble,
};
use super::capture::as_os;
use super::fingerprint::{Print, Tally};
use super::owners::Owners;
use super::walk::{Found, Next, Visit, walk};
use super::{Files, disk, entry_path, relative};
use crate::sandbox::Scratch;

/// What the restored folder could not be asked.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot read {object}")]
    Read { object: String, source: io::Error },
    #[error("cannot injure {object}")]
    Injure { object: String, source: io::Error },
    #[error("files answer no queries")]
    NoDatabase,
    #[error("the policy's path is not usable")]
    Policy(#[source] super::super::Error),
}

pub(super) fn recover(
    files: &Files,
    capture: &Capture,
    data: &Path,
) -> Result<Box<dyn Recovered>, Trouble> {
    let mut parts = Vec::new();
    for path in &files.settings.paths {
        let below = entry_path(path).map_err(|error| environment(Error::Policy(error)))?;
        parts.push((path.display().to_string(), below));
    }
    let root = disk::open_path(data).map_err(|source| {
        environment(Error::Read { object: data.display().to_string(), source })
    })?;
    let single = match parts.as_slice() {
        [(_, below)] if disk::open_below(&root, below).is_ok() => Some(data.join(as_os(below))),
        _ => None,
    };
    Ok(Box::new(RestoredFiles {
        name: files.name.to_string(),
        data: data.to_owned(),
        parts,
        single,
        captured: capture.fingerprint.clone(),
    }))
}

struct RestoredFiles {
    name: String,
    data: PathBuf,
    /// The policy's paths: as the fingerprint names them, and below `data`.
    parts: Vec<(String, Vec<u8>)>,
    single: Option<PathBuf>,
    captured: Fingerprint,
}

impl Recovered for RestoredFiles {
    fn self_check(&mut self) -> Result<Checked, Trouble> {
        let found = self.fingerprint()?;
        let mut problems = Vec::new();
        for (name, _) in &self.parts {
            let rows = |print: &Fingerprint| print.parts.get(name).map_or(0, |part| part.rows);
            let (captured, restored) = (rows(&self.captured), rows(&found));
            if captured != restored {
                problems.push(Place {
                    object: format!("path {name}"),
                    what: format!("{captured} entries were captured, {restored} are restored"),
                });
            }
        }
        let compared = found.parts.values().map(|part| part.rows).sum();
        Ok(Checked { compared: NonZeroU64::new(compared), problems })
    }

    fn fingerprint(&mut self) -> Result<Fingerprint, Trouble> {
        let mut parts = std::collections::BTreeMap::new();
        for (name, below) in &self.parts {
            parts.insert(name.clone(), self.part(below).map_err(environment)?);
        }
        Ok(Fingerprint { parts, ..Fingerprint::empty(Kind::Files) })
    }

    fn first_answer(&mut self) -> Result<(), Trouble> {
        self.root().map(drop).map_err(environment)
    }

    fn query(&mut self, _: Option<&str>, _: &str, _: Duration) -> Result<Rows, Trouble> {
        Err(environment(Error::NoDatabase))
    }

    fn files(&self) -> Option<&Path> {
        self.single.as_deref()
    }

    fn access(&mut self, scratch: &Scratch) -> Result<Option<Access>, Trouble> {
        let Some(folder) = self.single.clone() else { return Ok(None) };
        scratch.lend(&folder).map_err(|error| Trouble::Environment(Box::new(error)))?;
        Ok(Some(Access { folder, paths: vec![("FOLDER", PathBuf::new())], words: Vec::new() }))
    }

    fn injure(&mut self, fault: Fault) -> Result<Option<Place>, Trouble> {
        if fault != Fault::ByteFlipped {
            return Ok(None);
        }
        let root = self.root().map_err(environment)?;
        for (_, below) in &self.parts {
            let mut injuring = Injuring { name: &self.name };
            let end = match disk::open_below(&root, below) {
                Ok(dir) => walk(dir, below.clone(), &mut injuring),
                Err(_) => self.single_file(&root, below, &mut injuring),
            };
            match end {
                Ok(()) => {}
                Err(Stop::Injured(place)) => return Ok(Some(place)),
                Err(Stop::Trouble(error)) => return Err(environment(error)),
            }
        }
        Ok(None)
    }

    fn stop(self: Box<Self>) -> Result<(), Trouble> {
        Ok(())
    }
}

impl RestoredFiles {
    fn root(&self) -> Result<std::os::fd::OwnedFd, Error> {
        disk::open_path(&self.data)
            .map_err(|source| Error::Read { object: self.data.display().to_string(), source })
    }

    /// The fingerprint of what lies at and below one path; nothing is there: no rows.
    fn part(&self, below: &[u8]) -> Result<Part, Error> {
        let mut counting =
            Counting { owners: Owners::default(), base: below.to_vec(), tally: Tally::default() };
        let root = self.root()?;
        if !below.is_empty() {
            let (folder, name) = disk::split(below);
            let read = |source| Error::Read { object: lossy(below), source };
            let name = disk::c_name(name).map_err(read)?;
            let found = disk::open_below(&root, folder)
                .and_then(|dir| disk::stat(&dir, &name).map(|stat| (Arc::new(dir), stat)));
            match found {
                Ok((dir, stat)) => {
                    counting.entry(&Found { dir: &dir, name: &name, path: below, stat })?;
                }
                Err(error) if disk::is_absent(&error) => return Ok(counting.tally.part()),
                Err(error) => return Err(read(error)),
            }
        }
        match disk::open_below(&root, below) {
            Ok(dir) => walk(dir, below.to_vec(), &mut counting)?,
            Err(error) if disk::is_absent(&error) => {}
            Err(source) => return Err(Error::Read { object: lossy(below), source }),
        }
        Ok(counting.tally.part())
    }

    fn single_file(
        &self,
        root: impl AsFd,
        below: &[u8],
        injuring: &mut Injuring<'_>,
    ) -> Result<(), Stop> {
        let (folder, name) = disk::split(below);
        let open = || {
            let name = disk::c_name(name)?;
            let dir = disk::open_below(root, folder)?;
            let stat = disk::stat(&dir, &name)?;
            Ok((Arc::new(dir), name, stat))
        };
        match open() {
            Ok((dir, name, stat)) => {
                injuring.entry(&Found { dir: &dir, name: &name, path: below, stat }).map(|_| ())
            }
            Err(error) if disk::is_absent(&error) => Ok(()),
            Err(source) => Err(Stop::Trouble(Error::Read { object: lossy(below), source })),
        }
    }
}

struct Counting {
    owners: Owners,
    base: Vec<u8>,
    tally: Tally,
}

impl Visit for Counting {
    type Error = Error;

    fn entry(&mut self, found: &Found<'_>) -> Result<Next, Error> {
        let meta = disk::meta(found.dir, found.name, &found.stat, &self.owners)
            .map_err(|source| Error::Read { object: lossy(found.path), source })?;
        let is_file = disk::file_type(&found.stat) == FileType::RegularFile;
        let size = if is_file { u64::try_from(found.stat.st_size).unwrap_or(0) } else { 0 };
        self.tally.add(&Print::of(relative(found.path, &self.base), &meta, size));
        let is_dir = disk::file_type(&found.stat) == FileType::Directory;
        Ok(if is_dir { Next::Into } else { Next::Over })
    }

    fn trouble(&mut self, path: &[u8], source: io::Error) -> Result<(), Error> {
        Err(Error::Read { object: lossy(path), source })
    }
}

struct Injuring<'a> {
    name: &'a str,
}

enum Stop {
    Injured(Place),
    Trouble(Error),
}

impl Visit for Injuring<'_> {
    type Error = Stop;

    /// Flips a byte of the first file that has one name and any content: under a second name the
    /// same fault would show at a second place.
    fn entry(&mut self, found: &Found<'_>) -> Result<Next, Stop> {
        match disk::file_type(&found.stat) {
            FileType::Directory => Ok(Next::Into),
            FileType::RegularFile if found.stat.st_size > 0 && found.stat.st_nlink == 1 => {
                let object = format!("file {}/{}", self.name, lossy(found.path));
                match flip(found) {
                    Ok(offset) => Err(Stop::Injured(Place {
                        object,
                        what: format!("the byte at {offset} was flipped"),
                    })),
                    Err(source) => Err(Stop::Trouble(Error::Injure { object, source })),
                }
            }
            _ => Ok(Next::Over),
        }
    }

    fn trouble(&mut self, path: &[u8], source: io::Error) -> Result<(), Stop> {
        Err(Stop::Trouble(Error::Read { object: lossy(path), source }))
    }
}

/// Flips every bit of the byte in the middle, keeps the times, and returns where.
fn flip(found: &Found<'_>) -> io::Result<u64> {
    let flags = OFlags::RDWR | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::openat(found.dir, found.name, flags, Mode::empty())?;
    let offset = u64::try_from(found.stat.st_size).unwrap_or(0) / 2;
    let mut byte = [0];
    if rustix::io::pread(&file, &mut byte, offset)? != 1 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if rustix::io::pwrite(&file, &[!byte[0]], offset)? != 1 {
        return Err(io::ErrorKind::WriteZero.into());
    }
    rustix::fs::futimens(&file, &times(&found.stat))?;
    Ok(offset)
}

fn times(stat: &Stat) -> Timestamps {
    let nanoseconds = |value: u64| value.try_into().unwrap_or(0);
    Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime, tv_nsec: nanoseconds(stat.st_atime_nsec) },
        last_modification: Timespec {
            tv_sec: stat.st_mtime,
            tv_nsec: nanoseconds(stat.st_mtime_nsec),
        },
    }
}

fn lossy(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

fn environment(error: Error) -> Trouble {
    Trouble::Environment(Box::new(error))
}
