//! Pace: no more than so many bytes a second, whoever of several threads or tasks moves them.
//!
//! A token bucket told by the monotonic clock: it holds what its rate gives in a tenth of a second,
//! so that a pause is not made up for by a rush.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::size::ByteRate;

/// How long a pause counts: it makes good for sleeps that end late.
const SAVED: Duration = Duration::from_millis(100);

/// How soon who is held back learns that somebody asked for an end.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// One rate that all who hold it share.
#[derive(Debug)]
pub struct Pace {
    rate: ByteRate,
    /// When all that was booked has its time; none before the first.
    paid_at: Mutex<Option<Instant>>,
}

impl Pace {
    /// A pace at which nothing has moved yet.
    pub fn new(rate: ByteRate) -> Self {
        Self { rate, paid_at: Mutex::new(None) }
    }

    /// Books `bytes` and says how long to wait from `now` until what was booked before them has had
    /// its time; they go then, all at once.
    ///
    /// By any moment at most the rate's share of the time has gone, and one booking more.
    pub fn book(&self, bytes: u64, now: Instant) -> Duration {
        let mut paid_at = self.paid_at.lock().unwrap_or_else(PoisonError::into_inner);
        let saved_since = now.checked_sub(SAVED).unwrap_or(now);
        let begin = paid_at.map_or(now, |paid_at| paid_at.max(saved_since));
        *paid_at = Some(begin + self.rate.time_for(bytes));
        begin.saturating_duration_since(now)
    }

    /// The most that one booking should hold, for a flow without bursts.
    pub fn portion(&self) -> usize {
        let portion = self.rate.bytes_in(SAVED).max(4 << 10);
        usize::try_from(portion).unwrap_or(usize::MAX)
    }

    /// Books `bytes` and sleeps until they may go, or `stop` is set. Blocking.
    pub fn hold_back(&self, bytes: u64, stop: &AtomicBool) {
        let now = Instant::now();
        let until = now + self.book(bytes, now);
        while let Some(left) = until.checked_duration_since(Instant::now())
            && !left.is_zero()
            && !stop.load(Ordering::Relaxed)
        {
            std::thread::sleep(left.min(LOOK_EVERY));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(rate: &str) -> Pace {
        Pace::new(rate.parse().unwrap())
    }

    #[test]
    fn the_first_goes_at_once_and_each_later_one_waits_for_those_before_it() {
        let (pace, now) = (pace("1MB/s"), Instant::now());

        let waits = [500_000, 250_000, 1].map(|bytes| pace.book(bytes, now));

        assert_eq!(waits, [0, 500, 750].map(Duration::from_millis));
    }

    #[test]
    fn a_long_pause_is_no_leave_to_rush() {
        let (pace, begun) = (pace("1MB/s"), Instant::now());
        pace.book(1_000_000, begun);
        let later = begun + Duration::from_secs(3600);

        let waits = [1_000_000, 1_000_000].map(|bytes| pace.book(bytes, later));

        assert_eq!(waits, [0, 900].map(Duration::from_millis));
    }

    #[test]
    fn who_is_held_back_lets_go_once_somebody_asks_for_an_end() {
        let (pace, stop) = (pace("1B/s"), AtomicBool::new(true));

        pace.hold_back(1 << 40, &stop);
        pace.hold_back(1, &stop);
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig {
            failure_persistence: None,
            ..Default::default()
        })]

        /// Many bookings at moments that come in order, as the wall of threads makes them.
        #[test]
        fn no_more_goes_than_the_rate_allows(
            bookings in proptest::collection::vec((0u64..2_000_000, 0u64..3_000), 1..60)
        ) {
            let (pace, begun) = (pace("1MB/s"), Instant::now());
            let (mut now, mut gone, mut largest) = (begun, 0, 0);
            for (bytes, gap_ms) in bookings {
                now += Duration::from_millis(gap_ms);
                let goes_at = now + pace.book(bytes, now);
                (gone, largest) = (gone + bytes, largest.max(bytes));

                let time = goes_at.duration_since(begun) + SAVED;
                let allowed = time.as_micros() as u64 + largest;
                proptest::prop_assert!(gone <= allowed, "{gone} of {allowed} bytes");
            }
        }
    }
}
