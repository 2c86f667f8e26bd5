//! What the ledger says, and what its word is worth.

use super::{Account, Error, Rooms};
use crate::ground::causes::chain;
use crate::ledger::record::{BackupFinished, Body, Record, publications};
use crate::ledger::sign::PublicKey;
use crate::repo::SnapshotId;

/// The records of a ledger that was read whole.
#[derive(Debug, Default)]
pub struct Testimony {
    pub records: Vec<Record>,
    /// Why they are worth nothing, in one sentence, if anything speaks against them.
    pub doubt: Option<String>,
}

impl Testimony {
    /// The record that says that a snapshot was published.
    pub fn of(&self, snapshot: SnapshotId) -> Option<&BackupFinished> {
        let mut backups = publications(&self.records).map(|(_, backup)| backup);
        backups.find(|backup| backup.snapshot == snapshot.0)
    }

    /// The snapshot of which this one is what a repair left, if it is.
    pub fn repaired(&self, snapshot: SnapshotId) -> Option<SnapshotId> {
        self.records.iter().find_map(|record| match &record.event.body {
            Body::SnapshotRepaired { snapshot: left, original, .. } if *left == snapshot.0 => {
                Some(SnapshotId(*original))
            }
            _ => None,
        })
    }
}

impl Account {
    /// Every record, held against what was signed before; fails where the ledger is out of reach.
    pub async fn testimony(&self, rooms: &Rooms) -> Result<Testimony, Error> {
        self.heard(self.proven_records(rooms).await).await
    }

    /// As [`Self::testimony`], by what this host keeps of the ledger: enough to say what speaks against a
    /// snapshot, and too little to say that the bucket still has every record.
    pub async fn testimony_by_kept(&self, rooms: &Rooms) -> Result<Testimony, Error> {
        let Some(ledger) = self.journal.ledger() else { return Ok(Testimony::default()) };
        let remembered = self.remembered(rooms).await?;
        let proven = ledger.proven_by_kept(&self.signers(), remembered).await;
        self.heard(proven.map_err(Error::Checkpoint)).await
    }

    async fn heard(&self, proven: Result<Vec<Record>, Error>) -> Result<Testimony, Error> {
        match proven {
            Ok(records) => Ok(Testimony { records, doubt: None }),
            Err(Error::Checkpoint(error)) if !error.is_out_of_reach() => {
                let doubt = format!("the ledger is not as it was written: {}", chain(&error));
                Ok(Testimony { records: self.records().await?, doubt: Some(doubt) })
            }
            Err(error) => Err(error),
        }
    }

    /// As [`Self::testimony`]; in doubt also where a checkpoint that was signed is missing, or any
    /// signature damaged.
    pub async fn sealed_testimony(&self, rooms: &Rooms) -> Result<Testimony, Error> {
        let testimony = self.testimony(rooms).await?;
        let Some(ledger) = self.journal.ledger().filter(|_| testimony.doubt.is_none()) else {
            return Ok(testimony);
        };
        let broken = ledger.broken_seals(self.remembered(rooms).await?).await;
        let broken = broken.map_err(Error::Checkpoint)?;
        let more = broken.len().saturating_sub(1);
        let doubt = broken.first().map(|first| {
            format!("the ledger's signatures are not as they were made: {first} ({more} more)")
        });
        Ok(Testimony { doubt, ..testimony })
    }

    /// Every record of a ledger that holds together and is what was signed before; fails with the
    /// alarms of [`crate::ledger::Ledger::checkpoint`] otherwise.
    pub async fn proven_records(&self, rooms: &Rooms) -> Result<Vec<Record>, Error> {
        let Some(ledger) = self.journal.ledger() else { return Ok(Vec::new()) };
        let remembered = self.remembered(rooms).await?;
        ledger.proven(&self.signers(), remembered).await.map_err(Error::Checkpoint)
    }

    /// Whose signatures count.
    fn signers(&self) -> Vec<PublicKey> {
        self.signer.iter().map(|one| one.public_key().clone()).collect()
    }

    /// Why the ledger, as this run read and wrote it, does not hold together or is not what this host
    /// signed last. That it is out of reach is no alarm and noted.
    pub async fn alarm(&self, rooms: &Rooms) -> Option<Error> {
        let looked = async {
            let Some(ledger) = self.journal.ledger() else { return Ok(()) };
            ledger.was_sound(self.remembered(rooms).await?).await.map_err(Error::Checkpoint)
        };
        match looked.await {
            Ok(()) => None,
            Err(Error::Checkpoint(error)) if !error.is_out_of_reach() => {
                Some(Error::Checkpoint(error))
            }
            Err(error) => {
                rooms.progress.note(&format!("the ledger was not looked at: {}", chain(&error)));
                None
            }
        }
    }

    /// Every record of a ledger that holds together and is what this host signed last, by what the
    /// host has kept of it: for acts that run often. Fails as [`Self::proven_records`] does.
    pub async fn sound_records(&self, rooms: &Rooms) -> Result<Vec<Record>, Error> {
        let Some(ledger) = self.journal.ledger() else { return Ok(Vec::new()) };
        ledger.sound(self.remembered(rooms).await?).await.map_err(Error::Checkpoint)
    }
}
