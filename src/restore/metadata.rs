//! Metadata of restored entries: owner, attributes, mode, times, in the order in which they do not
//! undo each other.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use jiff::Timestamp;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};

use super::Fidelity;
use super::entry::{Item, Kind};
use super::plan::Planned;
use super::target::Target;
use crate::source::files::disk;

/// What of the entries' metadata is set, and what was left out as a class; shared by threads.
#[derive(Debug, Default)]
pub(super) struct Setting {
    owners_left_out: AtomicU64,
    special_bits_left_out: AtomicU64,
    attributes_left_out: AtomicU64,
}

/// What this machine refused, and why.
pub(super) type Refused = Vec<(&'static str, io::Error)>;

impl Setting {
    /// Sets the metadata of an entry by its name.
    pub(super) fn apply(&self, target: &Target, planned: &Planned<'_>) -> io::Result<Refused> {
        let node = &planned.node;
        let (folder, name) = target.place(&planned.path)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let entry = rustix::fs::openat(&folder, &name, flags, Mode::empty())?;
        let mut refused = Refused::new();
        if let Some((uid, gid)) = self.owners(target, node) {
            let owned = rustix::fs::chownat(&entry, c"", uid, gid, AtFlags::EMPTY_PATH);
            note(&mut refused, "its owner", owned);
        }
        let by_name = disk::proc_path(&folder, &name);
        for (attribute, value) in self.attributes(target, node) {
            let set = rustix::fs::lsetxattr(&by_name, attribute, value, XattrFlags::empty());
            note(&mut refused, "an extended attribute", set);
        }
        if !matches!(node.kind, Kind::Symlink { .. }) {
            // The descriptor is of the entry itself, so following it leads nowhere else.
            let itself = disk::proc_fd(&entry);
            note(&mut refused, "its mode", rustix::fs::chmod(&itself, self.mode(target, node)));
        }
        let times = rustix::fs::utimensat(&folder, &name, &times(node), AtFlags::SYMLINK_NOFOLLOW);
        note(&mut refused, "its times", times);
        Ok(refused)
    }

    /// Sets the metadata of a file that is open, once all is written.
    pub(super) fn apply_to_file(&self, target: &Target, node: &Item<'_>, file: &File) -> Refused {
        let mut refused = Refused::new();
        if let Some((uid, gid)) = self.owners(target, node) {
            note(&mut refused, "its owner", rustix::fs::fchown(file, uid, gid));
        }
        for (attribute, value) in self.attributes(target, node) {
            let set = rustix::fs::fsetxattr(file, attribute, value, XattrFlags::empty());
            note(&mut refused, "an extended attribute", set);
        }
        note(&mut refused, "its mode", rustix::fs::fchmod(file, self.mode(target, node)));
        note(&mut refused, "its times", rustix::fs::futimens(file, &times(node)));
        refused
    }

    /// The owners to be set, first of all: it clears set-id bits and file capabilities, chown(2).
    fn owners(&self, target: &Target, node: &Item<'_>) -> Option<(Option<Uid>, Option<Gid>)> {
        if !is_privileged(target) {
            self.owners_left_out.fetch_add(1, Ordering::Relaxed);
            return None;
        }
        Some((owner(node.uid).map(Uid::from_raw), owner(node.gid).map(Gid::from_raw)))
    }

    fn attributes<'n>(
        &self,
        target: &Target,
        node: &Item<'n>,
    ) -> impl Iterator<Item = (&'n [u8], &'n [u8])> {
        let is_drill = target.fidelity == Fidelity::Drill;
        let all = node.xattrs.iter().map(|(name, value)| (&name[..], &value[..]));
        all.filter(move |(name, _)| {
            let left_out = is_drill && !is_common(name);
            self.attributes_left_out.fetch_add(left_out.into(), Ordering::Relaxed);
            !left_out
        })
    }

    fn mode(&self, target: &Target, node: &Item<'_>) -> Mode {
        let mode = node.mode & mode_mask(target);
        self.special_bits_left_out.fetch_add((mode != node.mode).into(), Ordering::Relaxed);
        Mode::from_raw_mode(mode)
    }

    /// What was left out, for [`super::Restored::notes`].
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let mut note = |count: &AtomicU64, what: &str| {
            let count = count.load(Ordering::Relaxed);
            if count > 0 {
                notes.push(format!("{what} of {count} entries were not restored"));
            }
        };
        note(&self.owners_left_out, "owners");
        note(&self.special_bits_left_out, "set-id and sticky bits");
        note(&self.attributes_left_out, "attributes that only root may set");
        notes
    }
}

fn note(refused: &mut Refused, what: &'static str, outcome: Result<(), rustix::io::Errno>) {
    if let Err(error) = outcome {
        refused.push((what, error.into()));
    }
}

/// Whether owners and set-id bits are restored.
pub(super) fn is_privileged(target: &Target) -> bool {
    target.is_root && target.fidelity == Fidelity::Full
}

/// The mode's bits that are restored, and compared.
pub(super) fn mode_mask(target: &Target) -> u32 {
    if is_privileged(target) { 0o7777 } else { 0o777 }
}

/// Attributes that an owner may set: users' own and ACLs. xattr(7), acl(5).
pub(super) fn is_common(attribute: &[u8]) -> bool {
    attribute.starts_with(b"user.") || attribute.starts_with(b"system.posix_acl_")
}

/// All ones would mean "leave as it is": chown(2).
fn owner(id: u32) -> Option<u32> {
    (id != u32::MAX).then_some(id)
}

fn times(node: &Item<'_>) -> Timestamps {
    Timestamps {
        last_access: timespec(node.atime.or(node.mtime)),
        last_modification: timespec(node.mtime),
    }
}

fn timespec(time: Option<Timestamp>) -> Timespec {
    let Some(time) = time else { return Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT } };
    // Nanoseconds count upwards from the second, also before 1970.
    let (second, nanosecond) = (time.as_second(), time.subsec_nanosecond());
    if nanosecond < 0 {
        Timespec { tv_sec: second - 1, tv_nsec: (nanosecond + 1_000_000_000).into() }
    } else {
        Timespec { tv_sec: second, tv_nsec: nanosecond.into() }
    }
}
