//! The scheduler: one turn looks what has come, starts what may start, and says how things stand.
//!
//! Its parts: `keeping.rs` customers' ledgers, `runs.rs` what is run, `reload.rs` what is declared,
//! `standing.rs` what others learn, `ending.rs` the end.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::sync::mpsc::UnboundedSender;

use super::calendar::Calendar;
use super::ending::{Ended, Stage};
use super::keeping::Kept;
use super::queue::Queue;
use super::series::Series;
use super::settle::Outcome;
use super::standing::Standing;
use super::work::End;
use super::{Error, House, Wish, systemd};
use crate::ground::ids::Name;
use crate::policy::{Diagnostics, Setup};
use crate::state::{Lease, Unapplied};

/// The longest that the loop stands still.
const TURN: Duration = Duration::from_secs(1);

/// What was done beside the loop.
pub(super) enum News {
    Ran(Series, End),
    Settled(Name, Outcome),
    Loaded(Result<Box<Setup>, Diagnostics>),
}

/// The daemon between two turns.
pub(super) struct Scheduler {
    pub(super) house: House,
    pub(super) setup: Arc<Setup>,
    pub(super) queue: Queue,
    pub(super) stage: Stage,
    pub(super) calendar: Calendar,
    pub(super) customers: BTreeMap<Name, Kept>,
    pub(super) standing: Standing,
    /// Retention that was not applied, by policy.
    pub(super) unapplied: BTreeMap<String, Unapplied>,
    /// Why a configuration was not taken.
    pub(super) refused: Option<String>,
    /// Told to what runs: nothing new is begun.
    pub(super) is_ending: Arc<AtomicBool>,
    pub(super) send: UnboundedSender<News>,
}

impl Scheduler {
    /// A daemon that holds `lease` and has not turned yet; what is done beside it comes by `send`.
    pub(super) fn new(
        setup: Setup,
        house: House,
        lease: Lease,
        send: UnboundedSender<News>,
    ) -> Self {
        let mut scheduler = Self {
            house,
            calendar: Calendar::default(),
            setup: Arc::new(setup.clone()),
            queue: Queue::default(),
            stage: Stage::Serving,
            customers: BTreeMap::new(),
            standing: Standing::new(lease),
            unapplied: BTreeMap::new(),
            refused: None,
            is_ending: Arc::default(),
            send,
        };
        scheduler.take_over(setup);
        scheduler
    }

    /// Looks once at everything; answers how it ended, if it did.
    pub(super) async fn turn(&mut self) -> Option<Ended> {
        let now = self.house.clock.now();
        // On the board before anything is decided: from then on the slots are ours to answer.
        self.stand().await;
        if matches!(self.stage, Stage::Serving) {
            self.settle_what_is_due(now);
            self.queue.forget_to_come(now);
            for come in self.calendar.come(now) {
                self.offer(come.into());
            }
            while let Some(task) = self.queue.start(now, self.setup.site.daemon.parallel) {
                self.start(task);
            }
        }
        self.stand().await;
        systemd::alive(&self.status());
        self.ended()
    }

    /// How long nothing will happen, by the machine's clock.
    pub(super) fn pause(&self) -> Duration {
        let now = self.house.clock.now();
        let settling = self.customers.values().filter(|kept| !kept.is_settling);
        let next = settling.map(|kept| kept.next).chain(self.calendar.next());
        let next = next.chain(self.queue.next(now)).min();
        let turn = systemd::watchdog().map_or(TURN, |watchdog| TURN.min(watchdog / 3));
        let until = next.map(|next| now.duration_until(next).try_into().unwrap_or(Duration::ZERO));
        until.map_or(turn, |until| self.house.clock.wait(until).min(turn))
    }

    /// Somebody wishes for something.
    pub(super) fn heed(&mut self, wish: Wish) {
        match wish {
            Wish::End => self.end_nearer(),
            Wish::Reload => self.reload(),
        }
    }

    /// Something that was done beside the loop is over.
    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Ran(series, end) => self.ran(&series, end),
            News::Settled(customer, outcome) => self.settled(&customer, outcome),
            News::Loaded(loaded) => self.loaded(loaded),
        }
    }

    /// Gives back what only a daemon holds. Fails where another one took it over.
    pub(super) async fn leave(self) -> Result<(), Error> {
        Ok(self.standing.give_up().await?)
    }
}
