//! Totals of both recoveries, statement by statement.

use std::collections::BTreeMap;
use std::path::Path;

use super::super::up::Up;
use super::STATEMENT;
use crate::check::{Id, Outcome, Why};
use crate::ground::ids::Name;
use crate::ledger::details;
use crate::source::files::Sums;
use crate::source::{Capture, Kind, Place, Recovered, Total, Trouble};

/// A total and what it came to.
pub(super) struct Told {
    total: Total,
    answer: Result<String, Trouble>,
}

/// What lifeboat's own recovery of a source answered.
pub(in super::super) struct Asked {
    pub(super) name: Name,
    own: Result<Vec<Told>, Trouble>,
}

impl Asked {
    /// Asks a source while it is up, before any control injures it.
    pub(in super::super) fn of(up: &mut Up) -> Self {
        let own = if is_of_files(up.capture.kind) {
            Ok(of_files(&up.capture, &up.data))
        } else {
            totals(&mut *up.recovered, &up.capture)
                .map(|totals| totals.into_iter().map(|one| one.told(&mut *up.recovered)).collect())
        };
        Self { name: up.name.clone(), own }
    }
}

impl Total {
    fn told(self, recovered: &mut dyn Recovered) -> Told {
        Told { answer: self.ask(recovered, STATEMENT), total: self }
    }
}

/// Whether its totals are those of files: of an owner's program nobody else knows more.
pub(super) fn is_of_files(kind: Kind) -> bool {
    matches!(kind, Kind::Files | Kind::Command)
}

/// Sums of each path, as the fingerprint names them; of a program's output, of all there is.
pub(super) fn of_files(capture: &Capture, data: &Path) -> Vec<Told> {
    let is_command = capture.kind == Kind::Command;
    let paths: Vec<(&str, Option<u64>)> = match is_command {
        true => vec![("output", None)],
        false => capture
            .fingerprint
            .parts
            .iter()
            .map(|(path, part)| (&**path, Some(part.rows)))
            .collect(),
    };
    let sums = |(path, at_capture): (&str, Option<u64>)| Told {
        total: Total {
            object: path.to_owned(),
            database: None,
            statement: statement(path),
            at_capture,
        },
        answer: match Sums::of(data, path) {
            Ok(sums) => Ok(sums.to_string()),
            Err(error) => Err(Trouble::Environment(Box::new(error))),
        },
    };
    paths.into_iter().map(sums).collect()
}

/// What a shell in the restored folder would be asked.
fn statement(path: &str) -> String {
    let path = path.trim_matches('/').replace('\'', r"'\''");
    format!(
        "find './{path}' | wc -l; find './{path}' -type f | wc -l; find './{path}' -type f -printf \
         '%s\\n' | awk '{{b += $1}} END {{print b}}'; find './{path}' -type f -exec sha256sum {{}} + | \
         cut -c-64 | sort | sha256sum"
    )
}

fn totals(recovered: &mut dyn Recovered, capture: &Capture) -> Result<Vec<Total>, Trouble> {
    let mut totals = recovered.totals(&capture.fingerprint)?;
    if capture.unheld().is_some() {
        // Rows were counted at another moment than the dump's.
        totals.iter_mut().for_each(|total| total.at_capture = None);
    }
    Ok(totals)
}

/// Asks what lifeboat's own recovery was asked, and what of this one's tables that did not have.
pub(super) fn ask_again(
    recovered: &mut dyn Recovered,
    asked: &Asked,
    capture: &Capture,
) -> Result<Vec<Told>, Trouble> {
    let known = asked.own.iter().flatten().map(|told| told.total.clone());
    let found = totals(recovered, capture)?.into_iter();
    let all = found.chain(known).map(|total| (total.object.clone(), total));
    // Of two the one that was asked before.
    let all: BTreeMap<_, _> = all.collect();
    Ok(all.into_values().map(|total| total.told(recovered)).collect())
}

/// What both answers come to, with a line for each total.
pub(super) fn compare(
    id: &Id,
    asked: Asked,
    theirs: Result<Vec<Told>, Trouble>,
) -> (Outcome, Vec<details::Total>) {
    let Asked { name, own } = asked;
    let (own, mut theirs) = match (own, theirs) {
        (Ok(own), Ok(theirs)) => (own, theirs),
        (Err(trouble), _) | (_, Err(trouble)) => {
            return (Outcome::of_trouble(id, &trouble), vec![]);
        }
    };
    let mut pairs = Vec::new();
    for told in own {
        let same = theirs.iter().position(|other| other.total.object == told.total.object);
        pairs.push((Some(told), same.map(|at| theirs.swap_remove(at))));
    }
    pairs.extend(theirs.into_iter().map(|told| (None, Some(told))));
    let (mut lines, mut places, mut open) = (Vec::new(), Vec::new(), None);
    for (own, other) in pairs {
        let (line, wrong) = judged(&name, own.as_ref(), other.as_ref());
        lines.extend(line);
        let troubles = [own, other].into_iter().flatten().filter_map(|told| told.answer.err());
        for trouble in troubles {
            match trouble {
                Trouble::Data(_) => {}
                trouble => drop(open.get_or_insert(trouble)),
            }
        }
        places.extend(wrong);
    }
    let outcome = match open {
        Some(trouble) if places.is_empty() => Outcome::of_trouble(id, &trouble),
        _ if lines.is_empty() => {
            Outcome::not_run(Why::NothingToCompare, "it has no table that could be counted")
        }
        _ => Outcome::of(lines.len() as u64, places),
    };
    (outcome, lines)
}

