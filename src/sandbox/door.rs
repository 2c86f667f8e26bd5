//! The way from outside to a server's unix socket in a scratch.
//!
//! The names of sockets are short (107 bytes, unix(7)) and scratch paths are long; and a hostile
//! server may put a link to a stranger's socket where its own should be. Both are met by a hard
//! link to the socket itself, in a folder that only this process can change, named by descriptor.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

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
        // A link is linked as the link it is: what it points to is not followed.
        fs::hard_link(socket, &held).map_err(|_| none())?;
        let found = fs::symlink_metadata(&held).map_err(|_| none())?;
        if !found.file_type().is_socket() {
            return Err(none());
        }
        let folder = File::open(&path).map_err(|source| Error::io("open", &path, source))?;
        Ok(Self { folder, path })
    }

    /// The socket's folder under a short name, good for as long as this value and only in this
    /// process.
    pub fn folder(&self) -> PathBuf {
        format!("/proc/self/fd/{}", self.folder.as_raw_fd()).into()
    }
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
        for not_one in ["link", "file", "nothing"] {
            let refused = Door::to(&scratch, &place.join(not_one));
            assert!(matches!(refused, Err(Error::NoSocket { .. })), "{not_one}: {refused:?}");
        }
    }
}
