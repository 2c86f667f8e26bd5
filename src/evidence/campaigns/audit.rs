//! What is wrong with one campaign.

use std::collections::{HashMap, HashSet};

use crate::account;
use crate::check::campaign::{CONFIDENCE_PERCENT, Population, Seed, Tally};
use crate::ground::digest::Digest;
use crate::ground::ids::RunId;
use crate::ledger::details;
use crate::ledger::record::{Body, CampaignFinished, CampaignStarted, Draw, DrillFinished, Record};

/// Ids that a sentence names, of however many.
const TOLD: usize = 3;

/// One campaign among all records.
pub(super) struct Audit<'a> {
    /// All records, in their order.
    pub(super) records: &'a [Record],
    /// Those that say that they are of this campaign.
    pub(super) own: &'a [&'a Record],
    pub(super) record: &'a Record,
    pub(super) campaign: &'a CampaignStarted,
}

impl Audit<'_> {
    /// One sentence each; `stored` is the population that its details hold, where these could be read.
    pub(super) fn problems(&self, stored: Option<&details::Population>) -> Vec<String> {
        let problems = [
            self.population(stored),
            self.completeness(stored),
            self.size(),
            self.seal(),
            self.drills(),
            self.ends(),
        ];
        problems.concat()
    }

    /// The list is what the record says, and the draw follows from it.
    fn population(&self, stored: Option<&details::Population>) -> Vec<String> {
        let CampaignStarted { population, population_digest, seed, drawn, .. } = self.campaign;
        let Some(stored) = stored else {
            return vec![
                "its population cannot be read, so nothing shows what was drawn from".to_owned(),
            ];
        };
        let all = Population::of(stored.snapshots.iter().copied());
        if all.size() as u64 != *population || stored.snapshots.len() as u64 != *population {
            return vec![format!(
                "it says {population} recovery points, its list has {}",
                all.size()
            )];
        }
        if all.digest() != *population_digest {
            return vec!["the digest of its population is not that of its list".to_owned()];
        }
        let Ok(seed) = seed.parse::<Seed>() else {
            return vec!["its seed is no line of text".to_owned()];
        };
        let wanted = usize::try_from(self.campaign.wanted).unwrap_or(usize::MAX);
        let follows = all.draw(&seed, wanted);
        match follows == *drawn {
            true => Vec::new(),
            false => {
                let missing = told(follows.iter().filter(|id| !drawn.contains(id)));
                let added = told(drawn.iter().filter(|id| !follows.contains(id)));
                vec![format!(
                    "what was drawn does not follow from the seed: left out {missing}; in their place {added}"
                )]
            }
        }
    }

    /// The population is all that the ledger named by then.
    fn completeness(&self, stored: Option<&details::Population>) -> Vec<String> {
        let Some(stored) = stored else { return Vec::new() };
        let before = self.records.partition_point(|record| record.seq < self.record.seq);
        let points = account::recovery_points(&self.records[..before], &self.campaign.policy);
        let points: HashSet<_> = points.into_iter().map(|id| id.0).collect();
        let listed: HashSet<_> = stored.snapshots.iter().copied().collect();
        let (mut left_out, mut strange): (Vec<_>, Vec<_>) =
            (points.difference(&listed).collect(), listed.difference(&points).collect());
        // A race with another host's backup: it was seen, and nothing came of the campaign.
        if self.is_aborted_untouched() {
            return Vec::new();
        }
        left_out.sort();
        strange.sort();
        let mut problems = Vec::new();
        if !left_out.is_empty() {
            problems.push(format!(
                "its population leaves out what the ledger says was there: {}",
                told(left_out.into_iter())
            ));
        }
        if !strange.is_empty() {
            problems.push(format!(
                "its population holds what the ledger does not name, or says is gone: {}",
                told(strange.into_iter())
            ));
        }
        problems
    }

    fn is_aborted_untouched(&self) -> bool {
        let is_aborted =
            |record: &&Record| matches!(record.event.body, Body::CampaignAborted { .. });
        self.own.iter().any(is_aborted) && self.started_draws().next().is_none()
    }

    /// As many are drawn as the policy version declares.
    fn size(&self) -> Vec<String> {
        let CampaignStarted { policy, drill, policy_digest, wanted, .. } = self.campaign;
        let version = self.records.iter().find_map(|record| match &record.event.body {
            Body::PolicyVersion { policy: of, digest, effective } => {
                (of == policy && digest == policy_digest).then_some(effective)
            }
            _ => None,
        });
        let Some(version) = version else {
            return vec![
                "the policy version that it was drawn under is not on the ledger".to_owned(),
            ];
        };
        let drills = version["drills"].as_array().into_iter().flatten();
        let declared = drills.into_iter().find(|one| one["name"] == drill.as_str());
        match declared.and_then(|one| one["pick"]["random"].as_u64()) {
            Some(declared) if declared == *wanted => Vec::new(),
            Some(declared) => {
                vec![format!("it draws {wanted} where the drill declares {declared}")]
            }
            None => vec!["the policy version does not declare that it draws".to_owned()],
        }
    }

    /// A checkpoint covers the draw before the first of its drills ends.
    fn seal(&self) -> Vec<String> {
        let drills: Vec<_> = self.finished_draws().map(|(_, drill, _)| drill).collect();
        match drills.iter().find_map(|drill| drill.signed) {
            Some(signed) if signed.size >= self.record.seq => Vec::new(),
            // Where the ledger was out of reach from the first draw on, nothing passed.
            None if !drills.iter().any(|drill| drill.parts.prove_the_snapshot()) => Vec::new(),
            _ => vec!["nothing shows that it was signed before its first drill ended".to_owned()],
        }
    }

    /// The drills are those of the draws, once each.
    fn drills(&self) -> Vec<String> {
        let mut problems = Vec::new();
        let mut times: HashMap<Digest, usize> = HashMap::new();
        for (record, drill, draw) in self.finished_draws() {
            let (seq, drawn) = (record.seq, draw.snapshot);
            let CampaignStarted { policy, drill: name, .. } = self.campaign;
            if drill.policy != *policy || drill.drill.as_ref() != Some(name) {
                problems.push(format!("record {seq} is of another drill, {}", drill.policy));
            }
            if drill.upgrade {
                problems
                    .push(format!("record {seq} is an upgrade rehearsal, which proves no point"));
            }
            if seq < self.record.seq {
                problems.push(format!("record {seq} drills what is drawn only later"));
            }
            if !self.campaign.drawn.contains(&drawn) {
                problems
                    .push(format!("record {seq} drills {}, which was not drawn", drawn.short()));
            }
            match drill.about() {
                Some(other) if other != drawn => problems.push(format!(
                    "record {seq} drilled {} in the place of {}, which was drawn",
                    other.short(),
                    drawn.short()
                )),
                None if drill.parts.prove_the_snapshot() => {
                    problems.push(format!("record {seq} proves no snapshot"));
                }
                _ => {}
            }
            *times.entry(drawn).or_default() += 1;
        }
        let mut begun: HashMap<Digest, usize> = HashMap::new();
        for draw in self.started_draws() {
            *begun.entry(draw.snapshot).or_default() += 1;
        }
        for drawn in &self.campaign.drawn {
            let most = times.get(drawn).max(begun.get(drawn)).copied().unwrap_or(0);
            if most > 1 {
                problems.push(format!("{}, drawn once, was drilled {most} times", drawn.short()));
            }
        }
        problems
    }

    /// It ended once at most, and what it states follows from its drills.
    fn ends(&self) -> Vec<String> {
        let is_end = |record: &&&Record| {
            matches!(record.event.body, Body::CampaignFinished(_) | Body::CampaignAborted { .. })
        };
        let ends: Vec<_> = self.own.iter().filter(is_end).collect();
        let mut problems = Vec::new();
        if let [_, second, ..] = ends[..] {
            problems.push(format!("it ended, and ended again by record {}", second.seq));
        }
        for end in ends {
            if let Body::CampaignFinished(finished) = &end.event.body {
                problems.extend(self.conclusion(end, finished));
            }
        }
        problems
    }

    fn conclusion(&self, end: &Record, finished: &CampaignFinished) -> Vec<String> {
        let mut words = HashMap::new();
        for (record, drill, draw) in self.finished_draws() {
            if record.seq < end.seq {
                words.insert(draw.snapshot, drill.verdict);
            }
        }
        let drawn = &self.campaign.drawn;
        let without: Vec<_> = drawn.iter().filter(|id| !words.contains_key(id)).collect();
        let mut problems = Vec::new();
        if !without.is_empty() {
            let without = told(without.into_iter());
            problems.push(format!("it finished without a drill of what was drawn: {without}"));
        }
        let tally = Tally::of(drawn, |id| words.get(id).copied());
        let follows = CampaignFinished {
            policy: self.campaign.policy.clone(),
            drill: self.campaign.drill.clone(),
            run: self.campaign.run,
            slot: self.campaign.slot,
            population: self.campaign.population,
            drawn: tally.drawn(),
            passed: tally.passed,
            failed: tally.failed,
            inconclusive: tally.inconclusive,
            verdict: tally.word(),
            at_least: tally.at_least(self.campaign.population),
            confidence_percent: CONFIDENCE_PERCENT,
            signed: finished.signed,
        };
        if follows != *finished {
            problems.push(format!(
                "record {} states what does not follow from its drills: {}, where they say {}",
                end.seq,
                numbers(finished),
                numbers(&follows)
            ));
        }
        problems
    }

    fn finished_draws(&self) -> impl Iterator<Item = (&Record, &DrillFinished, Draw)> {
        self.own.iter().filter_map(|record| match &record.event.body {
            Body::DrillFinished(drill) => Some((*record, drill, drill.draw?)),
            _ => None,
        })
    }

    fn started_draws(&self) -> impl Iterator<Item = Draw> {
        self.own.iter().filter_map(|record| match &record.event.body {
            Body::DrillStarted { draw, .. } => *draw,
            _ => None,
        })
    }
}

