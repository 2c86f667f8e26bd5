//! PostgreSQL databases: captured by the server's own tools, recovered in a caged server.

mod cluster;
mod engine;

pub use cluster::{Cluster, Database, Extension};
pub use engine::{Engine, Engines, MAJORS, Missing};
