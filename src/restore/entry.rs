//! The plan's entries, packed: a million of them take some 100 MB with their names and contents.
//!
//! In: nodes with their places, folders first. Out: views of them. No name is kept twice, and what
//! few entries have lies beside them.

use std::collections::HashMap;

use jiff::Timestamp;

use super::select::Wanted;
use crate::repo::{BlobId, Node, NodeKind};

/// One entry as it shall be made.
#[derive(Debug)]
pub(super) struct Item<'p> {
    pub(super) kind: Kind<'p>,
    /// `st_mode & 0o7777`.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Option<Timestamp>,
    pub(super) atime: Option<Timestamp>,
    pub(super) xattrs: &'p [(Vec<u8>, Vec<u8>)],
    /// Device and inode of what has several names.
    pub(super) linked: Option<(u64, u64)>,
}

/// As [`NodeKind`], borrowed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind<'p> {
    File { size: u64, content: &'p [BlobId] },
    Dir,
    Symlink { target: &'p [u8] },
    Device { number: u64 },
    CharDevice { number: u64 },
    Fifo,
    Socket,
}

/// Where an entry lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Folder {
    Target,
    /// In an entry before it.
    Entry(u32),
    /// In a folder that is no entry: a hostile plan.
    Path(Vec<u8>),
}

/// Entries in the order in which they were added.
#[derive(Debug, Default)]
pub(super) struct Entries {
    packed: Vec<Packed>,
    /// Names, and where links lead.
    names: Vec<u8>,
    /// The contents of all files, one after the other.
    blobs: Vec<BlobId>,
    rare: HashMap<u32, Rare>,
}

#[derive(Debug, Clone)]
struct Packed {
    name_begin: u64,
    /// A file's size, a device's number, the length of a link's target.
    detail: u64,
    second: i64,
    /// [`NO_TIME`] where there is none.
    nanosecond: i32,
    name_length: u32,
    folder: u32,
    uid: u32,
    gid: u32,
    content_begin: u32,
    content_length: u32,
    mode: u16,
    kind: Tag,
    wanted: Wanted,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Tag {
    File,
    Dir,
    Symlink,
    Device,
    CharDevice,
    Fifo,
    Socket,
}

/// What few entries have.
#[derive(Debug, Default, PartialEq, Eq)]
struct Rare {
    folder: Option<Vec<u8>>,
    atime: Option<Timestamp>,
    linked: Option<(u64, u64)>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

const TARGET: u32 = u32::MAX;
const ELSEWHERE: u32 = u32::MAX - 1;
const NO_TIME: i32 = i32::MAX;

/// The memory that an entry of a node takes, in bytes, without its name.
pub(super) fn weight(node: &Node) -> u64 {
    let own = match &node.kind {
        NodeKind::File { content, .. } => size_of_val(content.as_slice()),
        NodeKind::Symlink { target } => target.len(),
        _ => 0,
    };
    let xattrs: usize = node.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
    (size_of::<Packed>() + own + xattrs) as u64
}

impl Entries {
    pub(super) fn len(&self) -> usize {
        self.packed.len()
    }

    /// Adds an entry; returns its place.
    pub(super) fn push(&mut self, folder: Folder, node: Node, wanted: Wanted) -> u32 {
        let index = u32::try_from(self.packed.len()).expect("a plan has fewer entries");
        let begin = |length: usize| u32::try_from(length).expect("a plan has fewer blobs");
        let (name_begin, content_begin) = (self.names.len() as u64, begin(self.blobs.len()));
        self.names.extend_from_slice(&node.name);
        let (kind, detail) = match node.kind {
            NodeKind::File { size, content } => {
                self.blobs.extend_from_slice(&content);
                (Tag::File, size)
            }
            NodeKind::Dir { .. } => (Tag::Dir, 0),
            NodeKind::Symlink { target } => {
                self.names.extend_from_slice(&target);
                (Tag::Symlink, target.len() as u64)
            }
            NodeKind::Device { number } => (Tag::Device, number),
            NodeKind::CharDevice { number } => (Tag::CharDevice, number),
            NodeKind::Fifo => (Tag::Fifo, 0),
            NodeKind::Socket => (Tag::Socket, 0),
        };
        let (folder, path) = match folder {
            Folder::Target => (TARGET, None),
            Folder::Entry(index) => (index, None),
            Folder::Path(path) => (ELSEWHERE, Some(path)),
        };
        let is_linked = kind == Tag::File && node.links > 1 && node.inode != 0;
        let rare = Rare {
            folder: path,
            atime: node.atime.filter(|atime| node.mtime != Some(*atime)),
            linked: is_linked.then_some((node.device_id, node.inode)),
            xattrs: node.xattrs,
        };
        if rare != Rare::default() {
            self.rare.insert(index, rare);
        }
        self.packed.push(Packed {
            name_begin,
            name_length: begin(node.name.len()),
            detail,
            second: node.mtime.map_or(0, |time| time.as_second()),
            nanosecond: node.mtime.map_or(NO_TIME, |time| time.subsec_nanosecond()),
            folder,
            uid: node.uid,
            gid: node.gid,
            content_begin,
            content_length: begin(self.blobs.len()) - content_begin,
            mode: (node.mode & 0o7777) as u16,
            kind,
            wanted,
        });
        index
    }

