//! Checkpoints: five lines in the clear that fix everything on the ledger up to a record.
//!
//! In: the lines of a ledger. Out: objects `checkpoints/<size>` and `….sig`. A checkpoint holds no
//! names and no data. A writer signs only what it has just recomputed from the segments.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

use bytes::Bytes;
use futures_util::stream::TryStreamExt;
use serde::{Deserialize, Serialize};

use super::chain::Line;
use super::merkle::Tree;
use super::record::Record;
use super::sign::{self, PublicKey, Signer};
use super::{Created, Error, Ledger, Reading, object};
use crate::ground::digest::{Digest, Hasher};
use crate::store::{self, ObjectName};

const FOLDER: &str = "checkpoints";
const ORIGIN: &str = "lifeboat/";

/// What a ledger was at a certain length. Its `Display` form is the text that is signed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checkpoint {
    /// SHA-256 of the first line: which ledger this is.
    pub origin: Digest,
    /// Number of lines.
    pub size: u64,
    /// Bytes of all lines with their LFs.
    pub bytes: u64,
    /// SHA-256 of all lines with their LFs.
    pub sha256: Digest,
    /// RFC 6962 root over the lines.
    pub root: Digest,
}

/// What a writer keeps in its own state of the last checkpoint it signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Remembered {
    pub size: u64,
    pub root: Digest,
}

/// Text that is not a checkpoint.
#[derive(Debug, thiserror::Error)]
#[error("not a checkpoint: expected five lines of origin, size, bytes, SHA-256 and root")]
pub struct NotACheckpoint;

impl Checkpoint {
    /// What a writer has to remember of it.
    pub fn remembered(&self) -> Remembered {
        Remembered { size: self.size, root: self.root }
    }

    /// The checkpoints of `lines` at each of `sizes`; sizes beyond the end give none.
    pub(super) fn at(lines: &[Line], sizes: &BTreeSet<u64>) -> BTreeMap<u64, Self> {
        let (mut tree, mut hasher, mut bytes) = (Tree::new(), Hasher::new(), 0);
        let mut found = BTreeMap::new();
        for (line, size) in lines.iter().zip(1..) {
            tree.push(line.text.as_bytes());
            hasher.update(line.text.as_bytes());
            hasher.update(b"\n");
            bytes += line.text.len() as u64 + 1;
            if sizes.contains(&size) {
                let (sha256, root) = (hasher.clone().finish(), tree.root());
                let origin = lines[0].digest;
                found.insert(size, Self { origin, size, bytes, sha256, root });
            }
        }
        found
    }
}

impl fmt::Display for Checkpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { origin, size, bytes, sha256, root } = self;
        write!(f, "{ORIGIN}{origin}\n{size}\n{bytes}\n{sha256}\n{root}\n")
    }
}

impl FromStr for Checkpoint {
    type Err = NotACheckpoint;

    fn from_str(text: &str) -> Result<Self, NotACheckpoint> {
        let lines: Vec<_> = text.strip_suffix('\n').ok_or(NotACheckpoint)?.split('\n').collect();
        let [origin, size, bytes, sha256, root] = lines[..] else { return Err(NotACheckpoint) };
        let digest = |text: &str| text.parse::<Digest>().map_err(|_| NotACheckpoint);
        let number = |text: &str| text.parse::<u64>().map_err(|_| NotACheckpoint);
        let read = Self {
            origin: digest(origin.strip_prefix(ORIGIN).ok_or(NotACheckpoint)?)?,
            size: number(size)?,
            bytes: number(bytes)?,
            sha256: digest(sha256)?,
            root: digest(root)?,
        };
        // One text for one checkpoint: no leading zeros, no capitals.
        if read.to_string() == text { Ok(read) } else { Err(NotACheckpoint) }
    }
}

/// A checkpoint as it lies in the store.
#[derive(Debug)]
pub(super) struct Stored {
    pub size: u64,
    pub text: Bytes,
    /// None where the writer died before it signed.
    pub signature: Option<Bytes>,
}

impl Stored {
    /// Whether it says of `lines` what is true; what is wrong otherwise.
    pub fn agrees(&self, computed: Option<&Checkpoint>) -> Result<(), String> {
        let text = std::str::from_utf8(&self.text).map_err(|_| NotACheckpoint.to_string())?;
        let said: Checkpoint = text.parse().map_err(|error: NotACheckpoint| error.to_string())?;
        if said.size != self.size {
            return Err(format!("its name says another size than its text, {}", said.size));
        }
        match computed {
            Some(computed) if *computed == said => Ok(()),
            Some(_) => Err("the records it covers are others".into()),
            None => Err("the ledger is shorter: its end was cut off".into()),
        }
    }
}

