//! Drills that never were, for looking at their pages: passed, failed, inconclusive, and long.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{Lang, Proof, SignedCheckpoint, drill};
use crate::ground::digest::Digest;
use crate::ground::ids::{Name, RunId};
use crate::ledger::details::{
    Check, CheckOutcome, Control, Drill, Environment, FORMAT, Finding, Independent, NotCovered,
    Part, PartCompared, Phase, Point, Reason, SourceRecovered, Total,
};
use crate::ledger::record::{Actor, Answer, Body, DrillFinished, Event, Parts, Record, Word};

/// One drill with all that its page is made from.
pub(super) struct Sample {
    pub record: Record,
    pub finished: DrillFinished,
    pub details: Drill,
    pub history: Vec<DrillFinished>,
    pub proof: Proof,
}

impl Sample {
    pub(super) fn page(&self, lang: Lang) -> String {
        drill(&self.record, &self.finished, &self.details, &self.history, &self.proof, lang)
    }
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// UUID version 7 of a given moment.
fn run(time: Timestamp, salt: u8) -> RunId {
    let milliseconds = u64::try_from(time.as_millisecond()).unwrap();
    let random = [salt; 10];
    RunId(uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid())
}

fn check(rung: &str, what: &str, source: Option<&str>, compared: u64, unit: &str) -> Check {
    Check {
        rung: rung.into(),
        name: what.into(),
        source: source.map(name),
        outcome: CheckOutcome::Held,
        compared,
        unit: unit.into(),
        expected: None,
        found: None,
        at_capture: None,
        places: vec![],
        places_total: 0,
        reason: None,
        duration_ms: 40 + compared % 900,
    }
}

fn control(fault: &str, source: &str, injured: &str, expected_check: &str) -> Control {
    Control {
        fault: fault.into(),
        source: Some(name(source)),
        injured: injured.into(),
        expected_check: expected_check.into(),
        found: true,
        said: format!("{injured}: content differs"),
        not_run: false,
    }
}

fn part(name: &str, rows: u64) -> PartCompared {
    let rows = Some(rows);
    PartCompared { name: name.into(), rows_captured: rows, rows_restored: rows, equal: true }
}

fn checks() -> Vec<Check> {
    let mut asked = check("check", "yesterday's orders are there", Some("orders"), 1, "rows");
    asked.expected = Some("> 0".into());
    asked.found = Some("holds".into());
    let pictures = check("check", "每个商品都有图片", Some("orders"), 312, "files");
    vec![
        check("integrity", "integrity", None, 1204, "blobs"),
        check("restore", "restore", None, 331, "entries"),
        check("start", "start of orders", Some("orders"), 1, "queries"),
        check("start", "self-check of orders", Some("orders"), 512, "pages"),
        check("start", "self-check of uploads", Some("uploads"), 312, "files"),
        check("equality", "equality of orders", Some("orders"), 48_210, "rows"),
        check("start", "start of uploads", Some("uploads"), 1, "engines"),
        check("equality", "equality of uploads", Some("uploads"), 318, "entries"),
        asked,
        pictures,
        check("check", "order totals add up", Some("orders"), 4210, "rows"),
        check("check", "no order without a customer", Some("orders"), 4210, "rows"),
        check("objectives", "recovery time within the RTO", None, 1, "values"),
        check("objectives", "data age within the RPO", None, 1, "values"),
    ]
}

fn independent() -> Independent {
    let total =
        |source: &str, object: &str, statement: &str, at_capture, answers: [&str; 2]| Total {
            source: name(source),
            object: object.into(),
            statement: statement.into(),
            at_capture,
            lifeboat: Some(answers[0].into()),
            independent: Some(answers[1].into()),
            equal: answers[0] == answers[1],
        };
    let orders = "SELECT COUNT(*), CAST(SUM(`quantity`) AS CHAR), CAST(SUM(`total`) AS CHAR), \
                  MIN(`created_at`), MAX(`created_at`) FROM `shop`.`orders`";
    let [ours, theirs] = [("4210, 8123", "88123.50"), ("4209, 8119", "88093.55")]
        .map(|(counts, sum)| format!("{counts}, {sum}, 2019-03-01 10:00:12, 2026-11-21 23:59:58"));
    let files = "find './srv/shop/uploads' | wc -l; find './srv/shop/uploads' -type f | wc -l; find \
                 './srv/shop/uploads' -type f -printf '%s\\n' | awk '{b += $1} END {print b}'; find \
                 './srv/shop/uploads' -type f -exec sha256sum {} + | cut -c-64 | sort | sha256sum";
    let sums = format!("318, 312, 88000000, {}", Digest::of(b"uploads"));
    Independent {
        by: "restic 0.14.0".into(),
        complaint: Some("restic restore ended with exit status 1: lchown: invalid argument".into()),
        totals: vec![
            total("orders", "shop: table orders", orders, Some(4210), [&ours, &theirs]),
            total(
                "orders",
                "shop: table customers",
                "SELECT COUNT(*) FROM `shop`.`customers`",
                Some(1830),
                ["1830", "1830"],
            ),
            total("uploads", "/srv/shop/uploads", files, Some(318), [&sums, &sums]),
        ],
    }
}

fn details() -> Drill {
    let started = at("2026-11-22T03:00:04.125Z");
    let taken = at("2026-11-22T00:00:02.5Z");
    let files = "/srv/shop/uploads";
    Drill {
        format: FORMAT,
        lifeboat: "0.1.0".into(),
        run: run(started, 7),
        customer: name("acme"),
        customer_names: BTreeMap::from([
            ("zh".into(), "阿克米制造".into()),
            ("en".into(), "Acme Manufacturing".into()),
        ]),
        timezone: "Asia/Shanghai".into(),
        policy: name("shop"),
        drill: Some(name("weekly")),
        policy_digest: Digest::of(b"policy"),
        slot: Some(at("2026-11-22T03:00:00Z")),
        started,
        finished: at("2026-11-22T03:00:41Z"),
        point: Some(Point {
            snapshot: Digest::of(b"snapshot"),
            time: taken,
            consistent_time: Some(taken),
            pick: "latest".into(),
            candidates: 42,
            complete: true,
            manifest: true,
        }),
        scratch: Environment {
            host: "drill1.msp.example".into(),
            cores: 2,
            memory_bytes: 24 << 30,
            storage: "ext4, no fsync".into(),
            sandbox: "uid 65534, own network namespace, landlock v4, 512 MiB".into(),
            store: "s3://backups/lifeboat".into(),
        },
        verdict: Word::Pass,
        parts: Parts {
            restorable: Answer::Yes,
            intact: Answer::Yes,
            within_rto: Answer::Yes,
            within_rpo: Answer::Yes,
            cleaned_up: Answer::Yes,
        },
        reasons: vec![],
        phases: [
            ("queue", 2100, false),
            ("fetch", 14_320, true),
            ("load", 8_940, true),
            ("start orders", 310, true),
            ("first-query", 1_045, true),
        ]
        .map(|(name, duration_ms, counts)| Phase { name: name.into(), duration_ms, counts })
        .to_vec(),
        recovery_ms: Some(24_615),
        rto_ms: Some(45 * 60_000),
        data_age_ms: Some(10_801_625),
        rpo_ms: Some(6 * 3_600_000),
        sources: vec![
            SourceRecovered {
                source: name("orders"),
                kind: "sqlite".into(),
                engine: "SQLite 3.51.3".into(),
                captured_on: "db1.acme.example".into(),
                served: None,
                waived: None,
                upgraded: None,
                consistent_time: Some(taken),
                entries: 1,
                bytes: 12_900_000,
                parts: vec![
                    part("customers", 1_830),
                    part("order_items", 41_400),
                    part("orders", 4_210),
                    part("products", 770),
                ],
            },
            SourceRecovered {
                source: name("uploads"),
                kind: "files".into(),
                engine: String::new(),
                captured_on: "web1.acme.example".into(),
                served: None,
                waived: None,
                upgraded: None,
                consistent_time: Some(taken),
                entries: 318,
                bytes: 88_000_000,
                parts: vec![part(files, 318)],
            },
        ],
        checks: checks(),
        controls: vec![
            control("row-changed", "orders", "table order_items", "equality of orders"),
            control("row-removed", "orders", "table orders", "equality of orders"),
            control(
                "byte-flipped",
                "uploads",
                "file /srv/shop/uploads/p/17.jpg",
                "equality of uploads",
            ),
            control("blob-hidden", "uploads", "blob 5feceb66", "integrity"),
        ],
        independent: None,
        skipped: vec![],
        not_covered: vec![],
        beside: vec![],
    }
}

fn finished(details: &Drill) -> DrillFinished {
    let held = details.checks.iter().filter(|check| check.outcome == CheckOutcome::Held).count();
    DrillFinished {
        policy: details.policy.clone(),
        drill: details.drill.clone(),
        run: details.run,
        slot: details.slot,
        snapshot: details.point.as_ref().map(|point| point.snapshot),
        verdict: details.verdict,
        parts: details.parts,
        recovery_ms: details.recovery_ms,
        data_age_ms: details.data_age_ms,
        checks_held: held as u64,
        checks_declared: details.checks.len() as u64,
        controls_found: details.controls.iter().filter(|control| control.found).count() as u64,
        controls_run: details.controls.len() as u64,
        policy_digest: details.policy_digest,
        details: Digest::of(&serde_json::to_vec(details).unwrap()),
        signed: None,
        instead_of: None,
        named: false,
        searched_for: None,
        draw: None,
        upgrade: false,
    }
}

fn sample(details: Drill) -> Sample {
    let finished = finished(&details);
    let history = (1..=12)
        .map(|week| {
            let started = details.started - SignedDuration::from_hours(24 * 7 * (13 - week));
            let mut earlier = finished.clone();
            earlier.run = run(started, u8::try_from(week).unwrap());
            (earlier.verdict, earlier.checks_held) = (Word::Pass, earlier.checks_declared);
            earlier.recovery_ms = Some(u64::try_from(20_000 + 350 * week).unwrap());
            if week == 9 {
                (earlier.verdict, earlier.recovery_ms) = (Word::Inconclusive, None);
            }
            earlier
        })
        .chain([finished.clone()])
        .collect();
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHQ2sLY5dD0vYb1m3v0mZqk9Yc1t1m8Jb3mC7o3fYk2x";
    Sample {
        record: Record {
            seq: 1287,
            prev: Digest::of(b"line before"),
            event: Event {
                time: details.finished,
                actor: Actor { name: "daemon".into(), host: "drill1.msp.example".into() },
                body: Body::DrillFinished(finished.clone()),
            },
        },
        proof: Proof {
            customer: "acme".into(),
            checkpoint: Some(SignedCheckpoint {
                name: "ledger/checkpoints/00000000000000001287".into(),
                size: 1287,
            }),
            key_fingerprint: "SHA256:Qb1vJcH7o3dYk2xMZqk9Yc1t1m8Jb3mC7o3fYk2xHQ4".into(),
            allowed_signers: format!("acme namespaces=\"lifeboat-evidence-v1\" {key}"),
            public_key: key.into(),
        },
        finished,
        details,
        history,
    }
}

pub(super) fn passed() -> Sample {
    sample(details())
}

/// A table differs, the RTO is missed, some items were never stored.
pub(super) fn failed() -> Sample {
    let mut details = details();
    details.verdict = Word::Fail;
    details.parts.intact = Answer::No;
    details.parts.within_rto = Answer::No;
    details.rto_ms = Some(20_000);
    details.reasons = vec![
        Reason { part: Part::Intact, why: "table orders differs from the one captured".into() },
        Reason { part: Part::Intact, why: "the check 'order totals add up' broke".into() },
        Reason { part: Part::WithinRto, why: "24.7 s were taken where 20.0 s are allowed".into() },
    ];
    let orders = &mut details.sources[0].parts[2];
    (orders.rows_restored, orders.equal) = (Some(4_209), false);
    let broke = &mut details.checks[5];
    broke.outcome = CheckOutcome::Broke;
    broke.places = vec![Finding {
        object: "table orders".into(),
        what: "4210 rows captured, 4209 restored".into(),
    }];
    broke.places_total = 1;
    let broke = &mut details.checks[10];
    broke.outcome = CheckOutcome::Broke;
    (broke.expected, broke.found) = (Some("= 0".into()), Some("another number".into()));
    details.point.as_mut().unwrap().complete = false;
    let gap = |what: &str, database: Option<&str>, names: &[&str]| NotCovered {
        source: "orders".parse().unwrap(),
        what: what.into(),
        database: database.map(str::to_owned),
        names: names.iter().map(|name| (*name).to_owned()).collect(),
    };
    details.not_covered = vec![
        gap("databases", None, &["analytics", "<b>staging</b>"]),
        gap("unlogged-rows", Some("shop"), &["cache.a", "cache.b", "cache.c", "cache.d"]),
        gap("role-passwords", None, &[]),
    ];
    details.skipped = vec![
        Finding {
            object: "/srv/shop/uploads/<script>alert(1)</script>.jpg".into(),
            what: "permission denied".into(),
        },
        Finding { object: "/srv/shop/uploads/p/2.jpg".into(), what: "changed while read".into() },
    ];
    details.independent = Some(independent());
    details.beside = vec![Finding {
        object: "snapshot 8d3c0a5e".into(),
        what: "its bytes hash to 51c0ffee, not to its name".into(),
    }];
    sample(details)
}

/// The scratch process died: nothing is known; nobody signed yet; no controls; nothing declared.
pub(super) fn inconclusive() -> Sample {
    let mut details = details();
    details.verdict = Word::Inconclusive;
    details.drill = None;
    details.slot = None;
    details.parts = Parts {
        restorable: Answer::Unknown,
        intact: Answer::Unknown,
        within_rto: Answer::NotApplicable,
        within_rpo: Answer::NotApplicable,
        cleaned_up: Answer::Unknown,
    };
    (details.rto_ms, details.rpo_ms, details.recovery_ms) = (None, None, None);
    details.point.as_mut().unwrap().pick = "named".into();
    details.point.as_mut().unwrap().manifest = false;
    let why = |part, why: &str| Reason { part, why: why.into() };
    details.reasons = vec![
        why(Part::Restorable, "the store could not be reached: connection timed out"),
        why(Part::Intact, "nothing was restored that could be compared"),
        why(Part::WithinRto, "no objective is declared"),
        why(Part::WithinRpo, "no objective is declared"),
        why(Part::CleanedUp, "/var/lib/lifeboat/scratch/6a1f could not be removed: busy"),
    ];
    details.phases.truncate(2);
    details.sources.clear();
    details.controls.clear();
    for check in &mut details.checks {
        check.outcome = CheckOutcome::NotRun;
        check.compared = 0;
        check.reason = Some("nothing was restored".into());
    }
    let mut sample = sample(details);
    sample.proof.checkpoint = None;
    sample
}

/// Thirty checks, a hundred places, names as long and as odd as they come.
pub(super) fn long() -> Sample {
    let mut details = failed().details;
    let odd = "уди́вительно-длинное-имя-таблицы-📦-資料表名稱非常長".repeat(4);
    for number in 0..30 {
        let words = format!("check {number}: {odd}");
        let mut check = check("check", &words, Some("orders"), 1_000_000 + number, "rows");
        if number % 3 == 0 {
            check.outcome = CheckOutcome::Broke;
            check.places_total = 1_000_000;
            check.places = (0..100)
                .map(|place| Finding {
                    object: format!("file /srv/shop/uploads/{}/{place}.jpg", "a".repeat(180)),
                    what: "content differs from the one captured".into(),
                })
                .collect();
        }
        details.checks.push(check);
    }
    details.not_covered[1].names = (0..60).map(|table| format!("{odd}.{table}")).collect();
    details.sources[0].parts.extend((0..400).map(|table| part(&format!("{odd}_{table}"), table)));
    sample(details)
}
