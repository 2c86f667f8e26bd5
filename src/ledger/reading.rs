//! The way back: what volumes and segments hold becomes one chain of lines again.
//!
//! In: the objects of a ledger, from the store or kept on this host. Out: [`Reading`]. No listing is
//! believed alone: what it leaves out is asked for by name, which follows from the lines before.

use std::collections::BTreeSet;

use super::chain::{Fault, Line, Walk};
use super::checkpoint::{Checkpoint, Remembered};
use super::kept::Kept;
use super::numbered::{Listed, Opened};
use super::record::Record;
use super::seen::Seen;
use super::segment::SEGMENTS;
use super::volume::Bound;
use super::{Error, Ledger};
use crate::store::{self, ObjectName};

/// Everything that a ledger holds.
#[derive(Debug, Default)]
pub struct Reading {
    /// In order; those that could be read.
    pub lines: Vec<Line>,
    /// By record, lowest first.
    pub faults: Vec<Fault>,
    /// Objects among the segments and volumes that are none.
    pub strays: Vec<ObjectName>,
    /// What else is not as it was written, though no record is the worse for it; one sentence each.
    pub amiss: Vec<String>,
    /// The first records of the segments that no volume holds.
    pub(super) apart: Vec<u64>,
}

impl Reading {
    /// What was found to hold together before.
    fn of(seen: &Seen) -> Self {
        Self { lines: seen.lines().unwrap_or_default().to_vec(), ..Self::default() }
    }

    /// What holds together need not be read again where nothing is proven by it.
    fn remember_in(&self, seen: &mut Seen) {
        if self.faults.is_empty() && self.strays.is_empty() && self.amiss.is_empty() {
            *seen = Seen::all(self.lines.clone());
        }
    }

    /// Whether what volumes hold, the first `by_volumes` lines, is what somebody vouches for.
    fn is_as_vouched(&self, by_volumes: usize, vouched: Option<Remembered>) -> bool {
        by_volumes == 0
            || vouched.is_some_and(|Remembered { size, root }| {
                let computed = Checkpoint::at(&self.lines, &BTreeSet::from([size]));
                computed.get(&size).is_some_and(|computed| computed.root == root)
            })
    }

    /// [`Error::Broken`] names the first fault, if there is one.
    pub(super) fn without_faults(self) -> Result<Self, Error> {
        match self.faults.first() {
            None => Ok(self),
            Some(Fault { seq, what }) => Err(Error::Broken { seq: *seq, what: what.clone() }),
        }
    }

    /// The lines of a ledger without faults; [`Error::Broken`] names the first one otherwise.
    pub fn sound(self) -> Result<Vec<Line>, Error> {
        Ok(self.without_faults()?.lines)
    }
}

/// What becomes of what this host keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Here {
    /// The store is asked for all.
    Unused,
    /// What is kept is not fetched; the rest is kept from then on.
    Used,
    /// The store is asked for all, which is kept in place of what is.
    Mended,
}

impl Here {
    /// Where to look before the store is asked.
    pub fn of(self, kept: &Option<Kept>) -> Option<Kept> {
        kept.clone().filter(|_| self == Self::Used)
    }

    /// Where what the store gave is kept.
    pub fn for_later(self, kept: &Option<Kept>) -> Option<Kept> {
        kept.clone().filter(|_| self != Self::Unused)
    }
}

impl Ledger {
    /// Every line, with what does not hold together.
    ///
    /// Fails only where the store does; damaged, missing and foreign segments are faults.
    pub async fn read(&self) -> Result<Reading, Error> {
        self.read_in_store(self.vouched).await
    }

    /// As [`Self::read`], by volumes as far as `vouched` goes.
    pub(super) async fn read_in_store(
        &self,
        vouched: Option<Remembered>,
    ) -> Result<Reading, Error> {
        let reading = self.read_stored(Here::Unused, vouched).await?;
        reading.remember_in(&mut *self.seen.lock().await);
        Ok(reading)
    }

