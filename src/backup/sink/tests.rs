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

struct Word(io::Cursor<&'static [u8]>);

impl Word {
    fn boxed(word: &'static str) -> Option<Box<dyn Open>> {
        Some(Box::new(Self(io::Cursor::new(word.as_bytes()))))
    }
}

impl Open for Word {
    fn open(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        Ok(self)
    }
}

impl Read for Word {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Stream for Word {
    fn finish(self: Box<Self>) -> io::Result<Option<String>> {
        Ok(None)
    }
}

#[test]
fn what_was_put_before_a_source_starts_over_leaves_no_trace_in_its_tree() {
    let put = |sink: &dyn Sink, path: &str, word| {
        sink.put(file(path, Word::boxed(word)))?;
        sink.settle().map(drop)
    };
    let once = gathered(|sink| put(sink, "databases/shop.sql", "second"));

    let twice = gathered(|sink| {
        put(sink, "databases/shop.sql", "first")?;
        put(sink, "views.sql", "first")?;
        sink.start_over()?;
        put(sink, "databases/shop.sql", "second")
    });

    assert_eq!(once.unwrap(), twice.unwrap());
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
            (0..2 * queue::LIMIT)
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

#[test]
fn entries_that_come_in_any_order_make_the_tree_that_they_make_in_their_own() {
    let put = |sink: &dyn Sink, paths: &[&str]| {
        paths.iter().try_for_each(|path| sink.put(file(path, Word::boxed("word"))))
    };
    let (_, in_order) = gathered(|sink| put(sink, &["a/b/c", "a/b/d", "a/e", "f/g", "h"])).unwrap();

    let (_, in_any) = gathered(|sink| {
        sink.in_any_order();
        put(sink, &["thrown/away"])?;
        sink.settle()?;
        sink.start_over()?;
        put(sink, &["a/b/d", "h", "f/g", "a/e", "a/b/c"])
    })
    .unwrap();

    assert_eq!(in_any, in_order);
}

fn job(size: u64) -> Job {
    let dir = Arc::new(Dir {
        node: Template { name: Vec::new(), meta: neutral_directory() },
        parent: None,
        before: None,
        filling: Mutex::new(Filling { nodes: Vec::new(), pending: 1 }),
    });
    let meta = Meta { kind: EntryKind::File { size }, ..neutral_directory() };
    let template = Template { name: b"x".to_vec(), meta };
    Job { dir, template, path: b"x".to_vec(), content: Box::new(Deadly) }
}

#[test]
fn a_worker_without_contents_stays_while_another_cuts() {
    let queue = Queue::default();
    queue.put(job(1 << 30));
    queue.close();
    let mut cuts = queue.worker();
    assert!(matches!(cuts.next(), Some(Work::Jobs(_))));

    std::thread::scope(|scope| {
        let helps = scope.spawn(|| queue.worker().next().is_none());
        while !crate::repo::Hands::are_free(&queue) {
            std::thread::yield_now();
        }

        assert!(!helps.is_finished(), "it went home while a content was being cut");
        assert!(cuts.next().is_none());
        assert!(helps.join().unwrap());
    });
}

#[test]
fn small_contents_are_taken_by_the_handful_and_large_ones_alone() {
    let queue = Queue::default();
    let sizes = |size: u64| {
        (0..40).for_each(|_| queue.put(job(size)));
        let mut worker = queue.worker();
        let mut taken = Vec::new();
        while taken.iter().sum::<usize>() < 40
            && let Some(Work::Jobs(jobs)) = worker.next()
        {
            taken.push(jobs.len());
        }
        taken
    };

    assert_eq!(sizes(1000)[..2], [16, 16]);
    assert_eq!(sizes(900_000), [1; 40]);
}
