//! What a restore reads: the snapshot under the repository's lock, its own page, its files in a scratch.

use std::path::PathBuf;
use std::sync::{Arc, RwLock};
use std::time::Instant;

use anyhow::{Context as _, bail};

use super::super::app::Opened;
use super::super::hint::Hinting;
use super::Args;
use super::point::{self, Point};
use crate::account::{Locked, Rooms};
use crate::repo::{self, Reader};
use crate::restore::{self, Fidelity, Occupied, Select};
use crate::sandbox::Scratch;
use crate::source::manifest::{self, Manifest};

/// A snapshot that is read.
pub(super) struct Reading {
    pub(super) begun: Instant,
    pub(super) point: Point,
    pub(super) reader: Reader,
    /// Index files that cannot be read: what they name may lie in others, too.
    pub(super) unread: Vec<repo::Error>,
}

impl Reading {
    /// Finds the snapshot that is meant; what speaks against it is told at once, for the data may take
    /// hours.
    async fn begin(args: &Args, opened: &Opened) -> anyhow::Result<Self> {
        let Opened { policy, account, rooms, .. } = opened;
        let begun = Instant::now();
        let point = point::find(account, policy, &args.snapshot, rooms).await?;
        for warning in &point.warnings {
            rooms.progress.note(&format!("WARNING: {warning}"));
        }
        let (index, unread) = account.repository.load_readable_index().await?;
        let reader = Reader::new(account.repository.clone(), Arc::new(RwLock::new(index)));
        Ok(Self { begun, point, reader, unread })
    }

    /// What the snapshot says of itself; only lifeboat's own do.
    pub(super) async fn manifest(&self) -> anyhow::Result<Manifest> {
        let manifest = restore::manifest(&self.reader, self.point.tree).await;
        let manifest = manifest.with_context(|| format!("cannot read {}", manifest::FILE))?;
        manifest
            .context(
                "lifeboat did not make this snapshot: it does not say its tables and databases",
            )
            .hint("restore its files with --to, and load them by hand")
    }

    /// Brings files into the scratch; every blob of them is verified. Answers where they came out to.
    pub(super) async fn bring(
        &self,
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
        let restored =
            restore::run(&self.reader, self.point.tree, &request, rooms.progress.clone()).await?;
        if let Some(place) = restored.damaged.first().or(restored.unrestored.first()) {
            bail!("{} did not come back whole: {}", place.object, place.what);
        }
        Ok(to)
    }
}

/// Does `work` on the snapshot that is meant under the repository's lock, which is given back however
/// that ends.
pub(super) async fn under_lock<T>(
    args: &Args,
    opened: &Opened,
    work: impl AsyncFnOnce(&Reading) -> anyhow::Result<T>,
) -> anyhow::Result<(Reading, T)> {
    let read = async {
        let reading = Reading::begin(args, opened).await?;
        let got = work(&reading).await?;
        Ok((reading, got))
    };
    Locked::while_reading(&opened.account, &opened.rooms, read).await
}
