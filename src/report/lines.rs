//! The same story for a terminal: one screenful of plain lines, each with its tone.

use super::terms::{self, Sign};
use super::{Lang, amount, en};
use crate::ledger::details::{
    CheckOutcome, Control, Drill, Finding, Independent, NotCovered, Part, Served,
};
use crate::ledger::record::{Answer, DrillFinished};

/// Checks that did not hold, and places of each, that are told at most.
const BROKEN_TOLD: usize = 8;
const PLACES_TOLD: usize = 3;

/// Kinds of things not covered, and names of each, that are told at most.
const GAPS_TOLD: usize = 6;
const NAMES_TOLD: usize = 3;

/// How a line is meant; what that looks like is the caller's affair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Tone {
    Plain,
    Good,
    Bad,
    Doubt,
    /// Of less weight than the others.
    Faint,
}

/// One line without a line end. Names in it are as they came: a caller that prints to a terminal
/// makes control characters visible.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    pub tone: Tone,
    pub text: String,
}

impl From<Sign> for Tone {
    fn from(sign: Sign) -> Self {
        match sign {
            Sign::Good => Self::Good,
            Sign::Bad => Self::Bad,
            Sign::Doubt => Self::Doubt,
            Sign::None => Self::Faint,
        }
    }
}

/// Tells how a drill ended, in English: verdict, parts, what was measured, what did not hold.
pub fn drill_text(finished: &DrillFinished, details: &Drill) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut line = |tone: Tone, text: String| lines.push(Line { tone, text });
    let verdict = Sign::from(finished.verdict);
    let name = details.drill.as_ref().map(|drill| format!("/{drill}")).unwrap_or_default();
    let word = super::verdict::word(finished.verdict, &en::TEXTS).to_uppercase();
    line(verdict.into(), format!("{word}  {}/{}{name}", details.customer, details.policy));

    for (at, (part, answer)) in terms::parts(&finished.parts).into_iter().enumerate() {
        let sign = Sign::from(answer);
        let measured = measure(part, finished, details);
        let name = en::TEXTS.part_names[at].to_lowercase();
        let answer = told(answer);
        let text = format!("  {} {name:<12} {answer}{measured}", sign.mark());
        line(sign.into(), text);
        for reason in details.reasons.iter().filter(|reason| reason.part == part) {
            line(Tone::Plain, format!("      {}", reason.why));
        }
    }
    fact(&mut lines, "recovery point", point(details));
    fact(&mut lines, "recovery time", recovery(finished, details));
    for source in details.sources.iter().filter(|source| !source.parts.is_empty()) {
        let equal = source.parts.iter().filter(|part| part.equal).count() as u64;
        let rows: u64 = source.parts.iter().filter_map(|part| part.rows_restored).sum();
        let text = format!(
            "{}: {} of {} parts equal, {} rows or entries",
            source.source,
            amount::count(equal),
            amount::count(source.parts.len() as u64),
            amount::count(rows)
        );
        fact(&mut lines, "compared", text);
    }
    for source in &details.sources {
        if let Some(upgraded) = &source.upgraded {
            let text = format!("{} on major version {}", source.source, upgraded.major);
            fact(&mut lines, "upgrade rehearsal", text);
        }
        if let Some(waived) = &source.waived {
            let text = format!("rows of {}: {}", source.source, waived.reason);
            fact(&mut lines, "not required", text);
        }
        if let Some(Served { host, is_replica, lag_ms, .. }) = &source.served {
            let role = if *is_replica { "replica" } else { "no replica" };
            let lag = amount::duration(*lag_ms, &en::TEXTS);
            fact(&mut lines, "captured from", format!("{host} ({role}, at most {lag} behind)"));
        }
    }
    let of = |part: u64, all: u64| format!("{} of {}", amount::count(part), amount::count(all));
    let held = of(finished.checks_held, finished.checks_declared);
    fact(&mut lines, "checks", format!("{held} held"));
    let found = of(finished.controls_found, finished.controls_run);
    fact(&mut lines, "controls", format!("{found} faults found"));
    if let Some(Independent { by, totals, .. }) = &details.independent {
        let equal = totals.iter().filter(|total| total.equal).count() as u64;
        let equal = of(equal, totals.len() as u64);
        fact(&mut lines, "independent", format!("{equal} totals equal, restored by {by}"));
    }
    if !details.skipped.is_empty() {
        let number = amount::count(details.skipped.len() as u64);
        fact(&mut lines, "not stored", format!("{number} selected items"));
    }
    for Finding { object, what } in details.beside.iter().take(GAPS_TOLD) {
        fact(&mut lines, "damaged beside", format!("{object}: {what}"));
    }
    if let Some(more) = details.beside.len().checked_sub(GAPS_TOLD).filter(|more| *more > 0) {
        fact(&mut lines, "damaged beside", (en::TEXTS.and_more)(&amount::count(more as u64)));
    }
    for gap in details.not_covered.iter().take(GAPS_TOLD) {
        fact(&mut lines, "not covered", not_covered(gap));
    }
    if let Some(more) = details.not_covered.len().checked_sub(GAPS_TOLD).filter(|more| *more > 0) {
        fact(&mut lines, "not covered", (en::TEXTS.and_more)(&amount::count(more as u64)));
    }
    broken(&mut lines, details);
    lines
}

