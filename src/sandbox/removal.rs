//! Removing a scratch folder, whatever restored data did to it.
//!
//! Nothing is followed: every step names one entry of a folder held open. Folders are lifted to
//! the top before they are emptied, so that a tree of any depth needs neither stack nor long
//! paths; folders without rights get them first.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags};
use rustix::io::Errno;

/// A scratch folder that is still there.
#[derive(Debug, thiserror::Error)]
#[error("the scratch folder {} could not be removed whole", path.display())]
pub struct Leftover {
    /// The folder.
    pub path: PathBuf,
    /// The first thing that could not be removed, and why.
    pub source: io::Error,
}

/// Removes the folder `path` with everything in it. Goes on where something stays, and answers
/// the first reason.
pub(super) fn remove_tree(path: &Path) -> Result<(), Leftover> {
    let left = |source: io::Error| Leftover { path: path.to_owned(), source };
    let top = match open_folder(rustix::fs::CWD.as_fd(), path) {
        Ok(top) => top,
        Err(Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(left(errno.into())),
    };
    let mut removal = Removal { top, lifted: 0, waiting: Vec::new(), first: None };
    removal.empty_top();
    if let Some(source) = removal.first {
        return Err(left(source));
    }
    std::fs::remove_dir(path).map_err(left)
}

struct Removal {
    top: OwnedFd,
    /// How many folders were lifted so far: the next one's name.
    lifted: u64,
    /// Folders directly below the top that are still to be emptied.
    waiting: Vec<CString>,
    first: Option<io::Error>,
}

impl Removal {
    fn empty_top(&mut self) {
        let top = match self.top.try_clone() {
            Ok(top) => top,
            Err(error) => return self.stays("the folder", error),
        };
        self.empty(&top, true);
        while let Some(name) = self.waiting.pop() {
            match open_folder(self.top.as_fd(), name.as_c_str()) {
                Ok(folder) => self.empty(&folder, false),
                Err(errno) => {
                    self.stays(&name.to_string_lossy(), errno);
                    continue;
                }
            }
            if let Err(errno) = rustix::fs::unlinkat(&self.top, name.as_c_str(), AtFlags::REMOVEDIR)
            {
                self.stays(&name.to_string_lossy(), errno);
            }
        }
    }

    /// Removes the files of `folder` and lifts its folders to the top.
    fn empty(&mut self, folder: &OwnedFd, is_top: bool) {
        // Names first: the folder must not change while it is read.
        let names = match names(folder) {
            Ok(names) => names,
            Err(errno) => return self.stays("a folder's list", errno),
        };
        for name in names {
            let removed = match rustix::fs::unlinkat(folder, name.as_c_str(), AtFlags::empty()) {
                Err(Errno::ISDIR) if is_top => {
                    self.waiting.push(name);
                    continue;
                }
                Err(Errno::ISDIR) => self.lift(folder, &name),
                Err(Errno::NOENT) => Ok(()),
                other => other,
            };
            if let Err(errno) = removed {
                self.stays(&name.to_string_lossy(), errno);
            }
        }
    }

    fn lift(&mut self, folder: &OwnedFd, name: &CString) -> Result<(), Errno> {
        // Moving a folder writes its "..": that takes rights on the folder itself.
        drop(open_folder(folder.as_fd(), name.as_c_str())?);
        let lifted = loop {
            self.lifted += 1;
            let lifted = CString::new(format!(".lifted-{}", self.lifted))
                .expect("a number holds no zero byte");
            let flags = RenameFlags::NOREPLACE;
            match rustix::fs::renameat_with(
                folder,
                name.as_c_str(),
                &self.top,
                lifted.as_c_str(),
                flags,
            ) {
                Ok(()) => break lifted,
                Err(Errno::EXIST) => {}
                Err(errno) => return Err(errno),
            }
        };
        self.waiting.push(lifted);
        Ok(())
    }

    fn stays(&mut self, name: &str, error: impl Into<io::Error>) {
        let error: io::Error = error.into();
        self.first
            .get_or_insert_with(|| io::Error::new(error.kind(), format!("{name:?}: {error}")));
    }
}

fn names(folder: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let name = entry?.file_name().to_owned();
        if !matches!(name.as_bytes(), b"." | b"..") {
            names.push(name);
        }
    }
    Ok(names)
}

/// Opens a folder for emptying, giving its owner the rights to do so.
fn open_folder(parent: impl AsFd, name: impl rustix::path::Arg + Copy) -> Result<OwnedFd, Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let found = rustix::fs::openat(parent, name, flags, Mode::empty())?;
    // fchmod refuses descriptors opened with O_PATH; the link in /proc names this very folder.
    let link = format!("/proc/self/fd/{}", found.as_raw_fd());
    // Only the owner may: where it is refused and needed, the next steps say so.
    let _ = rustix::fs::chmod(link.as_str(), Mode::RWXU);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat(&found, ".", flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn links_are_removed_and_what_they_point_to_stays() {
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("canary"), "here").unwrap();
        let folder = tempfile::tempdir().unwrap();
        let doomed = folder.path().join("doomed");
        std::fs::create_dir_all(doomed.join("a/b")).unwrap();
        symlink(outside.path(), doomed.join("a/b/out")).unwrap();
        symlink(outside.path().join("canary"), doomed.join("file")).unwrap();

        remove_tree(&doomed).unwrap();

        assert!(!doomed.exists());
        assert_eq!(std::fs::read(outside.path().join("canary")).unwrap(), b"here");
    }

    #[test]
    fn folders_without_rights_and_very_deep_ones_go_too() {
        let folder = tempfile::tempdir().unwrap();
        let doomed = folder.path().join("doomed");
        std::fs::create_dir_all(doomed.join("locked/inner")).unwrap();
        std::fs::write(doomed.join("locked/inner/file"), "").unwrap();
        let none = std::fs::Permissions::from_mode(0o0);
        std::fs::set_permissions(doomed.join("locked/inner"), none.clone()).unwrap();
        std::fs::set_permissions(doomed.join("locked"), none).unwrap();
        let mut deep = rustix::fs::open(&doomed, OFlags::PATH, Mode::empty()).unwrap();
        for _ in 0..500 {
            rustix::fs::mkdirat(&deep, "deep", Mode::RWXU).unwrap();
            deep = rustix::fs::openat(&deep, "deep", OFlags::PATH, Mode::empty()).unwrap();
        }

        remove_tree(&doomed).unwrap();

        assert!(!doomed.exists());
    }

    #[test]
    fn a_folder_that_is_gone_already_is_no_error() {
        let folder = tempfile::tempdir().unwrap();

        remove_tree(&folder.path().join("never")).unwrap();
    }
}
