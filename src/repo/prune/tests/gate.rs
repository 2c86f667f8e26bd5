//! The gate that every call to the store passes, one at a time, when its actor's turn has come.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard};

use tokio::sync::{Notify, oneshot};

/// What stands at the gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// One that acts on what was looked up right before: it is not held up.
    Commit,
    Other,
    /// The answer of a call, on its way back.
    Answer,
}

struct Waiting {
    call: Call,
    pass: oneshot::Sender<()>,
}

#[derive(Default)]
struct Actor {
    waiting: VecDeque<Waiting>,
    is_over: bool,
    is_dead: bool,
}

/// All actors of a run.
#[derive(Default)]
pub(super) struct Gate {
    actors: Mutex<Vec<Actor>>,
    changed: Notify,
}

impl Gate {
    fn actors(&self) -> MutexGuard<'_, Vec<Actor>> {
        self.actors.lock().unwrap()
    }

    /// A new actor's number.
    pub fn enter(&self) -> usize {
        let mut actors = self.actors();
        actors.push(Actor::default());
        actors.len() - 1
    }

    /// Waits for the actor's turn; the dead wait for ever.
    pub async fn pass(&self, actor: usize, call: Call) {
        let (pass, passed) = oneshot::channel();
        {
            let mut actors = self.actors();
            if !actors[actor].is_dead {
                actors[actor].waiting.push_back(Waiting { call, pass });
            }
        }
        self.changed.notify_one();
        if passed.await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// The actor's work came to its end.
    pub fn leave(&self, actor: usize) {
        self.actors()[actor].is_over = true;
        self.changed.notify_one();
    }

    /// The actor's process is killed: whatever it still asks is not heard.
    pub fn kill(&self, actor: usize) {
        let mut actors = self.actors();
        actors[actor].is_dead = true;
        actors[actor].waiting.clear();
    }

    /// Those who are at work.
    pub fn at_work(&self) -> Vec<usize> {
        let actors = self.actors();
        (0..actors.len()).filter(|at| !actors[*at].is_over && !actors[*at].is_dead).collect()
    }

    /// Waits until the actor stands at the gate; none where it came to its end instead.
    pub async fn ready(&self, actor: usize) -> Option<Call> {
        loop {
            {
                let actors = self.actors();
                if let Some(first) = actors[actor].waiting.front() {
                    return Some(first.call);
                }
                if actors[actor].is_over {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// Lets the actor's first call pass.
    pub fn open(&self, actor: usize) {
        if let Some(waiting) = self.actors()[actor].waiting.pop_front() {
            // Where nobody waits any more the call was given up.
            let _ = waiting.pass.send(());
        }
    }
}
