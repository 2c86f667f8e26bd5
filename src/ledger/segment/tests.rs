use std::sync::Arc;
use std::time::{Duration, Instant};

use super::super::testing::{Bucket, Fault as WriteFault, events};
use super::super::{Checkpoint, Remembered};
use super::*;
use crate::ground::digest::Digest;
use crate::seal::MasterKey;
use crate::store::{Act, Fault, Faulty, Harm, Memory, Put, Store};

async fn plain(bucket: &Bucket, key: &MasterKey, first: u64) -> String {
    let sealed = bucket.inner.get(&SEGMENTS.object(first), None).await.unwrap();
    String::from_utf8(key.open(&sealed).unwrap()).unwrap()
}

#[tokio::test]
async fn what_is_appended_is_read_back_chained_and_sealed() {
    let (bucket, key) = (Bucket::new(), MasterKey::generate());
    let ledger = bucket.ledger(&key);

    let first = ledger.append(events(2)).await.unwrap();
    let second = bucket.ledger(&key).append(events(1)).await.unwrap();

    assert_eq!((first[0].seq, first[1].seq, second[0].seq), (1, 2, 3));
    let records = ledger.records().await.unwrap();
    assert_eq!(records, [first, second].concat());
    let text = plain(&bucket, &key, 1).await;
    assert_eq!(Digest::of(text.lines().next().unwrap().as_bytes()), records[1].prev);
    let sealed = bucket.inner.get(&SEGMENTS.object(1), None).await.unwrap();
    assert!(!sealed.windows(5).any(|five| five == b"alice"), "a name lies in the clear");
}

#[tokio::test]
async fn records_that_a_listing_leaves_out_are_read_all_the_same() {
    let (memory, key): (store::Shared, _) = (Arc::new(Memory::new()), MasterKey::generate());
    let whole = Ledger::open(memory.clone(), key.clone());
    for _ in 0..5 {
        whole.append(events(2)).await.unwrap();
    }
    let records = whole.records().await.unwrap();

    for hidden in [
        SEGMENTS.name,
        SEGMENTS.object(1).as_str(),
        SEGMENTS.object(5).as_str(),
        SEGMENTS.object(9).as_str(),
    ] {
        let hide = Harm::Hide;
        let fault = Fault { act: Act::List, name: hidden.into(), calls: 0..u64::MAX, harm: hide };
        let liar: store::Shared = Arc::new(Faulty::new(memory.clone(), vec![fault]));

        let ledger = Ledger::open(liar.clone(), key.clone());

        assert_eq!(ledger.records().await.unwrap(), records, "{hidden}");
        assert!(!is_empty(&*liar).await.unwrap(), "{hidden}");
        let added = ledger.append(events(1)).await.unwrap();
        assert_eq!(added[0].seq, 11, "{hidden}");
        memory.delete(&SEGMENTS.object(11)).await.unwrap();
    }
}

