//! The plan: what a snapshot's trees say shall be made, validated.
//!
//! In: trees, as hostile as can be. Out: entries whose paths are made of safe names, each once, a
//! folder before what is in it.

use std::collections::HashSet;

use super::entry::{Entries, Folder, Item, Kind, weight};
use super::select::{Selection, Wanted};
use super::{Error, Select};
use crate::ground::causes::chain;
use crate::repo::{BlobId, BlobKind, Node, NodeKind, ReadError, Reader, Unreadable};
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
pub(super) struct Planned<'p> {
    /// Below the target, parts joined by `/`.
    pub(super) path: Vec<u8>,
    pub(super) node: Item<'p>,
    wanted: Wanted,
}

impl Planned<'_> {
    /// Whether all that is below is wanted too.
    pub(super) fn is_whole(&self) -> bool {
        self.wanted == Wanted::Yes
    }
}

/// Everything that shall be made.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) entries: Entries,
    /// What of the trees is missing or must not be believed.
    pub(super) damaged: Vec<Place>,
    /// The folders around the entry added last.
    around: Vec<Around>,
    /// The entry added last, with its path.
    last: Option<(Vec<u8>, u32)>,
    repetition: Repetition,
}

/// A folder that is being filled.
#[derive(Debug)]
struct Around {
    path: Vec<u8>,
    folder: Folder,
    names: Names,
}

/// The names that were met in one folder.
#[derive(Debug)]
enum Names {
    /// They came in order, as honest trees have them: the last tells whether the next is new.
    InOrder {
        last: Vec<u8>,
    },
    Any(HashSet<Vec<u8>>),
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
        let bytes = (path.len() + node.name.len()) as u64 + weight(node);
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

impl Plan {
    /// Reads all trees below `root`. A tree that cannot be read is damage, unless the store is out
    /// of reach, or has it and cannot give it and that `Ends` the reading. That nothing at all is selected is an error.
    pub(super) async fn read(
        reader: &Reader,
        root: BlobId,
        select: &Select,
        unreadable: Unreadable,
    ) -> Result<Self, Error> {
        let selection = Selection::new(select)?;
        let skips = |error: &ReadError| unreadable == Unreadable::Skipped && error.is_of_one_pack();
        let mut plan = Self::default();
        let mut walk = reader.walk(root);
        while let Some(next) = walk.next().await {
            match next {
                Ok(entry) => {
                    if plan.add(entry.path, entry.node, &selection)? == Wanted::No {
                        walk.skip_content();
                    }
                }
                Err(error) if error.source.is_environment() && !skips(&error.source) => {
                    return Err(Error::Trees(error.into()));
                }
                Err(error) => plan.damaged.push(Place {
                    object: format!("folder {}", shown(&error.path)),
                    what: chain(&error.source),
                }),
            }
        }
        plan.leave_out_empty_ways();
        (plan.around, plan.last) = (Vec::new(), None);
        plan.repetition = Repetition::default();
        if plan.entries.len() == 0 && plan.damaged.is_empty() && *select != Select::Everything {
            let selection = match select {
                Select::Everything => String::new(),
                Select::Source(name) => format!("the source {name}"),
                Select::File(path) => format!("the file {path}"),
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
        self.enter(folder);
        if !self.is_new(name) {
            self.damaged.push(Place {
                object: format!("entry {}", shown(&path)),
                what: "is there twice; the first was taken".to_owned(),
            });
            return Ok(Wanted::No);
        }
        let is_dir = matches!(node.kind, NodeKind::Dir { .. });
        let wanted = selection.wants(&path, is_dir);
        if wanted != Wanted::No {
            let folder = self.around.last().map_or(Folder::Target, |around| around.folder.clone());
            let index = self.entries.push(folder, node, wanted);
            self.last = Some((path, index));
        }
        Ok(wanted)
    }

    /// Makes `folder` the innermost of [`Self::around`].
    fn enter(&mut self, folder: &[u8]) {
        while self.around.last().is_some_and(|around| around.path != folder) {
            // Left for good: a walk depth first does not come back. A folder not left encloses.
            if self.around.last().is_some_and(|around| encloses(&around.path, folder)) {
                break;
            }
            self.around.pop();
        }
        if self.around.last().is_some_and(|around| around.path == folder) {
            return;
        }
        let place = match &self.last {
            _ if folder.is_empty() => Folder::Target,
            Some((path, index)) if path == folder => Folder::Entry(*index),
            _ => Folder::Path(folder.to_vec()),
        };
        let names = Names::InOrder { last: Vec::new() };
        self.around.push(Around { path: folder.to_vec(), folder: place, names });
    }

    /// Whether no entry of the innermost folder has this name; it has one then.
    fn is_new(&mut self, name: &[u8]) -> bool {
        let Some(around) = self.around.last_mut() else { return true };
        match &mut around.names {
            Names::InOrder { last } if name > last.as_slice() => {
                last.clear();
                last.extend_from_slice(name);
                true
            }
            Names::InOrder { .. } => {
                // What is in a folder comes after it: a search from the begin for each of very many
                // folders would take for ever.
                let first = match &around.folder {
                    Folder::Entry(folder) => *folder as usize + 1,
                    Folder::Target | Folder::Path(_) => 0,
                };
                let inside = (first..self.entries.len())
                    .filter(|index| self.entries.folder(*index) == around.folder);
                let mut names: HashSet<_> =
                    inside.map(|index| self.entries.name(index).to_vec()).collect();
                let is_new = names.insert(name.to_vec());
                around.names = Names::Any(names);
                is_new
            }
            Names::Any(names) => names.insert(name.to_vec()),
        }
    }

    /// The entry at this place.
    pub(super) fn at(&self, index: usize) -> Planned<'_> {
        let entries = &self.entries;
        Planned {
            path: entries.path(index),
            node: entries.item(index),
            wanted: entries.wanted(index),
        }
    }

    /// All entries, a folder before what is in it.
    pub(super) fn all(&self) -> impl DoubleEndedIterator<Item = Planned<'_>> + ExactSizeIterator {
        (0..self.entries.len()).map(|index| self.at(index))
    }

