//! What a source may do wrong, and what its content may do to a worker.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::RwLock;

use tokio::runtime::Runtime;

use super::*;
use crate::ground::clock::SystemClock;
use crate::ground::progress::Silent;
use crate::repo::Repository;
use crate::seal::Cost;
use crate::source::Meta;
use crate::source::Stream;
use crate::store::Memory;

/// Runs `walk` with a sink whose two workers write to a repository in memory.
fn gathered(
    walk: impl FnOnce(&dyn Sink) -> Result<(), source::Error>,
) -> Result<((), BlobId), source::Error> {
    let runtime = Runtime::new().unwrap();
    let cost = Cost { log_n: 4, ..Cost::DEFAULT };
    let password = "right".to_owned().into();
    let created = Repository::create(Arc::new(Memory::new()), &password, cost, &SystemClock);
    let repository = Arc::new(runtime.block_on(created).unwrap());
    let index = Arc::new(RwLock::new(Default::default()));
    let writer = repository.writer(index, runtime.handle().clone(), Arc::new(SystemClock));
    let reading = Reading { interrupted: &AtomicBool::new(false), pace: None, workers: 2 };
    gather(&writer, &|_| None, None, &Silent, reading, walk)
}

fn file(path: &str, content: Option<Box<dyn Open>>) -> Entry {
    let meta = Meta { kind: EntryKind::File { size: 7 }, ..neutral_directory() };
    Entry { path: path.as_bytes().to_vec(), meta, content }
}

struct Deadly;

impl Open for Deadly {
    fn open(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        panic!("a defect in a source")
    }
}

#[test]
fn a_worker_that_dies_ends_the_run_instead_of_keeping_it_waiting() {
    let run = || {
        gathered(|sink| {
            // More than the queue holds: nothing may wait for a worker that is gone.
            (0..2 * QUEUE)
                .try_for_each(|n| sink.put(file(&n.to_string(), Some(Box::new(Deadly)))))?;
            sink.settle().map(drop)
        })
    };

    let death = catch_unwind(AssertUnwindSafe(run)).unwrap_err();

    assert_eq!(death.downcast_ref(), Some(&"a defect in a source"));
}

#[test]
fn a_walk_that_dies_ends_the_run_instead_of_keeping_it_waiting() {
    let run = || gathered(|_| panic!("a defect in a walk"));

    let death = catch_unwind(AssertUnwindSafe(run)).unwrap_err();

    assert_eq!(death.downcast_ref(), Some(&"a defect in a walk"));
}

#[test]
fn a_file_that_comes_without_content_is_never_stored_as_an_empty_one() {
    let error = gathered(|sink| sink.put(file("orders.csv", None))).unwrap_err();

    assert!(error.to_string().contains("orders.csv"), "{error}");
}
