//! Packs' headers: what a pack itself says that it holds.

use std::collections::HashMap;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::Error;
use crate::ground::causes::chain;
use crate::ground::progress::Progress;
use crate::repo::pack::PackedBlob;
use crate::repo::reader::is_environment;
use crate::repo::{Index, PackId, Repository, layout, pieces};
use crate::store;

/// How many headers are fetched at once.
const FETCHES: usize = 16;

/// What a pack says that it holds.
pub(super) enum Said {
    /// What the index says of it.
    AsIndexed,
    Otherwise(Vec<PackedBlob>),
    /// Why nobody can tell.
    Nothing(String),
}

/// What all packs that are `stored`, with their sizes in bytes, say beside what `index` does.
pub(super) async fn read_all(
    repository: &Repository,
    index: &Index,
    stored: &HashMap<PackId, u64>,
    progress: &dyn Progress,
) -> Result<HashMap<PackId, Said>, Error> {
    progress.phase("read headers of packs", None);
    let size = |pack: &PackId| stored.get(pack).copied();
    let indexed = index.packs().filter_map(|(pack, blobs)| Some((pack, size(&pack)?, Some(blobs))));
    let others = stored.iter().filter(|(pack, _)| !index.has_pack(pack));
    let others = others.map(|(pack, size)| (*pack, *size, None));
    let reads = indexed.chain(others).map(|(pack, size, indexed)| async move {
        let said = match read(repository, pack, size).await? {
            Ok(blobs) if Some(&blobs) == indexed.as_ref() => Said::AsIndexed,
            Ok(blobs) => Said::Otherwise(blobs),
            Err(why) => Said::Nothing(why),
        };
        progress.advance(1, 0);
        Ok::<_, Error>((pack, said))
    });
    stream::iter(reads).buffer_unordered(FETCHES).try_collect().await
}

/// The header of one pack, or why nobody can read it.
pub(super) async fn read(
    repository: &Repository,
    pack: PackId,
    size: u64,
) -> Result<Result<Vec<PackedBlob>, String>, Error> {
    let (store, object) = (&**repository.store(), layout::pack(&pack));
    match pieces::header(store, repository.key(), &object, size).await {
        Ok(header) => Ok(header.map_err(|error| chain(&error))),
        Err(source @ store::Error::Io { .. }) if is_environment(&source) => {
            Err(Error::Pack { pack, source })
        }
        Err(error) => Ok(Err(chain(&error))),
    }
}
