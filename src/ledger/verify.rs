//! Verification: what anybody who holds the repository's key can find out about a ledger.
//!
//! In: a ledger, the keys that may sign it, a checkpoint kept from earlier. Out: the first bad
//! record, and everything else that is wrong. Finding faults is not an error.

use std::collections::BTreeMap;

use futures_util::stream::{self, StreamExt, TryStreamExt};
use serde::Serialize;

use super::chain::{Fault, Line};
use super::checkpoint::{self, Checkpoint, Remembered, Stored};
use super::owed::Owed;
use super::record::Record;
use super::sign::{self, PublicKey};
use super::{Error, Ledger};
use crate::store;

/// Checkpoints fetched at once.
pub(super) const PARALLEL: usize = 16;

/// What a ledger is verified against.
#[derive(Debug, Clone, Copy, Default)]
pub struct Verify<'a> {
    /// The keys whose signatures count.
    pub signers: &'a [PublicKey],
    /// A checkpoint that the verifier has kept: the only proof against a cut tail or a ledger
    /// rewritten together with its checkpoints.
    pub earlier: Option<&'a Checkpoint>,
    /// What the verifier's own host signed last.
    pub remembered: Option<Remembered>,
}

impl Verify<'_> {
    /// As far as anybody outside of the store vouches for the ledger.
    fn vouched(&self) -> Option<Remembered> {
        let earlier = self.earlier.map(Checkpoint::remembered);
        [earlier, self.remembered].into_iter().flatten().max_by_key(|one| one.size)
    }
}

/// What verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Lines that could be read.
    pub records: u64,
    /// Whether nothing is wrong: no bad record and no problem.
    pub ok: bool,
    pub first_bad: Option<Fault>,
    /// Checkpoints that agree with the records and carry an allowed signature.
    pub checkpoints: u64,
    /// The newest of them.
    pub newest: Option<Checkpoint>,
    /// Checkpoints without a signature that agree: a writer died between the two.
    pub unsigned: Vec<u64>,
    /// Whether it was compared with a checkpoint from outside the store.
    pub against_earlier: bool,
    /// One sentence each.
    pub problems: Vec<String>,
}

impl Ledger {
    /// Verifies chain, roots, signatures, and that everything the records name is there. No listing
    /// is believed: checkpoints that it leaves out are asked for by name.
    ///
    /// Fails only where the store does. Also returns the records read, for recomputing what was
    /// due.
    pub async fn verify(&self, against: Verify<'_>) -> Result<(Verified, Vec<Record>), Error> {
        // Listed before the segments are: a checkpoint may cover no more than what is read then.
        let (sizes, foreign) = self.checkpoint_sizes().await?;
        let reading = self.read_in_store(against.vouched()).await?;
        let owed = Owed::by(&reading.lines, against);
        let stored = self.stored_checkpoints(sizes.clone(), &owed).await?;
        for stored in stored.iter().filter(|stored| !sizes.contains(&stored.size)) {
            tracing::warn!(size = stored.size, "the store's listing leaves out a checkpoint");
        }
        let mut audit = Audit::over(&reading.lines, reading.faults);
        audit.checkpoints(&stored, &owed, against);
        for stray in reading.strays.iter().chain(&foreign) {
            audit.problems.push(format!("{stray} does not belong to the ledger"));
        }
        audit.problems.extend(reading.amiss);
        audit.problems.extend(self.bad_details(&reading.lines).await?);
        let records = reading.lines.len() as u64;
        let verified = audit.finish(records, against.earlier.is_some());
        Ok((verified, reading.lines.into_iter().map(|line| line.record).collect()))
    }

    /// Details that records name and that are missing, or other than when they were recorded.
    async fn bad_details(&self, lines: &[Line]) -> Result<Vec<String>, Error> {
        let named = lines.iter().filter_map(|line| Some((line, line.record.event.body.details()?)));
        let checks = named.map(|(line, digest)| async move {
            let what = match self.details_text(&digest).await {
                Ok(_) => return Ok(None),
                Err(Error::Store(store::Error::Missing { .. })) => "which are missing".to_owned(),
                Err(error @ Error::Store(store::Error::Io { .. })) => return Err(error),
                Err(error) => format!("which were altered: {}", chain_of(&error)),
            };
            let seq = line.record.seq;
            Ok(Some(format!("record {seq} names details {digest}, {what}")))
        });
        stream::iter(checks)
            .buffered(PARALLEL)
            .try_filter_map(|problem| async move { Ok(problem) })
            .try_collect()
            .await
    }
}

/// Findings on the way.
struct Audit<'a> {
    /// The lines before the first fault.
    sound: &'a [Line],
    faults: Vec<Fault>,
    good: Vec<Checkpoint>,
    unsigned: Vec<u64>,
    problems: Vec<String>,
}

