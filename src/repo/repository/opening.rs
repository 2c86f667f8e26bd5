//! A repository is opened: by the first key file that the password opens, or by one remembered.

use bytes::Bytes;
use secrecy::SecretString;

use super::{Repository, blocking};
use crate::ground::digest::Digest;
use crate::repo::Config;
use crate::repo::file::{self, FileError};
use crate::repo::layout::{self, Folder};
use crate::seal::{self, KeyFile, MasterKey};
use crate::store::{self, Store};

/// How many key files are tried: each costs scrypt's time and memory.
pub(super) const KEYS_TRIED: usize = 20;

/// The largest key file that is fetched; restic's have some 500 bytes.
pub(super) const KEY_LIMIT: u64 = 1 << 20;

/// Why a repository could not be opened or created.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    #[error("there is no repository in {place}")]
    Missing { place: String },
    #[error("there is a repository in {place} already")]
    Exists { place: String },
    /// Of two that write at once one would be lost.
    #[error("the store at {place} creates what is there already")]
    Replaced { place: String },
    #[error("the password opens none of the repository's keys")]
    WrongPassword,
    #[error("the repository in {place} has no keys")]
    NoKeys { place: String },
    #[error("the key {key} cannot be used")]
    Key { key: Digest, source: seal::Error },
    #[error("the repository's configuration is damaged")]
    Config(#[source] FileError),
    #[error("the repository's configuration is not the JSON expected")]
    ConfigMalformed(#[source] serde_json::Error),
    #[error("the repository has version {version}; versions 1 and 2 are known")]
    UnsupportedVersion { version: u32 },
    #[error("the repository's store failed")]
    Store(#[source] store::Error),
}

impl OpenError {
    /// Whether what was found is damaged, so that nobody can open it.
    pub fn is_damage(&self) -> bool {
        match self {
            Self::NoKeys { .. } | Self::Key { .. } | Self::Config(_) | Self::ConfigMalformed(_) => {
                true
            }
            Self::Missing { .. }
            | Self::Exists { .. }
            | Self::Replaced { .. }
            | Self::WrongPassword
            | Self::UnsupportedVersion { .. }
            | Self::Store(_) => false,
        }
    }
}

/// The key file that opened a repository: whoever remembers it need not list them. It goes by its name,
/// which is the digest of its bytes, and by their number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownKey {
    pub id: Digest,
    pub bytes: u64,
}

impl KnownKey {
    /// Its bytes; none where it is not there as it was. No more is read than it had.
    async fn fetch(self, store: &dyn Store) -> store::Result<Option<Bytes>> {
        match store.get(&Folder::Keys.object(&self.id), Some(0..self.bytes)).await {
            Ok(bytes) => Ok((Digest::of(&bytes) == self.id).then_some(bytes)),
            Err(store::Error::Missing { .. } | store::Error::Short { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl Repository {
    /// Opens the repository in a store; takes scrypt's time for each key that is tried.
    pub async fn open(store: store::Shared, password: &SecretString) -> Result<Self, OpenError> {
        Ok(Self::open_by(store, password, None).await?.0)
    }

    /// As [`Self::open`]; also answers the key file that opened it. Given one that did so before, it lists
    /// the others only where that one is not there any more, or opens nothing.
    pub async fn open_by(
        store: store::Shared,
        password: &SecretString,
        known: Option<KnownKey>,
    ) -> Result<(Self, KnownKey), OpenError> {
        let sealed_config = match store.get(&layout::config(), None).await {
            Ok(bytes) => bytes,
            Err(store::Error::Missing { .. }) => {
                return Err(OpenError::Missing { place: store.place() });
            }
            Err(error) => return Err(OpenError::Store(error)),
        };
        if let Some(known) = known
            && let Some(bytes) = known.fetch(&*store).await.map_err(OpenError::Store)?
            && let Ok(opened) = Self::with_key(&store, known, bytes, password, &sealed_config).await
        {
            return Ok((opened, known));
        }
        let keys = Folder::Keys.list(&*store).await.map_err(OpenError::Store)?;
        if keys.is_empty() {
            return Err(OpenError::NoKeys { place: store.place() });
        }
        let mut best = OpenError::WrongPassword;
        for (id, object) in keys.into_iter().take(KEYS_TRIED) {
            if object.size > KEY_LIMIT {
                let what = format!("it has {} bytes; at most {KEY_LIMIT} are read", object.size);
                best = OpenError::Key { key: id, source: seal::Error::Malformed(what) };
                continue;
            }
            let bytes = store.get(&object.name, None).await.map_err(OpenError::Store)?;
            let key = KnownKey { id, bytes: bytes.len() as u64 };
            match Self::with_key(&store, key, bytes, password, &sealed_config).await {
                Ok(opened) => return Ok((opened, key)),
                Err(OpenError::WrongPassword) => {}
                Err(error @ (OpenError::Key { .. } | OpenError::Config(_))) => best = error,
                Err(error) => return Err(error),
            }
        }
        Err(best)
    }

    /// The repository, if this key file and the password open it.
    async fn with_key(
        store: &store::Shared,
        file: KnownKey,
        bytes: Bytes,
        password: &SecretString,
        sealed_config: &[u8],
    ) -> Result<Self, OpenError> {
        let password = password.clone();
        let opened = blocking(move || open_key(&bytes, &password)).await;
        let key = opened.map_err(|error| match error {
            seal::Error::WrongPassword => OpenError::WrongPassword,
            source => OpenError::Key { key: file.id, source },
        })?;
        let json = file::decode_unnamed(&key, sealed_config).map_err(OpenError::Config)?;
        let config: Config = serde_json::from_slice(&json).map_err(OpenError::ConfigMalformed)?;
        let version = config.version;
        if !(1..=2).contains(&version) {
            return Err(OpenError::UnsupportedVersion { version });
        }
        Ok(Self { store: store.clone(), key, config })
    }
}

pub(super) fn open_key(bytes: &[u8], password: &SecretString) -> Result<MasterKey, seal::Error> {
    let file: KeyFile =
        serde_json::from_slice(bytes).map_err(|error| seal::Error::Malformed(error.to_string()))?;
    file.open(password)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ground::clock::SystemClock;
    use crate::repo::repository::tests::{CHEAP, empty, password};
    use crate::store::{Act, Fault, Memory, Put};

    #[tokio::test]
    async fn what_was_created_opens_with_its_password_only() {
        let created = empty().await;
        let store = created.store().clone();

        let opened = Repository::open(store.clone(), &password("right")).await.unwrap();
        assert_eq!(opened.config(), created.config());
        let error = Repository::open(store.clone(), &password("wrong")).await.unwrap_err();
        assert!(matches!(error, OpenError::WrongPassword), "{error:?}");
        let error =
            Repository::create(store, &password("other"), CHEAP, &SystemClock).await.unwrap_err();
        assert!(matches!(error, OpenError::Exists { .. }), "{error:?}");
    }

    #[tokio::test]
    async fn a_missing_repository_a_keyless_and_a_damaged_one_are_told_apart() {
        let store: store::Shared = Arc::new(Memory::new());
        let error = Repository::open(store.clone(), &password("right")).await.unwrap_err();
        assert!(matches!(error, OpenError::Missing { .. }), "{error:?}");

        store.put(&layout::config(), Bytes::from_static(b"x"), Put::Create).await.unwrap();
        let error = Repository::open(store, &password("right")).await.unwrap_err();
        assert!(matches!(error, OpenError::NoKeys { .. }), "{error:?}");

        let store = empty().await.store().clone();
        store.put(&layout::config(), Bytes::from_static(b"x"), Put::Overwrite).await.unwrap();
        let error = Repository::open(store, &password("right")).await.unwrap_err();
        assert!(matches!(error, OpenError::Config(_)), "{error:?}");
    }

    #[tokio::test]
    async fn a_key_of_another_repository_or_a_damaged_one_does_not_stand_in_the_way() {
        let repository = empty().await;
        let store = repository.store().clone();
        let other = empty().await;
        for (id, object) in Folder::Keys.list(&**other.store()).await.unwrap() {
            let bytes = other.store().get(&object.name, None).await.unwrap();
            store.put(&Folder::Keys.object(&id), bytes, Put::Create).await.unwrap();
        }
        let junk = Folder::Keys.object(&Digest::ZERO);
        store.put(&junk, Bytes::from_static(b"{}"), Put::Create).await.unwrap();

        assert!(Repository::open(store, &password("right")).await.is_ok());
    }

    #[tokio::test]
    async fn a_key_that_opened_before_needs_no_listing_and_one_that_is_gone_keeps_nobody_out() {
        let repository = empty().await;
        let store = repository.store().clone();
        let (_, known) =
            Repository::open_by(store.clone(), &password("right"), None).await.unwrap();
        let all = 0..u64::MAX;
        let fails =
            Fault { act: Act::List, name: "keys".into(), calls: all, harm: store::Harm::Fail };
        let unlisted: store::Shared = Arc::new(store::Faulty::new(store.clone(), vec![fails]));

        let by_name = Repository::open_by(unlisted.clone(), &password("right"), Some(known)).await;
        assert_eq!(by_name.unwrap().0.config(), repository.config());
        let error = Repository::open_by(unlisted, &password("right"), None).await.unwrap_err();
        assert!(matches!(error, OpenError::Store(_)), "{error:?}");

        for known in [
            KnownKey { id: Digest::of(b"removed"), ..known },
            KnownKey { bytes: known.bytes - 1, ..known },
            KnownKey { bytes: known.bytes + 1, ..known },
        ] {
            let opened = Repository::open_by(store.clone(), &password("right"), Some(known)).await;
            assert_eq!(opened.unwrap().0.config(), repository.config());
            let refused = Repository::open_by(store.clone(), &password("wrong"), Some(known)).await;
            assert!(matches!(refused, Err(OpenError::WrongPassword)));
        }
    }

    #[tokio::test]
    async fn a_later_version_is_refused() {
        let repository = empty().await;
        let config = Config { version: 3, ..*repository.config() };
        let json = serde_json::to_vec(&config).unwrap();
        let (_, sealed) = file::encode_uncompressed(repository.key(), &json);
        let store = repository.store().clone();
        store.put(&layout::config(), sealed, Put::Overwrite).await.unwrap();

        let error = Repository::open(store, &password("right")).await.unwrap_err();

        assert!(matches!(error, OpenError::UnsupportedVersion { version: 3 }), "{error:?}");
    }
}
