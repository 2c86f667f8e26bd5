//! Writing and deleting objects.

use aws_sdk_s3::Config;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::primitives::ByteStream;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use uuid::Uuid;

use super::client::limits;
use super::{Error, ObjectName, Put, Result, S3, Trouble};
use crate::ground::digest::Digest;

/// The metadata key of a creator's mark. Each creation has its own, so that the one whose answer
/// was lost knows its object again, and nobody takes another's for it, were the bytes the same.
pub(super) const MARK: &str = "lifeboat-put";

/// What the service made of a put.
enum Done {
    Stored,
    /// It was to be created and was there before, by whomever.
    WasThere,
}

impl S3 {
    pub(super) async fn write(&self, name: &ObjectName, body: Bytes, how: Put) -> Result<()> {
        let failed = |trouble| Error::io("write", name, trouble);
        let mark = (how == Put::Create).then(|| Uuid::new_v4().to_string());
        let checksum = STANDARD.encode(Digest::of(&body).0);
        let sent = self.again(|| self.send(name, &body, &checksum, mark.as_deref())).await;
        let trouble = match (sent, &mark) {
            (Ok(Done::Stored), _) => return Ok(()),
            (Ok(Done::WasThere), None) => {
                return Err(failed(Trouble::answer("a condition failed that was not asked for")));
            }
            (Ok(Done::WasThere), Some(_)) => None,
            (Err(trouble), Some(_)) if trouble.is_open() => Some(trouble),
            (Err(trouble), _) => return Err(failed(trouble)),
        };
        match (self.glance(name).await, trouble) {
            (Ok(Some(found)), _) if found.mark == mark => Ok(()),
            (Ok(Some(_)), _) | (Ok(None), None) => Err(Error::Exists { name: name.clone() }),
            (_, Some(trouble)) | (Err(trouble), None) => Err(failed(trouble)),
        }
    }

    async fn send(
        &self,
        name: &ObjectName,
        body: &Bytes,
        checksum: &str,
        mark: Option<&str>,
    ) -> Result<Done, Trouble> {
        let length = body.len() as u64;
        let put = self
            .client
            .put_object()
            .bucket(&self.bucket)
            .key(name.as_str())
            .checksum_sha256(checksum)
            .body(ByteStream::from(body.clone()));
        let put = match mark {
            Some(mark) => put.if_none_match("*").metadata(MARK, mark),
            None => put,
        };
        let patient = Config::builder().timeout_config(limits(length).build());
        match put.customize().config_override(patient).send().await {
            // An error page with status 200 has none.
            Ok(stored) if stored.e_tag().is_none() => Err(Trouble::answer("200 without an ETag")),
            Ok(_) => Ok(Done::Stored),
            Err(SdkError::ServiceError(refused)) if refused.raw().status().as_u16() == 412 => {
                Ok(Done::WasThere)
            }
            Err(error) => Err(Trouble::of(error)),
        }
    }

    /// Looks first, for the deletion will not tell whether there was an object.
    pub(super) async fn remove(&self, name: &ObjectName) -> Result<()> {
        let failed = |trouble| Error::io("delete", name, trouble);
        if self.glance(name).await.map_err(failed)?.is_none() {
            return Err(Error::Missing { name: name.clone() });
        }
        self.erase(name).await
    }

    /// The service says the same of a deletion whether there was an object or not.
    pub(super) async fn erase(&self, name: &ObjectName) -> Result<()> {
        let delete = self.client.delete_object().bucket(&self.bucket).key(name.as_str());
        let deleted = delete.send().await;
        deleted.map(drop).map_err(|error| Error::io("delete", name, Trouble::of(error)))
    }
}