    pub(super) fn item(&self, index: usize) -> Item<'_> {
        let packed = &self.packed[index];
        let rare = self.rare.get(&(index as u32));
        let mtime = match packed.nanosecond {
            NO_TIME => None,
            nanosecond => Timestamp::new(packed.second, nanosecond).ok(),
        };
        let kind = match packed.kind {
            Tag::File => Kind::File { size: packed.detail, content: self.content(index) },
            Tag::Dir => Kind::Dir,
            Tag::Symlink => {
                let begin = packed.name_begin as usize + packed.name_length as usize;
                Kind::Symlink { target: &self.names[begin..begin + packed.detail as usize] }
            }
            Tag::Device => Kind::Device { number: packed.detail },
            Tag::CharDevice => Kind::CharDevice { number: packed.detail },
            Tag::Fifo => Kind::Fifo,
            Tag::Socket => Kind::Socket,
        };
        Item {
            kind,
            mode: packed.mode.into(),
            uid: packed.uid,
            gid: packed.gid,
            mtime,
            atime: rare.and_then(|rare| rare.atime).or(mtime),
            xattrs: rare.map_or(&[], |rare| &rare.xattrs),
            linked: rare.and_then(|rare| rare.linked),
        }
    }

    pub(super) fn wanted(&self, index: usize) -> Wanted {
        self.packed[index].wanted
    }

    pub(super) fn name(&self, index: usize) -> &[u8] {
        let packed = &self.packed[index];
        let begin = packed.name_begin as usize;
        &self.names[begin..begin + packed.name_length as usize]
    }

    pub(super) fn folder(&self, index: usize) -> Folder {
        match self.packed[index].folder {
            TARGET => Folder::Target,
            ELSEWHERE => {
                let rare = self.rare.get(&(index as u32));
                Folder::Path(rare.and_then(|rare| rare.folder.clone()).unwrap_or_default())
            }
            folder => Folder::Entry(folder),
        }
    }

    /// Below the target, parts joined by `/`.
    pub(super) fn path(&self, index: usize) -> Vec<u8> {
        let mut path = match self.folder(index) {
            Folder::Target => Vec::new(),
            Folder::Entry(folder) => self.path(folder as usize),
            Folder::Path(path) => path,
        };
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(self.name(index));
        path
    }

    /// The contents of all files, one after the other.
    pub(super) fn blobs(&self) -> &[BlobId] {
        &self.blobs
    }

    /// The blobs of an entry's content.
    pub(super) fn content(&self, index: usize) -> &[BlobId] {
        &self.blobs[self.content_places(index)]
    }

    /// The places of an entry's content among all.
    pub(super) fn content_places(&self, index: usize) -> std::ops::Range<usize> {
        let packed = &self.packed[index];
        let begin = packed.content_begin as usize;
        begin..begin + packed.content_length as usize
    }

    /// The entry whose content holds the blob at this place.
    pub(super) fn holder(&self, place: u32) -> usize {
        self.packed.partition_point(|packed| packed.content_begin <= place).saturating_sub(1)
    }

    /// Forgets the contents of all files but those that `keep` names.
    pub(super) fn keep_contents(&mut self, keep: impl Fn(usize) -> bool) {
        let mut kept = 0;
        for (index, packed) in self.packed.iter_mut().enumerate() {
            let begin = packed.content_begin as usize;
            let length = if keep(index) { packed.content_length as usize } else { 0 };
            self.blobs.copy_within(begin..begin + length, kept);
            (packed.content_begin, packed.content_length) = (kept as u32, length as u32);
            kept += length;
        }
        self.blobs.truncate(kept);
    }

