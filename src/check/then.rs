//! Answers compared with the captured moment: with the number that it gave, and with its time.
//!
//! What came later than the capture would hide that everything else is old, so that a moment may lie
//! no further behind the capture than before it.

use std::time::Duration;

use jiff::Timestamp;
use jiff::civil::DateTime;

use super::expect::Judged;
use super::{Outcome, Why};
use crate::policy::expect::{Percent, Scalar};
use crate::policy::leaf::Zone;
use crate::source::{Answer, Answered};

/// What the capture says of a check.
#[derive(Debug, Clone)]
pub struct Then<'a> {
    /// The moment whose state was captured.
    pub moment: Timestamp,
    /// What the same question was answered with then, where it was asked.
    pub answered: Option<&'a Answered>,
    /// Whose clock moments without a zone are by.
    pub zone: &'a Zone,
}

impl Then<'_> {
    /// A number beside the one of then; none then, or nothing, is nothing to compare with.
    pub(super) fn number(
        &self,
        share: Percent,
        found: &Scalar,
        broke: impl Fn(String) -> Outcome,
    ) -> Judged {
        let not_run = |why, what: String| Judged::from(Outcome::not_run(why, what));
        let text = match self.answered.map(|answered| &answered.answer) {
            Some(Answer::Number(text)) => text,
            Some(Answer::None(why)) => {
                let what = format!("the capture has no number to compare with: {why}");
                return not_run(Why::NotApplicable, what);
            }
            None => {
                let what = "the recovery point was taken before this check asked it: back up anew";
                return not_run(Why::NotApplicable, what.to_owned());
            }
        };
        let Some(then) = Scalar::number(text) else {
            let what = "what the capture answered is no number".to_owned();
            return not_run(Why::NotApplicable, what);
        };
        let outcome = match share.holds(found, &then) {
            _ if [Scalar::Integer(0), Scalar::Real(0.0)].contains(&then) => Outcome::not_run(
                Why::NothingToCompare,
                "the captured moment gave 0: there is nothing to be near to",
            ),
            Some(true) => Outcome::of(1, []),
            Some(false) => broke(format!("the number found is not within {share} % of {then}")),
            None => broke("expected a number, found a text".to_owned()),
        };
        let is_number = !matches!(found, Scalar::Text(_));
        Judged {
            outcome,
            found: is_number.then(|| found.to_string()),
            at_capture: Some(then.to_string()),
        }
    }
}

/// Whether `value` is a moment no further than `within` from the captured one.
pub(super) fn lag(
    within: Duration,
    value: &Scalar,
    then: &Then<'_>,
    broke: impl Fn(String) -> Outcome,
) -> Judged {
    let Some(found) = moment(value, then.zone) else {
        return broke("expected a moment, found something else".to_owned()).into();
    };
    let (before, by) = match found.duration_until(then.moment) {
        lag if lag.is_negative() => (false, lag.unsigned_abs()),
        lag => (true, lag.unsigned_abs()),
    };
    let outcome = if by <= within {
        Outcome::of(1, [])
    } else {
        let side = if before { "before" } else { "after" };
        broke(format!("the moment found lies {} s {side} the capture", by.as_secs()))
    };
    Judged { outcome, found: Some(found.to_string()), at_capture: Some(then.moment.to_string()) }
}

/// Seconds since 1970, or a text with or without a zone, as the engines write them.
fn moment(value: &Scalar, zone: &Zone) -> Option<Timestamp> {
    match value {
        Scalar::Integer(seconds) => Timestamp::from_second(*seconds).ok(),
        Scalar::Real(seconds) => {
            let whole = seconds.is_finite().then_some(*seconds as i64)?;
            Timestamp::from_second(whole).ok()
        }
        Scalar::Text(text) => text.trim().parse().ok().or_else(|| {
            let local: DateTime = text.trim().parse().ok()?;
            Some(local.to_zoned(zone.time_zone().clone()).ok()?.timestamp())
        }),
    }
}

#[cfg(test)]
impl Then<'_> {
    /// What a capture in 1970 says that nobody asked anything.
    pub(super) fn of_nothing() -> Self {
        Then { moment: Timestamp::UNIX_EPOCH, answered: None, zone: const { &Zone::UTC } }
    }
}

#[cfg(test)]
mod tests {
    use super::super::NotRun;
    use super::super::expect::expect;
    use super::*;
    use crate::source::{Cell, Rows};

    const CAPTURE: &str = "2026-11-26T10:00:00Z";

