//! Entries become nodes, directories become trees, contents become blobs.
//!
//! One thread walks (it calls [`Sink::put`]); workers, one a core, read, cut, compress and seal, and
//! help each other with large contents.
//! A directory's tree is written as soon as the last of its entries is known, so memory holds only
//! directories that are under way.

mod queue;

use std::any::Any;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use self::queue::{Queue, Work};
use super::node::{Template, neutral_directory, sorted};
use crate::ground::pace::Pace;
use crate::ground::progress::Progress;
use crate::repo::{BlobId, BlobKind, Node, NodeKind, Shape, StoreError, Tree, WriteError, Writer};
use crate::source::{self, Entry, EntryKind, Open, Sink, Skipped};

/// Looks up a tree of the parent snapshot; blocking.
pub(super) type Parents<'a> = dyn Fn(&BlobId) -> Option<Tree> + Sync + 'a;

/// How contents are read.
#[derive(Clone, Copy)]
pub(super) struct Reading<'a> {
    /// Ends it.
    pub(super) interrupted: &'a AtomicBool,
    /// No faster than this, all workers together.
    pub(super) pace: Option<&'a Pace>,
    pub(super) workers: usize,
}

/// Builds the tree of one source out of its entries.
pub(super) struct TreeSink<'a> {
    writer: &'a Writer,
    parents: &'a Parents<'a>,
    progress: &'a dyn Progress,
    reading: Reading<'a>,
    queue: Queue,
    /// The directories on the path to the entry put last, the source's own folder first.
    open: Mutex<Vec<Arc<Dir>>>,
    /// Where entries come in any order: the directories below the source's own, by their paths.
    kept: Mutex<Option<BTreeMap<Vec<u8>, Arc<Dir>>>>,
    waiting: Mutex<Waiting>,
    settled: Condvar,
}

#[derive(Default)]
struct Waiting {
    unread: usize,
    skipped: Vec<Skipped>,
    failure: Option<WriteError>,
    /// What a worker died of: the walk waits for all that was put, and must learn of it.
    death: Option<Box<dyn Any + Send>>,
    root: Option<BlobId>,
}

impl Waiting {
    fn is_lost(&self) -> bool {
        self.failure.is_some() || self.death.is_some()
    }
}

/// A directory some of whose entries are not known yet.
struct Dir {
    /// Its own node, but for the subtree's id.
    node: Template,
    parent: Option<Arc<Dir>>,
    /// The same directory in the parent snapshot.
    before: Option<Tree>,
    filling: Mutex<Filling>,
}

struct Filling {
    nodes: Vec<Node>,
    /// Contents and sub-directories that are still under way, and the walk itself.
    pending: usize,
}

struct Job {
    dir: Arc<Dir>,
    template: Template,
    path: Vec<u8>,
    content: Box<dyn Open>,
}

impl Job {
    /// Bytes of content as the walk saw them.
    fn size(&self) -> u64 {
        match self.template.meta.kind {
            EntryKind::File { size } => size,
            _ => 0,
        }
    }
}

/// Dropped, it lets the workers go home: also where the walk panics, whose scope waits for them.
struct EndOfJobs<'a>(&'a Queue);

impl Drop for EndOfJobs<'_> {
    fn drop(&mut self) {
        self.0.close();
    }
}

/// Runs `walk` with a sink; returns its result and the id of the source's tree.
///
/// Blocking; the walk runs on this thread and `reading`'s workers beside it.
pub(super) fn gather<T>(
    writer: &Writer,
    parents: &Parents<'_>,
    before: Option<Tree>,
    progress: &dyn Progress,
    reading: Reading<'_>,
    walk: impl FnOnce(&dyn Sink) -> Result<T, source::Error>,
) -> Result<(T, BlobId), source::Error> {
    let workers = reading.workers.max(1);
    let sink = TreeSink {
        writer,
        parents,
        progress,
        reading,
        queue: Queue::default(),
        open: Mutex::new(vec![Arc::new(Dir {
            node: Template { name: Vec::new(), meta: neutral_directory() },
            parent: None,
            before,
            filling: Mutex::new(Filling { nodes: Vec::new(), pending: 1 }),
        })]),
        kept: Mutex::default(),
        waiting: Mutex::default(),
        settled: Condvar::new(),
    };
    std::thread::scope(|scope| {
        // Before the workers: one that cannot be started must not leave the others waiting.
        let end_of_jobs = EndOfJobs(&sink.queue);
        for _ in 0..workers {
            scope.spawn(|| sink.work());
        }
        let walked = walk(&sink);
        let closed = sink.close_kept().and_then(|()| sink.close_below(0));
        drop(end_of_jobs);
        let captured = walked?;
        sink.settle()?;
        closed?;
        Ok(captured)
    })
    .and_then(|captured| {
        let mut waiting = lock(&sink.waiting);
        match (waiting.failure.take(), waiting.root) {
            (Some(failure), _) => Err(sink_error("the source's tree", failure)),
            (None, Some(root)) => Ok((captured, root)),
            (None, None) => Err(source::Error::Interrupted),
        }
    })
}

