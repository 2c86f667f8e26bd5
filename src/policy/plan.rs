//! Policies and drills, checked: what is protected, what is promised, how it is rehearsed.

use std::fmt;
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;

use super::expect::{Expectation, ExpectedFiles};
use super::leaf::Zone;
use super::schedule::Schedule;
use super::sources::SourceSettings;
use super::span::CalendarSpan;
use crate::ground::ids::Name;
use crate::ground::size::ByteRate;

/// One file of `policies/`. All sources make one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    pub customer: Name,
    pub name: Name,
    pub schedule: Option<Schedule>,
    pub objectives: Objectives,
    pub retention: Option<Retention>,
    pub limits: Limits,
    /// At least one; their names differ.
    pub sources: Vec<SourceSettings>,
    pub hooks: Hooks,
}

/// What is promised.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Objectives {
    /// The most work that may be lost.
    pub rpo: Option<Duration>,
    /// The longest until the data is back.
    pub rto: Option<Duration>,
}

/// Which snapshots are kept: those that any of these keeps. At least one number or span keeps some.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retention {
    pub last: u32,
    pub hourly: u32,
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
    pub yearly: u32,
    pub within: Option<CalendarSpan>,
    pub within_hourly: Option<CalendarSpan>,
    pub within_daily: Option<CalendarSpan>,
    pub within_weekly: Option<CalendarSpan>,
    pub within_monthly: Option<CalendarSpan>,
    pub within_yearly: Option<CalendarSpan>,
    pub tags: Vec<String>,
    /// Beginnings of snapshots' ids.
    pub pins: Vec<String>,
    /// Whose calendar has the hours, days, weeks, months and years.
    pub zone: Zone,
}

impl Retention {
    /// One that keeps everything.
    pub fn of_all() -> Self {
        Self {
            last: u32::MAX,
            hourly: 0,
            daily: 0,
            weekly: 0,
            monthly: 0,
            yearly: 0,
            within: None,
            within_hourly: None,
            within_daily: None,
            within_weekly: None,
            within_monthly: None,
            within_yearly: None,
            tags: Vec::new(),
            pins: Vec::new(),
            zone: Zone::UTC,
        }
    }
}

impl fmt::Display for Retention {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let numbers = [
            ("last", self.last),
            ("hourly", self.hourly),
            ("daily", self.daily),
            ("weekly", self.weekly),
            ("monthly", self.monthly),
            ("yearly", self.yearly),
        ];
        let spans = [
            ("within", self.within),
            ("hourly within", self.within_hourly),
            ("daily within", self.within_daily),
            ("weekly within", self.within_weekly),
            ("monthly within", self.within_monthly),
            ("yearly within", self.within_yearly),
        ];
        let numbers = numbers.iter().filter(|(_, number)| *number > 0);
        let mut rules: Vec<_> = numbers.map(|(rule, number)| format!("{rule} {number}")).collect();
        let spans = spans.iter().filter_map(|(rule, span)| Some(format!("{rule} {}", (*span)?)));
        rules.extend(spans);
        rules.extend(self.tags.iter().map(|tag| format!("tag {tag}")));
        rules.extend(self.pins.iter().map(|pin| format!("pin {pin}")));
        write!(f, "{}, in {}", rules.join(", "), self.zone)
    }
}

/// What production may be asked for by a backup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Of all sources together.
    pub read_rate: Option<ByteRate>,
    pub upload_rate: Option<ByteRate>,
    /// The longest a run may take.
    pub deadline: Option<Duration>,
    /// 0 to 19, of what reads; none: as this process.
    pub nice: Option<u8>,
}

/// Programs around a backup: argv arrays, never a shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hooks {
    /// Runs before the capture; its failure aborts the run.
    pub before: Option<Vec<String>>,
    /// Runs after it, also after failure, time-out and a crash.
    pub after: Option<Vec<String>>,
    /// The longest each may take.
    pub deadline: Duration,
}

/// One file of `drills/`.
#[derive(Debug, Clone, PartialEq)]
pub struct Drill {
    pub customer: Name,
    pub policy: Name,
    pub name: Name,
    pub schedule: Option<Schedule>,
    pub pick: Pick,
    /// Prove that the checks can fail.
    pub controls: bool,
    /// Restore once more, by other programs, and compare totals.
    pub independent: bool,
    /// Sources that are brought up on a newer major version than their own; usually none.
    pub upgrades: Vec<Upgrade>,
    pub checks: Vec<CheckSettings>,
}

/// A source of kind postgres, brought up on a newer major version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgrade {
    pub source: Name,
    pub major: u32,
}

/// Which recovery point is rehearsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    Latest,
    Oldest,
    /// The newest taken before this moment.
    Before(Timestamp),
    /// So many of all, drawn at random: a sampling campaign.
    Random(NonZeroU32),
}

/// One assertion on restored data.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckSettings {
    /// As the user calls it; unique in its drill.
    pub name: String,
    pub asks: Asks,
    /// The longest it may take.
    pub deadline: Duration,
}

/// Who is asked what, and what must be true of the answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Asks {
    Query(Query),
    Files(FilesAsked),
    /// Argv, never a shell; absolute, never empty: it sees all sources and judges by itself.
    Program(Vec<String>),
}

/// A query to a source that answers some.
#[derive(Debug, Clone, PartialEq)]
pub struct Query {
    pub source: Name,
    /// Its database, where the source has several.
    pub database: Option<String>,
    pub text: String,
    pub assertion: Assertion,
    /// Whose clock the moments are by that it gives without a zone.
    pub zone: Zone,
}

/// What must be true of a query's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Assertion {
    Expect(Expectation),
    /// Every value names a file of this source, relative to its single path.
    FilesIn(Name),
}

/// Files of a source of kind files, by their names.
#[derive(Debug, Clone, PartialEq)]
pub struct FilesAsked {
    pub source: Name,
    /// In .gitignore's syntax, matched below the source's single path.
    pub patterns: Vec<String>,
    pub expected: ExpectedFiles,
}

impl Asks {
    /// The source that is asked; none where it is all of them.
    pub fn source(&self) -> Option<&Name> {
        match self {
            Self::Query(query) => Some(&query.source),
            Self::Files(asked) => Some(&asked.source),
            Self::Program(_) => None,
        }
    }
}

impl Query {
    /// Whether the captured moment must be asked the same, to compare with.
    pub fn asks_at_capture(&self) -> bool {
        matches!(self.assertion, Assertion::Expect(Expectation::NearCapture(_)))
    }
}
