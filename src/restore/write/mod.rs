//! Writing: the plan's folders laid out, then files made and filled as their blobs come.
//!
//! In: a plan and blobs in any order, on any thread. Out: files that are whole, or not there.
//! Blocking.

mod filling;
mod finish;
mod open;

use std::collections::{BTreeMap, HashMap};
use std::io;

use rustix::fs::FileType;

use self::filling::Filling;
use super::entry::Kind;
use super::metadata::{Setting, is_privileged};
use super::plan::{Plan, Planned, object};
use super::target::{Target, is_fatal};
use super::{Error, Request};
use crate::ground::progress::Progress;
use crate::repo::{BlobId, BlobKind, Reader};

/// A restore under way.
pub(super) struct Writing {
    target: Target,
    request: Request,
    plan: Plan,
    /// How far each entry of the plan is.
    made: Vec<Made>,
    /// Where in its file each blob of the plan's contents begins.
    offsets: Vec<u64>,
    /// Entries whose content is not whole, with the reason.
    damage: BTreeMap<usize, String>,
    /// Entries that could not be made, with the reason.
    unmade: BTreeMap<usize, Vec<String>>,
    setting: Setting,
    devices_left_out: u64,
    blobs: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Made {
    No,
    Yes,
    /// A file whose content is to come: it is made with its first blob.
    Awaited,
    /// A further name of an earlier entry, to be made when that is whole.
    LinkTo(u32),
}

/// What claims to be one file must have one content too: device, inode, size, blobs.
type Identity<'p> = (u64, u64, u64, &'p [BlobId]);

impl Writing {
    /// Makes every folder, link and other entry but files with content, outermost first. `length`
    /// tells a blob's plain length, if the repository knows it.
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
            offsets: Vec::with_capacity(plan.entries.blobs().len()),
            damage: BTreeMap::new(),
            unmade: BTreeMap::new(),
            setting: Setting::default(),
            devices_left_out: 0,
            blobs: 0,
        };
        let mut first_names = HashMap::new();
        for (index, planned) in plan.all().enumerate() {
            writing.request.check_interrupted()?;
            let made = match writing.lay(index, &planned, &mut first_names, length) {
                Ok(made) => made,
                Err(source) if is_fatal(&source) => {
                    return Err(Error::Local { action: "make", object: object(&planned), source });
                }
                Err(error) => {
                    writing.unmade.entry(index).or_default().push(could_not_be_made(&error));
                    Made::No
                }
            };
            writing.made.push(made);
        }
        drop(first_names);
        writing.plan = plan;
        let made = &writing.made;
        writing.plan.entries.keep_contents(|index| made[index] == Made::Awaited);
        Ok(writing)
    }

    fn lay<'p>(
        &mut self,
        index: usize,
        planned: &Planned<'p>,
        first_names: &mut HashMap<Identity<'p>, u32>,
        length: &dyn Fn(&BlobId) -> Option<u64>,
    ) -> io::Result<Made> {
        let (target, path, node) = (&self.target, &planned.path, &planned.node);
        match node.kind {
            Kind::Dir => target.make_dir(path)?,
            Kind::File { size, content } => {
                if let Some((device, inode)) = node.linked {
                    let identity = (device, inode, size, content);
                    let first = *first_names.entry(identity).or_insert(index as u32);
                    if first as usize != index {
                        return Ok(Made::LinkTo(first));
                    }
                }
                return match cut(content, size, length) {
                    Ok(_) if content.is_empty() => {
                        let file = target.make_file(path)?;
                        let refused = self.setting.apply_to_file(target, node, &file);
                        filling::note_refused(&mut self.unmade, index, refused);
                        Ok(Made::Yes)
                    }
                    Ok(offsets) => {
                        self.offsets.extend(offsets);
                        Ok(Made::Awaited)
                    }
                    Err(reason) => {
                        self.damage.insert(index, reason);
                        Ok(Made::No)
                    }
                };
            }
            Kind::Symlink { target: to } => target.make_symlink(path, to)?,
            Kind::Device { .. } | Kind::CharDevice { .. } if !is_privileged(target) => {
                self.devices_left_out += 1;
                return Ok(Made::No);
            }
            Kind::Device { number } => target.make_node(path, FileType::BlockDevice, number)?,
            Kind::CharDevice { number } => {
                target.make_node(path, FileType::CharacterDevice, number)?;
            }
            Kind::Fifo => target.make_node(path, FileType::Fifo, 0)?,
            Kind::Socket => target.make_node(path, FileType::Socket, 0)?,
        }
        Ok(Made::Yes)
    }

    /// Bytes of content that are to come.
    pub(super) fn expected_bytes(&self) -> u64 {
        let awaited = self.made.iter().enumerate().filter(|(_, made)| **made == Made::Awaited);
        let sizes = awaited.map(|(index, _)| match self.plan.entries.item(index).kind {
            Kind::File { size, .. } => size,
            _ => 0,
        });
        sizes.fold(0, u64::saturating_add)
    }

    /// Fetches every blob once and writes it wherever it belongs, on all cores.
    pub(super) fn fetch(mut self, reader: &Reader, progress: &dyn Progress) -> Result<Self, Error> {
        let filling = Filling::of(&self, progress);
        let (blobs, unreadable) = (self.plan.entries.blobs(), self.request.fidelity.unreadable());
        let fetched = reader.pour(BlobKind::Data, blobs, unreadable, &|| filling.receiver());
        let filled = filling.end()?;
        self.blobs = fetched.map_err(|error| Error::Content(error.into()))?.blobs;
        for index in filled.made {
            self.made[index] = Made::Yes;
        }
        self.damage.extend(filled.damage);
        for (index, reasons) in filled.unmade {
            self.unmade.entry(index).or_default().extend(reasons);
        }
        Ok(self)
    }
}

fn could_not_be_made(error: &io::Error) -> String {
    format!("could not be made: {error}")
}

/// Where each blob of a file begins; an error where they do not add up to the file's size.
fn cut(
    content: &[BlobId],
    size: u64,
    length: &dyn Fn(&BlobId) -> Option<u64>,
) -> Result<Vec<u64>, String> {
    let mut offsets = Vec::with_capacity(content.len());
    let mut offset = 0u64;
    for blob in content {
        let length = length(blob)
            .ok_or_else(|| format!("blob {blob} at byte {offset}: no index file names it"))?;
        offsets.push(offset);
        offset = offset.checked_add(length).ok_or("is longer than any file")?;
    }
    if offset == size {
        Ok(offsets)
    } else {
        Err(format!("is said to be {size} bytes long, but its blobs are {offset}"))
    }
}
