//! Recheck: what was restored is read back from the disk and compared with the snapshot's trees.
//!
//! In: a root tree and the folder it was restored into. Out: how much was compared and every
//! difference. The content is cut at the recorded lengths and every piece hashed, so that nothing
//! is fetched again.

use std::sync::Arc;

use super::compare::Comparing;
use super::plan::Plan;
use super::target::Target;
use super::{Error, Request, blocking};
use crate::ground::progress::Progress;
use crate::repo::{BlobId, BlobKind, Reader, Unreadable};
use crate::source::Place;

/// What a recheck compared and found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compared {
    /// Entries of the tree that were looked for.
    pub entries: u64,
    /// Files whose content was read and hashed, and its bytes.
    pub files: u64,
    pub bytes: u64,
    /// At most [`Compared::MOST`], in the order of the tree; missing, extra or different entries.
    pub differences: Vec<Place>,
    pub total_differences: u64,
    /// What was left out of the comparison as a class, e.g. owners.
    pub not_compared: Vec<String>,
}

impl Compared {
    /// So many differences are told apart; the rest is counted.
    pub const MOST: usize = 1000;
}

/// Compares what `request` restored of the tree `root` with that tree.
///
/// `request` is the one that was restored with. Trees that cannot be read are differences; a store
/// out of reach, and a local file that this process may not read, are errors. Reads on all cores.
pub async fn recheck(
    reader: &Reader,
    root: BlobId,
    request: &Request,
    progress: Arc<dyn Progress>,
) -> Result<Compared, Error> {
    progress.phase("plan", None);
    let plan = Plan::read(reader, root, &request.select, Unreadable::Ends).await?;
    let target = Target::open(request)?;
    let (request, reader) = (request.clone(), reader.clone());
    blocking(move || {
        let length = |blob: &BlobId| reader.plain_bytes(BlobKind::Data, blob);
        Comparing::new(&target, &plan, &request, &length).run(&*progress)
    })
    .await?
}
