//! What a source must be allowed, so that it can be captured; and no more.

use serde::Serialize;

/// For whoever administers the source's host or server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Grants {
    /// What is needed, and why: a sentence each, without a full stop.
    pub needs: Vec<String>,
    /// What grants exactly that, in this order: a line each, to be run by an administrator.
    pub statements: Vec<String>,
    /// The server's client that runs them, e.g. `psql -d postgres`; empty where they are no SQL.
    #[serde(skip)]
    pub client: &'static str,
}