impl Sink for TreeSink<'_> {
    fn put(&self, entry: Entry) -> Result<(), source::Error> {
        if self.is_interrupted() {
            return Err(source::Error::Interrupted);
        }
        if let Some(failure) = lock(&self.waiting).failure.take() {
            return Err(sink_error(&String::from_utf8_lossy(&entry.path), failure));
        }
        let dir = self.enter(&entry.path)?;
        let name = last_part(&entry.path).to_vec();
        let template = Template { name, meta: entry.meta };
        let kind = match template.meta.kind.clone() {
            EntryKind::Dir => {
                self.open_up(dir, template, &entry.path);
                return Ok(());
            }
            EntryKind::File { .. } => {
                let Some(content) = entry.content else {
                    return Err(source::Error::Engine {
                        object: String::from_utf8_lossy(&entry.path).into_owned(),
                        what: "is a file without content".to_owned(),
                        source: None,
                    });
                };
                return self.file(Job { dir, template, path: entry.path, content });
            }
            EntryKind::Symlink { target } => NodeKind::Symlink { target },
            EntryKind::BlockDevice { number } => NodeKind::Device { number },
            EntryKind::CharDevice { number } => NodeKind::CharDevice { number },
            EntryKind::Fifo => NodeKind::Fifo,
            EntryKind::Socket => NodeKind::Socket,
        };
        lock(&dir.filling).nodes.push(template.node(kind));
        self.progress.advance(1, 0);
        Ok(())
    }

    fn settle(&self) -> Result<Vec<Skipped>, source::Error> {
        let mut waiting = lock(&self.waiting);
        while waiting.unread > 0 {
            waiting = self.settled.wait(waiting).unwrap_or_else(|held| held.into_inner());
        }
        if self.is_interrupted() {
            return Err(source::Error::Interrupted);
        }
        if let Some(death) = waiting.death.take() {
            drop(waiting);
            resume_unwind(death);
        }
        match waiting.failure.take() {
            Some(failure) => Err(sink_error("a file's content", failure)),
            None => Ok(std::mem::take(&mut waiting.skipped)),
        }
    }

    fn in_any_order(&self) {
        lock(&self.kept).get_or_insert_default();
    }

    fn start_over(&self) -> Result<(), source::Error> {
        self.close_kept()?;
        self.close_below(1)?;
        lock(&self.innermost().filling).nodes.clear();
        Ok(())
    }
}

