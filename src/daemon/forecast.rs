//! The forecast: what the daemon is going to run, and when each run starts and ends, going by how long
//! such runs took before. Pure: the same queue decides as in earnest.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::time::Duration;

use jiff::Timestamp;

use super::calendar::{Calendar, Come};
use super::queue::{Queue, Task};
use super::series::Series;
use crate::policy::Setup;

/// A run to come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Foreseen {
    pub series: Series,
    pub slot: Timestamp,
    /// When it is to start: the slot with its jitter.
    pub at: Timestamp,
    /// When it starts and ends; none where the next slot comes before its turn, so that it is missed.
    pub runs: Option<(Timestamp, Timestamp)>,
}

/// Every slot of `setup` after `from`, up to `to`, in the order in which the runs start; a run of a series
/// takes as long as `takes` says.
pub fn foresee(
    setup: &Setup,
    from: Timestamp,
    to: Timestamp,
    takes: impl Fn(&Series) -> Duration,
) -> Vec<Foreseen> {
    let coming = Calendar::of(setup).within(from, to);
    play(coming, setup.site.daemon.parallel, from, takes)
}

/// Lets `coming`, by their slots, come to the queue, run and end.
fn play(
    coming: Vec<Come>,
    parallel: NonZeroU32,
    from: Timestamp,
    takes: impl Fn(&Series) -> Duration,
) -> Vec<Foreseen> {
    let mut coming = VecDeque::from(coming);
    let mut queue = Queue::default();
    let mut ends: BTreeMap<Series, Timestamp> = BTreeMap::new();
    let (mut foreseen, mut now) = (Vec::new(), from);
    loop {
        let slot = coming.front().map(|come| come.slot);
        let events = [slot, ends.values().min().copied(), queue.next(now)];
        let Some(next) = events.into_iter().flatten().min() else { break };
        now = next;
        for (series, _) in ends.extract_if(.., |_, end| *end <= now) {
            queue.ended(&series);
        }
        while let Some(come) = coming.pop_front_if(|come| come.slot <= now) {
            let missed = queue.offer(come.into());
            foreseen.extend(missed.map(|task| of(task, None)));
        }
        while let Some(task) = queue.start(now, parallel) {
            let end = now.checked_add(takes(&task.series)).unwrap_or(Timestamp::MAX);
            ends.insert(task.series.clone(), end);
            foreseen.push(of(task, Some((now, end))));
        }
    }
    foreseen.sort_by_key(|run| run.runs.map_or(run.at, |(start, _)| start));
    foreseen
}

fn of(task: Task, runs: Option<(Timestamp, Timestamp)>) -> Foreseen {
    let Task { series, slot, at, .. } = task;
    Foreseen { series, slot, at, runs }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(60 * minute).unwrap()
    }

    fn come(policy: &str, drill: bool, slot: i64, delay: i64) -> Come {
        let name = |text: &str| text.parse().unwrap();
        let drill = drill.then(|| name("weekly"));
        let series = Series { customer: name("acme"), policy: name(policy), drill };
        Come { series, slot: at(slot), at: at(slot + delay) }
    }

    /// Backups take ten minutes, drills an hour. Per run: policy, slot, start and end in minutes.
    fn played(coming: Vec<Come>, parallel: u32) -> Vec<(String, i64, Option<(i64, i64)>)> {
        let takes =
            |series: &Series| Duration::from_secs(if series.drill.is_some() { 3600 } else { 600 });
        let minute = |time: Timestamp| time.as_second() / 60;
        let foreseen = play(coming, parallel.try_into().unwrap(), at(0), takes);
        let row = |run: Foreseen| {
            let runs = run.runs.map(|(start, end)| (minute(start), minute(end)));
            (run.series.policy.to_string(), minute(run.slot), runs)
        };
        foreseen.into_iter().map(row).collect()
    }

    #[test]
    fn what_finds_no_room_waits_for_what_runs() {
        let coming = vec![come("a", true, 10, 0), come("b", false, 20, 0), come("c", false, 20, 5)];

        let foreseen = played(coming, 1);

        let row = |name: &str, slot, start, end| (name.to_owned(), slot, Some((start, end)));
        assert_eq!(foreseen, [row("a", 10, 10, 70), row("b", 20, 70, 80), row("c", 20, 80, 90)]);
    }

    #[test]
    fn a_slot_whose_turn_does_not_come_before_the_next_is_foreseen_as_missed() {
        let mut coming =
            vec![come("a", true, 0, 0), come("b", false, 5, 0), come("b", false, 30, 0)];
        coming.push(come("b", false, 55, 0));

        let foreseen = played(coming, 1);

        let row = |slot, runs| ("b".to_owned(), slot, runs);
        assert_eq!(foreseen[1..], [row(5, None), row(30, None), row(55, Some((60, 70)))]);
    }

    #[test]
    fn a_backup_runs_beside_its_drill_and_not_beside_itself() {
        let coming = vec![come("a", true, 0, 0), come("a", false, 1, 0), come("a", false, 5, 2)];

        let foreseen = played(coming, 4);

        let runs: Vec<_> = foreseen.into_iter().map(|(_, _, runs)| runs.unwrap()).collect();
        assert_eq!(runs, [(0, 60), (1, 11), (11, 21)]);
    }
}
