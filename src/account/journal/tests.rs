use std::collections::BTreeSet;

use serde_json::json;

use super::slots::Slot;
use super::*;
use crate::ground::clock::SetClock;
use crate::ground::ids::RunId;
use crate::ledger::record::CampaignStarted;
use crate::ledger::testing::{Bucket, Fault, backup_finished, signer};
use crate::seal::MasterKey;

/// A policy with backups, and a drill called weekly, by their crons.
fn policy(backup: Option<&str>, weekly: Option<&str>, jitter: u64) -> Value {
    let schedule = |cron: &str| json!({"cron": cron, "timezone": "UTC", "jitter_ms": jitter});
    let weekly = weekly.map(|cron| json!({"name": "weekly", "schedule": schedule(cron)}));
    let drills: Vec<_> = weekly.into_iter().collect();
    json!({"policy": {"schedule": backup.map(schedule)}, "drills": drills})
}

/// Every hundred [ticks](at).
const HUNDRED: &str = "*/10 * * * *";

struct Bench {
    _folder: tempfile::TempDir,
    state: State,
    bucket: Arc<Bucket>,
    key: MasterKey,
    outbox: Outbox,
    clock: Arc<SetClock>,
}

impl Bench {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let outbox = Outbox::open(folder.path()).unwrap();
        let clock = Arc::new(SetClock::at(at(0)));
        let state = State::open(&folder.path().join("state.db")).await.unwrap();
        let (bucket, key) = (Bucket::new(), MasterKey::generate());
        Self { _folder: folder, state, bucket, key, outbox, clock }
    }

    fn journal(&self) -> Journal {
        self.reaching(Reach::Ledger(self.bucket.ledger(&self.key).into()))
    }

    fn reaching(&self, reach: Reach) -> Journal {
        self.on_host("quay", reach)
    }

    fn on_host(&self, host: &str, reach: Reach) -> Journal {
        let actor = Actor { name: "alice".into(), host: host.into() };
        let (outbox, clock) = (self.outbox.clone(), self.clock.clone());
        Journal::open(name("acme"), reach, outbox, clock, actor, self.state.clone())
    }

    /// Begins a backup of `shop`, at tick `now`, under a policy that is `effective`.
    async fn begin(&self, now: i64, effective: &Value, slot: Option<i64>) -> (Act, Recorded) {
        self.clock.set(at(now));
        let (policy, slot) = (name("shop"), slot.map(at));
        let act = Act { policy, kind: Kind::Backup, run: RunId::draw(), slot };
        let digest = canonical::digest(effective).unwrap();
        let begun = self.journal().begin(&act, effective, digest).await.unwrap();
        (act, begun)
    }

    async fn kinds(&self) -> Vec<String> {
        let records = self.bucket.ledger(&self.key).records().await.unwrap();
        records.iter().map(|record| kind(&record.event.body)).collect()
    }

    async fn missing(&self, upto: i64) -> Vec<Slot> {
        let records = self.bucket.ledger(&self.key).records().await.unwrap();
        slots::missing(&records, &name("shop"), at(upto)).unwrap()
    }
}

