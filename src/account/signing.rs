//! Signing the ledger, and what this host remembers of what it signed.

use super::{Account, Error, Rooms};
use crate::ledger::Remembered;
use crate::ledger::sign::Signer;
use crate::policy::Setup;

impl Account {
    /// Signs the ledger as it stands and remembers what was signed.
    ///
    /// Fails with an alarm where the ledger is not what was signed before.
    pub async fn sign(&self, rooms: &Rooms) -> Result<(), Error> {
        let (Some(ledger), Some(signer)) = (self.journal.ledger(), &self.signer) else {
            return Ok(());
        };
        let remembered = self.remembered(rooms).await?;
        let signed = self.journal.sign(signer, remembered).await;
        if let Some(checkpoint) = signed.map_err(Error::Checkpoint)? {
            let Remembered { size, root } = checkpoint.remembered();
            rooms.state.remember_checkpoint(&ledger.place(), size, root).await?;
        }
        Ok(())
    }

    /// Remembers the newest checkpoint in the bucket that our key signed, where this host's state
    /// remembers none because it is new or was lost. Answers its size.
    ///
    /// Fails with an alarm where the ledger is not what that checkpoint says.
    pub async fn recall(&self, rooms: &Rooms) -> Result<Option<u64>, Error> {
        let (Some(ledger), Some(signer)) = (self.journal.ledger(), &self.signer) else {
            return Ok(None);
        };
        if let Some(Remembered { size, .. }) = self.remembered(rooms).await? {
            return Ok(Some(size));
        }
        let key = signer.public_key().clone();
        let newest = ledger.newest_signed(&[key]).await.map_err(Error::Checkpoint)?;
        let Some(Remembered { size, root }) = newest else { return Ok(None) };
        rooms.state.remember_checkpoint(&ledger.place(), size, root).await?;
        Ok(Some(size))
    }

    /// What this host signed of the ledger the last time.
    pub async fn remembered(&self, rooms: &Rooms) -> Result<Option<Remembered>, Error> {
        let Some(ledger) = self.journal.ledger() else { return Ok(None) };
        let remembered = rooms.state.newest_checkpoint(&ledger.place()).await?;
        Ok(remembered.map(|(size, root)| Remembered { size, root }))
    }

    /// Who signs.
    pub fn signer(&self) -> Option<&Signer> {
        self.signer.as_ref()
    }
}

/// The site's signing key.
pub fn signer(setup: &Setup) -> Result<Option<Signer>, Error> {
    match &setup.site.signing_key {
        Some(key) => Ok(Some(Signer::open(&key.reveal().map_err(Error::SigningKey)?)?)),
        None => Ok(None),
    }
}
