use std::sync::Arc;

use super::super::sign::Signer;
use super::super::testing::{Bucket, events, signer};
use super::*;
use crate::ledger::record::Body;
use crate::seal::MasterKey;
use crate::store::{ObjectName, Put, Store};

struct Bench {
    bucket: Arc<Bucket>,
    key: MasterKey,
    signer: Signer,
}

impl Bench {
    /// Segments of two lines, and a signed checkpoint every four.
    async fn with(records: usize) -> Self {
        let bench = Self { bucket: Bucket::new(), key: MasterKey::generate(), signer: signer() };
        let ledger = bench.ledger();
        let events = events(records);
        for (index, pair) in events.chunks(2).enumerate() {
            ledger.append(pair.to_vec()).await.unwrap();
            if index % 2 == 1 {
                ledger.checkpoint(&bench.signer, None).await.unwrap();
            }
        }
        bench
    }

    fn ledger(&self) -> Ledger {
        self.bucket.ledger(&self.key)
    }

    async fn verify(&self, earlier: Option<&Checkpoint>) -> Verified {
        let signers = [self.signer.public_key().clone()];
        let against = Verify { signers: &signers, earlier, remembered: None };
        self.ledger().verify(against).await.unwrap().0
    }

    async fn edit(&self, first: u64, edit: impl Fn(&str) -> String) {
        let name: ObjectName = format!("segments/{first:020}").parse().unwrap();
        let sealed = self.bucket.inner.get(&name, None).await.unwrap();
        let text = String::from_utf8(self.key.open(&sealed).unwrap()).unwrap();
        let edited = self.key.seal(edit(&text).as_bytes());
        self.bucket.inner.put(&name, edited.into(), Put::Overwrite).await.unwrap();
    }

    /// Throws the segments from record `first` on away.
    async fn cut(&self, first: u64) {
        for name in self.bucket.names("segments").await {
            if name.as_str() >= format!("segments/{first:020}").as_str() {
                self.bucket.inner.delete(&name).await.unwrap();
            }
        }
    }
}

fn first_bad(verified: &Verified) -> u64 {
    assert!(!verified.ok, "{verified:?}");
    verified.first_bad.as_ref().unwrap_or_else(|| panic!("{verified:?}")).seq
}

#[tokio::test]
async fn a_sound_ledger_verifies_with_every_checkpoint() {
    let bench = Bench::with(10).await;

    let verified = bench.verify(None).await;

    assert!(verified.ok, "{verified:?}");
    assert_eq!((verified.records, verified.checkpoints), (10, 2));
    assert_eq!(verified.newest.unwrap().size, 8);
}

#[tokio::test]
async fn an_empty_ledger_is_sound() {
    let verified = Bench::with(0).await.verify(None).await;

    assert!(verified.ok && verified.records == 0 && verified.newest.is_none(), "{verified:?}");
}

#[tokio::test]
async fn an_edited_dropped_or_moved_line_is_named() {
    let swap = |text: &str| {
        let (one, two) = text.trim_end().split_once('\n').unwrap();
        format!("{two}\n{one}\n")
    };
    for (case, expected) in [("edit", 6), ("drop", 5), ("swap", 5)] {
        let bench = Bench::with(10).await;
        bench
            .edit(5, |text| match case {
                "edit" => {
                    let (one, two) = text.split_once('\n').unwrap();
                    format!("{one}\n{}", two.replace("alice", "mallory"))
                }
                "drop" => text.split_once('\n').unwrap().1.to_owned(),
                _ => swap(text),
            })
            .await;

        let verified = bench.verify(None).await;

        assert_eq!(first_bad(&verified), expected, "{case}: {verified:?}");
        assert_eq!(verified.checkpoints, 1, "the first checkpoint still holds");
    }
}

#[tokio::test]
async fn an_edited_last_line_is_found_by_the_checkpoint() {
    let bench = Bench::with(8).await;
    bench.edit(7, |text| text.replace("00000000007\"", "00000000009\"")).await;

    let verified = bench.verify(None).await;

    assert!((5..=8).contains(&first_bad(&verified)), "{verified:?}");
}

