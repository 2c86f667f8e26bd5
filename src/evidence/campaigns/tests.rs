//! An honest campaign, and every lie about it.

use serde_json::json;

use super::*;
use crate::check::campaign::{CONFIDENCE_PERCENT, Population as Points, Tally};
use crate::ledger::Remembered;
use crate::ledger::record::{Actor, Answer, BackupFinished, Draw, DrillFinished, Event, Parts};
use crate::ledger::testing::backup_finished;

/// A ledger, changed before it is looked at.
struct Told {
    bodies: Vec<Body>,
    populations: Populations,
}

fn name(text: &str) -> Name {
    text.parse().unwrap()
}

fn point(nth: u8) -> Digest {
    Digest([nth; 32])
}

fn run(nth: u128) -> RunId {
    RunId(uuid::Uuid::from_u128(nth))
}

/// The campaign's run.
const CAMPAIGN: u128 = 900;

fn backup(nth: u8) -> Body {
    let (policy, snapshot) = (name("shop"), point(nth));
    Body::BackupFinished(BackupFinished { policy, snapshot, ..backup_finished(Digest::ZERO) })
}

fn drilled(nth: u128, draw: Option<Draw>, snapshot: Digest, verdict: Word) -> [Body; 2] {
    let (policy, drill) = (name("shop"), Some(name("monthly")));
    let good = if verdict == Word::Pass { Answer::Yes } else { Answer::No };
    let parts = Parts {
        restorable: good,
        intact: good,
        within_rto: Answer::NotApplicable,
        within_rpo: Answer::NotApplicable,
        cleaned_up: Answer::Yes,
    };
    let finished = DrillFinished {
        policy: policy.clone(),
        drill: drill.clone(),
        run: run(nth),
        slot: None,
        snapshot: Some(snapshot),
        verdict,
        parts,
        recovery_ms: None,
        data_age_ms: None,
        checks_held: 1,
        checks_declared: 1,
        controls_found: 0,
        controls_run: 0,
        policy_digest: Digest::ZERO,
        details: Digest::ZERO,
        signed: Some(Remembered { size: 12, root: Digest::ZERO }),
        instead_of: None,
        named: false,
        searched_for: None,
        draw,
        upgrade: false,
    };
    let (slot, policy_digest) = (None, Digest::ZERO);
    [
        Body::DrillStarted { policy, drill, run: run(nth), slot, policy_digest, draw },
        Body::DrillFinished(finished),
    ]
}

/// Ten backups (records 2 to 11), four of them drawn (record 12) and drilled (13 to 20), the third
/// with `third`, and the statement (21).
fn campaign(third: Word) -> Told {
    let drills = json!([{"name": "monthly", "pick": {"random": 4}}]);
    let effective = json!({"policy": {}, "drills": drills});
    let version = Body::PolicyVersion { policy: name("shop"), digest: Digest::ZERO, effective };
    let mut bodies = vec![version];
    bodies.extend((1..=10).map(backup));
    let all = Points::of((1..=10).map(point));
    let seed = "the auditor's";
    let drawn = all.draw(&seed.parse().unwrap(), 4);
    let (details, population_digest) = (Digest([77; 32]), all.digest());
    let snapshots = all.snapshots().copied().collect();
    let population = Population { format: 1, lifeboat: "0".into(), run: run(CAMPAIGN), snapshots };
    bodies.push(Body::CampaignStarted(CampaignStarted {
        policy: name("shop"),
        drill: name("monthly"),
        run: run(CAMPAIGN),
        slot: None,
        policy_digest: Digest::ZERO,
        population: 10,
        population_digest,
        wanted: 4,
        seed: seed.into(),
        seed_from: Some("the auditor".into()),
        drawn: drawn.clone(),
        details,
    }));
    for (nth, snapshot) in drawn.iter().enumerate() {
        let draw = Draw { campaign: run(CAMPAIGN), snapshot: *snapshot };
        let verdict = if nth == 2 { third } else { Word::Pass };
        bodies.extend(drilled(nth as u128, Some(draw), *snapshot, verdict));
    }
    let tally = Tally::of(&drawn, |id| Some(if *id == drawn[2] { third } else { Word::Pass }));
    bodies.push(Body::CampaignFinished(CampaignFinished {
        policy: name("shop"),
        drill: name("monthly"),
        run: run(CAMPAIGN),
        slot: None,
        population: 10,
        drawn: 4,
        passed: tally.passed,
        failed: tally.failed,
        inconclusive: tally.inconclusive,
        verdict: tally.word(),
        at_least: tally.at_least(10),
        confidence_percent: CONFIDENCE_PERCENT,
        signed: None,
    }));
    Told { bodies, populations: [(details, population)].into() }
}

impl Told {
    fn audited(&self) -> Audited {
        let actor = Actor { name: "daemon".into(), host: "quay".into() };
        let record = |(seq, body): (u64, &Body)| {
            let (time, actor, body) = (Timestamp::UNIX_EPOCH, actor.clone(), body.clone());
            Record { seq, prev: Digest::ZERO, event: Event { time, actor, body } }
        };
        let records: Vec<_> = (1..).zip(&self.bodies).map(record).collect();
        audit(&records, &self.populations)
    }

