//! Sampling campaigns: which recovery points are drawn, and what their drills say of all there are.
//!
//! In: the ids of a policy's recovery points and a seed; the words of the draws' drills. Out: the draw,
//! which anybody can repeat with `sort` and `sha256sum` (docs/format.md, "Campaigns"), and a statement
//! that is exact. Pure.

mod bound;
mod draw;
mod natural;

use std::num::NonZeroU64;

pub use bound::{CONFIDENCE_PERCENT, at_least};
pub use draw::{LONGEST_SEED, NotASeed, Population, Seed};

use crate::ground::digest::Digest;
use crate::ledger::record::Word;

/// How the drills of all that was drawn ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Tally {
    pub passed: u64,
    pub failed: u64,
    /// Those that said nothing, and those that were never drilled to an end.
    pub inconclusive: u64,
}

impl Tally {
    /// Counts every draw, by the word that `word_of` has of it.
    pub fn of(drawn: &[Digest], word_of: impl Fn(&Digest) -> Option<Word>) -> Self {
        let mut tally = Self::default();
        for snapshot in drawn {
            match word_of(snapshot) {
                Some(Word::Pass) => tally.passed += 1,
                Some(Word::Fail) => tally.failed += 1,
                Some(Word::Inconclusive) | None => tally.inconclusive += 1,
            }
        }
        tally
    }

    pub fn drawn(&self) -> u64 {
        self.passed + self.failed + self.inconclusive
    }

    /// The campaign's own word: `pass` only where every draw passed.
    pub fn word(&self) -> Word {
        match self {
            Self { failed: 1.., .. } => Word::Fail,
            Self { passed: 1.., inconclusive: 0, .. } => Word::Pass,
            _ => Word::Inconclusive,
        }
    }

    /// How many of `population` recovery points are restorable, at least, with
    /// [`CONFIDENCE_PERCENT`]. None where a draw is left open: such a campaign is not completed and
    /// states nothing; none, too, of numbers that no draw has.
    pub fn at_least(&self, population: u64) -> Option<u64> {
        let population = NonZeroU64::new(population).filter(|all| all.get() >= self.drawn())?;
        let is_completed = self.inconclusive == 0 && self.drawn() > 0;
        is_completed.then(|| at_least(population, self.drawn(), self.passed))?
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(passed: u64, failed: u64, inconclusive: u64) -> Tally {
        Tally { passed, failed, inconclusive }
    }

    #[test]
    fn only_a_campaign_whose_draws_all_passed_passes_and_one_left_open_states_nothing() {
        assert_eq!(tally(30, 0, 0).word(), Word::Pass);
        assert_eq!(tally(29, 1, 0).word(), Word::Fail);
        assert_eq!(tally(28, 1, 1).word(), Word::Fail);
        assert_eq!(tally(29, 0, 1).word(), Word::Inconclusive);
        assert_eq!(tally(0, 0, 0).word(), Word::Inconclusive);

        assert_eq!(tally(30, 0, 0).at_least(240), Some(219));
        assert_eq!(tally(29, 0, 1).at_least(240), None);
        assert_eq!(tally(28, 1, 1).at_least(240), None);
        assert_eq!(tally(0, 0, 0).at_least(240), None);
        assert_eq!(tally(2, 0, 0).at_least(1), None, "more were drawn than there are");
    }

    #[test]
    fn a_draw_of_which_nothing_is_known_is_inconclusive_and_never_left_out() {
        let [first, second] = [[1; 32], [2; 32]].map(Digest);

        let found = Tally::of(&[first, second], |id| (*id == first).then_some(Word::Pass));

        assert_eq!(found, tally(1, 0, 1));
    }
}
