//! The chain: each line carries the digest of the one before.
//!
//! In: events, or the lines of stored segments. Out: chained lines, or what is wrong with them,
//! by record. Pure.

use std::collections::BTreeMap;

use serde::Serialize;

use super::canonical;
use super::record::{Event, Record};
use crate::ground::digest::Digest;

/// One line of a ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub record: Record,
    /// Canonical JSON, without its LF.
    pub text: String,
    /// SHA-256 of `text`: what the next line carries as `prev`.
    pub digest: Digest,
}

/// A record that is not, or not where, it must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Fault {
    pub seq: u64,
    pub what: String,
}

/// The end of a chain: what the next line is chained to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tail {
    /// The last record's; 0 where there is none.
    pub seq: u64,
    pub digest: Digest,
}

impl Tail {
    /// The end of an empty ledger.
    pub const START: Self = Self { seq: 0, digest: Digest::ZERO };

    /// The end of a chain that ends with `lines`; none where they are none.
    pub fn after(lines: &[Line]) -> Option<Self> {
        lines.last().map(|line| Self { seq: line.record.seq, digest: line.digest })
    }
}

/// Chains `events` to `tail`.
pub(super) fn chain(tail: Tail, events: &[Event]) -> Result<Vec<Line>, canonical::Error> {
    let mut lines: Vec<Line> = Vec::with_capacity(events.len());
    for (seq, event) in (tail.seq + 1..).zip(events) {
        let prev = lines.last().map_or(tail.digest, |line| line.digest);
        let record = Record { seq, prev, event: event.clone() };
        let text = String::from_utf8(canonical::to_vec(&record)?)
            .expect("JSON is written from strings, so it is UTF-8");
        lines.push(Line { digest: Digest::of(text.as_bytes()), record, text });
    }
    Ok(lines)
}

/// Reads lines in order and collects what does not hold together.
#[derive(Debug)]
pub(super) struct Walk {
    /// The number the next line must carry; unknown after a segment that could not be read.
    expected: Option<u64>,
    /// The digest the next line must carry; unknown after a fault.
    prev: Option<Digest>,
    lines: Vec<Line>,
    faults: BTreeMap<u64, String>,
    /// Indices of lines that are chained to another line than the one before them.
    unchained: Vec<usize>,
}

impl Walk {
    /// A walk over what follows `tail`.
    pub fn on(tail: Tail) -> Self {
        Self {
            expected: Some(tail.seq + 1),
            prev: Some(tail.digest),
            lines: Vec::new(),
            faults: BTreeMap::new(),
            unchained: Vec::new(),
        }
    }

    /// A walk that goes on after `lines`, which hold together from the first record on.
    pub fn after(lines: Vec<Line>) -> Self {
        let tail = Tail::after(&lines).unwrap_or(Tail::START);
        Self { lines, ..Self::on(tail) }
    }

    /// A walk over a part that begins with record `first`; what that is chained to is not known.
    pub fn from(first: u64) -> Self {
        Self { expected: Some(first), prev: None, ..Self::on(Tail::START) }
    }

    /// The next lines are those of the segment that begins with record `first`.
    pub fn segment(&mut self, first: u64) {
        match self.expected {
            Some(expected) if expected < first => {
                self.fault(expected, format!("missing: the next segment begins with {first}"));
                self.prev = None;
            }
            Some(expected) if expected > first => {
                self.fault(
                    first,
                    format!("a second segment begins with it, after {}", expected - 1),
                );
                self.prev = None;
            }
            _ => {}
        }
        self.expected = Some(first);
    }

    /// The segment that begins with record `first` could not be read.
    pub fn lost(&mut self, first: u64, what: String) {
        self.fault(first, what);
        self.expected = None;
        self.prev = None;
    }

    /// Takes the lines of a segment's plain text.
    pub fn text(&mut self, text: &[u8]) {
        let here = self.expected.unwrap_or(1);
        if text.last() != Some(&b'\n') {
            self.fault(here, "its segment does not end with a line end".into());
        }
        for line in text.strip_suffix(b"\n").unwrap_or(text).split(|byte| *byte == b'\n') {
            self.line(line);
        }
    }

    fn line(&mut self, text: &[u8]) {
        let here = self.expected.unwrap_or(1);
        let line = match parse(text) {
            Ok(line) => line,
            Err(what) => {
                self.fault(here, what);
                self.expected = Some(here.saturating_add(1));
                self.prev = None;
                return;
            }
        };
        let seq = line.record.seq;
        if seq > here {
            self.fault(here, format!("missing or moved: record {seq} stands in its place"));
            self.prev = None;
        } else if seq < here {
            self.fault(seq, format!("moved: it stands in the place of record {here}"));
            self.prev = None;
        }
        if self.prev.is_some_and(|prev| prev != line.record.prev) {
            self.unchained.push(self.lines.len());
        }
        self.expected = Some(seq.saturating_add(1));
        self.prev = Some(line.digest);
        self.lines.push(line);
    }

    fn fault(&mut self, seq: u64, what: String) {
        self.faults.entry(seq).or_insert(what);
    }

