//! The journal: how acts write down what they do.
//!
//! In: what an act has to say. Out: records on the customer's ledger, or, while that is out of
//! reach, in this host's outbox. Before a run says anything of its own, the policy's past is
//! settled: slots that nobody ran, runs that nobody ended. Knows nothing of how an act works.
//!
//! What a living daemon of this host serves is its own to answer: others write that a slot was due
//! and never that it was missed, for the daemon may be about to run it.

mod act;
mod campaign;
mod past;
mod rival;
mod settle;
pub mod slots;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

pub use act::{Act, Kind, unfinished};
use past::{newest_version, push};
pub use rival::Rival;
pub use settle::{Declared, Settled};
use slots::{Answer, Slot};

use crate::ground::clock::Clock;
use crate::ground::digest::Digest;
use crate::ground::ids::Name;
use crate::ledger::outbox::{self, DeliverError, Outbox, Pen};
use crate::ledger::record::{Actor, BackupFinished, Body, DrillFinished, Event, Record};
use crate::ledger::sign::Signer;
use crate::ledger::{self, Checkpoint, Ledger, Remembered, canonical, details};
use crate::state::{self, State};

/// Records of one segment: what a year of slots is cut into.
const BATCH: usize = 1000;

/// Why something could be written down nowhere.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the record can be kept neither on the ledger nor in the outbox")]
    Outbox(#[from] outbox::Error),
    /// No place would take it: it is not a record.
    #[error("the ledger cannot hold the record")]
    NotARecord(#[source] ledger::Error),
    #[error("cannot look up in the state what runs on this host")]
    State(#[from] state::Error),
    /// Nothing was written: a slot is answered once.
    #[error("the slot {slot} has its answer already: {}", if *was_run { "a run" } else { "missed" })]
    Answered { slot: Timestamp, was_run: bool },
    #[error("the ledger cannot be read now")]
    Unread(#[source] Held),
    /// It must be there before the deed; nothing was done.
    #[error("it cannot be put on the ledger now")]
    NotOnLedger(#[source] Held),
}

/// Whether the customer's ledger can be written.
#[derive(Debug)]
pub enum Reach {
    Ledger(Box<Ledger>),
    /// The store is out of reach, or no key opens the repository: everything waits.
    Beyond {
        why: String,
    },
}

/// Why records wait in the outbox.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Held {
    #[error("the ledger cannot be opened: {why}")]
    Beyond { why: String },
    #[error("the ledger takes no records")]
    Ledger(#[from] ledger::Error),
    #[error("earlier records still wait")]
    Earlier(#[from] DeliverError),
}

/// What became of what was to be written down.
#[derive(Debug, Default)]
pub struct Recorded {
    /// What this call put on the ledger; nothing where it waits in the outbox.
    pub records: Vec<Record>,
    /// Why it waits in the outbox, if it does.
    pub held: Option<Held>,
    /// What a person should be told, one sentence each.
    pub warnings: Vec<String>,
}

/// Writes down what acts do for one customer.
pub struct Journal {
    customer: Name,
    reach: Reach,
    outbox: Outbox,
    clock: Arc<dyn Clock>,
    actor: Actor,
    state: State,
}

/// What is to be written, all at one time.
#[derive(Debug)]
struct Entry {
    /// Also the moment up to which slots were settled: none may fall between.
    time: Timestamp,
    bodies: Vec<Body>,
    /// The details that they name, as JSON text.
    details: Vec<String>,
}

impl Journal {
    /// A journal in which `actor` writes for `customer`.
    pub fn open(
        customer: Name,
        reach: Reach,
        outbox: Outbox,
        clock: Arc<dyn Clock>,
        actor: Actor,
        state: State,
    ) -> Self {
        Self { customer, reach, outbox, clock, actor, state }
    }

    /// The ledger, where it can be reached.
    pub fn ledger(&self) -> Option<&Ledger> {
        match &self.reach {
            Reach::Ledger(ledger) => Some(ledger),
            Reach::Beyond { .. } => None,
        }
    }

    /// Writes that `act` starts, after settling its policy's past: slots that nobody ran, this
    /// host's runs that no living process holds a lease for, the policy version if it is a new one,
    /// and that the act's own slot was due. To be called before the act does anything but read.
    ///
    /// `effective` is the policy as it is carried out, `digest` the SHA-256 of its canonical JSON.
    /// Fails with [`Error::Answered`] where a run answered the slot before, or it was missed.
    pub async fn begin(
        &self,
        act: &Act,
        effective: &Value,
        digest: Digest,
    ) -> Result<Recorded, Error> {
        let declared = Declared { policy: &act.policy, effective, digest };
        let _pen = self.pen().await?;
        let mut recorded = Recorded::default();
        let known = self.catch_up(&mut recorded).await;
        let opening = self.opening(act, declared, known.as_deref(), &mut recorded).await?;
        let (time, mut bodies) = opening;
        bodies.extend(act.started(digest));
        self.write(Entry { time, bodies, details: Vec::new() }, recorded).await
    }

    /// Takes the slot that `act` answers; answers what is to be written before it, and the moment up to
    /// which that settles the past.
    async fn opening(
        &self,
        act: &Act,
        declared: Declared<'_>,
        known: Option<&[Record]>,
        recorded: &mut Recorded,
    ) -> Result<(Timestamp, Vec<Body>), Error> {
        let policy = declared.policy;
        let answers = act.answers();
        let mut bodies = Vec::new();
        if let Some(slot) = &answers {
            self.claim(policy, slot, known).await?;
        }
        let time = self.clock.now();
        match known {
            Some(records) => {
                let rival = Rival::of(records, policy, &self.actor.host, time);
                recorded.warnings.extend(rival.map(|rival| rival.to_string()));
                bodies.extend(self.aborted_by_death(records, policy, Some(act)).await?);
                let served = self.served().await;
                // A daemon that runs a slot has let go of those before it.
                let is_lost = |slot: &Slot| match &answers {
                    _ if !served.contains(policy) => true,
                    Some(own) => slot.drill == own.drill && slot.time < own.time,
                    None => false,
                };
                let owed = slots::owed(records, policy, time, answers.as_ref(), is_lost);
                push(&mut bodies, owed, recorded);
                self.due_of_others(records, policy, &served, time, &mut bodies, recorded);
                bodies.extend(declared.version_after(records));
            }
            // Whether the version is new cannot be known now; saying it twice does no harm.
            None => bodies.push(declared.version()),
        }
        Ok((time, bodies))
    }

    /// Takes `slot` for a run, once and for all.
    async fn claim(
        &self,
        policy: &Name,
        slot: &Slot,
        known: Option<&[Record]>,
    ) -> Result<(), Error> {
        let answer = known.and_then(|records| slots::answer(records, policy, slot));
        let was_run = match answer {
            Some(answer) => answer == Answer::Run,
            None if self.state.begin_slot(&self.series(policy, slot), slot.time).await? => {
                return Ok(());
            }
            None => true,
        };
        Err(Error::Answered { slot: slot.time, was_run })
    }

    /// Writes that a backup published a snapshot. `finished.details` is set to what is stored.
    pub async fn backup_finished(
        &self,
        mut finished: BackupFinished,
        details: &details::Backup,
    ) -> Result<Recorded, Error> {
        let details = details::to_text(details).map_err(Error::NotARecord)?;
        finished.details = Digest::of(details.as_bytes());
        let policy = finished.policy.clone();
        self.finish(&policy, Body::BackupFinished(finished), vec![details]).await
    }

    /// Writes how a drill ended. `finished.details` is set to what is stored, `finished.signed` to
    /// what this host signed last. To be signed next, see [`Self::sign`].
    pub async fn drill_finished(
        &self,
        mut finished: DrillFinished,
        details: &details::Drill,
    ) -> Result<Recorded, Error> {
        let details = details::to_text(details).map_err(Error::NotARecord)?;
        finished.details = Digest::of(details.as_bytes());
        finished.signed = self.signed_last().await?;
        let policy = finished.policy.clone();
        self.finish(&policy, Body::DrillFinished(finished), vec![details]).await
    }

    /// The last checkpoint of the ledger that this host signed: records that name it are what a
    /// checkpoint that goes missing is missed by.
    async fn signed_last(&self) -> Result<Option<Remembered>, Error> {
        let Reach::Ledger(ledger) = &self.reach else { return Ok(None) };
        let signed = self.state.newest_checkpoint(&ledger.place()).await?;
        Ok(signed.map(|(size, root)| Remembered { size, root }))
    }

    /// Writes that `act` ended without a result. The reason holds no secrets.
    pub async fn aborted(&self, act: &Act, reason: &str) -> Result<Recorded, Error> {
        self.finish(&act.policy, act.aborted(reason), Vec::new()).await
    }

    /// Writes that nobody shall expect anything of `policy` any more: its slots are settled up to
    /// now, and none is due from here on. False, and nothing written, where none is due already.
    pub async fn retire(&self, policy: &Name) -> Result<(bool, Recorded), Error> {
        let mut recorded = Recorded::default();
        let known = self.catch_up(&mut recorded).await;
        if known.is_some_and(|records| newest_version(&records, policy).is_none()) {
            return Ok((false, recorded));
        }
        let retired = Body::PolicyRetired { policy: policy.clone() };
        Ok((true, self.finish(policy, retired, Vec::new()).await?))
    }

    /// Writes down what is neither a backup nor a drill, e.g. a restore.
    pub async fn record(&self, bodies: Vec<Body>) -> Result<Recorded, Error> {
        let mut recorded = Recorded::default();
        self.deliver(&mut recorded).await;
        let entry = Entry { time: self.clock.now(), bodies, details: Vec::new() };
        self.write(entry, recorded).await
    }

    /// Delivers what waits in the outbox; fails where the ledger does not take all of it now.
    pub async fn deliver_all(&self) -> Result<(), Error> {
        let mut recorded = Recorded::default();
        self.deliver(&mut recorded).await;
        match recorded.held {
            Some(held) => Err(Error::NotOnLedger(held)),
            None => Ok(()),
        }
    }

    /// Writes down what is about to be done and must not be done otherwise: unlike [`Self::record`]
    /// it fails, and keeps nothing for later, where the ledger does not take it now. Details first.
    pub async fn record_before(
        &self,
        bodies: Vec<Body>,
        details: Vec<String>,
    ) -> Result<(), Error> {
        self.deliver_all().await?;
        let ledger = match &self.reach {
            Reach::Ledger(ledger) => ledger,
            Reach::Beyond { why } => {
                return Err(Error::NotOnLedger(Held::Beyond { why: why.clone() }));
            }
        };
        let time = self.clock.now();
        let event = |body| Event { time, actor: self.actor.clone(), body };
        let events: Vec<_> = bodies.into_iter().map(event).collect();
        let appended = append(ledger, &events, &details, &mut Vec::new()).await;
        appended.map_err(|error| Error::NotOnLedger(error.into()))
    }

    /// Signs the ledger as it is now; the caller keeps [`Checkpoint::remembered`] in its state and
    /// hands it in the next time. `None` where the ledger cannot be opened.
    ///
    /// [`ledger::Error::Inconsistent`] and [`ledger::Error::Broken`] are alarms.
    pub async fn sign(
        &self,
        signer: &Signer,
        remembered: Option<Remembered>,
    ) -> Result<Option<Checkpoint>, ledger::Error> {
        match &self.reach {
            Reach::Ledger(ledger) => ledger.checkpoint(signer, remembered).await.map(Some),
            Reach::Beyond { .. } => Ok(None),
        }
    }

    /// Writes the end of a run, with the slots that passed meanwhile: a checkpoint that follows
    /// then covers every slot up to its own time.
    async fn finish(
        &self,
        policy: &Name,
        end: Body,
        details: Vec<String>,
    ) -> Result<Recorded, Error> {
        let _pen = self.pen().await?;
        let mut recorded = Recorded::default();
        let mut bodies = Vec::new();
        let known = self.catch_up(&mut recorded).await;
        let time = self.clock.now();
        if let Some(records) = &known {
            let served = self.served().await;
            let owed = slots::owed(records, policy, time, None, |_| !served.contains(policy));
            push(&mut bodies, owed, &mut recorded);
            self.due_of_others(records, policy, &served, time, &mut bodies, &mut recorded);
        }
        bodies.push(end);
        self.write(Entry { time, bodies, details }, recorded).await
    }

    async fn pen(&self) -> Result<Pen, Error> {
        Ok(self.outbox.pen(&self.customer).await?)
    }

    /// Delivers what waits and reads the ledger; `None` where that cannot be, as `recorded` says.
    async fn catch_up(&self, recorded: &mut Recorded) -> Option<Vec<Record>> {
        self.deliver(recorded).await;
        let Reach::Ledger(ledger) = &self.reach else { return None };
        if recorded.held.is_some() {
            return None;
        }
        match ledger.read_quickly().await {
            Ok(reading) => {
                let more = reading.faults.len().saturating_sub(1);
                let told = reading.faults.first().map(|fault| {
                    format!("ledger record {}: {} ({more} more)", fault.seq, fault.what)
                });
                // A run looks before and after it; once is enough.
                let told = told.filter(|told| !recorded.warnings.contains(told));
                recorded.warnings.extend(told);
                Some(reading.lines.into_iter().map(|line| line.record).collect())
            }
            Err(error) => {
                recorded.held = Some(error.into());
                None
            }
        }
    }

    async fn deliver(&self, recorded: &mut Recorded) {
        match &self.reach {
            Reach::Beyond { why } => recorded.held = Some(Held::Beyond { why: why.clone() }),
            Reach::Ledger(ledger) => match self.outbox.deliver(&self.customer, ledger).await {
                Ok(delivered) => recorded.warnings.extend(delivered.damaged.iter().map(|path| {
                    format!("{} in the outbox is damaged: its records are lost", path.display())
                })),
                Err(error) => recorded.held = Some(error.into()),
            },
        }
    }

    /// Puts an entry on the ledger, its details first; into the outbox where that fails or
    /// `recorded` already says that it must.
    async fn write(&self, entry: Entry, mut recorded: Recorded) -> Result<Recorded, Error> {
        let Entry { time, bodies, details } = entry;
        let event = |body| Event { time, actor: self.actor.clone(), body };
        let events: Vec<_> = bodies.into_iter().map(event).collect();
        for event in &events {
            canonical::to_vec(event).map_err(|error| Error::NotARecord(error.into()))?;
        }
        if let (Reach::Ledger(ledger), None) = (&self.reach, &recorded.held) {
            match append(ledger, &events, &details, &mut recorded.records).await {
                Ok(()) => return Ok(recorded),
                Err(error) => recorded.held = Some(error.into()),
            }
        }
        let rest = events[recorded.records.len()..].to_vec();
        if rest.is_empty() {
            return Ok(recorded);
        }
        self.outbox.hold(&self.customer, rest, details).await?;
        Ok(recorded)
    }
}

async fn append(
    ledger: &Ledger,
    events: &[Event],
    details: &[String],
    records: &mut Vec<Record>,
) -> Result<(), ledger::Error> {
    for details in details {
        ledger.put_details(details).await?;
    }
    for batch in events.chunks(BATCH) {
        records.extend(ledger.append(batch.to_vec()).await?);
    }
    Ok(())
}
