//! A ledger in memory and events to put on it, for the tests of this room and those above.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;

use super::Ledger;
use super::record::{Actor, BackupFinished, Body, Event};
use super::sign::{Signer, generate_key};
use crate::ground::digest::Digest;
use crate::ground::ids::RunId;
use crate::seal::MasterKey;
use crate::store::{self, Memory, Object, ObjectName, Put, Store};

/// Events told apart by their time, one second each.
pub(crate) fn events(count: usize) -> Vec<Event> {
    (0..count)
        .map(|index| Event {
            time: Timestamp::from_second(1_767_225_600 + index as i64).unwrap(),
            actor: Actor { name: "alice".into(), host: "quay".into() },
            body: Body::Verify {
                policy: "shop".parse().unwrap(),
                run: RunId(uuid::Uuid::from_u128(index as u128)),
                read_data: true,
                errors: 0,
                damaged: Vec::new(),
                part: None,
            },
        })
        .collect()
}

pub(crate) fn signer() -> Signer {
    Signer::open(&generate_key("test").unwrap().private).unwrap()
}

/// A store in memory that can be made to fail at its nth write, before or after it took effect.
#[derive(Debug, Default)]
pub(crate) struct Bucket {
    pub inner: Memory,
    pub down: AtomicBool,
    gets: AtomicUsize,
    fault: std::sync::Mutex<Option<(usize, Fault)>>,
    /// The folder that listings leave out.
    hidden: std::sync::Mutex<Option<String>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The write does not happen.
    Lost,
    /// The write happens, its answer does not.
    ReplyLost,
    /// The write happens, and from then on nobody answers.
    ReplyLostAndDown,
}

impl Bucket {
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    pub fn ledger(self: &Arc<Self>, key: &MasterKey) -> Ledger {
        Ledger::open(self.clone(), key.clone())
    }

    /// The write after `writes` more of them meets `fault`.
    pub fn fail_after(&self, writes: usize, fault: Fault) {
        *self.fault.lock().unwrap() = Some((writes, fault));
    }

    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// From now on listings leave `folder` out.
    pub fn hide(&self, folder: &str) {
        *self.hidden.lock().unwrap() = Some(format!("{folder}/"));
    }

    /// Reads since the last time this was asked.
    pub fn gets(&self) -> usize {
        self.gets.swap(0, Ordering::SeqCst)
    }

    /// Whether the planned fault has happened.
    pub fn fired(&self) -> bool {
        self.fault.lock().unwrap().is_none()
    }

    pub async fn names(&self, prefix: &str) -> Vec<ObjectName> {
        let prefix = prefix.parse().unwrap();
        self.inner.list(Some(&prefix)).map(|found| found.unwrap().name).collect().await
    }

    fn due(&self) -> Option<Fault> {
        let mut planned = self.fault.lock().unwrap();
        match planned.take() {
            Some((0, fault)) => Some(fault),
            Some((writes, fault)) => {
                *planned = Some((writes - 1, fault));
                None
            }
            None => None,
        }
    }

    fn reach(&self) -> store::Result<()> {
        match self.down.load(Ordering::SeqCst) {
            true => Err(store::Error::io("reach", "the bucket", "no route")),
            false => Ok(()),
        }
    }
}

#[async_trait]
impl Store for Bucket {
    async fn put(&self, name: &ObjectName, body: Bytes, how: Put) -> store::Result<()> {
        self.reach()?;
        tokio::task::yield_now().await;
        match self.due() {
            None => return self.inner.put(name, body, how).await,
            Some(Fault::Lost) => {}
            Some(Fault::ReplyLost) => self.inner.put(name, body, how).await?,
            Some(Fault::ReplyLostAndDown) => {
                self.inner.put(name, body, how).await?;
                self.set_down(true);
            }
        }
        Err(store::Error::io("put", name, "connection reset"))
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> store::Result<Bytes> {
        self.reach()?;
        self.gets.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        self.inner.get(name, range).await
    }

    fn list(&self, prefix: Option<&ObjectName>) -> BoxStream<'_, store::Result<Object>> {
        match self.reach() {
            Ok(()) => {
                let hidden = self.hidden.lock().unwrap().clone();
                let is_shown = move |found: &store::Result<Object>| match (found, &hidden) {
                    (Ok(found), Some(hidden)) => !found.name.as_str().starts_with(hidden),
                    _ => true,
                };
                let listed = self.inner.list(prefix);
                listed.filter(move |found| std::future::ready(is_shown(found))).boxed()
            }
            Err(error) => stream::iter([Err(error)]).boxed(),
        }
    }

    async fn delete(&self, name: &ObjectName) -> store::Result<()> {
        self.reach()?;
        self.inner.delete(name).await
    }

    fn place(&self) -> String {
        "bucket".into()
    }
}

pub(crate) fn backup_finished(details: Digest) -> BackupFinished {
    BackupFinished {
        policy: "shop".parse().unwrap(),
        run: RunId(uuid::Uuid::from_u128(7)),
        slot: None,
        snapshot: Digest::ZERO,
        consistent_time: Timestamp::UNIX_EPOCH,
        complete: true,
        entries: 3,
        bytes: 4,
        added_bytes: 4,
        stored_bytes: 2,
        skipped: 0,
        duration_ms: 9,
        details,
    }
}
