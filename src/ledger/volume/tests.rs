use std::sync::Arc;

use bytes::Bytes;

use super::super::testing::{Bucket, events, signer};
use super::super::{Verified, Verify};
use super::*;
use crate::seal::MasterKey;
use crate::store::{Act, Fault, Faulty, Harm, Put, Store};

/// A ledger of 2500 records, two to a segment, and two volumes: a checkpoint was signed.
async fn bench() -> (Arc<Bucket>, MasterKey) {
    let (bucket, key) = (Bucket::new(), MasterKey::generate());
    let ledger = bucket.ledger(&key);
    for pair in events(2500).chunks(2) {
        ledger.append(pair.to_vec()).await.unwrap();
    }
    ledger.checkpoint(&signer(), None).await.unwrap();
    (bucket, key)
}

async fn verified(bucket: &Arc<Bucket>, key: &MasterKey) -> Verified {
    let mut verified = bucket.ledger(key).verify(Verify::default()).await.unwrap().0;
    // Of a key that nobody vouches for here.
    verified.problems.retain(|problem| !problem.starts_with("checkpoints/"));
    verified
}

async fn names(bucket: &Bucket) -> Vec<String> {
    bucket.names("volumes").await.iter().map(ToString::to_string).collect()
}

/// The plain text of an object, and what puts another one in its place.
async fn replaced(bucket: &Bucket, key: &MasterKey, name: &ObjectName, edit: fn(String) -> String) {
    let sealed = bucket.inner.get(name, None).await.unwrap();
    let plain = String::from_utf8(key.open(&sealed).unwrap()).unwrap();
    let sealed = key.seal(edit(plain).as_bytes());
    bucket.inner.put(name, sealed.into(), Put::Overwrite).await.unwrap();
}

#[tokio::test]
async fn a_ledger_of_many_segments_is_read_from_few_objects() {
    let (bucket, key) = bench().await;
    bucket.gets();

    let reading = bucket.ledger(&key).read().await.unwrap();

    assert_eq!(reading.lines.len(), 2500);
    assert_eq!((reading.faults.len(), reading.amiss.len()), (0, 0), "{reading:?}");
    // Two volumes, 226 segments, and a look at what may follow.
    assert_eq!(bucket.gets(), 2 + (2500 - 2048) / 2 + 1);
    assert_eq!(
        names(&bucket).await,
        [format!("volumes/{:020}", 1), format!("volumes/{:020}", 1025)]
    );
}

#[tokio::test]
async fn volumes_kept_on_a_host_are_not_fetched_again_and_their_segments_are_kept_no_longer() {
    let (bucket, key) = bench().await;
    let folder = tempfile::tempdir().unwrap();
    let ledger = || bucket.ledger(&key).keeping_in(folder.path());
    bucket.inner.delete(&VOLUMES.object(1025)).await.unwrap();
    ledger().read_quickly().await.unwrap();
    let files = || std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files(), (2500 - 1024) / 2 + 1);
    ledger().checkpoint(&signer(), None).await.unwrap();

    ledger().read_quickly().await.unwrap();
    bucket.gets();
    let reading = ledger().read_quickly().await.unwrap();

    assert_eq!((reading.lines.len(), bucket.gets()), (2500, 1));
    assert_eq!(files(), (2500 - 2048) / 2 + 1);
}

#[tokio::test]
async fn what_two_writers_bind_at_once_is_bound_once() {
    let (bucket, key) = bench().await;
    for first in [1, 1025] {
        bucket.inner.delete(&VOLUMES.object(first)).await.unwrap();
    }
    let (one, other) = (bucket.ledger(&key), bucket.ledger(&key));
    let (read, also) = (one.read().await.unwrap(), other.read().await.unwrap());

    let (bound, also) = tokio::join!(one.bind(&read), other.bind(&also));

    bound.and(also).unwrap();
    assert_eq!(names(&bucket).await.len(), 2);
    assert!(verified(&bucket, &key).await.problems.is_empty());
}

#[tokio::test]
async fn a_damaged_volume_is_told_and_its_segments_are_read() {
    for damage in ["flipped", "cut short", "emptied", "swapped"] {
        let (bucket, key) = bench().await;
        let name = VOLUMES.object(1);
        let mut sealed = bucket.inner.get(&name, None).await.unwrap().to_vec();
        match damage {
            "flipped" => sealed[5000] ^= 1,
            "cut short" => sealed.truncate(5000),
            "emptied" => sealed.clear(),
            _ => sealed = bucket.inner.get(&VOLUMES.object(1025), None).await.unwrap().to_vec(),
        }
        bucket.inner.put(&name, sealed.into(), Put::Overwrite).await.unwrap();

        let verified = verified(&bucket, &key).await;

        assert_eq!(verified.records, 2500, "{damage}");
        assert_eq!(verified.first_bad, None, "{damage}");
        let [problem] = &verified.problems[..] else { panic!("{damage}: {verified:?}") };
        assert!(
            problem.starts_with(name.as_str()) && problem.contains("may be deleted"),
            "{problem}"
        );
    }
}

