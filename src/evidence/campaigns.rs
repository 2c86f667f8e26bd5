//! Sampling campaigns, recomputed: of what they were drawn, whether the draw follows from its seed, whether
//! what was drilled is what was drawn, and whether the statement follows from that.
//!
//! In: the records of a verified ledger, and the populations that they name. Out: every campaign, and what
//! is wrong, one sentence each. Pure.

mod audit;
#[cfg(test)]
mod tests;

use std::collections::HashMap;

use jiff::Timestamp;
use serde::Serialize;

use self::audit::Audit;
use crate::ground::digest::Digest;
use crate::ground::ids::{Name, RunId};
use crate::ledger::details::Population;
use crate::ledger::record::{Body, CampaignFinished, CampaignStarted, Record, Word};

/// The populations that could be read, by the digest that names them.
pub type Populations = HashMap<Digest, Population>;

/// A campaign as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Campaign {
    /// The number of the record of its draw.
    pub record: u64,
    pub time: Timestamp,
    pub policy: Name,
    pub drill: Name,
    pub run: RunId,
    pub population: u64,
    pub drawn: u64,
    /// None: lifeboat drew the seed, and its operator could have tried others.
    pub seed_from: Option<String>,
    /// The newest campaign before it that drew from the very same recovery points, by its record.
    pub same_population_as: Option<u64>,
    pub end: End,
    /// What is wrong with it, one sentence each.
    pub problems: Vec<String>,
}

/// How a campaign ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum End {
    Finished {
        verdict: Word,
        at_least: Option<u64>,
    },
    Aborted,
    /// Nothing is on record of its end.
    Open,
}

/// The campaigns on a ledger.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Audited {
    pub campaigns: Vec<Campaign>,
    /// What claims to be part of one and is not.
    pub strays: Vec<String>,
}

impl Audited {
    /// Everything that is wrong, one sentence each.
    pub fn problems(&self) -> Vec<String> {
        let of = |campaign: &Campaign| -> Vec<String> {
            let about = format!("campaign of record {}", campaign.record);
            campaign.problems.iter().map(|problem| format!("{about}: {problem}")).collect()
        };
        self.campaigns.iter().flat_map(of).chain(self.strays.iter().cloned()).collect()
    }
}

/// The details that must be read for [`audit`].
pub fn named_populations(records: &[Record]) -> impl Iterator<Item = &Digest> {
    started(records).map(|(_, campaign)| &campaign.details)
}

/// Recomputes every campaign on the ledger.
pub fn audit(records: &[Record], populations: &Populations) -> Audited {
    let mut audited = Audited::default();
    let by_campaign = audit::by_campaign(records);
    let mut drawn_from: HashMap<(&Name, &Digest), u64> = HashMap::new();
    for (record, campaign) in started(records) {
        let own = by_campaign.get(&campaign.run).map_or(&[][..], Vec::as_slice);
        let audit = Audit { records, own, record, campaign };
        let population = (&campaign.policy, &campaign.population_digest);
        audited.campaigns.push(Campaign {
            record: record.seq,
            time: record.event.time,
            policy: campaign.policy.clone(),
            drill: campaign.drill.clone(),
            run: campaign.run,
            population: campaign.population,
            drawn: campaign.drawn.len() as u64,
            seed_from: campaign.seed_from.clone(),
            same_population_as: drawn_from.insert(population, record.seq),
            end: end(own),
            problems: audit.problems(populations.get(&campaign.details)),
        });
    }
    audited.strays = audit::strays(records);
    audited
}

fn started(records: &[Record]) -> impl Iterator<Item = (&Record, &CampaignStarted)> {
    records.iter().filter_map(|record| match &record.event.body {
        Body::CampaignStarted(campaign) => Some((record, campaign)),
        _ => None,
    })
}

fn end(own: &[&Record]) -> End {
    let ended = own.iter().find_map(|record| match &record.event.body {
        Body::CampaignFinished(CampaignFinished { verdict, at_least, .. }) => {
            Some(End::Finished { verdict: *verdict, at_least: *at_least })
        }
        Body::CampaignAborted { .. } => Some(End::Aborted),
        _ => None,
    });
    ended.unwrap_or(End::Open)
}