/// One kind of things that the recovery point does not cover.
fn not_covered(gap: &NotCovered) -> String {
    let NotCovered { source, what, database, names } = gap;
    let kind = terms::gap(what, Lang::En);
    if names.is_empty() {
        return format!("{source}: {kind}");
    }
    let database = database.as_ref().map_or(String::new(), |name| format!(" in {name}"));
    let shown = names.iter().take(NAMES_TOLD).cloned().collect::<Vec<_>>().join(", ");
    let more = names.len().saturating_sub(NAMES_TOLD);
    let more = if more > 0 { format!(", and {more} more") } else { String::new() };
    format!("{source}: {kind}{database}: {shown}{more}")
}

fn told(answer: Answer) -> &'static str {
    match answer {
        Answer::Yes => "yes",
        Answer::No => "no",
        Answer::Unknown => "unknown",
        Answer::NotApplicable => "not applicable",
    }
}

fn fact(lines: &mut Vec<Line>, label: &str, text: String) {
    lines.push(Line { tone: Tone::Plain, text: format!("  {label:<16} {text}") });
}

/// What stands behind an objective's answer.
fn measure(part: Part, finished: &DrillFinished, details: &Drill) -> String {
    let (measured, objective) = match part {
        Part::WithinRto => (finished.recovery_ms, details.rto_ms),
        Part::WithinRpo => (finished.data_age_ms, details.rpo_ms),
        Part::Restorable | Part::Intact | Part::CleanedUp => return String::new(),
    };
    let [measured, objective] =
        [measured, objective].map(|ms| ms.map(|ms| amount::duration(ms, &en::TEXTS)));
    match (measured, objective) {
        (Some(measured), Some(objective)) => format!(" ({measured} of {objective})"),
        (Some(measured), None) => format!(" ({measured}, no objective)"),
        (None, _) => String::new(),
    }
}

fn point(details: &Drill) -> String {
    let Some(point) = &details.point else { return "none could be picked".to_owned() };
    let complete = if point.complete { "" } else { ", incomplete" };
    format!(
        "{} of {}, {} of {}{complete}",
        point.snapshot.short(),
        amount::utc(point.time),
        terms::pick(&point.pick, Lang::En),
        amount::count(point.candidates),
    )
}

fn recovery(finished: &DrillFinished, details: &Drill) -> String {
    let Some(total) = finished.recovery_ms else { return "not measured".to_owned() };
    let phases: Vec<_> = details
        .phases
        .iter()
        .filter(|phase| phase.counts)
        .map(|phase| {
            let took = amount::duration(phase.duration_ms, &en::TEXTS);
            format!("{} {took}", terms::phase(&phase.name, Lang::En).to_lowercase())
        })
        .collect();
    let total = amount::duration(total, &en::TEXTS);
    format!("{total} in scratch ({})", phases.join(", "))
}

