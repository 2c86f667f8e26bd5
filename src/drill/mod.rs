//! The way back: rehearse one recovery, judge it, and write down how it went.
//!
//! In: a policy with one of its drills, the customer's account. Out: a verdict on the ledger. All
//! that goes wrong with data or environment becomes an outcome of the declared plan; `Err` means
//! that there is no verdict: no key opens the repository, it is missing, or no record could be kept.

mod assertions;
mod campaign;
mod controls;
mod examine;
mod fetch;
mod independent;
mod pick;
mod point;
mod programs;
mod queue;
mod search_back;
mod starting;
mod up;
mod wanted;
mod write_down;

pub use campaign::{Campaign, Concluded, OutsideSeed};
pub use independent::find_restic;
pub use search_back::{Found, Searched, search_back};
pub use wanted::{Asked, Wanted};

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::Instrument as _;

use self::fetch::Came;
use crate::account::journal::{self, Act, Recorded};
use crate::account::{self, Account, Leased, Rooms};
use crate::check::{Completeness, Id, Measured, Outcomes, Plan, Verdict, Why};
use crate::ground::causes::chain;
use crate::ground::digest::Digest;
use crate::ground::ids::RunId;
use crate::ledger::record::{DrillFinished, Record, Word};
use crate::ledger::{canonical, details};
use crate::policy::sources::Equality;
use crate::policy::{Drill, Policy, Setup, Upgrade};
use crate::repo;
use crate::sandbox::{self, Scratch};
use crate::source::Kind;

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error(transparent)]
    Account(#[from] account::Error),
    #[error("cannot make a scratch environment")]
    Scratch(#[from] sandbox::Error),
    #[error(transparent)]
    Interrupted(#[from] account::Interrupted),
    #[error(
        "the site declares no signing key, and without one nobody can see what was drawn before it is restored"
    )]
    Unsigned,
    #[error("recovery points came or went while they were drawn from")]
    Overtaken,
    #[error("a thread of the drill ended early")]
    Thread(#[source] tokio::task::JoinError),
}

/// What is rehearsed.
#[derive(Clone, Copy)]
pub struct Request<'a> {
    pub setup: &'a Setup,
    pub policy: &'a Policy,
    /// None: all rungs, without a declared drill.
    pub drill: Option<&'a Drill>,
    pub wanted: Wanted<'a>,
    /// The scheduled time that this run answers; none by hand.
    pub slot: Option<Timestamp>,
}

impl Request<'_> {
    /// How the ledger knows it.
    fn kind(&self) -> journal::Kind {
        let drill = self.drill.map(|drill| drill.name.clone());
        match (self.wanted.draw(), drill) {
            (Some(draw), Some(drill)) => journal::Kind::Draw { drill, draw },
            (_, drill) => journal::Kind::Drill(drill),
        }
    }

    /// The most that scratch environments may hold.
    fn most_bytes(&self) -> Option<u64> {
        self.setup.site.scratch.max.map(|size| size.0)
    }

    /// What is brought up on a newer major version than its own; usually nothing.
    fn upgrades(&self) -> &[Upgrade] {
        self.drill.map_or(&[][..], |drill| &drill.upgrades)
    }

    /// Everything this drill declares, before anything runs.
    fn plan(&self) -> Plan {
        let checks = self.drill.map_or(&[][..], |drill| &drill.checks);
        let objectives = crate::check::Objectives {
            rto: self.policy.objectives.rto,
            rpo: self.policy.objectives.rpo,
            picks_latest: self.wanted == Wanted::Latest,
        };
        let plan = Plan::new(
            self.policy.sources.iter().map(|source| (&source.name, Kind::of(&source.kind))),
            checks.iter().map(|check| check.name.as_str()),
            objectives,
            self.drill.is_some_and(|drill| drill.controls),
        )
        .upgrading(self.upgrades().iter().map(|one| &one.source))
        .waiving(self.policy.sources.iter().filter_map(|source| match &source.equality {
            Equality::Required => None,
            Equality::NotRequired { reason } => Some((&source.name, reason.as_str())),
        }));
        if self.is_independent() { plan.independently() } else { plan }
    }

    /// Whether other programs restore the same once more.
    fn is_independent(&self) -> bool {
        self.drill.is_some_and(|drill| drill.independent)
    }
}

