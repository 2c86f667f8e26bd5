//! After a drill whose data failed: the newest older recovery point that would come back, and what
//! restoring it would lose.
//!
//! Every point that is tried is a drill of its own, on record, with all its checks and controls. A long
//! history costs few of them: steps back double until a point is proven, then the gap is halved. So the
//! point that is found is proven and the next newer one is not; of those newer than that some were not
//! tried, and the answer says how many. A point whose drill says nothing, as where a check is younger than
//! it, tells nothing of its neighbours: then those that were stepped over are tried, too.

use std::sync::atomic::{AtomicBool, Ordering};

use super::{Done, Error, Request, Wanted};
use crate::account::{self, Account, Rooms};
use crate::ground::causes::chain;
use crate::ground::digest::Digest;
use crate::ground::ids::Name;
use crate::ledger::record::{Parts, Record, publications};
use crate::repo::SnapshotId;

/// What a search found.
#[derive(Debug, Clone)]
pub struct Searched {
    /// How many complete recovery points older than the failed one the ledger names.
    pub older: usize,
    /// How many of them were drilled.
    pub tried: usize,
    pub found: Option<Found>,
    /// Why it ended before its end.
    pub ended: Option<String>,
}

/// The newest recovery point that was found to come back.
#[derive(Debug, Clone)]
pub struct Found {
    pub drill: Done,
    /// How many points between it and the failed one were not drilled.
    pub untried: usize,
}

/// Looks for the newest recovery point that is proven restorable and intact, after `failed` came out of
/// `request`; `None` where there is nothing to look for: the data did not fail, or it was not the latest
/// that was picked. Ends early once `stop` is set.
///
/// A point that is found needs no pin: retention keeps the newest proven one.
pub async fn search_back(
    request: Request<'_>,
    failed: &Done,
    rooms: &Rooms,
    stop: &AtomicBool,
) -> Option<Searched> {
    if request.wanted != Wanted::Latest || !failed.finished.refutes_the_snapshot() {
        return None;
    }
    let mut searched = Searched { older: 0, tried: 0, found: None, ended: None };
    if let Err(error) = search(request, failed, rooms, stop, &mut searched).await {
        searched.ended = Some(chain(&error));
    }
    Some(searched)
}

async fn search(
    request: Request<'_>,
    failed: &Done,
    rooms: &Rooms,
    stop: &AtomicBool,
    searched: &mut Searched,
) -> Result<(), Error> {
    let Request { setup, policy, .. } = request;
    let account = Account::open(setup, setup.customer_of(policy), rooms).await?;
    let records = account.records().await?;
    drop(account);
    let why = failed.details.reasons.first().map_or("", |reason| &reason.why);
    rooms.progress.note(&format!("the drill failed: {why}"));
    let points = older(&records, &policy.name, failed.finished.about());
    searched.older = points.len();
    let mut steps = Steps::over(points.len());
    while let Some(nth) = steps.next() {
        if stop.load(Ordering::Relaxed) {
            searched.ended = Some("an end was asked for".to_owned());
            return Ok(());
        }
        let snapshot = points[nth];
        let note = format!(
            "searching back: snapshot {}, {} of {} older ones",
            snapshot.0.short(),
            nth + 1,
            points.len()
        );
        rooms.progress.note(&note);
        let wanted = Wanted::Searched { snapshot, failed: failed.finished.run };
        let one = Request { wanted, slot: None, ..request };
        let done = super::run(one, rooms).await?;
        searched.tried += 1;
        let came = Came::of(&done.finished.parts);
        if came == Came::Back {
            searched.found = Some(Found { drill: done, untried: 0 });
        }
        steps.tell(nth, came);
        if let Some(found) = &mut searched.found {
            found.untried = steps.untried();
        }
    }
    Ok(())
}

/// The policy's complete recovery points that go before the one that failed, newest first, in the
/// ledger's order.
fn older(records: &[Record], policy: &Name, failed: Option<Digest>) -> Vec<SnapshotId> {
    let announced = account::announced(records);
    let complete = publications(records).rev().map(|(_, backup)| backup);
    let mut points: Vec<_> = complete
        .filter(|backup| backup.policy == *policy && backup.complete)
        .map(|backup| SnapshotId(backup.snapshot))
        .filter(|id| !announced.contains(id))
        .collect();
    let failed = points.iter().position(|id| Some(id.0) == failed);
    points.split_off(failed.map_or(0, |nth| nth + 1))
}