    /// Bytes that the content will take on disk at most: a blob that comes again in the same file
    /// is taken for a hole.
    pub(super) fn stored_bytes(&self, reader: &Reader) -> u64 {
        let mut links = HashSet::new();
        let mut bytes = 0u64;
        let length = |blob| reader.plain_bytes(BlobKind::Data, blob).unwrap_or(0);
        for node in (0..self.entries.len()).map(|index| self.entries.item(index)) {
            let Kind::File { content, .. } = node.kind else { continue };
            if node.linked.is_some_and(|linked| !links.insert(linked)) {
                continue;
            }
            if let [blob] = content {
                bytes = bytes.saturating_add(length(blob));
                continue;
            }
            let distinct: HashSet<_> = content.iter().collect();
            for blob in distinct {
                bytes = bytes.saturating_add(length(blob));
            }
        }
        bytes
    }

    /// Folders that were only passed through are kept where something below them is wanted.
    fn leave_out_empty_ways(&mut self) {
        if (0..self.entries.len()).all(|index| self.entries.wanted(index) == Wanted::Yes) {
            return;
        }
        let mut keep = vec![false; self.entries.len()];
        for index in (0..self.entries.len()).rev() {
            keep[index] |= self.entries.wanted(index) == Wanted::Yes;
            if keep[index]
                && let Folder::Entry(folder) = self.entries.folder(index)
            {
                keep[folder as usize] = true;
            }
        }
        self.entries.retain(&keep);
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
pub(super) fn object(planned: &Planned<'_>) -> String {
    let kind = match planned.node.kind {
        Kind::File { .. } => "file",
        Kind::Dir => "folder",
        Kind::Symlink { .. } => "link",
        Kind::Device { .. } | Kind::CharDevice { .. } => "device",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
    };
    format!("{kind} {}", shown(&planned.path))
}
