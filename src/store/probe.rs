//! Whether a store can be used, and whether it can hold a ledger: found out by doing.

use bytes::Bytes;
use uuid::Uuid;

use super::{Error, ObjectName, Put, Result, Store};

/// What a store did with a second creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It failed, as [`Store::put`] promises.
    Refused,
    /// It replaced the first. Such a store may hold a repository, but no ledger: of two that
    /// append at once one would be lost.
    Replaced,
}

/// Creates, reads, creates again and deletes a small object in `folder`. What it creates it
/// deletes, unless the store lets it do only the former.
pub async fn probe(store: &dyn Store, folder: &str) -> Result<Creation> {
    let name: String = format!("{folder}/probe-{}", Uuid::new_v4());
    let name: ObjectName =
        name.parse().map_err(|error| Error::io("name", &name, Box::new(error)))?;
    let first = Bytes::from_static(b"lifeboat probes this store");
    store.put(&name, first.clone(), Put::Create).await?;
    let read = store.get(&name, None).await;
    let again = store.put(&name, Bytes::from_static(b"a second creation"), Put::Create).await;
    store.delete(&name).await?;
    if read? != first {
        return Err(Error::io("read", &name, "other bytes came back than were written"));
    }
    match again {
        Err(Error::Exists { .. }) => Ok(Creation::Refused),
        Ok(()) => Ok(Creation::Replaced),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::stream::{BoxStream, StreamExt};

    use super::super::{Memory, Object};
    use super::*;

    /// A store that takes every creation for a replacement.
    #[derive(Debug, Default)]
    struct Replacing(Memory);

    #[async_trait::async_trait]
    impl Store for Replacing {
        async fn put(&self, name: &ObjectName, body: Bytes, _: Put) -> Result<()> {
            self.0.put(name, body, Put::Overwrite).await
        }

        async fn get(
            &self,
            name: &ObjectName,
            range: Option<std::ops::Range<u64>>,
        ) -> Result<Bytes> {
            self.0.get(name, range).await
        }

        fn list(&self, prefix: Option<&ObjectName>) -> BoxStream<'_, Result<Object>> {
            self.0.list(prefix)
        }

        async fn delete(&self, name: &ObjectName) -> Result<()> {
            self.0.delete(name).await
        }

        fn place(&self) -> String {
            self.0.place()
        }
    }

    #[tokio::test]
    async fn a_store_that_replaces_what_is_created_is_found_and_nothing_stays() {
        let (sound, replacing) = (Memory::new(), Replacing::default());

        assert_eq!(probe(&sound, "locks").await.unwrap(), Creation::Refused);
        assert_eq!(probe(&replacing, "locks").await.unwrap(), Creation::Replaced);

        assert_eq!(sound.list(None).count().await + replacing.list(None).count().await, 0);
    }
}
