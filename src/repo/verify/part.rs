//! A part of the packs at a time, so that successive runs read all of them: the longest unread first.
//!
//! In: what is remembered of earlier readings. Out: which packs are read now, and how much of
//! everything has been read since when. A new pack waits its turn behind those that are older; one
//! that is gone takes no turn; one that was found damaged is read again by every run.

use std::collections::HashMap;
use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use crate::repo::PackId;
use crate::repo::prune::Refused;

/// Remembers which packs were read.
#[async_trait]
pub trait Memory: Send + Sync {
    /// When each pack was read last and was whole; none of one that was damaged.
    async fn readings(&self) -> Result<HashMap<PackId, Option<Timestamp>>, Refused>;
    /// These were read just now, and whether each is whole; durable on return.
    async fn remember(&self, read: &[(PackId, bool)]) -> Result<(), Refused>;
    /// These packs are not there any more.
    async fn forget(&self, gone: &[PackId]) -> Result<(), Refused>;
}

/// Remembers nothing.
pub(super) struct Forgetful;

#[async_trait]
impl Memory for Forgetful {
    async fn readings(&self) -> Result<HashMap<PackId, Option<Timestamp>>, Refused> {
        Ok(HashMap::new())
    }

    async fn remember(&self, _: &[(PackId, bool)]) -> Result<(), Refused> {
        Ok(())
    }

    async fn forget(&self, _: &[PackId]) -> Result<(), Refused> {
        Ok(())
    }
}

/// More than nothing and at most all, in hundredths of a percent; written `5%` or `0.25%`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share(NonZeroU32);

const WHOLE: u32 = 10_000;

/// The store's clock may be ahead of ours by so much.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

impl Share {
    fn of(self, bytes: u64) -> u64 {
        let part = u128::from(bytes) * u128::from(self.0.get());
        u64::try_from(part.div_ceil(u128::from(WHOLE))).unwrap_or(bytes)
    }
}

/// Text that is no share.
#[derive(Debug, thiserror::Error)]
#[error("{found:?} is not a share: expected a percentage from 0.01% to 100%, e.g. 5%")]
pub struct NotAShare {
    found: String,
}

impl FromStr for Share {
    type Err = NotAShare;

    fn from_str(text: &str) -> Result<Self, NotAShare> {
        let share = || {
            let (whole, rest) = match text.strip_suffix('%')?.split_once('.') {
                None => (text.strip_suffix('%')?, "0"),
                Some(parts) => parts,
            };
            let is_number = |part: &str| part.bytes().all(|c| c.is_ascii_digit());
            if !is_number(whole) || !is_number(rest) || !(1..=2).contains(&rest.len()) {
                return None;
            }
            let rest: u32 = format!("{rest:0<2}").parse().ok()?;
            let hundredths = whole.parse::<u32>().ok()?.checked_mul(100)?.checked_add(rest)?;
            NonZeroU32::new(hundredths).filter(|share| share.get() <= WHOLE)
        };
        share().map(Self).ok_or_else(|| NotAShare { found: text.chars().take(80).collect() })
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0.get() / 100, self.0.get() % 100);
        match rest {
            0 => write!(f, "{whole}%"),
            rest => write!(f, "{whole}.{rest:02}%"),
        }
    }
}

/// How much of everything has been read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Coverage {
    /// What this run read.
    pub read_packs: u64,
    pub read_bytes: u64,
    /// What was read, now or before, and was whole.
    pub covered_packs: u64,
    pub covered_bytes: u64,
    /// All that the index names and that is there.
    pub packs: u64,
    pub bytes: u64,
    /// When the first of what is covered was read.
    pub since: Option<Timestamp>,
    /// Nothing was remembered of any reading before.
    pub begun_anew: bool,
}

/// A pack that may be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Candidate {
    pub pack: PackId,
    pub bytes: u64,
    /// By the store; none where no listing tells.
    pub written: Option<Timestamp>,
}

/// When a pack was read last and was whole; what was written after that was not read.
fn reading(one: &Candidate, readings: &HashMap<PackId, Option<Timestamp>>) -> Option<Timestamp> {
    let time = readings.get(&one.pack).copied().flatten()?;
    let latest = time.saturating_add(SKEW).unwrap_or(Timestamp::MAX);
    one.written.is_none_or(|written| written <= latest).then_some(time)
}

/// Which of `packs` are read: all that were damaged, and so much of the rest as `share` is of all.
pub(super) fn choose(
    packs: &[Candidate],
    readings: &HashMap<PackId, Option<Timestamp>>,
    share: Option<Share>,
) -> Vec<PackId> {
    let all = packs.iter().map(|one| one.bytes).sum();
    let wanted = share.map_or(0, |share| share.of(all));
    let mut packs = packs.to_vec();
    let was_damaged = |one: &Candidate| readings.get(&one.pack) == Some(&None);
    let waiting_since = |one: &Candidate| reading(one, readings).or(one.written);
    packs.sort_by_key(|one| (waiting_since(one), one.pack));
    let (mut chosen, mut bytes) = (Vec::new(), 0);
    for one in &packs {
        if was_damaged(one) {
            chosen.push(one.pack);
        } else if bytes < wanted {
            bytes += one.bytes;
            chosen.push(one.pack);
        }
    }
    chosen
}

