use std::collections::BTreeSet;
use std::sync::Arc;

use super::super::chain::chain;
use super::super::checkpoint::Checkpoint;
use super::super::testing::{Bucket, events, signer};
use super::super::{Verified, Verify};
use super::*;
use crate::ground::digest::Digest;
use crate::ledger::record::Event;
use crate::seal::MasterKey;
use crate::store::{Act, Fault, Faulty, Harm, Put, Store};

/// A ledger of 2500 records, two to a segment, that was signed: it has two volumes.
struct Bench {
    bucket: Arc<Bucket>,
    key: MasterKey,
    signed: Remembered,
}

impl Bench {
    async fn new() -> Self {
        let (bucket, key) = (Bucket::new(), MasterKey::generate());
        let ledger = bucket.ledger(&key);
        for pair in events(2500).chunks(2) {
            ledger.append(pair.to_vec()).await.unwrap();
        }
        let signed = ledger.checkpoint(&signer(), None).await.unwrap().remembered();
        Self { bucket, key, signed }
    }

    /// As the host opens it that has signed it.
    fn ledger(&self) -> Ledger {
        self.bucket.ledger(&self.key).vouched_for(self.signed)
    }

    async fn verified(&self) -> Verified {
        let against = Verify { remembered: Some(self.signed), ..Verify::default() };
        let mut verified = self.ledger().verify(against).await.unwrap().0;
        // Of a key that nobody vouches for here.
        verified.problems.retain(|problem| !problem.starts_with("checkpoints/"));
        verified
    }

    async fn volumes(&self) -> Vec<String> {
        self.bucket.names("volumes").await.iter().map(ToString::to_string).collect()
    }

    async fn delete(&self, name: &ObjectName) {
        self.bucket.inner.delete(name).await.unwrap();
    }

    /// As who holds the repository's key can.
    async fn put(&self, name: &ObjectName, text: &[u8]) {
        let sealed = self.key.seal(text).into();
        self.bucket.inner.put(name, sealed, Put::Overwrite).await.unwrap();
    }

    async fn edit(&self, name: &ObjectName, edit: fn(String) -> String) {
        let sealed = self.bucket.inner.get(name, None).await.unwrap();
        let plain = String::from_utf8(self.key.open(&sealed).unwrap()).unwrap();
        self.put(name, edit(plain).as_bytes()).await;
    }

    /// Puts volumes of other events in the place of the true ones.
    async fn forge(&self, events: &[Event]) {
        let lines = chain(Tail::START, events).unwrap();
        for (nth, part) in lines.chunks(1024).enumerate() {
            self.put(&VOLUMES.object(nth as u64 * 1024 + 1), &join(part)).await;
        }
    }
}

fn is_of_mallory(reading: &Reading) -> bool {
    reading.lines.iter().any(|line| line.text.contains("mallory"))
}

/// What was to be, but that one record names somebody else.
fn forged(count: usize, record: usize) -> Vec<Event> {
    let mut told = events(count);
    // As long as alice of quay, so that the sizes of segments tell nothing.
    let forged = &mut told[record - 1].actor;
    (forged.name, forged.host) = ("mallory".into(), "qu".into());
    told
}

#[tokio::test]
async fn a_ledger_of_many_segments_is_read_from_few_objects() {
    let bench = Bench::new().await;
    bench.bucket.gets();

    let reading = bench.ledger().read().await.unwrap();

    assert_eq!(reading.lines.len(), 2500);
    assert_eq!((reading.faults.len(), reading.amiss.len()), (0, 0), "{reading:?}");
    // Two volumes, 226 segments, and a look at what may follow.
    assert_eq!(bench.bucket.gets(), 2 + (2500 - 2048) / 2 + 1);
    let names = [1, 1025].map(|first| format!("volumes/{first:020}"));
    assert_eq!(bench.volumes().await, names);
}

