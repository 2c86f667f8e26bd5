//! A model of everybody who uses a repository at once: backups, forgets, prunes, verifies and repairs
//! whose calls to the store are interleaved by seeded chance, cut by crashes, by machines that sleep and
//! by people who remove locks, while packs and index files rot. What a listed snapshot reaches and did
//! not rot is stored, always; what index files named they name, until nobody needs it.
//!
//! One thing is taken for granted: between looking for its lock and acting on it nobody stands still
//! while another does a whole run. No store offers better, restic relies on it too.

mod acts;
mod cases;
mod doubled;
mod gate;
mod overtaken;
mod rival;
mod rot;
mod world;

/// Reproducible chance.
struct Dice(u64);

impl Dice {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % bound
    }

    fn one_in(&mut self, bound: usize) -> bool {
        self.below(bound) == 0
    }
}
