//! Writing: the plan laid out as empty entries, then the content put in place as packs come.
//!
//! In: a plan and blobs in any order. Out: files that are whole, or not there. Blocking but for the
//! fetch itself.

mod finish;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::FileExt as _;
use std::sync::{Mutex, PoisonError};

use rustix::fs::FileType;

use super::metadata::is_privileged;
use super::plan::{Plan, Planned, object};
use super::target::{Target, is_fatal};
use super::{Error, Request, Restored};
use crate::ground::causes::chain;
use crate::ground::progress::Progress;
use crate::repo::{BlobId, BlobKind, NodeKind, ReadError, Reader};
use crate::source::Place;

/// So many files stay open: a pack mostly holds neighbours.
const OPEN_FILES: usize = 64;

/// A restore under way.
pub(super) struct Writing {
    target: Target,
    request: Request,
    plan: Plan,
    /// How far each entry of the plan is.
    made: Vec<Made>,
    places: HashMap<BlobId, Piece>,
    /// Entries whose content is not whole, with the reason.
    damage: BTreeMap<usize, String>,
    open: VecDeque<(usize, File)>,
    devices_left_out: u64,
    restored: Restored,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    No,
    Yes,
    /// A further name of an earlier entry, to be made when that is whole.
    LinkTo(usize),
}

/// A blob and everywhere it belongs.
struct Piece {
    length: u64,
    /// Entry and offset in bytes.
    at: Vec<(usize, u64)>,
}

impl Writing {
    /// Makes every folder, file (of zeros), link and other entry, outermost first. `length` tells a
    /// blob's plain length, if the repository knows it.
    pub(super) fn lay_out(
        target: Target,
        plan: Plan,
        request: Request,
        length: &dyn Fn(&BlobId) -> Option<u64>,
    ) -> Result<Self, Error> {
        let mut writing = Self {
            made: Vec::with_capacity(plan.entries.len()),
            target,
            request,
            plan: Plan::default(),
            places: HashMap::new(),
            damage: BTreeMap::new(),
            open: VecDeque::new(),
            devices_left_out: 0,
            restored: Restored::default(),
        };
        let mut first_names = HashMap::new();
        for (index, planned) in plan.entries.iter().enumerate() {
            writing.request.check_interrupted()?;
            let made = match writing.lay(index, planned, &mut first_names, length) {
                Ok(made) => made,
                Err(source) if is_fatal(&source) => {
                    return Err(Error::Local { action: "make", object: object(planned), source });
                }
                Err(error) => {
                    writing.restored.unrestored.push(Place {
                        object: object(planned),
                        what: format!("could not be made: {error}"),
                    });
                    Made::No
                }
            };
            writing.made.push(made);
        }
        writing.plan = plan;
        Ok(writing)
    }

    fn lay<'a>(
        &mut self,
        index: usize,
        planned: &'a Planned,
        first_names: &mut HashMap<(u64, u64, u64, &'a [BlobId]), usize>,
        length: &dyn Fn(&BlobId) -> Option<u64>,
    ) -> io::Result<Made> {
        let (target, path, node) = (&self.target, &planned.path, &planned.node);
        match &node.kind {
            NodeKind::Dir { .. } => target.make_dir(path)?,
            NodeKind::File { size, content } => {
                // What claims to be one file must have one content too.
                if node.links > 1 && node.inode != 0 {
                    let identity = (node.device_id, node.inode, *size, content.as_slice());
                    let first = *first_names.entry(identity).or_insert(index);
                    if first != index {
                        return Ok(Made::LinkTo(first));
                    }
                }
                match cut(content, *size, length) {
                    Ok(cuts) => {
                        target.make_file(path, *size)?;
                        for (blob, offset, length) in cuts {
                            let piece = Piece { length, at: Vec::new() };
                            let piece = self.places.entry(blob).or_insert(piece);
                            piece.at.push((index, offset));
                        }
                    }
                    Err(reason) => {
                        self.damage.insert(index, reason);
                        return Ok(Made::No);
                    }
                }
            }
            NodeKind::Symlink { target: to } => target.make_symlink(path, to)?,
            NodeKind::Device { .. } | NodeKind::CharDevice { .. } if !is_privileged(target) => {
                self.devices_left_out += 1;
                return Ok(Made::No);
            }
            NodeKind::Device { number } => {
                target.make_node(path, FileType::BlockDevice, *number)?;
            }
            NodeKind::CharDevice { number } => {
                target.make_node(path, FileType::CharacterDevice, *number)?;
            }
            NodeKind::Fifo => target.make_node(path, FileType::Fifo, 0)?,
            NodeKind::Socket => target.make_node(path, FileType::Socket, 0)?,
        }
        Ok(Made::Yes)
    }