    /// Every record of a ledger that holds together; [`Error::Broken`] otherwise.
    pub async fn records(&self) -> Result<Vec<Record>, Error> {
        let lines = self.read().await?.sound()?;
        Ok(lines.into_iter().map(|line| line.record).collect())
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
        if self.kept.is_some() {
            let listed = self.listed(SEGMENTS).await?;
            let bound = self.bound(&listed, self.vouched, Here::Used).await?;
            let by_volumes = bound.lines.len();
            let reading = self.reading(&listed, bound, Here::Used).await?;
            if reading.faults.is_empty() && reading.is_as_vouched(by_volumes, self.vouched) {
                return Ok(reading);
            }
            // What is kept may be at fault.
        }
        self.read_stored(Here::Mended, self.vouched).await
    }

    /// Reads all of it in the store, by volumes as far as `vouched` goes.
    async fn read_stored(&self, here: Here, vouched: Option<Remembered>) -> Result<Reading, Error> {
        let listed = self.listed(SEGMENTS).await?;
        let bound = self.bound(&listed, vouched, here).await?;
        let by_volumes = bound.lines.len();
        let mut reading = self.reading(&listed, bound, here).await?;
        let is_sound = reading.faults.is_empty() && reading.is_as_vouched(by_volumes, vouched);
        if by_volumes > 0 && !is_sound {
            // What a volume says may be wrong: its segments tell.
            let Reading { lines, amiss, .. } = reading;
            reading = self.reading(&listed, Bound::default(), here).await?;
            reading.amiss = amiss;
            if reading.lines.get(..by_volumes) != Some(&lines[..by_volumes]) {
                reading.amiss.push("the volumes do not hold what their segments do".to_owned());
            }
            return Ok(reading);
        }
        let lacking = self.lacking(&reading.lines[..by_volumes], &listed.firsts).await?;
        reading.amiss.extend(lacking);
        Ok(reading)
    }

    /// What volumes hold, and the listed segments after it.
    async fn reading(&self, listed: &Listed, bound: Bound, here: Here) -> Result<Reading, Error> {
        let Bound { lines, strays, amiss } = bound;
        let begin = lines.len() as u64 + 1;
        let mut after = listed.firsts.clone();
        after.retain(|(first, _)| *first >= begin);
        let (sealed, fetched) = self.sealed(SEGMENTS, after, here.of(&self.kept)).await?;
        let opened = self.on_thread(sealed, |key, sealed| SEGMENTS.open_all(&key, sealed)).await?;
        let opened = self.with_unlisted(begin, opened).await?;
        let apart = opened.iter().map(|(first, _)| *first).collect();
        let walked = self.on_thread((lines, opened), |_, (lines, opened)| walk(lines, opened));
        let (lines, faults) = walked.await?;
        if faults.is_empty() {
            self.keep(here.for_later(&self.kept), fetched).await;
        }
        let strays = listed.strays.iter().cloned().chain(strays).collect();
        Ok(Reading { lines, faults, strays, amiss, apart })
    }

    /// `listed`, and the segments before, between and after them, from record `begin` on, that the
    /// listing left out.
    async fn with_unlisted(&self, begin: u64, listed: Vec<Opened>) -> Result<Vec<Opened>, Error> {
        let mut all: Vec<Opened> = Vec::with_capacity(listed.len());
        // Unknown after a segment that cannot be read.
        let mut next = Some(begin);
        for ahead in listed.into_iter().map(Some).chain([None]) {
            while let Some(first) = next
                && ahead.as_ref().is_none_or(|(ahead, _)| first < *ahead)
            {
                let sealed = match self.store.get(&SEGMENTS.object(first), None).await {
                    Ok(sealed) => sealed,
                    Err(store::Error::Missing { .. }) => break,
                    Err(error) => return Err(error.into()),
                };
                tracing::warn!(segment = first, "the store's listing leaves out a segment");
                let found = (first, SEGMENTS.open(&self.key, &sealed));
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
}

/// The first record of the segment after this one.
fn after((first, text): &Opened) -> Option<u64> {
    let text = text.as_ref().ok()?;
    let lines = text.iter().filter(|byte| **byte == b'\n').count() as u64;
    (lines > 0).then(|| first.saturating_add(lines))
}

/// Walks on from `lines`, which hold together, over segments.
fn walk(lines: Vec<Line>, opened: Vec<Opened>) -> (Vec<Line>, Vec<Fault>) {
    let mut walk = Walk::after(lines);
    for (first, text) in opened {
        walk.segment(first);
        match text {
            Ok(text) => walk.text(&text),
            Err(what) => walk.lost(first, what),
        }
    }
    walk.finish()
}
