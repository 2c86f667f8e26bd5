//! Chance that can be had again: whoever throws the dice prints the seed, and `LIFEBOAT_SEED` sets it.
#![allow(dead_code, reason = "each test program uses the part of the dice that it needs")]

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Numbers that look random (xorshift).
pub struct Dice(u64);

impl Dice {
    /// Dice with a new seed, or with the one of `LIFEBOAT_SEED`.
    pub fn thrown(what: &str) -> Self {
        let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos() as u64;
        let seed =
            std::env::var("LIFEBOAT_SEED").map_or_else(|_| now(), |seed| seed.parse().unwrap());
        println!("{what}: LIFEBOAT_SEED={seed}");
        Self::of(seed)
    }

    fn of(seed: u64) -> Self {
        let mut dice = Self(seed | 1);
        // Seeds that are alike begin alike.
        (0..20).for_each(|_| _ = dice.below(1));
        dice
    }

    /// Dice of their own for another thread.
    pub fn others(&mut self) -> Self {
        Self::of(self.below(u64::MAX))
    }

    pub fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    pub fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len() as u64) as usize]
    }

    /// Any time up to `longest`.
    pub fn moment(&mut self, longest: Duration) -> Duration {
        Duration::from_micros(self.below(longest.as_micros() as u64 + 1))
    }
}

/// What `LIFEBOAT_ROUNDS` may say instead of a number: whatever can be counted is tried once.
const ALL: &str = "all";

/// How many rounds to play: `usual`, or as many as `LIFEBOAT_ROUNDS` says.
pub fn rounds(usual: u64) -> u64 {
    match std::env::var("LIFEBOAT_ROUNDS") {
        Ok(rounds) if rounds != ALL => rounds.parse().unwrap(),
        _ => usual,
    }
}

/// Whether nothing that can be counted is left to chance.
pub fn is_whole() -> bool {
    std::env::var("LIFEBOAT_ROUNDS").is_ok_and(|rounds| rounds == ALL)
}
