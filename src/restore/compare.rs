//! Comparing a folder on disk with a plan: what is missing, extra or of another kind, size or
//! metadata. Blocking.

use std::collections::{HashMap, HashSet};

use rustix::fs::{FileType, Stat, XattrFlags};
use rustix::io::Errno;

use super::entry::{Folder, Kind};
use super::metadata::{is_common, is_privileged, mode_mask};
use super::plan::{Plan, Planned, object, shown};
use super::recheck::Compared;
use super::reread::{Length, reread};
use super::target::Target;
use super::{Error, Occupied, Request, Select};
use crate::ground::progress::Progress;
use crate::source::Place;
use crate::source::files::disk;

/// Stands for the target's own folder, which is no entry.
const TARGET: usize = usize::MAX;

/// One comparison under way.
pub(super) struct Comparing<'a> {
    target: &'a Target,
    plan: &'a Plan,
    request: &'a Request,
    length: Length<'a>,
    user_attributes: bool,
    devices_left_out: u64,
    /// By the entry's place in the plan, so that the order does not depend on threads.
    differences: Vec<(usize, Place)>,
}

impl<'a> Comparing<'a> {
    pub(super) fn new(
        target: &'a Target,
        plan: &'a Plan,
        request: &'a Request,
        length: Length<'a>,
    ) -> Self {
        let user_attributes = target.folder(b"").is_ok_and(|root| holds_user_attributes(&root));
        Self {
            target,
            plan,
            request,
            length,
            user_attributes,
            devices_left_out: 0,
            differences: Vec::new(),
        }
    }

    pub(super) fn run(mut self, progress: &dyn Progress) -> Result<Compared, Error> {
        let damaged = self.plan.damaged.iter().cloned().map(|place| (usize::MAX, place));
        self.differences.extend(damaged);
        let mut readable = Vec::new();
        for (index, planned) in self.plan.all().enumerate() {
            self.request.check_interrupted()?;
            if self.look_at(index, &planned)? {
                readable.push(index);
            }
        }
        self.find_extra()?;
        let interrupted = &*self.request.interrupted;
        let reread = reread(self.target, self.plan, self.length, &readable, interrupted, progress)?;
        self.differences.extend(reread.differences);
        self.differences.sort_by_key(|(index, _)| *index);
        Ok(Compared {
            entries: self.plan.entries.len() as u64 - self.devices_left_out,
            files: readable.len() as u64,
            bytes: reread.bytes,
            total_differences: self.differences.len() as u64,
            not_compared: self.not_compared(),
            differences: self
                .differences
                .into_iter()
                .map(|(_, place)| place)
                .take(Compared::MOST)
                .collect(),
        })
    }

    /// Compares one entry but its content; whether that is there to be read.
    fn look_at(&mut self, index: usize, planned: &Planned<'_>) -> Result<bool, Error> {
        let found = self.target.place(&planned.path).and_then(|(folder, name)| {
            let stat = disk::stat(&folder, &name)?;
            let target = match disk::file_type(&stat) {
                FileType::Symlink => disk::link_target(&folder, &name)?,
                _ => Vec::new(),
            };
            let (attributes, unread) = disk::xattrs(&folder, &name)?;
            match unread.into_iter().find(|(name, _)| is_common(name)) {
                Some((_, error)) => Err(error),
                None => Ok((stat, target, attributes)),
            }
        });
        match found {
            Ok((stat, target, attributes)) => {
                for what in self.wrong(planned, &stat, &target, &attributes) {
                    self.differences.push((index, Place { object: object(planned), what }));
                }
                let is_file = matches!(planned.node.kind, Kind::File { .. });
                Ok(is_file && disk::file_type(&stat) == FileType::RegularFile)
            }
            Err(error) if disk::is_absent(&error) => {
                if is_device(planned) && !is_privileged(self.target) {
                    self.devices_left_out += 1;
                } else {
                    let what = "is missing".to_owned();
                    self.differences.push((index, Place { object: object(planned), what }));
                }
                Ok(false)
            }
            Err(source) => Err(Error::Local { action: "compare", object: object(planned), source }),
        }
    }

