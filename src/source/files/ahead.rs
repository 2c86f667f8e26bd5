//! Looking ahead of a walk: folders that it will come to are listed, and what is in them looked at, on
//! other threads.
//!
//! In: folders in the order in which the walk comes to them. Out: listings. What was not looked at in
//! time the walk looks at itself; what it will not go into nobody looks at. Blocking.

use std::collections::VecDeque;
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};

use rustix::fs::{FileType, Stat};

use super::disk::{self, Identity};

/// How many entries are known, give or take a folder of as many, before the walk comes to them: whatever changes in between is
/// told as changed while it was read.
const ENTRIES: usize = 1024;

/// How many threads look ahead at most.
const SCOUTS: usize = 8;

/// Whether the walk will go into the entry at a path, as far as that can be said beforehand.
pub(crate) type Enters<'a> = &'a (dyn Fn(&[u8], &Stat) -> bool + Sync);

/// What is in a folder, in the order of the names' bytes.
pub(super) struct Listing {
    pub(super) dir: Arc<OwnedFd>,
    pub(super) identity: Identity,
    pub(super) entries: Vec<Listed>,
}

/// One name, and what was learnt of it.
pub(super) struct Listed {
    pub(super) name: CString,
    pub(super) glance: Option<Glance>,
    /// The folder of this name, where somebody may be looking at it.
    pub(super) below: Option<Arc<Place>>,
}

/// What an entry looked like.
pub(super) struct Glance {
    pub(super) stat: io::Result<Stat>,
    /// The extended attributes, if all could be read.
    pub(super) attributes: Option<disk::Attributes>,
}

impl Glance {
    /// What an entry looks like, without its attributes.
    pub(super) fn without_attributes(dir: &OwnedFd, name: &CStr) -> Self {
        Self { stat: disk::stat(dir, name), attributes: None }
    }
}

/// A folder that the walk will come to.
pub(super) struct Place {
    parent: Weak<OwnedFd>,
    name: CString,
    path: Vec<u8>,
    state: Mutex<State>,
    done: Condvar,
}

enum State {
    Waiting,
    /// A scout is there.
    Begun,
    Done(io::Result<Listing>),
    /// The walk has it.
    Taken,
}

/// What the walk and its scouts share.
pub(super) struct Ahead<'a> {
    enters: Enters<'a>,
    road: Mutex<Road>,
    changed: Condvar,
}

#[derive(Default)]
struct Road {
    places: VecDeque<Arc<Place>>,
    /// Entries of listings that the walk has not come to.
    entries: usize,
    is_over: bool,
}

impl<'a> Ahead<'a> {
    pub(super) fn new(enters: Enters<'a>) -> Self {
        Self { enters, road: Mutex::default(), changed: Condvar::new() }
    }

    /// How many scouts are worth it: the walk itself takes a core.
    pub(super) fn scouts() -> usize {
        std::thread::available_parallelism().map_or(0, |cores| cores.get() - 1).min(SCOUTS)
    }

    /// Lists a folder and looks at what is in it; its folders are put on the road.
    pub(super) fn list(&self, dir: OwnedFd, path: &[u8]) -> io::Result<Listing> {
        let identity = disk::identity(&rustix::fs::fstat(&dir)?);
        let names = disk::names(&dir)?;
        let dir = Arc::new(dir);
        // What is known of a huge folder would be old when the walk comes to it, and fill memory.
        let is_huge = names.len() > ENTRIES;
        let listed = |name| match is_huge {
            true => Listed { name, glance: None, below: None },
            false => self.look_at(&dir, path, name),
        };
        let entries: Vec<_> = names.into_iter().map(listed).collect();
        let mut road = lock(&self.road);
        for place in entries.iter().rev().filter_map(|listed| listed.below.as_ref()) {
            road.places.push_front(place.clone());
        }
        self.changed.notify_all();
        Ok(Listing { dir, identity, entries })
    }

    fn look_at(&self, dir: &Arc<OwnedFd>, path: &[u8], name: CString) -> Listed {
        let stat = disk::stat(dir, &name);
        let attributes = match disk::xattrs(dir, &name) {
            Ok((read, unread)) if unread.is_empty() => Some(read),
            _ => None,
        };
        let folder = stat.as_ref().ok();
        let folder = folder.filter(|stat| disk::file_type(stat) == FileType::Directory);
        let below = folder.and_then(|stat| {
            let slash: &[u8] = if path.is_empty() { b"" } else { b"/" };
            let path = [path, slash, name.to_bytes()].concat();
            (self.enters)(&path, stat).then(|| {
                Arc::new(Place {
                    parent: Arc::downgrade(dir),
                    name: name.clone(),
                    path,
                    state: Mutex::new(State::Waiting),
                    done: Condvar::new(),
                })
            })
        });
        Listed { name, glance: Some(Glance { stat, attributes }), below }
    }

    /// The listing of a folder that a scout made or is making; none where the walk shall look itself.
    pub(super) fn take(&self, place: &Arc<Place>) -> Option<io::Result<Listing>> {
        {
            // The road is in the order of the walk: what nobody has begun is the next on it.
            let mut road = lock(&self.road);
            if road.places.front().is_some_and(|next| Arc::ptr_eq(next, place)) {
                road.places.pop_front();
            }
        }
        let mut state = lock(&place.state);
        while matches!(*state, State::Begun) {
            state = place.done.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        match std::mem::replace(&mut *state, State::Taken) {
            State::Done(listing) => {
                let entries = listing.as_ref().map_or(0, |listing| listing.entries.len());
                lock(&self.road).entries -= entries;
                self.changed.notify_all();
                Some(listing)
            }
            _ => None,
        }
    }

    /// Looks ahead until the walk is over.
    pub(super) fn scout(&self) {
        while let Some(place) = self.next() {
            let Some(parent) = place.parent.upgrade() else { continue };
            if !place.begin() {
                continue;
            }
            // A scout that dies must not keep the walk waiting.
            let end = Begun(&place);
            let listing =
                disk::open_dir(&parent, &place.name).and_then(|dir| self.list(dir, &place.path));
            lock(&self.road).entries += listing.as_ref().map_or(0, |listing| listing.entries.len());
            end.with(State::Done(listing));
        }
    }

    fn next(&self) -> Option<Arc<Place>> {
        let mut road = lock(&self.road);
        loop {
            if road.is_over {
                return None;
            }
            if road.entries < ENTRIES
                && let Some(place) = road.places.pop_front()
            {
                return Some(place);
            }
            road = self.changed.wait(road).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// The walk is over: scouts go home.
    pub(super) fn end(&self) {
        lock(&self.road).is_over = true;
        self.changed.notify_all();
    }
}

impl Place {
    /// Whether it is the caller's to list: nobody else came before.
    fn begin(&self) -> bool {
        let mut state = lock(&self.state);
        let is_waiting = matches!(*state, State::Waiting);
        if is_waiting {
            *state = State::Begun;
        }
        is_waiting
    }
}

/// A place at which a scout is; dropped, it leaves the place to the walk.
struct Begun<'p>(&'p Place);

impl Begun<'_> {
    fn with(self, state: State) {
        *lock(&self.0.state) = state;
    }
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let mut state = lock(&self.0.state);
        if matches!(*state, State::Begun) {
            *state = State::Taken;
        }
        self.0.done.notify_all();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
