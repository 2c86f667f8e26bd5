//! Packs' headers: what a pack itself says that it holds.

use std::collections::HashMap;

use futures_util::{StreamExt, TryStreamExt, stream};

use super::Error;
use crate::ground::causes::chain;
use crate::ground::progress::Progress;
use crate::repo::pack::{HeaderError, PackedBlob, read_header};
use crate::repo::reader::is_environment;
use crate::repo::{PackId, Repository, layout};
use crate::store;

/// How many headers are fetched at once.
const FETCHES: usize = 16;

/// Bytes of a pack's end that are fetched first: the header of some 100 blobs.
const TAIL: u64 = 4 << 10;

/// What a pack says that it holds, or why nobody can tell.
pub(super) type Header = Result<Vec<PackedBlob>, String>;

/// The headers of all `packs`, given with their sizes in bytes.
pub(super) async fn read_all(
    repository: &Repository,
    packs: &HashMap<PackId, u64>,
    progress: &dyn Progress,
) -> Result<HashMap<PackId, Header>, Error> {
    progress.phase("read headers of packs", None);
    let fetches = packs.iter().map(|(pack, size)| async move {
        let header = read(repository, *pack, *size).await?;
        progress.advance(1, 0);
        Ok::<_, Error>((*pack, header))
    });
    stream::iter(fetches).buffer_unordered(FETCHES).try_collect().await
}

async fn read(repository: &Repository, pack: PackId, size: u64) -> Result<Header, Error> {
    let mut wanted = TAIL.min(size);
    loop {
        let range = size - wanted..size;
        let tail = match repository.store().get(&layout::pack(&pack), Some(range)).await {
            Ok(tail) => tail,
            Err(source @ store::Error::Io { .. }) if is_environment(&source) => {
                return Err(Error::Header { pack, source });
            }
            Err(error) => return Ok(Err(chain(&error))),
        };
        match read_header(repository.key(), size, &tail) {
            Err(HeaderError::TailTooShort { needed, .. }) if needed > wanted && needed <= size => {
                wanted = needed;
            }
            header => return Ok(header.map_err(|error| chain(&error))),
        }
    }
}
