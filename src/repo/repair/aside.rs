//! What is damaged is set aside in a folder `damaged` beside the repository's own, which other programs
//! leave alone: an index file with its bytes, for it goes; a pack with a mark, for it stays where it is
//! until a prune. Another machine may yet read what this one cannot.

use std::collections::HashSet;

use bytes::Bytes;

use super::{Error, Repair};
use crate::ground::digest::Digest;
use crate::repo::{IndexId, PackId, Repository, layout, pieces};
use crate::store::{self, ObjectName, Put};

/// Keeps the bytes of an index file as they are; one that is not there needs nothing.
pub(super) async fn keep(repair: &Repair<'_>, id: &IndexId) -> Result<(), Error> {
    let object = layout::index(id);
    let Some(bytes) = read(repair.repository, &object).await? else { return Ok(()) };
    put(repair, &object, &Digest::of(&bytes), bytes).await
}

/// Marks a pack with the bytes that it has now: nobody shall name it while it has them. One that has
/// the bytes that its name says is not damaged, and refused.
pub(super) async fn mark(repair: &Repair<'_>, pack: PackId) -> Result<(), Error> {
    let object = layout::pack(&pack);
    let Some(digest) = digest(repair.repository, &object).await? else { return Ok(()) };
    if digest == pack.0 {
        return Err(Error::Whole { pack });
    }
    put(repair, &object, &digest, Bytes::new()).await
}

/// Whether a pack is marked with the bytes that it has now; `marks` are all that there are.
pub(super) async fn is_marked(
    repository: &Repository,
    marks: &HashSet<ObjectName>,
    pack: &PackId,
) -> Result<bool, Error> {
    let object = layout::pack(pack);
    if !marks.iter().any(|mark| mark.as_str().contains(object.as_str())) {
        return Ok(false);
    }
    let digest = digest(repository, &object).await?;
    Ok(digest.is_some_and(|digest| marks.contains(&layout::aside(&object, &digest))))
}

/// The digest of an object however large it is; none where it is not there.
async fn digest(repository: &Repository, object: &ObjectName) -> Result<Option<Digest>, Error> {
    let read = pieces::digest(&**repository.store(), object).await;
    read.map_err(|source| Error::SetAside { object: object.clone(), source })
}

async fn read(repository: &Repository, object: &ObjectName) -> Result<Option<Bytes>, Error> {
    match repository.store().get(object, None).await {
        Ok(bytes) => Ok(Some(bytes)),
        Err(store::Error::Missing { .. }) => Ok(None),
        Err(source) => Err(Error::SetAside { object: object.clone(), source }),
    }
}

async fn put(
    repair: &Repair<'_>,
    object: &ObjectName,
    digest: &Digest,
    body: Bytes,
) -> Result<(), Error> {
    let name = layout::aside(object, digest);
    match repair.repository.store().put(&name, body, Put::Create).await {
        Ok(()) | Err(store::Error::Exists { .. }) => Ok(()),
        Err(source) => Err(Error::SetAside { object: object.clone(), source }),
    }
}