    fn started(&mut self) -> &mut CampaignStarted {
        self.bodies
            .iter_mut()
            .find_map(|body| match body {
                Body::CampaignStarted(started) => Some(started),
                _ => None,
            })
            .unwrap()
    }

    fn finished(&mut self) -> &mut CampaignFinished {
        match self.bodies.last_mut() {
            Some(Body::CampaignFinished(finished)) => finished,
            other => panic!("{other:?}"),
        }
    }

    /// The drill of the draw with this number, from 0.
    fn drill(&mut self, nth: usize) -> &mut DrillFinished {
        match &mut self.bodies[13 + 2 * nth] {
            Body::DrillFinished(finished) => finished,
            other => panic!("{other:?}"),
        }
    }

    fn population(&mut self) -> &mut Vec<Digest> {
        &mut self.populations.values_mut().next().unwrap().snapshots
    }

    /// Draws anew from what the details hold, as a liar would who knows how.
    fn draw_from_the_list(&mut self) {
        let all = Points::of(self.population().iter().copied());
        let started = self.started();
        started.population = all.size() as u64;
        started.population_digest = all.digest();
        started.drawn = all.draw(&started.seed.parse().unwrap(), 4);
        let drawn = started.drawn.clone();
        for (nth, snapshot) in drawn.into_iter().enumerate() {
            let draw = Draw { campaign: run(CAMPAIGN), snapshot };
            self.bodies.splice(
                12 + 2 * nth..14 + 2 * nth,
                drilled(nth as u128, Some(draw), snapshot, Word::Pass),
            );
        }
        self.finished().population = all.size() as u64;
        self.finished().at_least =
            Tally { passed: 4, ..Tally::default() }.at_least(all.size() as u64);
    }
}

/// Asserts that the audit says `what`.
#[track_caller]
fn says(told: &Told, what: &str) {
    let problems = told.audited().problems();
    assert!(
        problems.iter().any(|problem| problem.contains(what)),
        "{what:?} is not in {problems:#?}"
    );
}

/// An honest campaign but for what `lie` does to it.
fn but(lie: impl FnOnce(&mut Told)) -> Told {
    let mut told = campaign(Word::Pass);
    lie(&mut told);
    told
}

#[test]
fn an_honest_campaign_is_told_and_nothing_is_wrong_with_it() {
    for (third, at_least) in
        [(Word::Pass, Some(6)), (Word::Fail, Some(4)), (Word::Inconclusive, None)]
    {
        let audited = campaign(third).audited();

        assert_eq!(audited.problems(), Vec::<String>::new());
        let campaigns = audited.campaigns;
        let verdict = third;
        assert_eq!(campaigns[0].end, End::Finished { verdict, at_least }, "{third:?}");
        assert_eq!((campaigns[0].record, campaigns[0].same_population_as), (12, None));
    }
}

#[test]
fn a_draw_left_out_and_another_drilled_in_its_place_is_named() {
    let swapped = but(|told| {
        let drawn = told.started().drawn.clone();
        let other = (1..=10).map(point).find(|id| !drawn.contains(id)).unwrap();
        told.drill(1).snapshot = Some(other);
    });
    says(&swapped, "in the place of");

    let drawn_otherwise = but(|told| {
        let drawn = told.started().drawn.clone();
        let other = (1..=10).map(point).find(|id| !drawn.contains(id)).unwrap();
        told.started().drawn[1] = other;
        let draw = Draw { campaign: run(CAMPAIGN), snapshot: other };
        told.bodies.splice(14..16, drilled(1, Some(draw), other, Word::Pass));
    });
    says(&drawn_otherwise, "does not follow from the seed: left out");

    let not_drawn = but(|told| {
        let draw = Draw { campaign: run(CAMPAIGN), snapshot: point(99) };
        told.bodies.splice(14..16, drilled(1, Some(draw), point(99), Word::Pass));
    });
    says(&not_drawn, "which was not drawn");
    says(&not_drawn, "it finished without a drill of what was drawn");
}

#[test]
fn a_population_that_leaves_out_what_the_ledger_names_is_caught_however_well_it_is_made() {
    let left_out = but(|told| {
        told.population().retain(|id| *id != point(7));
        told.draw_from_the_list();
    });
    let problems = left_out.audited().problems();
    assert_eq!(problems.len(), 1, "{problems:#?}");
    assert!(
        problems[0].contains(&format!("leaves out what the ledger says was there: {}", point(7)))
    );

    let added = but(|told| {
        told.population().push(point(11));
        told.draw_from_the_list();
    });
    says(&added, "holds what the ledger does not name");
}

