//! The verdict: five parts and a word, from the whole declared plan or not at all (design §9).
//!
//! `pass` means that every declared assertion ran to its end and compared something, and that
//! every declared control was found. Whatever is missing, skipped, late, contradictory or not
//! applicable is at best `inconclusive`; but for rows of a source that allowed no exact point and
//! whose policy says, with a reason, that a drill may do without, and for definitions that the newer
//! version of an upgrade rehearsal tells in other words: `intact` is not `yes` then, either.

use std::time::Duration;

use super::outcome::{NotRun, Outcome, Outcomes, Why};
use super::plan::{Control, Id, Objectives, Plan};
use crate::ledger::details::Part;
use crate::ledger::record::{Answer, Parts, Word};

/// How a control ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ControlOutcome {
    /// The right assertion failed at the right place.
    Found,
    /// It did not: what it said instead.
    Missed(String),
    NotRun(NotRun),
}

/// A control and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ControlResult {
    pub control: Control,
    pub outcome: ControlOutcome,
}

/// What a drill measured; `None` where it did not come so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Measured {
    /// Until every source answered its first query, declared detection and decision included.
    pub recovery: Option<Duration>,
    /// From the earliest source's consistent moment to the drill's start.
    pub data_age: Option<Duration>,
}

/// Whether the snapshot holds everything the policy selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completeness {
    /// Everything, or everything but items that the policy says may be left out.
    Complete,
    /// These items, which the policy does not name, are missing: at least one.
    Incomplete { unnamed: Vec<String> },
}

/// Why a part is not `yes`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartReason {
    pub part: Part,
    pub answer: Answer,
    /// In words, without a full stop.
    pub why: String,
}

/// What a drill comes to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    parts: Parts,
    word: Word,
    reasons: Vec<PartReason>,
}

impl Verdict {
    /// Judges `outcomes`, `controls` and `measured` against everything that `plan` declares.
    ///
    /// `leftovers` names what a drill could not clean up. Nothing else makes a verdict.
    pub fn of(
        plan: &Plan,
        outcomes: &Outcomes,
        controls: &[ControlResult],
        measured: Measured,
        completeness: &Completeness,
        leftovers: &[String],
    ) -> Self {
        let incomplete = incomplete(completeness);
        let mut restorable = Finding::default();
        let mut intact = Finding::default();
        for finding in [&mut restorable, &mut intact] {
            if let Some(why) = &incomplete {
                finding.unknown(why.clone());
            }
            if plan.is_empty() {
                finding.unknown("the plan names no source".to_owned());
            }
        }
        for id in plan.ids() {
            let part = match id {
                Id::Integrity | Id::Restore | Id::Start(_) => &mut restorable,
                // Who put another snapshot in its place may well have put a sound one there.
                Id::Point
                | Id::SelfCheck(_)
                | Id::Equality(_)
                | Id::Check(..)
                | Id::Independent(_) => &mut intact,
            };
            match outcomes.get(id) {
                Some(Outcome::Held { .. }) => {}
                Some(Outcome::NotRun(not_run)) if is_waived(plan, id, not_run) => {
                    part.not_applicable(format!("{id} is not applicable: {}", not_run.what));
                }
                Some(Outcome::Broke(broken)) => {
                    let at = broken.to_string();
                    // A check whose answer is wrong as a whole has no other place than itself.
                    part.no(match at.strip_prefix(&id.to_string()) {
                        Some(what) => format!("{id} broke{what}"),
                        None => format!("{id} broke at {at}"),
                    });
                }
                Some(Outcome::NotRun(not_run)) => {
                    part.unknown(format!("{id} did not run: {}", not_run.what));
                }
                None => part.unknown(format!("{id} did not run")),
            }
        }
        judge_controls(plan, outcomes, controls, &mut intact);
        let (rto, rpo) = limits(plan.objectives());
        let cleaned_up = left_behind(leftovers);
        let judged = [
            (Part::Restorable, restorable.answer()),
            (Part::Intact, intact.answer()),
            (Part::WithinRto, rto.judge(measured.recovery, "the recovery time")),
            (Part::WithinRpo, rpo.judge(measured.data_age, "the data age")),
            (Part::CleanedUp, cleaned_up.answer()),
        ];
        let [restorable, intact, within_rto, within_rpo, cleaned_up] =
            [0, 1, 2, 3, 4].map(|n: usize| judged[n].1.0);
        let parts = Parts { restorable, intact, within_rto, within_rpo, cleaned_up };
        let reasons = judged
            .into_iter()
            .filter(|(_, (answer, _))| *answer != Answer::Yes)
            .map(|(part, (answer, why))| PartReason { part, answer, why })
            .collect();
        Self { parts, word: word(&parts), reasons }
    }

    /// The parts.
    pub fn parts(&self) -> Parts {
        self.parts
    }

    /// The word.
    pub fn word(&self) -> Word {
        self.word
    }

    /// For every part that is not `yes`, why.
    pub fn reasons(&self) -> &[PartReason] {
        &self.reasons
    }
}

