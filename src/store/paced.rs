//! A store to which objects go at a pace.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;

use super::{Error, Object, ObjectName, Put, Result, Shared, Store};
use crate::ground::pace::Pace;
use crate::ground::size::ByteRate;

/// How soon a waiting write learns that somebody asked for an end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Another store, to which no more bytes are written than a rate allows: an object waits until those
/// before it have had their time, and then goes as fast as the line takes it.
///
/// Only for what is large and can wait: a lock that is refreshed behind packs would grow stale.
#[derive(Debug, Clone)]
pub struct Paced {
    inner: Shared,
    pace: Arc<Pace>,
    stop: Arc<AtomicBool>,
}

impl Paced {
    /// `inner` at `rate`; once `stop` is set, what waits fails instead of going.
    pub fn new(inner: Shared, rate: ByteRate, stop: Arc<AtomicBool>) -> Self {
        Self { inner, pace: Arc::new(Pace::new(rate)), stop }
    }
}

#[async_trait]
impl Store for Paced {
    async fn put(&self, name: &ObjectName, body: Bytes, how: Put) -> Result<()> {
        let now = Instant::now();
        let until = now + self.pace.book(body.len() as u64, now);
        while let Some(left) = until.checked_duration_since(Instant::now())
            && !left.is_zero()
        {
            if self.stop.load(Ordering::Relaxed) {
                return Err(Error::io("write", name, "interrupted"));
            }
            tokio::time::sleep(left.min(LOOK_EVERY)).await;
        }
        self.inner.put(name, body, how).await
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes> {
        self.inner.get(name, range).await
    }

    fn list(&self, prefix: Option<&ObjectName>) -> BoxStream<'_, Result<Object>> {
        self.inner.list(prefix)
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.inner.delete(name).await
    }

    async fn clear(&self, name: &ObjectName) -> Result<()> {
        self.inner.clear(name).await
    }

    fn is_far(&self) -> bool {
        self.inner.is_far()
    }

    fn place(&self) -> String {
        self.inner.place()
    }
}

#[cfg(test)]
mod tests {
    use super::super::Memory;
    use super::*;

    fn paced(inner: &Arc<Memory>, rate: &str) -> Paced {
        Paced::new(inner.clone(), rate.parse().unwrap(), Arc::default())
    }

    async fn put(store: &Paced, name: &str, bytes: usize) -> Result<()> {
        store.put(&name.parse().unwrap(), Bytes::from(vec![0; bytes]), Put::Create).await
    }

    #[tokio::test]
    async fn objects_that_go_at_once_take_the_time_of_all_but_the_last() {
        let (inner, begun) = (Arc::new(Memory::new()), Instant::now());
        let store = paced(&inner, "1MB/s");

        let names = ["a", "b", "c", "d"];
        let puts = names.map(|name| put(&store, name, 100_000));
        futures_util::future::try_join_all(puts).await.unwrap();

        assert!(begun.elapsed() >= Duration::from_millis(300), "{:?}", begun.elapsed());
    }

    #[tokio::test]
    async fn an_object_that_waits_is_not_written_once_somebody_asks_for_an_end() {
        let inner = Arc::new(Memory::new());
        let store = paced(&inner, "1B/s");
        put(&store, "a", 1_000_000).await.unwrap();
        store.stop.store(true, Ordering::Relaxed);

        let error = put(&store, "b", 1).await.unwrap_err();

        assert!(matches!(error, Error::Io { .. }), "{error:?}");
        let missing = inner.get(&"b".parse().unwrap(), None).await.unwrap_err();
        assert!(matches!(missing, Error::Missing { .. }), "{missing:?}");
    }
}