/// What a drill says of its point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Came {
    Back,
    Not,
    /// It did not say: the check was not asked at that capture, the host lacked something.
    Unknown,
}

impl Came {
    fn of(parts: &Parts) -> Self {
        match (parts.prove_the_snapshot(), parts.refute_the_snapshot()) {
            (true, _) => Self::Back,
            (_, true) => Self::Not,
            _ => Self::Unknown,
        }
    }
}

/// Where points said nothing, so many drills are given to those that were stepped over.
const MOST_TRIED: usize = 20;

/// Which of so many points, newest first, to try next.
#[derive(Debug)]
struct Steps {
    points: usize,
    /// The newest that is older than every one that did not come back.
    open: usize,
    proven: Option<usize>,
    step: usize,
    tried: Vec<usize>,
    /// Whether a point said nothing: then one that was stepped over may come back all the same.
    is_doubtful: bool,
}

impl Steps {
    fn over(points: usize) -> Self {
        Self { points, open: 0, proven: None, step: 1, tried: Vec::new(), is_doubtful: false }
    }

    fn next(&self) -> Option<usize> {
        match self.proven {
            Some(proven) if proven > self.open => Some(self.open + (proven - self.open) / 2),
            Some(_) => None,
            None if self.open < self.points => {
                Some((self.open + self.step - 1).min(self.points - 1))
            }
            None if self.is_doubtful && self.tried.len() < MOST_TRIED => {
                (0..self.points).find(|nth| !self.tried.contains(nth))
            }
            None => None,
        }
    }

    fn tell(&mut self, nth: usize, came: Came) {
        self.tried.push(nth);
        self.is_doubtful |= came == Came::Unknown;
        if came == Came::Back {
            self.proven = Some(nth);
        } else {
            self.open = self.open.max(nth + 1);
            self.step *= 2;
        }
    }

    /// How many points newer than the proven one were not tried.
    fn untried(&self) -> usize {
        self.proven
            .map_or(0, |proven| proven - self.tried.iter().filter(|nth| **nth < proven).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches `points`, of which those from `first_good` on come back.
    fn search(points: usize, first_good: usize) -> Steps {
        let mut steps = Steps::over(points);
        while let Some(nth) = steps.next() {
            assert!(!steps.tried.contains(&nth), "{nth} is tried twice");
            steps.tell(nth, if nth >= first_good { Came::Back } else { Came::Not });
        }
        steps
    }

    #[test]
    fn the_newest_good_point_is_found_wherever_it_is_and_few_are_tried() {
        for points in 0..200 {
            for first_good in 0..points {
                let steps = search(points, first_good);

                assert_eq!(steps.proven, Some(first_good), "of {points}");
                let most = 2 * (points.ilog2() as usize + 1);
                assert!(steps.tried.len() <= most, "{} of {points}", steps.tried.len());
                assert!(first_good == 0 || steps.tried.contains(&(first_good - 1)));
            }
        }
    }

    #[test]
    fn where_nothing_comes_back_the_oldest_was_tried_and_nothing_is_found() {
        let steps = search(100, 100);

        assert_eq!(steps.proven, None);
        assert_eq!(steps.tried, [0, 2, 6, 14, 30, 62, 99]);
        assert!(search(0, 0).tried.is_empty());
    }

    #[test]
    fn points_that_were_skipped_are_counted() {
        let steps = search(100, 5);

        assert_eq!(steps.tried, [0, 2, 6, 4, 5]);
        assert_eq!(steps.untried(), 2, "1 and 3");
    }

    #[test]
    fn a_point_that_says_nothing_hides_none_that_comes_back() {
        let came = [Came::Not, Came::Back, Came::Unknown];
        let mut steps = Steps::over(came.len());
        while let Some(nth) = steps.next() {
            steps.tell(nth, came[nth]);
        }
        assert_eq!((steps.proven, &steps.tried[..]), (Some(1), &[0, 2, 1][..]));

        let mut steps = Steps::over(1000);
        while let Some(nth) = steps.next() {
            steps.tell(nth, Came::Unknown);
        }
        assert_eq!((steps.proven, steps.tried.len()), (None, MOST_TRIED));
    }
}
