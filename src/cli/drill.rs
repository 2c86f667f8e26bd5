//! `lifeboat drill`: rehearse one recovery now, and after a fail look for an older point that passes.

mod campaign;

use jiff::SignedDuration;
use serde::Serialize;

pub(super) use self::campaign::NothingDrawn;
use self::campaign::SeedArgs;
use super::output::styled;
use super::{App, Exit};
use crate::drill::{self, Asked, Campaign, Wanted};
use crate::ground::digest::Digest;
use crate::ground::ids::RunId;
use crate::ground::size::Count;
use crate::ledger::details;
use crate::ledger::record::{Parts, Word};
use crate::policy::DrillName;
use crate::report::{self, Line, Tone};

/// Restore a snapshot into a scratch environment and prove that it is what was captured
///
/// Ends with 0 (pass), 4 (fail) or 5 (inconclusive) once the result is on the ledger. Where the data of
/// the latest snapshot failed, older ones are drilled until the newest that comes back is known. A drill with
/// pick = { random = … } draws that many snapshots, drills one after the other, and states from it how many
/// of all are restorable, at least; 0 then means that every draw passed.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to rehearse: POLICY or CUSTOMER/POLICY (its only drill, or all rungs), or
    /// CUSTOMER/POLICY/DRILL
    drill: DrillName,
    /// Snapshot to restore: an id or the beginning of one [default: as the drill picks]
    #[arg(long, value_name = "ID")]
    snapshot: Option<String>,
    /// Look for no older snapshot that comes back when the latest does not
    #[arg(long)]
    no_search: bool,
    #[command(flatten)]
    seed: SeedArgs,
}

/// The answer of `drill --json`: the record's own fields, and what it was made of.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    verdict: Word,
    parts: Parts,
    snapshot: Option<Digest>,
    recovery_seconds: Option<f64>,
    data_age_seconds: Option<f64>,
    /// What it spent its time with; what counts adds up to the recovery time.
    phases: &'a [details::Phase],
    checks: &'a [details::Check],
    controls: &'a [details::Control],
    /// The same point restored by other programs, where the drill asks for that.
    independent: Option<&'a details::Independent>,
    reasons: &'a [details::Reason],
    /// What was found damaged and has nothing to do with the recovery point.
    beside: &'a [details::Finding],
    /// The record's number on the ledger; none while it waits in the outbox.
    record: Option<u64>,
    run: RunId,
    /// What was found after a fail; none where nothing was looked for.
    searched: Option<Searched>,
}

/// Which older recovery point would come back.
#[derive(Debug, Serialize)]
struct Searched {
    /// Complete recovery points older than the failed one, and how many of them were drilled.
    older: usize,
    tried: usize,
    found: Option<Found>,
    /// Why the search ended before its end.
    ended: Option<String>,
}

#[derive(Debug, Serialize)]
struct Found {
    snapshot: Option<Digest>,
    record: Option<u64>,
    /// What restoring it would lose: so much time before the drill.
    data_age_seconds: Option<f64>,
    /// Points between it and the failed one that were not drilled.
    untried: usize,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let setup = app.setup_for(&args.drill.policy).await?;
    let (policy, drill) = setup.drill(&args.drill)?;
    let rooms = app.rooms(&setup).await?;
    let wanted = match (args.snapshot.as_deref(), Asked::by(drill)) {
        (Some("latest"), _) => Wanted::Latest,
        (Some(id), _) => Wanted::Named(id),
        (None, Asked::One(wanted)) => wanted,
        (None, Asked::Sample { drill, size }) => {
            let seed = args.seed.outside();
            let (setup, seed) = (&setup, seed.as_ref());
            let campaign = Campaign { setup, policy, drill, size, seed, slot: None };
            return campaign::run(campaign, app, &rooms).await;
        }
    };
    args.seed.refuse()?;
    let request = drill::Request { setup: &setup, policy, drill, wanted, slot: None };
    let done = drill::run(request, &rooms).await?;
    let searched = match args.no_search {
        true => None,
        false => drill::search_back(request, &done, &rooms, &rooms.interrupted).await,
    };
    let answer = Answer {
        verdict: done.finished.verdict,
        parts: done.finished.parts,
        snapshot: done.finished.snapshot,
        recovery_seconds: seconds(done.finished.recovery_ms),
        data_age_seconds: seconds(done.finished.data_age_ms),
        phases: &done.details.phases,
        checks: &done.details.checks,
        controls: &done.details.controls,
        independent: done.details.independent.as_ref(),
        reasons: &done.details.reasons,
        beside: &done.details.beside,
        record: done.record.as_ref().map(|record| record.seq),
        run: done.finished.run,
        searched: searched.as_ref().map(Searched::from),
    };
    let mut lines = report::drill_text(&done.finished, &done.details);
    if done.finished.verdict == Word::Inconclusive {
        let text = format!(
            "hint: `lifeboat doctor {}` tries what a drill needs of this host: the store and its keys, \
             programs, room in scratch",
            policy.full_name()
        );
        lines.push(Line { tone: Tone::Doubt, text });
    }
    if let Some(searched) = &answer.searched {
        lines.extend(searched.lines());
    }
    app.out.answer(&answer, &styled(&lines))?;
    Ok(done.finished.verdict.into())
}

fn seconds(ms: Option<u64>) -> Option<f64> {
    ms.map(|ms| ms as f64 / 1000.0)
}

impl From<&drill::Searched> for Searched {
    fn from(searched: &drill::Searched) -> Self {
        let drill::Searched { older, tried, found, ended } = searched;
        let found = found.as_ref().map(|drill::Found { drill, untried }| Found {
            snapshot: drill.finished.snapshot,
            record: drill.record.as_ref().map(|record| record.seq),
            data_age_seconds: seconds(drill.finished.data_age_ms),
            untried: *untried,
        });
        Self { older: *older, tried: *tried, found, ended: ended.clone() }
    }
}

impl Searched {
    fn lines(&self) -> Vec<Line> {
        let Self { older, tried, found, ended } = self;
        let mut lines = Vec::new();
        let mut line = |tone, text| lines.push(Line { tone, text });
        match found {
            Some(Found { snapshot: Some(snapshot), data_age_seconds: Some(age), .. }) => {
                let lost = SignedDuration::from_secs(*age as i64);
                let text = format!(
                    "snapshot {} comes back: restoring it would lose the {lost:#} before this drill",
                    snapshot.short()
                );
                line(Tone::Good, text);
            }
            _ => line(Tone::Bad, "no older snapshot was found to come back".to_owned()),
        }
        let untried = found.as_ref().map_or(0, |found| found.untried);
        let newer = match untried {
            0 => String::new(),
            1 => "; one between it and the failed one was not".to_owned(),
            untried => format!("; {untried} between it and the failed one were not"),
        };
        line(
            Tone::Faint,
            match older {
                0 => "  there is no older snapshot".to_owned(),
                older => {
                    format!(
                        "  drilled: {tried} of {}{newer}",
                        Count(*older as u64, "older snapshot")
                    )
                }
            },
        );
        if let Some(ended) = ended {
            line(Tone::Doubt, format!("  the search ended early: {ended}"));
        }
        lines
    }
}