/// The records that say that they are of a campaign, by its run.
pub(super) fn by_campaign(records: &[Record]) -> HashMap<RunId, Vec<&Record>> {
    let mut by_campaign: HashMap<_, Vec<_>> = HashMap::new();
    for record in records {
        if let Some(run) = campaign_of(&record.event.body) {
            by_campaign.entry(run).or_default().push(record);
        }
    }
    by_campaign
}

fn campaign_of(body: &Body) -> Option<RunId> {
    match body {
        Body::CampaignStarted(started) => Some(started.run),
        Body::CampaignFinished(finished) => Some(finished.run),
        Body::CampaignAborted { run, .. } => Some(*run),
        Body::DrillStarted { draw, .. } => draw.map(|draw| draw.campaign),
        Body::DrillFinished(drill) => drill.draw.map(|draw| draw.campaign),
        _ => None,
    }
}

fn numbers(finished: &CampaignFinished) -> String {
    let CampaignFinished { drawn, passed, failed, inconclusive, population, verdict, .. } =
        finished;
    let at_least =
        finished.at_least.map_or("nothing".to_owned(), |number| format!("at least {number}"));
    format!(
        "{verdict:?}, {passed} passed, {failed} failed and {inconclusive} inconclusive of {drawn} drawn, \
         {at_least} of {population} with {} %",
        finished.confidence_percent
    )
    .to_lowercase()
}

