//! Sampling campaigns, as their records say it (docs/format.md, "Campaigns").

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Body, Record, Word};
use crate::ground::digest::Digest;
use crate::ground::ids::{Name, RunId};
use crate::ledger::Remembered;

/// What is sampled and what was drawn: on the ledger, and signed, before the first draw is restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CampaignStarted {
    pub policy: Name,
    pub drill: Name,
    pub run: RunId,
    pub slot: Option<Timestamp>,
    pub policy_digest: Digest,
    /// All recovery points of the policy that the records before this one name: how many, and SHA-256 over
    /// their sorted ids in hexadecimal, each with an LF.
    pub population: u64,
    pub population_digest: Digest,
    /// How many the drill declares to draw.
    pub wanted: u64,
    /// One line of text.
    pub seed: String,
    /// Where the seed came from, in the words of whoever gave it; none: lifeboat drew it, so that the
    /// operator could have tried others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed_from: Option<String>,
    /// In the order of the draw: as many as are wanted, or all there are.
    pub drawn: Vec<Digest>,
    /// SHA-256 of the plain [`crate::ledger::details::Population`].
    pub details: Digest,
}

impl CampaignStarted {
    /// Whether everything was drawn: then nothing is inferred.
    pub fn is_census(&self) -> bool {
        self.drawn.len() as u64 == self.population
    }
}

/// What the drills of all draws came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CampaignFinished {
    pub policy: Name,
    pub drill: Name,
    pub run: RunId,
    pub slot: Option<Timestamp>,
    pub population: u64,
    pub drawn: u64,
    pub passed: u64,
    pub failed: u64,
    pub inconclusive: u64,
    /// `pass` only where every draw passed.
    pub verdict: Word,
    /// So many of the population are restorable, at least; none where a draw was inconclusive: then the
    /// campaign is not completed and states nothing.
    pub at_least: Option<u64>,
    pub confidence_percent: u64,
    /// As [`super::DrillFinished::signed`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed: Option<Remembered>,
}

impl CampaignFinished {
    /// `at_least` of the population in tenths of a percent, rounded down.
    pub fn at_least_permille(&self) -> Option<u64> {
        (u128::from(self.at_least?) * 1000)
            .checked_div(self.population.into())
            .and_then(|permille| permille.try_into().ok())
    }
}

/// The draw of a campaign that a drill rehearses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Draw {
    /// The campaign's run.
    pub campaign: RunId,
    pub snapshot: Digest,
}

/// Campaigns of one drill that began before another: whoever draws until it passes is seen by them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Earlier {
    pub begun: usize,
    /// Those that state something, whatever it is.
    pub completed: usize,
}

impl Earlier {
    /// Counts by what `records` say of those before `campaign`.
    pub fn than(campaign: &CampaignStarted, records: &[Record]) -> Self {
        let of = |record: &Record| match &record.event.body {
            Body::CampaignStarted(other) => Some(other.clone()),
            _ => None,
        };
        let others = records.iter().filter_map(of);
        let others: Vec<_> = others
            .take_while(|other| other.run != campaign.run)
            .filter(|other| other.policy == campaign.policy && other.drill == campaign.drill)
            .map(|other| other.run)
            .collect();
        let is_completed = |run: &&RunId| {
            records.iter().any(|record| match &record.event.body {
                Body::CampaignFinished(end) => end.run == **run && end.at_least.is_some(),
                _ => false,
            })
        };
        Self { begun: others.len(), completed: others.iter().filter(is_completed).count() }
    }
}
