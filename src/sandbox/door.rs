//! The way from outside to a server's unix socket in a scratch.
//!
//! The names of sockets are short (107 bytes, unix(7)) and scratch paths are long; and a hostile
//! server may put a link to a stranger's socket where its own should be, or to the folder of one.
//! Both are met by a hard link to the socket itself, found without following any link, in a folder
//! that only this process can change, named by descriptor.

use std::fs::{self, File};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, OFlags, ResolveFlags};

use super::{Error, Scratch};

/// A socket of a scratch's server, held so that nobody can put another in its place.
#[derive(Debug)]
pub struct Door {
    folder: File,
    path: PathBuf,
}

impl Door {
    /// Takes hold of `socket`, a path in [`Scratch::dir`], under its own file name.
    ///
    /// Fails with [`Error::NoSocket`] where something else is there, and where nothing is.
    pub fn to(scratch: &Scratch, socket: &Path) -> Result<Self, Error> {
        let none = || Error::NoSocket { path: socket.to_owned() };
        let name = socket.file_name().ok_or_else(none)?;
        let path = scratch.private_folder(&format!("door-{}", uuid::Uuid::new_v4()))?;
        let held = path.join(name);
        let below = socket.strip_prefix(scratch.dir()).ok().and_then(Path::parent);
        let within = beneath(scratch.dir(), below.ok_or_else(none)?).map_err(|_| none())?;
        // A link is linked as the link it is: what it points to is not followed.
        rustix::fs::linkat(&within, name, CWD, &held, AtFlags::empty()).map_err(|_| none())?;
        let found = fs::symlink_metadata(&held).map_err(|_| none())?;
        if !found.file_type().is_socket() {
            return Err(none());
        }
        let folder = File::open(&path).map_err(|source| Error::io("open", &path, source))?;
        Ok(Self { folder, path })
    }

    /// The socket's folder: nothing else is in it, and only this process may change it.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The socket's folder under a short name, good for as long as this value and only in this
    /// process.
    pub fn folder(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.folder.as_raw_fd()).into()
    }
}

/// The folder `below` of `root`, reached without following a link.
fn beneath(root: &Path, below: &Path) -> rustix::io::Result<OwnedFd> {
    let how = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let root = rustix::fs::open(root, how, Mode::empty())?;
    if below.as_os_str().is_empty() {
        return Ok(root);
    }
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS;
    rustix::fs::openat2(&root, below, how, Mode::empty(), resolve)
}

impl Drop for Door {
    fn drop(&mut self) {
        // The scratch goes soon, and this with it.
        let _ = fs::remove_dir_all(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::{UnixListener, UnixStream};

    use super::*;

    #[test]
    fn a_socket_is_reached_by_a_short_name_and_a_link_in_its_place_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let long = root.path().join("a-long-name-for-a-scratch-folder/".repeat(3));
        let scratch = Scratch::create(&long, None).unwrap();
        let place = scratch.dir().join("run");
        fs::create_dir(&place).unwrap();
        let held = File::open(&place).unwrap();
        let short = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
        let _server = UnixListener::bind(short.join(".s.PGSQL.5432")).unwrap();

        let door = Door::to(&scratch, &place.join(".s.PGSQL.5432")).unwrap();

        let name = door.folder().join(".s.PGSQL.5432");
        assert!(name.as_os_str().len() < 60, "{}", name.display());
        UnixStream::connect(&name).unwrap();

        let stranger = root.path().join("stranger");
        let _stranger = UnixListener::bind(&stranger).unwrap();
        symlink(&stranger, place.join("link")).unwrap();
        fs::write(place.join("file"), "").unwrap();
        symlink(root.path(), scratch.dir().join("elsewhere")).unwrap();
        for not_one in
            ["run/link", "run/file", "run/nothing", "elsewhere/stranger", "../../stranger"]
        {
            let refused = Door::to(&scratch, &scratch.dir().join(not_one));
            assert!(matches!(refused, Err(Error::NoSocket { .. })), "{not_one}: {refused:?}");
        }
    }
}