    fn wrong(
        &self,
        planned: &Planned<'_>,
        stat: &Stat,
        target: &[u8],
        attributes: &[(Vec<u8>, Vec<u8>)],
    ) -> Vec<String> {
        let node = &planned.node;
        let expected = match node.kind {
            Kind::File { .. } => FileType::RegularFile,
            Kind::Dir => FileType::Directory,
            Kind::Symlink { .. } => FileType::Symlink,
            Kind::Device { .. } => FileType::BlockDevice,
            Kind::CharDevice { .. } => FileType::CharacterDevice,
            Kind::Fifo => FileType::Fifo,
            Kind::Socket => FileType::Socket,
        };
        if disk::file_type(stat) != expected {
            return vec![format!("is a {:?}", disk::file_type(stat))];
        }
        let mut wrong = Vec::new();
        match node.kind {
            Kind::File { size, .. } if i64::try_from(size) != Ok(stat.st_size) => {
                wrong.push(format!("is {} bytes long, not {size}", stat.st_size));
            }
            Kind::Symlink { target: expected } if expected != target => {
                wrong.push(format!("leads to {:?}, not {:?}", shown(target), shown(expected)));
            }
            Kind::Device { number } | Kind::CharDevice { number } if number != stat.st_rdev => {
                wrong.push(format!("is device {}, not {number}", stat.st_rdev));
            }
            _ => {}
        }
        let mask = mode_mask(self.target);
        let (mode, mode_expected) = (stat.st_mode & mask, node.mode & mask);
        if expected != FileType::Symlink && mode != mode_expected {
            wrong.push(format!("has mode {mode:o}, not {mode_expected:o}"));
        }
        let mtime = disk::time(stat.st_mtime, stat.st_mtime_nsec);
        if let Some(expected) = node.mtime.filter(|expected| *expected != mtime) {
            wrong.push(format!("was changed at {mtime}, not {expected}"));
        }
        if is_privileged(self.target) && (stat.st_uid, stat.st_gid) != (node.uid, node.gid) {
            let (uid, gid) = (stat.st_uid, stat.st_gid);
            wrong.push(format!("belongs to {uid}:{gid}, not {}:{}", node.uid, node.gid));
        }
        if let Some(name) = self.attribute_that_differs(node.xattrs, attributes) {
            wrong.push(format!("has another extended attribute {:?}", shown(name)));
        }
        wrong
    }

    fn attribute_that_differs<'b>(
        &self,
        expected: &'b [(Vec<u8>, Vec<u8>)],
        found: &'b [(Vec<u8>, Vec<u8>)],
    ) -> Option<&'b [u8]> {
        let compared =
            |name: &[u8]| is_common(name) && (self.user_attributes || !name.starts_with(b"user."));
        let differs = |here: &'b [(Vec<u8>, Vec<u8>)], there: &[(Vec<u8>, Vec<u8>)]| {
            here.iter().find(|pair| compared(&pair.0) && !there.contains(pair)).map(|pair| &*pair.0)
        };
        differs(expected, found).or_else(|| differs(found, expected))
    }

    /// What lies in a restored folder and is not in its tree.
    fn find_extra(&mut self) -> Result<(), Error> {
        if self.request.occupied == Occupied::Overwrite {
            return Ok(());
        }
        let entries = &self.plan.entries;
        let mut expected: HashMap<usize, HashSet<&[u8]>> = HashMap::new();
        let mut folders = Vec::new();
        if self.request.select == Select::Everything {
            folders.push((0, TARGET, Vec::new()));
        }
        for (index, planned) in self.plan.all().enumerate() {
            let folder = match entries.folder(index) {
                Folder::Entry(folder) => folder as usize,
                Folder::Target | Folder::Path(_) => TARGET,
            };
            expected.entry(folder).or_default().insert(entries.name(index));
            if matches!(planned.node.kind, Kind::Dir) && planned.is_whole() {
                folders.push((index, index, planned.path));
            }
        }
        for (index, folder, path) in &folders {
            let names = match self.target.folder(path).and_then(disk::names) {
                Ok(names) => names,
                // Told already as missing, or as something else.
                Err(error) if disk::is_absent(&error) => continue,
                Err(source) => {
                    let object = format!("folder {}", shown(path));
                    return Err(Error::Local { action: "list", object, source });
                }
            };
            let known = expected.get(folder);
            for name in names {
                let name = name.to_bytes();
                if known.is_none_or(|known| !known.contains(name)) {
                    let place = if path.is_empty() {
                        shown(name)
                    } else {
                        format!("{}/{}", shown(path), shown(name))
                    };
                    let object = format!("entry {place}");
                    let what = "is not in the snapshot".to_owned();
                    self.differences.push((*index, Place { object, what }));
                }
            }
        }
        Ok(())
    }

    fn not_compared(&self) -> Vec<String> {
        let mut left_out = Vec::new();
        if !is_privileged(self.target) {
            left_out.push("owners, set-id and sticky bits".to_owned());
        }
        if self.devices_left_out > 0 {
            left_out.push(format!("{} devices, which were not restored", self.devices_left_out));
        }
        if !self.user_attributes {
            left_out.push("users' extended attributes: this file system has none".to_owned());
        }
        left_out.push("access and change times, attributes that only root may set".to_owned());
        left_out
    }
}

/// Tries it out: there is no other way to know.
fn holds_user_attributes(folder: impl std::os::fd::AsFd) -> bool {
    const PROBE: &str = "user.lifeboat.probe";
    match rustix::fs::fsetxattr(&folder, PROBE, b"", XattrFlags::empty()) {
        Ok(()) => rustix::fs::fremovexattr(&folder, PROBE).is_ok(),
        Err(Errno::NOTSUP) => false,
        // Not allowed here says nothing of the file system.
        Err(_) => true,
    }
}

fn is_device(planned: &Planned<'_>) -> bool {
    matches!(planned.node.kind, Kind::Device { .. } | Kind::CharDevice { .. })
}
