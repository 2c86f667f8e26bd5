//! Segments: the stored form of the chain, one object for each append.
//!
//! In: events. Out: sealed objects `segments/<seq of the first line>`, and their lines again.
//! The name of the next segment follows from the chain alone, and only one writer can create it:
//! that is why two writers never fork a ledger.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::stream::{self, StreamExt, TryStreamExt};

use super::chain::{self, Fault, Line, Tail, Walk};
use super::record::{Event, Record};
use super::seen::Seen;
use super::{Created, Error, Ledger, object};
use crate::seal::MasterKey;
use crate::store::{self, ObjectName};

const FOLDER: &str = "segments";
/// Bytes of one segment's plain text; far more than a thousand records.
const LARGEST: u64 = 32 << 20;
/// Segments fetched at once.
const PARALLEL: usize = 16;
/// Each lost race means that another writer won one, so this is also how many may write at once.
const ATTEMPTS: usize = 200;

/// Everything that the segments hold.
#[derive(Debug, Default)]
pub struct Reading {
    /// In order; those that could be read.
    pub lines: Vec<Line>,
    /// By record, lowest first.
    pub faults: Vec<Fault>,
    /// Objects among the segments that are none.
    pub strays: Vec<ObjectName>,
}

/// What lies where segments lie.
struct Listed {
    /// The first record and the sealed bytes of each segment, in order.
    firsts: Vec<(u64, u64)>,
    strays: Vec<ObjectName>,
}

impl Reading {
    /// What was found to hold together before.
    fn of(seen: &Seen) -> Self {
        let lines = seen.lines().unwrap_or_default().to_vec();
        Self { lines, faults: Vec::new(), strays: Vec::new() }
    }

    /// What holds together need not be read again where nothing is proven by it.
    fn remember_in(&self, seen: &mut Seen) {
        if self.faults.is_empty() && self.strays.is_empty() {
            *seen = Seen::all(self.lines.clone());
        }
    }

