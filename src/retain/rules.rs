//! The keep rules: which snapshots of a history stay, and by which rule.
//!
//! In: a policy's snapshots, newest first. Out: for each the rules that keep it. Among complete
//! snapshots the choice is restic's to the last quirk (`internal/data/snapshot_policy.go`): each
//! rule keeps the newest of each of its units, until it has kept its number; a rule that never kept
//! its number keeps the very oldest besides. Pure.

use std::collections::HashSet;
use std::fmt;

use jiff::Timestamp;

use super::calendar::{self, Unit};
use crate::policy::Retention;
use crate::policy::span::CalendarSpan;

/// What the rules know of a snapshot.
#[derive(Debug, Clone, Copy)]
pub(super) struct Point<'a> {
    pub time: Timestamp,
    pub tags: &'a [String],
    pub is_complete: bool,
}

/// A rule that keeps a snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// One of a number; `is_oldest`: only because the rule has kept fewer than its number.
    Counted {
        unit: Unit,
        is_oldest: bool,
    },
    /// One of its unit within a span before the newest.
    CountedWithin {
        unit: Unit,
        span: CalendarSpan,
        is_oldest: bool,
    },
    /// Any within a span before the newest.
    Within {
        span: CalendarSpan,
    },
    Tagged {
        tag: String,
    },
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let oldest = |is_oldest: &bool| if *is_oldest { "oldest " } else { "" };
        match self {
            Self::Counted { unit, is_oldest } => write!(f, "{}{unit}", oldest(is_oldest)),
            Self::CountedWithin { unit, span, is_oldest } => {
                write!(f, "{}{unit} within {span}", oldest(is_oldest))
            }
            Self::Within { span } => write!(f, "within {span}"),
            Self::Tagged { tag } => write!(f, "tag {tag}"),
        }
    }
}

/// How far a rule reaches.
#[derive(Debug, Clone, Copy)]
enum Reach {
    /// It may keep so many more.
    Left(u32),
    /// It keeps what is younger than this.
    Since(Timestamp, CalendarSpan),
}

/// A rule at work.
#[derive(Debug)]
struct Counter {
    unit: Unit,
    reach: Reach,
    /// The unit that it kept a complete snapshot of last.
    kept: Option<i64>,
    /// The unit that it kept an incomplete snapshot of last.
    bridged: Option<i64>,
    /// Units that have a complete snapshot.
    whole: HashSet<i64>,
}

/// The rules that keep each snapshot of `history`, which is ordered newest first.
///
/// An incomplete snapshot takes no place from a complete one: a rule keeps it beside those that it
/// counts, while it reaches so far back and no complete one stands for the same unit.
pub(super) fn keep(history: &[Point<'_>], kept: &Retention) -> Vec<Vec<Rule>> {
    let zone = kept.zone.time_zone();
    let newest = history.iter().find(|point| point.is_complete).or(history.first());
    let Some(newest) = newest.map(|point| point.time) else { return Vec::new() };
    let oldest = history.iter().rposition(|point| point.is_complete);
    let mut counters = counters(kept, newest, history);
    let cutoff = kept.within.map(|span| (calendar::before(newest, &span, zone), span));

    let mut all = Vec::with_capacity(history.len());
    for (nth, point) in history.iter().enumerate() {
        let tags = kept.tags.iter().filter(|tag| point.tags.contains(tag));
        let mut rules: Vec<_> = tags.map(|tag| Rule::Tagged { tag: tag.clone() }).collect();
        if let Some((since, span)) = cutoff
            && point.time > since
        {
            rules.push(Rule::Within { span });
        }
        let wall = zone.to_datetime(point.time);
        for counter in &mut counters {
            let number = counter.unit.number(wall, nth);
            let rule = if point.is_complete {
                counter.count(point.time, number, oldest == Some(nth))
            } else {
                counter.bridge(point.time, number)
            };
            rules.extend(rule);
        }
        all.push(rules);
    }
    all
}

fn counters(kept: &Retention, newest: Timestamp, history: &[Point<'_>]) -> Vec<Counter> {
    let zone = kept.zone.time_zone();
    let counted = [
        (Unit::Snapshot, kept.last),
        (Unit::Hour, kept.hourly),
        (Unit::Day, kept.daily),
        (Unit::Week, kept.weekly),
        (Unit::Month, kept.monthly),
        (Unit::Year, kept.yearly),
    ];
    let within = [
        (Unit::Hour, kept.within_hourly),
        (Unit::Day, kept.within_daily),
        (Unit::Week, kept.within_weekly),
        (Unit::Month, kept.within_monthly),
        (Unit::Year, kept.within_yearly),
    ];
    let since = |span: CalendarSpan| Reach::Since(calendar::before(newest, &span, zone), span);
    let counted = counted.into_iter().filter(|(_, number)| *number > 0);
    let counted = counted.map(|(unit, number)| (unit, Reach::Left(number)));
    let within = within.into_iter().filter_map(|(unit, span)| Some((unit, since(span?))));
    let whole = |unit: Unit| {
        let complete = history.iter().enumerate().filter(|(_, point)| point.is_complete);
        complete.map(|(nth, point)| unit.number(zone.to_datetime(point.time), nth)).collect()
    };
    counted
        .chain(within)
        .map(|(unit, reach)| Counter { unit, reach, kept: None, bridged: None, whole: whole(unit) })
        .collect()
}

impl Counter {
    /// Whether the rule keeps this complete snapshot; it then has one less to keep.
    fn count(&mut self, time: Timestamp, number: i64, is_last: bool) -> Option<Rule> {
        if !self.reaches(time) || (self.kept == Some(number) && !is_last) {
            return None;
        }
        let is_oldest = self.kept.replace(number) == Some(number);
        if let Reach::Left(left) = &mut self.reach {
            *left -= 1;
        }
        Some(self.rule(is_oldest))
    }

    /// Whether the rule keeps this incomplete snapshot.
    fn bridge(&mut self, time: Timestamp, number: i64) -> Option<Rule> {
        let stands_alone = !self.whole.contains(&number) && self.bridged != Some(number);
        (self.reaches(time) && stands_alone).then(|| {
            self.bridged = Some(number);
            self.rule(false)
        })
    }

    fn reaches(&self, time: Timestamp) -> bool {
        match self.reach {
            Reach::Left(left) => left > 0,
            Reach::Since(since, _) => time > since,
        }
    }

    fn rule(&self, is_oldest: bool) -> Rule {
        let unit = self.unit;
        match self.reach {
            Reach::Left(_) => Rule::Counted { unit, is_oldest },
            Reach::Since(_, span) => Rule::CountedWithin { unit, span, is_oldest },
        }
    }
}