/// What did not hold, with its first places, and controls that were missed.
fn broken(lines: &mut Vec<Line>, details: &Drill) {
    let not_held: Vec<_> =
        details.checks.iter().filter(|check| check.outcome != CheckOutcome::Held).collect();
    for check in not_held.iter().take(BROKEN_TOLD) {
        let sign = Sign::from(check.outcome);
        let why = match (&check.expected, &check.found, &check.reason) {
            (_, _, Some(reason)) => format!(": not run, {reason}"),
            (Some(expected), Some(found), _) => format!(": expected {expected}, found {found}"),
            _ => String::new(),
        };
        let text = format!("  {} {}: {}{why}", sign.mark(), check.rung, check.name);
        lines.push(Line { tone: sign.into(), text });
        for place in check.places.iter().take(PLACES_TOLD) {
            let text = format!("      {}: {}", place.object, place.what);
            lines.push(Line { tone: Tone::Plain, text });
        }
        let more = check.places_total.saturating_sub(check.places.len().min(PLACES_TOLD) as u64);
        if more > 0 {
            let text = format!("      and {} more places", amount::count(more));
            lines.push(Line { tone: Tone::Faint, text });
        }
    }
    if let Some(more) = not_held.len().checked_sub(BROKEN_TOLD).filter(|more| *more > 0) {
        lines.push(Line { tone: Tone::Faint, text: format!("  and {more} more checks") });
    }
    for control in details.controls.iter().filter(|control| !control.found) {
        let Control { fault, expected_check, said, not_run, .. } = control;
        let (sign, text) = if *not_run {
            (Sign::Doubt, format!("control {fault} did not run: {said}"))
        } else {
            (Sign::Bad, format!("control {fault} was not found by {expected_check}: {said}"))
        };
        lines.push(Line { tone: sign.into(), text: format!("  {} {text}", sign.mark()) });
    }
}

#[cfg(test)]
mod tests {
    use super::super::sample;
    use super::*;

    fn text(lines: &[Line]) -> String {
        lines.iter().map(|line| line.text.clone() + "\n").collect()
    }

    #[test]
    fn a_pass_fits_on_a_screen_and_tells_what_was_measured() {
        let sample = sample::passed();

        let lines = drill_text(&sample.finished, &sample.details);

        let text = text(&lines);
        assert!(lines.len() <= 20, "{text}");
        assert_eq!(lines[0].text, "PASS  acme/shop/weekly");
        assert_eq!(lines[0].tone, Tone::Good);
        assert!(text.contains("14 of 14 held"), "{text}");
        assert!(text.contains("in scratch"), "{text}");
    }

    #[test]
    fn what_is_not_covered_is_told_with_a_few_of_its_names() {
        let sample = sample::failed();

        let text = text(&drill_text(&sample.finished, &sample.details));

        let rows = "orders: Rows of unlogged tables in shop: cache.a, cache.b, cache.c, and 1 more";
        assert!(text.contains(rows), "{text}");
        assert!(text.contains("orders: Passwords of roles (the"), "{text}");
    }

    #[test]
    fn a_control_that_did_not_run_is_not_said_to_be_missed() {
        let mut sample = sample::passed();
        let control = &mut sample.details.controls[0];
        (control.found, control.not_run) = (false, true);
        control.said = "there is nothing to injure".to_owned();

        let text = text(&drill_text(&sample.finished, &sample.details));

        assert!(text.contains(": there is nothing to injure"), "{text}");
        assert!(text.contains("did not run: there is nothing to injure"), "{text}");
        assert!(!text.contains("missed") && !text.contains("not found by"), "{text}");
        let page = sample.page(crate::report::Lang::En);
        assert!(page.contains(" did not run</td>") && !page.contains(" missed</td>"), "{page}");
    }

    #[test]
    fn a_failure_names_the_place_and_stays_short_however_much_broke() {
        let failed = sample::failed();
        let text_of_failed = text(&drill_text(&failed.finished, &failed.details));
        assert!(text_of_failed.contains("table orders"), "{text_of_failed}");

        let long = sample::long();
        let lines = drill_text(&long.finished, &long.details);
        assert!(lines.len() <= 70, "{} lines", lines.len());
    }
}