    /// The lines of a ledger without faults; [`Error::Broken`] names the first one otherwise.
    pub fn sound(self) -> Result<Vec<Line>, Error> {
        match self.faults.into_iter().next() {
            None => Ok(self.lines),
            Some(Fault { seq, what }) => Err(Error::Broken { seq, what }),
        }
    }
}

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
            let sealed = Bytes::from(self.key.seal(&join(&lines)?));
            match self.create(&name(first), sealed.clone()).await {
                Ok(Created::Ours) => {
                    seen.go_on(lines.clone());
                    self.keep(vec![(first, sealed)]).await;
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

    /// Every line, with what does not hold together.
    ///
    /// Fails only where the store does; damaged, missing and foreign segments are faults. What the
    /// listing leaves out is asked for by name: a segment's name follows from the one before.
    pub async fn read(&self) -> Result<Reading, Error> {
        let reading = self.read_whole().await?;
        reading.remember_in(&mut *self.seen.lock().await);
        Ok(reading)
    }

    async fn read_whole(&self) -> Result<Reading, Error> {
        let listed = self.segments().await?;
        Ok(self.reading(&listed, BTreeMap::new()).await?.0)
    }

    /// Every line, by what is kept on this host and listed at the same size; once all of it was read,
    /// only what follows is asked for, by name.
    ///
    /// What it answers holds together, but that the store still has it is not shown: nothing may be
    /// signed or proven by it.
    pub async fn read_quickly(&self) -> Result<Reading, Error> {
        let mut seen = self.seen.lock().await;
        if seen.lines().is_some() {
            match self.forward(&mut seen).await {
                Ok(()) if seen.lines().is_some() => return Ok(Reading::of(&seen)),
                Ok(()) => {}
                Err(error) if error.is_out_of_reach() => return Err(error),
                // Damaged: reading all of it tells what else is.
                Err(_) => *seen = Seen::default(),
            }
        }
        let reading = self.read_kept().await?;
        reading.remember_in(&mut seen);
        Ok(reading)
    }

    /// What [`Self::read_quickly`] answered last and what was appended since, without asking the
    /// store; read where nothing was yet.
    pub async fn seen(&self) -> Result<Reading, Error> {
        {
            let seen = self.seen.lock().await;
            if seen.lines().is_some() {
                return Ok(Reading::of(&seen));
            }
        }
        self.read_quickly().await
    }

    /// As [`Self::read`], without fetching what is kept on this host and listed at the same size.
    pub(super) async fn read_kept(&self) -> Result<Reading, Error> {
        let Some(kept) = self.kept.clone() else { return self.read_whole().await };
        let listed = self.segments().await?;
        let asked = (kept, listed.firsts.clone());
        let known = self.on_thread(asked, |_, (kept, firsts)| kept.get(&firsts)).await?;
        let (mut reading, mut fetched) = self.reading(&listed, known).await?;
        if !reading.faults.is_empty() {
            // What is kept may be at fault.
            (reading, fetched) = self.reading(&listed, BTreeMap::new()).await?;
        }
        if reading.faults.is_empty() {
            self.keep(fetched).await;
        }
        Ok(reading)
    }

    /// Keeps segments on this host. Where that does not work out they are fetched again.
    async fn keep(&self, segments: Vec<(u64, Bytes)>) {
        let Some(kept) = self.kept.clone() else { return };
        let put = self.on_thread((kept, segments), |_, (kept, segments)| kept.put(&segments)).await;
        if let Err(error) = put {
            tracing::debug!(error = &error as &dyn std::error::Error, "segments are not kept");
        }
    }

    /// Reads what is listed, `known` segments from memory; also answers what it fetched.
    async fn reading(
        &self,
        listed: &Listed,
        known: BTreeMap<u64, Bytes>,
    ) -> Result<(Reading, Vec<(u64, Bytes)>), Error> {
        let mut missing = listed.firsts.clone();
        missing.retain(|(first, _)| !known.contains_key(first));
        let mut sealed: BTreeMap<u64, Result<Bytes, String>> = stream::iter(missing)
            .map(|(first, size)| async move { Ok((first, self.fetch(first, size).await?)) })
            .buffered(PARALLEL)
            .try_collect()
            .await
            .map_err(|error: store::Error| Error::Store(error))?;
        let whole =
            sealed.iter().filter_map(|(first, sealed)| Some((*first, sealed.clone().ok()?)));
        let fetched = whole.collect();
        sealed.extend(known.into_iter().map(|(first, sealed)| (first, Ok(sealed))));
        let opened = self.on_thread(sealed, |key, sealed| open_all(&key, sealed)).await?;
        let opened = self.with_unlisted(opened).await?;
        let (lines, faults) = self.on_thread(opened, |_, opened| walk_all(opened)).await?;
        Ok((Reading { lines, faults, strays: listed.strays.clone() }, fetched))
    }

    /// `listed`, and the segments between and after them that the listing left out.
    async fn with_unlisted(&self, listed: Vec<Opened>) -> Result<Vec<Opened>, Error> {
        let mut all: Vec<Opened> = Vec::with_capacity(listed.len());
        // Unknown after a segment that cannot be read.
        let mut next = Some(1);
        for ahead in listed.into_iter().map(Some).chain([None]) {
            while let Some(first) = next
                && ahead.as_ref().is_none_or(|(ahead, _)| first < *ahead)
            {
                let sealed = match self.store.get(&name(first), None).await {
                    Ok(sealed) => sealed,
                    Err(store::Error::Missing { .. }) => break,
                    Err(error) => return Err(error.into()),
                };
                tracing::warn!(segment = first, "the store's listing leaves out a segment");
                let found = (first, opened(&self.key, &sealed));
                next = after(&found);
                all.push(found);
            }
            if let Some(ahead) = ahead {
                next = after(&ahead);
                all.push(ahead);
            }
        }
        Ok(all)
    }

    /// Runs CPU work beside the async threads.
    async fn on_thread<A: Send + 'static, T: Send + 'static>(
        &self,
        argument: A,
        work: fn(MasterKey, A) -> T,
    ) -> Result<T, Error> {
        let key = self.key.clone();
        let done = tokio::task::spawn_blocking(move || work(key, argument)).await;
        Ok(done.map_err(|died| store::Error::io("read", FOLDER, died))?)
    }

    /// Every record of a ledger that holds together; [`Error::Broken`] otherwise.
    pub async fn records(&self) -> Result<Vec<Record>, Error> {
        let lines = self.read().await?.sound()?;
        Ok(lines.into_iter().map(|line| line.record).collect())
    }

    /// What the store lists.
    async fn segments(&self) -> Result<Listed, Error> {
        let listed: Vec<_> = self.store.list(Some(&object(FOLDER))).try_collect().await?;
        let (mut firsts, mut strays) = (Vec::new(), Vec::new());
        for listed in listed {
            let digits = listed.name.as_str().strip_prefix("segments/").unwrap_or_default();
            match digits.parse().ok().filter(|first| name(*first) == listed.name) {
                Some(first) => firsts.push((first, listed.size)),
                None => strays.push(listed.name),
            }
        }
        firsts.sort_unstable();
        strays.sort_unstable();
        Ok(Listed { firsts, strays })
    }

    /// A segment's sealed bytes, or what is wrong with the object.
    async fn fetch(&self, first: u64, size: u64) -> store::Result<Result<Bytes, String>> {
        if size > LARGEST + crate::seal::OVERHEAD as u64 {
            return Ok(Err(format!("its segment has {size} bytes, too many to be one")));
        }
        match self.store.get(&name(first), None).await {
            Ok(sealed) => Ok(Ok(sealed)),
            Err(error @ store::Error::Io { .. }) => Err(error),
            Err(error) => Ok(Err(format!("its segment: {error}"))),
        }
    }

    /// The end of the chain as the last listed segment has it, and what follows it.
    async fn last(&self) -> Result<Tail, Error> {
        let Listed { firsts, .. } = self.segments().await?;
        let mut seen = match firsts.last() {
            None => Seen::up_to(Tail::START),
            Some((first, _)) => {
                let sealed = self.store.get(&name(*first), None).await?;
                let lines = self.lines_of(*first, &sealed)?;
                Seen::up_to(Tail::after(&lines).unwrap_or(Tail::START))
            }
        };
        self.forward(&mut seen).await?;
        Ok(seen.tail().unwrap_or(Tail::START))
    }

    /// Follows the chain over segments that others have added since.
    async fn forward(&self, seen: &mut Seen) -> Result<(), Error> {
        loop {
            let first = seen.tail().unwrap_or(Tail::START).seq + 1;
            match self.store.get(&name(first), None).await {
                Ok(sealed) => {
                    seen.go_on(self.lines_of(first, &sealed)?);
                    self.keep(vec![(first, sealed)]).await;
                }
                Err(store::Error::Missing { .. }) => return Ok(()),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The lines of the segment that begins with record `first`; whatever it is chained to.
    fn lines_of(&self, first: u64, sealed: &[u8]) -> Result<Vec<Line>, Error> {
        let mut walk = Walk::from(first);
        walk.text(&self.unseal(&name(first), sealed)?);
        let (lines, faults) = walk.finish();
        Reading { lines, faults, strays: Vec::new() }.sound()
    }
}

/// Whether the ledger in `store` (rooted as for [`Ledger::open`]) has no record; needs no key.
///
/// A listing that came back empty is not believed alone.
pub async fn is_empty(store: &dyn store::Store) -> Result<bool, Error> {
    if store.list(Some(&object(FOLDER))).next().await.transpose()?.is_some() {
        return Ok(false);
    }
    match store.get(&name(1), None).await {
        Ok(_) => Ok(false),
        Err(store::Error::Missing { .. }) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// A segment by its first record: its plain text, or what is wrong with the object.
type Opened = (u64, Result<Vec<u8>, String>);

fn opened(key: &MasterKey, sealed: &[u8]) -> Result<Vec<u8>, String> {
    key.open(sealed).map_err(|error| format!("its segment: {error}"))
}

fn open_all(key: &MasterKey, fetched: BTreeMap<u64, Result<Bytes, String>>) -> Vec<Opened> {
    let open = |sealed: Result<Bytes, String>| sealed.and_then(|sealed| opened(key, &sealed));
    fetched.into_iter().map(|(first, sealed)| (first, open(sealed))).collect()
}

/// The first record of the segment after this one.
fn after((first, text): &Opened) -> Option<u64> {
    let text = text.as_ref().ok()?;
    let lines = text.iter().filter(|byte| **byte == b'\n').count() as u64;
    (lines > 0).then(|| first.saturating_add(lines))
}

fn walk_all(opened: Vec<Opened>) -> (Vec<Line>, Vec<Fault>) {
    let mut walk = Walk::new();
    for (first, text) in opened {
        walk.segment(first);
        match text {
            Ok(text) => walk.text(&text),
            Err(what) => walk.lost(first, what),
        }
    }
    walk.finish()
}

/// The name of the segment that begins with record `first`.
fn name(first: u64) -> ObjectName {
    object(&format!("{FOLDER}/{first:020}"))
}

/// The plain text of a segment: LF-ended lines.
fn join(lines: &[Line]) -> Result<Vec<u8>, Error> {
    let bytes = lines.iter().map(|line| line.text.len() as u64 + 1).sum();
    if bytes > LARGEST {
        return Err(Error::TooLarge { bytes, limit: LARGEST });
    }
    let mut text = Vec::with_capacity(bytes as usize);
    for line in lines {
        text.extend_from_slice(line.text.as_bytes());
        text.push(b'\n');
    }
    Ok(text)
}

#[cfg(test)]
mod tests;
