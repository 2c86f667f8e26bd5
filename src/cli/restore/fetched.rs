//! What a table or a server is made of: a snapshot's own page, and its files in a scratch.

use std::path::PathBuf;

use anyhow::{Context as _, bail};

use super::super::hint::Hinting;
use crate::account::Rooms;
use crate::repo::{BlobId, Reader};
use crate::restore::{self, Fidelity, Occupied, Select};
use crate::sandbox::Scratch;
use crate::source::manifest::{self, Manifest};

/// What the snapshot says of itself; only lifeboat's own do.
pub(super) async fn manifest(reader: &Reader, tree: BlobId) -> anyhow::Result<Manifest> {
    let manifest = restore::manifest(reader, tree).await;
    let manifest = manifest.with_context(|| format!("cannot read {}", manifest::FILE))?;
    manifest
        .context("lifeboat did not make this snapshot: it does not say its tables and databases")
        .hint("restore its files with --to, and load them by hand")
}

/// Brings files into the scratch; every blob of them is verified. Answers where they came out to.
pub(super) async fn into_scratch(
    reader: &Reader,
    tree: BlobId,
    select: Select,
    scratch: &Scratch,
    rooms: &Rooms,
) -> anyhow::Result<PathBuf> {
    let to = scratch.dir().join("fetched");
    let request = restore::Request {
        to: to.clone(),
        select,
        occupied: Occupied::Overwrite,
        fidelity: Fidelity::Drill,
        most_bytes: None,
        interrupted: rooms.interrupted.clone(),
    };
    tracing::info!(phase = "fetch");
    let restored = restore::run(reader, tree, &request, rooms.progress.clone()).await?;
    if let Some(place) = restored.damaged.first().or(restored.unrestored.first()) {
        bail!("{} did not come back whole: {}", place.object, place.what);
    }
    Ok(to)
}
