//! No road but one leads to `pass`.

use proptest::prelude::*;

use super::super::{Objectives, Why};
use super::*;
use crate::ground::ids::Name;
use crate::source::{Fault, Kind};

const HOUR: Duration = Duration::from_secs(3600);

fn plan(with_controls: bool) -> Plan {
    let orders: Name = "orders".parse().unwrap();
    let uploads: Name = "uploads".parse().unwrap();
    Plan::new(
        [(&orders, Kind::Sqlite), (&uploads, Kind::Files)],
        ["yesterday's orders", "every picture"],
        Objectives { rto: Some(HOUR), rpo: Some(6 * HOUR), picks_latest: true },
        with_controls,
    )
}

const MET: Measured =
    Measured { recovery: Some(Duration::from_secs(9)), data_age: Some(Duration::from_secs(99)) };

fn held() -> Outcome {
    Outcome::of(3, [])
}

/// Everything held, except what `change` makes of an assertion; `None` leaves it out.
fn outcomes(plan: &Plan, change: impl Fn(&Id) -> Option<Outcome>) -> Outcomes {
    let mut outcomes = Outcomes::new(plan);
    for id in plan.ids() {
        if let Some(outcome) = change(id) {
            outcomes.record(id.clone(), outcome).unwrap();
        }
    }
    outcomes
}

fn all_held(plan: &Plan) -> Outcomes {
    outcomes(plan, |_| Some(held()))
}

fn found(plan: &Plan) -> Vec<ControlResult> {
    let found = |control: &Control| ControlResult {
        control: control.clone(),
        outcome: ControlOutcome::Found,
    };
    plan.controls().iter().map(found).collect()
}

fn judge(plan: &Plan, outcomes: &Outcomes, controls: &[ControlResult]) -> Verdict {
    Verdict::of(plan, outcomes, controls, MET, &Completeness::Complete, &[])
}

#[test]
fn everything_held_found_met_and_cleaned_up_is_a_pass() {
    for with_controls in [false, true] {
        let plan = plan(with_controls);
        let verdict = judge(&plan, &all_held(&plan), &found(&plan));

        assert_eq!(verdict.word(), Word::Pass, "{:?}", verdict.reasons());
        assert!(verdict.reasons().is_empty());
        assert!(verdict.parts().prove_the_snapshot());
    }
}

#[test]
fn each_assertion_alone_spoils_the_right_part() {
    let plan = plan(false);
    let endings = [
        (Some(Outcome::broke("table orders", "differs")), Answer::No, Word::Fail),
        (Some(Outcome::not_run(Why::Skipped, "skipped")), Answer::Unknown, Word::Inconclusive),
        (Some(Outcome::not_run(Why::TimedOut, "late")), Answer::Unknown, Word::Inconclusive),
        (Some(Outcome::not_run(Why::Killed, "killed")), Answer::Unknown, Word::Inconclusive),
        (Some(Outcome::not_run(Why::NotApplicable, "none")), Answer::Unknown, Word::Inconclusive),
        (Some(Outcome::of(0, [])), Answer::Unknown, Word::Inconclusive),
        (None, Answer::Unknown, Word::Inconclusive),
    ];
    for spoiled in plan.ids() {
        for (ending, answer, word) in &endings {
            let outcomes =
                outcomes(&plan, |id| if id == spoiled { ending.clone() } else { Some(held()) });

            let verdict = judge(&plan, &outcomes, &[]);

            let Parts { restorable, intact, .. } = verdict.parts();
            let expected = match spoiled {
                Id::Integrity | Id::Restore | Id::Start(_) => (*answer, Answer::Yes),
                _ => (Answer::Yes, *answer),
            };
            assert_eq!((restorable, intact), expected, "{spoiled} {ending:?}");
            assert_eq!(verdict.word(), *word);
            assert_eq!(verdict.reasons().len(), 1);
            assert!(verdict.reasons()[0].why.contains(&spoiled.to_string()));
            assert!(!verdict.parts().prove_the_snapshot());
        }
    }
}

#[test]
fn what_broke_outweighs_what_is_open_and_names_its_place() {
    let plan = plan(false);
    let outcomes = outcomes(&plan, |id| match id {
        Id::SelfCheck(_) => Some(Outcome::not_run(Why::TimedOut, "late")),
        Id::Equality(_) => Some(Outcome::broke("table orders", "has 2 rows instead of 3")),
        _ => Some(held()),
    });

    let verdict = judge(&plan, &outcomes, &[]);

    assert_eq!(verdict.parts().intact, Answer::No);
    let PartReason { part, answer, why } = &verdict.reasons()[0];
    assert_eq!((*part, *answer), (Part::Intact, Answer::No));
    assert_eq!(
        why,
        "equality of orders broke at table orders: has 2 rows instead of 3; and 1 more"
    );
}

