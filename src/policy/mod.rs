//! What users declare: raw TOML becomes checked types, or diagnostics with places. Pure.

pub mod sources;