    fn judged(expectation: &str, cell: Cell, answer: Option<Answer>, zone: &str) -> Judged {
        let answered =
            answer.map(|answer| Answered { database: None, query: "SELECT 1".into(), answer });
        let zone = zone.parse().unwrap();
        let then =
            Then { moment: CAPTURE.parse().unwrap(), answered: answered.as_ref(), zone: &zone };
        let rows = Rows { columns: vec!["v".into()], rows: vec![vec![cell]] };
        expect("c", &expectation.parse().unwrap(), &rows, &then)
    }

    fn near(found: Cell, then: Option<Answer>) -> Outcome {
        judged("within 5 % of capture", found, then, "UTC").outcome
    }

    fn number(text: &str) -> Option<Answer> {
        Some(Answer::Number(text.to_owned()))
    }

    #[test]
    fn a_number_near_the_captured_one_holds_and_one_further_away_breaks() {
        assert!(matches!(near(Cell::Integer(95), number("100")), Outcome::Held { .. }));
        assert!(matches!(near(Cell::Real(105.0), number("100.0")), Outcome::Held { .. }));
        assert!(matches!(near(Cell::Integer(94), number("100")), Outcome::Broke(_)));
        assert!(matches!(near(Cell::Integer(106), number("100")), Outcome::Broke(_)));
        assert!(matches!(near(Cell::Null, number("100")), Outcome::Broke(_)));
        assert!(matches!(near(Cell::Text("100".into()), number("100")), Outcome::Broke(_)));
        let told = judged("within 5 % of capture", Cell::Integer(90), number("100"), "UTC");
        assert_eq!(told.found.as_deref(), Some("90"));
        assert_eq!(told.at_capture.as_deref(), Some("100"));
    }

    #[test]
    fn without_a_captured_number_or_with_none_of_anything_nothing_holds() {
        let not_asked = near(Cell::Integer(5), None);
        let Outcome::NotRun(NotRun { why: Why::NotApplicable, what }) = not_asked else { panic!() };
        assert!(what.contains("back up anew"), "{what}");
        let refused = near(Cell::Integer(5), Some(Answer::None("no such table".into())));
        let Outcome::NotRun(NotRun { why: Why::NotApplicable, what }) = refused else { panic!() };
        assert!(what.contains("no such table"), "{what}");
        assert!(matches!(near(Cell::Integer(5), number("five")), Outcome::NotRun(_)));
        for (found, then) in [(Cell::Integer(0), "0"), (Cell::Real(0.0), "0.0")] {
            let outcome = near(found, number(then));
            assert!(matches!(outcome, Outcome::NotRun(NotRun { why: Why::NothingToCompare, .. })));
        }
    }

    #[test]
    fn freshness_is_measured_from_the_capture_and_not_from_now() {
        let fresh = |cell| judged("within 2h of capture", cell, None, "UTC").outcome;
        let text = |text: &str| Cell::Text(text.to_owned());

        for held in [
            text("2026-11-26 08:00:00"),
            text("2026-11-26 09:59:59.999+00"),
            text("2026-11-26T17:30:00+08:00"),
            text("2026-11-26 10:30:00"),
            Cell::Integer(1_795_687_200),
            Cell::Real(1_795_687_200.5),
        ] {
            assert!(matches!(fresh(held.clone()), Outcome::Held { .. }), "{held:?}");
        }
        for stale in [
            text("2026-11-26 07:59:59"),
            text("2026-11-26"),
            text("2026-11-26T09:30:00+08:00"),
            text("2099-01-01 00:00:00"),
            text("2026-11-26 12:00:01"),
            text("yesterday"),
            text(""),
            Cell::Integer(0),
            Cell::Real(f64::NAN),
            Cell::Null,
        ] {
            assert!(matches!(fresh(stale.clone()), Outcome::Broke(_)), "{stale:?}");
        }
    }

    #[test]
    fn a_moment_without_a_zone_is_by_the_clock_that_the_check_names() {
        let told = |zone| {
            let cell = Cell::Text("2026-11-26 17:30:00".into());
            judged("within 2h of capture", cell, None, zone)
        };

        assert!(matches!(told("Asia/Shanghai").outcome, Outcome::Held { .. }));
        let Outcome::Broke(broken) = told("UTC").outcome else { panic!() };
        assert!(broken.to_string().contains("27000 s after the capture"), "{broken}");
        assert_eq!(told("UTC").at_capture.as_deref(), Some(CAPTURE));
    }
}
