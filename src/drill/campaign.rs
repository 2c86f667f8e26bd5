//! A sampling campaign: recovery points are drawn at random and drilled one after the other, so that what
//! they come to says something of all the others.
//!
//! The order is the promise: the population, the seed and what follows from them are on the ledger, and
//! signed, before the first draw is restored. A campaign that was interrupted is aborted on record and
//! never gone on with: whoever draws anew does so in sight.

use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;

use super::{Done, Error, Request, Wanted, sign};
use crate::account::journal::{Act, Kind, Recorded};
use crate::account::{self, Account, Leased, Rooms};
use crate::check::campaign::{CONFIDENCE_PERCENT, Population, Seed, Tally};
use crate::ground::causes::chain;
use crate::ground::digest::Digest;
use crate::ground::ids::RunId;
use crate::ledger::record::{CampaignFinished, CampaignStarted, Draw, Earlier, Record, Word};
use crate::ledger::{canonical, details};
use crate::policy::{Drill, Policy, Setup};

/// How often a drill of the policy that runs already is asked for its end.
const EVERY: Duration = Duration::from_millis(500);

/// What is sampled.
#[derive(Clone, Copy)]
pub struct Campaign<'a> {
    pub setup: &'a Setup,
    pub policy: &'a Policy,
    pub drill: &'a Drill,
    /// How many are drawn; all where there are no more.
    pub size: NonZeroU32,
    /// None: it is drawn here, and the record says so.
    pub seed: Option<&'a OutsideSeed>,
    /// The scheduled time that it answers; none by hand.
    pub slot: Option<Timestamp>,
}

/// A seed from somebody who does not run lifeboat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutsideSeed {
    pub seed: Seed,
    /// Whose it is, in words; goes on record.
    pub from: String,
}

/// A campaign that came to its end.
#[derive(Debug, Clone)]
pub struct Concluded {
    pub started: CampaignStarted,
    pub finished: CampaignFinished,
    /// The drills of the draws, in their order.
    pub drills: Vec<Done>,
    /// Its end on the ledger; none while that waits in the outbox.
    pub record: Option<Record>,
    /// What the ledger says of other campaigns of the drill that began before this one.
    pub earlier: Earlier,
}

