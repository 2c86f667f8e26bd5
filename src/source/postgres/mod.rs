//! PostgreSQL databases: captured by the server's own tools, recovered in a caged server.
//!
//! What both halves share stands here: a [`Session`] with pinned settings, and the
//! [`fingerprint()`] and [`schema`] of a database, the same on a live server and on a scratch one.

mod acl;
mod cluster;
mod engine;
mod fingerprint;
pub mod names;
pub mod schema;
mod sequences;
pub mod session;
mod tables;

pub use cluster::{Cluster, Database, Extension};
pub use engine::{Engine, Engines, MAJORS, Missing};
pub use fingerprint::fingerprint;
pub use session::{Login, Session, Tls};
