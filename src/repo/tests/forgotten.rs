//! Whoever forgets meanwhile removes what was listed a moment ago: that is no unreadable snapshot.

use super::*;

/// Gives a listed snapshot no more: it was forgotten before it was read, or the listing is wrong.
#[derive(Debug)]
struct Forgetting {
    inner: Arc<Faulty>,
    snapshot: ObjectName,
    is_forgotten: bool,
}

#[async_trait]
impl Store for Forgetting {
    async fn put(&self, name: &ObjectName, body: Bytes, how: Put) -> store::Result<()> {
        self.inner.put(name, body, how).await
    }

    async fn get(&self, name: &ObjectName, range: Option<Range<u64>>) -> store::Result<Bytes> {
        if *name != self.snapshot {
            return self.inner.get(name, range).await;
        }
        if self.is_forgotten {
            self.inner.clear(name).await?;
        }
        Err(store::Error::Missing { name: name.clone() })
    }

    fn list(&self, prefix: Option<&ObjectName>) -> BoxStream<'_, store::Result<Object>> {
        self.inner.list(prefix)
    }

    async fn delete(&self, name: &ObjectName) -> store::Result<()> {
        self.inner.delete(name).await
    }

    fn place(&self) -> String {
        self.inner.place()
    }
}

/// Two snapshots, of which the first is listed and not given.
fn listed(bench: &Bench, is_forgotten: bool) -> (Repository, SnapshotId, SnapshotId) {
    let (going, _) = bench.back_up(&[("/going", b"a")]);
    let (staying, _) = bench.back_up(&[("/staying", b"b")]);
    let snapshot = layout::snapshot(&going);
    let store = Forgetting { inner: bench.store.clone(), snapshot, is_forgotten };
    (bench.repository.through(Arc::new(store)), going, staying)
}

#[test]
fn a_snapshot_that_is_forgotten_between_listing_and_reading_is_not_there() {
    let bench = Bench::new();
    let (repository, going, staying) = listed(&bench, true);

    let files = bench.runtime.block_on(repository.snapshot_files()).unwrap();

    let ids: Vec<_> = files.iter().map(|(id, file)| (*id, file.is_ok())).collect();
    assert_eq!(ids, [(staying, true)]);
    let known = bench.runtime.block_on(repository.snapshot_files_with(&[going])).unwrap();
    assert_eq!(known.len(), 1);
}

#[test]
fn a_snapshot_that_is_listed_still_and_cannot_be_had_is_an_error_that_names_it() {
    let bench = Bench::new();
    let (repository, going, staying) = listed(&bench, false);

    let files = bench.runtime.block_on(repository.snapshot_files()).unwrap();

    assert_eq!(files.len(), 2);
    assert!(files.iter().all(|(id, file)| file.is_ok() == (*id == staying)));
    let error = bench.runtime.block_on(repository.snapshots()).unwrap_err();
    let told = crate::ground::causes::chain(&error);
    assert!(told.contains(&going.to_string()), "{told}");
}
