//! Walking a folder depth first, in the order of the names' bytes.
//!
//! In: an open folder. Out: calls on a [`Visit`]. Does not know why it walks. Blocking.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::Stat;

use super::disk::{self, Identity};

/// How many folders on the way down stay open. Those further up are closed and found again by way
/// of `..`, so that depth costs no descriptors.
const OPEN_LEVELS: usize = 64;

/// One name on the way, as it was found.
pub(crate) struct Found<'a> {
    /// The folder it lies in.
    pub dir: &'a Arc<OwnedFd>,
    pub name: &'a CStr,
    /// Below the folder where the walk began, parts joined by `/`.
    pub path: &'a [u8],
    pub stat: Stat,
}

/// Whether to go into a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Into,
    Over,
}

/// What a walk is for.
pub(crate) trait Visit {
    type Error;

    /// One entry; a folder comes before what is in it.
    fn entry(&mut self, found: &Found<'_>) -> Result<Next, Self::Error>;

    /// What is at `path`, or below it, could not be looked at.
    fn trouble(&mut self, path: &[u8], error: io::Error) -> Result<(), Self::Error>;
}

struct Level {
    dir: Option<Arc<OwnedFd>>,
    identity: Identity,
    names: std::vec::IntoIter<CString>,
    path_length: usize,
}

/// Visits everything below `start`, which itself is not visited; `path` is what its entries' paths
/// begin with, or empty.
pub(crate) fn walk<V: Visit>(start: OwnedFd, path: Vec<u8>, visit: &mut V) -> Result<(), V::Error> {
    let mut path = path;
    let mut levels = Vec::new();
    match enter(start, path.len()) {
        Ok(level) => levels.push(level),
        Err(error) => visit.trouble(&path, error)?,
    }
    while let Some(level) = levels.last_mut() {
        path.truncate(level.path_length);
        let Some(name) = level.names.next() else {
            let Some(left) = levels.pop() else { break };
            if let Some(parent) = levels.last_mut()
                && let Err(error) = return_to(parent, left.dir.as_deref())
            {
                path.truncate(parent.path_length);
                parent.names = Vec::new().into_iter();
                visit.trouble(&path, error)?;
            }
            continue;
        };
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.to_bytes());
        // Only a level without names is without its folder.
        let Some(dir) = level.dir.clone() else { continue };
        let stat = match disk::stat(&dir, &name) {
            Ok(stat) => stat,
            Err(error) => {
                visit.trouble(&path, vanished(error))?;
                continue;
            }
        };
        let next = visit.entry(&Found { dir: &dir, name: &name, path: &path, stat })?;
        if next == Next::Over {
            continue;
        }
        match descend(&dir, &name, &stat, path.len()) {
            Ok(level) => {
                levels.push(level);
                if let Some(far) = levels.len().checked_sub(OPEN_LEVELS + 1) {
                    levels[far].dir = None;
                }
            }
            Err(error) => visit.trouble(&path, vanished(error))?,
        }
    }
    Ok(())
}

fn enter(dir: OwnedFd, path_length: usize) -> io::Result<Level> {
    let identity = disk::identity(&rustix::fs::fstat(&dir)?);
    let names = disk::names(&dir)?.into_iter();
    Ok(Level { dir: Some(Arc::new(dir)), identity, names, path_length })
}

fn descend(dir: &OwnedFd, name: &CStr, listed: &Stat, path_length: usize) -> io::Result<Level> {
    let level = enter(disk::open_dir(dir, name)?, path_length)?;
    if level.identity == disk::identity(listed) {
        Ok(level)
    } else {
        Err(io::Error::other("was replaced while the backup looked at it"))
    }
}

/// Opens `parent` again by way of the folder just left, unless it is open still.
fn return_to(parent: &mut Level, left: Option<&OwnedFd>) -> io::Result<()> {
    if parent.dir.is_some() {
        return Ok(());
    }
    let moved = || io::Error::other("was moved while the backup looked at it");
    let dir = disk::open_dir(left.ok_or_else(moved)?, c"..")?;
    if disk::identity(&rustix::fs::fstat(&dir)?) != parent.identity {
        return Err(moved());
    }
    parent.dir = Some(Arc::new(dir));
    Ok(())
}

/// A name that was listed and is gone is not a mistake of the policy: say what happened.
fn vanished(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::NotFound => io::Error::other("vanished while the backup looked at it"),
        _ => error,
    }
}
