//! The draw: a function of the recovery points and a seed, so that anybody can repeat it.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use crate::ground::digest::Digest;

/// The longest seed, in bytes.
pub const LONGEST_SEED: usize = 500;

/// Text that the draw is made from; public, it goes on record.
///
/// Without line ends and other controls, so that the text that is hashed reads in one way only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed(String);

/// Text that cannot be a [`Seed`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected one line of 1 to {LONGEST_SEED} bytes without control characters")]
pub struct NotASeed;

impl Seed {
    /// One that nobody could foresee, though whoever runs lifeboat may try others: 256 bits.
    pub fn drawn_here() -> Self {
        Self(hex::encode(rand::random::<[u8; 32]>()))
    }
}

impl FromStr for Seed {
    type Err = NotASeed;

    fn from_str(text: &str) -> Result<Self, NotASeed> {
        let is_line = (1..=LONGEST_SEED).contains(&text.len()) && !text.contains(char::is_control);
        if is_line { Ok(Self(text.to_owned())) } else { Err(NotASeed) }
    }
}

impl fmt::Display for Seed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The recovery points that a campaign speaks of, by their snapshots' ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Population(BTreeSet<Digest>);

impl Population {
    pub fn of(snapshots: impl IntoIterator<Item = Digest>) -> Self {
        Self(snapshots.into_iter().collect())
    }

    pub fn size(&self) -> usize {
        self.0.len()
    }

    /// Sorted.
    pub fn snapshots(&self) -> impl Iterator<Item = &Digest> {
        self.0.iter()
    }

    pub fn contains(&self, snapshot: &Digest) -> bool {
        self.0.contains(snapshot)
    }

    /// SHA-256 over the sorted ids in hexadecimal, each with an LF: `LC_ALL=C sort | sha256sum`.
    pub fn digest(&self) -> Digest {
        let text: String = self.0.iter().map(|id| format!("{id}\n")).collect();
        Digest::of(text.as_bytes())
    }

    /// The `most` ids, or all where there are fewer, with the smallest tickets, in the order of these. An
    /// id's ticket is SHA-256 of three lines: the seed, the population's digest, the id.
    ///
    /// So a seed that was known before says nothing of the draw until the population is fixed.
    pub fn draw(&self, seed: &Seed, most: usize) -> Vec<Digest> {
        let population = self.digest();
        let ticket = |id: &Digest| Digest::of(format!("{seed}\n{population}\n{id}\n").as_bytes());
        let mut tickets: Vec<_> = self.0.iter().map(|id| (ticket(id), *id)).collect();
        tickets.sort_unstable();
        tickets.into_iter().take(most).map(|(_, id)| id).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn population(size: u32) -> Population {
        Population::of((0..size).map(|nth| Digest::of(&nth.to_le_bytes())))
    }

    #[test]
    fn stock_tools_draw_the_same() {
        let all = population(50);
        let ids: String = all.snapshots().map(|id| format!("{id}\n")).collect();
        // Backwards, for the order in which ids are handed in must not matter.
        let script = r#"
            population=$(printf '%s' "$IDS" | LC_ALL=C sort | sha256sum | cut -d' ' -f1)
            echo "$population"
            printf '%s' "$IDS" | tac | while read -r id; do
              printf '%s %s\n' \
                "$(printf '%s\n%s\n%s\n' "$SEED" "$population" "$id" | sha256sum | cut -d' ' -f1)" "$id"
            done | LC_ALL=C sort | head -n 12 | cut -d' ' -f2"#;
        let seed = "the auditor's nonce, 随机 7\\n%s";

        let mut shell = Command::new("sh");
        let ran = shell.args(["-c", script]).env("IDS", ids).env("SEED", seed).output().unwrap();
        let told = String::from_utf8(ran.stdout).unwrap();

        let drawn = all.draw(&seed.parse().unwrap(), 12);
        let ours: Vec<_> =
            [all.digest()].into_iter().chain(drawn).map(|id| id.to_string()).collect();
        assert_eq!(told.lines().collect::<Vec<_>>(), ours);
    }

    #[test]
    fn nobody_is_drawn_twice_and_whoever_asks_for_more_than_there_are_gets_all() {
        let all = population(40);
        let seed = "seed".parse().unwrap();

        let some: BTreeSet<_> = all.draw(&seed, 25).into_iter().collect();
        let census = all.draw(&seed, 41);

        assert_eq!(some.len(), 25);
        assert_eq!(census.len(), 40);
        assert_eq!(Population::of(census), all);
    }

    #[test]
    fn another_seed_or_another_population_draws_others() {
        let seed = |text: &str| text.parse().unwrap();
        let all = population(200);
        let drawn = all.draw(&seed("one"), 5);

        assert_ne!(all.draw(&seed("two"), 5), drawn);
        assert_ne!(population(201).draw(&seed("one"), 5), drawn);
    }

    #[test]
    fn each_is_drawn_about_as_often() {
        let all = population(20);
        let mut times = std::collections::BTreeMap::new();
        for nth in 0..2000 {
            for id in all.draw(&nth.to_string().parse().unwrap(), 5) {
                *times.entry(id).or_insert(0) += 1;
            }
        }
        // 500 are expected; the standard deviation is 19.4.
        assert!(
            times.len() == 20 && times.values().all(|times| (400..600).contains(times)),
            "{times:?}"
        );
    }

    #[test]
    fn a_seed_is_one_line() {
        assert_eq!("two\nlines".parse::<Seed>(), Err(NotASeed));
        assert_eq!("".parse::<Seed>(), Err(NotASeed));
        assert_eq!("x".repeat(LONGEST_SEED + 1).parse::<Seed>(), Err(NotASeed));
        assert_ne!(Seed::drawn_here(), Seed::drawn_here());
        assert!(Seed::drawn_here().to_string().parse::<Seed>().is_ok());
    }
}