    /// Everything that was read, and every fault by its record.
    pub fn finish(mut self) -> (Vec<Line>, Vec<Fault>) {
        for index in std::mem::take(&mut self.unchained) {
            let (seq, what) = self.culprit(index);
            self.fault(seq, what);
        }
        let faults = self.faults.into_iter().map(|(seq, what)| Fault { seq, what }).collect();
        (self.lines, faults)
    }

    /// Which of two lines was altered, given that the one at `index` is not chained to the one
    /// before. The line after tells: it was chained to the line at `index` as it was then.
    fn culprit(&self, index: usize) -> (u64, String) {
        let line = &self.lines[index];
        let seq = line.record.seq;
        let after = self.lines.get(index + 1).filter(|after| after.record.seq == seq + 1);
        if index == 0 || after.is_some_and(|after| after.record.prev != line.digest) {
            return (seq, "altered: it is not chained to the record before".into());
        }
        let or_this = if after.is_none() { ", or that one was altered" } else { "" };
        (seq - 1, format!("altered: record {seq} is chained to another line{or_this}"))
    }
}

/// Reads one line; what is wrong with it otherwise.
fn parse(text: &[u8]) -> Result<Line, String> {
    let not = |error: serde_json::Error| format!("not a record of this version: {error}");
    let value: serde_json::Value = serde_json::from_slice(text).map_err(not)?;
    if !canonical::to_vec(&value).is_ok_and(|canonical| canonical == text) {
        return Err("not canonical JSON".into());
    }
    let record: Record = serde_json::from_value(value).map_err(not)?;
    let text = String::from_utf8(text.to_vec()).map_err(|error| error.to_string())?;
    Ok(Line { record, digest: Digest::of(text.as_bytes()), text })
}

#[cfg(test)]
mod tests {
    use super::super::testing::events;
    use super::*;

    fn lines(count: usize) -> Vec<Line> {
        chain(Tail::START, &events(count)).unwrap()
    }

    fn faults(texts: &[String]) -> Vec<Fault> {
        let mut walk = Walk::on(Tail::START);
        walk.segment(1);
        walk.text((texts.join("\n") + "\n").as_bytes());
        walk.finish().1
    }

    fn texts(count: usize) -> Vec<String> {
        lines(count).into_iter().map(|line| line.text).collect()
    }

    #[test]
    fn a_chain_begins_with_zeros_and_each_line_carries_the_digest_of_the_one_before() {
        let lines = lines(3);

        assert_eq!(lines[0].record.prev, Digest::ZERO);
        assert_eq!(lines[2].record.prev, Digest::of(lines[1].text.as_bytes()));
        assert_eq!(lines[2].record.seq, 3);
        assert_eq!(faults(&texts(3)), []);
    }

    #[test]
    fn a_line_edited_anywhere_but_at_the_end_is_named() {
        for edited in 0..9 {
            let mut texts = texts(10);
            texts[edited] = texts[edited].replace("\"alice\"", "\"mallory\"");

            let faults = faults(&texts);

            assert_eq!(faults.len(), 1, "{faults:?}");
            assert_eq!(faults[0].seq, edited as u64 + 1, "{faults:?}");
        }
    }

    #[test]
    fn a_line_whose_own_link_was_edited_is_named() {
        let good = lines(10);
        for edited in 1..9 {
            let mut texts = texts(10);
            let prev = good[edited].record.prev.to_string();
            texts[edited] = texts[edited].replace(&prev, &Digest::ZERO.to_string());

            let faults = faults(&texts);

            assert_eq!(faults[0].seq, edited as u64 + 1, "{faults:?}");
        }
    }

    #[test]
    fn a_dropped_line_is_named_as_missing() {
        let mut texts = texts(10);
        texts.remove(4);

        let faults = faults(&texts);

        assert_eq!(faults[0].seq, 5);
        assert!(faults[0].what.contains("missing"), "{faults:?}");
    }

    #[test]
    fn reordered_lines_are_named() {
        let mut texts = texts(10);
        texts.swap(4, 5);

        let faults = faults(&texts);

        assert_eq!(faults[0].seq, 5);
        assert!(faults[0].what.contains("moved"), "{faults:?}");
    }

    #[test]
    fn a_line_that_is_not_canonical_or_no_json_is_named() {
        for spoil in [|text: &str| format!("{text} "), |text: &str| text[..9].to_owned()] {
            let mut texts = texts(4);
            texts[2] = spoil(&texts[2]);

            assert_eq!(faults(&texts)[0].seq, 3);
        }
    }

    proptest::proptest! {
        #[test]
        fn hostile_segments_end_in_faults_and_never_in_a_panic(
            first in proptest::prelude::any::<u64>(),
            text in "[ -~\n]{0,60}",
            cut in 0..600_usize,
        ) {
            let good = texts(3).join("\n") + "\n";
            for text in [text.as_bytes(), &good.as_bytes()[..cut.min(good.len())]] {
                let mut walk = Walk::on(Tail::START);
                walk.segment(first);
                walk.text(text);
                walk.segment(first.wrapping_add(1));
                walk.lost(first, "lost".into());
                walk.text(text);
                let (_, faults) = walk.finish();

                proptest::prop_assert!(!faults.is_empty());
            }
        }
    }
}
