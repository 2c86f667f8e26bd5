//! A store in memory, for tests: the folder's twin without a disk.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::{Mutex, MutexGuard};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{self, BoxStream, StreamExt};
use jiff::Timestamp;

use super::{Error, Object, ObjectName, Put, Result, Store};

type Objects = BTreeMap<ObjectName, (Bytes, Timestamp)>;

/// Objects in memory; "durable" while the value lives.
#[derive(Debug, Default)]
pub struct Memory(Mutex<Objects>);

impl Memory {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    fn objects(&self) -> MutexGuard<'_, Objects> {
        self.0.lock().unwrap_or_else(|held| held.into_inner())
    }
}

#[async_trait]
impl Store for Memory {
    async fn put(&self, name: &ObjectName, body: Bytes, how: Put) -> Result<()> {
        let mut objects = self.objects();
        if how == Put::Create && objects.contains_key(name) {
            return Err(Error::Exists { name: name.clone() });
        }
        objects.insert(name.clone(), (body, Timestamp::now()));
        Ok(())
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes> {
        let objects = self.objects();
        let (body, _) = objects.get(name).ok_or_else(|| Error::Missing { name: name.clone() })?;
        let Some(range) = range else { return Ok(body.clone()) };
        let size = body.len() as u64;
        if range.start > range.end || range.end > size {
            return Err(Error::Short { name: name.clone(), size, range });
        }
        Ok(body.slice(range.start as usize..range.end as usize))
    }

    fn list(&self, prefix: Option<&ObjectName>) -> BoxStream<'_, Result<Object>> {
        let folder = prefix.map(|prefix| format!("{prefix}/"));
        let listed: Vec<_> = self
            .objects()
            .iter()
            .filter(|(name, _)| folder.as_ref().is_none_or(|f| name.as_str().starts_with(f)))
            .map(|(name, (body, modified))| {
                Ok(Object { name: name.clone(), size: body.len() as u64, modified: *modified })
            })
            .collect();
        stream::iter(listed).boxed()
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        match self.objects().remove(name) {
            Some(_) => Ok(()),
            None => Err(Error::Missing { name: name.clone() }),
        }
    }

    fn place(&self) -> String {
        "memory".into()
    }
}