#[test]
fn a_control_that_was_missed_or_did_not_run_leaves_intact_open_and_names_the_check() {
    let plan = plan(true);
    for spoiled in 0..plan.controls().len() {
        let endings = [
            Some(ControlOutcome::Missed("equality held".into())),
            Some(ControlOutcome::NotRun(NotRun { why: Why::Skipped, what: "no row".into() })),
            None,
        ];
        for ending in endings {
            let mut controls = found(&plan);
            let control = controls[spoiled].control.clone();
            match &ending {
                Some(outcome) => controls[spoiled].outcome = outcome.clone(),
                None => drop(controls.remove(spoiled)),
            }

            let verdict = judge(&plan, &all_held(&plan), &controls);

            assert_eq!(verdict.parts().intact, Answer::Unknown, "{ending:?}");
            assert_eq!(verdict.word(), Word::Inconclusive);
            let why = &verdict.reasons()[0].why;
            assert!(why.contains(&control.to_string()), "{why}");
            if matches!(ending, Some(ControlOutcome::Missed(_))) {
                assert!(why.starts_with(&control.must_fail.to_string()), "{why}");
            }
        }
    }
}

#[test]
fn a_control_found_twice_does_not_hide_that_it_was_missed_once() {
    let plan = plan(true);
    let mut controls = found(&plan);
    let mut missed = controls[0].clone();
    missed.outcome = ControlOutcome::Missed("held".into());
    controls.push(missed);

    assert_eq!(judge(&plan, &all_held(&plan), &controls).word(), Word::Inconclusive);
}

#[test]
fn the_usual_controls_are_declared_for_each_kind_of_source() {
    let plan = plan(true);
    let declared: Vec<_> = plan.controls().iter().map(|control| control.fault).collect();

    assert_eq!(
        declared,
        [Fault::RowChanged, Fault::RowRemoved, Fault::ByteFlipped, Fault::BlobHidden]
    );
}

#[test]
fn rows_that_no_exact_point_holds_are_done_without_only_where_the_policy_says_so_for_that_reason() {
    let orders: Name = "orders".parse().unwrap();
    let uploads: Name = "uploads".parse().unwrap();
    let waiving = |source: &Name| plan(true).waiving([(source, "our provider forbids it")]);
    let ends = |plan: &Plan, ending: Outcome| {
        let of_orders = Id::Equality(orders.clone());
        let outcomes =
            outcomes(plan, |id| Some(if *id == of_orders { ending.clone() } else { held() }));
        let controls = plan.controls().iter().map(|control| ControlResult {
            control: control.clone(),
            outcome: match control.must_fail == of_orders {
                true => ControlOutcome::NotRun(NotRun { why: Why::Skipped, what: "no".into() }),
                false => ControlOutcome::Found,
            },
        });
        judge(plan, &outcomes, &controls.collect::<Vec<_>>())
    };
    let unheld = || Outcome::not_run(Why::NoExactPoint, "the lock is forbidden");

    let waived = ends(&waiving(&orders), unheld());
    assert_eq!((waived.word(), waived.parts().intact), (Word::Pass, Answer::NotApplicable));
    assert!(waived.reasons()[0].why.contains("the lock is forbidden"), "{:?}", waived.reasons());
    assert!(!waived.parts().prove_the_snapshot(), "retention would take it for proven");

    for plan in [plan(true), waiving(&uploads)] {
        assert_eq!(ends(&plan, unheld()).word(), Word::Inconclusive);
    }
    let plan = waiving(&orders);
    for why in [Why::NotApplicable, Why::NothingToCompare, Why::Skipped, Why::TimedOut] {
        assert_eq!(
            ends(&plan, Outcome::not_run(why, "other")).word(),
            Word::Inconclusive,
            "{why:?}"
        );
    }
    assert_eq!(ends(&plan, Outcome::broke("view seen", "is missing")).word(), Word::Fail);
    // A control that found nothing, or another source's that did not run, still counts.
    let all_unheld = outcomes(&plan, |id| match id {
        Id::Equality(name) if *name == orders => Some(unheld()),
        _ => Some(held()),
    });
    let missed = |control: &Control| ControlResult {
        control: control.clone(),
        outcome: ControlOutcome::Missed("equality held".into()),
    };
    let missed: Vec<_> = plan.controls().iter().map(missed).collect();
    assert_eq!(judge(&plan, &all_unheld, &missed).word(), Word::Inconclusive);
    assert_eq!(judge(&plan, &all_unheld, &[]).word(), Word::Inconclusive);
}

#[test]
fn objectives_are_judged_where_they_are_declared() {
    let sources: Name = "orders".parse().unwrap();
    let cases = [
        (Some(HOUR), Some(HOUR), Answer::Yes),
        (Some(HOUR), Some(HOUR + Duration::from_millis(1)), Answer::No),
        (Some(HOUR), None, Answer::Unknown),
        (None, Some(HOUR), Answer::NotApplicable),
    ];
    for (limit, measured, answer) in cases {
        for picks_latest in [true, false] {
            let plan = Plan::new(
                [(&sources, Kind::Sqlite)],
                [],
                Objectives { rto: limit, rpo: limit, picks_latest },
                false,
            );
            let measured = Measured { recovery: measured, data_age: measured };

            let verdict =
                Verdict::of(&plan, &all_held(&plan), &[], measured, &Completeness::Complete, &[]);

            assert_eq!(verdict.parts().within_rto, answer);
            let rpo = if picks_latest { answer } else { Answer::NotApplicable };
            assert_eq!(verdict.parts().within_rpo, rpo);
            assert!(verdict.parts().prove_the_snapshot());
        }
    }
}

