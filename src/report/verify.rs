//! How a reader verifies what the page says, or why that cannot be done yet.

use super::texts::Texts;
use super::{Proof, amount};
use crate::ledger::record::Record;

/// What there is to verify with, and the steps where they lead somewhere.
pub(super) struct Verify<'a> {
    pub proof: &'a Proof,
    pub checkpoint: Option<CheckpointSteps>,
    /// What keeps the reader from verifying now.
    pub obstacle: Option<&'static str>,
}

pub(super) struct CheckpointSteps {
    pub fetch: String,
    /// The checkpoint's file name, without its folder.
    pub file: String,
    pub ledger: String,
    pub commands: [String; 2],
}

/// `store` is the place whose folder of the customer holds the ledger.
pub(super) fn steps<'a>(
    record: &Record,
    store: &str,
    proof: &'a Proof,
    texts: &'static Texts,
) -> Verify<'a> {
    let Some(checkpoint) = &proof.checkpoint else {
        return Verify { proof, checkpoint: None, obstacle: Some(texts.verify_unsigned) };
    };
    if checkpoint.size < record.seq {
        return Verify { proof, checkpoint: None, obstacle: Some(texts.verify_uncovered) };
    }
    let folder = format!("{}/{}", store.trim_end_matches('/'), proof.customer);
    let file = checkpoint.name.rsplit('/').next().unwrap_or(&checkpoint.name).to_owned();
    let steps = CheckpointSteps {
        fetch: (texts.verify_fetch)(&folder),
        ledger: (texts.verify_ledger)(&amount::count(record.seq), &amount::count(checkpoint.size)),
        commands: [
            format!("lifeboat ledger verify {} --earlier {file}", proof.customer),
            format!("lifeboat ledger show {} {}", proof.customer, record.seq),
        ],
        file,
    };
    Verify { proof, checkpoint: Some(steps), obstacle: None }
}

#[cfg(test)]
mod tests {
    use super::super::{Lang, sample};

    #[test]
    fn a_checkpoint_that_does_not_cover_the_record_is_not_offered_as_proof() {
        let mut sample = sample::passed();
        assert!(sample.page(Lang::En).contains("ssh-keygen -Y verify"));

        sample.proof.checkpoint.as_mut().unwrap().size = sample.record.seq - 1;
        let page = sample.page(Lang::En);
        assert!(!page.contains("ssh-keygen -Y verify"));
        assert!(page.contains("does not cover it") || page.contains("does not cover\n"), "told");
    }
}
