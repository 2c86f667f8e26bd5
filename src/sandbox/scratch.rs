//! A private folder with an owner: whoever holds its token file locked.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, TryLockError};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use uuid::Uuid;

use super::account::Account;
use super::removal::{Leftover, remove_tree};
use super::{Error, sweep};

/// The file that its owner keeps locked (flock(2)): the kernel unlocks it when the owner dies.
pub(super) const TOKEN: &str = "token";

/// The folder for restored data and engines' files.
const DATA: &str = "data";

/// A scratch environment's folder. Dropping it removes it as well as can be; [`Scratch::remove`]
/// says what stayed.
///
/// Layout: `<root>/<token>/token` (locked), `<root>/<token>/data/`, and, that only this process may enter,
/// private folders beside it and what it has reserved ([`Scratch::reserve`]).
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    data: PathBuf,
    token: String,
    account: Option<Account>,
    sandbox_waived: bool,
    interrupted: Arc<AtomicBool>,
    /// Closing it ends the ownership.
    _held: File,
}

impl Scratch {
    /// Makes a scratch environment below the folder `root`; blocking.
    ///
    /// `root` is made (mode 0700) where it is missing, and refused when it is not this user's or
    /// others may write to it. When lifeboat is root, the data folder belongs to `user` (nobody
    /// for `None`) and confined processes run as them; for an ordinary user `user` has no meaning.
    pub fn create(root: &Path, user: Option<&str>) -> Result<Self, Error> {
        let account = Account::to_become(user)?;
        let root = private_root(root)?;
        let token = Uuid::new_v4().to_string();
        let path = root.join(&token);
        let held = {
            let _sweeps_wait = lock_root(&root)?;
            make_folder(&path)?;
            take_token(&path, &token)?
        };
        let data = path.join(DATA);
        let interrupted = Arc::default();
        let scratch =
            Self { path, data, token, account, sandbox_waived: false, interrupted, _held: held };
        make_folder(&scratch.data)?;
        scratch.give(&scratch.data)?;
        Ok(scratch)
    }

    /// Lets programs run without walls: only where the site says so in so many words.
    ///
    /// They reach their data by its path then, so that others may pass the folders above it, whose
    /// own rights above the scratch root are the site's business.
    pub fn waive_sandbox(&mut self) -> Result<(), Error> {
        for folder in [self.root(), &self.path].into_iter().filter(|_| self.account.is_some()) {
            std::fs::set_permissions(folder, std::os::unix::fs::PermissionsExt::from_mode(0o711))
                .map_err(|source| Error::io("open to the scratch user", folder, source))?;
        }
        self.sandbox_waived = true;
        Ok(())
    }

    /// Ends caged programs, and questions to them, once `flag` is set.
    pub fn end_when(&mut self, flag: Arc<AtomicBool>) {
        self.interrupted = flag;
    }

    /// Set once its programs are to end.
    pub fn interrupted(&self) -> &Arc<AtomicBool> {
        &self.interrupted
    }

    /// Where restored data and engines' files go: an absolute path.
    pub fn dir(&self) -> &Path {
        &self.data
    }

    /// What its processes carry in the environment variable [`super::TOKEN_VARIABLE`].
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The folder of all environments.
    pub(super) fn root(&self) -> &Path {
        self.path.parent().expect("a scratch lies in its root")
    }

    /// The environment's own folder.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Bytes that may still be written here.
    pub fn free_bytes(&self) -> Result<u64, Error> {
        let space = rustix::fs::statvfs(&self.data)
            .map_err(|errno| Error::io("measure the free space of", &self.data, errno))?;
        Ok(space.f_bavail.saturating_mul(space.f_frsize))
    }

    /// Gives everything below `path`, a place in [`Scratch::dir`], to the user that confined
    /// processes run as, who may then read and write it; blocking.
    ///
    /// Restored files keep the owners they had, whom a confined process is not. Nothing to do for
    /// an ordinary user, who owns what was restored.
    pub fn hand_over(&self, path: &Path) -> Result<(), Error> {
        self.give_all(path, |path, kind| {
            let rights = if kind.is_dir() { 0o700 } else { 0o600 };
            let mode = std::os::unix::fs::PermissionsExt::from_mode(kind.mode() & 0o777 | rights);
            std::fs::set_permissions(path, mode)
        })
    }

    /// The same with the rights as they are: what was restored is still to be compared.
    pub fn lend(&self, path: &Path) -> Result<(), Error> {
        self.give_all(path, |_, _| Ok(()))
    }

    fn give_all(
        &self,
        path: &Path,
        also: impl Fn(&Path, &Metadata) -> io::Result<()>,
    ) -> Result<(), Error> {
        if self.account.is_none() {
            return Ok(());
        }
        let mut waiting = vec![path.to_owned()];
        while let Some(path) = waiting.pop() {
            let failed = |source| Error::io("hand over", &path, source);
            let kind = std::fs::symlink_metadata(&path).map_err(failed)?;
            if kind.is_symlink() {
                continue;
            }
            self.give(&path)?;
            also(&path, &kind).map_err(failed)?;
            if kind.is_dir() {
                for entry in std::fs::read_dir(&path).map_err(failed)? {
                    waiting.push(entry.map_err(failed)?.path());
                }
            }
        }
        Ok(())
    }

