//! The outbox: records that wait on this host while the bucket is out of reach.
//!
//! In: events with their details. Out: the same events on the ledger, once, in order, with the
//! times they happened at. One file for each append; a file that is damaged is reported and kept.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::record::Event;
use super::{Error as LedgerError, Ledger};
use crate::ground::digest::Digest;
use crate::ground::ids::Name;

const FORMAT: u32 = 1;
const EXTENSION: &str = "held";

/// Why events could not be held.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot {action} {path} of the outbox")]
    Io { action: &'static str, path: PathBuf, source: io::Error },
    #[error("the events cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// A folder of appends that are still to be made.
#[derive(Debug, Clone)]
pub struct Outbox {
    folder: PathBuf,
}

/// One append as it lies in its file, below a line with the SHA-256 of these bytes.
#[derive(Debug, Serialize, Deserialize)]
struct Held {
    format: u32,
    events: Vec<Event>,
    /// The details that the events name, as JSON text.
    details: Vec<String>,
}

/// What a delivery did.
#[derive(Debug, Default)]
pub struct Delivered {
    /// Events now on the ledger that were not before.
    pub events: usize,
    /// Files that cannot be read as what was held; they stay where they are.
    pub damaged: Vec<PathBuf>,
}

/// Why a delivery ended early; what is not delivered still waits.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DeliverError {
    #[error(transparent)]
    Outbox(#[from] Error),
    #[error("records that wait in the outbox cannot be put on the ledger")]
    Ledger(#[from] LedgerError),
}

impl Outbox {
    /// The outbox in `folder`, which is made where it is missing, for its owner alone.
    pub fn open(folder: &Path) -> Result<Self, Error> {
        make(folder)?;
        Ok(Self { folder: folder.to_owned() })
    }

    /// Holds one append, with the details its events name; durable on return.
    pub async fn hold(
        &self,
        customer: &Name,
        events: Vec<Event>,
        details: Vec<String>,
    ) -> Result<(), Error> {
        let folder = self.folder.join(customer.as_str());
        let events = events.into_iter().map(Event::in_milliseconds).collect();
        let text = serde_json::to_vec(&Held { format: FORMAT, events, details })?;
        blocking(move || {
            let tray = Tray::enter(&folder)?;
            let number = tray.files()?.last().map_or(1, |(number, _)| number + 1);
            let digest = format!("{}\n", Digest::of(&text));
            tray.create(number, &[digest.as_bytes(), &text].concat())
        })
        .await
    }

    /// Takes the customer's pen; waits for whoever has it.
    pub async fn pen(&self, customer: &Name) -> Result<Pen, Error> {
        let folder = self.folder.join(customer.as_str());
        blocking(move || {
            make(&folder)?;
            Ok(Pen { _lock: locked(&folder.join("pen"))? })
        })
        .await
    }

    /// How many appends of `customer` wait, damaged ones included. Blocking.
    pub fn waiting(&self, customer: &Name) -> Result<usize, Error> {
        let folder = self.folder.join(customer.as_str());
        if !folder.exists() {
            return Ok(0);
        }
        Ok(Tray::enter(&folder)?.files()?.len())
    }

    /// Puts everything held for `customer` on `ledger`, oldest first.
    ///
    /// An append that was made but not crossed off, because the process died or the store's
    /// answer was lost, is not made again: its events are on the ledger, equal in every field.
    pub async fn deliver(
        &self,
        customer: &Name,
        ledger: &Ledger,
    ) -> Result<Delivered, DeliverError> {
        let mut delivered = Delivered::default();
        let folder = self.folder.join(customer.as_str());
        if !folder.exists() {
            return Ok(delivered);
        }
        // Waits for another process that delivers or holds, so not on the runtime's own threads.
        let (tray, files) = blocking(move || {
            let tray = Tray::enter(&folder)?;
            let files = tray.files()?;
            Ok((tray, files))
        })
        .await?;
        if files.is_empty() {
            return Ok(delivered);
        }
        let mut known: BTreeMap<_, Vec<Event>> = BTreeMap::new();
        for line in ledger.read().await?.lines {
            known.entry(line.record.event.time).or_default().push(line.record.event);
        }
        for (_, path) in files {
            let Some(held) = read(&path)? else {
                delivered.damaged.push(path);
                continue;
            };
            for details in &held.details {
                ledger.put_details(details).await?;
            }
            let is_new =
                |event: &Event| !known.get(&event.time).is_some_and(|at| at.contains(event));
            let events: Vec<_> = held.events.into_iter().filter(is_new).collect();
            delivered.events += ledger.append(events).await?.len();
            tray.remove(&path)?;
        }
        Ok(delivered)
    }
}

/// The right to decide what a customer's records say next: while it is held, nobody else on this
/// host reads the ledger to write what follows from it. Given back when dropped.
#[derive(Debug)]
pub struct Pen {
    _lock: File,
}

/// One customer's folder, while nobody else may use it.
#[derive(Debug)]
struct Tray {
    folder: PathBuf,
    /// Locked until it is dropped.
    _lock: File,
}

impl Tray {
    /// Waits until no other process holds or delivers for this customer.
    fn enter(folder: &Path) -> Result<Self, Error> {
        make(folder)?;
        Ok(Self { folder: folder.to_owned(), _lock: locked(&folder.join("lock"))? })
    }

    /// What is held, oldest first.
    fn files(&self) -> Result<Vec<(u64, PathBuf)>, Error> {
        let list = io("list", &self.folder);
        let entries = fs::read_dir(&self.folder).and_then(Iterator::collect::<io::Result<Vec<_>>>);
        let mut files: Vec<_> = entries
            .map_err(list)?
            .into_iter()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == EXTENSION))
            .filter_map(|path| Some((path.file_stem()?.to_str()?.parse().ok()?, path)))
            .collect();
        files.sort_unstable();
        Ok(files)
    }

    fn create(&self, number: u64, bytes: &[u8]) -> Result<(), Error> {
        // One name is enough, for the lock is ours; what a dead process left there is overwritten.
        let new = self.folder.join("new");
        let mut options = OpenOptions::new();
        options
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(&new)
            .and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()))
            .map_err(io("write", &new))?;
        let path = self.folder.join(format!("{number:020}.{EXTENSION}"));
        fs::rename(&new, &path).map_err(io("write", &path))?;
        sync(&self.folder)
    }

    fn remove(&self, path: &Path) -> Result<(), Error> {
        fs::remove_file(path).map_err(io("remove", path))?;
        sync(&self.folder)
    }
}

