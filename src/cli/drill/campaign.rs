//! A drill that samples: draws, drills each draw, and tells what that says of all recovery points.

use serde::Serialize;

use super::super::hint::Hinting;
use super::super::output::styled;
use super::super::{App, Exit};
use crate::account::Rooms;
use crate::check::campaign::Seed;
use crate::drill::{self, Campaign, Concluded, OutsideSeed};
use crate::ground::digest::Digest;
use crate::ground::ids::RunId;
use crate::ledger::details;
use crate::ledger::record::Word;
use crate::report::Lang;
use crate::report::campaign::{Conclusion, Drawn, campaign_text, statement};

/// Whose seed a campaign is drawn by.
#[derive(Debug, clap::Args)]
pub(super) struct SeedArgs {
    /// For a drill with pick = { random = … }: the seed of the draw, one line, from somebody who does not run
    /// lifeboat (an auditor's nonce, a public beacon). It goes on record [default: drawn here, and the record
    /// says so]
    #[arg(long, value_name = "TEXT", requires = "seed_from")]
    seed: Option<Seed>,
    /// Where the seed comes from, one line that goes on record, e.g. "nonce in the auditor's letter of 3 May"
    #[arg(long, value_name = "WORDS", requires = "seed", value_parser = one_line)]
    seed_from: Option<String>,
}

/// A seed was given to a drill that draws nothing.
#[derive(Debug, thiserror::Error)]
#[error("nothing is drawn here, so a seed says nothing")]
pub(in super::super) struct NothingDrawn;

fn one_line(text: &str) -> Result<String, crate::check::campaign::NotASeed> {
    text.parse::<Seed>().map(|line| line.to_string())
}

impl SeedArgs {
    pub(super) fn outside(self) -> Option<OutsideSeed> {
        self.seed.zip(self.seed_from).map(|(seed, from)| OutsideSeed { seed, from })
    }

    /// A seed is of no use where nothing is drawn.
    pub(super) fn refuse(&self) -> anyhow::Result<()> {
        match &self.seed {
            None => Ok(()),
            Some(_) => Err(NothingDrawn)
                .hint("it is for a drill that declares pick = { random = … }, without --snapshot"),
        }
    }
}

/// The answer of `drill --json` for a campaign.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    verdict: Word,
    campaign: Told<'a>,
}

#[derive(Debug, Serialize)]
struct Told<'a> {
    run: RunId,
    /// The number on the ledger of the record of its end; none while it waits in the outbox.
    record: Option<u64>,
    population: u64,
    population_digest: Digest,
    wanted: u64,
    drawn: u64,
    passed: u64,
    failed: u64,
    inconclusive: u64,
    /// So many of the population are restorable; none where the campaign is not completed.
    at_least: Option<u64>,
    /// The same in percent, rounded down to a tenth.
    at_least_percent: Option<f64>,
    confidence_percent: u64,
    /// Whether all were drilled, so that nothing is inferred.
    is_census: bool,
    seed: &'a str,
    /// None: lifeboat drew it, and whoever ran it could have tried others.
    seed_from: Option<&'a str>,
    statement: String,
    /// Campaigns of this drill that began before, and how many of them state something.
    earlier: usize,
    earlier_completed: usize,
    draws: Vec<DrawTold<'a>>,
}

#[derive(Debug, Serialize)]
struct DrawTold<'a> {
    snapshot: Option<Digest>,
    verdict: Word,
    record: Option<u64>,
    run: RunId,
    recovery_seconds: Option<f64>,
    reasons: &'a [details::Reason],
}

pub(super) async fn run(campaign: Campaign<'_>, app: &App, rooms: &Rooms) -> anyhow::Result<Exit> {
    let done = match campaign.run(rooms).await {
        Err(error @ drill::Error::Unsigned) => {
            return Err(error).hint("add [signing] to the site file; `lifeboat init` shows how");
        }
        Err(error @ drill::Error::Overtaken) => {
            return Err(error).hint("it is on record as aborted; run the drill again");
        }
        done => done?,
    };
    let Concluded { started, finished, drills, earlier, .. } = &done;
    let of = |drill: &'_ drill::Done| -> Vec<String> {
        drill.details.reasons.iter().map(|reason| reason.why.clone()).collect()
    };
    let why: Vec<_> = drills.iter().map(of).collect();
    let drawn: Vec<Drawn<'_>> = drills
        .iter()
        .zip(&why)
        .map(|(drill, why)| (&drill.finished, why.iter().map(String::as_str).collect()))
        .collect();
    let lines = campaign_text(&campaign.drill.full_name(), started, finished, &drawn, *earlier);
    app.out.answer(&answer(&done), &styled(&lines))?;
    Ok(finished.verdict.into())
}

fn answer(done: &Concluded) -> Answer<'_> {
    let Concluded { started, finished, drills, record, earlier } = done;
    let draws = drills.iter().map(|drill| DrawTold {
        snapshot: drill.finished.draw.map(|draw| draw.snapshot),
        verdict: drill.finished.verdict,
        record: drill.record.as_ref().map(|record| record.seq),
        run: drill.finished.run,
        recovery_seconds: super::seconds(drill.finished.recovery_ms),
        reasons: &drill.details.reasons,
    });
    let campaign = Told {
        run: started.run,
        record: record.as_ref().map(|record| record.seq),
        population: started.population,
        population_digest: started.population_digest,
        wanted: started.wanted,
        drawn: finished.drawn,
        passed: finished.passed,
        failed: finished.failed,
        inconclusive: finished.inconclusive,
        at_least: finished.at_least,
        at_least_percent: finished.at_least_permille().map(|permille| permille as f64 / 10.0),
        confidence_percent: finished.confidence_percent,
        is_census: started.is_census(),
        seed: &started.seed,
        seed_from: started.seed_from.as_deref(),
        statement: statement(started, Conclusion::Finished(finished), Lang::En),
        earlier: earlier.begun,
        earlier_completed: earlier.completed,
        draws: draws.collect(),
    };
    Answer { verdict: finished.verdict, campaign }
}
