//! One pack: its digest, its header, and every blob that the index says it holds.
//!
//! A pack of a usual size is read at once. Offsets have 32 bits: one may have 4 GiB, and is read by
//! pieces then, twice, with one blob in memory at a time.

use std::collections::HashSet;
use std::sync::Arc;

use super::packs::Loss;
use super::{VerifyError, told};
use crate::ground::digest::Digest;
use crate::repo::near::Near;
use crate::repo::pack::{BLOB_LIMIT, HeaderError, Opener, PackedBlob, open_blob, read_header};
use crate::repo::reader::is_environment;
use crate::repo::{BlobId, BlobKind, PackId, Repository, layout, pieces};
use crate::seal::MasterKey;
use crate::store;

/// Up to this size a pack is read at once: restic makes none above 128 MiB, a blob and the header.
const AT_ONCE: u64 = 160 << 20;

/// The most sealed bytes of a blob that is read: what does not compress grows a little.
const MOST_SEALED: u64 = BLOB_LIMIT + (BLOB_LIMIT >> 7);

/// How many damaged blobs of a pack are named; the files behind them are named one by one.
const NAMED: usize = 3;

/// What is wrong with one pack.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Findings {
    pub pack: PackId,
    /// As listed.
    pub size: u64,
    pub read: u64,
    pub what: Vec<String>,
    pub lost: Option<Loss>,
}

/// The most bytes that are in memory while a pack of `size` bytes is examined. Blobs are opened one by
/// one; a few bytes may expand to very many.
pub(super) fn held(size: u64, blobs: &[PackedBlob]) -> u64 {
    let bytes = |blob: &PackedBlob| blob.plain_bytes().max(u64::from(blob.length));
    let one = blobs.iter().map(bytes).max().unwrap_or(0).min(MOST_SEALED);
    if size <= AT_ONCE { one.max(size) } else { one }
}

/// Examines one pack; of trees what is whole is kept in `near`.
pub(super) async fn examine(
    repository: Arc<Repository>,
    near: Arc<Near>,
    pack: PackId,
    size: u64,
    blobs: Vec<PackedBlob>,
) -> Result<Findings, VerifyError> {
    let looked = match size <= AT_ONCE {
        true => at_once(&repository, near, pack, blobs).await,
        false => by_pieces(&repository, pack, size, blobs).await,
    };
    match looked {
        Ok((read, look)) => {
            let (what, lost) = look.findings();
            Ok(Findings { pack, size, read, what, lost })
        }
        Err(Stop::Verify(error)) => Err(error),
        Err(Stop::Store(source)) if is_environment(&source) && !source.is_of_one_object() => {
            Err(VerifyError::ReadPack { pack, source })
        }
        Err(Stop::Store(error)) => {
            let what = vec![told(&error)];
            Ok(Findings { pack, size, read: 0, what, lost: Some(Loss::All) })
        }
    }
}

/// Why a pack could not be looked at.
#[derive(Debug)]
enum Stop {
    Store(store::Error),
    Verify(VerifyError),
}

async fn at_once(
    repository: &Repository,
    near: Arc<Near>,
    pack: PackId,
    blobs: Vec<PackedBlob>,
) -> Result<(u64, Look), Stop> {
    let bytes = repository.store().get(&layout::pack(&pack), None).await.map_err(Stop::Store)?;
    let key = repository.key().clone();
    blocking(move || {
        let mut look = Look::new(blobs.len());
        look.digest(pack, Digest::of(&bytes));
        look.header(read_header(&key, bytes.len() as u64, &bytes), &blobs);
        let mut opener = Opener::default();
        for blob in &blobs {
            let outcome = match bytes.get(blob.offset as usize..blob.end() as usize) {
                None => Err(beyond(blob)),
                Some(sealed) => opener.open(&key, blob, sealed).map(drop).map_err(|e| told(&e)),
            };
            look.blob(blob, outcome);
        }
        let read = bytes.len() as u64;
        if look.what.is_empty() && blobs.iter().all(|blob| blob.kind == BlobKind::Tree) {
            near.keep_pack(pack, bytes);
        }
        (read, look)
    })
    .await
}

async fn by_pieces(
    repository: &Repository,
    pack: PackId,
    size: u64,
    blobs: Vec<PackedBlob>,
) -> Result<(u64, Look), Stop> {
    let (store, object) = (&**repository.store(), layout::pack(&pack));
    let digest = pieces::digest(store, &object).await.map_err(Stop::Store)?;
    let missing = || Stop::Store(store::Error::Missing { name: object.clone() });
    let mut look = Look::new(blobs.len());
    look.digest(pack, digest.ok_or_else(missing)?);
    let key = repository.key();
    let header = pieces::header(store, key, &object, size).await.map_err(Stop::Store)?;
    look.header(header, &blobs);
    for blob in blobs {
        let outcome = if u64::from(blob.length) > MOST_SEALED {
            Err(format!("blob {} has {} sealed bytes, no blob has", blob.id, blob.length))
        } else {
            match store.get(&object, Some(u64::from(blob.offset)..blob.end())).await {
                Ok(sealed) => opened(key.clone(), blob, sealed).await?,
                Err(store::Error::Short { .. }) => Err(beyond(&blob)),
                Err(error) => return Err(Stop::Store(error)),
            }
        };
        look.blob(&blob, outcome);
    }
    Ok((size, look))
}

