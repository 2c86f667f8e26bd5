//! What is known of a capture beside its entries: whose it is, of which moment, and its fingerprint.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Answered, Gap, Kind, Served, Skipped, mysql, postgres, redis};
use crate::ground::digest::Digest;
use crate::ground::ids::Name;

/// What a source says of its capture; stands in the snapshot's `lifeboat.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Capture {
    pub source: Name,
    pub kind: Kind,
    /// Engine with version, empty for files.
    pub engine: String,
    /// The host it was read on.
    pub host: String,
    /// The server that was asked, where the policy names several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub served: Option<Served>,
    pub started: Timestamp,
    /// The moment whose state was captured: for files when the walk began.
    pub consistent_time: Timestamp,
    pub finished: Timestamp,
    /// Number of entries and bytes put.
    pub entries: u64,
    pub bytes: u64,
    pub skipped: Vec<Skipped>,
    /// Taken inside the very snapshot that was dumped.
    pub fingerprint: Fingerprint,
    /// What the drills of then asked of it, answered in the same snapshot.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub answers: Vec<Answered>,
    /// Of PostgreSQL: what the scratch server must be like.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<postgres::Cluster>,
    /// Of MariaDB and MySQL: the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<mysql::Server>,
    /// Of Redis: likewise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub redis: Option<redis::Taken>,
}

impl Capture {
    /// The newest moment of which certainly everything was captured: what a replica may have been
    /// behind is taken off.
    pub fn state_time(&self) -> Timestamp {
        let lag = self.served.as_ref().map_or(0, |served| served.lag_ms);
        let lag = SignedDuration::from_millis(i64::try_from(lag).unwrap_or(i64::MAX));
        self.consistent_time.saturating_sub(lag).unwrap_or(Timestamp::MIN)
    }

    /// Why nothing of it can be equal to what comes back: dump and fingerprint are not of one moment.
    pub fn unheld(&self) -> Option<&str> {
        self.server.as_ref()?.moment.unheld.as_deref()
    }

    /// Whether another major version of its engine may tell the definition of `object` in other words.
    pub fn is_retold(&self, object: &str) -> bool {
        self.cluster.as_ref().is_some_and(|cluster| postgres::is_retold(cluster, object))
    }

    /// Whether of each of its parts nothing was captured but itself.
    pub fn holds_nothing(&self) -> bool {
        self.bytes == 0 && self.fingerprint.parts.values().all(|part| part.rows <= 1)
    }

    /// About how many bytes an engine writes to recover it, beside what is restored.
    pub fn engine_bytes(&self) -> u64 {
        let cluster = self.cluster.iter().map(|it| postgres::recovery_bytes(it, self.bytes));
        let server = self.server.iter().map(|it| mysql::recovery_bytes(it, self.bytes));
        let redis = self.redis.iter().map(|_| redis::recovery_bytes(self.bytes));
        cluster.chain(server).chain(redis).fold(0, u64::saturating_add)
    }

    /// What the source has and this capture does not cover.
    pub fn gaps(&self) -> Vec<Gap> {
        let cluster = self.cluster.iter().flat_map(postgres::Cluster::gaps);
        let server = self.server.iter().flat_map(|server| server.gaps.clone());
        cluster.chain(server).chain(self.redis.iter().flat_map(redis::Taken::gaps)).collect()
    }
}

/// A summary of content that is equal on both sides exactly if the content is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// Which [`Kind::fingerprint_version`] made it; the first ones did not say.
    #[serde(default = "first_version")]
    pub version: u32,
    /// By part: a table's name; for files each path of the policy.
    pub parts: BTreeMap<String, Part>,
    /// By object, e.g. `table orders`, `index orders_by_day`: the digest of its definition.
    pub schema: BTreeMap<String, Digest>,
}

fn first_version() -> u32 {
    1
}

impl Fingerprint {
    /// One of nothing, in the version of `kind` that this program computes.
    pub fn empty(kind: Kind) -> Self {
        let version = kind.fingerprint_version();
        Self { version, parts: BTreeMap::new(), schema: BTreeMap::new() }
    }
}

/// One part of a fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// Rows of a table; entries below a path.
    pub rows: u64,
    /// Independent of the order in which rows or entries come.
    pub hash: Digest,
}
