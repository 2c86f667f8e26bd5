//! The plan of a `forget`: for every snapshot of a policy whether it stays or goes, and why.
//!
//! In: what the repository has, what the ledger knows, the policy's `[retention]`, the time. Out: a
//! [`Plan`], or why there is none. Pure. Snapshots of other policies, restic's own, and those that
//! only carry the policy's tags do not come into it.

use std::collections::{HashMap, HashSet};
use std::fmt;

use jiff::{SignedDuration, Timestamp};

use super::rules::{self, Point, Rule};
use crate::ground::digest::Digest;
use crate::ground::ids::Name;
use crate::ledger::record::{
    Body, CampaignFinished, CampaignStarted, Record, found_damaged, publications,
};
use crate::policy::Retention;
use crate::repo::{Snapshot, SnapshotId};
use crate::source::manifest::{INCOMPLETE, TAG, policy_tag};

/// Hosts' clocks may differ by so much.
const SKEW: SignedDuration = SignedDuration::from_mins(5);

/// Up to here nobody needs to say that many may go.
const FEW: usize = 10;

/// Why there is no plan, or none that may be carried out as it is.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Refusal {
    #[error("snapshot {snapshot} carries a time that is still to come: {time}")]
    Future { snapshot: SnapshotId, time: Timestamp },
    #[error("the policy pins {pin}, and none of its snapshots has an id that begins so")]
    PinMissing { pin: String },
    #[error("{removed} of {all} snapshots would be removed; one run may remove {most}")]
    TooMany { removed: usize, all: usize, most: usize },
}

/// Why a snapshot stays.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stays {
    Rule(Rule),
    /// By a rule that would keep it if those that were found damaged were not there.
    InPlace(Rule),
    Pinned,
    /// The newest that a drill proved restorable and intact, by that record of the ledger.
    Proven {
        seq: u64,
    },
    /// A sampling campaign that is not over drew it, by that record of the ledger.
    Drawn {
        seq: u64,
    },
    /// Incomplete, and no complete one is newer that can be restored.
    Newest,
    /// No backup is later on the ledger, whatever time it carries.
    LastPublished,
}

impl fmt::Display for Stays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(rule) => rule.fmt(f),
            Self::InPlace(rule) => write!(f, "{rule}, in the place of a damaged one"),
            Self::Pinned => f.write_str("pinned"),
            Self::Proven { seq } => write!(f, "newest proven by a drill (record {seq})"),
            Self::Drawn { seq } => write!(f, "drawn by a campaign that is not over (record {seq})"),
            Self::Newest => f.write_str("incomplete, but none is newer and complete"),
            Self::LastPublished => f.write_str("the last backup on the ledger"),
        }
    }
}

/// One snapshot of the policy and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    pub id: SnapshotId,
    pub time: Timestamp,
    pub is_complete: bool,
    /// The record that says that it cannot be restored whole.
    pub damaged: Option<u64>,
    /// Why it stays; none: it goes, for no rule keeps it.
    pub stays: Vec<Stays>,
}

impl Decision {
    /// Whether it is to be removed.
    pub fn goes(&self) -> bool {
        self.stays.is_empty()
    }

    /// Why it stays or goes, in words.
    pub fn reason(&self) -> String {
        let mut reason = match &self.stays[..] {
            [] if self.is_complete => "no rule keeps it".to_owned(),
            [] => "incomplete, and no rule needs it".to_owned(),
            stays => stays.iter().map(ToString::to_string).collect::<Vec<_>>().join(", "),
        };
        if let Some(seq) = self.damaged {
            reason.push_str(&format!("; DAMAGED, says record {seq}"));
        }
        reason
    }
}

/// What becomes of each of a policy's snapshots, newest first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub decisions: Vec<Decision>,
    /// Snapshots in the repository that are not the policy's, and are left alone.
    pub others: usize,
}

/// What a plan goes by.
#[derive(Debug, Clone, Copy)]
pub struct History<'a> {
    /// All that the repository has and that can be read, of whomever.
    pub snapshots: &'a [(SnapshotId, Snapshot)],
    /// Those that cannot be read: they take no place from others, and a pin may mean one of them.
    pub unreadable: &'a [SnapshotId],
    /// The ledger's.
    pub records: &'a [Record],
}

