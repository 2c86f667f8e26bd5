//! A clock for a process that lives long: a wall clock whose steps are believed only once they last.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::{Clock, Timepiece};

/// What a wall clock may gain or lose from one look to the next without having been set.
const TOLERANCE: SignedDuration = SignedDuration::from_mins(2);

/// How long a clock that was set must keep pace before it is believed.
pub const CONFIRMED_AFTER: Duration = Duration::from_secs(10 * 60);

/// A wall clock held against the time that really passes.
///
/// When somebody sets the clock by more than two minutes, time here goes on as if nothing had
/// happened; only when the new hands kept pace for [`CONFIRMED_AFTER`] is their time taken over. A
/// year forwards and back within ten minutes is never seen.
pub struct Steady<T> {
    inner: T,
    hands: Mutex<Hands>,
}

struct Hands {
    trusted: Reading,
    /// The first look at hands that were set and are not believed yet.
    suspect: Option<Reading>,
}

/// What both clocks showed at one moment.
#[derive(Debug, Clone, Copy)]
struct Reading {
    wall: Timestamp,
    uptime: Duration,
}

impl Reading {
    /// What the wall clock should show at `uptime` if nobody set it.
    fn expected(&self, uptime: Duration) -> Timestamp {
        let passed = uptime.saturating_sub(self.uptime);
        self.wall.checked_add(passed).unwrap_or(Timestamp::MAX)
    }

    fn keeps_pace(&self, now: &Reading) -> bool {
        now.wall.duration_since(self.expected(now.uptime)).abs() <= TOLERANCE
    }
}

impl<T: Timepiece> Steady<T> {
    /// Holds `inner` against itself, from now on.
    pub fn new(inner: T) -> Self {
        let trusted = Reading { wall: inner.now(), uptime: inner.uptime() };
        Self { inner, hands: Mutex::new(Hands { trusted, suspect: None }) }
    }
}

impl<T: Timepiece> Clock for Steady<T> {
    fn now(&self) -> Timestamp {
        let mut hands = self.hands.lock().unwrap_or_else(PoisonError::into_inner);
        // Read under the lock: readings come in order.
        let now = Reading { wall: self.inner.now(), uptime: self.inner.uptime() };
        let expected = hands.trusted.expected(now.uptime);
        if hands.trusted.keeps_pace(&now) {
            if hands.suspect.take().is_some() {
                tracing::warn!(now = %now.wall, "the clock was set back to where it had been");
            }
            hands.trusted = now;
            return now.wall;
        }
        match hands.suspect {
            Some(suspect) if suspect.keeps_pace(&now) => {
                if now.uptime.saturating_sub(suspect.uptime) < CONFIRMED_AFTER {
                    return expected;
                }
                tracing::warn!(before = %expected, now = %now.wall, "the clock's new time is taken over");
                *hands = Hands { trusted: now, suspect: None };
                now.wall
            }
            _ => {
                tracing::warn!(
                    %expected,
                    found = %now.wall,
                    "the clock was set: its time is taken over if it lasts for {} minutes",
                    CONFIRMED_AFTER.as_secs() / 60
                );
                hands.suspect = Some(now);
                expected
            }
        }
    }
}

impl<T: Timepiece> Timepiece for Steady<T> {
    fn uptime(&self) -> Duration {
        self.inner.uptime()
    }

    fn wait(&self, duration: Duration) -> Duration {
        self.inner.wait(duration)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    /// Hands and uptime in seconds, both set by the test.
    #[derive(Clone, Default)]
    struct Bench(Arc<Mutex<(i64, u64)>>);

    impl Bench {
        fn passes(&self, seconds: u64) {
            let mut both = self.0.lock().unwrap();
            *both = (both.0 + seconds as i64, both.1 + seconds);
        }

        fn is_set_by(&self, seconds: i64) {
            self.0.lock().unwrap().0 += seconds;
        }
    }

    impl Clock for Bench {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(self.0.lock().unwrap().0).unwrap()
        }
    }

    impl Timepiece for Bench {
        fn uptime(&self) -> Duration {
            Duration::from_secs(self.0.lock().unwrap().1)
        }

        fn wait(&self, duration: Duration) -> Duration {
            duration
        }
    }

    const YEAR: i64 = 365 * 24 * 3600;

    fn second(clock: &Steady<Bench>) -> i64 {
        clock.now().as_second()
    }

    #[test]
    fn a_year_forwards_and_back_within_minutes_is_never_seen() {
        for step in [YEAR, -YEAR] {
            let bench = Bench::default();
            let clock = Steady::new(bench.clone());
            bench.passes(60);
            assert_eq!(second(&clock), 60);
            bench.is_set_by(step);
            for minute in 2..9 {
                bench.passes(60);
                assert_eq!(second(&clock), minute * 60, "a step of {step}");
            }
            bench.is_set_by(-step);
            bench.passes(60);
            assert_eq!(second(&clock), 9 * 60);
        }
    }

    #[test]
    fn a_step_that_lasts_is_taken_over_in_either_direction() {
        for step in [YEAR, -YEAR] {
            let bench = Bench::default();
            let clock = Steady::new(bench.clone());
            bench.is_set_by(step);
            assert_eq!(second(&clock), 0);
            bench.passes(599);
            assert_eq!(second(&clock), 599);
            bench.passes(1);
            assert_eq!(second(&clock), step + 600);
            bench.passes(5);
            assert_eq!(second(&clock), step + 605);
        }
    }

    #[test]
    fn a_clock_that_is_set_again_and_again_is_not_believed() {
        let bench = Bench::default();
        let clock = Steady::new(bench.clone());
        for minute in 1..60 {
            bench.is_set_by(if minute % 2 == 0 { YEAR } else { -YEAR } * minute);
            bench.passes(60);
            assert_eq!(second(&clock), minute * 60);
        }
    }

    #[test]
    fn sleep_and_small_corrections_are_ordinary_time() {
        let bench = Bench::default();
        let clock = Steady::new(bench.clone());
        bench.passes(9 * 3600);
        assert_eq!(second(&clock), 9 * 3600);
        bench.is_set_by(-90);
        assert_eq!(second(&clock), 9 * 3600 - 90);
        bench.is_set_by(100);
        assert_eq!(second(&clock), 9 * 3600 + 10);
    }
}
