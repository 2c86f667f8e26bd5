//! Segments: the stored form of the chain, one object for each append.
//!
//! In: events. Out: sealed objects `segments/<seq of the first line>`, and their lines again.
//! The name of the next segment follows from the chain alone, and only one writer can create it:
//! that is why two writers never fork a ledger.

use bytes::Bytes;
use futures_util::stream::StreamExt;

use super::chain::{self, Line, Tail, Walk};
use super::kept::Kept;
use super::numbered::Folder;
use super::record::{Event, Record};
use super::seen::Seen;
use super::{Created, Error, Ledger, Reading, object};
use crate::store;

pub(super) const SEGMENTS: Folder =
    // Far more than a thousand records.
    Folder { name: "segments", one: "segment", largest: 32 << 20 };

/// Each lost race means that another writer won one, so this is also how many may write at once.
const ATTEMPTS: usize = 200;

impl Ledger {
    /// Appends `events` as one segment: all of them or none. Durable on return.
    ///
    /// Other writers may append at once; the chain is then made again on top of theirs. An error
    /// that [is out of reach](Error::is_out_of_reach) may leave the events on the ledger after
    /// all, when the store took them and neither answered nor could be asked.
    pub async fn append(&self, events: Vec<Event>) -> Result<Vec<Record>, Error> {
        if events.is_empty() {
            return Ok(Vec::new());
        }
        let events: Vec<_> = events.into_iter().map(Event::in_milliseconds).collect();
        let mut seen = self.seen.lock().await;
        if seen.tail().is_none() {
            *seen = Seen::up_to(self.last().await?);
        }
        for _ in 0..ATTEMPTS {
            let tail = seen.tail().unwrap_or(Tail::START);
            let lines = chain::chain(tail, &events)?;
            let first = tail.seq + 1;
            let sealed = Bytes::from(self.key.seal(&within_limit(join(&lines))?));
            match self.create(&SEGMENTS.object(first), sealed.clone()).await {
                Ok(Created::Ours) => {
                    seen.go_on(lines.clone());
                    self.keep(self.kept.clone(), vec![(first, sealed)]).await;
                    return Ok(lines.into_iter().map(|line| line.record).collect());
                }
                Ok(Created::Theirs(sealed)) => seen.go_on(self.lines_of(first, &sealed)?),
                Err(error) => {
                    // Whether it is there is not known.
                    *seen = Seen::default();
                    return Err(error);
                }
            }
            self.forward(&mut seen).await?;
        }
        Err(Error::Contended { attempts: ATTEMPTS })
    }

    /// Keeps objects on this host. Where that does not work out they are fetched again.
    pub(super) async fn keep(&self, kept: Option<Kept>, fetched: Vec<(u64, Bytes)>) {
        let Some(kept) = kept else { return };
        let put = self.on_thread((kept, fetched), |_, (kept, fetched)| kept.put(&fetched)).await;
        if let Err(error) = put {
            tracing::debug!(error = &error as &dyn std::error::Error, "segments are not kept");
        }
    }

    /// Keeps the segments before record `first` no longer: volumes have their lines.
    pub(super) async fn let_go(&self, first: u64) {
        let Some(kept) = self.kept.clone() else { return };
        let gone =
            self.on_thread((kept, first), |_, (kept, first)| kept.remove_before(first)).await;
        if let Err(error) = gone {
            tracing::debug!(error = &error as &dyn std::error::Error, "segments stay kept");
        }
    }

    /// The end of the chain as the last listed segment has it, and what follows it.
    async fn last(&self) -> Result<Tail, Error> {
        let listed = self.listed(SEGMENTS).await?;
        let mut seen = match listed.firsts.last() {
            None => Seen::up_to(Tail::START),
            Some((first, _)) => {
                let sealed = self.store.get(&SEGMENTS.object(*first), None).await?;
                let lines = self.lines_of(*first, &sealed)?;
                Seen::up_to(Tail::after(&lines).unwrap_or(Tail::START))
            }
        };
        self.forward(&mut seen).await?;
        Ok(seen.tail().unwrap_or(Tail::START))
    }

    /// Follows the chain over segments that others have added since.
    pub(super) async fn forward(&self, seen: &mut Seen) -> Result<(), Error> {
        loop {
            let first = seen.tail().unwrap_or(Tail::START).seq + 1;
            match self.store.get(&SEGMENTS.object(first), None).await {
                Ok(sealed) => {
                    seen.go_on(self.lines_of(first, &sealed)?);
                    self.keep(self.kept.clone(), vec![(first, sealed)]).await;
                }
                Err(store::Error::Missing { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The lines of the segment that begins with record `first`; whatever it is chained to.
    fn lines_of(&self, first: u64, sealed: &[u8]) -> Result<Vec<Line>, Error> {
        let mut walk = Walk::from(first);
        walk.text(&self.unseal(&SEGMENTS.object(first), sealed)?);
        let (lines, faults) = walk.finish();
        Reading { lines, faults, ..Reading::default() }.sound()
    }
}

/// Whether the ledger in `store` (rooted as for [`Ledger::open`]) has no record; needs no key.
///
/// A listing that came back empty is not believed alone.
pub async fn is_empty(store: &dyn store::Store) -> Result<bool, Error> {
    if store.list(Some(&object(SEGMENTS.name))).next().await.transpose()?.is_some() {
        return Ok(false);
    }
    match store.get(&SEGMENTS.object(1), None).await {
        Ok(_) => Ok(false),
        Err(store::Error::Missing { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// The plain text of a segment: LF-ended lines.
pub(super) fn join(lines: &[Line]) -> Vec<u8> {
    let mut text = Vec::with_capacity(lines.iter().map(|line| line.text.len() + 1).sum());
    for line in lines {
        text.extend_from_slice(line.text.as_bytes());
        text.push(b'\n');
    }
    text
}

fn within_limit(text: Vec<u8>) -> Result<Vec<u8>, Error> {
    let (bytes, limit) = (text.len() as u64, SEGMENTS.largest);
    if bytes > limit { Err(Error::TooLarge { bytes, limit }) } else { Ok(text) }
}

#[cfg(test)]
mod tests;
