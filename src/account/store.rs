//! A declared store, opened: the one place where keys to buckets are revealed.

use std::sync::Arc;

use super::Error;
use crate::ground::secret::{self, SecretRef, SecretString};
use crate::policy::{S3Settings, Store, StoreKind};
use crate::store::s3::Service;
use crate::store::{self, Local, ObjectName, Prefixed, S3, Shared};

/// Opens a store; async. A folder must exist; a bucket is not asked anything yet.
pub async fn open(store: &Store) -> Result<Shared, Error> {
    let store = store.clone();
    // Secrets may come from programs, certificates from disks.
    tokio::task::spawn_blocking(move || blocking(&store)).await.map_err(Error::Thread)?
}

fn blocking(store: &Store) -> Result<Shared, Error> {
    let failed = |source| Error::Store { place: store.url(), source };
    match &store.kind {
        StoreKind::Folder(folder) => Ok(Arc::new(Local::open(folder).map_err(failed)?)),
        StoreKind::S3(bucket) => {
            let service = service(store, bucket)?;
            let opened = S3::open(&service)
                .map_err(|trouble| failed(store::Error::io("open", store.url(), trouble)))?;
            let whole: Shared = Arc::new(opened);
            let Some(folder) = &bucket.folder else { return Ok(whole) };
            let folder: ObjectName = folder
                .parse()
                .map_err(|error| failed(store::Error::io("name", folder, Box::new(error))))?;
            Ok(Arc::new(Prefixed::new(whole, folder)))
        }
    }
}

fn service(store: &Store, bucket: &S3Settings) -> Result<Service, Error> {
    let key = |key: &SecretRef| -> Result<SecretString, Error> {
        let refused = |source: secret::Error| Error::StoreKeys { place: store.url(), source };
        key.reveal().map_err(refused)
    };
    let ca = bucket.ca.as_ref().map(|file| {
        let failed = |error| Error::Store {
            place: store.url(),
            source: store::Error::io("read the certificates for", file.display(), error),
        };
        std::fs::read(file).map_err(failed)
    });
    Ok(Service {
        bucket: bucket.bucket.clone(),
        endpoint: bucket.endpoint.clone(),
        region: bucket.region.clone(),
        access_key: key(&bucket.access_key)?,
        secret_key: key(&bucket.secret_key)?,
        ca: ca.transpose()?,
    })
}
