//! What is declared, and how it changes while the daemon runs.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::calendar::Calendar;
use super::keeping::Kept;
use super::scheduler::{News, Scheduler};
use super::systemd;
use crate::account::Rooms;
use crate::policy::{Diagnostics, Policy, Setup};
use crate::source::{self, mysql, postgres};

impl Scheduler {
    /// Serves `setup` from now on. The past of every customer is settled anew: what was due until
    /// now follows the policies as they were, what comes follows them as they are.
    pub(super) fn take_over(&mut self, setup: Setup) {
        let now = self.house.clock.now();
        self.calendar = Calendar::of(&setup);
        let mut before = std::mem::take(&mut self.customers);
        for policy in &setup.policies {
            let customer = &policy.customer;
            let kept = Kept::anew(now, before.remove(customer));
            self.customers.entry(customer.clone()).or_insert(kept);
        }
        let rooms = &self.house.rooms;
        let host = source::Host {
            postgres: postgres::Engines::of(&setup.site.engines),
            mysql: mysql::Engines::of(&setup.site.engines),
            ..rooms.host.clone()
        };
        self.house.rooms = Arc::new(Rooms { host, ..(**rooms).clone() });
        let retains = setup.policies.iter().filter(|policy| policy.retention.is_some());
        let retains: BTreeSet<_> = retains.map(Policy::full_name).collect();
        self.unapplied.retain(|policy, _| retains.contains(policy));
        self.setup = Arc::new(setup);
        let Self { calendar, queue, .. } = self;
        queue.keep(|series| calendar.has(series));
    }

    /// Reads the configuration again, beside the loop.
    pub(super) fn reload(&self) {
        systemd::reloading();
        let (load, send) = (self.house.load.clone(), self.send.clone());
        tokio::task::spawn_blocking(move || {
            // Nobody listens any more once the daemon has ended.
            let _ = send.send(News::Loaded(load().map(Box::new)));
        });
    }

    /// Takes what was read, or says why not.
    pub(super) fn loaded(&mut self, loaded: Result<Box<Setup>, Diagnostics>) {
        match loaded {
            Ok(setup) if setup.site.state != self.setup.site.state => {
                self.refuse("the state is another one: that needs a restart".into());
            }
            Ok(setup) => {
                tracing::info!(policies = setup.policies.len(), "the configuration was read again");
                self.refused = None;
                self.take_over(*setup);
            }
            Err(diagnostics) => {
                let errors: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
                self.refuse(errors.join("; "));
            }
        }
        systemd::ready();
    }

    fn refuse(&mut self, why: String) {
        tracing::error!(why, "the new configuration is refused; the one before stays in force");
        self.refused = Some(why);
    }
}
