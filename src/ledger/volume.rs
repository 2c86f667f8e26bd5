//! Volumes: the lines of many segments in one object beside them, so that a ledger of years is read in
//! seconds.
//!
//! In: segments that hold together. Out: sealed objects `volumes/<seq of the first line>`, and their
//! lines again. A volume is a copy: its segments stay, and where it is missing, damaged, at odds with the
//! chain or beyond what somebody outside of the store vouches for they are read. Where one ends follows from the chain, so that all writers make the same ones.

use std::ops::Range;

use super::chain::{Line, Tail, Walk};
use super::checkpoint::Remembered;
use super::kept::Kept;
use super::numbered::{Folder, Listed, Opened};
use super::reading::{Here, Reading};
use super::segment::{SEGMENTS, join};
use super::{Error, Ledger};
use crate::seal::OVERHEAD;
use crate::store::{self, ObjectName};

/// A volume ends with the segment that brings it to so many lines, or bytes.
const LINES: u64 = 1024;
const BYTES: u64 = 4 << 20;

/// Fewer segments are read as they are: looking for volumes takes a request, too.
const FEW: usize = 64;

const VOLUMES: Folder =
    Folder { name: "volumes", one: "volume", largest: BYTES + SEGMENTS.largest };

/// What the volumes hold: the ledger from its first record up to some record.
#[derive(Debug, Default)]
pub(super) struct Bound {
    /// They hold together.
    pub lines: Vec<Line>,
    pub strays: Vec<ObjectName>,
    /// What is wrong with volumes, one sentence each; nothing of those is among the lines.
    pub amiss: Vec<String>,
}

impl Ledger {
    /// What the volumes in the store hold of what somebody has `vouched` for; nothing where so few
    /// `segments` are listed that none are asked for.
    pub(super) async fn bound(
        &self,
        segments: &Listed,
        vouched: Option<Remembered>,
        here: Here,
    ) -> Result<Bound, Error> {
        let Some(Remembered { size, .. }) = vouched.filter(|_| segments.firsts.len() >= FEW) else {
            return Ok(Bound::default());
        };
        let mut listed = self.listed(VOLUMES).await?;
        listed.firsts.retain(|(first, _)| *first <= size);
        let kept = self.kept.as_ref().map(Kept::volumes);
        let (sealed, fetched) = self.sealed(VOLUMES, listed.firsts, here.of(&kept)).await?;
        let asked = (sealed, size);
        let bound = self
            .on_thread(asked, |key, (sealed, size)| bound(VOLUMES.open_all(&key, sealed), size));
        let bound = Bound { strays: listed.strays, ..bound.await? };
        if here == Here::Used && bound.amiss.is_empty() && !fetched.is_empty() {
            self.let_go(bound.lines.len() as u64 + 1).await;
        }
        if bound.amiss.is_empty() {
            self.keep(here.for_later(&kept), fetched).await;
        }
        Ok(bound)
    }

    /// Copies segments of `reading` that stand apart into volumes, as many as are full. `reading` was
    /// read in the store, and holds together.
    pub(super) async fn bind(&self, reading: &Reading) -> Result<(), Error> {
        if reading.apart.len() < FEW {
            return Ok(());
        }
        for full in full(reading) {
            let text = join(&reading.lines[at(full.start)..at(full.end)]);
            // Another writer's has the same lines: its end follows from the chain, too.
            self.create(&VOLUMES.object(full.start), self.key.seal(&text).into()).await?;
        }
        Ok(())
    }

    /// What is wrong with the segments of `lines`, which volumes hold: whether the store has each at its
    /// size. None is fetched but those that `listed`, by first record and sealed size, does not show so.
    pub(super) async fn lacking(
        &self,
        lines: &[Line],
        listed: &[(u64, u64)],
    ) -> Result<Vec<String>, Error> {
        let end = lines.len() as u64 + 1;
        let mut listed = &listed[..listed.partition_point(|(first, _)| *first < end)];
        let (mut amiss, mut next) = (Vec::new(), 1);
        while next < end {
            let (within, rest) =
                listed.split_at(listed.partition_point(|(first, _)| *first < next));
            for (first, _) in within {
                let name = SEGMENTS.object(*first);
                amiss.push(format!("{name} begins within another segment, as a volume has it"));
            }
            let shown = rest.first().filter(|(first, _)| *first == next);
            listed = &rest[usize::from(shown.is_some())..];
            let plain = shown.and_then(|(_, size)| size.checked_sub(OVERHEAD as u64));
            let copied = match plain.and_then(|plain| end_of(lines, next, plain)) {
                Some(after) => Ok(after),
                None => self.copied(lines, next).await?,
            };
            next = copied.unwrap_or_else(|what| {
                let name = SEGMENTS.object(next);
                amiss.push(format!("{name}, whose records a volume holds, {what}"));
                listed.first().map_or(end, |(first, _)| *first)
            });
        }
        Ok(amiss)
    }

