//! What a sample without replacement says of all: the exact lower confidence limit.

use std::num::NonZeroU64;

use super::natural::Natural;

/// How sure a statement is: of all campaigns at most one in twenty says too much.
pub const CONFIDENCE_PERCENT: u64 = 95;

/// One in so many may be wrong.
const ONE_IN: u32 = 20;

/// Of `population` recovery points `drawn` were drawn at random and `passed` of these are good: so many of
/// all are good, at least, with 95 % confidence. None for numbers that no draw has, or beyond 2³².
///
/// The smallest number of good ones among all under which so many good ones are drawn in more than one of
/// twenty draws (hypergeometric; the exact limit after Clopper and Pearson for a finite population). Whole
/// numbers throughout: nothing is rounded.
pub fn at_least(population: NonZeroU64, drawn: u64, passed: u64) -> Option<u64> {
    let [population, drawn, passed] =
        [population.get(), drawn, passed].map(|number| u32::try_from(number).ok());
    let sample = Sample { population: population?, drawn: drawn?, passed: passed? };
    if sample.passed > sample.drawn || sample.drawn > sample.population {
        return None;
    }
    // With as many good ones as the draw allows, so many good ones are drawn for sure.
    let (mut low, mut high) = (sample.passed, sample.population - (sample.drawn - sample.passed));
    while low < high {
        let middle = low + (high - low) / 2;
        if sample.is_plausible(middle) { high = middle } else { low = middle + 1 }
    }
    Some(low.into())
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    population: u32,
    drawn: u32,
    passed: u32,
}

impl Sample {
    /// Whether with `good` good ones among all, more than one in twenty draws has `passed` or more: 20
    /// times the number of such draws is more than that of all draws.
    fn is_plausible(&self, good: u32) -> bool {
        let Self { population, drawn, passed } = *self;
        let bad = population - good;
        let mut of_drawn = drawn.min(good);
        let mut ways = match of_drawn == drawn {
            true => Natural::binomial(good, drawn),
            false => Natural::binomial(bad, drawn - good),
        };
        let mut such = Natural::ZERO;
        loop {
            such.add(&ways);
            // Fewer good ones cannot be drawn where there are not enough bad ones.
            if of_drawn == passed || drawn - of_drawn == bad {
                break;
            }
            let bad_drawn = drawn - of_drawn;
            ways.multiply(of_drawn);
            ways.multiply(bad - bad_drawn);
            ways.divide((u64::from(good - of_drawn) + 1) * (u64::from(bad_drawn) + 1));
            of_drawn -= 1;
        }
        such.multiply(ONE_IN);
        such > Natural::binomial(population, drawn)
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn bound(population: u64, drawn: u64, passed: u64) -> u64 {
        at_least(NonZeroU64::new(population).unwrap(), drawn, passed).unwrap()
    }

    #[test]
    fn the_statements_of_the_literature_hold() {
        // /work/shared/research/drills-evidence.md, measured there with another program.
        assert_eq!(bound(240, 30, 30), 219, "91.25 %");
        assert_eq!(bound(240, 59, 59), 230, "95.8 %");
        assert_eq!(bound(240, 59, 58), 224, "93.3 %");
        assert!(bound(240, 49, 49) * 100 >= 95 * 240 && bound(240, 48, 48) * 100 < 95 * 240);
        assert!(bound(240, 151, 151) * 100 >= 99 * 240 && bound(240, 150, 150) * 100 < 99 * 240);
        assert!(bound(60, 31, 31) * 100 >= 95 * 60 && bound(60, 30, 30) * 100 < 95 * 60);
    }

    #[test]
    fn a_census_says_what_it_counted_and_failures_are_never_good() {
        for population in 1..40 {
            for passed in 0..=population {
                assert_eq!(bound(population, population, passed), passed);
            }
            for drawn in 0..=population {
                assert_eq!(bound(population, drawn, 0), 0, "all of {drawn} failed");
                for passed in 0..=drawn {
                    let found = bound(population, drawn, passed);
                    assert!(passed <= found && found <= population - (drawn - passed));
                }
            }
        }
    }

    #[test]
    fn numbers_that_no_draw_has_give_no_bound() {
        let population = NonZeroU64::new(5).unwrap();

        assert_eq!(at_least(population, 6, 1), None);
        assert_eq!(at_least(population, 3, 4), None);
        assert_eq!(at_least(NonZeroU64::MAX, 3, 3), None);
    }

    /// By the definition, with Python's fractions: every number of good ones is tried.
    const PYTHON: &str = r#"
import sys
from fractions import Fraction
from math import comb

def at_least(population, drawn, passed):
    for good in range(population + 1):
        such = sum(comb(good, k) * comb(population - good, drawn - k) for k in range(passed, drawn + 1))
        if Fraction(such, comb(population, drawn)) > Fraction(1, 20):
            return good

for line in sys.stdin:
    print(at_least(*map(int, line.split())))
"#;

    #[test]
    fn an_independent_program_finds_the_same_bounds() {
        let small = (1..=16).flat_map(|population| {
            (1..=population)
                .flat_map(move |drawn| (0..=drawn).map(move |passed| (population, drawn, passed)))
        });
        let large =
            [(240, 30, 27), (1000, 299, 299), (1000, 299, 250), (3000, 500, 498), (997, 13, 1)];
        let cases: Vec<_> = small.chain(large).collect();
        let asked: String =
            cases.iter().map(|(all, drawn, good)| format!("{all} {drawn} {good}\n")).collect();
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("cases");
        std::fs::write(&file, asked).unwrap();

        let mut python = Command::new("python3");
        let ran = python
            .args(["-c", PYTHON])
            .stdin(std::fs::File::open(&file).unwrap())
            .output()
            .unwrap();

        let told = String::from_utf8(ran.stdout).unwrap();
        let theirs: Vec<u64> = told.lines().map(|line| line.parse().unwrap()).collect();
        let ours: Vec<u64> =
            cases.iter().map(|(all, drawn, good)| bound(*all, *drawn, *good)).collect();
        assert_eq!(ours, theirs, "{}", String::from_utf8_lossy(&ran.stderr));
    }
}
