//! The plan: what a snapshot's trees say shall be made, validated.
//!
//! In: trees, as hostile as can be. Out: entries whose paths are made of safe names, each once, a
//! folder before what is in it.

use std::collections::HashSet;

use super::select::{Selection, Wanted};
use super::{Error, Select};
use crate::ground::causes::chain;
use crate::repo::{BlobId, BlobKind, Node, NodeKind, Reader};
use crate::source::Place;
use crate::source::files::disk::{is_name, split};

/// A hostile snapshot may hold the same tree very many times over; so many entries are believed.
const MOST_ENTRIES: usize = 20_000_000;

/// So many bytes of entries may come from folders that were met before, whatever the snapshot.
const REPEATED_FREE: u64 = 256 << 20;

/// And so many times the bytes of those met for the first time: many copies of a folder are honest,
/// a folder that holds itself twice over in forty generations is not.
const REPEATED_TIMES: u64 = 64;

/// One entry that shall be made.
#[derive(Debug)]
pub(super) struct Planned {
    /// Below the target, parts joined by `/`.
    pub(super) path: Vec<u8>,
    pub(super) node: Node,
    wanted: Wanted,
}

impl Planned {
    /// Whether all that is below is wanted too.
    pub(super) fn is_whole(&self) -> bool {
        self.wanted == Wanted::Yes
    }
}

/// Everything that shall be made.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) entries: Vec<Planned>,
    /// What of the trees is missing or must not be believed.
    pub(super) damaged: Vec<Place>,
    /// The folders around the entry added last, each with the names seen in it.
    around: Vec<(Vec<u8>, HashSet<Vec<u8>>)>,
    repetition: Repetition,
}

/// How much of a plan is the same trees again: unfolded, a few stored bytes fill any memory.
#[derive(Debug, Default)]
struct Repetition {
    trees: HashSet<BlobId>,
    /// The outermost folder around the next entry whose tree was met before.
    within: Option<Vec<u8>>,
    first_bytes: u64,
    repeated_bytes: u64,
}

impl Repetition {
    /// Counts one entry; whether all is still believable.
    fn count(&mut self, path: &[u8], node: &Node) -> bool {
        if self.within.as_ref().is_some_and(|folder| !encloses(folder, path)) {
            self.within = None;
        }
        let bytes = weight(path, node);
        match self.within {
            Some(_) => self.repeated_bytes += bytes,
            None => self.first_bytes += bytes,
        }
        if let NodeKind::Dir { subtree } = node.kind
            && !self.trees.insert(subtree)
            && self.within.is_none()
        {
            self.within = Some(path.to_vec());
        }
        let most = self.first_bytes.saturating_mul(REPEATED_TIMES).saturating_add(REPEATED_FREE);
        self.repeated_bytes <= most
    }
}

/// The memory that an entry of the plan takes, in bytes.
fn weight(path: &[u8], node: &Node) -> u64 {
    let own = match &node.kind {
        NodeKind::File { content, .. } => size_of_val(content.as_slice()),
        NodeKind::Symlink { target } => target.len(),
        _ => 0,
    };
    let xattrs: usize = node.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
    let texts = path.len() + 2 * node.name.len() + node.user.len() + node.group.len();
    (size_of::<Planned>() + own + xattrs + texts) as u64
}

impl Plan {
    /// Reads all trees below `root`. A tree that cannot be read is damage, unless the store is out
    /// of reach. That nothing at all is selected is an error.
    pub(super) async fn read(
        reader: &Reader,
        root: BlobId,
        select: &Select,
    ) -> Result<Self, Error> {
        let selection = Selection::new(select)?;
        let mut plan = Self::default();
        let mut walk = reader.walk(root);
        while let Some(next) = walk.next().await {
            match next {
                Ok(entry) => {
                    if plan.add(entry.path, entry.node, &selection)? == Wanted::No {
                        walk.skip_content();
                    }
                }
                Err(error) if error.source.is_environment() => {
                    return Err(Error::Trees(error.into()));
                }
                Err(error) => plan.damaged.push(Place {
                    object: format!("folder {}", shown(&error.path)),
                    what: chain(&error.source),
                }),
            }
        }
        plan.leave_out_empty_ways();
        if plan.entries.is_empty() && plan.damaged.is_empty() && *select != Select::Everything {
            let selection = match select {
                Select::Everything => String::new(),
                Select::Source(name) => format!("the source {name}"),
                Select::Patterns(patterns) => format!("the patterns {}", patterns.join(" ")),
            };
            return Err(Error::Nothing { selection });
        }
        Ok(plan)
    }