#[test]
fn an_incomplete_snapshot_a_leftover_and_an_empty_plan_cannot_pass() {
    let full = plan(false);
    let incomplete = Completeness::Incomplete { unnamed: vec!["/srv/a".into(), "/srv/b".into()] };
    let verdict = Verdict::of(&full, &all_held(&full), &[], MET, &incomplete, &[]);
    assert_eq!(verdict.word(), Word::Inconclusive);
    assert_eq!(verdict.reasons()[0].why, "the snapshot does not hold /srv/a and 1 more items");
    assert!(!verdict.parts().prove_the_snapshot());

    let left = ["/scratch/x".to_owned()];
    let verdict = Verdict::of(&full, &all_held(&full), &[], MET, &Completeness::Complete, &left);
    assert_eq!((verdict.parts().cleaned_up, verdict.word()), (Answer::Unknown, Word::Inconclusive));

    let empty = Plan::new([], [], Objectives::default(), false);
    assert_eq!(judge(&empty, &all_held(&empty), &[]).word(), Word::Inconclusive);
}

#[test]
fn outcomes_of_a_smaller_plan_do_not_pass_a_larger_one() {
    let large = plan(true);
    let small = Plan::new([], [], Objectives::default(), false);

    let verdict = judge(&large, &all_held(&small), &found(&large));

    assert_eq!(verdict.word(), Word::Inconclusive);
}

fn any_outcome() -> impl Strategy<Value = Option<Outcome>> {
    prop_oneof![
        6 => Just(Some(held())),
        1 => Just(Some(Outcome::broke("table orders", "differs"))),
        1 => Just(Some(Outcome::not_run(Why::TimedOut, "late"))),
        1 => Just(Some(Outcome::of(0, []))),
        1 => Just(None),
    ]
}

fn any_control() -> impl Strategy<Value = Option<ControlOutcome>> {
    prop_oneof![
        4 => Just(Some(ControlOutcome::Found)),
        1 => Just(Some(ControlOutcome::Missed("held".into()))),
        1 => Just(Some(ControlOutcome::NotRun(NotRun { why: Why::Skipped, what: "no".into() }))),
        1 => Just(None),
    ]
}

fn any_time() -> impl Strategy<Value = Option<Duration>> {
    prop_oneof![4 => Just(Some(HOUR)), 1 => Just(Some(7 * HOUR)), 1 => Just(None)]
}

proptest! {
    #[test]
    fn pass_comes_only_where_nothing_is_missing_broken_or_open(
        with_controls: bool,
        endings in prop::collection::vec(any_outcome(), 11),
        controls in prop::collection::vec(any_control(), 4),
        recovery in any_time(),
        data_age in any_time(),
        complete: bool,
        clean: bool,
    ) {
        let plan = plan(with_controls);
        prop_assert_eq!(plan.ids().len(), endings.len());
        let mut got = Outcomes::new(&plan);
        for (id, ending) in plan.ids().zip(&endings) {
            if let Some(outcome) = ending {
                got.record(id.clone(), outcome.clone()).unwrap();
            }
        }
        let results: Vec<_> = plan.controls().iter().zip(&controls)
            .filter_map(|(control, outcome)| {
                let outcome = outcome.clone()?;
                Some(ControlResult { control: control.clone(), outcome })
            })
            .collect();
        let completeness = if complete {
            Completeness::Complete
        } else {
            Completeness::Incomplete { unnamed: vec!["/srv/a".into()] }
        };
        let leftovers: Vec<String> = if clean { vec![] } else { vec!["/scratch".into()] };

        let verdict = Verdict::of(
            &plan, &got, &results, Measured { recovery, data_age }, &completeness, &leftovers,
        );

        let all_found = !with_controls
            || controls.iter().all(|control| *control == Some(ControlOutcome::Found));
        let all_held = endings.iter().all(|ending| matches!(ending, Some(Outcome::Held { .. })));
        let good = all_held && all_found && complete;
        let in_time = recovery == Some(HOUR) && data_age == Some(HOUR);
        prop_assert_eq!(verdict.parts().prove_the_snapshot(), good);
        prop_assert_eq!(verdict.word() == Word::Pass, good && in_time && clean);
        let broke = endings.iter().any(|ending| matches!(ending, Some(Outcome::Broke(_))));
        let late = recovery == Some(7 * HOUR) || data_age == Some(7 * HOUR);
        prop_assert_eq!(verdict.word() == Word::Fail, broke || late);
        prop_assert_eq!(verdict.reasons().is_empty(), verdict.word() == Word::Pass);
    }
}