#[test]
fn what_was_given_up_before_is_no_part_of_the_population() {
    let forget = |snapshots| {
        let (policy, run) = (name("shop"), run(1));
        Body::ForgetFinished { policy, run, snapshots, left: 9 }
    };
    let given_up = but(|told| told.bodies[0] = forget(vec![point(7)]));
    says(&given_up, "or says is gone");

    let afterwards = but(|told| told.bodies.push(forget(vec![point(7)])));
    assert_eq!(afterwards.audited().problems(), Vec::<String>::new());
}

#[test]
fn numbers_that_do_not_follow_from_the_drills_are_caught() {
    let lies: [fn(&mut CampaignFinished); 6] = [
        |finished| finished.at_least = Some(7),
        |finished| finished.passed = 5,
        |finished| finished.drawn = 5,
        |finished| finished.population = 9,
        |finished| finished.confidence_percent = 99,
        |finished| finished.verdict = Word::Fail,
    ];
    for lie in lies {
        says(&but(|told| lie(told.finished())), "states what does not follow from its drills");
    }
    let mut hidden = campaign(Word::Fail);
    let stated = campaign(Word::Pass).finished().clone();
    *hidden.finished() = stated;
    says(&hidden, "states what does not follow");
    let mut open = campaign(Word::Inconclusive);
    open.finished().at_least = Some(5);
    says(&open, "states what does not follow");
}

#[test]
fn drilling_a_draw_until_it_passes_is_caught() {
    let again = but(|told| {
        let draw = told.drill(2).draw;
        let snapshot = draw.unwrap().snapshot;
        told.bodies.splice(16..16, drilled(50, draw, snapshot, Word::Fail));
    });
    says(&again, "drawn once, was drilled 2 times");

    let killed = but(|told| {
        let draw = told.drill(2).draw;
        let [started, _] = drilled(50, draw, draw.unwrap().snapshot, Word::Fail);
        let (policy, drill, slot) = (name("shop"), Some(name("monthly")), None);
        let aborted =
            Body::DrillAborted { policy, drill, run: run(50), slot, reason: "killed".into() };
        told.bodies.splice(16..16, [started, aborted]);
    });
    says(&killed, "drawn once, was drilled 2 times");

    let disowned = but(|told| {
        let failed = told.drill(2).draw;
        let snapshot = failed.unwrap().snapshot;
        let [started, _] = drilled(50, failed, snapshot, Word::Fail);
        let [_, finished] = drilled(50, None, snapshot, Word::Fail);
        told.bodies.splice(16..16, [started, finished]);
    });
    says(&disowned, "ended as another, or none");

    let stated_first = but(|told| {
        let end = told.bodies.pop().unwrap();
        told.bodies.insert(14, end);
    });
    says(&stated_first, "it finished without a drill of what was drawn");
}

#[test]
fn a_draw_that_was_not_signed_in_time_or_declared_so_is_caught() {
    let unsigned = but(|told| {
        for nth in 0..4 {
            told.drill(nth).signed = None;
        }
    });
    says(&unsigned, "nothing shows that it was signed");
    let late = but(|told| told.drill(0).signed = Some(Remembered { size: 11, root: Digest::ZERO }));
    says(&late, "nothing shows that it was signed");

    let fewer = but(|told| {
        told.bodies[0] = match told.bodies[0].clone() {
            Body::PolicyVersion { policy, digest, mut effective } => {
                effective["drills"][0]["pick"]["random"] = 30.into();
                Body::PolicyVersion { policy, digest, effective }
            }
            other => other,
        }
    });
    says(&fewer, "it draws 4 where the drill declares 30");
    says(&but(|told| drop(told.populations.drain())), "its population cannot be read");
    says(&but(|told| told.population().push(point(99))), "its list has 11");
    says(&but(|told| told.started().population_digest = point(1)), "is not that of its list");
    says(&but(|told| told.started().seed = "another".into()), "does not follow from the seed");
}

#[test]
fn what_belongs_to_no_campaign_or_ends_one_twice_is_caught() {
    let reason = || "interrupted".to_owned();
    let aborted = |campaign| {
        let (policy, drill, slot) = (name("shop"), name("monthly"), None);
        Body::CampaignAborted { policy, drill, run: run(campaign), slot, reason: reason() }
    };
    says(
        &but(|told| told.bodies.push(aborted(CAMPAIGN))),
        "it ended, and ended again by record 22",
    );
    says(&but(|told| told.bodies.push(aborted(7))), "no campaign 00000000");
    says(&but(|told| drop(told.bodies.remove(11))), "no campaign 00000000");
    says(&but(|told| told.bodies.push(told.bodies[11].clone())), "began before");
}

#[test]
fn drawing_again_from_the_same_points_is_told() {
    let again = but(|told| {
        let mut second = told.started().clone();
        (second.run, second.seed_from) = (run(901), None);
        told.bodies.push(Body::CampaignStarted(second));
    });

    let campaigns = again.audited().campaigns;

    assert_eq!(campaigns[1].same_population_as, Some(12));
    assert_eq!((&campaigns[1].end, &campaigns[1].seed_from), (&End::Open, &None));
}
