//! The one sentence of a campaign.

use super::texts::{EN, Texts, ZH};
use crate::ledger::record::{Body, CampaignFinished, CampaignStarted, Record};
use crate::report::{Lang, amount};

/// How a campaign ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Conclusion<'a> {
    Finished(&'a CampaignFinished),
    Aborted {
        reason: &'a str,
    },
    /// Nothing is on record of its end.
    Open,
}

impl<'a> Conclusion<'a> {
    /// How `campaign` ended, as far as `records` tell.
    pub fn of(campaign: &CampaignStarted, records: &'a [Record]) -> Self {
        let ended = records.iter().find_map(|record| match &record.event.body {
            Body::CampaignFinished(finished) if finished.run == campaign.run => {
                Some(Self::Finished(finished))
            }
            Body::CampaignAborted { run, reason, .. } if *run == campaign.run => {
                Some(Self::Aborted { reason })
            }
            _ => None,
        });
        ended.unwrap_or(Self::Open)
    }
}

/// What a campaign says of all recovery points, or why it says nothing.
pub fn statement(started: &CampaignStarted, end: Conclusion<'_>, lang: Lang) -> String {
    said(started, end, Texts::of(lang))
}

pub(super) fn said(started: &CampaignStarted, end: Conclusion<'_>, t: &Texts) -> String {
    let population = amount::count(started.population);
    let finished = match end {
        Conclusion::Finished(_) if started.population == 0 => return t.no_population.to_owned(),
        Conclusion::Finished(finished) => finished,
        Conclusion::Aborted { reason } => return (t.aborted)(reason),
        Conclusion::Open => return t.open.to_owned(),
    };
    let [drawn, failed, inconclusive] =
        [finished.drawn, finished.failed, finished.inconclusive].map(amount::count);
    let drawn = match started.is_census() {
        true => (t.all_drawn)(&population),
        false => (t.drawn)(&drawn, &population),
    };
    let failed = if finished.failed == 0 { t.none_failed.to_owned() } else { (t.failed)(&failed) };
    let shown = match (finished.at_least, finished.at_least_permille()) {
        (Some(at_least), _) if started.is_census() => {
            (t.counted)(&amount::count(at_least), &population)
        }
        (Some(at_least), Some(permille)) => (t.at_least)(
            &amount::count(at_least),
            &population,
            &percent(permille),
            &finished.confidence_percent.to_string(),
        ),
        _ => (t.not_completed)(&inconclusive),
    };
    (t.sentence)(&drawn, &failed, &shown)
}

/// `91.2 %`, rounded down already.
pub(super) fn percent(permille: u64) -> String {
    format!("{}.{} %", permille / 10, permille % 10)
}

impl Texts {
    pub(super) fn of(lang: Lang) -> &'static Self {
        match lang {
            Lang::Zh => &ZH,
            Lang::En => &EN,
        }
    }
}