    /// Bytes of content that are to come.
    pub(super) fn expected_bytes(&self) -> u64 {
        let pieces = self.places.values();
        let sizes = pieces.map(|piece| piece.length.saturating_mul(piece.at.len() as u64));
        sizes.fold(0, u64::saturating_add)
    }

    /// Fetches every blob once and writes it wherever it belongs.
    pub(super) async fn fetch(
        self,
        reader: &Reader,
        progress: &dyn Progress,
    ) -> Result<Self, Error> {
        let wanted: Vec<_> = self.places.keys().copied().collect();
        let state = Mutex::new((self, None));
        let each = |blob, outcome: Result<Vec<u8>, ReadError>| {
            let (writing, failed) = &mut *state.lock().unwrap_or_else(PoisonError::into_inner);
            match writing.take(&blob, outcome, progress) {
                Ok(()) => ControlFlow::Continue(()),
                Err(error) => {
                    *failed = Some(error);
                    ControlFlow::Break(())
                }
            }
        };
        let fetched = reader.fetch(BlobKind::Data, wanted, &each).await;
        let (writing, failed) = state.into_inner().unwrap_or_else(PoisonError::into_inner);
        match (failed, fetched) {
            (Some(error), _) => Err(error),
            (None, Err(error)) => Err(Error::Content(error.into())),
            (None, Ok(fetched)) => {
                let restored = Restored { blobs: fetched.blobs, ..writing.restored };
                Ok(Self { restored, ..writing })
            }
        }
    }

    fn take(
        &mut self,
        blob: &BlobId,
        outcome: Result<Vec<u8>, ReadError>,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        self.request.check_interrupted()?;
        let Some(piece) = self.places.remove(blob) else { return Ok(()) };
        let bytes = match outcome {
            Ok(bytes) if bytes.len() as u64 == piece.length => bytes,
            Ok(bytes) => {
                let reason = format!("is {} bytes long, not {}", bytes.len(), piece.length);
                self.spoil(blob, &piece, &reason);
                return Ok(());
            }
            Err(error) => {
                self.spoil(blob, &piece, &chain(&error));
                return Ok(());
            }
        };
        // The file is zeros already: not writing them again leaves a hole.
        let hole = bytes.iter().all(|byte| *byte == 0);
        for &(index, offset) in &piece.at {
            if !hole {
                let local = |source| Error::Local {
                    action: "write",
                    object: object(&self.plan.entries[index]),
                    source,
                };
                let file = match self.open.iter().position(|(open, _)| *open == index) {
                    Some(at) => &self.open[at].1,
                    None => {
                        let path = &self.plan.entries[index].path;
                        let file = self.target.open_to_write(path).map_err(local)?;
                        if self.open.len() >= OPEN_FILES {
                            self.open.pop_front();
                        }
                        self.open.push_back((index, file));
                        &self.open[self.open.len() - 1].1
                    }
                };
                file.write_all_at(&bytes, offset).map_err(local)?;
            }
            progress.advance(0, bytes.len() as u64);
        }
        Ok(())
    }

    fn spoil(&mut self, blob: &BlobId, piece: &Piece, reason: &str) {
        for &(index, offset) in &piece.at {
            let reason = format!("blob {blob} at byte {offset}: {reason}");
            self.damage.entry(index).or_insert(reason);
        }
    }
}

type Cut = (BlobId, u64, u64);

/// Where each blob of a file begins and how long it is; an error where that does not add up to the
/// file's size.
fn cut(
    content: &[BlobId],
    size: u64,
    length: &dyn Fn(&BlobId) -> Option<u64>,
) -> Result<Vec<Cut>, String> {
    let mut cuts = Vec::with_capacity(content.len());
    let mut offset = 0u64;
    for blob in content {
        let length = length(blob)
            .ok_or_else(|| format!("blob {blob} at byte {offset}: no index file names it"))?;
        cuts.push((*blob, offset, length));
        offset = offset.checked_add(length).ok_or("is longer than any file")?;
    }
    if offset == size {
        Ok(cuts)
    } else {
        Err(format!("is said to be {size} bytes long, but its blobs are {offset}"))
    }
}
