//! The last sampling campaign of each drill that draws, as the ledger tells it.

use jiff::Timestamp;
use serde::Serialize;

use crate::ground::ids::Name;
use crate::ledger::record::{Body, CampaignFinished, CampaignStarted, Record, Word};
use crate::policy::Policy;
use crate::report::Lang;
use crate::report::campaign::{Conclusion, statement};

#[derive(Debug, Serialize)]
pub(super) struct LastCampaign {
    drill: Name,
    /// Of the draw.
    record: u64,
    time: Timestamp,
    population: u64,
    drawn: u64,
    /// None where it was aborted, or is not over.
    verdict: Option<Word>,
    at_least: Option<u64>,
    statement: String,
}

impl LastCampaign {
    /// `monthly: 30 of 240 recovery points drawn, …, at 2026-11-26 01:00:00Z (record 7)`.
    pub(super) fn text(&self) -> String {
        let time = self.time.strftime("%Y-%m-%d %H:%M:%SZ");
        format!("{}: {}, at {time} (record {})", self.drill, self.statement, self.record)
    }
}

/// The newest campaign of each drill of `policy`, newest first.
pub(super) fn last_campaigns(records: &[Record], policy: &Policy) -> Vec<LastCampaign> {
    let mut last: Vec<LastCampaign> = Vec::new();
    for record in records.iter().rev() {
        let Body::CampaignStarted(campaign) = &record.event.body else { continue };
        let is_newest = last.iter().all(|newer| newer.drill != campaign.drill);
        if campaign.policy == policy.name && is_newest {
            last.push(of(record, campaign, records));
        }
    }
    last
}

fn of(record: &Record, campaign: &CampaignStarted, records: &[Record]) -> LastCampaign {
    let end = Conclusion::of(campaign, records);
    let finished = match end {
        Conclusion::Finished(finished) => Some(finished),
        Conclusion::Aborted { .. } | Conclusion::Open => None,
    };
    LastCampaign {
        drill: campaign.drill.clone(),
        record: record.seq,
        time: record.event.time,
        population: campaign.population,
        drawn: campaign.drawn.len() as u64,
        verdict: finished.map(|finished: &CampaignFinished| finished.verdict),
        at_least: finished.and_then(|finished| finished.at_least),
        statement: statement(campaign, end, Lang::En),
    }
}
