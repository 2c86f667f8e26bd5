//! What parent and confined child say to each other: one JSON document a line.
//!
//! The child holds hostile data, so the parent takes nothing in a reply for granted but its form.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};

use super::{Cell, Checked, Fault, Fingerprint, Place, Rows};

/// The child's role, as its argument names it.
pub const ROLE: &str = "sqlite";

/// What the parent asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Request {
    /// Opens the database; `path` is relative to the child's folder.
    Open {
        path: String,
    },
    SelfCheck,
    Fingerprint,
    Query {
        sql: String,
        limit_ms: u64,
    },
    Injure {
        fault: Fault,
    },
    /// Writes a table as SQL to `path`, relative to the child's folder, where nothing is yet.
    Table {
        name: String,
        path: String,
    },
}

/// What the child answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reply {
    Opened,
    Checked { compared: u64, problems: Vec<Place> },
    Fingerprint(Fingerprint),
    Rows { columns: Vec<String>, rows: Vec<Vec<Value>> },
    Injured(Option<Place>),
    Written { rows: u64 },
    Failed(Failure),
}

/// Why the child could not do as asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{what}")]
pub struct Failure {
    /// Whether the data is at fault, and not the environment or the question.
    pub data: bool,
    pub what: String,
}

/// A value on the wire: JSON keeps neither every real number nor infinity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Value {
    Null,
    Integer(i64),
    /// The IEEE 754 bits.
    Real(u64),
    Text(String),
    Blob(String),
}

impl Value {
    pub fn from_cell(cell: Cell) -> Self {
        match cell {
            Cell::Null => Self::Null,
            Cell::Integer(number) => Self::Integer(number),
            Cell::Real(number) => Self::Real(number.to_bits()),
            Cell::Text(text) => Self::Text(text),
            Cell::Blob(bytes) => Self::Blob(hex::encode(bytes)),
        }
    }

    fn into_cell(self) -> Result<Cell, hex::FromHexError> {
        Ok(match self {
            Self::Null => Cell::Null,
            Self::Integer(number) => Cell::Integer(number),
            Self::Real(bits) => Cell::Real(f64::from_bits(bits)),
            Self::Text(text) => Cell::Text(text),
            Self::Blob(digits) => Cell::Blob(hex::decode(digits)?),
        })
    }
}

/// The rows of a reply.
pub(super) fn rows(columns: Vec<String>, rows: Vec<Vec<Value>>) -> Result<Rows, hex::FromHexError> {
    let rows = rows
        .into_iter()
        .map(|row| row.into_iter().map(Value::into_cell).collect())
        .collect::<Result<_, _>>()?;
    Ok(Rows { columns, rows })
}

/// The self-check of a reply.
pub(super) fn checked(compared: u64, problems: Vec<Place>) -> Checked {
    Checked { compared: NonZeroU64::new(compared), problems }
}
