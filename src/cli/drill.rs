//! `lifeboat drill`: rehearse one recovery now.

use serde::Serialize;

use super::output::styled;
use super::{App, Exit};
use crate::drill;
use crate::ground::digest::Digest;
use crate::ground::ids::RunId;
use crate::ledger::details;
use crate::ledger::record::{Parts, Word};
use crate::policy::DrillName;
use crate::report::{self, Line, Tone};

/// Restore a snapshot into a scratch environment and prove that it is what was captured
///
/// Ends with 0 (pass), 4 (fail) or 5 (inconclusive) once the result is on the ledger.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// What to rehearse: POLICY or CUSTOMER/POLICY (its only drill, or all rungs), or
    /// CUSTOMER/POLICY/DRILL
    drill: DrillName,
    /// Snapshot to restore: an id or the beginning of one [default: as the drill picks]
    #[arg(long, value_name = "ID")]
    snapshot: Option<String>,
}

/// The answer of `drill --json`: the record's own fields, and what it was made of.
#[derive(Debug, Serialize)]
struct Answer<'a> {
    verdict: Word,
    parts: Parts,
    snapshot: Option<Digest>,
    recovery_seconds: Option<f64>,
    data_age_seconds: Option<f64>,
    checks: &'a [details::Check],
    controls: &'a [details::Control],
    reasons: &'a [details::Reason],
    /// What was found damaged and has nothing to do with the recovery point.
    beside: &'a [details::Finding],
    /// The record's number on the ledger; none while it waits in the outbox.
    record: Option<u64>,
    run: RunId,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let setup = app.setup().await?;
    let (policy, drill) = setup.drill(&args.drill)?;
    let rooms = app.rooms(&setup).await?;
    let snapshot = args.snapshot.as_deref();
    let request = drill::Request { setup: &setup, policy, drill, snapshot, slot: None };
    let done = drill::run(request, &rooms).await?;
    let seconds = |ms: Option<u64>| ms.map(|ms| ms as f64 / 1000.0);
    let answer = Answer {
        verdict: done.finished.verdict,
        parts: done.finished.parts,
        snapshot: done.finished.snapshot,
        recovery_seconds: seconds(done.finished.recovery_ms),
        data_age_seconds: seconds(done.finished.data_age_ms),
        checks: &done.details.checks,
        controls: &done.details.controls,
        reasons: &done.details.reasons,
        beside: &done.details.beside,
        record: done.record.as_ref().map(|record| record.seq),
        run: done.finished.run,
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
    app.out.answer(&answer, &styled(&lines))?;
    Ok(done.finished.verdict.into())
}
