//! Walking a folder depth first, in the order of the names' bytes.
//!
//! In: an open folder. Out: calls on a [`Visit`], all on one thread; others may look ahead
//! (`ahead.rs`). Does not know why it walks. Blocking.

use std::ffi::CStr;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use rustix::fs::Stat;

use super::ahead::{Ahead, Enters, Glance, Listed, Listing, Place};
use super::disk::{self, Attributes, Identity};

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
    /// The extended attributes, where they were read ahead.
    pub attributes: Option<Attributes>,
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
    entries: std::vec::IntoIter<Listed>,
    path_length: usize,
}

/// Visits everything below `start`, which itself is not visited; `path` is what its entries' paths
/// begin with, or empty.
pub(crate) fn walk<V: Visit>(start: OwnedFd, path: Vec<u8>, visit: &mut V) -> Result<(), V::Error> {
    visit_all(start, path, None, visit)
}

/// As [`walk`], while other threads look at what it will come to: into which folders it will go
/// `enters` tells beforehand. What is visited may have been looked at some thousand entries earlier.
pub(crate) fn walk_ahead<V: Visit>(
    start: OwnedFd,
    path: Vec<u8>,
    enters: Enters<'_>,
    visit: &mut V,
) -> Result<(), V::Error> {
    let ahead = Ahead::new(enters);
    std::thread::scope(|scope| {
        for _ in 0..Ahead::scouts() {
            scope.spawn(|| ahead.scout());
        }
        let _end = Over(&ahead);
        visit_all(start, path, Some(&ahead), visit)
    })
}

/// Dropped, it lets the scouts go home: also where a visit panics, whose scope waits for them.
struct Over<'a, 'e>(&'a Ahead<'e>);

impl Drop for Over<'_, '_> {
    fn drop(&mut self) {
        self.0.end();
    }
}

fn visit_all<V: Visit>(
    start: OwnedFd,
    path: Vec<u8>,
    ahead: Option<&Ahead<'_>>,
    visit: &mut V,
) -> Result<(), V::Error> {
    let mut path = path;
    let mut levels = Vec::new();
    match list(start, &path, ahead) {
        Ok(listing) => levels.push(Level::of(listing, path.len())),
        Err(error) => visit.trouble(&path, error)?,
    }
    while let Some(level) = levels.last_mut() {
        path.truncate(level.path_length);
        let Some(listed) = level.entries.next() else {
            let Some(left) = levels.pop() else { break };
            if let Some(parent) = levels.last_mut()
                && let Err(error) = return_to(parent, left.dir.as_deref())
            {
                path.truncate(parent.path_length);
                parent.entries = Vec::new().into_iter();
                visit.trouble(&path, error)?;
            }
            continue;
        };
        let Listed { name, glance, below } = listed;
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(name.to_bytes());
        // Only a level without entries is without its folder.
        let Some(dir) = level.dir.clone() else { continue };
        let glance = glance.unwrap_or_else(|| Glance::without_attributes(&dir, &name));
        let stat = match glance.stat {
            Ok(stat) => stat,
            Err(error) => {
                visit.trouble(&path, vanished(error))?;
                continue;
            }
        };
        let attributes = glance.attributes;
        let found = Found { dir: &dir, name: &name, path: &path, stat, attributes };
        if visit.entry(&found)? == Next::Over {
            continue;
        }
        match descend(&dir, &name, &stat, &path, ahead, below) {
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

impl Level {
    fn of(listing: Listing, path_length: usize) -> Self {
        let Listing { dir, identity, entries } = listing;
        Self { dir: Some(dir), identity, entries: entries.into_iter(), path_length }
    }
}

fn list(dir: OwnedFd, path: &[u8], ahead: Option<&Ahead<'_>>) -> io::Result<Listing> {
    if let Some(ahead) = ahead {
        return ahead.list(dir, path);
    }
    let identity = disk::identity(&rustix::fs::fstat(&dir)?);
    let unseen = |name| Listed { name, glance: None, below: None };
    let entries = disk::names(&dir)?.into_iter().map(unseen).collect();
    Ok(Listing { dir: Arc::new(dir), identity, entries })
}

fn descend(
    dir: &OwnedFd,
    name: &CStr,
    listed: &Stat,
    path: &[u8],
    ahead: Option<&Ahead<'_>>,
    below: Option<Arc<Place>>,
) -> io::Result<Level> {
    let seen = ahead.zip(below).and_then(|(ahead, place)| ahead.take(&place));
    let listing = match seen {
        Some(listing) => listing?,
        None => list(disk::open_dir(dir, name)?, path, ahead)?,
    };
    if listing.identity == disk::identity(listed) {
        Ok(Level::of(listing, path.len()))
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

#[cfg(test)]
mod tests {
    use std::fs;

    use rustix::fs::FileType;

    use super::*;

    /// What a walk comes to; it leaves out what is called `over`.
    #[derive(Default)]
    struct Seen(Vec<String>);

    impl Visit for Seen {
        type Error = String;

        fn entry(&mut self, found: &Found<'_>) -> Result<Next, String> {
            let path = String::from_utf8(found.path.to_vec()).unwrap();
            let kind = disk::file_type(&found.stat);
            self.0.push(format!("{path} {kind:?}"));
            if path.ends_with("bad") {
                return Err(path);
            }
            let goes_on = kind == FileType::Directory && !path.ends_with("over");
            Ok(if goes_on { Next::Into } else { Next::Over })
        }

        fn trouble(&mut self, path: &[u8], error: io::Error) -> Result<(), String> {
            self.0.push(format!("{}: {error}", String::from_utf8_lossy(path)));
            Ok(())
        }
    }

    fn enters(path: &[u8], _: &Stat) -> bool {
        !path.ends_with(b"over")
    }

    #[test]
    fn looking_ahead_changes_nothing_of_what_is_visited() {
        let folder = tempfile::tempdir().unwrap();
        let tree = folder.path();
        for a in 0..12 {
            for b in ["x", "over", "y/z", "empty"] {
                let below = tree.join(format!("{a}/{b}"));
                fs::create_dir_all(&below).unwrap();
                if b != "empty" {
                    (0..a * 9).for_each(|n| fs::write(below.join(n.to_string()), "").unwrap());
                }
            }
        }
        fs::create_dir_all(tree.join("huge/below")).unwrap();
        (0..1500).for_each(|n| fs::write(tree.join(format!("huge/{n}")), "").unwrap());
        let open = || disk::open_path(tree).unwrap();
        let (mut plain, mut ahead) = (Seen::default(), Seen::default());

        walk(open(), b"base".to_vec(), &mut plain).unwrap();
        walk_ahead(open(), b"base".to_vec(), &enters, &mut ahead).unwrap();

        assert!(plain.0.len() > 2500, "{}", plain.0.len());
        assert!(plain.0 == ahead.0, "another walk");
    }

    #[test]
    fn a_walk_that_ends_early_sends_those_who_look_ahead_home() {
        let folder = tempfile::tempdir().unwrap();
        for a in 0..50 {
            fs::create_dir_all(folder.path().join(format!("{a}/bad"))).unwrap();
        }

        let root = disk::open_path(folder.path()).unwrap();
        let ended = walk_ahead(root, Vec::new(), &enters, &mut Seen::default());

        assert_eq!(ended.unwrap_err(), "0/bad");
    }
}
