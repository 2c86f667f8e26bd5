//! The journal: how acts write down what they do.
//!
//! In: what an act has to say. Out: records on the customer's ledger, or, while that is out of
//! reach, in this host's outbox. Before a run says anything of its own, the policy's past is
//! settled: slots that nobody ran, runs that nobody ended. Knows nothing of how an act works.

mod act;
pub mod slots;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

pub use act::{Act, Kind};
use slots::Unreadable;

use crate::ground::causes::chain;
use crate::ground::clock::Clock;
use crate::ground::digest::Digest;
use crate::ground::ids::{Name, RunId};
use crate::ledger::outbox::{self, DeliverError, Outbox};
use crate::ledger::record::{Actor, BackupFinished, Body, DrillFinished, Event, Record};
use crate::ledger::sign::Signer;
use crate::ledger::{self, Checkpoint, Ledger, Remembered, canonical, details};

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
}

/// Whether the customer's ledger can be written.
#[derive(Debug)]
pub enum Reach {
    Ledger(Ledger),
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
    ) -> Self {
        Self { customer, reach, outbox, clock, actor }
    }

    /// The ledger, where it can be reached.
    pub fn ledger(&self) -> Option<&Ledger> {
        match &self.reach {
            Reach::Ledger(ledger) => Some(ledger),
            Reach::Beyond { .. } => None,
        }
    }

    /// Writes that `act` starts, after settling its policy's past: slots that nobody ran, this
    /// host's runs whose process is gone (`is_alive` tells), the policy version if it is a new one,
    /// and that the act's own slot was due. To be called before the act does anything.
    ///
    /// `effective` is the policy as it is carried out, `digest` the SHA-256 of its canonical JSON.
    pub async fn begin(
        &self,
        act: &Act,
        effective: &Value,
        digest: Digest,
        is_alive: impl Fn(RunId) -> bool,
    ) -> Result<Recorded, Error> {
        let policy = &act.policy;
        let version =
            Body::PolicyVersion { policy: policy.clone(), digest, effective: effective.clone() };
        let answers = act.answers();
        let mut recorded = Recorded::default();
        let mut bodies = Vec::new();
        let known = self.catch_up(&mut recorded).await;
        let time = self.clock.now();
        match known.as_deref() {
            Some(records) => {
                let gone = act::unfinished(records, policy, &self.actor.host).into_iter();
                let gone = gone.filter(|gone| gone.run != act.run && !is_alive(gone.run));
                bodies.extend(gone.map(|gone| gone.aborted("its process ended without a record")));
                let answers = answers.as_ref();
                match slots::owed(records, policy, time, answers) {
                    Ok(owed) => bodies.extend(owed),
                    Err(error) => recorded.warnings.push(unsettled(&error)),
                }
                if newest_version(records, policy) != Some(digest) {
                    bodies.push(version);
                }
            }
            // Whether the version is new cannot be known now; saying it twice does no harm.
            None => bodies.push(version),
        }
        bodies.push(act.started(digest));
        self.write(Entry { time, bodies, details: Vec::new() }, recorded).await
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

    /// Writes how a drill ended. `finished.details` is set to what is stored. To be signed next,
    /// see [`Self::sign`].
    pub async fn drill_finished(
        &self,
        mut finished: DrillFinished,
        details: &details::Drill,
    ) -> Result<Recorded, Error> {
        let details = details::to_text(details).map_err(Error::NotARecord)?;
        finished.details = Digest::of(details.as_bytes());
        let policy = finished.policy.clone();
        self.finish(&policy, Body::DrillFinished(finished), vec![details]).await
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
        let mut recorded = Recorded::default();
        let mut bodies = Vec::new();
        let known = self.catch_up(&mut recorded).await;
        let time = self.clock.now();
        match known.map(|records| slots::owed(&records, policy, time, None)) {
            Some(Ok(owed)) => bodies = owed,
            Some(Err(error)) => recorded.warnings.push(unsettled(&error)),
            None => {}
        }
        bodies.push(end);
        self.write(Entry { time, bodies, details }, recorded).await
    }

    /// Delivers what waits and reads the ledger; `None` where that cannot be, as `recorded` says.
    async fn catch_up(&self, recorded: &mut Recorded) -> Option<Vec<Record>> {
        self.deliver(recorded).await;
        let Reach::Ledger(ledger) = &self.reach else { return None };
        if recorded.held.is_some() {
            return None;
        }
        match ledger.read().await {
            Ok(reading) => {
                let more = reading.faults.len().saturating_sub(1);
                recorded.warnings.extend(reading.faults.first().map(|fault| {
                    format!("ledger record {}: {} ({more} more)", fault.seq, fault.what)
                }));
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

fn unsettled(error: &Unreadable) -> String {
    format!("past slots are not settled: {}", chain(error))
}

/// The version of `policy` that is in force; none where it was retired, or never was.
fn newest_version(records: &[Record], policy: &Name) -> Option<Digest> {
    let versions = records.iter().filter_map(|record| match &record.event.body {
        Body::PolicyVersion { policy: of, digest, .. } if of == policy => {
            Some((record.event.time, record.seq, Some(*digest)))
        }
        Body::PolicyRetired { policy: of } if of == policy => {
            Some((record.event.time, record.seq, None))
        }
        _ => None,
    });
    versions.max_by_key(|(time, seq, _)| (*time, *seq)).and_then(|(.., digest)| digest)
}
