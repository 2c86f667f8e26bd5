//! What the repository stores of one snapshot, object by object, in a folder of the scratch.
//!
//! restic gets this copy and not the store: in a cage it sees neither the network nor the repository's
//! own files, which are root's. It cannot be fooled by the copy, since every object is named by what it holds.

use std::collections::{BTreeSet, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt, TryStreamExt, stream};

use super::super::Request;
use crate::account::{Account, Rooms};
use crate::ground::causes::chain;
use crate::ground::secret::SecretString;
use crate::ground::size::ByteSize;
use crate::repo::layout::{self, Folder};
use crate::repo::{BlobId, BlobKind, NodeKind, PackId, Reader, SnapshotId, WalkError};
use crate::sandbox::{self, Scratch};
use crate::store::{self, ObjectName};

/// Objects that are on their way at once: each is held in memory.
const AT_ONCE: usize = 4;

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("cannot write {}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the scratch folder has {} free, and an object of the repository has {}",
        ByteSize(*free), ByteSize(*bytes))]
    NoSpace { free: u64, bytes: u64 },
    #[error("interrupted")]
    Interrupted,
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Walk(#[from] WalkError),
    #[error(transparent)]
    Sandbox(#[from] sandbox::Error),
    #[error("cannot read the repository's password")]
    Password(#[from] crate::ground::secret::Error),
}

/// A snapshot and what it needs, as the store has it.
pub(in super::super) struct Copied {
    /// Of the scratch user's; what is restored goes beside the copy.
    pub(super) room: PathBuf,
    pub(super) repository: PathBuf,
    pub(super) snapshot: SnapshotId,
    pub(super) password: SecretString,
    /// The bytes that the copy holds.
    pub(super) bytes: u64,
}

/// Copies what restoring `snapshot` needs; the repository's lock is held meanwhile. An error says in words
/// why there is none.
pub(in super::super) async fn copy(
    request: Request<'_>,
    account: &Account,
    reader: &Reader,
    (snapshot, tree): (SnapshotId, BlobId),
    scratch: &Scratch,
    rooms: &Rooms,
) -> Result<Copied, String> {
    let room = scratch.dir().join(format!("independent-{}", uuid::Uuid::new_v4()));
    let copying = Copying { account, scratch, rooms, folder: room.join("repository") };
    let copied = async {
        let password = request.setup.customer_of(request.policy).repository_password.reveal()?;
        let bytes = copying.all(reader, snapshot, tree).await?;
        scratch.hand_over(&room)?;
        let (room, repository) = (room.clone(), copying.folder.clone());
        Ok::<_, Error>(Copied { room, repository, snapshot, password, bytes })
    };
    copied.await.map_err(|error| format!("nothing was copied for restic: {}", chain(&error)))
}

struct Copying<'a> {
    account: &'a Account,
    scratch: &'a Scratch,
    rooms: &'a Rooms,
    folder: PathBuf,
}

impl Copying<'_> {
    async fn all(&self, reader: &Reader, snapshot: SnapshotId, tree: BlobId) -> Result<u64, Error> {
        let mut names = vec![layout::config(), layout::snapshot(&snapshot)];
        let packs = packs(reader, tree).await?;
        names.extend(packs.iter().map(layout::pack));
        for folder in [Folder::Keys, Folder::Index] {
            let found = folder.list(&**self.account.repository.store()).await?;
            names.extend(found.into_iter().map(|(_, object)| object.name));
        }
        let copied = stream::iter(names).map(|name| self.one(name)).buffer_unordered(AT_ONCE);
        copied.try_fold(0, async |sum: u64, bytes| Ok(sum.saturating_add(bytes))).await
    }

    async fn one(&self, name: ObjectName) -> Result<u64, Error> {
        self.rooms.check_interrupted().map_err(|_| Error::Interrupted)?;
        let content = self.account.repository.store().get(&name, None).await?;
        let (bytes, free) = (content.len() as u64, self.scratch.free_bytes()?);
        if free < bytes {
            return Err(Error::NoSpace { free, bytes });
        }
        let path = self.folder.join(name.as_str());
        let written = fs::create_dir_all(path.parent().unwrap_or(Path::new("/")))
            .and_then(|()| fs::write(&path, &content));
        written.map_err(|source| Error::Write { path, source })?;
        Ok(bytes)
    }
}

/// Every pack that holds something of the tree `root`; a tree that comes again is looked at once.
async fn packs(reader: &Reader, root: BlobId) -> Result<BTreeSet<PackId>, WalkError> {
    let mut packs: BTreeSet<PackId> = reader.packs_of(BlobKind::Tree, &root).collect();
    let mut trees = HashSet::from([root]);
    let mut walk = reader.walk(root);
    while let Some(entry) = walk.next().await {
        match entry?.node.kind {
            NodeKind::Dir { subtree } if trees.insert(subtree) => {
                packs.extend(reader.packs_of(BlobKind::Tree, &subtree));
            }
            NodeKind::Dir { .. } => walk.skip_content(),
            NodeKind::File { content, .. } => {
                packs.extend(content.iter().flat_map(|id| reader.packs_of(BlobKind::Data, id)));
            }
            _ => {}
        }
    }
    Ok(packs)
}