    /// Ends the processes that still live here and removes the folder; blocking.
    pub fn remove(self) -> Result<(), Leftover> {
        self.clear()
    }

    pub(super) fn is_sandbox_waived(&self) -> bool {
        self.sandbox_waived
    }

    /// A folder beside the data, which programs of the scratch cannot enter from outside; made
    /// where it is missing.
    pub(super) fn private_folder(&self, name: &str) -> Result<PathBuf, Error> {
        let path = self.path.join(name);
        let made = DirBuilder::new().recursive(true).create(&path);
        // It may be mounted for everybody in a cage, whatever the umask says; from outside the
        // folder above it is closed to others.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        made.and_then(|()| std::fs::set_permissions(&path, open))
            .map_err(|source| Error::io("create", &path, source))?;
        Ok(path)
    }

    pub(super) fn account(&self) -> Option<Account> {
        self.account
    }

    fn give(&self, path: &Path) -> Result<(), Error> {
        let Some(account) = self.account else { return Ok(()) };
        chown(path, Some(account.uid), Some(account.gid))
            .map_err(|source| Error::io("hand over", path, source))
    }

    fn clear(&self) -> Result<(), Leftover> {
        sweep::end_processes(&self.path, &self.token);
        remove_tree(&self.path)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Err(leftover) = self.clear() {
            tracing::warn!(path = %leftover.path.display(), reason = %leftover.source, "scratch left behind");
        }
    }
}

/// The folder for scratch, made where it is missing; an absolute path without symbolic links.
fn private_root(root: &Path) -> Result<PathBuf, Error> {
    let failed = |action| move |source: io::Error| Error::io(action, root, source);
    if !root.exists() {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(root);
        made.map_err(failed("create"))?;
    }
    let root = root.canonicalize().map_err(failed("open"))?;
    let found = root.symlink_metadata().map_err(failed("open"))?;
    let refused = |reason| Error::NotPrivate { path: root.clone(), reason };
    if !found.is_dir() {
        return Err(refused("it is not a folder"));
    }
    if found.uid() != rustix::process::geteuid().as_raw() {
        return Err(refused("it belongs to another user"));
    }
    if found.mode() & 0o022 != 0 {
        return Err(refused("others may write to it"));
    }
    Ok(root)
}

/// Held while a scratch comes into being, so that no sweep takes it for an abandoned one.
pub(super) fn lock_root(root: &Path) -> Result<File, Error> {
    let locked = File::open(root).and_then(|folder| folder.lock().map(|()| folder));
    locked.map_err(|source| Error::io("lock", root, source))
}

fn make_folder(path: &Path) -> Result<(), Error> {
    let made = DirBuilder::new().mode(0o700).create(path);
    made.map_err(|source| Error::io("create", path, source))
}

fn take_token(path: &Path, token: &str) -> Result<File, Error> {
    let path = path.join(TOKEN);
    let failed = |source| Error::io("create", &path, source);
    let options = OpenOptions::new().write(true).create_new(true).mode(0o600).clone();
    let mut file = options.open(&path).map_err(failed)?;
    file.try_lock().map_err(|refused| match refused {
        TryLockError::Error(source) => failed(source),
        TryLockError::WouldBlock => failed(io::ErrorKind::WouldBlock.into()),
    })?;
    writeln!(file, "{token}").map_err(failed)?;
    Ok(file)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn a_scratch_is_private_and_nothing_stays_of_it() {
        let root = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(&root.path().join("scratch"), None).unwrap();
        let path = scratch.path.clone();
        assert_eq!(path.metadata().unwrap().mode() & 0o7777, 0o700);
        assert!(scratch.free_bytes().unwrap() > 0);
        std::fs::create_dir(scratch.dir().join("restored")).unwrap();
        std::fs::write(scratch.dir().join("restored/orders.db"), "rows").unwrap();

        scratch.remove().unwrap();

        assert!(!path.exists());
        let dropped = Scratch::create(&root.path().join("scratch"), None).unwrap();
        let path = dropped.path.clone();
        drop(dropped);
        assert!(!path.exists());
    }

    #[test]
    fn a_root_that_others_may_write_is_refused() {
        let root = tempfile::tempdir().unwrap();
        std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o770)).unwrap();

        let error = Scratch::create(root.path(), None).unwrap_err();

        assert!(matches!(error, Error::NotPrivate { .. }), "{error:?}");
    }

    #[test]
    fn handing_over_reaches_what_was_restored_and_follows_no_link() {
        let root = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(root.path(), None).unwrap();
        let folder = scratch.dir().join("restored");
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("db"), "").unwrap();
        std::fs::set_permissions(folder.join("db"), std::fs::Permissions::from_mode(0o0)).unwrap();
        symlink(outside.path(), folder.join("out")).unwrap();
        let before = outside.path().metadata().unwrap();

        scratch.hand_over(&folder).unwrap();

        let after = outside.path().metadata().unwrap();
        assert_eq!((before.uid(), before.mode()), (after.uid(), after.mode()));
        if let Some(account) = scratch.account() {
            let given = folder.join("db").metadata().unwrap();
            assert_eq!((given.uid(), given.mode() & 0o777), (account.uid, 0o600));
        }
    }
}
