//! PostgreSQL databases: captured by the server's own tools, recovered in a caged server.

mod engine;

pub use engine::{Engine, Engines, MAJORS, Missing};