impl TreeSink<'_> {
    fn is_interrupted(&self) -> bool {
        self.reading.interrupted.load(Ordering::Relaxed)
    }

    /// The directory that holds `path`; directories left behind are closed, missing ones made.
    fn enter(&self, path: &[u8]) -> Result<Arc<Dir>, source::Error> {
        let parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let folders = &parts[..parts.len() - 1];
        if lock(&self.kept).is_some() {
            return Ok(self.enter_any(folders));
        }
        let shared = {
            let open = lock(&self.open);
            open[1..].iter().zip(folders).take_while(|(dir, part)| dir.node.name == **part).count()
        };
        self.close_below(shared + 1)?;
        for part in &folders[shared..] {
            let dir = self.innermost();
            let node = Template { name: part.to_vec(), meta: neutral_directory() };
            self.open_up(dir, node, &[]);
        }
        Ok(self.innermost())
    }

    /// The same where directories stay open.
    fn enter_any(&self, folders: &[&[u8]]) -> Arc<Dir> {
        let mut dir = self.innermost();
        for depth in 1..=folders.len() {
            let path = folders[..depth].join(&b'/');
            let known = lock(&self.kept).iter().find_map(|kept| kept.get(&path).cloned());
            let node = || Template { name: folders[depth - 1].to_vec(), meta: neutral_directory() };
            dir = known.unwrap_or_else(|| self.open_up(dir, node(), &path));
        }
        dir
    }

    /// Begins a directory that entries may be put into from now on.
    fn open_up(&self, parent: Arc<Dir>, node: Template, path: &[u8]) -> Arc<Dir> {
        let begun = self.begun(parent, node);
        match &mut *lock(&self.kept) {
            Some(kept) => drop(kept.insert(path.to_vec(), begun.clone())),
            None => lock(&self.open).push(begun.clone()),
        }
        begun
    }

    /// Takes a file's node from the parent snapshot, or leaves the file to the workers.
    fn file(&self, job: Job) -> Result<(), source::Error> {
        if let Some((size, content)) = self.unchanged(&job.dir, &job.template) {
            let node = job.template.node(NodeKind::File { size, content });
            lock(&job.dir.filling).nodes.push(node);
            self.progress.advance(1, size);
            return Ok(());
        }
        lock(&job.dir.filling).pending += 1;
        lock(&self.waiting).unread += 1;
        self.queue.put(job);
        Ok(())
    }

    fn innermost(&self) -> Arc<Dir> {
        let open = lock(&self.open);
        open.last().map(Arc::clone).expect("the source's own folder stays open until the end")
    }

    fn begun(&self, parent: Arc<Dir>, node: Template) -> Arc<Dir> {
        lock(&parent.filling).pending += 1;
        let before = parent.before.as_ref().and_then(|tree| {
            let node = find(tree, &node.name)?;
            let NodeKind::Dir { subtree } = &node.kind else { return None };
            (self.parents)(subtree)
        });
        let dir = Dir {
            node,
            parent: Some(parent),
            before,
            filling: Mutex::new(Filling { nodes: Vec::new(), pending: 1 }),
        };
        self.progress.advance(1, 0);
        Arc::new(dir)
    }

    /// The walk is done with all directories that stayed open.
    fn close_kept(&self) -> Result<(), source::Error> {
        let kept = lock(&self.kept).as_mut().map(std::mem::take).unwrap_or_default();
        kept.into_values().try_for_each(|dir| self.close(dir))
    }

    /// The walk is done with all open directories but the outermost `keep`.
    fn close_below(&self, keep: usize) -> Result<(), source::Error> {
        loop {
            let dir = {
                let mut open = lock(&self.open);
                if open.len() <= keep {
                    return Ok(());
                }
                open.pop()
            };
            if let Some(dir) = dir {
                self.close(dir)?;
            }
        }
    }

    fn close(&self, dir: Arc<Dir>) -> Result<(), source::Error> {
        let name = String::from_utf8_lossy(&dir.node.name).into_owned();
        self.one_done(dir, None).map_err(|failure| sink_error(&name, failure))
    }

    /// Size and content as in the parent snapshot, if size, mtime, ctime and inode prove that
    /// nothing changed and every blob is still stored.
    fn unchanged(&self, dir: &Dir, template: &Template) -> Option<(u64, Vec<BlobId>)> {
        let meta = &template.meta;
        let old = find(dir.before.as_ref()?, &template.name)?;
        let NodeKind::File { size, content } = &old.kind else { return None };
        let same = meta.reusable
            && meta.kind == EntryKind::File { size: *size }
            && old.mtime == Some(meta.mtime)
            && old.ctime == Some(meta.ctime)
            && old.inode == meta.inode
            && content.iter().all(|id| self.writer.contains(BlobKind::Data, id));
        same.then(|| (*size, content.clone()))
    }

    fn work(&self) {
        let mut worker = self.queue.worker();
        while let Some(work) = worker.next() {
            let contents = match &work {
                Work::Jobs(jobs) => jobs.len(),
                Work::Piece(_) => 0,
            };
            let done = catch_unwind(AssertUnwindSafe(|| match work {
                Work::Jobs(jobs) => jobs.into_iter().try_for_each(|job| self.take(job)),
                Work::Piece(piece) => {
                    self.writer.store_piece(piece);
                    Ok(())
                }
            }));
            let mut waiting = lock(&self.waiting);
            match done {
                Ok(Ok(())) => {}
                Ok(Err(failure)) => {
                    waiting.failure.get_or_insert(failure);
                }
                Err(death) => {
                    waiting.death.get_or_insert(death);
                }
            }
            waiting.unread -= contents;
            if waiting.unread == 0 {
                self.settled.notify_all();
            }
        }
    }

    fn take(&self, job: Job) -> Result<(), WriteError> {
        let stop = self.is_interrupted() || lock(&self.waiting).is_lost();
        let (dir, done) = if stop { (job.dir, Ok(None)) } else { self.read(job) };
        done.and_then(|node| self.one_done(dir, node))
    }

    /// Reads one content. Trouble with the source skips the item; trouble with the store is an error.
    fn read(&self, job: Job) -> (Arc<Dir>, Result<Option<Node>, WriteError>) {
        let Job { dir, template, path, content } = job;
        let stored = content.open().map_err(StoreError::Read).and_then(|mut stream| {
            let shape = if stream.is_paged() { Shape::Pages } else { Shape::Unknown };
            let mut content = Measured { stream: &mut *stream, reading: self.reading };
            let stored = self.writer.store_content_with(&mut content, shape, &self.queue)?;
            let changed = stream.finish().map_err(StoreError::Read)?;
            Ok((stored, changed))
        });
        match stored {
            Ok((stored, changed)) => {
                if let Some(reason) = changed {
                    self.skip(&path, reason);
                }
                self.progress.advance(1, stored.size);
                let kind = NodeKind::File { size: stored.size, content: stored.ids };
                (dir, Ok(Some(template.node(kind))))
            }
            Err(StoreError::Read(error)) => {
                self.skip(&path, error.to_string());
                (dir, Ok(None))
            }
            Err(StoreError::Repository(error)) => (dir, Err(error)),
        }
    }

    fn skip(&self, path: &[u8], reason: String) {
        let path = String::from_utf8_lossy(path).into_owned();
        lock(&self.waiting).skipped.push(Skipped { path, reason });
    }

    /// One more entry of `dir` is settled; completed directories are written, innermost first.
    fn one_done(&self, dir: Arc<Dir>, node: Option<Node>) -> Result<(), WriteError> {
        let (mut dir, mut node) = (dir, node);
        loop {
            let nodes = {
                let mut filling = lock(&dir.filling);
                filling.nodes.extend(node.take());
                filling.pending -= 1;
                if filling.pending > 0 {
                    return Ok(());
                }
                std::mem::take(&mut filling.nodes)
            };
            let subtree = self.writer.store_tree(&sorted(nodes))?;
            let Some(parent) = dir.parent.clone() else {
                lock(&self.waiting).root = Some(subtree);
                return Ok(());
            };
            node = Some(dir.node.directory(subtree));
            dir = parent;
        }
    }
}

