//! Details: what a record's `details` digest names; names, counts and totals, never row values.

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::record::{Parts, Word};
use super::{Error, Ledger, object};
use crate::ground::digest::Digest;
use crate::ground::ids::{Name, RunId};
use crate::store::ObjectName;

/// The version of the details' format that is written.
pub const FORMAT: u32 = 1;

/// Everything a drill did and found; the report is made from this and the ledger line alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Drill {
    pub format: u32,
    pub lifeboat: String,
    pub run: RunId,
    pub customer: Name,
    /// By language tag, e.g. `zh`, `en`.
    pub customer_names: std::collections::BTreeMap<String, String>,
    pub timezone: String,
    pub policy: Name,
    pub drill: Option<Name>,
    pub policy_digest: Digest,
    pub slot: Option<Timestamp>,
    pub started: Timestamp,
    pub finished: Timestamp,
    pub point: Option<Point>,
    pub scratch: Environment,
    pub verdict: Word,
    pub parts: Parts,
    /// For every part that is not `yes`: why. Several reasons of one part follow each other.
    pub reasons: Vec<Reason>,
    pub phases: Vec<Phase>,
    pub recovery_ms: Option<u64>,
    pub rto_ms: Option<u64>,
    pub data_age_ms: Option<u64>,
    pub rpo_ms: Option<u64>,
    pub sources: Vec<SourceRecovered>,
    /// Every declared assertion, the rungs' own and the owner's, in the order they ran.
    pub checks: Vec<Check>,
    pub controls: Vec<Control>,
    /// What other programs restored of the same point; none where the drill does not ask for it, or
    /// did not come so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub independent: Option<Independent>,
    /// Selected items that the snapshot does not hold.
    pub skipped: Vec<Finding>,
    /// What the sources have beside what was selected, or cannot give, as far as it was seen.
    #[serde(default)]
    pub not_covered: Vec<NotCovered>,
    /// What was found damaged and has nothing to do with the recovery point.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub beside: Vec<Finding>,
}

/// Things of one kind that a recovery point does not cover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotCovered {
    pub source: Name,
    /// `databases`, `unlogged-rows`, `foreign-rows`, `materialised-rows`, `subscriptions`,
    /// `user-mappings`, `tablespaces`, `role-settings`, `strangers`, `default-grants`,
    /// `published-of-extensions`, `constraint-triggers`, `predefined-memberships` or
    /// `role-passwords`.
    pub what: String,
    /// The database that they are in; none where they are the server's.
    pub database: Option<String>,
    /// None where `what` says it all.
    pub names: Vec<String>,
}

/// Why a part of the verdict is not `yes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    pub part: Part,
    /// One English sentence without a full stop.
    pub why: String,
}

/// A part of the verdict, by name; [`Parts`] holds the answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    Restorable,
    Intact,
    WithinRto,
    WithinRpo,
    CleanedUp,
}

/// The recovery point.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Point {
    pub snapshot: Digest,
    pub time: Timestamp,
    /// Earliest moment whose state a source captured; what a replica was behind is taken off.
    pub consistent_time: Option<Timestamp>,
    /// How it was chosen: `latest`, `oldest`, `before …`, `named`, `searched`, `drawn`.
    pub pick: String,
    /// How many snapshots of the policy there were to choose from.
    pub candidates: u64,
    pub complete: bool,
    /// Whether `lifeboat.json` was there, i.e. whether lifeboat made it.
    pub manifest: bool,
}

/// Where it was restored: hardware and settings, for the label *in scratch*.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    pub host: String,
    pub cores: u64,
    pub memory_bytes: u64,
    /// File system and durability settings, e.g. `ext4, no fsync`.
    pub storage: String,
    /// How scratch processes were confined, e.g. `uid 65534, no network, landlock`.
    pub sandbox: String,
    /// The store's place, without secrets.
    pub store: String,
}

/// A stretch of the recovery time: `fetch`, `load`, `start`, `first-query`; `queue` is told apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    pub name: String,
    pub duration_ms: u64,
    /// Whether it counts towards the recovery time.
    pub counts: bool,
}

/// What came back of one source.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecovered {
    pub source: Name,
    pub kind: String,
    pub engine: String,
    pub captured_on: String,
    /// The server that was asked, of several that might have been.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<Served>,
    /// That its rows were not compared, and the policy does not require it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub waived: Option<Waived>,
    /// That it was brought up on a newer major version than its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upgraded: Option<Upgraded>,
    /// The moment whose state was captured; what a replica was behind is taken off.
    pub consistent_time: Option<Timestamp>,
    pub entries: u64,
    pub bytes: u64,
    pub parts: Vec<PartCompared>,
}

/// Rows that were not compared, by the policy's leave.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waived {
    /// The owner's words.
    pub reason: String,
    /// Why they could not be.
    pub why: String,
}

/// A source in an upgrade rehearsal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgraded {
    /// The major version that it was brought up on.
    pub major: u32,
    /// Definitions that this version tells in other words, so that they were not compared.
    pub retold: Vec<String>,
}

