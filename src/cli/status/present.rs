//! What runs, what waits and what comes next: the part of `status` that the bucket does not know.

use std::fmt::Write as _;

use jiff::Timestamp;
use serde::Serialize;

use super::super::output::visible;
use crate::daemon::Series;
use crate::policy::{Policy, Schedule, Setup};
use crate::state::{self, Board, Held, Holder, State, Unapplied, Waiting};

/// How a policy stands on this host at this moment.
#[derive(Debug, Default, Serialize)]
pub(super) struct Present {
    /// The next run of each schedule, soonest first.
    next: Vec<Next>,
    running: Vec<Running>,
    waiting: Vec<Waiting>,
    /// Retention that the daemon did not apply after the last complete backup.
    unapplied_retention: Option<Unapplied>,
    /// Entries of its customer that wait in this host's outbox: the ledger does not have them yet.
    pub(super) in_outbox: usize,
    /// The daemon that answers for its slots; none where none lives.
    daemon: Option<Daemon>,
}

#[derive(Debug, Serialize)]
struct Next {
    /// None: a backup.
    drill: Option<String>,
    slot: Timestamp,
    /// When it starts: the slot with its jitter.
    at: Timestamp,
    timezone: String,
}

#[derive(Debug, Serialize)]
struct Running {
    /// `backup` or `drill`.
    act: String,
    run: String,
    since: Option<Timestamp>,
    by: String,
}

#[derive(Debug, Clone, Serialize)]
struct Daemon {
    host: String,
    pid: u32,
    since: Option<Timestamp>,
    draining: bool,
    /// Why it did not take a new configuration.
    refused: Option<String>,
}

/// What this host's state says, read once for all policies.
pub(super) struct Here {
    board: Option<(Holder, Board)>,
    leases: Vec<(String, Held)>,
}

impl Here {
    pub(super) async fn read(state: &State) -> Result<Self, state::Error> {
        Ok(Self { board: state.board().await?, leases: state.held_leases().await? })
    }

    /// How `policy` stands.
    pub(super) fn of(&self, setup: &Setup, policy: &Policy, now: Timestamp) -> Present {
        let name = policy.full_name();
        let running = self.leases.iter().filter_map(|(key, held)| {
            let act = key.strip_suffix(&name)?.strip_suffix(' ')?.to_owned();
            let (run, since, by) = (held.run.clone(), held.since(), held.by.to_string());
            Some(Running { act, run, since, by })
        });
        let board = self.board.as_ref().filter(|(_, board)| board.serves.contains(&name));
        let waiting = board.into_iter().flat_map(|(_, board)| &board.waiting);
        let mut unapplied = board.into_iter().flat_map(|(_, board)| &board.unapplied);
        Present {
            next: next(setup, policy, now),
            running: running.collect(),
            waiting: waiting.filter(|waiting| waiting.policy == name).cloned().collect(),
            unapplied_retention: unapplied.find(|one| one.policy == name).cloned(),
            in_outbox: 0,
            daemon: board.map(|(holder, board)| self.daemon(holder, board)),
        }
    }

    fn daemon(&self, holder: &Holder, board: &Board) -> Daemon {
        let lease = self.leases.iter().find(|(key, _)| key == state::DAEMON);
        Daemon {
            host: holder.host.clone(),
            pid: holder.process.pid,
            since: lease.and_then(|(_, held)| held.since()),
            draining: board.draining,
            refused: board.refused.clone(),
        }
    }
}

fn next(setup: &Setup, policy: &Policy, now: Timestamp) -> Vec<Next> {
    let of = |series: Series, schedule: &Schedule| {
        let slot = schedule.next_after(now)?;
        let delay = schedule.delay(&series.to_string(), slot);
        let at = slot.checked_add(delay).unwrap_or(slot);
        let timezone = schedule.zone.to_string();
        Some(Next { drill: series.drill.map(|name| name.to_string()), slot, at, timezone })
    };
    let backup = policy.schedule.iter().filter_map(|it| of(Series::of_backups(policy), it));
    let drills = setup
        .drills_of(policy)
        .filter_map(|drill| of(Series::of_drill(drill), drill.schedule.as_ref()?));
    let mut next: Vec<_> = backup.chain(drills).collect();
    next.sort_by_key(|next| next.at);
    next
}