#[tokio::test]
async fn a_cut_tail_is_found_by_a_checkpoint_in_the_store_or_kept_from_earlier() {
    let bench = Bench::with(10).await;
    let earlier = bench.ledger().checkpoint(&bench.signer, None).await.unwrap();
    bench.cut(7).await;

    assert_eq!(first_bad(&bench.verify(None).await), 7);
    for name in bench.bucket.names("checkpoints").await {
        bench.bucket.inner.delete(&name).await.unwrap();
    }
    assert!(bench.verify(None).await.ok, "nothing in the store tells");
    let verified = bench.verify(Some(&earlier)).await;
    assert_eq!(first_bad(&verified), 7);
    assert!(verified.against_earlier);
}

#[tokio::test]
async fn a_ledger_rewritten_with_its_checkpoints_is_found_by_an_earlier_checkpoint() {
    let bench = Bench::with(8).await;
    let ledger = bench.ledger();
    let earlier = ledger.checkpoint(&bench.signer, None).await.unwrap();
    let mut rewritten = events(8);
    rewritten[6].actor.name = "mallory".into();
    let forged = Bench { bucket: Bucket::new(), ..bench };
    let ledger = forged.ledger();
    ledger.append(rewritten[..4].to_vec()).await.unwrap();
    ledger.checkpoint(&forged.signer, None).await.unwrap();
    ledger.append(rewritten[4..].to_vec()).await.unwrap();
    ledger.checkpoint(&forged.signer, None).await.unwrap();

    assert!(forged.verify(None).await.ok);
    assert_eq!(first_bad(&forged.verify(Some(&earlier)).await), 5);
}

#[tokio::test]
async fn signatures_that_are_wrong_or_of_others_are_problems() {
    let bench = Bench::with(8).await;
    let signature = |size| checkpoint::signature_name(size);
    let other = bench.bucket.inner.get(&signature(4), None).await.unwrap();
    bench.bucket.inner.put(&signature(8), other, Put::Overwrite).await.unwrap();

    let verified = bench.verify(None).await;
    let stranger = [signer().public_key().clone()];
    let against = Verify { signers: &stranger, ..Verify::default() };
    let (by_stranger, _) = bench.ledger().verify(against).await.unwrap();

    assert!(!verified.ok && verified.checkpoints == 1, "{verified:?}");
    assert!(verified.problems[0].contains("does not fit"), "{verified:?}");
    assert!(!by_stranger.ok && by_stranger.checkpoints == 0, "{by_stranger:?}");
}

#[tokio::test]
async fn a_checkpoint_left_unsigned_is_told_and_no_problem() {
    let bench = Bench::with(4).await;
    bench.bucket.inner.delete(&checkpoint::signature_name(4)).await.unwrap();

    let verified = bench.verify(None).await;

    assert!(verified.ok, "{verified:?}");
    assert_eq!((verified.checkpoints, verified.unsigned), (0, vec![4]));
}

#[tokio::test]
async fn details_round_trip_and_are_found_missing_or_altered() {
    let bench = Bench::with(0).await;
    let ledger = bench.ledger();
    let digest = ledger.put_details("\"what was found\"").await.unwrap();
    assert_eq!(ledger.put_details("\"what was found\"").await.unwrap(), digest);
    assert_eq!(ledger.details::<String>(&digest).await.unwrap(), "what was found");
    let mut event = events(1).remove(0);
    event.body = Body::BackupFinished(super::super::testing::backup_finished(digest));
    ledger.append(vec![event]).await.unwrap();
    assert!(bench.verify(None).await.ok);

    let name = crate::ledger::details::name(&digest);
    let altered = bench.key.seal(b"\"what was not found\"");
    bench.bucket.inner.put(&name, altered.into(), Put::Overwrite).await.unwrap();
    let error = ledger.details::<String>(&digest).await.unwrap_err();
    bench.bucket.inner.delete(&name).await.unwrap();
    let verified = bench.verify(None).await;

    assert!(matches!(error, Error::DetailsAltered { .. }), "{error:?}");
    assert!(verified.problems[0].contains("record 1 names details"), "{verified:?}");
}