    /// Takes out the entries, all of them folders, that `keep` does not name; of a folder that goes
    /// everything in it goes too.
    pub(super) fn retain(&mut self, keep: &[bool]) {
        let mut places = Vec::with_capacity(keep.len());
        let mut next = 0;
        for keep in keep {
            places.push(next);
            next += u32::from(*keep);
        }
        let mut kept = keep.iter();
        self.packed.retain(|_| kept.next().copied().unwrap_or(true));
        for packed in &mut self.packed {
            if let Some(place) = places.get(packed.folder as usize) {
                packed.folder = *place;
            }
        }
        let rare = std::mem::take(&mut self.rare).into_iter();
        let rare = rare.filter(|(index, _)| keep[*index as usize]);
        self.rare = rare.map(|(index, rare)| (places[index as usize], rare)).collect();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::digest::Digest;
    use crate::restore::tests::bench::{DIR, node};

    fn blob(number: u8) -> BlobId {
        BlobId(Digest::of(&[number]))
    }

    fn file(name: &str, blobs: &[u8]) -> Node {
        let content = blobs.iter().map(|number| blob(*number)).collect();
        node(name.as_bytes(), NodeKind::File { size: blobs.len() as u64, content })
    }

    #[test]
    fn entries_come_out_as_they_went_in() {
        let mut entries = Entries::default();
        let time = |second| Timestamp::new(second, 5).ok();
        let mut with_all = file("b", &[1, 2]);
        (with_all.mtime, with_all.atime) = (time(-7), time(9));
        (with_all.links, with_all.inode, with_all.device_id) = (2, 3, 4);
        with_all.xattrs = vec![(b"user.x".to_vec(), b"y".to_vec())];
        let link = node(b"l", NodeKind::Symlink { target: b"/to".to_vec() });

        entries.push(Folder::Target, node(b"a", DIR), Wanted::Yes);
        entries.push(Folder::Entry(0), with_all, Wanted::Yes);
        entries.push(Folder::Entry(0), link, Wanted::Yes);
        entries.push(Folder::Path(b"x/y".to_vec()), file("z", &[3]), Wanted::Yes);

        let paths: Vec<_> = (0..4).map(|index| entries.path(index)).collect();
        assert_eq!(paths, [&b"a"[..], b"a/b", b"a/l", b"x/y/z"]);
        let item = entries.item(1);
        assert_eq!((item.mtime, item.atime, item.linked), (time(-7), time(9), Some((4, 3))));
        assert_eq!(item.xattrs, [(b"user.x".to_vec(), b"y".to_vec())]);
        assert!(
            matches!(item.kind, Kind::File { size: 2, content } if content == [blob(1), blob(2)])
        );
        assert!(matches!(entries.item(2).kind, Kind::Symlink { target: b"/to" }));
        assert_eq!([0, 1, 2].map(|place| entries.holder(place)), [1, 1, 3]);
    }

    #[test]
    fn contents_that_are_not_kept_leave_the_others_in_their_files() {
        let mut entries = Entries::default();
        for (name, blobs) in [("a", &[1][..]), ("b", &[2, 3]), ("c", &[]), ("d", &[4, 5])] {
            entries.push(Folder::Target, file(name, blobs), Wanted::Yes);
        }

        entries.keep_contents(|index| index != 1);

        assert_eq!(entries.blobs(), [blob(1), blob(4), blob(5)]);
        assert_eq!([0, 1, 2].map(|place| entries.holder(place)), [0, 3, 3]);
        assert_eq!(entries.content(3), [blob(4), blob(5)]);
    }

    #[test]
    fn folders_that_go_leave_the_others_where_they_are() {
        let mut entries = Entries::default();
        entries.push(Folder::Target, node(b"gone", DIR), Wanted::Below);
        entries.push(Folder::Target, node(b"kept", DIR), Wanted::Below);
        let mut inner = node(b"inner", DIR);
        inner.xattrs = vec![(b"user.x".to_vec(), Vec::new())];
        entries.push(Folder::Entry(1), inner, Wanted::Yes);

        entries.retain(&[false, true, true]);

        assert_eq!([entries.path(0), entries.path(1)], [b"kept".to_vec(), b"kept/inner".to_vec()]);
        assert_eq!((entries.item(1).xattrs.len(), entries.item(0).xattrs.len()), (1, 0));
    }
}