    /// The first record after the segment of `lines` that begins with record `first`, once it was fetched;
    /// what is wrong where the store has another one, or none.
    async fn copied(&self, lines: &[Line], first: u64) -> Result<Result<u64, String>, Error> {
        let sealed = match self.store.get(&SEGMENTS.object(first), None).await {
            Ok(sealed) => sealed,
            Err(store::Error::Missing { .. }) => return Ok(Err("is missing".to_owned())),
            Err(error) => return Err(error.into()),
        };
        let Ok(text) = SEGMENTS.open(&self.key, &sealed) else {
            return Ok(Err("does not open".to_owned()));
        };
        let end = end_of(lines, first, text.len() as u64);
        let same = end.filter(|end| join(&lines[at(first)..at(*end)]) == text);
        Ok(same.ok_or_else(|| "holds other ones".to_owned()))
    }
}

/// The lines of volumes that follow each other from the first record on, and end with record `size` at the
/// latest. Blocking, CPU only.
fn bound(opened: Vec<Opened>, size: u64) -> Bound {
    let (mut lines, mut amiss) = (Vec::<Line>::new(), Vec::new());
    for (first, text) in opened {
        let next = lines.len() as u64 + 1;
        if first > next {
            amiss.push(format!("{} is missing, and another one follows", VOLUMES.object(next)));
            break;
        }
        let tail = Tail::after(&lines).unwrap_or(Tail::START);
        let more = text.and_then(|text| {
            let mut walk = Walk::on(tail);
            walk.segment(first);
            walk.text(&text);
            match walk.finish() {
                (more, faults) if faults.is_empty() => Ok(more),
                (_, faults) => Err(format!("record {}: {}", faults[0].seq, faults[0].what)),
            }
        });
        match more {
            Ok(more) if tail.seq + more.len() as u64 > size => break,
            Ok(more) => lines.extend(more),
            Err(what) => {
                let name = VOLUMES.object(first);
                amiss.push(format!("{name}: {what}; it is a copy of segments and may be deleted"));
                break;
            }
        }
    }
    Bound { lines, amiss, strays: Vec::new() }
}

/// The records of each volume that can be made of what stands apart.
fn full(reading: &Reading) -> Vec<Range<u64>> {
    let end = reading.lines.len() as u64 + 1;
    let ends = reading.apart.iter().skip(1).copied().chain([end]);
    let (mut full, mut bytes) = (Vec::new(), 0);
    let mut begin = reading.apart.first().copied().unwrap_or(end);
    for (first, end) in reading.apart.iter().zip(ends) {
        bytes += length(&reading.lines[at(*first)..at(end)]);
        if end - begin >= LINES || bytes >= BYTES {
            full.push(begin..end);
            (begin, bytes) = (end, 0);
        }
    }
    full
}

/// The place of record `seq` among all lines.
fn at(seq: u64) -> usize {
    seq as usize - 1
}

/// Bytes of the plain text of `lines`.
fn length(lines: &[Line]) -> u64 {
    lines.iter().map(|line| line.text.len() as u64 + 1).sum()
}

/// The first record after those that, from record `first` on, have so many `bytes`; none where a record
/// ends before and after, not there.
fn end_of(lines: &[Line], first: u64, bytes: u64) -> Option<u64> {
    let mut left = bytes;
    let mut end = first;
    while left > 0 {
        left = left.checked_sub(lines.get(at(end))?.text.len() as u64 + 1)?;
        end += 1;
    }
    (end > first).then_some(end)
}

#[cfg(test)]
mod tests;
