//! A query's answer.

use serde::{Deserialize, Serialize};

/// A query's answer: small, since it goes into memory.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Rows {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Cell>>,
}

impl Rows {
    /// An answer with more is refused, never cut.
    pub(super) const MOST: usize = 1_000_000;
    pub(super) const MOST_BYTES: usize = 64 << 20;

    /// What is said of one.
    pub(super) const TOO_LARGE: &str = "the answer is larger than 1,000,000 rows or 64 MiB";
}

/// One value of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cell {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    Blob(Vec<u8>),
}

impl Eq for Cell {}
