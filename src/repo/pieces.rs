//! Objects that may have any size: their digest and, of a pack, its header are read by pieces.

use super::pack::{HeaderError, PackedBlob, read_header};
use crate::ground::digest::{Digest, Hasher};
use crate::seal::MasterKey;
use crate::store::{self, ObjectName, Store};

/// Bytes that are in memory at one time.
const PIECE: u64 = 8 << 20;

/// Bytes of a pack's end that are fetched first: the header of some 100 blobs.
const TAIL: u64 = 4 << 10;

/// What a pack of `size` bytes says that it holds.
pub(super) async fn header(
    store: &dyn Store,
    key: &MasterKey,
    object: &ObjectName,
    size: u64,
) -> Result<Result<Vec<PackedBlob>, HeaderError>, store::Error> {
    let mut wanted = TAIL.min(size);
    loop {
        let tail = store.get(object, Some(size - wanted..size)).await?;
        match read_header(key, size, &tail) {
            Err(HeaderError::TailTooShort { needed, .. }) if needed > wanted && needed <= size => {
                wanted = needed;
            }
            header => return Ok(header),
        }
    }
}

/// None where there is no such object.
pub(super) async fn digest(
    store: &dyn Store,
    object: &ObjectName,
) -> Result<Option<Digest>, store::Error> {
    let mut hasher = Hasher::new();
    let mut from = 0;
    loop {
        let piece = match store.get(object, Some(from..from + PIECE)).await {
            Err(store::Error::Short { size, .. }) if size > from => {
                store.get(object, Some(from..size)).await
            }
            piece => piece,
        };
        match piece {
            Ok(bytes) => {
                hasher.update(&bytes);
                from += bytes.len() as u64;
                if (bytes.len() as u64) < PIECE {
                    return Ok(Some(hasher.finish()));
                }
            }
            Err(store::Error::Short { .. }) => return Ok(Some(hasher.finish())),
            Err(store::Error::Missing { .. }) => return Ok(None),
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::ops::Range;

    use async_trait::async_trait;
    use bytes::Bytes;
    use futures_util::stream::BoxStream;

    use super::*;
    use crate::store::{Memory, Object, Put};

    /// Gives no more than a piece at a time.
    #[derive(Debug, Default)]
    struct Narrow(Memory);

    #[async_trait]
    impl Store for Narrow {
        async fn put(&self, name: &ObjectName, body: Bytes, how: Put) -> store::Result<()> {
            self.0.put(name, body, how).await
        }

        async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> store::Result<Bytes> {
            let wanted = range.clone().expect("a piece is asked for");
            assert!(wanted.end - wanted.start <= PIECE, "{wanted:?}");
            self.0.get(name, range).await
        }

        fn list(&self, prefix: Option<&ObjectName>) -> BoxStream<'_, store::Result<Object>> {
            self.0.list(prefix)
        }

        async fn delete(&self, name: &ObjectName) -> store::Result<()> {
            self.0.delete(name).await
        }

        fn place(&self) -> String {
            self.0.place()
        }
    }

    #[tokio::test]
    async fn an_object_of_any_size_is_read_by_pieces() {
        let store = Narrow::default();
        let name: ObjectName = "data/00/large".parse().unwrap();
        assert_eq!(digest(&store, &name).await.unwrap(), None);
        for size in [0, 1, PIECE - 1, PIECE, PIECE + 1, 2 * PIECE] {
            let bytes = Bytes::from(vec![size as u8; size as usize]);
            let expected = Digest::of(&bytes);
            store.put(&name, bytes, Put::Overwrite).await.unwrap();

            assert_eq!(digest(&store, &name).await.unwrap(), Some(expected), "{size}");
        }
    }
}
