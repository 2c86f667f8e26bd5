//! A repository that is open: a store, the master key, the configuration.
//!
//! In: a store rooted at the repository. Out: its index and its snapshots, read and written.
//! Async; what takes time on the CPU runs on tokio's blocking threads.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::pin::pin;

use bytes::Bytes;
use futures_util::{Stream, StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use secrecy::SecretString;

use super::file::{self, FileError};
use super::known_key::KnownKey;
use super::layout::{self, Folder};
use super::pack::expected_size;
use super::{Config, Index, IndexFile, IndexId, PackId, Snapshot, SnapshotId};
use crate::ground::clock::Clock;
use crate::ground::digest::Digest;
use crate::ground::process::host_name;
use crate::seal::{self, Cost, KeyFile, MasterKey};
use crate::store::{self, ObjectName, Put};

/// How many small objects are fetched at once.
const FETCHES: usize = 16;

/// How many key files are tried: each costs scrypt's time and memory.
const KEYS_TRIED: usize = 20;

/// The largest key file that is fetched; restic's have some 500 bytes.
const KEY_LIMIT: u64 = 1 << 20;

/// An open repository; tasks share it behind an `Arc`.
#[derive(Debug)]
pub struct Repository {
    store: store::Shared,
    key: MasterKey,
    config: Config,
}

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

/// Why a repository did not give or take a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the repository's store failed")]
    Store(#[source] store::Error),
    #[error("{object} is damaged")]
    Damaged { object: store::ObjectName, source: FileError },
    #[error("{object} is not the JSON expected")]
    Malformed { object: store::ObjectName, source: serde_json::Error },
    #[error("no snapshot's id begins with {prefix:?}")]
    NoSnapshot { prefix: String },
    #[error("{count} snapshots' ids begin with {prefix:?}")]
    Ambiguous { prefix: String, count: usize },
}

impl Error {
    /// Whether the store was out of reach, so that nothing is known of the repository itself.
    pub fn is_environment(&self) -> bool {
        matches!(self, Self::Store(store::Error::Io { .. }))
    }

    /// Whether the store failed as a whole: others cannot be read either.
    pub fn is_out_of_reach(&self) -> bool {
        matches!(self, Self::Store(error @ store::Error::Io { .. }) if !error.is_of_one_object())
    }
}

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

    /// The same repository, reached through another store.
    pub fn through(&self, store: store::Shared) -> Self {
        Self { store, key: self.key.clone(), config: self.config }
    }

    /// The key that seals everything here.
    pub fn key(&self) -> &MasterKey {
        &self.key
    }

    /// The store, rooted at the repository.
    pub fn store(&self) -> &store::Shared {
        &self.store
    }

    /// What the object `config` says.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether blobs may be compressed: from version 2 on.
    pub fn compresses(&self) -> bool {
        self.config.version >= 2
    }

    /// All index files, the damaged ones with their error; a failed listing or a store that is out
    /// of reach is an error of the whole.
    pub async fn index_files(&self) -> Result<Vec<(IndexId, Result<IndexFile, Error>)>, Error> {
        let files = self.load_all(Folder::Index, IndexFile::decode).await?;
        Ok(files.into_iter().map(|(id, file)| (IndexId(id), file)).collect())
    }

    /// The index of all packs; a damaged index file is an error that names it.
    pub async fn load_index(&self) -> Result<Index, Error> {
        let (index, errors) = self.load_readable_index().await?;
        errors.into_iter().next().map_or(Ok(index), Err)
    }

    /// The index as far as it can be read, and the errors of the index files that cannot: for those
    /// who save what there is.
    pub async fn load_readable_index(&self) -> Result<(Index, Vec<Error>), Error> {
        let (index, errors) = self.gather_index().await?;
        Ok((index, errors.into_iter().map(|(_, error)| error).collect()))
    }

    /// The index as far as it can be read, and the index files that cannot. A failed listing or a
    /// store that is out of reach is an error of the whole. Memory: the index and a few of its files.
    pub(super) async fn gather_index(&self) -> Result<(Index, Vec<(IndexId, Error)>), Error> {
        let mut superseded = HashSet::new();
        loop {
            let (mut index, mut errors, mut taken) = (Index::new(), Vec::new(), HashSet::new());
            let mut files = pin!(self.each(Folder::Index, IndexFile::decode).await?);
            while let Some((id, file)) = files.try_next().await? {
                let id = IndexId(id);
                match file {
                    Ok(file) => {
                        superseded.extend(file.supersedes.iter().copied());
                        if !superseded.contains(&id) {
                            taken.insert(id);
                            index.insert_file(&file);
                        }
                    }
                    Err(error) => errors.push((id, error)),
                }
            }
            // One that another replaces may have come before it: rare, and read again.
            if taken.is_disjoint(&superseded) {
                return Ok((index, errors));
            }
        }
    }

    /// The packs that the store has, and their sizes in bytes: those it lists, and those that
    /// `index` names and a listing left out.
    pub async fn pack_sizes(&self, index: &Index) -> Result<HashMap<PackId, u64>, store::Error> {
        let packs = self.stored_packs(index).await?;
        Ok(packs.into_iter().map(|(id, (size, _))| (id, size)).collect())
    }

    /// As [`Self::pack_sizes`], with when each was written, as far as a listing tells.
    pub(super) async fn stored_packs(
        &self,
        index: &Index,
    ) -> Result<HashMap<PackId, (u64, Option<Timestamp>)>, store::Error> {
        let listed = Folder::Data.list(&*self.store).await?;
        let stored =
            |(id, object): (_, store::Object)| (PackId(id), (object.size, Some(object.modified)));
        let mut packs: HashMap<_, _> = listed.into_iter().map(stored).collect();
        let missing: Vec<_> = index
            .packs()
            .filter(|(pack, _)| !packs.contains_key(pack))
            .map(|(pack, blobs)| (pack, expected_size(&blobs)))
            .collect();
        let asked = missing.into_iter().map(|(pack, size)| async move {
            Ok::<_, store::Error>((pack, self.unlisted_size(&pack, size).await?))
        });
        let found: Vec<_> = stream::iter(asked).buffered(FETCHES).try_collect().await?;
        for (pack, size) in found {
            if let Some(size) = size {
                tracing::warn!(%pack, "the store's listing leaves out a pack");
                packs.insert(pack, (size, None));
            }
        }
        Ok(packs)
    }

    /// What tells of damaged packs that a repair took out of the index.
    pub(super) async fn packs_aside(&self) -> Result<HashSet<ObjectName>, store::Error> {
        let listed = self.store.list(Some(&layout::packs_aside()));
        listed.map_ok(|object| object.name).try_collect().await
    }

    /// The size of a pack that was not listed, as far as the `expected` one goes; none if it is
    /// not there.
    async fn unlisted_size(
        &self,
        pack: &PackId,
        expected: u64,
    ) -> Result<Option<u64>, store::Error> {
        let last = expected.saturating_sub(1)..expected;
        match self.store.get(&layout::pack(pack), Some(last)).await {
            Ok(_) => Ok(Some(expected)),
            Err(store::Error::Short { size, .. }) => Ok(Some(size)),
            Err(store::Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stores an index file; every pack that it names must be durable already.
    pub async fn save_index(&self, index: &IndexFile) -> Result<IndexId, Error> {
        self.save(Folder::Index, &index.encode()).await.map(IndexId)
    }

    /// All snapshots, oldest first; an unreadable one is an error that names it.
    pub async fn snapshots(&self) -> Result<Vec<(SnapshotId, Snapshot)>, Error> {
        in_order(self.snapshot_files().await?)
    }

    /// All snapshots by id, the unreadable ones with their error; a failed listing or a store that
    /// is out of reach is an error of the whole.
    pub async fn snapshot_files(
        &self,
    ) -> Result<Vec<(SnapshotId, Result<Snapshot, Error>)>, Error> {
        let mut files = self.load_all(Folder::Snapshots, Snapshot::decode).await?;
        let is_missing = |file: &Result<Snapshot, Error>| {
            matches!(file, Err(Error::Store(store::Error::Missing { .. })))
        };
        if files.iter().any(|(_, file)| is_missing(file)) {
            // Whoever forgets meanwhile removes what was listed a moment ago.
            let listed = Folder::Snapshots.list(&*self.store).await.map_err(Error::Store)?;
            let listed: HashSet<_> = listed.into_iter().map(|(id, _)| id).collect();
            files.retain(|(id, file)| !is_missing(file) || listed.contains(id));
        }
        Ok(files.into_iter().map(|(id, file)| (SnapshotId(id), file)).collect())
    }

    /// [`Self::snapshot_files`], and those of `known` that the listing left out and that are there
    /// all the same.
    pub async fn snapshot_files_with(
        &self,
        known: &[SnapshotId],
    ) -> Result<Vec<(SnapshotId, Result<Snapshot, Error>)>, Error> {
        let mut files = self.snapshot_files().await?;
        let listed: HashSet<SnapshotId> = files.iter().map(|(id, _)| *id).collect();
        let unlisted: Vec<_> = known.iter().filter(|id| !listed.contains(id)).copied().collect();
        let asked = unlisted.into_iter().map(|id| async move {
            match self.snapshot(&id).await {
                Err(Error::Store(store::Error::Missing { .. })) => Ok(None),
                Err(error) if error.is_out_of_reach() => Err(error),
                found => Ok(Some((id, found))),
            }
        });
        let found: Vec<_> = stream::iter(asked).buffered(FETCHES).try_collect().await?;
        for (id, file) in found.into_iter().flatten() {
            tracing::warn!(snapshot = %id, "the store's listing leaves out a snapshot");
            files.push((id, file));
        }
        Ok(files)
    }

    /// One snapshot.
    pub async fn snapshot(&self, id: &SnapshotId) -> Result<Snapshot, Error> {
        self.load(Folder::Snapshots, &id.0, Snapshot::decode).await
    }

    /// Whether a snapshot is not there, whatever a listing says. One that cannot be read is there.
    pub async fn is_gone(&self, id: &SnapshotId) -> Result<bool, Error> {
        match self.snapshot(id).await {
            Err(Error::Store(store::Error::Missing { .. })) => Ok(true),
            Err(error) if error.is_environment() => Err(error),
            _ => Ok(false),
        }
    }

    /// The one snapshot whose id begins with `prefix`: of those listed, and of those `known` that a
    /// listing may leave out.
    pub async fn find(&self, prefix: &str, known: &[SnapshotId]) -> Result<SnapshotId, Error> {
        let listed = Folder::Snapshots.list(&*self.store).await.map_err(Error::Store)?;
        let listed = listed.into_iter().map(|(id, _)| SnapshotId(id));
        let fits = |id: &SnapshotId| !prefix.is_empty() && id.to_string().starts_with(prefix);
        let ids: BTreeSet<_> = listed.chain(known.iter().copied()).filter(fits).collect();
        match (ids.first(), ids.len()) {
            (Some(id), 1) => Ok(*id),
            (None, _) => Err(Error::NoSnapshot { prefix: prefix.to_owned() }),
            (_, count) => Err(Error::Ambiguous { prefix: prefix.to_owned(), count }),
        }
    }

    /// Publishes a snapshot; everything it refers to must be durable and indexed already.
    pub async fn save_snapshot(&self, snapshot: &Snapshot) -> Result<SnapshotId, Error> {
        self.save(Folder::Snapshots, &snapshot.encode()).await.map(SnapshotId)
    }

    /// Seals and stores one file under its own hash.
    pub(super) async fn save(&self, folder: Folder, json: &[u8]) -> Result<Digest, Error> {
        let (id, sealed) = self.seal(json);
        self.put_file(folder, id, sealed).await?;
        Ok(id)
    }

    /// Seals one file, which will be called by its own hash.
    pub(super) fn seal(&self, json: &[u8]) -> (Digest, Bytes) {
        if self.compresses() {
            file::encode(&self.key, json)
        } else {
            file::encode_uncompressed(&self.key, json)
        }
    }

    /// Stores what [`Self::seal`] gave.
    pub(super) async fn put_file(
        &self,
        folder: Folder,
        id: Digest,
        sealed: Bytes,
    ) -> Result<(), Error> {
        self.store.put(&folder.object(&id), sealed, Put::Create).await.map_err(Error::Store)
    }

    /// Fetches, opens and decodes one file.
    pub(super) async fn load<T: Send + 'static>(
        &self,
        folder: Folder,
        id: &Digest,
        decode: fn(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<T, Error> {
        let object = folder.object(id);
        let stored = self.store.get(&object, None).await.map_err(Error::Store)?;
        let (key, id) = (self.key.clone(), *id);
        blocking(move || match file::decode(&key, &id, &stored) {
            Ok(json) => decode(&json).map_err(|source| Error::Malformed { object, source }),
            Err(source) => Err(Error::Damaged { object, source }),
        })
        .await
    }

    async fn load_all<T: Send + 'static>(
        &self,
        folder: Folder,
        decode: fn(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<Vec<(Digest, Result<T, Error>)>, Error> {
        self.each(folder, decode).await?.try_collect().await
    }

    /// Every file of a folder, the unreadable ones with their error, a few on their way at one time.
    async fn each<T: Send + 'static>(
        &self,
        folder: Folder,
        decode: fn(&[u8]) -> Result<T, serde_json::Error>,
    ) -> Result<impl Stream<Item = Result<(Digest, Result<T, Error>), Error>>, Error> {
        let listed = folder.list(&*self.store).await.map_err(Error::Store)?;
        let fetches = listed.into_iter().map(move |(id, object)| async move {
            if object.size > file::STORED_LIMIT {
                let (size, limit) = (object.size, file::STORED_LIMIT);
                let source = FileError::TooLarge { size, limit };
                return Ok((id, Err(Error::Damaged { object: object.name, source })));
            }
            match self.load(folder, &id, decode).await {
                Err(error) if error.is_out_of_reach() => Err(error),
                result => Ok((id, result)),
            }
        });
        Ok(stream::iter(fetches).buffered(FETCHES))
    }
}

/// Snapshots oldest first; an unreadable one is an error that names it.
pub fn in_order(
    files: Vec<(SnapshotId, Result<Snapshot, Error>)>,
) -> Result<Vec<(SnapshotId, Snapshot)>, Error> {
    let read = files.into_iter().map(|(id, snapshot)| Ok((id, snapshot?)));
    let mut snapshots = read.collect::<Result<Vec<_>, Error>>()?;
    snapshots.sort_by_key(|(id, snapshot)| (snapshot.time, *id));
    Ok(snapshots)
}

fn open_key(bytes: &[u8], password: &SecretString) -> Result<MasterKey, seal::Error> {
    let file: KeyFile =
        serde_json::from_slice(bytes).map_err(|error| seal::Error::Malformed(error.to_string()))?;
    file.open(password)
}

/// Runs CPU work beside the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(died) => std::panic::resume_unwind(died.into_panic()),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::sync::Arc;

    use bytes::Bytes;

    use super::*;
    use crate::ground::clock::SystemClock;
    use crate::repo::pack::PackedBlob;
    use crate::repo::{BlobId, BlobKind, IndexPack, PackId};
    use crate::store::{Act, Fault, Memory, Store as _};

    pub(crate) const CHEAP: Cost = Cost { log_n: 4, r: 8, p: 1 };

    fn password(text: &str) -> SecretString {
        text.to_owned().into()
    }

    pub(crate) async fn empty() -> Repository {
        create_in(Arc::new(Memory::new())).await
    }

    pub(crate) async fn create_in(store: store::Shared) -> Repository {
        Repository::create(store, &password("right"), CHEAP, &SystemClock).await.unwrap()
    }

    fn snapshot(second: i64) -> Snapshot {
        Snapshot {
            time: Timestamp::from_second(second).unwrap(),
            parent: None,
            original: None,
            tree: BlobId(Digest::of(b"tree")),
            paths: vec!["/srv".into()],
            hostname: "acme".into(),
            username: String::new(),
            uid: 0,
            gid: 0,
            tags: vec!["lifeboat".into()],
            program_version: String::new(),
            others: Default::default(),
            summary: None,
        }
    }

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

    #[tokio::test]
    async fn snapshots_come_back_oldest_first_and_are_found_by_prefix() {
        let repository = empty().await;
        let newer = repository.save_snapshot(&snapshot(2)).await.unwrap();
        let older = repository.save_snapshot(&snapshot(1)).await.unwrap();

        assert_eq!(
            repository.snapshots().await.unwrap(),
            [(older, snapshot(1)), (newer, snapshot(2))]
        );
        assert_eq!(repository.snapshot(&newer).await.unwrap(), snapshot(2));
        assert_eq!(repository.find(&newer.to_string()[..32], &[]).await.unwrap(), newer);
        assert!(matches!(repository.find("", &[]).await, Err(Error::NoSnapshot { .. })));
        assert!(matches!(repository.find("latest", &[]).await, Err(Error::NoSnapshot { .. })));
    }

    #[tokio::test]
    async fn a_damaged_snapshot_is_named_and_the_others_are_still_listed() {
        let repository = empty().await;
        let good = repository.save_snapshot(&snapshot(1)).await.unwrap();
        let bad = repository.save_snapshot(&snapshot(2)).await.unwrap();
        let name = layout::snapshot(&bad);
        let store = repository.store();
        store.put(&name, Bytes::from_static(b"junk"), Put::Overwrite).await.unwrap();

        let error = repository.snapshots().await.unwrap_err();
        assert!(error.to_string().contains(name.as_str()), "{error}");
        assert!(!error.is_environment());
        let listed = repository.snapshot_files().await.unwrap();
        assert_eq!(listed.len(), 2);
        assert!(listed.iter().all(|(id, file)| file.is_ok() == (*id == good)));
    }

    #[tokio::test]
    async fn an_index_counts_until_another_supersedes_it() {
        let repository = empty().await;
        let blob = PackedBlob {
            id: BlobId(Digest::of(b"blob")),
            kind: BlobKind::Data,
            offset: 0,
            length: 40,
            plain_length: None,
        };
        let pack = |text: &str| PackId(Digest::of(text.as_bytes()));
        let file = |text| IndexFile {
            packs: vec![IndexPack { id: pack(text), blobs: vec![blob] }],
            ..IndexFile::default()
        };
        let old = repository.save_index(&file("old")).await.unwrap();
        assert!(repository.load_index().await.unwrap().has_pack(&pack("old")));

        let replacing = IndexFile { supersedes: vec![old], ..file("new") };
        repository.save_index(&replacing).await.unwrap();

        let index = repository.load_index().await.unwrap();
        assert!(index.has_pack(&pack("new")) && !index.has_pack(&pack("old")));
    }
}
