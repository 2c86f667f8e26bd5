//! The plan's promises, by example and on random histories; `tests/retention.rs` holds the rules
//! against restic's.

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::plan::{History, Plan, Refusal, Stays, plan};
use crate::account;
use crate::ground::digest::Digest;
use crate::ground::ids::{Name, RunId};
use crate::ledger::record::{
    Actor, Answer, BackupFinished, Body, CampaignStarted, DrillFinished, Event, Parts, Record, Word,
};
use crate::policy::Retention;
use crate::policy::leaf::Zone;
use crate::repo::{BlobId, Snapshot, SnapshotId};

const NOW: i64 = 1_800_000_000;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn shop() -> Name {
    "shop".parse().unwrap()
}

fn rules(last: u32, daily: u32) -> Retention {
    Retention { last, daily, ..Retention::of_all() }
}

fn id(number: u64) -> SnapshotId {
    SnapshotId(Digest::of(&number.to_le_bytes()))
}

fn snapshot(second: i64, tags: &[&str]) -> Snapshot {
    Snapshot {
        time: at(second),
        parent: None,
        original: None,
        tree: BlobId(Digest::ZERO),
        paths: Vec::new(),
        hostname: "acme".into(),
        username: String::new(),
        uid: 0,
        gid: 0,
        tags: tags.iter().map(|tag| (*tag).to_owned()).collect(),
        program_version: String::new(),
        others: Default::default(),
        summary: None,
    }
}

const OURS: [&str; 2] = ["lifeboat", "policy:shop"];
const HALF: [&str; 3] = ["lifeboat", "policy:shop", "incomplete"];

/// Snapshots so many hours old, numbered in their order.
fn hours_old(ages: &[(i64, &[&str])]) -> Vec<(SnapshotId, Snapshot)> {
    (0..).zip(ages).map(|(n, (age, tags))| (id(n), snapshot(NOW - age * 3600, tags))).collect()
}

/// The ledger's records of those that carry the policy's tag, in the order of their times.
fn recorded(snapshots: &[(SnapshotId, Snapshot)]) -> Vec<Record> {
    let ours = |(_, snapshot): &&(SnapshotId, Snapshot)| snapshot.tags.contains(&OURS[1].into());
    let mut ours: Vec<_> = snapshots.iter().filter(ours).collect();
    ours.sort_by_key(|(id, snapshot)| (snapshot.time, *id));
    ours.into_iter().map(|(id, _)| published(1, *id)).collect()
}

/// The plan for snapshots that are on the ledger; `more` stands there besides.
fn try_planned(
    kept: &Retention,
    snapshots: &[(SnapshotId, Snapshot)],
    more: &[Record],
) -> Result<Plan, Refusal> {
    let records = [&recorded(snapshots), more].concat();
    plan(&shop(), kept, History { snapshots, unreadable: &[], records: &records }, at(NOW))
}

fn planned(kept: &Retention, snapshots: Vec<(SnapshotId, Snapshot)>, more: &[Record]) -> Plan {
    try_planned(kept, &snapshots, more).unwrap()
}

fn drill(seq: u64, snapshot: SnapshotId, restorable: Answer, intact: Answer) -> Record {
    let finished = DrillFinished {
        policy: shop(),
        drill: None,
        run: RunId::draw(),
        slot: None,
        snapshot: Some(snapshot.0),
        verdict: Word::Inconclusive,
        parts: Parts {
            restorable,
            intact,
            within_rto: Answer::No,
            within_rpo: Answer::NotApplicable,
            cleaned_up: Answer::Unknown,
        },
        recovery_ms: None,
        data_age_ms: None,
        checks_held: 0,
        checks_declared: 0,
        controls_found: 0,
        controls_run: 0,
        policy_digest: Digest::ZERO,
        details: Digest::ZERO,
        signed: None,
        instead_of: None,
        named: false,
        searched_for: None,
        draw: None,
        upgrade: false,
    };
    record(seq, Body::DrillFinished(finished))
}

fn record(seq: u64, body: Body) -> Record {
    let actor = Actor { name: "x".into(), host: "x".into() };
    Record { seq, prev: Digest::ZERO, event: Event { time: at(NOW), actor, body } }
}

fn forget_started(seq: u64, snapshots: &[SnapshotId]) -> Record {
    let (run, snapshots) = (RunId::draw(), snapshots.iter().map(|id| id.0).collect());
    record(seq, Body::ForgetStarted { policy: shop(), run, snapshots, why: "last 1".into() })
}