fn word(parts: &Parts) -> Word {
    let Parts { restorable, intact, within_rto, within_rpo, cleaned_up } = *parts;
    let all = [restorable, intact, within_rto, within_rpo, cleaned_up];
    if all.contains(&Answer::No) {
        Word::Fail
    } else if all.contains(&Answer::Unknown) {
        Word::Inconclusive
    } else {
        Word::Pass
    }
}

fn incomplete(completeness: &Completeness) -> Option<String> {
    match completeness {
        Completeness::Complete => None,
        Completeness::Incomplete { unnamed } => Some(match &unnamed[..] {
            [] => "the snapshot is incomplete".to_owned(),
            [one] => format!("the snapshot does not hold {one}"),
            [first, more @ ..] => {
                format!("the snapshot does not hold {first} and {} more items", more.len())
            }
        }),
    }
}

/// The limits of recovery time and data age, in this order.
fn limits(objectives: Objectives) -> (Limit, Limit) {
    let undeclared = Limit::NotApplicable("the policy declares no such objective");
    let rpo = match objectives.rpo {
        Some(_) if !objectives.picks_latest => Limit::NotApplicable(
            "the drill does not pick the latest recovery point, whose age the objective is about",
        ),
        declared => declared.map_or(undeclared, Limit::Declared),
    };
    (objectives.rto.map_or(undeclared, Limit::Declared), rpo)
}

fn left_behind(leftovers: &[String]) -> Finding {
    let mut cleaned_up = Finding::default();
    if let Some(first) = leftovers.first() {
        cleaned_up.unknown(match leftovers.len() - 1 {
            0 => format!("{first} was left behind"),
            more => format!("{first} and {more} more were left behind"),
        });
    }
    cleaned_up
}

/// Whether an assertion could not be asked of this recovery point, and the policy declares that a drill
/// may do without it for that very reason.
fn is_waived(plan: &Plan, id: &Id, not_run: &NotRun) -> bool {
    let Id::Equality(source) = id else { return false };
    match not_run.why {
        Why::NoExactPoint => plan.waiver(source).is_some(),
        Why::Retold => plan.upgrades(source),
        _ => false,
    }
}

fn judge_controls(
    plan: &Plan,
    outcomes: &Outcomes,
    results: &[ControlResult],
    intact: &mut Finding,
) {
    // What is not asked cannot be shown to find a fault.
    let unasked = |control: &Control| match outcomes.get(&control.must_fail) {
        Some(Outcome::NotRun(not_run)) if not_run.why == Why::NoExactPoint => {
            is_waived(plan, &control.must_fail, not_run)
        }
        _ => false,
    };
    for declared in plan.controls() {
        if !results.iter().any(|result| result.control == *declared) {
            intact.unknown(format!("the control with {declared} did not run"));
        }
    }
    for ControlResult { control, outcome } in results {
        match outcome {
            ControlOutcome::Found => {}
            ControlOutcome::NotRun(_) if unasked(control) => {}
            ControlOutcome::Missed(_) => intact.unknown(format!(
                "{} should have failed on {control} and did not",
                control.must_fail
            )),
            ControlOutcome::NotRun(not_run) => {
                intact.unknown(format!("the control with {control} did not run: {}", not_run.what))
            }
        }
    }
}

/// What speaks against a part: the first of each kind, and how many more there were.
#[derive(Default)]
struct Finding {
    against: Option<(String, usize)>,
    open: Option<(String, usize)>,
    beside: Option<(String, usize)>,
}

impl Finding {
    fn no(&mut self, why: String) {
        self.against.get_or_insert((why, 0)).1 += 1;
    }

    fn unknown(&mut self, why: String) {
        self.open.get_or_insert((why, 0)).1 += 1;
    }

    fn not_applicable(&mut self, why: String) {
        self.beside.get_or_insert((why, 0)).1 += 1;
    }

    fn answer(self) -> (Answer, String) {
        let say = |(first, all): (String, usize)| match all - 1 {
            0 => first,
            more => format!("{first}; and {more} more"),
        };
        match (self.against, self.open, self.beside) {
            (Some(against), ..) => (Answer::No, say(against)),
            (None, Some(open), _) => (Answer::Unknown, say(open)),
            (None, None, Some(beside)) => (Answer::NotApplicable, say(beside)),
            (None, None, None) => (Answer::Yes, String::new()),
        }
    }
}

#[derive(Clone, Copy)]
enum Limit {
    Declared(Duration),
    NotApplicable(&'static str),
}

impl Limit {
    fn judge(self, measured: Option<Duration>, what: &str) -> (Answer, String) {
        match (self, measured) {
            (Self::NotApplicable(why), _) => (Answer::NotApplicable, why.to_owned()),
            (Self::Declared(_), None) => (Answer::Unknown, format!("{what} was not measured")),
            (Self::Declared(limit), Some(measured)) if measured <= limit => {
                (Answer::Yes, String::new())
            }
            (Self::Declared(limit), Some(measured)) => {
                let (measured, limit) = (measured.as_secs_f64(), limit.as_secs_f64());
                (
                    Answer::No,
                    format!("{what} was {measured:.3} s, and at most {limit} s are allowed"),
                )
            }
        }
    }
}

#[cfg(test)]
mod tests;