#[tokio::test]
async fn volumes_kept_on_a_host_are_not_fetched_again_and_their_segments_are_kept_no_longer() {
    let bench = Bench::new().await;
    let folder = tempfile::tempdir().unwrap();
    let ledger = || bench.ledger().keeping_in(folder.path());
    bench.delete(&VOLUMES.object(1025)).await;
    ledger().read_quickly().await.unwrap();
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files(), (2500 - 1024) / 2 + 1);
    ledger().checkpoint(&signer(), Some(bench.signed)).await.unwrap();

    ledger().read_quickly().await.unwrap();
    bench.bucket.gets();
    let reading = ledger().read_quickly().await.unwrap();

    assert_eq!((reading.lines.len(), bench.bucket.gets()), (2500, 1));
    assert_eq!(files(), (2500 - 2048) / 2 + 1);
}

#[tokio::test]
async fn what_two_writers_bind_at_once_is_bound_once() {
    let bench = Bench::new().await;
    for first in [1, 1025] {
        bench.delete(&VOLUMES.object(first)).await;
    }
    let (one, other) = (bench.ledger(), bench.ledger());
    let (read, also) = (one.read().await.unwrap(), other.read().await.unwrap());

    let (bound, also) = tokio::join!(one.bind(&read), other.bind(&also));

    bound.and(also).unwrap();
    assert_eq!(bench.volumes().await.len(), 2);
    assert!(bench.verified().await.problems.is_empty());
}

