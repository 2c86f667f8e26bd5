//! A repository is founded: its key durable first, its configuration last.

use bytes::Bytes;
use secrecy::SecretString;

use super::opening::{KEY_LIMIT, KEYS_TRIED, KnownKey, OpenError, open_key};
use super::{Repository, blocking};
use crate::ground::clock::Clock;
use crate::ground::digest::Digest;
use crate::ground::process::host_name;
use crate::repo::layout::{self, Folder};
use crate::repo::{Config, file};
use crate::seal::{Cost, KeyFile, MasterKey};
use crate::store::{self, ObjectName, Put};

impl Repository {
    /// What a repository in a store in which [`Self::open`] found none would go by: its key and its
    /// configuration. Nothing of it is stored, and nothing else may be before [`Self::found`] is done.
    pub fn draw(store: store::Shared) -> Self {
        Self { store, key: MasterKey::generate(), config: Config::draw() }
    }

    /// [`Self::draw`] and [`Self::found`].
    pub async fn create(
        store: store::Shared,
        password: &SecretString,
        cost: Cost,
        clock: &dyn Clock,
    ) -> Result<Self, OpenError> {
        let drawn = Self::draw(store);
        drawn.found(password, cost, clock).await?;
        Ok(drawn)
    }

    /// Makes what was drawn durable: the key first, the configuration last. The key is created twice, which
    /// must be refused: nothing is begun in a store that fails this probe. A key whose configuration may
    /// have been stored stays; whoever makes the configuration removes what others left that died before
    /// it, for restic stops at the first key that its password opens.
    ///
    /// Of several that try at once one wins, the others get [`OpenError::Exists`]. Answers the key's file.
    pub async fn found(
        &self,
        password: &SecretString,
        cost: Cost,
        clock: &dyn Clock,
    ) -> Result<KnownKey, OpenError> {
        let Self { store, key, config } = self;
        let place = store.place();
        let (secret, created, sealed) = (password.clone(), clock.now(), key.clone());
        let key_file =
            blocking(move || KeyFile::create(&secret, &sealed, cost, created, &host_name())).await;
        let json = serde_json::to_vec(&key_file).expect("texts and numbers are always JSON");
        let file = KnownKey { id: Digest::of(&json), bytes: json.len() as u64 };
        let key_name = Folder::Keys.object(&file.id);
        let body = Bytes::from(json);
        store.put(&key_name, body.clone(), Put::Create).await.map_err(OpenError::Store)?;
        let refused = match store.put(&key_name, body, Put::Create).await {
            Err(store::Error::Exists { .. }) => None,
            // Another won meanwhile, and took the first one for left behind.
            Ok(()) if store.get(&layout::config(), None).await.is_ok() => {
                Some(OpenError::Exists { place: place.clone() })
            }
            Ok(()) => Some(OpenError::Replaced { place: place.clone() }),
            Err(error) => Some(OpenError::Store(error)),
        };
        if let Some(error) = refused {
            // What is told is why; a key that stays opens nothing, and `open` skips it.
            let _ = store.clear(&key_name).await;
            return Err(error);
        }

        let json = serde_json::to_vec(config).expect("texts and numbers are always JSON");
        let (_, sealed) = file::encode_uncompressed(key, &json);
        match store.put(&layout::config(), sealed, Put::Create).await {
            Ok(()) => {
                self.clear_strays(&key_name, password).await;
                Ok(file)
            }
            Err(store::Error::Exists { .. }) => {
                // Another won; its repository has no use for this key, which `open` would skip.
                let _ = store.clear(&key_name).await;
                Err(OpenError::Exists { place })
            }
            Err(error) => Err(OpenError::Store(error)),
        }
    }

    /// Removes keys that the password opens and that open nothing here, of whoever died before the
    /// configuration; never beside data, which only they may open. Where that is not allowed it is said:
    /// lifeboat needs it not.
    async fn clear_strays(&self, own: &ObjectName, password: &SecretString) {
        let listed = Folder::Keys.list(&*self.store).await.unwrap_or_default();
        let others: Vec<_> = listed.into_iter().filter(|(_, other)| other.name != *own).collect();
        if others.is_empty() || !self.holds_nothing().await {
            return;
        }
        let probe = self.key.seal(&[]);
        let others = others.into_iter().take(KEYS_TRIED);
        for (id, object) in others.filter(|(_, other)| other.size <= KEY_LIMIT) {
            let Ok(bytes) = self.store.get(&object.name, None).await else { continue };
            let password = password.clone();
            let Ok(key) = blocking(move || open_key(&bytes, &password)).await else { continue };
            if key.open(&probe).is_ok() {
                continue;
            }
            if let Err(error) = self.store.clear(&object.name).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(key = %id, error, "a key that opens nothing stays: restic may stop at it");
            }
        }
    }

    /// Whether nothing is stored yet, as far as listings tell.
    async fn holds_nothing(&self) -> bool {
        for folder in [Folder::Data, Folder::Index, Folder::Snapshots] {
            if !folder.list(&*self.store).await.is_ok_and(|listed| listed.is_empty()) {
                return false;
            }
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures_util::StreamExt;

    use super::*;
    use crate::ground::clock::SystemClock;
    use crate::repo::repository::tests::{CHEAP, empty, password};
    use crate::store::{Act, Fault, Memory, Store as _};

    #[tokio::test]
    async fn a_store_that_creates_what_is_there_gets_no_repository_and_keeps_nothing_of_it() {
        let memory = Arc::new(Memory::new());
        let again =
            Fault { act: Act::Put, name: "keys".into(), calls: 1..2, harm: store::Harm::Hide };
        let replacing = Arc::new(store::Faulty::new(memory.clone(), vec![again]));

        let error = Repository::create(replacing, &password("right"), CHEAP, &SystemClock)
            .await
            .unwrap_err();

        assert!(matches!(error, OpenError::Replaced { .. }), "{error:?}");
        assert_eq!(memory.list(None).count().await, 0);
    }

    #[tokio::test]
    async fn whoever_begins_again_removes_the_key_of_a_beginner_that_died_and_no_other() {
        let died = empty().await;
        let key = Folder::Keys.list(&**died.store()).await.unwrap().remove(0).1.name;
        let stray = died.store().get(&key, None).await.unwrap();
        let pack = Folder::Data.object(&Digest::of(b"something"));
        for (password_of_next, data, left) in
            [("right", None, 1), ("right", Some(pack), 2), ("another", None, 2)]
        {
            let store: store::Shared = Arc::new(Memory::new());
            store.put(&key, stray.clone(), Put::Create).await.unwrap();
            if let Some(pack) = data {
                store.put(&pack, Bytes::from_static(b"x"), Put::Create).await.unwrap();
            }

            let next = password(password_of_next);
            Repository::create(store.clone(), &next, CHEAP, &SystemClock).await.unwrap();

            assert_eq!(Folder::Keys.list(&*store).await.unwrap().len(), left);
            Repository::open(store, &next).await.unwrap();
        }
    }
}
