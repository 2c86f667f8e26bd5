//! Outcomes: how one assertion ended, and all of them gathered for the verdict.

use std::collections::BTreeMap;
use std::fmt;
use std::num::NonZeroU64;

use super::plan::{Id, Plan};
use crate::sandbox;
use crate::source::{Checked, Place, Trouble};

/// More places than these are counted, not listed.
pub const MOST_PLACES: usize = 100;

/// A place's texts are cut to so many characters: names come from restored, hostile data.
const PLACE_CHARACTERS: usize = 300;

/// How one assertion ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It ran to its end, compared this much, and everything was as it should be.
    Held { compared: NonZeroU64 },
    /// The data is not as it should be.
    Broke(Broken),
    /// Nothing is known.
    NotRun(NotRun),
}

/// What is not as it should be; at least one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    places: Vec<Place>,
    total: NonZeroU64,
    compared: u64,
}

/// Why nothing is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRun {
    pub why: Why,
    /// In words, lower case, without a full stop.
    pub what: String,
}

/// The kinds of reasons for which nothing is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Why {
    /// Something before it failed.
    Skipped,
    TimedOut,
    Killed,
    /// The host, the store, a missing program: not the data.
    Environment,
    /// It cannot be asked of this recovery point, e.g. equality where nothing was captured.
    NotApplicable,
    /// No exact point could be had at capture, so that rows cannot be equal; whatever else was
    /// captured is.
    NoExactPoint,
    /// Everything is equal but definitions that another major version tells in other words, as an
    /// upgrade rehearsal meets them.
    Retold,
    /// There was not one thing to look at.
    NothingToCompare,
    /// It was reported more than once.
    Contradiction,
}

impl Outcome {
    /// The outcome of looking at `compared` things and finding `problems`.
    ///
    /// Problems count even where nothing was compared; nothing compared never holds.
    pub fn of(compared: u64, problems: impl IntoIterator<Item = Place>) -> Self {
        let mut problems = problems.into_iter();
        let places: Vec<_> = problems.by_ref().take(MOST_PLACES).map(presentable).collect();
        let total = places.len() as u64 + problems.count() as u64;
        match (NonZeroU64::new(total), NonZeroU64::new(compared)) {
            (Some(total), _) => Self::Broke(Broken { places, total, compared }),
            (None, Some(compared)) => Self::Held { compared },
            (None, None) => Self::not_run(Why::NothingToCompare, "there was nothing to compare"),
        }
    }

    /// One thing that is not as it should be.
    pub fn broke(object: impl Into<String>, what: impl Into<String>) -> Self {
        let place = presentable(Place { object: object.into(), what: what.into() });
        Self::Broke(Broken { places: vec![place], total: NonZeroU64::MIN, compared: 0 })
    }

    /// Nothing is known, and why.
    pub fn not_run(why: Why, what: impl Into<String>) -> Self {
        Self::NotRun(NotRun { why, what: what.into() })
    }

    /// The outcome of a self-check.
    pub fn of_self_check(checked: Checked) -> Self {
        Self::of(checked.compared.map_or(0, NonZeroU64::get), checked.problems)
    }

    /// The outcome where `id` met trouble: the data's fault breaks it, any other leaves it open.
    pub fn of_trouble(id: &Id, trouble: &Trouble) -> Self {
        let (Trouble::Data(source) | Trouble::Environment(source)) = trouble;
        let mut what = source.to_string();
        let mut next = source.source();
        while let Some(error) = next {
            what.push_str(": ");
            what.push_str(&error.to_string());
            next = error.source();
        }
        match trouble {
            Trouble::Data(_) => Self::broke(id.to_string(), what),
            Trouble::Environment(source) => {
                let why = match source.downcast_ref() {
                    Some(sandbox::Error::TimedOut { .. }) => Why::TimedOut,
                    Some(sandbox::Error::Ended { .. }) => Why::Killed,
                    _ => Why::Environment,
                };
                Self::not_run(why, what)
            }
        }
    }

    /// Whether it broke at the very object that a control injured.
    ///
    /// Only the listed places are looked at, so it proves nothing where the assertion broke
    /// before the control, too.
    pub fn found(&self, injured: &Place) -> bool {
        let injured = presentable(injured.clone());
        match self {
            Self::Broke(broken) => broken.places.iter().any(|place| place.object == injured.object),
            Self::Held { .. } | Self::NotRun(_) => false,
        }
    }

    /// What two reports of the same assertion come to: the worse one; two good ones are no proof.
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (broke @ Self::Broke(_), _) | (_, broke @ Self::Broke(_)) => broke,
            (not_run @ Self::NotRun(_), _) | (_, not_run @ Self::NotRun(_)) => not_run,
            (Self::Held { .. }, Self::Held { .. }) => {
                Self::not_run(Why::Contradiction, "it was reported more than once")
            }
        }
    }
}

impl Broken {
    /// The places, at most [`MOST_PLACES`].
    pub fn places(&self) -> &[Place] {
        &self.places
    }

    /// How much was looked at; zero where that is not known.
    pub fn compared(&self) -> u64 {
        self.compared
    }