/// A server that was taken of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    pub host: String,
    /// Whether it followed a primary.
    pub is_replica: bool,
    /// By how much it may have been behind.
    pub lag_ms: u64,
    /// Those before it, and why they did not qualify.
    pub passed_over: Vec<Finding>,
}

/// One part of a fingerprint, as captured and as restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartCompared {
    /// A table, or a path.
    pub name: String,
    pub rows_captured: Option<u64>,
    pub rows_restored: Option<u64>,
    pub equal: bool,
}

/// One assertion and its outcome.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// `integrity`, `restore`, `start`, `equality`, `check` or `objectives`.
    pub rung: String,
    /// The owner's words, or what the rung checks.
    pub name: String,
    pub source: Option<Name>,
    pub outcome: CheckOutcome,
    /// How much was compared, and of what, e.g. 4210 `rows`.
    pub compared: u64,
    pub unit: String,
    /// What was expected and what was found: numbers, moments and how many, never texts of the data.
    pub expected: Option<String>,
    pub found: Option<String>,
    /// What the captured moment gave, where that is what it was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_capture: Option<String>,
    /// At most 100; `places_total` tells how many there were.
    pub places: Vec<Finding>,
    pub places_total: u64,
    /// Why it did not run.
    pub reason: Option<String>,
    pub duration_ms: u64,
}

/// How one assertion ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CheckOutcome {
    Held,
    Broke,
    NotRun,
}

/// A deliberate fault and whether the right check found it at the right place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Control {
    /// `row-changed`, `row-removed`, `byte-flipped`, `blob-hidden`.
    pub fault: String,
    pub source: Option<Name>,
    /// Where it was put.
    pub injured: String,
    /// The check that had to fail.
    pub expected_check: String,
    pub found: bool,
    /// What the check said, or why the control could not run.
    pub said: String,
    /// Whether nothing was injured and asked; false in records from before it was told apart.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub not_run: bool,
}

/// The point restored once more, without lifeboat's own readers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Independent {
    /// What read the repository, e.g. `restic 0.14.0`.
    pub by: String,
    /// What it ended badly with, though it restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub complaint: Option<String>,
    pub totals: Vec<Total>,
}

/// One question, put to what lifeboat recovered and to what the others did. Answers are numbers,
/// moments and digests of digests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Total {
    pub source: Name,
    /// A table, or a path.
    pub object: String,
    /// As it was asked: SQL, or what a shell would be asked.
    pub statement: String,
    /// Rows, entries or keys as captured: the first number of an answer; none where not counted.
    pub at_capture: Option<u64>,
    /// None where nothing was answered.
    pub lifeboat: Option<String>,
    pub independent: Option<String>,
    pub equal: bool,
}

/// A thing and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    pub object: String,
    pub what: String,
}

/// Everything a backup has to say beyond its record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    pub format: u32,
    pub lifeboat: String,
    pub run: RunId,
    pub skipped: Vec<Finding>,
    /// The captures as in `lifeboat.json`.
    pub sources: serde_json::Value,
}

/// What a prune, or a repair of the index, is about to delete.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prune {
    pub format: u32,
    pub lifeboat: String,
    pub run: RunId,
    pub index_files: Vec<Digest>,
    pub packs: Vec<Digest>,
}

/// The recovery points that a sampling campaign speaks of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Population {
    pub format: u32,
    pub lifeboat: String,
    pub run: RunId,
    /// Sorted.
    pub snapshots: Vec<Digest>,
}

impl Ledger {
    /// Stores details, sealed; durable on return. Returns what a record names them by.
    ///
    /// `text` is what [`to_text`] made of them.
    pub async fn put_details(&self, text: &str) -> Result<Digest, Error> {
        let digest = Digest::of(text.as_bytes());
        // The same text sealed before has other bytes, and is as good: readers check the digest.
        self.create(&name(&digest), self.key.seal(text.as_bytes()).into()).await?;
        Ok(digest)
    }

    /// Reads the details that a record names; [`Error::DetailsAltered`] where they are others.
    pub async fn details<T: DeserializeOwned>(&self, digest: &Digest) -> Result<T, Error> {
        serde_json::from_slice(&self.details_text(digest).await?).map_err(Error::DetailsJson)
    }

    /// The plain text of details, found to be what the record names.
    pub(super) async fn details_text(&self, digest: &Digest) -> Result<Vec<u8>, Error> {
        let name = name(digest);
        let sealed = self.store.get(&name, None).await?;
        let text = self.unseal(&name, &sealed)?;
        if Digest::of(&text) != *digest {
            return Err(Error::DetailsAltered { digest: *digest });
        }
        Ok(text)
    }
}

/// The plain text of details, as it is stored and hashed.
pub fn to_text<T: Serialize + ?Sized>(details: &T) -> Result<String, Error> {
    serde_json::to_string(details).map_err(Error::DetailsJson)
}

const FOLDER: &str = "details";

pub(super) fn name(digest: &Digest) -> ObjectName {
    object(&format!("{FOLDER}/{digest}"))
}
