//! A sub-folder of a store, as a store of its own.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::{BoxStream, StreamExt};

use super::{Error, Object, ObjectName, Put, Result, Shared, Store};

/// What lies below one folder of another store, under the names it has there.
///
/// Errors carry the whole name: that is the one a person looks for.
#[derive(Debug, Clone)]
pub struct Prefixed {
    inner: Shared,
    folder: ObjectName,
}

impl Prefixed {
    /// The folder `folder` of `inner`; it need not exist.
    pub fn new(inner: Shared, folder: ObjectName) -> Self {
        Self { inner, folder }
    }

    fn whole(&self, name: &ObjectName) -> Result<ObjectName> {
        let whole = format!("{}/{name}", self.folder);
        whole.parse().map_err(|refused| Error::io("name", &whole, Box::new(refused)))
    }
}

#[async_trait]
impl Store for Prefixed {
    async fn put(&self, name: &ObjectName, body: Bytes, how: Put) -> Result<()> {
        self.inner.put(&self.whole(name)?, body, how).await
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes> {
        self.inner.get(&self.whole(name)?, range).await
    }

    fn list(&self, prefix: Option<&ObjectName>) -> BoxStream<'_, Result<Object>> {
        let whole = match prefix.map(|prefix| self.whole(prefix)).transpose() {
            Ok(whole) => whole.unwrap_or_else(|| self.folder.clone()),
            Err(error) => return futures_util::stream::iter([Err(error)]).boxed(),
        };
        let shorten = |object: Object| {
            let name = object.name.as_str().strip_prefix(self.folder.as_str());
            match name.and_then(|name| name.strip_prefix('/')).map(str::parse) {
                Some(Ok(name)) => Ok(Object { name, ..object }),
                _ => Err(Error::io("list", &object.name, "it lies outside the folder asked for")),
            }
        };
        self.inner.list(Some(&whole)).map(move |object| object.and_then(shorten)).boxed()
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.inner.delete(&self.whole(name)?).await
    }

    async fn clear(&self, name: &ObjectName) -> Result<()> {
        self.inner.clear(&self.whole(name)?).await
    }

    fn is_far(&self) -> bool {
        self.inner.is_far()
    }

    fn place(&self) -> String {
        format!("{}/{}", self.inner.place(), self.folder)
    }
}