/// Decides over the snapshots that the ledger names and that carry the policy's tags.
///
/// At least one of them always stays.
pub fn plan(
    policy: &Name,
    kept: &Retention,
    history: History<'_>,
    now: Timestamp,
) -> Result<Plan, Refusal> {
    let History { snapshots, unreadable, records } = history;
    let published = publications(records).filter(|(_, backup)| backup.policy == *policy);
    let published: Vec<_> = published.map(|(_, backup)| SnapshotId(backup.snapshot)).collect();
    let ours = ours(policy, snapshots, &published);
    check(&ours, unreadable, kept, now)?;

    let points: Vec<_> = ours.iter().map(|(_, snapshot)| point(snapshot)).collect();
    let rules = rules::keep(&points, kept);
    let damaged = found_damaged(records);
    let instead = instead_of_damaged(&ours, &points, &damaged, kept);
    let is_whole = |((id, _), point): (&&(SnapshotId, Snapshot), &Point<'_>)| {
        point.is_complete && !damaged.contains_key(&id.0)
    };
    let newest_whole = ours.iter().zip(&points).position(is_whole).unwrap_or(points.len());
    let proven = proven(records, policy);
    let drawn = drawn(records, policy);
    let newest_proven = ours.iter().position(|(id, _)| proven.contains_key(id));
    // By the ledger's order: a clock that was behind gave it an old time.
    let there: HashSet<_> = ours.iter().map(|(id, _)| *id).collect();
    let last_published = published.into_iter().rfind(|id| there.contains(id));
    let mut decisions = Vec::with_capacity(ours.len());
    for (nth, (((id, snapshot), rules), instead)) in ours.iter().zip(rules).zip(instead).enumerate()
    {
        let mut stays: Vec<_> = match rules.is_empty() {
            true => instead.into_iter().map(Stays::InPlace).collect(),
            false => rules.into_iter().map(Stays::Rule).collect(),
        };
        if kept.pins.iter().any(|pin| fits(pin, id)) {
            stays.push(Stays::Pinned);
        }
        if newest_proven == Some(nth) {
            stays.extend(proven.get(id).map(|seq| Stays::Proven { seq: *seq }));
        }
        stays.extend(drawn.get(id).map(|seq| Stays::Drawn { seq: *seq }));
        if nth < newest_whole && !points[nth].is_complete {
            stays.push(Stays::Newest);
        }
        if stays.is_empty() && last_published == Some(*id) {
            stays.push(Stays::LastPublished);
        }
        let (is_complete, damaged) = (points[nth].is_complete, damaged.get(&id.0).copied());
        decisions.push(Decision { id: *id, time: snapshot.time, is_complete, damaged, stays });
    }
    Ok(Plan { others: snapshots.len() - decisions.len(), decisions })
}

/// For each snapshot the rules that would keep it if the damaged ones were not there: one of these takes
/// no place from a whole one. Nothing where none is damaged.
fn instead_of_damaged(
    ours: &[&(SnapshotId, Snapshot)],
    points: &[Point<'_>],
    damaged: &HashMap<Digest, u64>,
    kept: &Retention,
) -> Vec<Vec<Rule>> {
    let is_whole: Vec<_> = ours.iter().map(|(id, _)| !damaged.contains_key(&id.0)).collect();
    if is_whole.iter().all(|is_whole| *is_whole) {
        return vec![Vec::new(); ours.len()];
    }
    let whole = points.iter().zip(&is_whole).filter(|(_, is_whole)| **is_whole);
    let whole: Vec<_> = whole.map(|(point, _)| *point).collect();
    let mut rules = rules::keep(&whole, kept).into_iter();
    let of = |is_whole: bool| if is_whole { rules.next().unwrap_or_default() } else { Vec::new() };
    is_whole.into_iter().map(of).collect()
}

/// The policy's snapshots, newest first: the ledger names them, and they carry its tags.
fn ours<'a>(
    policy: &Name,
    snapshots: &'a [(SnapshotId, Snapshot)],
    published: &[SnapshotId],
) -> Vec<&'a (SnapshotId, Snapshot)> {
    let named: HashSet<_> = published.iter().collect();
    let tag = policy_tag(policy);
    let is_ours = |(id, snapshot): &&(SnapshotId, Snapshot)| {
        let tags = &snapshot.tags;
        named.contains(id) && tags.contains(&tag) && tags.iter().any(|tag| tag == TAG)
    };
    let mut ours: Vec<_> = snapshots.iter().filter(is_ours).collect();
    ours.sort_by_key(|(id, snapshot)| std::cmp::Reverse((snapshot.time, *id)));
    ours
}

