//! What every store promises, as one suite that every store passes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use bytes::Bytes;
use futures_util::TryStreamExt;

use super::{Error, Local, Memory, ObjectName, Paced, Prefixed, Put, Shared, s3};

fn name(text: &str) -> ObjectName {
    text.parse().unwrap()
}

async fn names(store: &Shared, prefix: Option<&str>) -> BTreeSet<String> {
    let prefix = prefix.map(name);
    let listed: Vec<_> = store.list(prefix.as_ref()).try_collect().await.unwrap();
    let names: BTreeSet<_> = listed.iter().map(|object| object.name.to_string()).collect();
    assert_eq!(names.len(), listed.len(), "a listing named an object twice");
    names
}

async fn what_was_put_is_got_whole_and_by_range(store: &Shared) {
    let body = Bytes::from((0..=255).collect::<Vec<u8>>());
    store.put(&name("get/a"), body.clone(), Put::Create).await.unwrap();
    store.put(&name("get/empty"), Bytes::new(), Put::Create).await.unwrap();

    assert_eq!(store.get(&name("get/a"), None).await.unwrap(), body);
    assert_eq!(store.get(&name("get/a"), Some(10..20)).await.unwrap(), body.slice(10..20));
    assert_eq!(store.get(&name("get/a"), Some(256..256)).await.unwrap(), Bytes::new());
    assert_eq!(store.get(&name("get/empty"), None).await.unwrap(), Bytes::new());
    assert_eq!(store.get(&name("get/empty"), Some(0..0)).await.unwrap(), Bytes::new());
}

#[expect(clippy::reversed_empty_ranges, reason = "a hostile index may ask for one")]
async fn ranges_beyond_the_end_are_short_and_name_the_size(store: &Shared) {
    store.put(&name("short"), Bytes::from_static(b"12345678"), Put::Create).await.unwrap();

    for range in [0..9, 8..9, 9..9, u64::MAX - 1..u64::MAX, 5..3] {
        let error = store.get(&name("short"), Some(range.clone())).await.unwrap_err();
        assert!(matches!(error, Error::Short { size: 8, .. }), "{range:?}: {error:?}");
    }
}

async fn what_is_not_there_is_missing(store: &Shared) {
    store.put(&name("there/a"), Bytes::new(), Put::Create).await.unwrap();
    for absent in ["absent", "no/such/folder", "there/b", "there"] {
        let got = store.get(&name(absent), None).await.unwrap_err();
        assert!(matches!(got, Error::Missing { .. }), "{absent}: {got:?}");
        let deleted = store.delete(&name(absent)).await.unwrap_err();
        assert!(matches!(deleted, Error::Missing { .. }), "{absent}: {deleted:?}");
    }
    assert!(names(store, Some("no/such/folder")).await.is_empty());
    store.delete(&name("there/a")).await.unwrap();
    store.clear(&name("there/a")).await.unwrap();
    let twice = store.delete(&name("there/a")).await.unwrap_err();
    assert!(matches!(twice, Error::Missing { .. }), "{twice:?}");
}

async fn creating_never_replaces_and_overwriting_does(store: &Shared) {
    let object = name("create/once");
    store.put(&object, Bytes::from_static(b"first"), Put::Create).await.unwrap();

    let error = store.put(&object, Bytes::from_static(b"second"), Put::Create).await.unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error:?}");
    assert_eq!(store.get(&object, None).await.unwrap(), "first");
    store.put(&object, Bytes::from_static(b"3rd"), Put::Overwrite).await.unwrap();
    assert_eq!(store.get(&object, None).await.unwrap(), "3rd");
}

async fn of_thirty_two_racers_one_wins_with_its_body_intact(store: &Shared) {
    let racers = (0u8..32).map(|racer| {
        let store = Arc::clone(store);
        tokio::spawn(async move {
            let body = Bytes::from(vec![racer; 100_000]);
            store.put(&name("race/prize"), body, Put::Create).await.map(|()| racer)
        })
    });
    let mut winners = Vec::new();
    for racer in racers.collect::<Vec<_>>() {
        match racer.await.unwrap() {
            Ok(winner) => winners.push(winner),
            Err(error) => assert!(matches!(error, Error::Exists { .. }), "{error:?}"),
        }
    }

    assert_eq!(winners.len(), 1, "{winners:?}");
    let body = store.get(&name("race/prize"), None).await.unwrap();
    assert_eq!(body, vec![winners[0]; 100_000]);
    assert_eq!(names(store, Some("race")).await, BTreeSet::from(["race/prize".to_owned()]));
}

async fn odd_names_are_ordinary(store: &Shared) {
    let odd = ["odd/ a b ", "odd/-rf", "odd/订单.sql", "odd/a%2Fb", "odd/$(x)'\"", "odd/.hidden"];
    for text in odd {
        store.put(&name(text), Bytes::from(text), Put::Create).await.unwrap();
    }
    store.put(&name(&format!("odd/{}", "x".repeat(250))), Bytes::new(), Put::Create).await.unwrap();

    for text in odd {
        assert_eq!(store.get(&name(text), None).await.unwrap(), text);
    }
    assert_eq!(names(store, Some("odd")).await.len(), odd.len() + 1);
}