async fn opened(
    key: MasterKey,
    blob: PackedBlob,
    sealed: bytes::Bytes,
) -> Result<Result<(), String>, Stop> {
    blocking(move || open_blob(&key, &blob, &sealed).map(drop).map_err(|error| told(&error))).await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Stop> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Stop::Verify(VerifyError::Thread(error)))
}

fn beyond(blob: &PackedBlob) -> String {
    format!("blob {} lies beyond its end", blob.id)
}

/// What is seen of a pack, piece by piece.
#[derive(Debug)]
struct Look {
    what: Vec<String>,
    lost: HashSet<BlobId>,
    blobs: usize,
}

impl Look {
    fn new(blobs: usize) -> Self {
        Self { what: Vec::new(), lost: HashSet::new(), blobs }
    }

    fn digest(&mut self, pack: PackId, digest: Digest) {
        if digest != pack.0 {
            self.what.push(format!("its bytes hash to {digest}, not to its name"));
        }
    }

    fn header(&mut self, header: Result<Vec<PackedBlob>, HeaderError>, blobs: &[PackedBlob]) {
        match header {
            Err(error) => self.what.push(told(&error)),
            Ok(header) if header != blobs => {
                self.what.push("its header and its index do not name the same blobs".into());
            }
            Ok(_) => {}
        }
    }

    fn blob(&mut self, blob: &PackedBlob, outcome: Result<(), String>) {
        if let Err(error) = outcome {
            if self.lost.len() < NAMED {
                self.what.push(error);
            }
            self.lost.insert(blob.id);
        }
    }

    fn findings(mut self) -> (Vec<String>, Option<Loss>) {
        if self.lost.len() > NAMED {
            let all = self.blobs;
            self.what.push(format!("{} of its {all} blobs are damaged", self.lost.len()));
        }
        (self.what, (!self.lost.is_empty()).then_some(Loss::Blobs(self.lost)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::repo::PackBuilder;
    use crate::repo::repository::tests::create_in;
    use crate::store::{Memory, Put, Store};

    /// A pack of eight blobs, some of them compressed elsewhere.
    fn pack(key: &MasterKey) -> crate::repo::Packed {
        let mut builder = PackBuilder::new(key.clone());
        for number in 0..8_u8 {
            let plain = vec![number; 3000];
            let id = BlobId(Digest::of(&plain));
            builder.add(id, BlobKind::Data, &key.seal(&plain), 3000, false);
        }
        builder.finish()
    }

    #[tokio::test]
    async fn by_pieces_the_same_is_found_as_at_once() {
        let memory = Arc::new(Memory::new());
        let repository = create_in(memory.clone()).await;
        let packed = pack(repository.key());
        let (pack, blobs) = (packed.id, packed.blobs);
        let whole = packed.bytes.to_vec();
        let mut damaged = vec![whole.clone(), whole[..whole.len() - 9].to_vec()];
        damaged.extend([9000, 100, 0].map(|left| whole[..left].to_vec()));
        for at in [0, 3100, 20_000, whole.len() - 200, whole.len() - 2] {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            damaged.push(bytes);
        }
        damaged.push(whole.iter().map(|byte| byte ^ 1).collect());

        let mut intact = 0;
        for bytes in damaged {
            let object = layout::pack(&pack);
            memory.put(&object, bytes.clone().into(), Put::Overwrite).await.unwrap();
            let size = bytes.len() as u64;
            let (read, one) =
                at_once(&repository, Arc::default(), pack, blobs.clone()).await.unwrap();
            let (again, other) = by_pieces(&repository, pack, size, blobs.clone()).await.unwrap();

            let (one, other) = (one.findings(), other.findings());
            assert_eq!((read, &one), (again, &other), "{size} bytes");
            intact += usize::from(one.0.is_empty());
        }
        assert_eq!(intact, 1);
    }

    #[tokio::test]
    async fn a_blob_that_no_writer_makes_is_not_read_and_its_pack_takes_no_more_memory_than_one() {
        let memory = Arc::new(Memory::new());
        let repository = create_in(memory.clone()).await;
        let packed = pack(repository.key());
        let object = layout::pack(&packed.id);
        memory.put(&object, packed.bytes.clone(), Put::Create).await.unwrap();
        let mut blobs = packed.blobs;
        blobs[7].length = u32::MAX;

        let size = packed.bytes.len() as u64;
        let (_, look) = by_pieces(&repository, packed.id, size, blobs.clone()).await.unwrap();

        let (what, lost) = look.findings();
        assert_eq!(lost, Some(Loss::Blobs([blobs[7].id].into())));
        assert!(what.last().unwrap().contains("has 4294967295 sealed bytes"), "{what:?}");
        assert_eq!(held(4 << 30, &blobs), MOST_SEALED);
        assert_eq!(held(4 << 30, &blobs[..7]), u64::from(blobs[0].length));
        assert_eq!(held(AT_ONCE, &blobs[..7]), AT_ONCE);
    }
}