/// How much of `packs` is covered by `readings`; `read` were read by this run.
pub(super) fn coverage(
    packs: &[Candidate],
    readings: &HashMap<PackId, Option<Timestamp>>,
    read: &[PackId],
    begun_anew: bool,
) -> Coverage {
    let read: std::collections::HashSet<_> = read.iter().collect();
    let covered = |one: &&Candidate| reading(one, readings).is_some();
    let bytes = |packs: &mut dyn Iterator<Item = &Candidate>| {
        packs.fold((0, 0), |(packs, bytes), one| (packs + 1, bytes + one.bytes))
    };
    let (read_packs, read_bytes) = bytes(&mut packs.iter().filter(|one| read.contains(&one.pack)));
    let (covered_packs, covered_bytes) = bytes(&mut packs.iter().filter(covered));
    let times = packs.iter().filter_map(|one| reading(one, readings));
    Coverage {
        read_packs,
        read_bytes,
        covered_packs,
        covered_bytes,
        packs: packs.len() as u64,
        bytes: packs.iter().map(|one| one.bytes).sum(),
        since: times.min(),
        begun_anew,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::digest::Digest;

    fn candidate(number: u32, bytes: u64) -> Candidate {
        let pack = PackId(Digest::of(&number.to_le_bytes()));
        Candidate { pack, bytes, written: Timestamp::from_second(i64::from(number)).ok() }
    }

    fn at(second: i64) -> Option<Timestamp> {
        Timestamp::from_second(second).ok()
    }

    #[test]
    fn shares_are_read_as_people_write_them() {
        let share = |text: &str| text.parse::<Share>().map(|share| share.to_string());

        assert_eq!(share("5%").unwrap(), "5%");
        assert_eq!(share("2.5%").unwrap(), "2.50%");
        assert_eq!(share("0.01%").unwrap(), "0.01%");
        assert_eq!(share("100%").unwrap(), "100%");
        for wrong in
            ["5", "0%", "100.01%", "-1%", "5 %", "%", ".5%", "1.234%", "5%%", "1/20", "1.%"]
        {
            assert!(share(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn twenty_runs_of_a_twentieth_read_everything_and_then_it_begins_again() {
        let packs: Vec<_> =
            (0..313).map(|n| candidate(n, 1 + u64::from(n * 7919 % 1000))).collect();
        let all: u64 = packs.iter().map(|one| one.bytes).sum();
        let mut readings = HashMap::new();
        let share = "5%".parse().ok();

        for run in 0..20 {
            let chosen = choose(&packs, &readings, share);
            let read: u64 =
                packs.iter().filter(|one| chosen.contains(&one.pack)).map(|one| one.bytes).sum();
            assert!(read < all / 20 + 1001, "run {run} reads {read} of {all}");
            readings.extend(chosen.into_iter().map(|pack| (pack, at(10_000 + run))));
        }

        assert_eq!(readings.len(), packs.len());
        let next = choose(&packs, &readings, share);
        assert_eq!(readings[&next[0]], readings.values().copied().min().unwrap());
    }

    #[test]
    fn new_packs_come_in_their_turn_and_keep_none_from_being_read_again() {
        // Each run brings as much new as it may read.
        let mut packs: Vec<_> = (0..100).map(|n| candidate(n, 10)).collect();
        let (mut readings, share) = (HashMap::new(), "6%".parse().ok());
        let mut unread_runs = HashMap::new();
        for run in 0..200_u32 {
            for pack in choose(&packs, &readings, share) {
                readings.insert(pack, at(1000 + i64::from(run)));
                unread_runs.insert(pack, 0);
            }
            for n in 0..5 {
                let written = at(1000 + i64::from(run));
                packs.push(Candidate { written, ..candidate(1000 + run * 10 + n, 10) });
                unread_runs.insert(packs[packs.len() - 1].pack, 0);
            }
            // As many go as came: a prune.
            packs.drain(..5);
            let there = |pack: &PackId| packs.iter().any(|one| one.pack == *pack);
            unread_runs.values_mut().for_each(|runs| *runs += 1);
            let longest = unread_runs.iter().filter(|(pack, _)| there(pack)).map(|(_, runs)| *runs);
            assert!(longest.max().unwrap() <= 21, "run {run}");
        }
    }

    #[test]
    fn a_pack_that_was_written_after_it_was_read_was_not_read() {
        let packs = [candidate(5000, 10), candidate(1000, 10)];
        let readings = packs.iter().map(|one| (one.pack, at(2000))).collect();

        assert_eq!(coverage(&packs, &readings, &[], false).covered_packs, 1);
    }

    #[test]
    fn what_was_damaged_is_read_by_every_run_and_keeps_nothing_else_from_its_turn() {
        let packs: Vec<_> = (0..10).map(|n| candidate(n, 10)).collect();
        let mut readings: HashMap<_, _> = packs[3..9].iter().map(|one| (one.pack, None)).collect();
        readings.insert(packs[0].pack, at(100));

        let chosen = choose(&packs, &readings, "10%".parse().ok());

        let damaged = packs[3..9].iter().map(|one| one.pack);
        assert!(damaged.clone().all(|pack| chosen.contains(&pack)));
        assert_eq!(chosen.len(), 7);
        assert!(chosen.contains(&packs[1].pack), "the longest unread of the others");
        let Coverage { covered_packs, covered_bytes, packs, since, .. } =
            coverage(&packs, &readings, &chosen, false);
        assert_eq!((covered_packs, covered_bytes, packs, since), (1, 10, 10, at(100)));
    }
}
