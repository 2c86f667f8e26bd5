//! Where a customer's objects are.

use std::sync::Arc;

use super::{Error, Rooms, store};
use crate::ledger;
use crate::policy::{Customer, Setup};
use crate::store::{ObjectName, Prefixed, Shared};

/// Where a customer's objects are.
#[derive(Debug, Clone)]
pub struct Place {
    pub repository: Shared,
    pub ledger: Shared,
}

impl Place {
    /// The customer's part of its store; async. Reads nothing but the keys to it and, of a folder,
    /// whether it is there.
    pub async fn open(setup: &Setup, customer: &Customer) -> Result<Self, Error> {
        let store = store::open(setup.store_of(customer)).await?;
        let part = |folder: &str| -> Shared {
            let name: ObjectName = format!("{}/{folder}", customer.id)
                .parse()
                .expect("a customer's id and a fixed word make an object's name");
            Arc::new(Prefixed::new(store.clone(), name))
        };
        Ok(Self { repository: part("repo"), ledger: part("ledger") })
    }

    /// Whether the store answers at all, whatever is or is not in it; needs no key.
    pub async fn reach(&self) -> Result<(), Error> {
        let any: ObjectName = "config".parse().expect("a word is an object's name");
        match self.repository.get(&any, None).await {
            Ok(_) | Err(crate::store::Error::Missing { .. }) => Ok(()),
            Err(source) => Err(Error::Store { place: self.repository.place(), source }),
        }
    }

    /// What shows that a repository was begun here, wherever it is now; needs no key. An empty
    /// folder may be one on which no disk is mounted, so this host's memory counts, too.
    pub(super) async fn trace(&self, rooms: &Rooms) -> Result<Option<&'static str>, Error> {
        if !ledger::is_empty(&*self.ledger).await.map_err(Error::Checkpoint)? {
            return Ok(Some("the ledger beside it has records"));
        }
        let signed = rooms.state.newest_checkpoint(&self.ledger.place()).await?;
        Ok(signed.map(|_| "this host signed the ledger beside it, which is gone as well"))
    }
}