fn forget_finished(seq: u64, snapshots: &[SnapshotId]) -> Record {
    let (run, snapshots) = (RunId::draw(), snapshots.iter().map(|id| id.0).collect());
    record(seq, Body::ForgetFinished { policy: shop(), run, snapshots, left: 1 })
}

fn published(seq: u64, snapshot: SnapshotId) -> Record {
    record(
        seq,
        Body::BackupFinished(BackupFinished {
            policy: shop(),
            run: RunId::draw(),
            slot: None,
            snapshot: snapshot.0,
            consistent_time: at(NOW),
            complete: true,
            entries: 1,
            bytes: 1,
            added_bytes: 1,
            stored_bytes: 1,
            skipped: 0,
            duration_ms: 1,
            details: Digest::ZERO,
        }),
    )
}

#[test]
fn the_last_backup_on_the_ledger_stays_though_a_slow_clock_made_it_look_old() {
    let history = hours_old(&[(1, &OURS), (2, &OURS), (9000, &OURS)]);

    let plan = planned(&rules(1, 0), history, &[published(5, id(0)), published(6, id(2))]);

    assert_eq!(plan.removed(), [id(1)], "{plan:#?}");
}

#[test]
fn what_was_to_go_and_stayed_is_missed_when_it_goes_later() {
    let died = [forget_started(1, &[id(0), id(1)])];
    assert_eq!(account::announced(&died).len(), 2, "nobody knows which of them are gone");

    let ended = [&died[..], &[forget_finished(2, &[id(1)])]].concat();
    assert_eq!(account::announced(&ended), [id(1)].into());
    assert!(account::unfinished(&ended).is_empty());
}

#[test]
fn an_incomplete_snapshot_takes_no_place_from_a_complete_one() {
    let history = hours_old(&[(1, &HALF), (25, &OURS), (26, &HALF), (49, &OURS), (73, &OURS)]);

    let plan = planned(&rules(2, 0), history, &[]);

    assert_eq!(plan.removed(), [id(4)], "{plan:#?}");
    assert_eq!(plan.decisions[0].stays.last(), Some(&Stays::Newest));
}

#[test]
fn an_incomplete_snapshot_stands_for_a_day_only_where_no_complete_one_does() {
    let day_of_both: [(i64, &[&str]); 2] = [(30, &HALF), (31, &OURS)];
    let rest: [(i64, &[&str]); 3] = [(2, &OURS), (54, &HALF), (78, &OURS)];
    let history = hours_old(&[&day_of_both[..], &rest[..]].concat());

    let plan = planned(&rules(0, 3), history, &[]);

    assert_eq!(plan.removed(), [id(0)], "{plan:#?}");
}

#[test]
fn the_newest_that_a_drill_proved_stays_until_one_finds_it_broken() {
    let history = || hours_old(&[(1, &OURS), (2, &OURS), (3, &OURS), (4, &OURS)]);
    let (yes, no, unknown) = (Answer::Yes, Answer::No, Answer::Unknown);
    let proven = [drill(7, id(3), yes, yes), drill(8, id(2), yes, yes)];

    assert_eq!(planned(&rules(1, 0), history(), &proven).removed(), [id(3), id(1)]);

    let doubted = [&proven[..], &[drill(9, id(2), unknown, unknown)]].concat();
    assert_eq!(planned(&rules(1, 0), history(), &doubted).removed(), [id(3), id(1)]);

    let upgrade = |seq, intact| {
        let mut record = drill(seq, id(2), yes, intact);
        let Body::DrillFinished(finished) = &mut record.event.body else { panic!() };
        finished.upgrade = true;
        record
    };
    // What a newer version makes of it says nothing of it on its own, neither way.
    let rehearsed = [drill(7, id(3), yes, yes), upgrade(8, yes)];
    assert_eq!(planned(&rules(1, 0), history(), &rehearsed).removed(), [id(2), id(1)]);
    let failed = [&proven[..], &[upgrade(9, no)]].concat();
    assert_eq!(planned(&rules(1, 0), history(), &failed).removed(), [id(3), id(1)]);
    let broken = [&proven[..], &[drill(9, id(2), yes, no)]].concat();
    assert_eq!(planned(&rules(1, 0), history(), &broken).removed(), [id(2), id(1)]);

    let mut of_other = drill(9, id(1), yes, yes);
    if let Body::DrillFinished(drill) = &mut of_other.event.body {
        drill.policy = "other".parse().unwrap();
    }
    assert_eq!(planned(&rules(1, 0), history(), &[of_other]).removed(), [id(3), id(2), id(1)]);
}