impl<'a> Audit<'a> {
    fn over(lines: &'a [Line], faults: Vec<Fault>) -> Self {
        let end = faults.first().map_or(u64::MAX, |fault| fault.seq.saturating_sub(1));
        let sound = &lines[..lines.len().min(usize::try_from(end).unwrap_or(usize::MAX))];
        Self { sound, faults, good: Vec::new(), unsigned: Vec::new(), problems: Vec::new() }
    }

    fn checkpoints(&mut self, stored: &[Stored], owed: &Owed, against: Verify<'_>) {
        let sizes = stored.iter().map(|stored| stored.size).chain(owed.sizes());
        let computed = Checkpoint::at(self.sound, &sizes.collect());
        let mut agreed = 0;
        for stored in stored {
            let name = checkpoint::name(stored.size);
            let signed = stored
                .signature
                .as_ref()
                .map(|signature| sign::check(&stored.text, signature, against.signers));
            match (stored.agrees(computed.get(&stored.size)), signed) {
                (Ok(()), Some(Ok(()))) => {
                    agreed = stored.size;
                    self.good.extend(computed.get(&stored.size).cloned());
                }
                (Ok(()), None) => self.unsigned.push(stored.size),
                (_, Some(Err(error))) => {
                    let signature = checkpoint::signature_name(stored.size);
                    self.problems.push(format!("{signature}: {}", chain_of(&error)));
                }
                (Err(_), _) if self.is_broken_before(stored.size) => {
                    self.problems.push(format!("{name} covers records that do not hold together"));
                }
                (Err(what), Some(Ok(()))) => {
                    self.disagree(name.as_str(), stored.size, agreed, &what);
                }
                // Nobody vouches for it, so it accuses no record.
                (Err(what), None) => self.problems.push(format!("{name}, unsigned: {what}")),
            }
        }
        self.problems.extend(owed.missing(stored));
        for (size, by) in owed.contradicted(&computed) {
            if against.earlier.is_none_or(|earlier| earlier.size != size)
                && !self.is_broken_before(size)
            {
                let what = "the records it covers are others, or gone";
                let agreed = self.agreed_before(size);
                self.disagree(&format!("the checkpoint of which {by}"), size, agreed, what);
            }
        }
        if let Some(earlier) = against.earlier {
            self.earlier(earlier, &computed);
        }
    }

    /// The size of the newest good checkpoint before `size`.
    fn agreed_before(&self, size: u64) -> u64 {
        self.good.iter().map(|good| good.size).filter(|good| *good < size).max().unwrap_or(0)
    }

    /// Whether a fault of the chain lies among the first `size` records.
    fn is_broken_before(&self, size: u64) -> bool {
        self.faults.first().is_some_and(|fault| fault.seq <= size) && size > self.sound.len() as u64
    }

    fn earlier(&mut self, earlier: &Checkpoint, computed: &BTreeMap<u64, Checkpoint>) {
        let what = match computed.get(&earlier.size) {
            Some(computed) if computed == earlier => return,
            Some(computed) if computed.origin != earlier.origin => "it is of another ledger",
            Some(_) => "the records it covers are others",
            None if self.is_broken_before(earlier.size) => {
                let what = "the earlier checkpoint covers records that do not hold together";
                return self.problems.push(what.into());
            }
            None => "the ledger is shorter: its end was cut off",
        };
        let agreed = self.agreed_before(earlier.size);
        self.disagree("the earlier checkpoint", earlier.size, agreed, what);
    }

    /// A signed or kept checkpoint of `size` records does not agree, one of `agreed` does: the bad
    /// record is among those between.
    fn disagree(&mut self, name: &str, size: u64, agreed: u64, what: &str) {
        let read = self.sound.len() as u64;
        let (seq, fault) = if size <= read {
            (agreed + 1, format!("it, or a record up to {size}, is not what {name} covers"))
        } else {
            (read + 1, format!("missing: {name} covers {size} records"))
        };
        self.faults.push(Fault { seq, what: fault });
        self.problems.push(format!("{name}, of {size} records: {what}"));
    }

    fn finish(mut self, records: u64, against_earlier: bool) -> Verified {
        self.faults.sort_by_key(|fault| fault.seq);
        for fault in &self.faults {
            self.problems.push(format!("record {}: {}", fault.seq, fault.what));
        }
        Verified {
            records,
            ok: self.problems.is_empty(),
            first_bad: self.faults.into_iter().next(),
            checkpoints: self.good.len() as u64,
            newest: self.good.pop(),
            unsigned: self.unsigned,
            against_earlier,
            problems: self.problems,
        }
    }
}

/// An error with its causes, in one line: these are findings and have no chain of their own.
fn chain_of(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests;