impl Present {
    /// When the next backup, or the next drill, has its slot.
    pub(super) fn next_slot(&self, is_drill: bool) -> Option<Timestamp> {
        let of_kind = self.next.iter().filter(|next| next.drill.is_some() == is_drill);
        of_kind.map(|next| next.slot).min()
    }

    /// Lines for people, each with its line end.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        for Running { act, run, since, by } in &self.running {
            let since = since.map_or(String::new(), |since| format!(" since {}", utc(since)));
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  now     {act}{since}, by {} (run {run})", visible(by));
        }
        for Waiting { drill, slot, at, attempts, error, .. } in &self.waiting {
            let what = named(drill.as_ref());
            let _ = match (attempts, error) {
                (0, _) => writeln!(text, "  waits   {what} of {}, from {}", utc(*slot), utc(*at)),
                (_, error) => writeln!(
                    text,
                    "  retries {what} of {}, at {}, after {attempts} tries: {}",
                    utc(*slot),
                    utc(*at),
                    visible(error.as_deref().unwrap_or("unknown"))
                ),
            };
        }
        if let Some(Unapplied { since, error, .. }) = &self.unapplied_retention {
            let _ = writeln!(
                text,
                "  TROUBLE retention is NOT APPLIED since {}: {}\n  hint    `lifeboat forget \
                 --dry-run` tells what stands against it",
                utc(*since),
                visible(error)
            );
        }
        if self.in_outbox > 0 {
            let entries = self.in_outbox;
            let _ =
                writeln!(text, "  note    NOT ON THE LEDGER yet, in this host's outbox: {entries}");
        }
        for Next { drill, slot, at, timezone } in &self.next {
            let what = named(drill.as_ref());
            let _ = write!(text, "  next    {what} {} ({})", utc(*slot), local(*slot, timezone));
            let _ = match at == slot {
                true => writeln!(text),
                false => writeln!(text, ", with its jitter {}", utc(*at)),
            };
        }
        match &self.daemon {
            None if self.next.is_empty() => {}
            None => text.push_str("  note    no daemon runs here: nothing starts by itself\n"),
            Some(Daemon { refused: Some(why), .. }) => {
                let why = visible(why);
                let _ = writeln!(text, "  note    the daemon REFUSED the new configuration: {why}");
            }
            Some(Daemon { draining: true, .. }) => {
                text.push_str("  note    the daemon is ending: nothing new is begun\n");
            }
            Some(_) => {}
        }
        text
    }
}

fn named(drill: Option<&String>) -> String {
    drill.map_or("backup".to_owned(), |drill| format!("drill {drill}"))
}

fn utc(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%SZ").to_string()
}

fn local(time: Timestamp, zone: &str) -> String {
    let local = time.in_tz(zone).map(|local| local.strftime("%H:%M %:z").to_string());
    local.map_or_else(|_| zone.to_owned(), |local| format!("{local} {zone}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn what_waits_and_what_comes_is_told_with_zone_jitter_and_trouble() {
        let (slot, later) = (at("2026-11-25T10:00:00Z"), at("2026-11-25T10:03:12Z"));
        let waiting = Waiting {
            policy: "acme/shop".into(),
            drill: None,
            slot,
            at: later,
            attempts: 2,
            error: Some("cannot use the store".into()),
        };
        let next = Next {
            drill: Some("weekly".into()),
            slot,
            at: later,
            timezone: "Asia/Shanghai".into(),
        };
        let unapplied = Unapplied {
            policy: "acme/shop".into(),
            since: later,
            error: "cannot remove\nsnapshot".into(),
        };
        let present = Present {
            next: vec![next],
            waiting: vec![waiting],
            unapplied_retention: Some(unapplied),
            in_outbox: 2,
            ..Present::default()
        };

        let text = present.text();

        assert!(text.contains("after 2 tries: cannot use the store"), "{text}");
        assert!(
            text.contains("drill weekly 2026-11-25 10:00:00Z (18:00 +08:00 Asia/Shanghai)"),
            "{text}"
        );
        assert!(text.contains("with its jitter 2026-11-25 10:03:12Z"), "{text}");
        assert!(text.contains("no daemon runs here"), "{text}");
        assert!(text.contains("NOT ON THE LEDGER yet, in this host's outbox: 2"), "{text}");
        let told = "retention is NOT APPLIED since 2026-11-25 10:03:12Z: cannot remove\\nsnapshot";
        assert!(text.contains(told), "{text}");
    }
}