/// Where segments are read.
#[derive(Clone, Copy)]
enum Segments {
    /// In the store.
    Stored,
    /// On this host, where it keeps them; the others in the store.
    Kept,
}

/// A ledger that is what was signed before.
struct Agreed {
    /// As recomputed from the segments; without a fault.
    reading: Reading,
    /// What checkpoints of them say, by size; the one of all lines is among them.
    computed: BTreeMap<u64, Checkpoint>,
    /// The size of the newest checkpoint that counts, if there is one.
    newest_signed: Option<u64>,
}

impl Ledger {
    /// Signs the ledger as it is now, after recomputing it from the segments.
    ///
    /// Fails with [`Error::Inconsistent`] (an alarm) where the segments do not agree with
    /// `remembered`, with the newest checkpoint in the store that `signer` signed, or with any
    /// newer one; and with [`Error::Broken`] where they do not hold together.
    pub async fn checkpoint(
        &self,
        signer: &Signer,
        remembered: Option<Remembered>,
    ) -> Result<Checkpoint, Error> {
        let Agreed { reading, mut computed, .. } =
            self.agreed(&[signer.public_key().clone()], remembered, Segments::Stored).await?;
        let size = reading.lines.len() as u64;
        let checkpoint = computed.remove(&size).ok_or(Error::Empty)?;
        self.publish(&checkpoint, signer).await?;
        if let Err(error) = self.bind(&reading).await {
            // The next writer makes them; until then their segments are read.
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "no volumes of the ledger were made"
            );
        }
        Ok(checkpoint)
    }

    /// Every record, after they were found to be what was signed before: see
    /// [`Self::checkpoint`], whose alarms are these errors. `signers` are whose word counts.
    pub async fn proven(
        &self,
        signers: &[PublicKey],
        remembered: Option<Remembered>,
    ) -> Result<Vec<Record>, Error> {
        let Agreed { reading, .. } = self.agreed(signers, remembered, Segments::Stored).await?;
        Ok(reading.lines.into_iter().map(|line| line.record).collect())
    }

    /// As [`Self::proven`], but what is kept on this host is not fetched: that the store still has what
    /// it had is not shown.
    pub async fn proven_by_kept(
        &self,
        signers: &[PublicKey],
        remembered: Option<Remembered>,
    ) -> Result<Vec<Record>, Error> {
        let Agreed { reading, .. } = self.agreed(signers, remembered, Segments::Kept).await?;
        Ok(reading.lines.into_iter().map(|line| line.record).collect())
    }

    /// Every record, found to hold together and to be what this host signed last. What is kept on this
    /// host is not fetched: that the store still has it, and what others signed, is not shown.
    pub async fn sound(&self, remembered: Option<Remembered>) -> Result<Vec<Record>, Error> {
        let lines = self.read_kept().await?.sound()?;
        as_remembered(&lines, remembered)?;
        Ok(lines.into_iter().map(|line| line.record).collect())
    }

    /// As [`Self::sound`], of what this run has read and written already; nothing is asked for again
    /// unless this host has signed more meanwhile.
    pub async fn was_sound(&self, remembered: Option<Remembered>) -> Result<(), Error> {
        let mut lines = self.seen().await?.sound()?;
        if remembered.is_some_and(|one| one.size > lines.len() as u64) {
            lines = self.read_quickly().await?.sound()?;
        }
        as_remembered(&lines, remembered)
    }

    /// What there is to remember of the newest checkpoint that one of `signers` signed, after it was
    /// found to be true; `None` where there is none. Its alarms are those of [`Self::checkpoint`].
    pub async fn newest_signed(&self, signers: &[PublicKey]) -> Result<Option<Remembered>, Error> {
        let Agreed { newest_signed, computed, .. } =
            self.agreed(signers, None, Segments::Stored).await?;
        Ok(newest_signed.and_then(|size| computed.get(&size)).map(Checkpoint::remembered))
    }

    async fn agreed(
        &self,
        signers: &[PublicKey],
        remembered: Option<Remembered>,
        segments: Segments,
    ) -> Result<Agreed, Error> {
        // Listed before the segments are, so that what a faster writer signs now is not too new.
        let (sizes, _) = self.checkpoint_sizes().await?;
        let reading = match segments {
            Segments::Stored => self.read_in_store(remembered).await?,
            Segments::Kept => self.read_quickly().await?,
        };
        let reading = reading.without_faults()?;
        let (mut known, mut newest_signed) = (Vec::new(), None);
        for size in sizes.into_iter().rev() {
            let Some(stored) = self.stored_checkpoint(size).await? else { continue };
            let ours = stored
                .signature
                .as_ref()
                .is_some_and(|signature| sign::check(&stored.text, signature, signers).is_ok());
            known.push(stored);
            if ours {
                newest_signed = Some(size);
                break;
            }
        }
        let size = reading.lines.len() as u64;
        let wanted = known.iter().map(|stored| stored.size).chain(remembered.map(|one| one.size));
        let computed = Checkpoint::at(&reading.lines, &wanted.chain([size]).collect());
        for stored in &known {
            stored
                .agrees(computed.get(&stored.size))
                .map_err(|what| Error::Inconsistent { size: stored.size, what })?;
        }
        is_as_remembered(remembered, &computed)?;
        Ok(Agreed { reading, computed, newest_signed })
    }

    /// Stores the text, then its signature; either may be there already from a run that died.
    async fn publish(&self, checkpoint: &Checkpoint, signer: &Signer) -> Result<(), Error> {
        let size = checkpoint.size;
        let text = checkpoint.to_string();
        let signature = signer.sign(text.as_bytes())?;
        if let Created::Theirs(_) = self.create(&name(size), text.clone().into()).await? {
            return Err(Error::Inconsistent { size, what: "another one has its name".into() });
        }
        match self.create(&signature_name(size), signature.into()).await? {
            Created::Ours => Ok(()),
            // The same text under an earlier key of ours: good, and verifiers know that key.
            Created::Theirs(found) => match sign::check(text.as_bytes(), &found, &[]) {
                Ok(()) | Err(sign::Error::NotAllowed { .. }) => Ok(()),
                Err(error) => Err(error.into()),
            },
        }
    }

    /// The sizes of the checkpoints that the store lists, and what else lies there.
    pub(super) async fn checkpoint_sizes(&self) -> Result<(BTreeSet<u64>, Vec<ObjectName>), Error> {
        let listed: Vec<_> = self.store.list(Some(&object(FOLDER))).try_collect().await?;
        let (mut texts, mut signatures, mut strays) =
            (BTreeSet::new(), BTreeSet::new(), Vec::new());
        for found in listed.into_iter().map(|listed| listed.name) {
            let last = found.as_str().strip_prefix("checkpoints/").unwrap_or_default();
            match last.strip_suffix(".sig").unwrap_or(last).parse() {
                Ok(size) if name(size) == found => texts.insert(size),
                Ok(size) if signature_name(size) == found => signatures.insert(size),
                _ => {
                    strays.push(found);
                    false
                }
            };
        }
        strays.extend(signatures.difference(&texts).map(|size| signature_name(*size)));
        strays.sort_unstable();
        Ok((texts, strays))
    }

    /// Reads one checkpoint, with its signature where there is one, whatever is listed; `None` where
    /// it is not there.
    pub(super) async fn stored_checkpoint(
        &self,
        size: u64,
    ) -> Result<Option<Stored>, store::Error> {
        let there = |got| match got {
            Ok(bytes) => Ok(Some(bytes)),
            Err(store::Error::Missing { .. }) => Ok(None),
            Err(error) => Err(error),
        };
        let Some(text) = there(self.store.get(&name(size), None).await)? else { return Ok(None) };
        let signature = there(self.store.get(&signature_name(size), None).await)?;
        Ok(Some(Stored { size, text, signature }))
    }
}

/// Whether `lines` are what this host signed last, and more.
fn as_remembered(lines: &[Line], remembered: Option<Remembered>) -> Result<(), Error> {
    let computed = Checkpoint::at(lines, &remembered.iter().map(|one| one.size).collect());
    is_as_remembered(remembered, &computed)
}

/// Whether what this host signed last is among what was computed.
fn is_as_remembered(
    remembered: Option<Remembered>,
    computed: &BTreeMap<u64, Checkpoint>,
) -> Result<(), Error> {
    let Some(Remembered { size, root }) = remembered else { return Ok(()) };
    if computed.get(&size).is_some_and(|computed| computed.root == root) {
        return Ok(());
    }
    let what = "it was signed on this host, and the records it covers are others or gone";
    Err(Error::Inconsistent { size, what: what.into() })
}

pub(super) fn name(size: u64) -> ObjectName {
    object(&format!("{FOLDER}/{size:020}"))
}

pub(super) fn signature_name(size: u64) -> ObjectName {
    object(&format!("{FOLDER}/{size:020}.sig"))
}

#[cfg(test)]
mod tests;