#[test]
fn what_a_campaign_drew_stays_until_the_campaign_is_over() {
    let history = || hours_old(&[(1, &OURS), (2, &OURS), (3, &OURS), (4, &OURS)]);
    let campaign = |seq, run, drawn: SnapshotId| {
        let started = CampaignStarted {
            policy: shop(),
            drill: "monthly".parse().unwrap(),
            run,
            slot: None,
            policy_digest: Digest::ZERO,
            population: 4,
            population_digest: Digest::ZERO,
            wanted: 1,
            seed: "seed".into(),
            seed_from: None,
            drawn: vec![drawn.0],
            details: Digest::ZERO,
        };
        record(seq, Body::CampaignStarted(started))
    };
    let [first, second] = [RunId::draw(), RunId::draw()];
    let open = [campaign(7, first, id(2))];

    let plan = planned(&rules(1, 0), history(), &open);
    assert_eq!(plan.removed(), [id(3), id(1)]);
    assert_eq!(plan.decisions[2].stays, [Stays::Drawn { seq: 7 }]);

    let drill = "monthly".parse().unwrap();
    let reason = "interrupted".to_owned();
    let aborted = Body::CampaignAborted { policy: shop(), drill, run: first, slot: None, reason };
    let over = [&open[..], &[record(8, aborted)]].concat();
    assert_eq!(planned(&rules(1, 0), history(), &over).removed(), [id(3), id(2), id(1)]);

    let superseded = [&open[..], &[campaign(8, second, id(3))]].concat();
    assert_eq!(planned(&rules(1, 0), history(), &superseded).removed(), [id(2), id(1)]);
}

fn verified(seq: u64, read_data: bool, damaged: &[SnapshotId]) -> Record {
    let (run, damaged) = (RunId::draw(), damaged.iter().map(|id| id.0).collect());
    record(seq, Body::Verify { policy: shop(), run, read_data, errors: 1, damaged, part: None })
}

#[test]
fn a_damaged_snapshot_pushes_no_whole_one_out() {
    // Two of a day, for three days.
    let history = || hours_old(&[0, 1, 24, 25, 48, 49].map(|age| (age, &OURS[..])));
    let removed = |more: &[Record]| planned(&rules(0, 2), history(), more).removed();
    assert_eq!(removed(&[]), [5, 4, 3, 1].map(id));

    let plan = planned(&rules(0, 2), history(), &[verified(9, true, &[id(0), id(2)])]);

    assert_eq!(plan.removed(), [5, 4].map(id));
    assert_eq!(plan.decisions[0].reason(), "daily; DAMAGED, says record 9");
    assert_eq!(plan.decisions[1].reason(), "daily, in the place of a damaged one");
    let (yes, no) = (Answer::Yes, Answer::No);
    assert_eq!(removed(&[drill(9, id(0), no, no)]), [5, 4, 3].map(id));
    // Mended: a drill proves it, or a verification that reads all of it finds it whole.
    let damaged = verified(8, true, &[id(0)]);
    assert_eq!(removed(&[damaged.clone(), drill(9, id(0), yes, yes)]), [5, 4, 3, 1].map(id));
    assert_eq!(removed(&[damaged.clone(), verified(9, true, &[])]), [5, 4, 3, 1].map(id));
    assert_eq!(removed(&[damaged, verified(9, false, &[])]), [5, 4, 3].map(id));
}

#[test]
fn what_others_made_is_left_alone_and_counts_for_nothing() {
    let history = hours_old(&[
        (1, &OURS),
        (2, &["lifeboat", "policy:other"]),
        (3, &[]),
        (4, &["policy:shop"]),
        (5, &OURS),
    ]);

    let plan = planned(&rules(1, 0), history, &[]);

    assert_eq!((plan.removed(), plan.others), (vec![id(4)], 3));
}

#[test]
fn what_the_ledger_does_not_name_is_left_alone_and_takes_no_place() {
    let history = hours_old(&[(1, &OURS), (2, &OURS), (3, &OURS)]);
    let records = [published(1, id(2)), published(2, id(1))];

    let look = History { snapshots: &history, unreadable: &[], records: &records };
    let plan = plan(&shop(), &rules(1, 0), look, at(NOW)).unwrap();

    assert_eq!((plan.removed(), plan.others), (vec![id(2)], 1), "{plan:#?}");
}

