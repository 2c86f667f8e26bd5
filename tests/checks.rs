//! The owner's checks, from a drill's file to the report: what they compare, and lies they must find.

#[path = "checks/answers.rs"]
mod answers;
mod bench;
#[path = "checks/files.rs"]
mod files;
#[path = "checks/programs.rs"]
mod programs;
mod servers;
#[path = "checks/servers.rs"]
mod shop;

use serde_json::Value;

/// The check named `name` in a drill's answer.
#[track_caller]
fn check<'a>(drill: &'a Value, name: &str) -> &'a Value {
    let checks = drill["checks"].as_array().unwrap();
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("{drill:#}"))
}
