//! Room that living scratch environments have asked for, so that together they never fill the disk.
//!
//! Each writes down beside its token how much it is going to hold and how much of that is still to be
//! written. Whoever asks locks the root and counts what the others that live have written there.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::Error;
use super::scratch::{Scratch, TOKEN, lock_root};

/// The file beside the token: the bytes of the whole and those still to be written.
const RESERVED: &str = "reserved";

/// What became of asking for room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reserved {
    Yes,
    /// Others have it: so many environments, that hold so many bytes together.
    Crowded {
        others: usize,
        bytes: u64,
    },
}

#[derive(Debug, Clone, Copy)]
struct Claim {
    whole: u64,
    ahead: u64,
}

impl Scratch {
    /// Asks for room for `bytes`, where all environments of the root may hold `most`; blocking.
    ///
    /// Crowded, it holds nothing, so that of several that wait one can always go on. Where no other
    /// holds any it gets what it asks for, however little there is: whoever writes finds that out.
    pub fn reserve(&self, bytes: u64, most: Option<u64>) -> Result<Reserved, Error> {
        let root = self.root();
        let _nobody_else_asks = lock_root(root)?;
        let others = self.claims_of_others(root)?;
        let sum = |of: fn(&Claim) -> u64| others.iter().map(of).fold(bytes, u64::saturating_add);
        let fits = sum(|other| other.ahead) <= self.free_bytes()?
            && most.is_none_or(|most| sum(|other| other.whole) <= most);
        let own = self.path().join(RESERVED);
        if fits || others.is_empty() {
            self.claim(Claim { whole: bytes, ahead: bytes })?;
            return Ok(Reserved::Yes);
        }
        match std::fs::remove_file(&own) {
            Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::io("remove", &own, source))
            }
            _ => Ok(Reserved::Crowded {
                others: others.len(),
                bytes: sum(|other| other.whole) - bytes,
            }),
        }
    }

    /// Says that of what it reserved only so many bytes are still to be written; blocking.
    pub fn still_to_write(&self, ahead: u64) -> Result<(), Error> {
        let _nobody_asks = lock_root(self.root())?;
        let own = read(self.path());
        own.map_or(Ok(()), |own| self.claim(Claim { ahead, ..own }))
    }

    fn claim(&self, Claim { whole, ahead }: Claim) -> Result<(), Error> {
        let path = self.path().join(RESERVED);
        std::fs::write(&path, format!("{whole} {ahead}\n"))
            .map_err(|source| Error::io("write", &path, source))
    }

    fn claims_of_others(&self, root: &Path) -> Result<Vec<Claim>, Error> {
        let failed = |source| Error::io("list", root, source);
        let mut claims = Vec::new();
        for entry in std::fs::read_dir(root).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path != self.path() && lives(&path) {
                claims.extend(read(&path));
            }
        }
        Ok(claims)
    }
}

/// Whether somebody holds the token of the environment at `path`.
fn lives(path: &Path) -> bool {
    let token = File::open(path.join(TOKEN));
    token.is_ok_and(|token| matches!(token.try_lock(), Err(TryLockError::WouldBlock)))
}

/// The claim of an environment that has one.
fn read(path: &Path) -> Option<Claim> {
    let text = std::fs::read_to_string(path.join(RESERVED)).ok()?;
    let (whole, ahead) = text.trim_end().split_once(' ')?;
    Some(Claim { whole: whole.parse().ok()?, ahead: ahead.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> (tempfile::TempDir, Scratch, Scratch) {
        let root = tempfile::tempdir().unwrap();
        let [one, other] = [(); 2].map(|()| Scratch::create(root.path(), None).unwrap());
        (root, one, other)
    }

    #[test]
    fn what_one_holds_another_waits_for_until_it_is_gone() {
        let (_root, one, other) = two();
        assert_eq!(one.reserve(60, Some(100)).unwrap(), Reserved::Yes);
        assert_eq!(other.reserve(40, Some(100)).unwrap(), Reserved::Yes);

        let crowded = other.reserve(41, Some(100)).unwrap();

        assert_eq!(crowded, Reserved::Crowded { others: 1, bytes: 60 });
        assert_eq!(one.reserve(100, Some(100)).unwrap(), Reserved::Yes, "who waits holds nothing");
        one.remove().unwrap();
        assert_eq!(other.reserve(41, Some(100)).unwrap(), Reserved::Yes);
    }

    #[test]
    fn the_disk_is_not_promised_twice_and_what_is_written_counts_by_itself() {
        let (_root, one, other) = two();
        let most_of_it = one.free_bytes().unwrap() / 4 * 3;
        assert_eq!(one.reserve(most_of_it, None).unwrap(), Reserved::Yes);
        assert_ne!(other.reserve(most_of_it, None).unwrap(), Reserved::Yes);

        one.still_to_write(0).unwrap();

        assert_eq!(other.reserve(most_of_it, None).unwrap(), Reserved::Yes);
    }

    #[test]
    fn alone_one_gets_what_it_asks_for_and_the_dead_hold_nothing() {
        let (root, one, other) = two();
        assert_eq!(one.reserve(u64::MAX, Some(1)).unwrap(), Reserved::Yes);
        let dead = root.path().join(uuid::Uuid::new_v4().to_string());
        std::fs::create_dir(&dead).unwrap();
        std::fs::write(dead.join(TOKEN), "").unwrap();
        std::fs::write(dead.join(RESERVED), "1000 1000\n").unwrap();
        drop(one);

        assert_eq!(other.reserve(u64::MAX, Some(1)).unwrap(), Reserved::Yes);
    }
}
