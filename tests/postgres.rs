//! PostgreSQL: what a capture sees of a live server, and what it refuses.

mod servers;

#[path = "postgres/fingerprint.rs"]
mod fingerprint;
