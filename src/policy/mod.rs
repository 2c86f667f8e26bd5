//! What users declare: raw TOML becomes checked types, or diagnostics with places.
//!
//! In: the site file, `policies/*.toml` and `drills/*.toml` beside it. Out: a [`Setup`], or
//! [`Diagnostics`] that show all that is wrong in all files at once. Pure but for reading the
//! files: knows no state, no store, and runs nothing.

mod address;
mod build;
pub mod candidates;
mod checks;
mod command;
mod diagnostic;
mod document;
mod effective;
pub mod expect;
mod keys;
mod later;
pub mod leaf;
mod load;
mod mask;
mod nearest;
mod plan;
mod raw;
mod redis;
mod references;
pub mod schedule;
mod server;
mod setup;
mod shape;
mod site;
pub mod sources;
pub mod span;
#[cfg(test)]
mod tests;
mod trust;
mod walk;

pub use self::diagnostic::{Diagnostic, Diagnostics, Level};
pub use self::effective::{NotEffective, Slots, schedules_of};
pub use self::expect::{Expectation, ExpectedFiles};
pub use self::load::{Caller, load, load_for};
pub use self::plan::{
    Asks, Assertion, CheckSettings, Drill, FilesAsked, Hooks, Limits, Objectives, Pick, Policy,
    Query, Retention, Upgrade,
};
pub use self::raw::{Locale, TargetKind};
pub use self::schedule::{Cron, Schedule};
pub use self::setup::{DrillName, NoSuch, PolicyName, Setup};
pub use self::site::{
    Customer, DaemonSettings, Engine, S3Settings, Scratch, Site, Store, StoreKind, Target,
};

/// One of the three kinds of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    Site,
    Policy,
    Drill,
}

impl Which {
    /// `site`, `policy` or `drill`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Site => "site",
            Self::Policy => "policy",
            Self::Drill => "drill",
        }
    }
}

/// The JSON Schema of one kind of file.
pub fn schema(which: Which) -> serde_json::Value {
    match which {
        Which::Site => schemars::schema_for!(raw::Site),
        Which::Policy => schemars::schema_for!(raw::Policy),
        Which::Drill => schemars::schema_for!(raw::Drill),
    }
    .to_value()
}

/// The keys of one kind of file, for people: Markdown.
pub fn keys(which: Which) -> String {
    keys::markdown(&schema(which))
}
