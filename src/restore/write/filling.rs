//! Filling files with blobs as they come, on many threads at once.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write as _};
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::open::Open;
use super::{Writing, could_not_be_made};
use crate::ground::causes::chain;
use crate::ground::progress::Progress;
use crate::repo::{ReadError, Receiver};
use crate::restore::Error;
use crate::restore::entry::Kind;
use crate::restore::metadata::Refused;
use crate::restore::plan::{Planned, object};
use crate::restore::target::{Target, is_fatal};

/// What the threads that fill share.
pub(super) struct Filling<'w> {
    writing: &'w Writing,
    progress: &'w dyn Progress,
    open: Mutex<Open>,
    filled: Mutex<Filled>,
    failure: Mutex<Option<Error>>,
}

/// What became of the files, by their places in the plan.
#[derive(Debug, Default)]
pub(super) struct Filled {
    pub(super) made: Vec<usize>,
    pub(super) damage: BTreeMap<usize, String>,
    pub(super) unmade: BTreeMap<usize, Vec<String>>,
}

/// One piece of a file's content.
struct Part<'p> {
    index: usize,
    planned: Planned<'p>,
    offset: u64,
    length: u64,
    /// How many pieces the file has.
    pieces: usize,
}

impl<'w> Filling<'w> {
    pub(super) fn of(writing: &'w Writing, progress: &'w dyn Progress) -> Self {
        let (open, filled, failure) = Default::default();
        Self { writing, progress, open, filled, failure }
    }

    /// What takes the blobs of one thread; it breaks off where going on is in vain.
    pub(super) fn receiver(&self) -> Receiver<'_> {
        let target = self.writing.target.another();
        Box::new(move |places, outcome| match self.take(&target, places, outcome) {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                lock(&self.failure).get_or_insert(error);
                ControlFlow::Break(())
            }
        })
    }

    /// What became of all files, unless filling broke off.
    pub(super) fn end(self) -> Result<Filled, Error> {
        match self.failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(error) => Err(error),
            None => Ok(self.filled.into_inner().unwrap_or_else(PoisonError::into_inner)),
        }
    }

    /// Takes one blob with all its places among the plan's contents.
    fn take(
        &self,
        target: &Target,
        places: &[u32],
        outcome: Result<&[u8], ReadError>,
    ) -> Result<(), Error> {
        self.writing.request.check_interrupted()?;
        let outcome = outcome.map_err(|error| chain(&error));
        // The file is zeros already: not writing them again leaves a hole.
        let is_hole = outcome.as_ref().is_ok_and(|bytes| bytes.iter().all(|byte| *byte == 0));
        for place in places {
            let part = self.part(*place);
            match &outcome {
                Ok(bytes) if bytes.len() as u64 == part.length => {
                    let bytes = if is_hole { &[] } else { *bytes };
                    self.write(target, &part, bytes)?;
                    self.progress.advance(0, part.length);
                }
                Ok(bytes) => {
                    let what = format!("is {} bytes long, not {}", bytes.len(), part.length);
                    self.spoil(*place, &part, &what);
                }
                Err(error) => self.spoil(*place, &part, error),
            }
            if part.pieces > 1 && lock(&self.open).settle(part.index, part.pieces) {
                self.complete(target, &part)?;
            }
        }
        Ok(())
    }

    fn part(&self, place: u32) -> Part<'_> {
        let (entries, at) = (&self.writing.plan.entries, place as usize);
        let index = entries.holder(place);
        let planned = self.writing.plan.at(index);
        let size = match planned.node.kind {
            Kind::File { size, .. } => size,
            _ => 0,
        };
        let own = entries.content_places(index);
        let offset = self.writing.offsets[at];
        let end = if at + 1 < own.end { self.writing.offsets[at + 1] } else { size };
        Part { index, planned, offset, length: end - offset, pieces: own.len() }
    }

    /// Writes a piece; no bytes stand for zeros.
    fn write(&self, target: &Target, part: &Part<'_>, bytes: &[u8]) -> Result<(), Error> {
        let path = &part.planned.path;
        let make = || self.make(target, part);
        if part.pieces == 1 {
            let Some(mut file) = self.made(part, make().map(Some))? else { return Ok(()) };
            let written = match bytes {
                [] => file.set_len(part.length),
                bytes => file.write_all(bytes),
            };
            written.map_err(|error| failed("write", part, error))?;
            self.finish(target, part, &file);
            return Ok(());
        }
        let is_made = Cell::new(false);
        let again = || {
            is_made.set(true);
            target.open_to_write(path)
        };
        let file = match lock(&self.open).file(part.index, part.pieces, make, again) {
            Err(error) if is_made.get() => return Err(failed("open", part, error)),
            file => file,
        };
        match self.made(part, file)? {
            Some(file) if !bytes.is_empty() => {
                file.write_all_at(bytes, part.offset).map_err(|error| failed("write", part, error))
            }
            _ => Ok(()),
        }
    }

    /// Makes the file, of zeros that take no room where its content comes in pieces.
    fn make(&self, target: &Target, part: &Part<'_>) -> io::Result<File> {
        let file = target.make_file(&part.planned.path)?;
        if let (Kind::File { size, .. }, 2..) = (part.planned.node.kind, part.pieces) {
            file.set_len(size)?;
        }
        lock(&self.filled).made.push(part.index);
        Ok(file)
    }

    /// What this machine gave; none, and noted, where it refused this file alone.
    fn made<T>(&self, part: &Part<'_>, outcome: io::Result<Option<T>>) -> Result<Option<T>, Error> {
        match outcome {
            Err(error) if is_fatal(&error) => Err(failed("make", part, error)),
            Err(error) => {
                let mut filled = lock(&self.filled);
                let reasons = filled.unmade.entry(part.index).or_default();
                reasons.push(could_not_be_made(&error));
                Ok(None)
            }
            Ok(file) => Ok(file),
        }
    }

    /// Its last piece is written, by whatever thread.
    fn complete(&self, target: &Target, part: &Part<'_>) -> Result<(), Error> {
        let file = target
            .open_to_write(&part.planned.path)
            .map_err(|error| failed("open", part, error))?;
        self.finish(target, part, &file);
        Ok(())
    }

    fn finish(&self, target: &Target, part: &Part<'_>, file: &File) {
        let refused = self.writing.setting.apply_to_file(target, &part.planned.node, file);
        if !refused.is_empty() {
            note_refused(&mut lock(&self.filled).unmade, part.index, refused);
        }
    }

    fn spoil(&self, place: u32, part: &Part<'_>, reason: &str) {
        let blob = self.writing.plan.entries.blobs()[place as usize];
        let reason = format!("blob {blob} at byte {}: {reason}", part.offset);
        lock(&self.filled).damage.entry(part.index).or_insert(reason);
    }
}

/// Notes what of an entry's metadata this machine refused.
pub(super) fn note_refused(
    unmade: &mut BTreeMap<usize, Vec<String>>,
    index: usize,
    refused: Refused,
) {
    for (what, error) in refused {
        unmade.entry(index).or_default().push(format!("{what} could not be set: {error}"));
    }
}

fn failed(action: &'static str, part: &Part<'_>, source: io::Error) -> Error {
    Error::Local { action, object: object(&part.planned), source }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