    /// Adds one entry; `No`: it was refused or is not wanted, nor is what is below it.
    pub(super) fn add(
        &mut self,
        path: Vec<u8>,
        node: Node,
        selection: &Selection,
    ) -> Result<Wanted, Error> {
        if self.entries.len() >= MOST_ENTRIES {
            return Err(Error::TooMany { limit: MOST_ENTRIES });
        }
        if !self.repetition.count(&path, &node) {
            let (path, entries) = (shown(&path), self.entries.len());
            return Err(Error::Repeating { path, entries });
        }
        let (folder, name) = split(&path);
        if !is_name(&node.name) || name != node.name {
            self.damaged.push(Place {
                object: format!("entry {}", shown(&path)),
                what: "has a name that leads elsewhere".to_owned(),
            });
            return Ok(Wanted::No);
        }
        while self.around.last().is_some_and(|(around, _)| around != folder) {
            // Left for good: a walk depth first does not come back. A folder not left encloses.
            if self.around.last().is_some_and(|(around, _)| encloses(around, folder)) {
                break;
            }
            self.around.pop();
        }
        if self.around.last().is_none_or(|(around, _)| around != folder) {
            self.around.push((folder.to_vec(), HashSet::new()));
        }
        let first = self.around.last_mut().is_some_and(|(_, seen)| seen.insert(name.to_vec()));
        if !first {
            self.damaged.push(Place {
                object: format!("entry {}", shown(&path)),
                what: "is there twice; the first was taken".to_owned(),
            });
            return Ok(Wanted::No);
        }
        let is_dir = matches!(node.kind, NodeKind::Dir { .. });
        let wanted = selection.wants(&path, is_dir);
        if wanted != Wanted::No {
            self.entries.push(Planned { path, node, wanted });
        }
        Ok(wanted)
    }

    /// Bytes that the content will take on disk at most: a blob that comes again in the same file
    /// is taken for a hole.
    pub(super) fn stored_bytes(&self, reader: &Reader) -> u64 {
        let mut links = HashSet::new();
        let mut bytes = 0u64;
        for Planned { node, .. } in &self.entries {
            let NodeKind::File { content, .. } = &node.kind else { continue };
            if node.links > 1 && !links.insert((node.device_id, node.inode)) {
                continue;
            }
            let distinct: HashSet<_> = content.iter().collect();
            for blob in distinct {
                bytes = bytes.saturating_add(reader.plain_bytes(BlobKind::Data, blob).unwrap_or(0));
            }
        }
        bytes
    }

    /// Folders that were only passed through are kept where something below them is wanted.
    fn leave_out_empty_ways(&mut self) {
        let mut behind: Option<Vec<u8>> = None;
        let mut keep = vec![false; self.entries.len()];
        for (entry, keep) in self.entries.iter().zip(&mut keep).rev() {
            *keep = entry.wanted == Wanted::Yes
                || behind.as_ref().is_some_and(|behind| encloses(&entry.path, behind));
            if *keep {
                behind = Some(entry.path.clone());
            }
        }
        let mut keep = keep.into_iter();
        self.entries.retain(|_| keep.next().unwrap_or(true));
    }
}

/// Whether `path` is or lies below `folder`; the empty path is the root.
fn encloses(folder: &[u8], path: &[u8]) -> bool {
    folder.is_empty()
        || path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
}

/// A path as a person reads it.
pub(super) fn shown(path: &[u8]) -> String {
    String::from_utf8_lossy(path).into_owned()
}

/// An entry as reports name it: its kind and its path in the snapshot.
pub(super) fn object(planned: &Planned) -> String {
    let kind = match planned.node.kind {
        NodeKind::File { .. } => "file",
        NodeKind::Dir { .. } => "folder",
        NodeKind::Symlink { .. } => "link",
        NodeKind::Device { .. } | NodeKind::CharDevice { .. } => "device",
        NodeKind::Fifo => "fifo",
        NodeKind::Socket => "socket",
    };
    format!("{kind} {}", shown(&planned.path))
}
