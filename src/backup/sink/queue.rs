//! What waits for a worker: contents to be read, and pieces that another worker cut.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

use super::{Job, lock};
use crate::repo::{Hands, Piece};

/// How many contents wait at most: each holds its folder open.
pub(super) const LIMIT: usize = 256;

/// Whoever waits for room is woken when so few are left: woken for each it would take turns with the
/// workers, and their cores from them.
const REFILL: usize = LIMIT / 2;

/// A worker takes so many contents at once, as long as they are small and there are enough for all.
const BATCH: usize = 16;
const BATCH_BYTES: u64 = 1 << 20;

/// What a worker shall do next.
pub(super) enum Work {
    /// Contents of its own.
    Jobs(Vec<Job>),
    /// A piece of another's.
    Piece(Piece),
}

/// See the module.
#[derive(Default)]
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    /// There is something to do, or never will be.
    work: Condvar,
    /// There is room for jobs.
    room: Condvar,
}

#[derive(Default)]
struct Waiting {
    jobs: VecDeque<Job>,
    pieces: VecDeque<Piece>,
    /// Workers by what they do: nothing, another's piece, contents of their own.
    idle: usize,
    helping: usize,
    busy: usize,
    /// Somebody waits for room.
    is_full: bool,
    is_closed: bool,
}

impl Queue {
    /// Adds a job; waits while too many are there.
    pub(super) fn put(&self, job: Job) {
        let mut waiting = lock(&self.waiting);
        waiting.is_full = waiting.jobs.len() >= LIMIT;
        while waiting.is_full {
            waiting = self.room.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        waiting.jobs.push_back(job);
        if waiting.idle > 0 {
            self.work.notify_one();
        }
    }

    /// No more jobs will come: workers go home once nobody has a content to cut.
    pub(super) fn close(&self) {
        lock(&self.waiting).is_closed = true;
        self.work.notify_all();
    }

    /// A worker who has done nothing yet.
    pub(super) fn worker(&self) -> Worker<'_> {
        Worker { queue: self, does: Does::Nothing }
    }
}

impl Hands for Queue {
    /// One piece ahead for each worker who has nothing of his own, so that none waits for the next.
    fn are_free(&self) -> bool {
        let waiting = lock(&self.waiting);
        waiting.pieces.len() < waiting.idle + waiting.helping
    }

    fn lend(&self, piece: Piece) {
        let mut waiting = lock(&self.waiting);
        waiting.pieces.push_back(piece);
        if waiting.idle > 0 {
            self.work.notify_one();
        }
    }

    fn take_back(&self) -> Option<Piece> {
        lock(&self.waiting).pieces.pop_front()
    }
}

/// One worker's place at the queue.
pub(super) struct Worker<'a> {
    queue: &'a Queue,
    does: Does,
}

#[derive(PartialEq, Eq)]
enum Does {
    Nothing,
    Helping,
    Own,
}

impl Worker<'_> {
    /// The next thing to do, pieces first, for whoever cut them waits; none: go home. Blocking.
    pub(super) fn next(&mut self) -> Option<Work> {
        let queue = self.queue;
        let mut waiting = lock(&queue.waiting);
        match std::mem::replace(&mut self.does, Does::Nothing) {
            Does::Nothing => {}
            Does::Helping => waiting.helping -= 1,
            Does::Own => waiting.busy -= 1,
        }
        loop {
            if let Some(piece) = waiting.pieces.pop_front() {
                waiting.helping += 1;
                self.does = Does::Helping;
                return Some(Work::Piece(piece));
            }
            if !waiting.jobs.is_empty() {
                let jobs = waiting.batch();
                waiting.busy += 1;
                self.does = Does::Own;
                if waiting.is_full && waiting.jobs.len() <= REFILL {
                    waiting.is_full = false;
                    queue.room.notify_one();
                }
                return Some(Work::Jobs(jobs));
            }
            if waiting.is_closed && waiting.busy == 0 {
                queue.work.notify_all();
                return None;
            }
            waiting.idle += 1;
            waiting = queue.work.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            waiting.idle -= 1;
        }
    }
}

impl Waiting {
    /// The next contents for one worker: as many as are small, and a fair share of what is there.
    fn batch(&mut self) -> Vec<Job> {
        let workers = self.idle + self.helping + self.busy + 1;
        let most = (self.jobs.len() / workers).clamp(1, BATCH);
        let mut bytes = 0;
        let mut jobs = Vec::with_capacity(most);
        while jobs.len() < most
            && let Some(job) = self.jobs.front()
            && (jobs.is_empty() || bytes + job.size() <= BATCH_BYTES)
        {
            bytes += job.size();
            jobs.extend(self.jobs.pop_front());
        }
        jobs
    }
}
