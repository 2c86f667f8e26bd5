//! One run: the act, and how it ended.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use super::queue::Task;
use super::trouble::Trouble;
use crate::account::{self, Place, Rooms, journal};
use crate::backup::{self, Published};
use crate::drill::{self, Asked, Campaign, Concluded};
use crate::ground::causes::chain;
use crate::ledger::record::Word;
use crate::policy::{Drill, Policy, Setup};
use crate::report::Lang;
use crate::report::campaign::{Conclusion, statement};
use crate::retain::forget::{self, Forgotten, How};

/// How long retention waits for what else uses the repository.
const WAIT: Duration = Duration::from_secs(60);

/// How a run ended.
#[derive(Debug)]
pub(super) enum End {
    /// It has a result, which is on the ledger or waits in the outbox.
    Done { retention: Option<Retention> },
    /// Its slot had an answer before it began.
    Answered { was_run: bool },
    /// It came to nothing; `is_on_record` where its slot has its answer all the same.
    Failed { trouble: Trouble, is_on_record: bool, error: String },
}

/// What came of the retention after a backup; else why it was not applied.
pub(super) type Retention = Result<(), String>;

/// Runs `task` as `setup` declares it. Once `is_ending` says so, nothing else is begun after it.
pub(super) async fn run(
    task: Task,
    setup: Arc<Setup>,
    rooms: Arc<Rooms>,
    is_ending: Arc<AtomicBool>,
) -> End {
    let Some((policy, drill)) = declared(&task, &setup) else {
        // A reload took it away between its turn and its start.
        return End::Done { retention: None };
    };
    let slot = task.answers.then_some(task.slot);
    let ended = match drill {
        None => backup(&setup, policy, slot, &rooms, &is_ending).await,
        Some(drill) => match reach(&setup, policy).await {
            Ok(()) => {
                let done = rehearse(&setup, policy, drill, slot, &rooms, &is_ending).await;
                done.map(|()| None).map_err(boxed)
            }
            Err(error) => Err(boxed(error)),
        },
    };
    match ended {
        Ok(retention) => End::Done { retention },
        Err(error) => failed(&*error, &task, &rooms).await,
    }
}

async fn backup(
    setup: &Setup,
    policy: &Policy,
    slot: Option<Timestamp>,
    rooms: &Rooms,
    is_ending: &AtomicBool,
) -> Result<Option<Retention>, Box<dyn Error + Send + Sync>> {
    let published = backup::run(setup, policy, slot, rooms).await.map_err(boxed)?;
    let is_complete = published.skipped.is_empty();
    told_of_backup(published);
    if !is_complete || policy.retention.is_none() {
        return Ok(None);
    }
    if is_ending.load(Ordering::Relaxed) {
        tracing::info!("retention is left to the next backup: the daemon is ending");
        return Ok(None);
    }
    Ok(Some(retain(setup, policy, rooms).await))
}

/// Removes what the policy keeps no longer. That the backup is done stands, whatever comes of it: the
/// next one tries again.
async fn retain(setup: &Setup, policy: &Policy, rooms: &Rooms) -> Retention {
    let how = How { wait: WAIT, ..How::default() };
    let error = match forget::run(setup, policy, how, rooms).await {
        Ok(Forgotten { removed, plan, unreadable, refusal: None, .. }) => {
            for (snapshot, error) in &unreadable {
                tracing::warn!(%snapshot, error = chain(error), "stays, for it cannot be read");
            }
            tracing::info!(removed = removed.len(), left = plan.left(), "retention is applied");
            return Ok(());
        }
        Ok(Forgotten { refusal: Some(refusal), .. }) => chain(&refusal),
        Err(error) => chain(&error),
    };
    tracing::error!(policy = policy.full_name(), error, "retention is not applied");
    Err(error)
}

/// Drills what the drill picks or draws, and after a failed one of the latest looks for an older recovery
/// point that would come back.
async fn rehearse(
    setup: &Setup,
    policy: &Policy,
    drill: &Drill,
    slot: Option<Timestamp>,
    rooms: &Rooms,
    is_ending: &AtomicBool,
) -> Result<(), drill::Error> {
    let wanted = match Asked::by(Some(drill)) {
        Asked::One(wanted) => wanted,
        Asked::Sample { drill, size } => {
            let campaign = Campaign { setup, policy, drill, size, seed: None, slot };
            told_of_campaign(&campaign.run(rooms).await?);
            return Ok(());
        }
    };
    let request = drill::Request { setup, policy, drill: Some(drill), wanted, slot };
    let done = drill::run(request, rooms).await?;
    told_of_drill(&done);
    if let Some(searched) = drill::search_back(request, &done, rooms, is_ending).await {
        told_of_search(&searched);
    }
    Ok(())
}

