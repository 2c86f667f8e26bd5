//! Where in the store things lie: the folders of a repository and the names in them.

use futures_util::TryStreamExt;

use super::{IndexId, PackId, SnapshotId};
use crate::ground::digest::Digest;
use crate::store::{self, Object, ObjectName, Store};

/// A folder of objects that are named by their SHA-256.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Folder {
    Data,
    Index,
    Keys,
    Locks,
    Snapshots,
}

impl Folder {
    fn text(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Index => "index",
            Self::Keys => "keys",
            Self::Locks => "locks",
            Self::Snapshots => "snapshots",
        }
    }

    /// The name of the object `id` in this folder; packs lie in subfolders by their first byte.
    pub fn object(self, id: &Digest) -> ObjectName {
        let folder = self.text();
        match self {
            Self::Data => name(&format!("{folder}/{:02x}/{id}", id.0[0])),
            _ => name(&format!("{folder}/{id}")),
        }
    }

    /// What the folder holds, sorted by id; objects whose names are no ids are left out.
    pub async fn list(self, store: &dyn Store) -> store::Result<Vec<(Digest, Object)>> {
        let folder = name(self.text());
        let mut found: Vec<(Digest, Object)> = store
            .list(Some(&folder))
            .try_filter_map(async |object| {
                let last = object.name.as_str().rsplit('/').next().unwrap_or_default();
                Ok(last.parse().ok().map(|id| (id, object)))
            })
            .try_collect()
            .await?;
        found.sort_by_key(|(id, _)| *id);
        Ok(found)
    }
}

/// The name of a pack.
pub fn pack(id: &PackId) -> ObjectName {
    Folder::Data.object(&id.0)
}

/// The name of an index file.
pub fn index(id: &IndexId) -> ObjectName {
    Folder::Index.object(&id.0)
}

/// The name of a snapshot.
pub fn snapshot(id: &SnapshotId) -> ObjectName {
    Folder::Snapshots.object(&id.0)
}

/// What tells of a damaged object that has bytes of this digest: `damaged/index/<id>.<digest>`.
pub fn aside(object: &ObjectName, bytes: &Digest) -> ObjectName {
    name(&format!("damaged/{object}.{bytes}"))
}

/// The folder of what tells of damaged packs.
pub fn packs_aside() -> ObjectName {
    name("damaged/data")
}

/// The pack of which something in that folder tells.
pub fn pack_aside(mark: &ObjectName) -> Option<PackId> {
    mark.as_str().rsplit('/').next()?.split('.').next()?.parse().ok()
}

/// The name of the configuration, whose presence makes a store a repository.
pub fn config() -> ObjectName {
    name("config")
}

fn name(text: &str) -> ObjectName {
    text.parse().expect("letters, digits and single slashes name an object")
}