#[tokio::test]
async fn a_volume_that_is_gone_is_made_again() {
    let (bucket, key) = bench().await;
    bucket.inner.delete(&VOLUMES.object(1)).await.unwrap();

    let told = verified(&bucket, &key).await;
    bucket.ledger(&key).bind(&bucket.ledger(&key).read().await.unwrap()).await.unwrap();

    assert!(told.problems[0].contains("is missing"), "{told:?}");
    assert!(verified(&bucket, &key).await.problems.is_empty());
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
        let (bucket, key) = bench().await;
        let name = SEGMENTS.object(601);
        match edit {
            None => bucket.inner.delete(&name).await.unwrap(),
            Some(edit) => replaced(&bucket, &key, &name, edit).await,
        }

        let verified = verified(&bucket, &key).await;

        assert_eq!((verified.records, verified.first_bad), (2500, None), "{what}");
        let [problem] = &verified.problems[..] else { panic!("{:?}", verified.problems) };
        assert!(problem.starts_with(name.as_str()) && problem.ends_with(what), "{problem}");
    }
}

#[tokio::test]
async fn a_segment_that_begins_within_another_one_is_told() {
    let (bucket, key) = bench().await;
    let sealed = bucket.inner.get(&SEGMENTS.object(601), None).await.unwrap();
    bucket.inner.put(&SEGMENTS.object(602), sealed, Put::Create).await.unwrap();

    let verified = verified(&bucket, &key).await;

    assert!(verified.problems[0].starts_with(SEGMENTS.object(602).as_str()), "{verified:?}");
}

#[tokio::test]
async fn segments_and_volumes_that_a_listing_leaves_out_accuse_nobody() {
    let (bucket, key) = bench().await;
    for hidden in [SEGMENTS.object(601), SEGMENTS.object(2201), SEGMENTS.object(2499)] {
        let name = hidden.as_str().into();
        let fault = Fault { act: Act::List, name, calls: 0..u64::MAX, harm: Harm::Hide };
        let liar = Arc::new(Faulty::new(bucket.clone(), vec![fault]));

        let reading = Ledger::open(liar, key.clone()).read().await.unwrap();

        assert_eq!((reading.lines.len(), reading.faults.len()), (2500, 0), "{hidden}");
        assert!(reading.amiss.is_empty(), "{hidden}: {:?}", reading.amiss);
    }
    for folder in ["segments", "volumes"] {
        bucket.hide(folder);
        assert!(verified(&bucket, &key).await.problems.is_empty(), "{folder}");
    }
}

/// Who holds the repository's key can make one.
#[tokio::test]
async fn a_volume_that_tells_another_story_never_stands_against_its_segments() {
    let (bucket, key) = bench().await;
    let mut told = events(2048);
    told[600].actor.name = "mallory".into();
    let lines = super::super::chain::chain(Tail::START, &told).unwrap();
    for (first, part) in [(1, &lines[..1024]), (1025, &lines[1024..])] {
        let sealed = Bytes::from(key.seal(&join(part)));
        bucket.inner.put(&VOLUMES.object(first), sealed, Put::Overwrite).await.unwrap();
    }

    let ledger = bucket.ledger(&key);
    let reading = ledger.read().await.unwrap();

    assert_eq!((reading.lines.len(), reading.faults.len()), (2500, 0));
    assert!(!reading.lines.iter().any(|line| line.text.contains("mallory")));
    let verified = verified(&bucket, &key).await;
    assert!(verified.problems[0].contains("the volumes do not hold"), "{verified:?}");
}

#[tokio::test]
async fn an_edited_segment_after_the_volumes_is_named_as_ever() {
    let (bucket, key) = bench().await;
    let edit = |text: String| text.replacen("alice", "mallory", 1);
    replaced(&bucket, &key, &SEGMENTS.object(2201), edit).await;

    let verified = verified(&bucket, &key).await;

    assert_eq!(verified.first_bad.map(|fault| fault.seq), Some(2201));
    assert!(!verified.problems.iter().any(|problem| problem.contains("volume")));
}
