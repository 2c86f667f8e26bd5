//! Reports: what the ledger says of a drill, as a page for people and as lines for a terminal.
//!
//! In: a record and its details, as read and verified from the ledger. Out: one self-contained
//! HTML page in 中文 or English, or lines. Pure: reads no store, no clock, no configuration, so
//! that anyone who holds the record gets the same page from it.

mod amount;
mod bar;
pub mod campaign;
mod en;
mod escaper;
mod evidence;
mod history;
mod identity;
mod independent;
mod lines;
mod page;
#[cfg(test)]
mod sample;
mod terms;
mod texts;
mod time;
mod verdict;
mod verify;
mod zh;

pub use lines::{Line, Tone, drill_text};
pub use page::drill;

/// The language of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lang {
    /// Simplified Chinese.
    Zh,
    En,
}

impl Lang {
    /// The language for a locale such as `zh-CN`; English for all that are not Chinese.
    pub fn of_locale(locale: &str) -> Self {
        if locale.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("zh")) {
            Self::Zh
        } else {
            Self::En
        }
    }
}

/// What a reader needs to verify the ledger behind a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// The identity in `allowed_signers`.
    pub customer: String,
    /// The newest signed checkpoint; None where none was signed yet.
    pub checkpoint: Option<SignedCheckpoint>,
    /// The signing key's fingerprint as `ssh-keygen -l` prints it, `SHA256:…`.
    pub key_fingerprint: String,
    /// The line for an `allowed_signers` file, without its end.
    pub allowed_signers: String,
    /// The public key in OpenSSH's one-line form.
    pub public_key: String,
}

/// Which checkpoint to look for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignedCheckpoint {
    /// The object's name below the customer's place in the store, e.g.
    /// `ledger/checkpoints/00000000000000000042`.
    pub name: String,
    /// How many records it covers.
    pub size: u64,
}