/// The line of one total, and what is wrong there.
fn judged(
    source: &Name,
    own: Option<&Told>,
    other: Option<&Told>,
) -> (Option<details::Total>, Option<Place>) {
    let Some(Told { total, .. }) = own.or(other) else { return (None, None) };
    let answer = |told: Option<&Told>| told?.answer.as_ref().ok().cloned();
    let (lifeboat, independent) = (answer(own), answer(other));
    let contradicts =
        |answer: &Option<String>| answer.as_ref().is_some_and(|it| total.contradicts_capture(it));
    let is_unknown = |told: Option<&Told>| {
        told.is_some_and(|told| matches!(told.answer, Err(Trouble::Environment(_))))
    };
    let wrong = match (&lifeboat, &independent) {
        _ if contradicts(&independent) => {
            Some("what was restored independently has another number of rows than were captured")
        }
        _ if contradicts(&lifeboat) => {
            Some("what lifeboat restored has another number of rows than were captured")
        }
        (Some(one), Some(other)) if one == other => None,
        _ if is_unknown(own) || is_unknown(other) => None,
        (Some(_), Some(_)) => {
            Some("what was restored independently has other totals than what lifeboat restored")
        }
        (Some(_), None) => Some("it is not in what was restored independently"),
        (None, Some(_)) => Some("it is only in what was restored independently"),
        (None, None) => Some("neither of what was restored can be asked for it"),
    };
    let line = details::Total {
        source: source.clone(),
        object: total.object.clone(),
        statement: total.statement.clone(),
        at_capture: total.at_capture,
        equal: wrong.is_none() && lifeboat.is_some() && lifeboat == independent,
        lifeboat,
        independent,
    };
    let place = wrong.map(|what| Place { object: line.object.clone(), what: what.to_owned() });
    (Some(line), place)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::NotRun;

    fn told(object: &str, at_capture: Option<u64>, answer: &str) -> Told {
        let (object, statement) = (object.to_owned(), format!("SELECT COUNT(*) FROM {object}"));
        let total = Total { object, database: None, statement, at_capture };
        let answer = match answer {
            "gone" => Err(Trouble::Data("no such table".into())),
            "late" => Err(Trouble::Environment("it took too long".into())),
            answer => Ok(answer.to_owned()),
        };
        Told { total, answer }
    }

    fn compared(own: Vec<Told>, theirs: Vec<Told>) -> (Outcome, Vec<details::Total>) {
        let name: Name = "shop".parse().unwrap();
        let asked = Asked { name: name.clone(), own: Ok(own) };
        compare(&Id::Independent(name), asked, Ok(theirs))
    }

    #[test]
    fn equal_totals_that_are_the_captured_ones_hold_and_each_is_told() {
        let tables = || vec![told("orders", Some(3), "3, 10.50"), told("log", None, "7")];

        let (outcome, lines) = compared(tables(), tables());

        assert_eq!(outcome, Outcome::of(2, []));
        assert!(lines.iter().all(|line| line.equal), "{lines:?}");
        assert_eq!(lines[0].independent.as_deref(), Some("3, 10.50"));
    }

    #[test]
    fn every_difference_breaks_and_names_its_table() {
        let cases = [
            ("3, 10.50", "3, 10.51"),
            ("3, 10.50", "2, 10.50"),
            // Equal to each other, and not to what was captured.
            ("2, 8.00", "2, 8.00"),
            ("3, 10.50", "gone"),
            ("gone", "3, 10.50"),
        ];
        for (own, theirs) in cases {
            let (outcome, lines) = compared(
                vec![told("orders", Some(3), own), told("log", Some(1), "1")],
                vec![told("log", Some(1), "1"), told("orders", Some(3), theirs)],
            );
            let Outcome::Broke(broken) = &outcome else { panic!("{own} {theirs}: {outcome:?}") };
            assert_eq!(broken.places()[0].object, "orders", "{own} {theirs}");
            assert_eq!(broken.total().get(), 1);
            assert_eq!(lines.iter().filter(|line| !line.equal).count(), 1);
        }
    }

    #[test]
    fn a_table_that_only_one_of_them_has_breaks() {
        let one = || told("orders", Some(3), "3");
        let both = || vec![one(), told("more", None, "0")];
        for (own, theirs) in [(both(), vec![one()]), (vec![one()], both())] {
            let (Outcome::Broke(broken), _) = compared(own, theirs) else { panic!() };
            assert_eq!(broken.places()[0].object, "more");
        }
    }

    #[test]
    fn what_was_not_answered_or_is_nothing_never_holds() {
        let (outcome, lines) =
            compared(vec![told("orders", Some(3), "3")], vec![told("orders", Some(3), "late")]);
        assert!(matches!(outcome, Outcome::NotRun(NotRun { .. })), "{outcome:?}");
        assert!(!lines[0].equal);

        let (outcome, _) = compared(vec![], vec![]);
        let Outcome::NotRun(nothing) = outcome else { panic!("{outcome:?}") };
        assert_eq!(nothing.why, Why::NothingToCompare);

        // A difference is told whatever else was not answered.
        let (outcome, _) = compared(
            vec![told("a", Some(3), "3"), told("b", Some(1), "1")],
            vec![told("a", Some(3), "late"), told("b", Some(1), "2")],
        );
        assert!(matches!(outcome, Outcome::Broke(_)), "{outcome:?}");
    }
}
