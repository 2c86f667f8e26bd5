use std::os::unix::fs::{PermissionsExt, symlink};

use futures_util::TryStreamExt;

use super::*;

fn name(text: &str) -> ObjectName {
    text.parse().unwrap()
}

async fn listed(store: &Local, prefix: Option<&ObjectName>) -> Result<Vec<Object>> {
    store.list(prefix).try_collect().await
}

#[tokio::test]
async fn symbolic_links_in_the_store_lead_nowhere() {
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("canary"), "secret").unwrap();
    let inside = tempfile::tempdir().unwrap();
    symlink(outside.path(), inside.path().join("folder")).unwrap();
    symlink(outside.path().join("canary"), inside.path().join("file")).unwrap();
    let store = Local::open(inside.path()).unwrap();

    for escape in ["folder/canary", "file"] {
        let error = store.get(&name(escape), None).await.unwrap_err();
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
    }
    assert!(store.put(&name("folder/new"), Bytes::new(), Put::Create).await.is_err());
    assert!(store.delete(&name("folder/canary")).await.is_err());
    assert!(listed(&store, None).await.is_err(), "a listing passed over a link in silence");
    store.put(&name("file"), Bytes::from_static(b"own"), Put::Overwrite).await.unwrap();
    assert_eq!(std::fs::read(outside.path().join("canary")).unwrap(), b"secret");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
}

#[tokio::test]
async fn only_the_owner_may_read_what_is_stored() {
    let folder = tempfile::tempdir().unwrap();
    let store = Local::open(folder.path()).unwrap();

    store.put(&name("a/b"), Bytes::new(), Put::Create).await.unwrap();

    let mode = |path: &str| {
        std::fs::metadata(store.root().join(path)).unwrap().permissions().mode() & 0o7777
    };
    assert_eq!((mode("a"), mode("a/b")), (0o700, 0o600));
}

#[tokio::test]
async fn leftovers_of_dead_writers_go_and_fresh_ones_stay() {
    let folder = tempfile::tempdir().unwrap();
    let temporaries = folder.path().join(TEMPORARY);
    std::fs::create_dir(&temporaries).unwrap();
    std::fs::write(temporaries.join("fresh"), "").unwrap();
    let old = std::fs::File::create(temporaries.join("old")).unwrap();
    old.set_modified(SystemTime::now() - 2 * LEFTOVER_AGE).unwrap();

    let store = Local::open(folder.path()).unwrap();

    assert!(temporaries.join("fresh").exists());
    assert!(!temporaries.join("old").exists());
    assert!(listed(&store, None).await.unwrap().is_empty(), "a temporary file was listed");
    let refused = store.get(&name(".tmp/fresh"), None).await.unwrap_err();
    assert!(matches!(refused, Error::Io { .. }), "{refused:?}");
}

#[tokio::test]
async fn a_fifo_in_the_store_is_an_error_and_no_hang() {
    let folder = tempfile::tempdir().unwrap();
    let fifo = folder.path().join("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, FileType::Fifo, Mode::RUSR, 0).unwrap();
    let store = Local::open(folder.path()).unwrap();

    let error = store.get(&name("fifo"), None).await.unwrap_err();

    assert!(matches!(error, Error::Io { .. }), "{error:?}");
}

#[test]
fn a_store_that_is_not_there_is_an_error_and_is_not_made() {
    let folder = tempfile::tempdir().unwrap();
    let absent = folder.path().join("absent");

    let error = Local::open(&absent).unwrap_err();

    assert!(error.to_string().contains("absent"), "{error}");
    assert!(!absent.exists());
}
