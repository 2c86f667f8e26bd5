//! The effective policy: what a run stores beside the data and the ledger keeps of each version.
//!
//! Out: one JSON value of a policy, its drills and this customer's part of the site; defaults
//! resolved, paths absolute, secrets as references, integers only, keys in order, so that equal
//! declarations have equal bytes. And back: the schedules, to recompute what was due.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::candidates::{Candidates, Primary, Servers};
use super::expect::Expectation;
use super::plan::{
    Asks, Assertion, CheckSettings, Drill, FilesAsked, Limits, Pick, Policy, Query, Retention,
    Upgrade,
};
use super::raw::Locale;
use super::schedule::Schedule;
use super::setup::Setup;
use super::site::{Customer, Store, StoreKind};
use super::sources::{Equality, ServerSettings, SourceKind, SourceSettings, Tls};
use super::span::CalendarSpan;
use crate::ground::ids::Name;

/// Whose slots a schedule makes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slots {
    Backup,
    /// Of the drill with this name.
    Drill(Name),
}

/// Why a recorded policy's schedules cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NotEffective {
    #[error("the recorded policy has no {key}")]
    Missing { key: &'static str },
    #[error("the recorded policy's {key} cannot be read")]
    Wrong { key: &'static str, source: Box<dyn std::error::Error + Send + Sync> },
}

impl Setup {
    /// What is in force for `policy`: `{"drills": […], "policy": {…}, "site": {…}}`.
    pub fn effective(&self, policy: &Policy) -> Value {
        let customer = self.customer_of(policy);
        json!({
            "policy": policy_value(policy),
            "drills": self.drills_of(policy).map(drill_value).collect::<Vec<_>>(),
            "site": {
                "customer": customer_value(customer),
                "stores": [store_value(self.store_of(customer))],
            },
        })
    }
}

/// The schedules in a value that [`Setup::effective`] made: the backup's first.
pub fn schedules_of(effective: &Value) -> Result<Vec<(Slots, Schedule)>, NotEffective> {
    let mut found = Vec::new();
    let policy = effective.get("policy").ok_or(NotEffective::Missing { key: "policy" })?;
    if let Some(schedule) = schedule_of(policy)? {
        found.push((Slots::Backup, schedule));
    }
    let drills = effective.get("drills").and_then(Value::as_array);
    for drill in drills.ok_or(NotEffective::Missing { key: "drills" })? {
        if let Some(schedule) = schedule_of(drill)? {
            found.push((Slots::Drill(parsed(drill, "name")?), schedule));
        }
    }
    Ok(found)
}

fn schedule_of(owner: &Value) -> Result<Option<Schedule>, NotEffective> {
    match owner.get("schedule") {
        None => Err(NotEffective::Missing { key: "schedule" }),
        Some(Value::Null) => Ok(None),
        Some(schedule) => {
            let jitter_ms = schedule.get("jitter_ms").and_then(Value::as_u64);
            Ok(Some(Schedule {
                cron: parsed(schedule, "cron")?,
                zone: parsed(schedule, "timezone")?,
                jitter: Duration::from_millis(
                    jitter_ms.ok_or(NotEffective::Missing { key: "jitter_ms" })?,
                ),
            }))
        }
    }
}

fn parsed<T>(owner: &Value, key: &'static str) -> Result<T, NotEffective>
where
    T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    let text = owner.get(key).and_then(Value::as_str).ok_or(NotEffective::Missing { key })?;
    text.parse().map_err(|source| NotEffective::Wrong { key, source: Box::new(source) })
}

fn policy_value(policy: &Policy) -> Value {
    json!({
        "customer": policy.customer,
        "name": policy.name,
        "schedule": policy.schedule.as_ref().map(schedule_value),
        "objectives": {
            "rpo_ms": policy.objectives.rpo.map(milliseconds),
            "rto_ms": policy.objectives.rto.map(milliseconds),
        },
        "retention": policy.retention.as_ref().map(retention_value),
        "limits": limits_value(policy.limits),
        "sources": policy.sources.iter().map(source_value).collect::<Vec<_>>(),
        "hooks": {
            "before": policy.hooks.before,
            "after": policy.hooks.after,
            "deadline_ms": milliseconds(policy.hooks.deadline),
        },
    })
}

fn schedule_value(schedule: &Schedule) -> Value {
    json!({
        "cron": schedule.cron.to_string(),
        "timezone": schedule.zone.to_string(),
        "jitter_ms": milliseconds(schedule.jitter),
    })
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn retention_value(kept: &Retention) -> Value {
    let span = |span: Option<CalendarSpan>| span.map(|span| span.to_string());
    json!({
        "last": kept.last,
        "hourly": kept.hourly,
        "daily": kept.daily,
        "weekly": kept.weekly,
        "monthly": kept.monthly,
        "yearly": kept.yearly,
        "within": span(kept.within),
        "within_hourly": span(kept.within_hourly),
        "within_daily": span(kept.within_daily),
        "within_weekly": span(kept.within_weekly),
        "within_monthly": span(kept.within_monthly),
        "within_yearly": span(kept.within_yearly),
        "tags": kept.tags,
        "pins": kept.pins,
        "timezone": kept.zone.to_string(),
    })
}

fn limits_value(limits: Limits) -> Value {
    json!({
        "read_rate_bytes": limits.read_rate.map(|rate| rate.0),
        "upload_rate_bytes": limits.upload_rate.map(|rate| rate.0),
        "deadline_ms": limits.deadline.map(milliseconds),
        "nice": limits.nice,
    })
}

/// A source; what it does without stands in it only where it does.
fn source_value(source: &SourceSettings) -> Value {
    let mut told = kind_value(source);
    if let Equality::NotRequired { reason } = &source.equality {
        told["equality"] = json!({ "not_required": reason });
    }
    told
}

fn kind_value(source: &SourceSettings) -> Value {
    match &source.kind {
        SourceKind::Files(files) => json!({
            "name": source.name,
            "kind": "files",
            "paths": files.paths,
            "exclude": files.exclude,
            "one_file_system": files.one_file_system,
            "may_skip": files.may_skip,
        }),
        SourceKind::Sqlite(database) => json!({
            "name": source.name,
            "kind": "sqlite",
            "path": database.path,
        }),
        SourceKind::Postgres(servers) => {
            at_places(servers, |server| server_value(&source.name, "postgres", server))
        }
        SourceKind::Mariadb(servers) => {
            at_places(servers, |server| server_value(&source.name, "mariadb", server))
        }
        SourceKind::MariadbFiles(server) => {
            let mut told = server_value(&source.name, "mariadb", server);
            told["method"] = "physical".into();
            told
        }
        SourceKind::Mysql(servers) => {
            at_places(servers, |server| server_value(&source.name, "mysql", server))
        }
        SourceKind::Command(programs) => json!({
            "name": source.name,
            "kind": "command",
            "capture": programs.capture,
            "recover": programs.recover,
            "check": programs.check,
            "secrets": programs
                .secrets
                .iter()
                .map(|secret| json!({ "variable": secret.variable, "value": secret.value }))
                .collect::<Vec<_>>(),
            "deadline_ms": milliseconds(programs.deadline),
        }),
        SourceKind::Redis(servers) => at_places(servers, |server| {
            json!({
                "name": source.name,
                "kind": "redis",
                "host": server.host,
                "port": server.port,
                "user": server.user,
                "password": server.password,
                "tls": tls_word(&server.tls),
                "ca": authority(&server.tls),
                "silence_ms": milliseconds(server.silence),
            })
        }),
    }
}

/// What `value` tells of one server; of several each place under `hosts`, with how it is reached.
fn at_places<S>(servers: &Servers<S>, value: impl Fn(&S) -> Value) -> Value {
    let mut told = value(servers.any());
    let Servers::FirstOf(Candidates { rule, .. }) = servers else { return told };
    let place = |server| {
        let one = value(server);
        json!({ "host": one["host"], "tls": one["tls"] })
    };
    told["hosts"] = servers.all().map(place).collect();
    told["max_lag_ms"] = milliseconds(rule.max_lag).into();
    told["primary"] = match rule.primary {
        Primary::Refused => "refused".into(),
        Primary::Allowed => "allowed".into(),
    };
    if let Some(told) = told.as_object_mut() {
        told.remove("host");
        told.remove("tls");
    }
    told
}

fn tls_word(tls: &Tls) -> &'static str {
    match tls {
        Tls::Off => "off",
        Tls::Require => "require",
        Tls::Verify { .. } => "verify",
    }
}

fn authority(tls: &Tls) -> Option<&Path> {
    match tls {
        Tls::Verify { ca } => Some(ca),
        Tls::Off | Tls::Require => None,
    }
}

/// A database server of `kind`.
fn server_value(name: &Name, kind: &str, server: &ServerSettings) -> Value {
    json!({
        "name": name,
        "kind": kind,
        "host": server.host,
        "port": server.port,
        "user": server.user,
        "password": server.password,
        "databases": server.databases,
        "tls": tls_word(&server.tls),
        "ca": authority(&server.tls),
        "lock_timeout_ms": milliseconds(server.lock_timeout),
        "statement_deadline_ms": milliseconds(server.statement_deadline),
    })
}

fn drill_value(drill: &Drill) -> Value {
    let mut told = json!({
        "name": drill.name,
        "schedule": drill.schedule.as_ref().map(schedule_value),
        "pick": match drill.pick {
            Pick::Latest => json!("latest"),
            Pick::Oldest => json!("oldest"),
            Pick::Before(moment) => json!({ "before": moment }),
            Pick::Random(size) => json!({ "random": size }),
        },
        "controls": drill.controls,
        "checks": drill.checks.iter().map(check_value).collect::<Vec<_>>(),
    });
    // Those that do without stay what they were.
    if drill.independent {
        told["independent"] = true.into();
    }
    if !drill.upgrades.is_empty() {
        let one = |one: &Upgrade| json!({ "source": one.source, "version": one.major });
        told["upgrade"] = drill.upgrades.iter().map(one).collect();
    }
    told
}

fn check_value(check: &CheckSettings) -> Value {
    let mut told = match &check.asks {
        Asks::Query(query) => query_value(query),
        Asks::Files(FilesAsked { source, patterns, expected }) => json!({
            "source": source,
            "files": patterns,
            "expect": expected.to_string(),
        }),
        Asks::Program(argv) => json!({ "run": argv }),
    };
    told["name"] = check.name.as_str().into();
    told["deadline_ms"] = milliseconds(check.deadline).into();
    told
}

fn query_value(query: &Query) -> Value {
    let (key, value) = match &query.assertion {
        Assertion::Expect(expectation) => ("expect", expectation.to_string()),
        Assertion::FilesIn(source) => ("files_in", source.to_string()),
    };
    let mut told = json!({
        "source": query.source,
        "database": query.database,
        "query": query.text,
        key: value,
    });
    if let Assertion::Expect(Expectation::FreshAtCapture(_)) = query.assertion {
        told["timezone"] = query.zone.to_string().into();
    }
    told
}

fn customer_value(customer: &Customer) -> Value {
    json!({
        "id": customer.id,
        "name": {
            "en": customer.name(Locale::English),
            "zh": customer.name(Locale::Chinese),
        },
        "locale": customer.locale.tag(),
        "timezone": customer.zone.to_string(),
        "store": customer.store,
        "repository_password": customer.repository_password,
    })
}

fn store_value(store: &Store) -> Value {
    match &store.kind {
        StoreKind::Folder(_) => json!({ "name": store.name, "url": store.url() }),
        StoreKind::S3(bucket) => json!({
            "name": store.name,
            "url": store.url(),
            "endpoint": bucket.endpoint,
            "region": bucket.region,
            "access_key": bucket.access_key,
            "secret_key": bucket.secret_key,
            "ca": bucket.ca,
        }),
    }
}