/// A drill that is on record.
#[derive(Debug, Clone)]
pub struct Done {
    pub finished: DrillFinished,
    pub details: details::Drill,
    /// Its place on the ledger; none while it waits in the outbox.
    pub record: Option<Record>,
}

/// Rehearses once.
pub async fn run(request: Request<'_>, rooms: &Rooms) -> Result<Done, Error> {
    let Request { setup, policy, .. } = request;
    let run = RunId::draw();
    let lease = Leased::take("drill", &policy.full_name(), run, rooms).await?;
    // A scratch folder that is of no use is found again by the drill itself, and goes on record.
    if let Err(error) = account::sweep(setup, rooms).await {
        rooms.progress.note(&chain(&error));
    }
    let act = Act { policy: policy.name.clone(), kind: request.kind(), run, slot: request.slot };
    let outcome = match Account::open(setup, setup.customer_of(policy), rooms).await {
        Ok(account) => {
            let span = tracing::info_span!("drill", policy = policy.full_name(), %run);
            rehearse(request, &act, &account, &lease, rooms).instrument(span).await
        }
        Err(error) => without_account(request, &act, error, rooms).await,
    };
    lease.give_back(rooms).await;
    outcome
}

/// The drill itself, once the repository is open.
async fn rehearse(
    request: Request<'_>,
    act: &Act,
    account: &Account,
    lease: &Leased,
    rooms: &Rooms,
) -> Result<Done, Error> {
    let Request { setup, policy, .. } = request;
    let effective = setup.effective(policy);
    let digest = canonical::digest(&effective).expect("an effective policy holds no floats");
    tracing::info!(phase = "begin", run = %act.run, policy = policy.full_name());
    let recorded = account.begin(act, &effective, digest).await?;
    account::tell(&recorded, &*rooms.progress);

    let mut rehearsal = Rehearsal::new(request.plan(), rooms.clock.now());
    let made = account::scratch(&setup.site.scratch, rooms);
    let scratch = match made {
        Ok(scratch) => Some(Arc::new(scratch)),
        Err(error) => {
            rehearsal.not_run(Id::Integrity, Why::Environment, &chain(&Error::Scratch(error)));
            None
        }
    };
    if let Some(scratch) = &scratch {
        let mut came = fetch::run(request, account, scratch, &mut rehearsal, rooms).await?;
        while let Came::Crowded(bytes) = came
            && rooms.check_interrupted().is_ok()
        {
            rehearsal = queue::wait(request, scratch, bytes, rehearsal, rooms).await;
            came = fetch::run(request, account, scratch, &mut rehearsal, rooms).await?;
        }
        if let Came::Out(fetched, starting) = came {
            lease.renew().await?;
            rehearsal =
                examine::run(request, *fetched, starting, scratch, rehearsal, rooms).await?;
        }
    }
    // Whoever took the lease over wrote that this run came to nothing: so be it.
    lease.renew().await?;
    if let Err(interrupted) = rooms.check_interrupted() {
        let recorded = account.journal.aborted(act, "interrupted").await;
        account::tell(&recorded.map_err(account::Error::from)?, &*rooms.progress);
        return Err(interrupted.into());
    }

    tracing::info!(phase = "teardown", run = %act.run);
    rooms.progress.phase("clean up", None);
    let leftovers = match scratch {
        Some(scratch) => tear_down(scratch).await?,
        None => Vec::new(),
    };
    let verdict = rehearsal.judge(&leftovers);

    tracing::info!(phase = "record", run = %act.run);
    lease.renew().await?;
    let (finished, details) =
        write_down::compose(request, act, digest, &rehearsal, &verdict, rooms);
    let recorded = account.journal.drill_finished(finished.clone(), &details).await;
    let recorded = recorded.map_err(account::Error::from)?;
    account::tell(&recorded, &*rooms.progress);
    sign(account, &recorded, finished.verdict, rooms).await?;
    let record = recorded.records.into_iter().next_back();
    let finished = write_down::as_recorded(record.as_ref()).unwrap_or(finished);
    Ok(Done { finished, details, record })
}