impl Campaign<'_> {
    /// Draws, drills and concludes.
    pub async fn run(&self, rooms: &Rooms) -> Result<Concluded, Error> {
        let run = RunId::draw();
        let lease = Leased::take("campaign", &self.policy.full_name(), run, rooms).await?;
        let outcome = self.leased(run, &lease, rooms).await;
        lease.give_back(rooms).await;
        outcome
    }

    async fn leased(&self, run: RunId, lease: &Leased, rooms: &Rooms) -> Result<Concluded, Error> {
        let Self { setup, policy, drill, slot, .. } = *self;
        let account = Account::open(setup, setup.customer_of(policy), rooms).await?;
        if account.signer().is_none() {
            return Err(Error::Unsigned);
        }
        let kind = Kind::Campaign(drill.name.clone());
        let act = Act { policy: policy.name.clone(), kind, run, slot };
        let effective = setup.effective(policy);
        let digest = canonical::digest(&effective).expect("an effective policy holds no floats");
        tracing::info!(phase = "population", %run, policy = policy.full_name());
        let draw = |records: &[Record]| self.draw(run, digest, records);
        let begun = account.journal.begin_campaign(&act, &effective, digest, draw).await;
        let (started, recorded) = begun.map_err(account::Error::from)?;
        account::tell(&recorded, &*rooms.progress);
        match self.drilled(&started, &recorded, &account, lease, rooms).await {
            Ok(drills) => self.conclude(started, drills, &account, rooms).await,
            // Whoever took the lease over wrote that it came to nothing: so be it.
            Err(error @ Error::Account(account::Error::State(_))) => Err(error),
            Err(error) => {
                let recorded = account.journal.aborted(&act, &chain(&error)).await;
                account::tell(&recorded.map_err(account::Error::from)?, &*rooms.progress);
                Err(error)
            }
        }
    }

    /// The record of the draw from all recovery points that `records` name.
    fn draw(
        &self,
        run: RunId,
        policy_digest: Digest,
        records: &[Record],
    ) -> (CampaignStarted, details::Population) {
        let points = account::recovery_points(records, &self.policy.name);
        let all = Population::of(points.into_iter().map(|id| id.0));
        let seed = self.seed.map_or_else(Seed::drawn_here, |outside| outside.seed.clone());
        let started = CampaignStarted {
            policy: self.policy.name.clone(),
            drill: self.drill.name.clone(),
            run,
            slot: self.slot,
            policy_digest,
            population: all.size() as u64,
            population_digest: all.digest(),
            wanted: self.size.get().into(),
            drawn: all.draw(&seed, self.size.get() as usize),
            seed: seed.to_string(),
            seed_from: self.seed.map(|outside| outside.from.clone()),
            // The journal sets it.
            details: Digest::ZERO,
        };
        let population = details::Population {
            format: details::FORMAT,
            lifeboat: env!("CARGO_PKG_VERSION").to_owned(),
            run,
            snapshots: all.snapshots().copied().collect(),
        };
        (started, population)
    }

    /// Signs the draw and drills it.
    async fn drilled(
        &self,
        started: &CampaignStarted,
        recorded: &Recorded,
        account: &Account,
        lease: &Leased,
        rooms: &Rooms,
    ) -> Result<Vec<Done>, Error> {
        self.is_of_all(started, recorded, account).await?;
        tracing::info!(phase = "seal", run = %started.run);
        account.sign(rooms).await?;
        let mut drills = Vec::new();
        for (nth, snapshot) in started.drawn.iter().enumerate() {
            lease.renew().await?;
            rooms.check_interrupted()?;
            tracing::info!(phase = "draw", run = %started.run, nth = nth + 1);
            rooms.progress.note(&format!(
                "campaign: draw {} of {}, snapshot {}",
                nth + 1,
                started.drawn.len(),
                snapshot.short()
            ));
            let draw = Draw { campaign: started.run, snapshot: *snapshot };
            drills.push(self.rehearse(draw, started.population, rooms).await?);
        }
        lease.renew().await?;
        Ok(drills)
    }

    /// Fails where somebody published or removed recovery points between the look at the ledger and the
    /// record: the draw would not be of all that the ledger names by then.
    async fn is_of_all(
        &self,
        started: &CampaignStarted,
        recorded: &Recorded,
        account: &Account,
    ) -> Result<(), Error> {
        let seq = recorded.records.last().map_or(0, |record| record.seq);
        let mut records = account.seen_records().await?;
        records.retain(|record| record.seq < seq);
        let points = account::recovery_points(&records, &self.policy.name);
        let all = Population::of(points.into_iter().map(|id| id.0));
        if all.digest() == started.population_digest { Ok(()) } else { Err(Error::Overtaken) }
    }

    /// Drills one draw, once no other drill of the policy runs.
    async fn rehearse(&self, draw: Draw, population: u64, rooms: &Rooms) -> Result<Done, Error> {
        let Self { setup, policy, drill, .. } = *self;
        let wanted = Wanted::Drawn { draw, population };
        let request = Request { setup, policy, drill: Some(drill), wanted, slot: None };
        let mut is_told = false;
        loop {
            let waits_for = match super::run(request, rooms).await {
                Err(Error::Account(error @ account::Error::Running { .. })) => chain(&error),
                ended => return ended,
            };
            if !std::mem::replace(&mut is_told, true) {
                rooms.progress.note(&format!("waiting: {waits_for}"));
            }
            rooms.unless_interrupted(tokio::time::sleep(EVERY)).await?;
        }
    }

    async fn conclude(
        &self,
        started: CampaignStarted,
        drills: Vec<Done>,
        account: &Account,
        rooms: &Rooms,
    ) -> Result<Concluded, Error> {
        tracing::info!(phase = "conclude", run = %started.run);
        let tally = Tally::of(&started.drawn, |snapshot| word_of(snapshot, &drills));
        let finished = CampaignFinished {
            policy: started.policy.clone(),
            drill: started.drill.clone(),
            run: started.run,
            slot: started.slot,
            population: started.population,
            drawn: tally.drawn(),
            passed: tally.passed,
            failed: tally.failed,
            inconclusive: tally.inconclusive,
            verdict: tally.word(),
            at_least: tally.at_least(started.population),
            confidence_percent: CONFIDENCE_PERCENT,
            // The journal sets it.
            signed: None,
        };
        let recorded = account.journal.campaign_finished(finished.clone()).await;
        let recorded = recorded.map_err(account::Error::from)?;
        account::tell(&recorded, &*rooms.progress);
        sign(account, &recorded, finished.verdict, rooms).await?;
        let earlier = Earlier::than(&started, &account.seen_records().await?);
        let record = recorded.records.into_iter().next_back();
        Ok(Concluded { started, finished, drills, record, earlier })
    }
}

fn word_of(snapshot: &Digest, drills: &[Done]) -> Option<Word> {
    let of = |done: &&Done| done.finished.draw.is_some_and(|draw| draw.snapshot == *snapshot);
    drills.iter().find(of).map(|done| done.finished.verdict)
}
