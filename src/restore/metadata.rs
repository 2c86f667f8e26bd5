//! Metadata of restored entries: owner, attributes, mode, times, in the order in which they do not
//! undo each other.

use std::io;

use jiff::Timestamp;
use rustix::fs::{AtFlags, Gid, Mode, OFlags, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};

use super::Fidelity;
use super::plan::Planned;
use super::target::Target;
use crate::repo::{Node, NodeKind};
use crate::source::files::disk;

/// What of an entry's metadata is to be set, and what was left out as a class.
#[derive(Debug, Default)]
pub(super) struct Setting {
    owners_left_out: u64,
    special_bits_left_out: u64,
    attributes_left_out: u64,
}

impl Setting {
    /// Sets an entry's metadata; returns what this machine refused.
    pub(super) fn apply(
        &mut self,
        target: &Target,
        planned: &Planned,
    ) -> io::Result<Vec<(&'static str, io::Error)>> {
        let node = &planned.node;
        let (folder, name) = target.place(&planned.path)?;
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let entry = rustix::fs::openat(&folder, &name, flags, Mode::empty())?;
        let mut refused = Vec::new();
        let mut note = |what, outcome: Result<(), rustix::io::Errno>| {
            if let Err(error) = outcome {
                refused.push((what, error.into()));
            }
        };
        if is_privileged(target) {
            // First: it clears set-id bits and file capabilities, chown(2).
            let (uid, gid) =
                (owner(node.uid).map(Uid::from_raw), owner(node.gid).map(Gid::from_raw));
            note("its owner", rustix::fs::chownat(&entry, c"", uid, gid, AtFlags::EMPTY_PATH));
        } else {
            self.owners_left_out += 1;
        }
        let by_name = disk::proc_path(&folder, &name);
        for (attribute, value) in &node.xattrs {
            if target.fidelity == Fidelity::Drill && !is_common(attribute) {
                self.attributes_left_out += 1;
                continue;
            }
            let set =
                rustix::fs::lsetxattr(&by_name, attribute.as_slice(), value, XattrFlags::empty());
            note("an extended attribute", set);
        }
        if !matches!(node.kind, NodeKind::Symlink { .. }) {
            let mode = node.mode & mode_mask(target);
            self.special_bits_left_out += u64::from(mode != node.mode & 0o7777);
            // The descriptor is of the entry itself, so following it leads nowhere else.
            let itself = disk::proc_fd(&entry);
            note("its mode", rustix::fs::chmod(&itself, Mode::from_raw_mode(mode)));
        }
        let times = rustix::fs::utimensat(&folder, &name, &times(node), AtFlags::SYMLINK_NOFOLLOW);
        note("its times", times);
        Ok(refused)
    }

    /// What was left out, for [`super::Restored::notes`].
    pub(super) fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let mut note = |count: u64, what: &str| {
            if count > 0 {
                notes.push(format!("{what} of {count} entries were not restored"));
            }
        };
        note(self.owners_left_out, "owners");
        note(self.special_bits_left_out, "set-id and sticky bits");
        note(self.attributes_left_out, "attributes that only root may set");
        notes
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

fn times(node: &Node) -> Timestamps {
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
