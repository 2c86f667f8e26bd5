//! Restore: a snapshot's tree, or what is selected of it, back into a folder.
//!
//! In: a repository's reader and a root tree. Out: files, and a list of everything that could not
//! be made as the tree says. Nothing is written outside the target, whatever a tree says: every
//! name is validated, every call is relative to an open folder and follows no link. Knows nothing
//! of policies. [`recheck`] reads back from the disk what was restored and compares it.

mod compare;
mod entry;
mod error;
mod manifest;
mod metadata;
mod plan;
mod recheck;
mod reread;
mod select;
mod target;
#[cfg(test)]
mod tests;
mod write;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::ground::progress::Progress;
use crate::repo::{BlobId, BlobKind, Reader, Unreadable};
use crate::source::Place;

pub use error::Error;
pub use manifest::{ManifestError, manifest};
pub use recheck::{Compared, recheck};
pub use select::Select;

use plan::Plan;
use target::Target;
use write::Writing;

/// What to restore, where to and how.
#[derive(Debug, Clone)]
pub struct Request {
    /// The folder that gets the snapshot's root entries; made if it is missing.
    pub to: PathBuf,
    pub select: Select,
    pub occupied: Occupied,
    pub fidelity: Fidelity,
    /// The most that may be restored, whatever is free.
    pub most_bytes: Option<u64>,
    /// Set when somebody asks for an end: then it stops with [`Error::Interrupted`].
    pub interrupted: Arc<AtomicBool>,
}

impl Request {
    fn check_interrupted(&self) -> Result<(), Error> {
        if self.interrupted.load(Ordering::Relaxed) { Err(Error::Interrupted) } else { Ok(()) }
    }
}

/// What to do where something lies in the target already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Occupied {
    /// Restore into an empty folder only.
    Refuse,
    /// Replace what has the name of something restored; keep the rest.
    Overwrite,
}

/// How much of the metadata is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fidelity {
    /// Everything; owners, set-id bits and devices as root only. Durable on return.
    Full,
    /// For a drill: no owners, no set-id and sticky bits, no devices, no attributes that only root
    /// may set. Not synced: the folder is thrown away.
    Drill,
}

impl Fidelity {
    /// Whoever needs the data takes what there is; a drill that could not look has learnt nothing.
    fn unreadable(self) -> Unreadable {
        match self {
            Self::Full => Unreadable::Skipped,
            Self::Drill => Unreadable::Ends,
        }
    }
}

/// What a restore did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// Regular files, hard links among them.
    pub files: u64,
    pub dirs: u64,
    /// Symbolic links, FIFOs, sockets, devices.
    pub others: u64,
    /// Bytes of content, a hard link's once.
    pub bytes: u64,
    /// Distinct blobs of content that were fetched whole, decrypted and found to be what their
    /// names say.
    pub blobs: u64,
    /// Entries or metadata that this machine did not let be made, each with the reason.
    pub unrestored: Vec<Place>,
    /// What the repository could not give whole. A damaged file is left out, not half restored.
    pub damaged: Vec<Place>,
    /// What was left out as a class, e.g. owners where only root could set them.
    pub notes: Vec<String>,
}

/// Restores what `request` selects of the tree `root`.
///
/// Every blob is verified. Damage in the repository and entries that this machine refuses do not
/// end it, they are listed, and unless it is a drill's so is what the store has and cannot give; a
/// store that is out of reach and a full disk end it. Async; the disk's part
/// runs on blocking threads and needs a multi-threaded runtime.
pub async fn run(
    reader: &Reader,
    root: BlobId,
    request: &Request,
    progress: Arc<dyn Progress>,
) -> Result<Restored, Error> {
    progress.phase("plan", None);
    let plan = Plan::read(reader, root, &request.select, request.fidelity.unreadable()).await?;
    restore(reader, plan, request, progress).await
}

async fn restore(
    reader: &Reader,
    plan: Plan,
    request: &Request,
    progress: Arc<dyn Progress>,
) -> Result<Restored, Error> {
    let target = Target::create(request)?;
    target.check_room(plan.stored_bytes(reader), request.most_bytes, plan.entries.len())?;
    let (lengths, request) = (reader.clone(), request.clone());
    let laid_out = blocking(move || {
        let length = |blob: &BlobId| lengths.plain_bytes(BlobKind::Data, blob);
        Writing::lay_out(target, plan, request, &length)
    })
    .await??;
    progress.phase("restore", Some(laid_out.expected_bytes()));
    let reader = reader.clone();
    blocking(move || {
        let written = laid_out.fetch(&reader, &*progress)?;
        progress.phase("finish", None);
        written.finish(&*progress)
    })
    .await?
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(Error::Thread)
}