/// Ticks of six seconds since the beginning of 2026, so that ten minutes are a hundred.
fn at(tick: i64) -> Timestamp {
    Timestamp::from_second(1_767_225_600 + 6 * tick).unwrap()
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

/// The record's kind, with the tick of its slot.
fn kind(body: &Body) -> String {
    let json = serde_json::to_value(body).unwrap();
    let slot = json["slot"].as_str().map(|slot| slot.parse::<Timestamp>().unwrap());
    let slot = slot.map(|slot| format!(" {}", (slot.as_second() - at(0).as_second()) / 6));
    format!("{}{}", json["kind"].as_str().unwrap(), slot.unwrap_or_default())
}

fn finished(act: &Act) -> (BackupFinished, details::Backup) {
    let finished = BackupFinished {
        policy: act.policy.clone(),
        run: act.run,
        ..backup_finished(Digest::ZERO)
    };
    let details = details::Backup {
        format: details::FORMAT,
        lifeboat: "0".into(),
        run: act.run,
        skipped: Vec::new(),
        sources: json!([]),
    };
    (finished, details)
}

#[tokio::test]
async fn a_run_by_hand_writes_version_start_and_end_and_no_slot() {
    let bench = Bench::new().await;
    let (act, begun) = bench.begin(30, &policy(Some(HUNDRED), None, 0), None).await;
    assert!(begun.held.is_none() && begun.warnings.is_empty(), "{begun:?}");
    let (finished, details) = finished(&act);

    let ended = bench.journal().backup_finished(finished, &details).await.unwrap();

    assert_eq!(bench.kinds().await, ["policy-version", "backup-started", "backup-finished"]);
    let Body::BackupFinished(finished) = &ended.records[0].event.body else { panic!("{ended:?}") };
    let ledger = bench.bucket.ledger(&bench.key);
    assert_eq!(ledger.details::<details::Backup>(&finished.details).await.unwrap(), details);
}

#[tokio::test]
async fn a_retired_policy_owes_what_was_due_before_and_nothing_after_until_it_runs_again() {
    let bench = Bench::new().await;
    let shop = policy(Some(HUNDRED), None, 0);
    bench.begin(0, &shop, None).await;
    bench.clock.set(at(150));

    let (retired, _) = bench.journal().retire(&name("shop")).await.unwrap();
    assert!(retired);
    assert_eq!(bench.missing(900).await, []);
    let (again, _) = bench.journal().retire(&name("shop")).await.unwrap();
    assert!(!again, "there is nothing left to retire");
    bench.begin(950, &shop, None).await;

    let expected = [
        "policy-version",
        "backup-started",
        "backup-due 100",
        "backup-missed 100",
        "policy-retired",
        "backup-aborted",
        "policy-version",
        "backup-started",
    ];
    assert_eq!(bench.kinds().await, expected);
    let missing: Vec<_> = bench.missing(1150).await.iter().map(|slot| slot.time).collect();
    assert_eq!(missing, [at(1000), at(1100)]);
}

#[tokio::test]
async fn slots_that_nobody_ran_are_recorded_before_the_next_run_and_only_once() {
    let bench = Bench::new().await;
    let shop = policy(Some(HUNDRED), Some("*/24 * * * *"), 0);
    bench.begin(0, &shop, None).await;
    bench.begin(310, &shop, Some(300)).await;
    bench.begin(390, &shop, None).await;

    let kinds = bench.kinds().await;

    let settled = ["backup-due 100", "backup-missed 100", "backup-due 200", "backup-missed 200"];
    let drill = ["drill-due 240", "drill-missed 240"];
    let expected: Vec<_> = ["policy-version", "backup-started", "backup-aborted"]
        .into_iter()
        .chain(settled)
        .chain(drill)
        .chain(["backup-due 300", "backup-started 300"])
        .chain(["backup-aborted 300", "backup-started"])
        .collect();
    assert_eq!(kinds, expected);
    assert_eq!(bench.missing(390).await, []);
    let missing = bench.missing(500).await;
    let weekly = Some(name("weekly"));
    let expected = [(400, None), (480, weekly), (500, None)];
    assert_eq!(missing, expected.map(|(tick, drill)| Slot { time: at(tick), drill }));
}

#[tokio::test]
async fn slots_follow_the_version_that_was_in_force() {
    let bench = Bench::new().await;
    bench.begin(0, &policy(Some(HUNDRED), None, 0), None).await;
    bench.begin(150, &policy(Some("*/4 * * * *"), None, 0), None).await;
    bench.begin(250, &policy(Some("*/4 * * * *"), None, 0), None).await;

    let due: Vec<_> = bench.kinds().await;
    let due: Vec<_> = due.iter().filter(|kind| kind.contains("due")).collect();

    assert_eq!(due, ["backup-due 100", "backup-due 160", "backup-due 200", "backup-due 240"]);
}

#[tokio::test]
async fn a_slot_within_its_jitter_is_not_past() {
    let bench = Bench::new().await;
    let shop = policy(Some(HUNDRED), None, 120_000);
    bench.begin(0, &shop, None).await;
    bench.begin(110, &shop, None).await;
    assert_eq!(bench.missing(119).await, []);

    bench.begin(121, &shop, None).await;

    assert!(bench.kinds().await.contains(&"backup-missed 100".to_owned()));
}

#[tokio::test]
async fn a_slot_within_its_jitter_when_its_policy_is_retired_is_not_due() {
    let bench = Bench::new().await;
    bench.begin(0, &policy(Some(HUNDRED), None, 120_000), None).await;
    bench.clock.set(at(110));

    bench.journal().retire(&name("shop")).await.unwrap();

    assert_eq!(bench.missing(900).await, []);
}

#[tokio::test]
async fn slots_that_pass_during_a_run_are_settled_at_its_end() {
    let bench = Bench::new().await;
    let (act, _) = bench.begin(0, &policy(Some(HUNDRED), None, 0), None).await;
    bench.clock.set(at(200));
    let (finished, details) = finished(&act);

    bench.journal().backup_finished(finished, &details).await.unwrap();

    assert_eq!(bench.missing(200).await, []);
    assert_eq!(bench.kinds().await.last().unwrap(), "backup-finished");
}

#[tokio::test]
async fn thousands_of_slots_are_settled_in_batches() {
    let bench = Bench::new().await;
    let shop = policy(Some("*/6 * * * * *"), None, 0);
    bench.begin(0, &shop, None).await;

    let (_, begun) = bench.begin(1600, &shop, None).await;

    assert_eq!(begun.records.len(), 3202);
    assert_eq!(bench.missing(1600).await, []);
    assert_eq!(bench.bucket.names("segments").await.len(), 5);
}

#[tokio::test]
async fn a_run_that_still_lives_or_is_of_another_host_is_not_aborted() {
    let bench = Bench::new().await;
    let (act, _) = bench.begin(0, &policy(None, None, 0), None).await;
    let other = Act { run: RunId::draw(), ..act.clone() };
    let digest = canonical::digest(&policy(None, None, 0)).unwrap();

    let elsewhere = bench.on_host("pier", Reach::Ledger(bench.bucket.ledger(&bench.key).into()));
    let third = Act { run: RunId::draw(), ..act.clone() };
    elsewhere.begin(&third, &policy(None, None, 0), digest).await.unwrap();
    let long = std::time::Duration::from_secs(60);
    let _alive = bench.state.lease("backup acme/shop", act.run, long).await.unwrap().unwrap();
    bench.journal().begin(&other, &policy(None, None, 0), digest).await.unwrap();

    let started = "backup-started";
    assert_eq!(bench.kinds().await, ["policy-version", started, started, started]);
}

#[tokio::test]
async fn what_cannot_reach_the_ledger_waits_and_is_delivered_by_the_next_run() {
    let bench = Bench::new().await;
    let shop = policy(Some(HUNDRED), None, 0);
    bench.begin(0, &shop, None).await;
    bench.bucket.set_down(true);
    let (act, begun) = bench.begin(110, &shop, Some(100)).await;
    assert!(matches!(begun.held, Some(Held::Ledger(_))), "{begun:?}");
    let (done, details) = finished(&act);
    let ended = bench.journal().backup_finished(done, &details).await.unwrap();
    assert!(matches!(ended.held, Some(Held::Earlier(_))), "{ended:?}");
    bench.bucket.set_down(false);

    let (_, begun) = bench.begin(150, &shop, None).await;

    assert!(begun.held.is_none(), "{begun:?}");
    let expected = ["policy-version", "backup-started 100", "backup-finished"];
    let records = bench.bucket.ledger(&bench.key).records().await.unwrap();
    let of_run: Vec<_> = records[2..5].iter().map(|record| kind(&record.event.body)).collect();
    assert_eq!(of_run, expected);
    assert_eq!(records[3].event.time, at(110));
    assert_eq!(bench.missing(150).await, []);
}

#[tokio::test]
async fn a_journal_without_a_key_holds_everything() {
    let bench = Bench::new().await;
    let journal = bench.reaching(Reach::Beyond { why: "wrong password".into() });
    let act = Act { policy: name("shop"), kind: Kind::Drill(None), run: RunId::draw(), slot: None };

    let begun = journal.begin(&act, &policy(None, None, 0), Digest::ZERO).await.unwrap();
    journal.aborted(&act, "no key opens the repository").await.unwrap();

    assert!(begun.held.unwrap().to_string().contains("wrong password"));
    assert_eq!(bench.outbox.waiting(&name("acme")).unwrap(), 2);
    assert!(journal.sign(&signer(), None).await.unwrap().is_none());
    journal.record(Vec::new()).await.unwrap();
    assert_eq!(bench.outbox.waiting(&name("acme")).unwrap(), 2);
    bench.journal().record(Vec::new()).await.unwrap();
    assert_eq!(bench.kinds().await, ["policy-version", "drill-started", "drill-aborted"]);
}

#[tokio::test]
async fn details_are_stored_before_the_line_that_names_them() {
    // Writes of the end of a run: the details, then the segment.
    for (writes, details_there) in [(0, 0), (1, 1)] {
        let bench = Bench::new().await;
        let (act, _) = bench.begin(0, &policy(None, None, 0), None).await;
        let (done, details) = finished(&act);
        bench.bucket.fail_after(writes, Fault::Lost);

        let ended = bench.journal().backup_finished(done, &details).await.unwrap();

        assert!(bench.bucket.fired() && ended.held.is_some(), "{ended:?}");
        assert_eq!(bench.bucket.names("details").await.len(), details_there);
        assert_eq!(bench.kinds().await.len(), 2);
        bench.journal().record(Vec::new()).await.unwrap();
        assert_eq!(bench.kinds().await[2..], ["backup-finished"]);
        assert_eq!(bench.bucket.names("details").await.len(), 1);
    }
}

#[tokio::test]
async fn a_broken_ledger_is_still_written_and_not_signed() {
    let bench = Bench::new().await;
    for tick in 0..3 {
        bench.begin(tick, &policy(None, None, 0), None).await;
    }
    let first = bench.bucket.names("segments").await.remove(1);
    crate::store::Store::delete(&bench.bucket.inner, &first).await.unwrap();

    let (_, begun) = bench.begin(5, &policy(None, None, 0), None).await;

    assert!(begun.held.is_none() && !begun.records.is_empty(), "{begun:?}");
    assert!(bench.journal().sign(&signer(), None).await.is_err());
}

#[tokio::test]
async fn a_policy_version_that_cannot_be_read_is_told_and_ends_no_run() {
    let bench = Bench::new().await;
    bench.begin(0, &json!({"later": 2}), None).await;

    let (_, begun) = bench.begin(5, &policy(Some(HUNDRED), None, 0), None).await;

    assert!(begun.warnings[0].contains("no policy"), "{begun:?}");
    assert_eq!(begun.records.len(), 3);
}

#[tokio::test]
async fn what_is_no_record_is_refused_before_it_can_block_the_outbox() {
    let bench = Bench::new().await;
    let act = Act { policy: name("shop"), kind: Kind::Backup, run: RunId::draw(), slot: None };

    let error = bench.journal().begin(&act, &json!({"rate": 1.5}), Digest::ZERO).await;

    assert!(matches!(error, Err(Error::NotARecord(_))), "{error:?}");
    assert_eq!(bench.outbox.waiting(&name("acme")).unwrap(), 0);
}

/// A daemon that lives and serves `shop` and `other`.
async fn served(bench: &Bench) -> crate::state::Lease {
    let long = std::time::Duration::from_secs(60);
    let lease = bench.state.lease(crate::state::DAEMON, RunId::draw(), long).await.unwrap();
    let lease = lease.unwrap();
    let serves = ["acme/shop".to_owned(), "acme/other".to_owned(), "else/shop".to_owned()];
    lease.post(&crate::state::Board { serves: serves.into(), ..Default::default() }).await.unwrap();
    lease
}

async fn settle(bench: &Bench, now: i64, shop: &Value, spared: &[(Name, Slot)]) -> Settled {
    bench.clock.set(at(now));
    let digest = canonical::digest(shop).unwrap();
    let policy = name("shop");
    let declared = [Declared { policy: &policy, effective: shop, digest }];
    bench.journal().settle(&declared, &spared.iter().cloned().collect()).await.unwrap()
}

fn backup_slot(tick: i64) -> Slot {
    Slot { time: at(tick), drill: None }
}

#[tokio::test]
async fn what_a_living_daemon_serves_is_called_due_by_others_and_never_missed() {
    let bench = Bench::new().await;
    let shop = policy(Some(HUNDRED), Some("*/24 * * * *"), 0);
    bench.begin(0, &shop, None).await;
    let _daemon = served(&bench).await;

    let (act, _) = bench.begin(250, &shop, None).await;
    bench.clock.set(at(310));
    let (finished, details) = finished(&act);
    bench.journal().backup_finished(finished, &details).await.unwrap();

    let kinds = bench.kinds().await;
    assert!(!kinds.iter().any(|kind| kind.contains("missed")), "{kinds:?}");
    assert_eq!(bench.missing(310).await, [], "what was due is on record");
    // The daemon runs its newest slot: the older ones of that series are over, the drill's is not.
    let (_, begun) = bench.begin(311, &shop, Some(300)).await;
    let begun: Vec<_> = begun.records.iter().map(|record| kind(&record.event.body)).collect();
    assert_eq!(begun, ["backup-missed 100", "backup-missed 200", "backup-started 300"]);
}

#[tokio::test]
async fn an_end_covers_the_slots_of_all_that_is_served() {
    let bench = Bench::new().await;
    let _daemon = served(&bench).await;
    let other = policy(Some(HUNDRED), None, 0);
    let (policy_name, digest) = (name("other"), canonical::digest(&other).unwrap());
    let declared = [Declared { policy: &policy_name, effective: &other, digest }];
    bench.journal().settle(&declared, &BTreeSet::new()).await.unwrap();
    let (act, _) = bench.begin(10, &policy(None, None, 0), None).await;
    bench.clock.set(at(150));
    let (finished, details) = finished(&act);

    bench.journal().backup_finished(finished, &details).await.unwrap();

    let records = bench.bucket.ledger(&bench.key).records().await.unwrap();
    assert_eq!(slots::missing(&records, &policy_name, at(150)).unwrap(), []);
}

#[tokio::test]
async fn a_slot_is_answered_once_whoever_asks_again() {
    let bench = Bench::new().await;
    let shop = policy(Some(HUNDRED), None, 0);
    bench.begin(0, &shop, None).await;
    bench.begin(110, &shop, Some(100)).await;
    bench.begin(250, &shop, None).await;
    let before = bench.kinds().await;
    let digest = canonical::digest(&shop).unwrap();
    let again = async |slot| {
        let act = Act {
            policy: name("shop"),
            kind: Kind::Backup,
            run: RunId::draw(),
            slot: Some(at(slot)),
        };
        bench.journal().begin(&act, &shop, digest).await
    };

    let run = again(100).await;
    let missed = again(200).await;

    assert!(matches!(run, Err(Error::Answered { was_run: true, .. })), "{run:?}");
    assert!(matches!(missed, Err(Error::Answered { was_run: false, .. })), "{missed:?}");
    assert_eq!(bench.kinds().await, before);
}

#[tokio::test]
async fn a_slot_begun_while_the_ledger_was_out_of_reach_is_not_begun_again() {
    let bench = Bench::new().await;
    let shop = policy(Some(HUNDRED), None, 0);
    bench.begin(0, &shop, None).await;
    bench.bucket.set_down(true);
    let (act, _) = bench.begin(110, &shop, Some(100)).await;
    let digest = canonical::digest(&shop).unwrap();

    let again = Act { run: RunId::draw(), ..act };
    let again = bench.journal().begin(&again, &shop, digest).await;

    assert!(matches!(again, Err(Error::Answered { was_run: true, .. })), "{again:?}");
}

#[tokio::test]
async fn after_a_downtime_the_newest_slot_of_each_series_is_left_to_be_run() {
    let bench = Bench::new().await;
    let shop = policy(Some(HUNDRED), Some("*/24 * * * *"), 0);
    settle(&bench, 0, &shop, &[]).await;
    bench.begin(210, &shop, Some(200)).await;

    let settled = settle(&bench, 650, &shop, &[]).await;

    let newest = [backup_slot(600), Slot { time: at(600), drill: Some(name("weekly")) }];
    assert_eq!(settled.open[&name("shop")], newest);
    let kinds = bench.kinds().await;
    let missed: Vec<_> = kinds.iter().filter(|kind| kind.contains("missed")).collect();
    let expected = ["backup-missed 100", "drill-missed 240", "backup-missed 300"];
    assert_eq!(missed[..3], expected);
    assert_eq!(missed[3..], ["backup-missed 400", "drill-missed 480", "backup-missed 500"]);
    assert!(kinds.contains(&"backup-aborted 200".to_owned()), "{kinds:?}");
    let _daemon = served(&bench).await;
    // Once it is run there is nothing to catch up with, and nothing is said twice.
    bench.begin(651, &shop, Some(600)).await;
    let settled = settle(&bench, 660, &shop, &[]).await;
    assert_eq!(settled.open[&name("shop")], newest[1..]);
    assert_eq!(bench.missing(660).await, []);
}

#[tokio::test]
async fn a_slot_that_waits_in_the_queue_and_one_within_its_jitter_are_spared() {
    let bench = Bench::new().await;
    let shop = policy(Some(HUNDRED), None, 300_000);
    settle(&bench, 0, &shop, &[]).await;

    let settled = settle(&bench, 410, &shop, &[(name("shop"), backup_slot(300))]).await;

    assert_eq!(settled.open[&name("shop")], [backup_slot(400)]);
    let kinds = bench.kinds().await;
    let of_slots: Vec<_> = kinds.iter().filter(|kind| kind.starts_with("backup")).collect();
    let expected = [
        "backup-due 100",
        "backup-missed 100",
        "backup-due 200",
        "backup-missed 200",
        "backup-due 300",
    ];
    assert_eq!(of_slots, expected);
}

#[tokio::test]
async fn what_a_clock_that_was_ahead_called_due_is_not_missed_before_its_time() {
    let bench = Bench::new().await;
    let shop = policy(Some(HUNDRED), None, 0);
    settle(&bench, 0, &shop, &[]).await;
    let daemon = served(&bench).await;
    bench.begin(750, &shop, None).await;
    daemon.take_down().await.unwrap();

    settle(&bench, 250, &shop, &[]).await;
    bench.begin(310, &shop, Some(300)).await;

    let kinds = bench.kinds().await;
    let missed: Vec<_> = kinds.iter().filter(|kind| kind.contains("missed")).collect();
    assert_eq!(missed, ["backup-missed 100", "backup-missed 200"]);
}

#[tokio::test]
async fn a_new_version_is_in_force_at_once_and_a_series_that_is_gone_is_missed() {
    let bench = Bench::new().await;
    settle(&bench, 0, &policy(Some(HUNDRED), Some("*/24 * * * *"), 0), &[]).await;

    let settled = settle(&bench, 250, &policy(Some("*/4 * * * *"), None, 0), &[]).await;

    assert_eq!(settled.open[&name("shop")], [backup_slot(200)]);
    assert!(bench.kinds().await.contains(&"drill-missed 240".to_owned()));
    assert_eq!(bench.missing(285).await, [backup_slot(280)]);
}

#[tokio::test]
async fn the_ledger_gets_a_heartbeat_a_day() {
    let bench = Bench::new().await;
    let shop = policy(None, None, 0);
    let mut beats = Vec::new();
    for hour in [0, 1, 23, 24, 47, 48, 49] {
        let settled = settle(&bench, hour * 600, &shop, &[]).await;
        assert!(settled.next_heartbeat > at(hour * 600));
        beats.push(settled.heartbeat);
    }

    assert_eq!(beats, [true, false, false, true, false, true, false]);
    let kinds = bench.kinds().await;
    assert_eq!(kinds.iter().filter(|kind| *kind == "heartbeat").count(), 3);
}

#[tokio::test]
async fn nothing_is_settled_by_a_ledger_that_cannot_be_read() {
    let bench = Bench::new().await;
    bench.bucket.set_down(true);
    let shop = policy(Some(HUNDRED), None, 0);
    let digest = canonical::digest(&shop).unwrap();
    let policy = name("shop");
    let declared = [Declared { policy: &policy, effective: &shop, digest }];

    let settled = bench.journal().settle(&declared, &BTreeSet::new()).await;

    assert!(matches!(settled, Err(Error::Unread(_))), "{settled:?}");
    assert_eq!(bench.outbox.waiting(&name("acme")).unwrap(), 0);
}

#[tokio::test]
async fn of_many_that_settle_at_once_each_slot_is_told_of_once() {
    let bench = Bench::new().await;
    let shop = policy(Some(HUNDRED), None, 0);
    bench.begin(0, &shop, None).await;
    bench.clock.set(at(750));
    let digest = canonical::digest(&shop).unwrap();
    let run = |_| {
        let act = Act { policy: name("shop"), kind: Kind::Backup, run: RunId::draw(), slot: None };
        let (journal, shop) = (bench.journal(), shop.clone());
        tokio::spawn(async move { journal.begin(&act, &shop, digest).await.unwrap() })
    };
    for begun in (0..8).map(run).collect::<Vec<_>>() {
        begun.await.unwrap();
    }

    let kinds = bench.kinds().await;

    for tick in [100, 200, 300, 400, 500, 600, 700] {
        let missed = format!("backup-missed {tick}");
        assert_eq!(kinds.iter().filter(|kind| **kind == missed).count(), 1, "{missed}");
    }
}

#[tokio::test]
async fn another_host_that_answers_this_ones_slots_is_told_of_and_one_that_took_over_is_not() {
    let bench = Bench::new().await;
    let effective = policy(Some(HUNDRED), None, 0);
    let digest = canonical::digest(&effective).unwrap();
    let begin = async |host: &str, slot: i64| {
        bench.clock.set(at(slot + 1));
        let (policy, slot) = (name("shop"), Some(at(slot)));
        let act = Act { policy, kind: Kind::Backup, run: RunId::draw(), slot };
        let journal = bench.on_host(host, Reach::Ledger(bench.bucket.ledger(&bench.key).into()));
        let recorded = journal.begin(&act, &effective, digest).await.unwrap();
        recorded.warnings.iter().any(|warning| warning.starts_with("another host"))
    };

    assert!(!begin("old", 100).await, "it is the first");
    assert!(!begin("quay", 200).await, "it took over");
    assert!(!begin("quay", 300).await);
    assert!(begin("old", 400).await, "both serve");
    assert!(begin("quay", 500).await);
    let records = bench.bucket.ledger(&bench.key).records().await.unwrap();
    let rival = Rival::of(&records, &name("shop"), "quay", at(600)).unwrap();
    assert_eq!(rival.host, "old");
    let week_later = at(600 + 7 * 24 * 600);
    assert_eq!(Rival::of(&records, &name("shop"), "quay", week_later), None);
    assert_eq!(Rival::of(&records, &name("other"), "quay", at(600)), None);
}

/// A campaign of the drill `weekly`, and what it writes.
fn sampling(slot: Option<i64>) -> (Act, CampaignStarted, details::Population) {
    let (run, slot) = (RunId::draw(), slot.map(at));
    let act = Act { policy: name("shop"), kind: Kind::Campaign(name("weekly")), run, slot };
    let started = CampaignStarted {
        policy: name("shop"),
        drill: name("weekly"),
        run,
        slot,
        policy_digest: Digest::ZERO,
        population: 0,
        population_digest: Digest::ZERO,
        wanted: 3,
        seed: "seed".into(),
        seed_from: None,
        drawn: Vec::new(),
        details: Digest::ZERO,
    };
    let lifeboat = "0".to_owned();
    let population = details::Population { format: 1, lifeboat, run, snapshots: Vec::new() };
    (act, started, population)
}

#[tokio::test]
async fn a_campaign_answers_its_slot_once_and_is_aborted_when_its_process_dies() {
    let bench = Bench::new().await;
    let shop = policy(None, Some(HUNDRED), 0);
    bench.begin(10, &shop, None).await;
    bench.clock.set(at(101));
    let journal = bench.journal();
    let begin = async |slot| {
        let (act, started, population) = sampling(slot);
        let begun = journal.begin_campaign(&act, &shop, Digest::ZERO, |_| (started, population));
        begun.await.map(|(started, _)| started)
    };

    let started = begin(Some(100)).await.unwrap();

    let ledger = bench.bucket.ledger(&bench.key);
    let stored: details::Population = ledger.details(&started.details).await.unwrap();
    assert_eq!(stored.run, started.run);
    let twice = begin(Some(100)).await.unwrap_err();
    assert!(matches!(twice, Error::Answered { was_run: true, .. }), "{twice:?}");
    begin(None).await.unwrap();
    let kinds = bench.kinds().await;
    // The backup at 10 died, too; no living process holds a lease for any of them.
    let expected = [
        "policy-version",
        "backup-started",
        "backup-aborted",
        "drill-due 100",
        "policy-version",
        "campaign-started 100",
        "campaign-aborted 100",
        "campaign-started",
    ];
    assert_eq!(kinds, expected);
    assert_eq!(bench.missing(150).await, []);
}

#[tokio::test]
async fn a_campaign_that_cannot_be_on_the_ledger_first_is_none_and_nothing_waits() {
    let bench = Bench::new().await;
    bench.bucket.set_down(true);
    let (act, started, population) = sampling(None);
    let shop = policy(None, None, 0);

    let journal = bench.journal();
    let begun = journal.begin_campaign(&act, &shop, Digest::ZERO, |_| (started, population));

    let error = begun.await.unwrap_err();
    assert!(matches!(error, Error::NotOnLedger(_)), "{error:?}");
    assert_eq!(bench.outbox.waiting(&name("acme")).unwrap(), 0);
}
