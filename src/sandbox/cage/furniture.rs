//! What stands in a cage's `/etc`: users, groups, and what the loader needs.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use super::Cage;
use crate::sandbox::Error;

/// Files of `/etc` that the loader and libraries need; the rest of `/etc` is made for the cage.
pub(super) const ETC: [&str; 2] = ["/etc/ld.so.cache", "/etc/alternatives"];

/// What the user is called inside, whatever they are called outside.
const USER: &str = "lifeboat";

impl Cage {
    /// Users, groups and where to look them up, for programs that ask who they are.
    pub(super) fn furnish(&self) -> Result<(), Error> {
        let (uid, gid) = self.account.map_or_else(
            || (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw()),
            |account| (account.uid, account.gid),
        );
        let files = [
            ("passwd", format!("{USER}:x:{uid}:{gid}::/:/usr/sbin/nologin\n")),
            ("group", format!("{USER}:x:{gid}:\n")),
            ("nsswitch.conf", "passwd: files\ngroup: files\n".to_owned()),
        ];
        for (name, text) in files {
            let path = self.etc.join(name);
            let written = fs::write(&path, text)
                // Whatever the umask says, they are for everybody inside.
                .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o644)));
            written.map_err(|source| Error::io("write", &path, source))?;
        }
        for path in ETC.iter().map(Path::new).filter(|path| path.exists()) {
            let name = path.file_name().expect("the listed paths have names");
            // What is bound over must be there.
            let place = self.etc.join(name);
            let made = match path.is_dir() {
                true => DirBuilder::new().recursive(true).mode(0o755).create(&place),
                false => fs::write(&place, ""),
            };
            made.map_err(|source| Error::io("create", &place, source))?;
        }
        Ok(())
    }
}