/// A drill of a store out of reach would be inconclusive on record; the daemon rather waits, as
/// long as the slot's time lasts.
async fn reach(setup: &Setup, policy: &Policy) -> Result<(), account::Error> {
    Place::open(setup, setup.customer_of(policy)).await?.reach().await
}

fn declared<'a>(task: &Task, setup: &'a Setup) -> Option<(&'a Policy, Option<&'a Drill>)> {
    let series = &task.series;
    let policy = setup
        .policies
        .iter()
        .find(|policy| policy.customer == series.customer && policy.name == series.policy)?;
    let Some(wanted) = &series.drill else { return Some((policy, None)) };
    let drill = setup.drills_of(policy).find(|drill| drill.name == *wanted)?;
    Some((policy, Some(drill)))
}

fn told_of_backup(published: Published) {
    let Published { run, snapshot, bytes, seconds, skipped, alarm, .. } = published;
    let skipped = skipped.len();
    if skipped == 0 {
        tracing::info!(%run, snapshot = %snapshot.0.short(), bytes, seconds, "backed up");
    } else {
        tracing::warn!(%run, snapshot = %snapshot.0.short(), skipped, "backed up, but incomplete");
    }
    if let Some(alarm) = alarm {
        tracing::error!(%run, error = chain(&alarm), "the ledger is not as it was written");
    }
}

fn told_of_drill(done: &drill::Done) {
    let run = done.finished.run;
    let record = done.record.as_ref().map(|record| record.seq);
    let why: Vec<_> = done.details.reasons.iter().map(|reason| reason.why.as_str()).collect();
    let why = why.join("; ");
    match done.finished.verdict {
        Word::Pass => tracing::info!(%run, record, verdict = "pass", "drilled"),
        Word::Fail => tracing::error!(%run, record, verdict = "fail", why, "drilled"),
        Word::Inconclusive => {
            tracing::warn!(%run, record, verdict = "inconclusive", why, "drilled");
        }
    }
}

fn told_of_campaign(done: &Concluded) {
    let Concluded { started, finished, record, .. } = done;
    let (run, record) = (started.run, record.as_ref().map(|record| record.seq));
    let said = statement(started, Conclusion::Finished(finished), Lang::En);
    match finished.verdict {
        Word::Pass => tracing::info!(%run, record, verdict = "pass", said, "sampled"),
        Word::Fail => tracing::error!(%run, record, verdict = "fail", said, "sampled"),
        Word::Inconclusive => {
            tracing::warn!(%run, record, verdict = "inconclusive", said, "sampled");
        }
    }
}

fn told_of_search(searched: &drill::Searched) {
    let drill::Searched { older, tried, found, ended } = searched;
    match found {
        Some(drill::Found { drill, untried }) => {
            let snapshot = drill.finished.snapshot.map(|snapshot| snapshot.short().to_string());
            let seconds = drill.finished.data_age_ms.map(|ms| ms / 1000);
            tracing::warn!(
                snapshot,
                tried,
                untried,
                older,
                ended,
                data_age_seconds = seconds,
                "an older recovery point comes back"
            );
        }
        None => {
            tracing::error!(tried, older, ended, "no older recovery point was found to come back")
        }
    }
}

async fn failed(error: &(dyn Error + Send + Sync + 'static), task: &Task, rooms: &Rooms) -> End {
    let answered = match error.downcast_ref::<backup::Error>() {
        Some(backup::Error::Account(error)) => answered(error),
        _ => match error.downcast_ref::<drill::Error>() {
            Some(drill::Error::Account(error)) => answered(error),
            _ => None,
        },
    };
    if let Some(was_run) = answered {
        return End::Answered { was_run };
    }
    // Where that is not known, nothing is answered twice.
    let begun = rooms.state.has_begun(&task.series.to_string(), task.slot).await.unwrap_or(true);
    let is_on_record = !task.answers || begun;
    End::Failed { trouble: Trouble::of(error), is_on_record, error: chain(error) }
}

fn answered(error: &account::Error) -> Option<bool> {
    match error {
        account::Error::Journal(journal::Error::Answered { was_run, .. }) => Some(*was_run),
        _ => None,
    }
}

fn boxed(error: impl Error + Send + Sync + 'static) -> Box<dyn Error + Send + Sync> {
    Box::new(error)
}
