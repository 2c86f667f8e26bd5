//! A store in a bucket of any S3-compatible service.
//!
//! In: where the bucket is, and the keys to it. Out: objects under the names that they have here,
//! so that `restic -r s3:…` reads them. Every put carries its SHA-256; a creation is conditional
//! (`If-None-Match`), and one whose answer was lost is settled by looking at what is there.
//! Source: the Amazon S3 API reference.

mod again;
mod client;
mod listing;
mod read;
mod trouble;
mod waiting;
mod write;

use std::fmt;
use std::ops::Range;

use async_trait::async_trait;
use aws_sdk_s3::Client;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use secrecy::SecretString;

use super::{Error, Object, ObjectName, Put, Result, Store};
pub use trouble::Trouble;
use waiting::Waiting;

/// Where a bucket is, and how to be let in.
#[derive(Debug)]
pub struct Service {
    pub bucket: String,
    /// `scheme://host[:port]`; none: AWS, found by the region.
    pub endpoint: Option<String>,
    pub region: String,
    pub access_key: SecretString,
    pub secret_key: SecretString,
    /// PEM text: the only certificates that vouch for the service; none: the machine's.
    pub ca: Option<Vec<u8>>,
}

/// Objects of one bucket. Connections are kept and shared by all calls.
pub struct S3 {
    client: Client,
    bucket: String,
    place: String,
    waiting: Waiting,
}

impl S3 {
    /// The store in a bucket; asks the service nothing yet. Blocking: reads the machine's
    /// certificates.
    pub fn open(service: &Service) -> Result<Self, Trouble> {
        let endpoint = match &service.endpoint {
            Some(endpoint) => endpoint.clone(),
            None => format!("https://s3.{}.amazonaws.com", service.region),
        };
        let place = format!("s3:{endpoint}/{}", service.bucket);
        let waiting = Waiting::new(place.clone());
        let client = client::build(service, waiting.clone())?;
        Ok(Self { client, bucket: service.bucket.clone(), place, waiting })
    }
}

impl fmt::Debug for S3 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("S3").field(&self.place).finish()
    }
}

#[async_trait]
impl Store for S3 {
    async fn put(&self, name: &ObjectName, body: Bytes, how: Put) -> Result<()> {
        self.write(name, body, how).await
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> Result<Bytes> {
        self.read(name, range).await
    }

    fn list(&self, prefix: Option<&ObjectName>) -> BoxStream<'_, Result<Object>> {
        self.listing(prefix)
    }

    async fn delete(&self, name: &ObjectName) -> Result<()> {
        self.remove(name).await
    }

    async fn clear(&self, name: &ObjectName) -> Result<()> {
        self.erase(name).await
    }

    fn is_far(&self) -> bool {
        true
    }

    /// As restic names it: `s3:https://host/bucket`.
    fn place(&self) -> String {
        self.place.clone()
    }
}

#[cfg(test)]
pub(super) mod tests;