#[tokio::test]
async fn times_are_kept_in_milliseconds() {
    let bucket = Bucket::new();
    let ledger = bucket.ledger(&MasterKey::generate());
    let mut events = events(1);
    events[0].time += jiff::SignedDuration::from_nanos(1_234_567);

    let appended = ledger.append(events).await.unwrap();

    assert_eq!(appended[0].event.time.to_string(), "2026-01-01T00:00:00.001Z");
    assert_eq!(ledger.records().await.unwrap(), appended);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_that_race_never_fork_the_chain_and_lose_nothing() {
    let (bucket, key) = (Bucket::new(), MasterKey::generate());
    let writers: Vec<_> = (0..8)
        .map(|_| {
            let ledger = bucket.ledger(&key);
            tokio::spawn(async move {
                for _ in 0..10 {
                    ledger.append(events(3)).await.unwrap();
                }
            })
        })
        .collect();
    for writer in writers {
        writer.await.unwrap();
    }

    let records = bucket.ledger(&key).records().await.unwrap();

    assert_eq!(records.len(), 240);
}

#[tokio::test]
async fn a_lost_reply_is_settled_by_reading_back() {
    let bucket = Bucket::new();
    let ledger = bucket.ledger(&MasterKey::generate());
    bucket.fail_after(0, WriteFault::ReplyLost);

    let appended = ledger.append(events(1)).await.unwrap();

    assert!(bucket.fired());
    assert_eq!(ledger.records().await.unwrap(), appended);
}

#[tokio::test]
async fn a_write_that_failed_is_an_error_and_a_rerun_succeeds() {
    let bucket = Bucket::new();
    let ledger = bucket.ledger(&MasterKey::generate());
    ledger.append(events(1)).await.unwrap();
    bucket.fail_after(0, WriteFault::Lost);

    let error = ledger.append(events(1)).await.unwrap_err();

    assert!(error.is_out_of_reach(), "{error:?}");
    assert_eq!(ledger.append(events(1)).await.unwrap()[0].seq, 2);
}

#[tokio::test]
async fn a_missing_damaged_or_foreign_segment_is_named() {
    let (bucket, key) = (Bucket::new(), MasterKey::generate());
    let ledger = bucket.ledger(&key);
    for _ in 0..4 {
        ledger.append(events(2)).await.unwrap();
    }
    bucket.inner.delete(&SEGMENTS.object(3)).await.unwrap();
    let foreign = MasterKey::generate().seal(plain(&bucket, &key, 5).await.as_bytes());
    bucket.inner.put(&SEGMENTS.object(5), foreign.into(), Put::Overwrite).await.unwrap();
    let stray = object("segments/7");
    bucket.inner.put(&stray, Bytes::new(), Put::Create).await.unwrap();

    let reading = ledger.read().await.unwrap();

    assert_eq!(reading.faults.iter().map(|fault| fault.seq).collect::<Vec<_>>(), [3, 5]);
    assert!(reading.faults[0].what.contains("missing"), "{:?}", reading.faults);
    assert!(reading.faults[1].what.contains("another key"), "{:?}", reading.faults);
    assert_eq!(reading.strays, [stray]);
    let error = reading.sound().unwrap_err();
    assert!(error.to_string().contains("record 3"), "{error}");
}

#[tokio::test]
async fn segments_that_overlap_are_named() {
    let (bucket, key) = (Bucket::new(), MasterKey::generate());
    let ledger = bucket.ledger(&key);
    ledger.append(events(3)).await.unwrap();
    let repeated = plain(&bucket, &key, 1).await.lines().nth(1).unwrap().to_owned() + "\n";
    bucket
        .inner
        .put(&SEGMENTS.object(2), key.seal(repeated.as_bytes()).into(), Put::Create)
        .await
        .unwrap();

    let reading = ledger.read().await.unwrap();

    assert_eq!(reading.faults[0].seq, 2, "{:?}", reading.faults);
}

#[tokio::test]
async fn a_store_out_of_reach_is_an_error_and_not_an_empty_ledger() {
    let bucket = Bucket::new();
    let ledger = bucket.ledger(&MasterKey::generate());
    ledger.append(events(1)).await.unwrap();
    bucket.set_down(true);

    assert!(ledger.read().await.unwrap_err().is_out_of_reach());
    assert!(ledger.append(events(1)).await.unwrap_err().is_out_of_reach());
}

#[tokio::test]
async fn ten_thousand_records_are_verified_within_a_second() {
    let bucket = Bucket::new();
    let ledger = Arc::new(bucket.ledger(&MasterKey::generate()));
    for _ in 0..100 {
        ledger.append(events(100)).await.unwrap();
    }
    let begun = Instant::now();

    let (verified, _) = ledger.verify(super::super::Verify::default()).await.unwrap();

    let limit = if cfg!(debug_assertions) { 20 } else { 1 };
    assert!(begun.elapsed() < Duration::from_secs(limit), "{:?}", begun.elapsed());
    assert!(verified.ok && verified.records == 10_000, "{verified:?}");
}

/// A ledger of a thousand records in five hundred segments, and a folder that keeps them.
async fn thousand() -> (Arc<Bucket>, MasterKey, tempfile::TempDir) {
    let (bucket, key) = (Bucket::new(), MasterKey::generate());
    let ledger = bucket.ledger(&key);
    for pair in events(1000).chunks(2) {
        ledger.append(pair.to_vec()).await.unwrap();
    }
    (bucket, key, tempfile::tempdir().unwrap())
}

#[tokio::test]
async fn segments_that_were_read_once_are_not_fetched_again() {
    let (bucket, key, folder) = thousand().await;
    let ledger = || bucket.ledger(&key).keeping_in(folder.path());
    bucket.gets();

    let first = ledger().read_quickly().await.unwrap();
    let fetched = bucket.gets();
    let second = ledger().read_quickly().await.unwrap();
    let again = bucket.gets();
    bucket.ledger(&key).append(events(1)).await.unwrap();
    bucket.gets();
    let third = ledger().read_quickly().await.unwrap();
    let after_one_more = bucket.gets();

    // One question each asks for a segment after the last.
    assert_eq!((fetched, again, after_one_more), (501, 1, 2));
    assert_eq!(first.lines, second.lines);
    assert_eq!((third.lines.len(), third.faults), (1001, Vec::new()));
    ledger().read().await.unwrap();
    assert_eq!(bucket.gets(), 502, "what is signed or proven is read from the store");
}

#[tokio::test]
async fn what_is_proven_by_kept_segments_fetches_only_the_others_and_is_held_against_the_signed() {
    let (bucket, key, folder) = thousand().await;
    let ledger = || bucket.ledger(&key).keeping_in(folder.path());
    let lines = ledger().read_quickly().await.unwrap().lines;
    let signed = Checkpoint::at(&lines, &[1000].into()).remove(&1000).unwrap();
    bucket.ledger(&key).append(events(1)).await.unwrap();
    bucket.gets();

    let proven = ledger().proven_by_kept(&[], Some(signed.remembered())).await.unwrap();

    assert_eq!(proven.len(), 1001);
    assert_eq!(bucket.gets(), 2, "the new one, and the question for what follows it");
    let other = Remembered { root: Digest::ZERO, ..signed.remembered() };
    let alarm = ledger().proven_by_kept(&[], Some(other)).await.unwrap_err();
    assert!(matches!(alarm, Error::Inconsistent { size: 1000, .. }), "{alarm:?}");
    bucket.inner.delete(&SEGMENTS.object(9)).await.unwrap();
    let lost = ledger().proven_by_kept(&[], None).await.unwrap_err();
    assert!(matches!(lost, Error::Broken { seq: 9, .. }), "{lost:?}");
}

#[tokio::test]
async fn what_one_run_has_read_and_written_it_asks_for_no_more() {
    let (bucket, key, folder) = thousand().await;
    let ledger = bucket.ledger(&key).keeping_in(folder.path());
    ledger.read_quickly().await.unwrap();
    bucket.gets();

    ledger.append(events(1)).await.unwrap();
    assert_eq!(ledger.seen().await.unwrap().lines.len(), 1001);
    assert_eq!(bucket.gets(), 0);
    bucket.ledger(&key).append(events(1)).await.unwrap();
    bucket.gets();

    // Another's, and the question for what follows it.
    assert_eq!(ledger.read_quickly().await.unwrap().lines.len(), 1002);
    assert_eq!(bucket.gets(), 2);
    let again = bucket.ledger(&key).keeping_in(folder.path());
    assert_eq!(again.read_quickly().await.unwrap().lines.len(), 1002);
    assert_eq!(bucket.gets(), 1, "what was appended is kept on the host");
}

#[tokio::test]
async fn a_segment_chained_to_something_else_is_found_whatever_was_read_before() {
    let (bucket, key) = (Bucket::new(), MasterKey::generate());
    let ledger = bucket.ledger(&key);
    ledger.append(events(2)).await.unwrap();
    ledger.read_quickly().await.unwrap();
    let other = Bucket::new();
    other.ledger(&key).append(events(1)).await.unwrap();
    other.ledger(&key).append(events(1)).await.unwrap();
    other.ledger(&key).append(events(1)).await.unwrap();
    let foreign = other.inner.get(&SEGMENTS.object(3), None).await.unwrap();
    bucket.inner.put(&SEGMENTS.object(3), foreign, Put::Create).await.unwrap();

    let reading = ledger.read_quickly().await.unwrap();

    assert_eq!(reading.lines.len(), 3);
    assert!(reading.faults[0].what.contains("altered"), "{:?}", reading.faults);
    assert!(ledger.seen().await.unwrap().sound().is_err());
}

#[tokio::test]
async fn a_kept_segment_that_was_altered_is_fetched_again_and_accuses_nobody() {
    let (bucket, key, folder) = thousand().await;
    let ledger = || bucket.ledger(&key).keeping_in(folder.path());
    let whole = ledger().read_quickly().await.unwrap();
    let kept = |first: u64| folder.path().join(format!("{first:020}"));
    let mut bytes = std::fs::read(kept(501)).unwrap();
    bytes[40] ^= 1;
    std::fs::write(kept(501), bytes).unwrap();
    std::fs::copy(kept(3), kept(7)).unwrap();

    let reading = ledger().read_quickly().await.unwrap();
    bucket.gets();
    ledger().read_quickly().await.unwrap();

    assert_eq!((reading.lines, reading.faults), (whole.lines, Vec::new()));
    assert_eq!(bucket.gets(), 1, "the kept ones are mended");
}

#[tokio::test]
async fn segments_that_the_bucket_lost_or_others_replaced_are_found_whatever_is_kept() {
    let (bucket, key, folder) = thousand().await;
    let ledger = || bucket.ledger(&key).keeping_in(folder.path());
    ledger().read_quickly().await.unwrap();
    let other = bucket.inner.get(&SEGMENTS.object(3), None).await.unwrap();
    bucket.inner.put(&SEGMENTS.object(9), other, Put::Overwrite).await.unwrap();

    let swapped = bucket.ledger(&key).verify(super::super::Verify::default()).await.unwrap().0;
    bucket.inner.delete(&SEGMENTS.object(9)).await.unwrap();
    let gone = ledger().read_quickly().await.unwrap();
    for first in [997, 999] {
        bucket.inner.delete(&SEGMENTS.object(first)).await.unwrap();
    }
    let lost = ledger().verify(super::super::Verify::default()).await.unwrap().0;

    let swapped = swapped.first_bad.unwrap();
    assert_eq!(swapped.what, "moved: it stands in the place of record 9", "{swapped:?}");
    assert_eq!(gone.faults[0].seq, 9, "{:?}", gone.faults);
    assert_eq!(lost.records, 994, "{lost:?}");
}