#[test]
fn a_pin_may_mean_a_snapshot_that_cannot_be_read() {
    let history = hours_old(&[(1, &OURS), (2, &OURS)]);
    let records = recorded(&history);
    let kept = Retention { pins: vec![id(9).0.short()], ..rules(1, 0) };

    let look = History { snapshots: &history, unreadable: &[id(9)], records: &records };

    assert_eq!(plan(&shop(), &kept, look, at(NOW)).unwrap().removed(), [id(1)]);
}

#[test]
fn a_time_that_is_still_to_come_stops_the_plan_and_is_named() {
    let history = hours_old(&[(1, &OURS), (-1, &OURS)]);

    let error = try_planned(&rules(1, 0), &history, &[]).unwrap_err();

    assert!(matches!(error, Refusal::Future { snapshot, .. } if snapshot == id(1)), "{error}");
    let foreign = hours_old(&[(1, &OURS), (2, &OURS), (-1, &["policy:other"])]);
    assert_eq!(planned(&rules(1, 0), foreign, &[]).removed(), [id(1)]);
}

#[test]
fn a_pin_holds_its_snapshot_and_one_that_fits_none_stops_the_plan() {
    let history = || hours_old(&[(1, &OURS), (2, &OURS), (3, &["lifeboat", "policy:other"])]);
    let pinned = |pin: SnapshotId| Retention { pins: vec![pin.0.short()], ..rules(1, 0) };

    assert_eq!(planned(&pinned(id(1)), history(), &[]).removed(), []);
    for pin in [id(2), id(9)] {
        let error = try_planned(&pinned(pin), &history(), &[]).unwrap_err();
        assert!(matches!(error, Refusal::PinMissing { .. }), "{error}");
    }
}

#[test]
fn one_run_removes_ten_or_half_and_not_more() {
    let removes = |count: usize, last: u32| {
        let history: Vec<_> = (0..count as i64).map(|age| (age, &OURS[..])).collect();
        planned(&rules(last, 0), hours_old(&history), &[]).check_cap().is_ok()
    };
    assert!(removes(11, 1));
    assert!(!removes(12, 1));
    assert!(removes(40, 20));
    assert!(!removes(40, 19));
}

#[test]
fn an_hour_that_comes_twice_is_one_hour() {
    // 25 October 2026, Berlin: 02:30 comes at 00:30 and at 01:30 UTC.
    let twice = ["2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:30:00Z"];
    let zone: Zone = "Europe/Berlin".parse().unwrap();
    let kept = Retention { hourly: 2, zone, ..rules(0, 0) };
    let history: Vec<_> = (0..)
        .zip(twice)
        .map(|(n, time)| (id(n), snapshot(time.parse::<Timestamp>().unwrap().as_second(), &OURS)))
        .collect();

    assert_eq!(planned(&kept, history, &[]).removed(), [id(0)]);
}

#[test]
fn an_incomplete_one_stays_while_every_complete_one_that_is_newer_is_damaged() {
    let history = vec![
        (id(0), snapshot(NOW, &OURS)),
        (id(1), snapshot(NOW - 60, &HALF)),
        (id(2), snapshot(NOW - 120, &OURS)),
    ];
    let kept = rules(0, 1);
    assert_eq!(planned(&kept, history.clone(), &[]).removed(), [id(2), id(1)]);

    let damaged = verified(9, true, &[id(0)]);
    assert_eq!(planned(&kept, history, &[damaged]).removed(), []);
}

prop_compose! {
    fn history()(
        ages in prop::collection::vec((0_i64..4_000_000, prop::bool::weighted(0.2)), 1..40),
    ) -> Vec<(SnapshotId, Snapshot)> {
        (0..).zip(ages).map(|(n, (age, is_half))| {
            (id(n), snapshot(NOW - age, if is_half { &HALF } else { &OURS }))
        }).collect()
    }
}