/// Content read at the run's pace, so that a new kind of source has it for nothing. Its reading ends
/// with an error once somebody asks for an end: one file may take hours.
struct Measured<'a> {
    stream: &'a mut dyn source::Stream,
    reading: Reading<'a>,
}

impl Read for Measured<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let Reading { interrupted, pace, .. } = self.reading;
        if interrupted.load(Ordering::Relaxed) {
            return Err(io::Error::other("interrupted"));
        }
        let Some(pace) = pace else { return self.stream.read(buffer) };
        let portion = pace.portion().min(buffer.len());
        let read = self.stream.read(&mut buffer[..portion])?;
        pace.hold_back(read as u64, interrupted);
        Ok(read)
    }
}

fn find<'t>(tree: &'t Tree, name: &[u8]) -> Option<&'t Node> {
    let at = tree.nodes.binary_search_by(|node| node.name.as_slice().cmp(name)).ok()?;
    tree.nodes.get(at)
}

fn last_part(path: &[u8]) -> &[u8] {
    path.rsplit(|byte| *byte == b'/').next().unwrap_or(path)
}

fn sink_error(entry: &str, failure: WriteError) -> source::Error {
    source::Error::Sink { entry: entry.to_owned(), source: Box::new(failure) }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|held| held.into_inner())
}

#[cfg(test)]
mod tests;
