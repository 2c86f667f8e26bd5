//! What a new repository stands on: its key and its configuration, durable before anything else.

use std::sync::Arc;

use super::{Error, Rooms};
use crate::ground::secret::SecretString;
use crate::repo::{OpenError, Repository};
use crate::seal::Cost;

/// A repository of which nothing is stored yet, and the password that its key is to be sealed with.
#[must_use = "until it is laid nothing may be stored"]
pub struct Founding {
    repository: Arc<Repository>,
    password: SecretString,
}

impl Founding {
    pub(super) fn new(repository: Arc<Repository>, password: SecretString) -> Self {
        Self { repository, password }
    }

    /// Makes key and configuration durable; takes scrypt's time.
    pub async fn lay(self, rooms: &Rooms) -> Result<(), Error> {
        let place = self.repository.store().place();
        let found = self.repository.found(&self.password, Cost::DEFAULT, &*rooms.clock).await;
        let key = found.map_err(|source| match source {
            OpenError::Replaced { place } => Error::NoLedger { place },
            source => Error::Create { place: place.clone(), source },
        })?;
        super::remember(key, &place, rooms).await;
        Ok(())
    }
}
