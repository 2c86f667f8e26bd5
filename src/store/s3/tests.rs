use std::sync::Arc;

use futures_util::TryStreamExt;

use super::*;

#[path = "../../../tests/seaweed/mod.rs"]
mod seaweed;

use seaweed::{ADMIN, seaweed};

fn name(text: &str) -> ObjectName {
    text.parse().unwrap()
}

fn service(bucket: &str) -> Service {
    Service {
        bucket: bucket.to_owned(),
        endpoint: Some(seaweed().endpoint()),
        region: "us-east-1".into(),
        access_key: ADMIN.access.to_owned().into(),
        secret_key: ADMIN.secret.to_owned().into(),
        ca: None,
    }
}

/// A store in a new bucket of a real service.
pub(in crate::store) fn store(bucket: &str) -> S3 {
    seaweed().bucket(bucket);
    S3::open(&service(bucket)).unwrap()
}

fn trouble(error: &Error) -> &Trouble {
    let Error::Io { source, .. } = error else { panic!("{error:?}") };
    source.downcast_ref().unwrap_or_else(|| panic!("{error:?}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_bucket_is_not_a_missing_object() {
    let store = S3::open(&Service { bucket: "no-such-bucket".into(), ..service("x") }).unwrap();
    let object = name("config");

    let read = store.get(&object, None).await.unwrap_err();
    let written = store.put(&object, Bytes::new(), Put::Create).await.unwrap_err();
    let deleted = store.delete(&object).await.unwrap_err();
    let listed = store.list(None).try_collect::<Vec<_>>().await.unwrap_err();

    for error in [read, written, deleted, listed] {
        assert!(matches!(trouble(&error), Trouble::NoBucket), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_keys_are_told_and_never_shown() {
    let bucket = seaweed().bucket("wrong-keys");
    let wrong = Service { secret_key: "canary-wrong-secret".to_owned().into(), ..service(&bucket) };
    let unknown = Service { access_key: "canary-unknown".to_owned().into(), ..service(&bucket) };
    for service in [wrong, unknown] {
        let store = S3::open(&service).unwrap();

        let error = store.get(&name("config"), None).await.unwrap_err();

        assert!(matches!(trouble(&error), Trouble::Keys { .. }), "{error:?}");
        let shown = format!("{service:?} {store:?} {error:?} {error}");
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_out_of_reach_is_told_after_a_few_attempts() {
    let endpoint = Some("http://127.0.0.1:1".into());
    let store = S3::open(&Service { endpoint, ..service("x") }).unwrap();

    let error = store.get(&name("config"), None).await.unwrap_err();

    assert!(matches!(trouble(&error), Trouble::Unreachable { .. }), "{error:?}");
    assert!(crate::ground::causes::chain(&error).contains("refused"), "{error:?}");
}

#[test]
fn certificates_that_are_none_are_refused_before_anything_is_sent() {
    let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n".to_vec();
    for ca in [b"no certificate at all".to_vec(), broken] {
        let service = Service { ca: Some(ca), endpoint: None, ..unasked() };

        let error = S3::open(&service).unwrap_err();

        assert!(matches!(error, Trouble::Certificates { .. }), "{error:?}");
    }
}

#[test]
fn a_bucket_of_aws_is_named_as_restic_names_it() {
    let store = S3::open(&Service { endpoint: None, ..unasked() }).unwrap();

    assert_eq!(store.place(), "s3:https://s3.eu-central-1.amazonaws.com/backups");
}

/// A service that no test talks to.
fn unasked() -> Service {
    Service {
        bucket: "backups".into(),
        endpoint: None,
        region: "eu-central-1".into(),
        access_key: "id".to_owned().into(),
        secret_key: "secret".to_owned().into(),
        ca: None,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_of_many_pages_are_whole() {
    let store = Arc::new(store("pages"));
    let puts = (0..2_500).map(|n| {
        let store = Arc::clone(&store);
        async move {
            let object = name(&format!("many/{n:05}"));
            store.put(&object, Bytes::from_static(b"x"), Put::Overwrite).await
        }
    });
    let put = futures_util::StreamExt::buffer_unordered(futures_util::stream::iter(puts), 32);
    put.try_collect::<Vec<()>>().await.unwrap();

    let listed: Vec<_> = store.list(Some(&name("many"))).try_collect().await.unwrap();

    let names: std::collections::BTreeSet<_> = listed.iter().map(|one| &one.name).collect();
    assert_eq!(names.len(), 2_500);
}