/// Refuses what no plan can be made of.
fn check(
    ours: &[&(SnapshotId, Snapshot)],
    unreadable: &[SnapshotId],
    kept: &Retention,
    now: Timestamp,
) -> Result<(), Refusal> {
    let soon = now.checked_add(SKEW).unwrap_or(now);
    if let Some((id, snapshot)) = ours.iter().find(|(_, snapshot)| snapshot.time > soon) {
        return Err(Refusal::Future { snapshot: *id, time: snapshot.time });
    }
    let there = || ours.iter().map(|(id, _)| id).chain(unreadable);
    match kept.pins.iter().find(|pin| !there().any(|id| fits(pin, id))) {
        Some(pin) => Err(Refusal::PinMissing { pin: pin.clone() }),
        None => Ok(()),
    }
}

fn fits(pin: &str, id: &SnapshotId) -> bool {
    id.to_string().starts_with(pin)
}

impl Plan {
    /// What is to be removed, oldest first.
    pub fn removed(&self) -> Vec<SnapshotId> {
        let going = self.decisions.iter().rev().filter(|decision| decision.goes());
        going.map(|decision| decision.id).collect()
    }

    /// How many of the policy's snapshots stay.
    pub fn left(&self) -> usize {
        self.decisions.iter().filter(|decision| !decision.goes()).count()
    }

    /// Refuses to remove more than ten of a policy's snapshots and more than half of them in one run:
    /// so much goes when a rule was mistyped or the calendar is wrong, not from one day to the next.
    pub fn check_cap(&self) -> Result<(), Refusal> {
        let (all, removed) = (self.decisions.len(), self.decisions.len() - self.left());
        let most = FEW.max(all / 2);
        if removed > most { Err(Refusal::TooMany { removed, all, most }) } else { Ok(()) }
    }
}

fn point(snapshot: &Snapshot) -> Point<'_> {
    Point {
        time: snapshot.time,
        tags: &snapshot.tags,
        is_complete: !snapshot.tags.iter().any(|tag| tag == INCOMPLETE),
    }
}

/// The policy's snapshots that a drill proved restorable and intact and none found broken since,
/// each with the record that says so.
fn proven(records: &[Record], policy: &Name) -> HashMap<SnapshotId, u64> {
    let mut proven = HashMap::new();
    for record in records {
        let Body::DrillFinished(drill) = &record.event.body else { continue };
        let Some(id) = drill.about().map(SnapshotId) else { continue };
        if drill.policy != *policy {
            continue;
        }
        if drill.proves_the_snapshot() {
            proven.insert(id, record.seq);
        } else if drill.refutes_the_snapshot() {
            proven.remove(&id);
        }
    }
    proven
}

/// What the policy's campaigns that are not over drew, each with the record that says so. One whose host is
/// gone for good stays so until the drill's next campaign.
fn drawn(records: &[Record], policy: &Name) -> HashMap<SnapshotId, u64> {
    let mut open: HashMap<&Name, (u64, &CampaignStarted)> = HashMap::new();
    for record in records {
        match &record.event.body {
            Body::CampaignStarted(campaign) if campaign.policy == *policy => {
                open.insert(&campaign.drill, (record.seq, campaign));
            }
            Body::CampaignFinished(CampaignFinished { run, .. })
            | Body::CampaignAborted { run, .. } => open.retain(|_, (_, open)| open.run != *run),
            _ => {}
        }
    }
    let drawn = |(seq, campaign): (u64, &CampaignStarted)| -> Vec<(SnapshotId, u64)> {
        campaign.drawn.iter().map(|id| (SnapshotId(*id), seq)).collect()
    };
    open.into_values().flat_map(drawn).collect()
}