#[tokio::test]
async fn a_checkpoint_that_nobody_signed_is_a_problem_but_accuses_no_record() {
    let bench = Bench::with(8).await;
    let forged = bench.ledger().checkpoint(&bench.signer, None).await.unwrap();
    for size in [5, 99] {
        let forged = Checkpoint { size, ..forged.clone() };
        let name = checkpoint::name(size);
        bench.bucket.inner.put(&name, forged.to_string().into(), Put::Create).await.unwrap();
    }

    let verified = bench.verify(None).await;

    assert!(!verified.ok && verified.first_bad.is_none(), "{verified:?}");
    assert_eq!((verified.problems.len(), verified.checkpoints), (2, 2));
}

/// A ledger of `drills` drills, each signed, and each but the first naming the checkpoint before.
async fn of_drills(drills: usize) -> Bench {
    let bench = Bench::with(0).await;
    let ledger = bench.ledger();
    let mut signed = None;
    for mut event in events(drills) {
        event.body = Body::Heartbeat { policies: Vec::new(), signed };
        ledger.append(vec![event]).await.unwrap();
        signed = Some(ledger.checkpoint(&bench.signer, None).await.unwrap().remembered());
    }
    bench
}

#[tokio::test]
async fn a_checkpoint_that_was_removed_is_named_by_the_record_that_tells_of_it() {
    for gone in [checkpoint::name(2), checkpoint::signature_name(2)] {
        let bench = of_drills(4).await;
        assert_eq!(bench.verify(None).await.checkpoints, 4);
        bench.bucket.inner.delete(&gone).await.unwrap();

        let verified = bench.verify(None).await;

        assert!(!verified.ok && verified.first_bad.is_none(), "{verified:?}");
        let told = verified.problems.join("\n");
        assert!(told.contains(&format!("{gone} is missing: record 3")), "{told}");
    }
}

#[tokio::test]
async fn a_folder_of_checkpoints_that_was_emptied_is_noticed_and_every_one_named() {
    let bench = of_drills(3).await;
    let newest = bench.ledger().checkpoint(&bench.signer, None).await.unwrap();
    for name in bench.bucket.names("checkpoints").await {
        bench.bucket.inner.delete(&name).await.unwrap();
    }
    let signers = [bench.signer.public_key().clone()];
    let against =
        Verify { signers: &signers, remembered: Some(newest.remembered()), ..Verify::default() };

    let elsewhere = bench.verify(None).await;
    let (on_this_host, _) = bench.ledger().verify(against).await.unwrap();

    assert_eq!((elsewhere.ok, elsewhere.problems.len()), (false, 2), "{elsewhere:?}");
    assert_eq!((on_this_host.ok, on_this_host.problems.len()), (false, 3), "{on_this_host:?}");
    let told = on_this_host.problems.join("\n");
    let name = checkpoint::name(3);
    assert!(told.contains(&format!("{name} is missing: this host signed it")), "{told}");
}

#[tokio::test]
async fn checkpoints_that_only_the_listing_leaves_out_are_counted_all_the_same() {
    let bench = of_drills(3).await;
    bench.bucket.hide("checkpoints");

    let verified = bench.verify(None).await;

    assert!(verified.ok, "{verified:?}");
    assert_eq!((verified.checkpoints, verified.newest.unwrap().size), (3, 3));
}

#[tokio::test]
async fn a_cut_tail_is_found_by_the_host_that_signed_it() {
    let bench = of_drills(3).await;
    let newest = bench.ledger().checkpoint(&bench.signer, None).await.unwrap();
    bench.cut(3).await;
    for name in [checkpoint::name(3), checkpoint::signature_name(3)] {
        bench.bucket.inner.delete(&name).await.unwrap();
    }
    let signers = [bench.signer.public_key().clone()];
    let remembered = Some(newest.remembered());
    assert!(bench.verify(None).await.ok, "nothing in the store tells");

    let against = Verify { signers: &signers, remembered, ..Verify::default() };
    let (verified, _) = bench.ledger().verify(against).await.unwrap();

    assert_eq!(first_bad(&verified), 3);
}
