//! Are the checkpoints that were signed still there, and their signatures whole?
//!
//! Anybody's good signature counts here: keys change, and other hosts sign with theirs. Whose word
//! counts is for [`Ledger::proven`] and [`Ledger::verify`].

use std::collections::BTreeSet;

use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::checkpoint::{self, Remembered, Stored};
use super::owed::Owed;
use super::verify::{PARALLEL, Verify};
use super::{Error, Ledger, sign};
use crate::ground::causes::chain;
use crate::store;

impl Ledger {
    /// What is missing or damaged of the checkpoints that the records, as this run read them, or
    /// `remembered` say were signed, and of those listed; one sentence each.
    pub async fn broken_seals(&self, remembered: Option<Remembered>) -> Result<Vec<String>, Error> {
        let (listed, _) = self.checkpoint_sizes().await?;
        let lines = self.seen().await?.lines;
        let owed = Owed::by(&lines, Verify { remembered, ..Verify::default() });
        let stored = self.stored_checkpoints(listed, &owed).await?;
        let mut broken = owed.missing(&stored);
        broken.extend(stored.iter().filter_map(damage));
        Ok(broken)
    }

    /// The checkpoints that are listed or owed and there, by size.
    pub(super) async fn stored_checkpoints(
        &self,
        listed: BTreeSet<u64>,
        owed: &Owed,
    ) -> Result<Vec<Stored>, store::Error> {
        let unlisted = owed.unlisted(&listed);
        let stored = stream::iter(listed.into_iter().chain(unlisted))
            .map(|size| self.stored_checkpoint(size))
            .buffered(PARALLEL)
            .try_filter_map(|stored| async move { Ok(stored) });
        let mut stored: Vec<Stored> = stored.try_collect().await?;
        stored.sort_unstable_by_key(|stored| stored.size);
        Ok(stored)
    }
}

/// What is wrong with a signature, if there is one.
fn damage(Stored { size, text, signature }: &Stored) -> Option<String> {
    match sign::check(text, signature.as_ref()?, &[]) {
        Ok(()) | Err(sign::Error::NotAllowed { .. }) => None,
        Err(error) => Some(format!("{}: {}", checkpoint::signature_name(*size), chain(&error))),
    }
}