/// What belongs to no campaign, or to two.
pub(super) fn strays(records: &[Record]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut known: HashSet<RunId> = HashSet::new();
    let mut draws: HashMap<RunId, Option<Draw>> = HashMap::new();
    for record in records {
        match &record.event.body {
            Body::CampaignStarted(campaign) if !known.insert(campaign.run) => {
                problems.push(format!(
                    "record {}: the campaign {} began before",
                    record.seq, campaign.run
                ));
            }
            Body::DrillStarted { run, draw, .. } => {
                draws.insert(*run, *draw);
            }
            _ => {}
        }
    }
    for record in records {
        let seq = record.seq;
        if let Body::DrillFinished(drill) = &record.event.body
            && draws.get(&drill.run).is_some_and(|draw| *draw != drill.draw)
        {
            problems.push(format!(
                "record {seq}: its drill began as a draw of a campaign and ended as another, or none"
            ));
        }
        let of = campaign_of(&record.event.body);
        if let Some(run) = of.filter(|run| !known.contains(run)) {
            problems.push(format!("record {seq}: no campaign {run} is on the ledger"));
        }
    }
    problems
}

/// A few of `ids`, and how many more.
fn told<'a>(ids: impl Iterator<Item = &'a Digest>) -> String {
    let ids: Vec<_> = ids.map(Digest::to_string).collect();
    match ids.len().saturating_sub(TOLD) {
        _ if ids.is_empty() => "none".to_owned(),
        0 => ids.join(", "),
        more => format!("{} and {more} more", ids[..TOLD].join(", ")),
    }
}