    /// How many places there were.
    pub fn total(&self) -> NonZeroU64 {
        self.total
    }
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = self.places.first().expect("both constructors need one place");
        write!(f, "{}: {}", first.object, first.what)?;
        match self.total.get() - 1 {
            0 => Ok(()),
            1 => f.write_str(" (and one more place)"),
            more => write!(f, " (and {more} more places)"),
        }
    }
}

/// A place in lines of bounded length without control characters.
fn presentable(place: Place) -> Place {
    Place { object: line(place.object), what: line(place.what) }
}

fn line(text: String) -> String {
    if text.len() <= PLACE_CHARACTERS && !text.contains(char::is_control) {
        return text;
    }
    let mut line = String::new();
    for (number, character) in text.chars().enumerate() {
        if number == PLACE_CHARACTERS {
            line.push('…');
            break;
        }
        if character.is_control() {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// An outcome for an assertion that the plan does not declare.
#[derive(Debug, thiserror::Error)]
#[error("{id} is not declared in this drill's plan")]
pub struct Undeclared {
    pub id: Id,
}

/// The outcomes that came in so far, for one plan.
#[derive(Debug, Clone)]
pub struct Outcomes {
    declared: Plan,
    by_id: BTreeMap<Id, Outcome>,
}

impl Outcomes {
    /// None yet.
    pub fn new(plan: &Plan) -> Self {
        Self { declared: plan.clone(), by_id: BTreeMap::new() }
    }

    /// Takes in how `id` ended. A second report never makes it better.
    pub fn record(&mut self, id: Id, outcome: Outcome) -> Result<(), Undeclared> {
        if !self.declared.declares(&id) {
            return Err(Undeclared { id });
        }
        let outcome = match self.by_id.remove(&id) {
            Some(earlier) => earlier.and(outcome),
            None => outcome,
        };
        self.by_id.insert(id, outcome);
        Ok(())
    }

    /// How `id` ended, if it did.
    pub fn get(&self, id: &Id) -> Option<&Outcome> {
        self.by_id.get(id)
    }

    /// How many of the declared assertions held.
    pub fn held(&self) -> u64 {
        self.by_id.values().filter(|outcome| matches!(outcome, Outcome::Held { .. })).count() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(n: usize) -> Place {
        Place { object: format!("table t{n}"), what: "differs".into() }
    }

    #[test]
    fn nothing_compared_never_holds_and_problems_always_count() {
        assert!(matches!(
            Outcome::of(0, []),
            Outcome::NotRun(NotRun { why: Why::NothingToCompare, .. })
        ));
        assert!(matches!(Outcome::of(0, [place(1)]), Outcome::Broke(_)));
        assert!(matches!(Outcome::of(1, []), Outcome::Held { .. }));
    }

    #[test]
    fn many_places_are_counted_and_hostile_ones_made_presentable() {
        let Outcome::Broke(broken) = Outcome::of(9, (0..250).map(place)) else { panic!() };
        assert_eq!(broken.compared(), 9);
        assert_eq!((broken.places().len(), broken.total().get()), (100, 250));
        assert_eq!(broken.to_string(), "table t0: differs (and 249 more places)");

        let name = format!("table {}\n\u{1b}[31m", "x".repeat(1_000_000));
        let Outcome::Broke(broken) = Outcome::broke(name.clone(), "a\nb") else { panic!() };
        assert!(broken.places()[0].object.chars().count() <= 301);
        assert_eq!(broken.places()[0].what, "a\\nb");
        assert!(Outcome::Broke(broken).found(&Place { object: name, what: String::new() }));
    }

    #[test]
    fn a_second_report_never_makes_it_better() {
        let held = Outcome::of(1, []);
        let broke = Outcome::broke("x", "y");
        let not_run = Outcome::not_run(Why::TimedOut, "late");
        let plan = Plan::new([], [], super::super::Objectives::default(), false);
        let after = |first: &Outcome, second: &Outcome| {
            let mut outcomes = Outcomes::new(&plan);
            outcomes.record(Id::Restore, first.clone()).unwrap();
            outcomes.record(Id::Restore, second.clone()).unwrap();
            outcomes.get(&Id::Restore).unwrap().clone()
        };

        for other in [&held, &not_run, &broke] {
            assert_eq!(after(&broke, other), broke);
            assert_eq!(after(other, &broke), broke);
        }
        assert_eq!(after(&held, &not_run), not_run);
        assert!(matches!(
            after(&held, &held),
            Outcome::NotRun(NotRun { why: Why::Contradiction, .. })
        ));
    }

    #[test]
    fn an_outcome_for_an_undeclared_assertion_is_refused() {
        let plan = Plan::new([], [], super::super::Objectives::default(), false);

        let error =
            Outcomes::new(&plan).record(Id::Check(0, "x".into()), Outcome::of(1, [])).unwrap_err();

        assert!(error.to_string().contains("check \"x\""), "{error}");
    }

    #[test]
    fn trouble_is_broken_or_unknown_by_its_type() {
        let of = |trouble| Outcome::of_trouble(&Id::Integrity, &trouble);

        assert!(matches!(of(Trouble::Data("cut".into())), Outcome::Broke(_)));
        let open = of(Trouble::Environment("no bubblewrap".into()));
        assert_eq!(open, Outcome::not_run(Why::Environment, "no bubblewrap"));
    }
}