prop_compose! {
    fn retention()(
        (last, hourly, daily, weekly) in (0_u32..4, 0_u32..5, 0_u32..5, 0_u32..3),
        (monthly, yearly) in (0_u32..3, 1_u32..3),
        days in prop::option::of(1_u16..20),
    ) -> Retention {
        let span = |days| crate::policy::span::CalendarSpan { days, ..Default::default() };
        Retention {
            hourly, weekly, monthly, yearly, within_daily: days.map(span), ..rules(last, daily)
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_newest_complete_one_stays_whatever_else_there_is(
        history in history(), kept in retention(),
    ) {
        let plan = planned(&kept, history, &[]);

        prop_assert!(!plan.decisions[0].goes() || !plan.decisions[0].is_complete);
        prop_assert!(plan.left() > 0);
        let newest = plan.decisions.iter().find(|one| one.is_complete);
        prop_assert!(newest.is_none_or(|one| !one.goes()));
    }

    #[test]
    fn of_the_complete_ones_the_same_stay_without_the_incomplete(
        history in history(), kept in retention(),
    ) {
        let removed = |snapshots: Vec<_>| planned(&kept, snapshots, &[]).removed();
        let is_whole = |id: &SnapshotId| {
            history.iter().any(|(one, snapshot)| one == id && snapshot.tags == OURS)
        };
        let mut with: Vec<_> = removed(history.clone());
        with.retain(|id| is_whole(id));
        let whole = history.iter().filter(|(id, _)| is_whole(id)).cloned().collect();

        prop_assert_eq!(with, removed(whole));
    }

    #[test]
    fn a_second_run_right_after_removes_nothing(history in history(), kept in retention()) {
        let going = planned(&kept, history.clone(), &[]).removed();
        let rest = history.into_iter().filter(|(id, _)| !going.contains(id)).collect();

        prop_assert_eq!(planned(&kept, rest, &[]).removed(), []);
    }

    #[test]
    fn without_one_that_cannot_be_read_no_other_goes_that_would_stay(
        history in history(), kept in retention(), nth in any::<prop::sample::Index>(),
    ) {
        let lost = history[nth.index(history.len())].0;
        let rest: Vec<_> = history.iter().filter(|(id, _)| *id != lost).cloned().collect();
        let removed = planned(&kept, history, &[]).removed();

        prop_assert!(planned(&kept, rest, &[]).removed().iter().all(|id| removed.contains(id)));
    }

    #[test]
    fn more_of_a_rule_never_removes_more(history in history(), kept in retention()) {
        let more = Retention { daily: kept.daily + 1, ..kept.clone() };
        let (fewer, more) = (planned(&kept, history.clone(), &[]), planned(&more, history, &[]));

        prop_assert!(more.removed().iter().all(|id| fewer.removed().contains(id)));
    }

    #[test]
    fn whatever_is_damaged_none_goes_that_would_stay_and_of_the_whole_ones_those_that_would_alone(
        history in history(), kept in retention(), nth in prop::collection::vec(any::<prop::sample::Index>(), 1..9),
    ) {
        let damaged: Vec<_> = nth.iter().map(|nth| history[nth.index(history.len())].0).collect();
        let whole: Vec<_> =
            history.iter().filter(|(id, _)| !damaged.contains(id)).cloned().collect();

        let going = planned(&kept, history.clone(), &[verified(9, true, &damaged)]).removed();

        let before = planned(&kept, history, &[]).removed();
        prop_assert!(going.iter().all(|id| before.contains(id)));
        let alone = planned(&kept, whole, &[]).removed();
        prop_assert!(going.iter().all(|id| damaged.contains(id) || alone.contains(id)));
    }

    #[test]
    fn what_a_drill_proved_last_and_what_is_pinned_never_goes(
        history in history(), kept in retention(), nth in any::<prop::sample::Index>(),
    ) {
        let chosen = history[nth.index(history.len())].0;
        let proven = drill(1, chosen, Answer::Yes, Answer::Yes);
        let pinned = Retention { pins: vec![chosen.0.short()], ..kept.clone() };

        prop_assert!(!planned(&kept, history.clone(), &[proven]).removed().contains(&chosen));
        prop_assert!(!planned(&pinned, history, &[]).removed().contains(&chosen));
    }
}

#[test]
fn hosts_whose_clocks_differ_a_little_are_no_reason_to_stop() {
    let history = vec![(id(0), snapshot(NOW + 60, &OURS)), (id(1), snapshot(NOW, &OURS))];
    let plan = planned(&rules(1, 0), history, &[]);
    assert_eq!(plan.removed(), [id(1)]);
    let hour = SignedDuration::from_hours(1);
    assert!(plan.decisions[0].time < at(NOW) + hour);
}