/// A file that nobody else holds locked; waits for it.
fn locked(path: &Path) -> Result<File, Error> {
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(path)
        .and_then(|file| file.lock().map(|()| file))
        .map_err(io("lock", path))
}

/// What `path` holds; `None` where it is not what was written.
fn read(path: &Path) -> Result<Option<Held>, Error> {
    let bytes = fs::read(path).map_err(io("read", path))?;
    let Some((digest, text)) = bytes.split_at_checked(65) else { return Ok(None) };
    if digest != format!("{}\n", Digest::of(text)).as_bytes() {
        return Ok(None);
    }
    Ok(serde_json::from_slice(text).ok().filter(|held: &Held| held.format == FORMAT))
}

fn make(folder: &Path) -> Result<(), Error> {
    if folder.is_dir() {
        return Ok(());
    }
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700).create(folder).map_err(io("create", folder))?;
    folder.parent().map_or(Ok(()), sync)
}

fn sync(folder: &Path) -> Result<(), Error> {
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(io("sync", folder))
}

fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |source| Error::Io { action, path, source }
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    match tokio::task::spawn_blocking(act).await {
        Ok(result) => result,
        Err(died) => Err(io("use", Path::new("a folder"))(io::Error::other(died))),
    }
}

#[cfg(test)]
mod tests;