/// Signs what was just `recorded`, unless it waits in the outbox.
async fn sign(
    account: &Account,
    recorded: &Recorded,
    verdict: Word,
    rooms: &Rooms,
) -> Result<(), Error> {
    if recorded.held.is_some() {
        return Ok(());
    }
    match account.sign(rooms).await {
        // The record is made and tells of a ledger in disorder; nothing passed.
        Err(error @ account::Error::Checkpoint(_)) if verdict != Word::Pass => {
            rooms.progress.note(&chain(&error));
        }
        // Out of reach: the next drill signs what this one wrote.
        Err(account::Error::Checkpoint(error)) if error.is_out_of_reach() => {
            rooms.progress.note(&chain(&error));
        }
        signed => signed?,
    }
    Ok(())
}

/// The repository could not be opened. A wrong key and a missing repository fail the drill on
/// record and are the caller's error, damaged keys and a damaged configuration fail it; a store out
/// of reach is inconclusive.
async fn without_account(
    request: Request<'_>,
    act: &Act,
    error: account::Error,
    rooms: &Rooms,
) -> Result<Done, Error> {
    let Request { setup, policy, .. } = request;
    let (fails, is_error) = match &error {
        account::Error::Repository { source, .. } => match source {
            repo::OpenError::Missing { .. } | repo::OpenError::WrongPassword => (true, true),
            source => (source.is_damage(), false),
        },
        account::Error::Store { .. } => (false, false),
        _ => return Err(error.into()),
    };
    let effective = setup.effective(policy);
    let digest = canonical::digest(&effective).expect("an effective policy holds no floats");
    let customer = setup.customer_of(policy);
    let why = chain(&error);
    let journal = account::journal_beyond(customer, rooms, why.clone())?;
    let recorded = journal.begin(act, &effective, digest).await;
    account::tell(&recorded.map_err(account::Error::from)?, &*rooms.progress);
    let mut rehearsal = Rehearsal::new(request.plan(), rooms.clock.now());
    if fails {
        rehearsal.broke(Id::Integrity, "repository", &why);
    } else {
        rehearsal.not_run(Id::Integrity, Why::Environment, &why);
    }
    let verdict = rehearsal.judge(&[]);
    let (finished, details) =
        write_down::compose(request, act, digest, &rehearsal, &verdict, rooms);
    let recorded = journal.drill_finished(finished.clone(), &details).await;
    account::tell(&recorded.map_err(account::Error::from)?, &*rooms.progress);
    if is_error { Err(error.into()) } else { Ok(Done { finished, details, record: None }) }
}

/// What a drill found so far.
struct Rehearsal {
    plan: Plan,
    outcomes: Outcomes,
    started: Timestamp,
    checks: Vec<details::Check>,
    phases: Vec<details::Phase>,
    sources: Vec<details::SourceRecovered>,
    controls: Vec<crate::check::ControlResult>,
    injured: Vec<String>,
    independent: Option<details::Independent>,
    skipped: Vec<details::Finding>,
    not_covered: Vec<details::NotCovered>,
    beside: Vec<details::Finding>,
    point: Option<details::Point>,
    /// The point that was meant, where that one cannot be had.
    instead_of: Option<Digest>,
    confinement: Option<String>,
    measured: Measured,
    completeness: Completeness,
    /// How long it waited for others before it began.
    queued: Duration,
}

impl Rehearsal {
    fn new(plan: Plan, started: Timestamp) -> Self {
        Self {
            outcomes: Outcomes::new(&plan),
            plan,
            started,
            checks: Vec::new(),
            phases: Vec::new(),
            sources: Vec::new(),
            controls: Vec::new(),
            injured: Vec::new(),
            independent: None,
            skipped: Vec::new(),
            not_covered: Vec::new(),
            beside: Vec::new(),
            point: None,
            instead_of: None,
            confinement: None,
            measured: Measured::default(),
            completeness: Completeness::Complete,
            queued: Duration::ZERO,
        }
    }

    fn judge(&self, leftovers: &[String]) -> Verdict {
        Verdict::of(
            &self.plan,
            &self.outcomes,
            &self.controls,
            self.measured,
            &self.completeness,
            leftovers,
        )
    }
}

/// Removes the scratch environment; answers what could not be.
async fn tear_down(scratch: Arc<Scratch>) -> Result<Vec<String>, Error> {
    let place = scratch.dir().display().to_string();
    let removed = tokio::task::spawn_blocking(move || match Arc::try_unwrap(scratch) {
        Ok(scratch) => scratch.remove().map_err(|leftover| leftover.to_string()),
        Err(_) => Err(place),
    })
    .await
    .map_err(Error::Thread)?;
    Ok(removed.err().into_iter().collect())
}