async fn a_listing_keeps_to_its_folder_and_knows_sizes(store: &Shared) {
    for text in ["list/a", "list/deep/er/b", "list-not/c"] {
        store.put(&name(text), Bytes::from_static(b"four"), Put::Create).await.unwrap();
    }

    let below = names(store, Some("list")).await;
    assert_eq!(below, BTreeSet::from(["list/a".to_owned(), "list/deep/er/b".to_owned()]));
    assert!(names(store, None).await.is_superset(&below));
    let listed: Vec<_> = store.list(Some(&name("list"))).try_collect().await.unwrap();
    let day = jiff::SignedDuration::from_hours(24);
    for object in listed {
        assert_eq!(object.size, 4);
        assert!(jiff::Timestamp::now().duration_since(object.modified).abs() < day);
    }
}

async fn large_objects_come_back_whole(store: &Shared) {
    let body: Vec<u8> = (0..40u32 << 20).map(|n| (n ^ (n >> 11)) as u8).collect();
    let body = Bytes::from(body);
    store.put(&name("large"), body.clone(), Put::Create).await.unwrap();

    assert!(store.get(&name("large"), None).await.unwrap() == body);
    let middle = store.get(&name("large"), Some(30 << 20..31 << 20)).await.unwrap();
    assert!(middle == body.slice(30 << 20..31 << 20));
    store.delete(&name("large")).await.unwrap();
}

async fn a_listing_during_writes_shows_only_whole_objects(store: &Shared) {
    let writer = tokio::spawn({
        let store = Arc::clone(store);
        async move {
            for n in 0..50 {
                let body = Bytes::from(vec![7; 5000]);
                store.put(&name(&format!("busy/{n}")), body, Put::Create).await.unwrap();
            }
        }
    });
    let mut before = 0;
    while before < 50 {
        let listed: Vec<_> = store.list(Some(&name("busy"))).try_collect().await.unwrap();
        assert!(listed.iter().all(|object| object.size == 5000), "{listed:?}");
        assert!(listed.len() >= before, "an object vanished from the listing");
        before = listed.len();
    }
    writer.await.unwrap();
}

async fn a_reader_sees_the_old_or_the_new_bytes_never_a_mixture(store: &Shared) {
    let object = name("mixture");
    store.put(&object, Bytes::from(vec![0; 50_000]), Put::Create).await.unwrap();
    let done = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn({
        let (store, done) = (Arc::clone(store), Arc::clone(&done));
        async move {
            for n in 1u8..40 {
                let body = Bytes::from(vec![n; 50_000 + usize::from(n)]);
                store.put(&name("mixture"), body, Put::Overwrite).await.unwrap();
            }
            done.store(true, Ordering::SeqCst);
        }
    });
    while !done.load(Ordering::SeqCst) {
        let body = store.get(&object, None).await.unwrap();
        assert_eq!(body.len(), 50_000 + usize::from(body[0]));
        assert!(body.iter().all(|byte| *byte == body[0]), "a mixture of two versions");
        tokio::task::yield_now().await;
    }
    writer.await.unwrap();
}

async fn hold(store: Shared) {
    what_was_put_is_got_whole_and_by_range(&store).await;
    ranges_beyond_the_end_are_short_and_name_the_size(&store).await;
    what_is_not_there_is_missing(&store).await;
    creating_never_replaces_and_overwriting_does(&store).await;
    of_thirty_two_racers_one_wins_with_its_body_intact(&store).await;
    odd_names_are_ordinary(&store).await;
    a_listing_keeps_to_its_folder_and_knows_sizes(&store).await;
    large_objects_come_back_whole(&store).await;
    a_listing_during_writes_shows_only_whole_objects(&store).await;
    a_reader_sees_the_old_or_the_new_bytes_never_a_mixture(&store).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn memory_keeps_the_contract() {
    hold(Arc::new(Memory::new())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_at_a_pace_keeps_the_contract() {
    let rate = "1GB/s".parse().unwrap();
    hold(Arc::new(Paced::new(Arc::new(Memory::new()), rate, Arc::default()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_keeps_the_contract() {
    let folder = tempfile::tempdir().unwrap();
    hold(Arc::new(Local::open(folder.path()).unwrap())).await;
    let left = std::fs::read_dir(folder.path().join(".tmp")).unwrap().count();
    assert_eq!(left, 0, "temporary files were left behind");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_a_store_keeps_the_contract_and_leaves_its_neighbours_alone() {
    let folder = tempfile::tempdir().unwrap();
    let whole: Shared = Arc::new(Local::open(folder.path()).unwrap());
    whole.put(&name("acme/repository/x"), Bytes::new(), Put::Create).await.unwrap();

    hold(Arc::new(Prefixed::new(Arc::clone(&whole), name("acme/repo")))).await;

    let others: Vec<_> = names(&whole, None).await.into_iter().collect();
    assert!(others.iter().any(|other| other == "acme/repository/x"));
    assert!(others.iter().filter(|other| !other.starts_with("acme/repo/")).count() == 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bucket_keeps_the_contract() {
    hold(Arc::new(s3::tests::store("contract"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_of_a_bucket_keeps_the_contract_and_leaves_its_neighbours_alone() {
    let whole: Shared = Arc::new(s3::tests::store("contract-of-a-folder"));
    whole.put(&name("acme/repository/x"), Bytes::new(), Put::Create).await.unwrap();

    hold(Arc::new(Prefixed::new(Arc::clone(&whole), name("acme/repo")))).await;

    let others: Vec<_> = names(&whole, None).await.into_iter().collect();
    assert!(others.iter().filter(|other| !other.starts_with("acme/repo/")).count() == 1);
}