#[tokio::test]
async fn a_damaged_volume_is_told_and_its_segments_are_read() {
    for damage in ["flipped", "cut short", "emptied", "swapped"] {
        let bench = Bench::new().await;
        let (name, inner) = (VOLUMES.object(1), &bench.bucket.inner);
        let mut sealed = inner.get(&name, None).await.unwrap().to_vec();
        match damage {
            "flipped" => sealed[5000] ^= 1,
            "cut short" => sealed.truncate(5000),
            "emptied" => sealed.clear(),
            _ => sealed = inner.get(&VOLUMES.object(1025), None).await.unwrap().to_vec(),
        }
        inner.put(&name, sealed.into(), Put::Overwrite).await.unwrap();

        let verified = bench.verified().await;

        assert_eq!((verified.records, verified.first_bad), (2500, None), "{damage}");
        let [problem] = &verified.problems[..] else { panic!("{damage}: {:?}", verified.problems) };
        assert!(
            problem.starts_with(name.as_str()) && problem.contains("may be deleted"),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn a_volume_that_is_gone_is_made_again() {
    let bench = Bench::new().await;
    bench.delete(&VOLUMES.object(1)).await;

    let told = bench.verified().await;
    let ledger = bench.ledger();
    ledger.bind(&ledger.read().await.unwrap()).await.unwrap();

    assert!(told.problems[0].contains("is missing"), "{told:?}");
    assert!(bench.verified().await.problems.is_empty());
}

#[tokio::test]
async fn a_segment_that_only_a_volume_holds_any_more_is_told_and_its_records_are_read() {
    type Edit = fn(String) -> String;
    let edits: [(&str, Option<Edit>); 3] = [
        ("is missing", None),
        ("holds other ones", Some(|text| text.replace("alice", "mallory"))),
        ("holds other ones", Some(|text| text + "{}\n")),
    ];
    for (what, edit) in edits {
        let bench = Bench::new().await;
        let name = SEGMENTS.object(601);
        match edit {
            None => bench.delete(&name).await,
            Some(edit) => bench.edit(&name, edit).await,
        }

        let verified = bench.verified().await;

        assert_eq!((verified.records, verified.first_bad), (2500, None), "{what}");
        let [problem] = &verified.problems[..] else { panic!("{:?}", verified.problems) };
        assert!(problem.starts_with(name.as_str()) && problem.ends_with(what), "{problem}");
    }
}

#[tokio::test]
async fn a_segment_that_begins_within_another_one_is_told() {
    let bench = Bench::new().await;
    let sealed = bench.bucket.inner.get(&SEGMENTS.object(601), None).await.unwrap();
    bench.bucket.inner.put(&SEGMENTS.object(602), sealed, Put::Create).await.unwrap();

    let verified = bench.verified().await;

    assert!(verified.problems[0].starts_with(SEGMENTS.object(602).as_str()), "{verified:?}");
}

#[tokio::test]
async fn segments_and_volumes_that_a_listing_leaves_out_accuse_nobody() {
    let bench = Bench::new().await;
    for hidden in [SEGMENTS.object(601), SEGMENTS.object(2201), SEGMENTS.object(2499)] {
        let name = hidden.as_str().into();
        let fault = Fault { act: Act::List, name, calls: 0..u64::MAX, harm: Harm::Hide };
        let liar = Arc::new(Faulty::new(bench.bucket.clone(), vec![fault]));

        let ledger = Ledger::open(liar, bench.key.clone()).vouched_for(bench.signed);
        let reading = ledger.read().await.unwrap();

        assert_eq!((reading.lines.len(), reading.faults.len()), (2500, 0), "{hidden}");
        assert!(reading.amiss.is_empty(), "{hidden}: {:?}", reading.amiss);
    }
    for folder in ["segments", "volumes"] {
        bench.bucket.hide(folder);
        assert!(bench.verified().await.problems.is_empty(), "{folder}");
    }
}

#[tokio::test]
async fn volumes_that_tell_another_story_never_stand_against_their_segments() {
    let bench = Bench::new().await;
    bench.forge(&forged(2048, 601)).await;

    let reading = bench.ledger().read().await.unwrap();

    assert_eq!((reading.lines.len(), reading.faults.len()), (2500, 0));
    assert!(!is_of_mallory(&reading));
    let verified = bench.verified().await;
    assert!(verified.problems[0].contains("the volumes do not hold"), "{verified:?}");
}

/// Segments can be made to follow what volumes tell: what was signed cannot.
#[tokio::test]
async fn volumes_and_segments_after_them_that_agree_are_held_against_what_was_signed() {
    let bench = Bench::new().await;
    let lines = chain(Tail::START, &forged(2500, 601)).unwrap();
    bench.forge(&forged(2048, 601)).await;
    for first in (2049..2500).step_by(2) {
        bench.put(&SEGMENTS.object(first), &join(&lines[at(first)..at(first + 2)])).await;
    }

    let reading = bench.ledger().read().await.unwrap();

    assert!(!is_of_mallory(&reading));
    assert_eq!(reading.faults[0].seq, 2048, "{:?}", reading.faults);
}

/// Nothing was signed since: a volume may be made of it by whoever holds the key, and a segment that
/// goes on from there.
#[tokio::test]
async fn volumes_are_not_read_beyond_what_somebody_vouches_for() {
    for vouched in [None, Some(2000)] {
        let bench = Bench::new().await;
        let lines = chain(Tail::START, &forged(2502, 2100)).unwrap();
        for (first, end) in [(1, 1025), (1025, 2049), (2049, 2501)] {
            bench.put(&VOLUMES.object(first), &join(&lines[at(first)..at(end)])).await;
        }
        let ledger = bench.bucket.ledger(&bench.key);
        let ledger = match vouched {
            None => ledger,
            Some(size) => {
                let reading = ledger.read().await.unwrap();
                let all = Checkpoint::at(&reading.lines, &BTreeSet::from([size]));
                bench.bucket.ledger(&bench.key).vouched_for(all[&size].remembered())
            }
        };

        let reading = ledger.read().await.unwrap();

        assert_eq!((reading.lines.len(), reading.faults.len()), (2500, 0), "{vouched:?}");
        assert!(!is_of_mallory(&reading), "{vouched:?}");
    }
}

#[tokio::test]
async fn an_earlier_checkpoint_of_another_ledger_accuses_no_volume() {
    let bench = Bench::new().await;
    let other = Remembered { root: Digest::ZERO, ..bench.signed };

    let reading = bench.bucket.ledger(&bench.key).vouched_for(other).read().await.unwrap();

    assert_eq!((reading.lines.len(), reading.faults.len()), (2500, 0));
    assert!(reading.amiss.is_empty(), "{:?}", reading.amiss);
}

#[tokio::test]
async fn an_edited_segment_after_the_volumes_is_named_as_ever() {
    let bench = Bench::new().await;
    bench.edit(&SEGMENTS.object(2201), |text| text.replacen("alice", "mallory", 1)).await;

    let verified = bench.verified().await;

    assert_eq!(verified.first_bad.map(|fault| fault.seq), Some(2201));
    assert!(!verified.problems.iter().any(|problem| problem.contains("volume")));
}
