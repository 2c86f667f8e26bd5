//! Names that users give, and the identity of one run.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};
use uuid::Uuid;

/// The name of a customer, policy, drill or source: `[a-z0-9][a-z0-9-]{0,39}`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Name(String);

/// Text that cannot be a [`Name`].
#[derive(Debug, thiserror::Error)]
#[error("{found:?} is not a name: expected 1 to 40 of a-z, 0-9 and '-', not starting with '-'")]
pub struct NotAName {
    found: String,
}

impl Name {
    /// What a name must match, as a regular expression.
    pub const PATTERN: &'static str = "^[a-z0-9][a-z0-9-]{0,39}$";

    /// The name's text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = NotAName;

    fn from_str(text: &str) -> Result<Self, NotAName> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        if (1..=40).contains(&text.len()) && !text.starts_with('-') && text.chars().all(allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NotAName { found: text.chars().take(80).collect() })
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl fmt::Debug for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Name {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "description": "Up to 40 of a-z, 0-9 and -",
            "type": "string",
            "pattern": Self::PATTERN,
        })
    }
}

/// One run of an act; the same id stands in the snapshot's tags, in the ledger and in the logs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub Uuid);

impl RunId {
    /// A new id, sortable by the time it was drawn (UUID version 7).
    pub fn draw() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for RunId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, uuid::Error> {
        text.parse().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_lower_case_and_start_with_no_dash() {
        assert!("acme-shop2".parse::<Name>().is_ok());
        for bad in ["", "-a", "Acme", "a_b", "a/b", "..", &"a".repeat(41)] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
    }
}
