//! Policies and drills, checked: what is protected, what is promised, how it is rehearsed.

use std::time::Duration;

use jiff::Timestamp;

use super::expect::Expectation;
use super::schedule::Schedule;
use super::sources::SourceSettings;
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

/// How many snapshots are kept; at least one number is not zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Retention {
    pub last: u32,
    pub hourly: u32,
    pub daily: u32,
    pub weekly: u32,
    pub monthly: u32,
    pub yearly: u32,
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
    pub checks: Vec<CheckSettings>,
}

/// Which recovery point is rehearsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pick {
    Latest,
    Oldest,
    /// The newest taken before this moment.
    Before(Timestamp),
}

/// One assertion on restored data.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckSettings {
    /// As the user calls it; unique in its drill.
    pub name: String,
    /// The source of the policy that answers.
    pub source: Name,
    /// Its database, where the source has several.
    pub database: Option<String>,
    pub query: String,
    pub assertion: Assertion,
    /// The longest its query may take.
    pub deadline: Duration,
}

/// What must be true of a query's answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Assertion {
    Expect(Expectation),
    /// Every value names a file of this source, relative to its single path.
    FilesIn(Name),
}
