//! Checked types out of files in which nothing was found wrong: paths absolute, defaults resolved.

use std::num::NonZeroU32;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::Caller;
use super::address::{Endpoint, StoreUrl};
use super::candidates::{self, Candidates, Primary, Rule, Servers};
use super::command;
use super::diagnostic::Diagnostic;
use super::document::Document;
use super::expect::Expected;
use super::leaf::{Pattern, Period, SnapshotPrefix, Words, Zone};
use super::plan::{
    Asks, Assertion, CheckSettings, Drill, FilesAsked, Hooks, Limits, Objectives, Pick, Policy,
    Query, Retention, Upgrade,
};
use super::raw;
use super::redis;
use super::schedule::{Cron, Schedule};
use super::server;
use super::site::{
    Customer, DaemonSettings, Engine, S3Settings, Scratch, Site, Store, StoreKind, Target,
};
use super::sources::{
    CommandSettings, Equality, FilesSettings, RedisSettings, SecretVariable, ServerSettings,
    SourceKind, SourceSettings, SqliteSettings,
};
use crate::ground::ids::Name;
use crate::ground::secret::SecretRef;

const HOOK_DEADLINE: Duration = Duration::from_secs(600);

/// How long a query of a check may take that says nothing of it.
const QUERY_DEADLINE: Duration = Duration::from_secs(5 * 60);

/// The same of files, all of which may be read, and of programs.
const LONG_DEADLINE: Duration = Duration::from_secs(3600);

/// Reads a document that stood all checks.
pub(super) fn typed<T: DeserializeOwned>(document: &Document) -> Result<T, Diagnostic> {
    serde_json::from_value(document.value.clone())
        .map_err(|error| Diagnostic::of_file(&document.file, error.to_string(), None))
}

pub(super) fn site(raw: raw::Site, root: &Path, caller: &Caller) -> Site {
    let scratch = raw.scratch.unwrap_or(raw::Scratch {
        dir: None,
        user: None,
        max: None,
        without_sandbox: None,
    });
    Site {
        root: root.to_owned(),
        state: match raw.state {
            Some(state) => root.join(tidy(&state.url.0)),
            None => caller.state_home.join("state.db"),
        },
        scratch: Scratch {
            dir: match scratch.dir {
                Some(dir) => root.join(dir.0),
                None => caller.state_home.join("scratch"),
            },
            user: scratch.user.map(|Words(user)| user),
            max: scratch.max.map(|size| size.0),
            without_sandbox: matches!(scratch.without_sandbox, Some(raw::Waiver::Given)),
        },
        engines: raw
            .engine
            .into_iter()
            .map(|engine| match engine {
                raw::Engine::Postgres { version, path } => {
                    Engine::Postgres { major: version.number(), path: root.join(path.0) }
                }
                raw::Engine::Mysql { version, path } => {
                    Engine::Mysql { series: version.name().to_owned(), path: root.join(path.0) }
                }
                raw::Engine::Mariadb { version, path } => {
                    Engine::Mariadb { series: version.name().to_owned(), path: root.join(path.0) }
                }
            })
            .collect(),
        stores: raw.store.into_iter().filter_map(|one| store(one, root)).collect(),
        customers: raw.customer.into_iter().map(|one| customer(one, root)).collect(),
        targets: raw.server.into_iter().map(|one| target(one, root)).collect(),
        signing_key: raw.signing.map(|signing| secret(root, signing.key)),
        daemon: raw.daemon.map_or_else(DaemonSettings::default, daemon),
    }
}

/// `references` refused a `parallel` of zero.
fn daemon(raw: raw::Daemon) -> DaemonSettings {
    let given = |period: Option<Period>, default| period.map_or(default, |period| period.0);
    let default = DaemonSettings::default();
    DaemonSettings {
        parallel: raw.parallel.and_then(NonZeroU32::new).unwrap_or(default.parallel),
        drain: given(raw.drain, default.drain),
        retry_first: given(raw.retry_first, default.retry_first),
        retry_longest: given(raw.retry_longest, default.retry_longest),
    }
}

/// The region of services that have none of their own.
const REGION: &str = "us-east-1";

/// None only for a bucket without keys, which `references` refused.
fn store(raw: raw::Store, root: &Path) -> Option<Store> {
    let kind = match raw.url {
        StoreUrl::Folder(folder) => StoreKind::Folder(root.join(tidy(&folder))),
        StoreUrl::S3 { bucket, folder } => StoreKind::S3(S3Settings {
            bucket,
            folder,
            endpoint: raw.endpoint.map(|Endpoint(url)| url),
            region: raw.region.map_or_else(|| REGION.to_owned(), |Words(region)| region),
            access_key: secret(root, raw.access_key?),
            secret_key: secret(root, raw.secret_key?),
            ca: raw.ca.map(|ca| root.join(ca.0)),
        }),
    };
    Some(Store { name: raw.name, kind })
}

/// Without `.` parts.
fn tidy(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != std::path::Component::CurDir).collect()
}

fn customer(raw: raw::Customer, root: &Path) -> Customer {
    Customer {
        id: raw.id,
        names: raw.name.map(raw::CustomerName::by_language).unwrap_or_default(),
        locale: raw.locale,
        zone: raw.timezone.unwrap_or(Zone::UTC),
        store: raw.store,
        repository_password: secret(root, raw.repository_password),
    }
}

fn target(raw: raw::Target, root: &Path) -> Target {
    let Words(host) = raw.host;
    let port = match raw.kind {
        raw::TargetKind::Postgres => server::PORT,
        raw::TargetKind::Mariadb | raw::TargetKind::Mysql => server::MARIADB_PORT,
    };
    let server = raw::Server {
        name: raw.name.clone(),
        host: None,
        hosts: Vec::new(),
        max_lag: None,
        primary: None,
        port: raw.port,
        user: raw.user,
        password: raw.password,
        databases: Vec::new(),
        method: None,
        tls: raw.tls,
        ca: raw.ca,
        lock_timeout: None,
        statement_deadline: None,
        equality: None,
    };
    Target {
        name: raw.name,
        kind: raw.kind,
        customer: raw.customer,
        settings: server_settings(&server, host, port, root),
    }
}

fn secret(root: &Path, reference: SecretRef) -> SecretRef {
    match reference {
        SecretRef::File(path) => SecretRef::File(root.join(path)),
        SecretRef::Command(argv) => SecretRef::Command(program(root, argv)),
        other => other,
    }
}

/// A program named with a relative path is the one beside the site file; a bare name is looked up.
fn program(root: &Path, mut argv: Vec<String>) -> Vec<String> {
    if let Some(first) = argv.first_mut()
        && first.contains('/')
        && let Some(absolute) = root.join(&*first).to_str()
    {
        *first = absolute.to_owned();
    }
    argv
}

/// `zone` is the customer's.
pub(super) fn policy(raw: raw::Policy, root: &Path, zone: &Zone) -> Policy {
    let argv = |words: Option<Vec<Words>>| {
        words.map(|words| program(root, words.into_iter().map(|Words(word)| word).collect()))
    };
    let limits = raw.limits.unwrap_or_default();
    let hooks = raw.hooks.unwrap_or(raw::Hooks { before: None, after: None, deadline: None });
    let own_zone = raw.schedule.as_ref().and_then(|given| given.timezone.as_ref()).unwrap_or(zone);
    let own_zone = own_zone.clone();
    Policy {
        customer: raw.customer,
        name: raw.name,
        schedule: raw.schedule.map(|given| {
            schedule(given.backup, given.timezone.unwrap_or_else(|| zone.clone()), given.jitter)
        }),
        objectives: raw.objectives.map_or_else(Objectives::default, |given| Objectives {
            rpo: given.rpo.map(|period| period.0),
            rto: given.rto.map(|period| period.0),
        }),
        retention: raw.retention.map(|kept| retention(kept, own_zone)),
        limits: Limits {
            read_rate: limits.read_rate.map(|rate| rate.0),
            upload_rate: limits.upload_rate.map(|rate| rate.0),
            deadline: limits.deadline.map(|period| period.0),
            nice: limits.nice,
        },
        sources: raw.source.into_iter().filter_map(|one| source(one, root)).collect(),
        hooks: Hooks {
            before: argv(hooks.before),
            after: argv(hooks.after),
            deadline: hooks.deadline.map_or(HOOK_DEADLINE, |period| period.0),
        },
    }
}

fn retention(raw: raw::Retention, zone: Zone) -> Retention {
    Retention {
        last: raw.last.unwrap_or(0),
        hourly: raw.hourly.unwrap_or(0),
        daily: raw.daily.unwrap_or(0),
        weekly: raw.weekly.unwrap_or(0),
        monthly: raw.monthly.unwrap_or(0),
        yearly: raw.yearly.unwrap_or(0),
        within: raw.within,
        within_hourly: raw.within_hourly,
        within_daily: raw.within_daily,
        within_weekly: raw.within_weekly,
        within_monthly: raw.within_monthly,
        within_yearly: raw.within_yearly,
        tags: raw.tags.into_iter().map(|Words(tag)| tag).collect(),
        pins: raw.pins.into_iter().map(|SnapshotPrefix(id)| id).collect(),
        zone,
    }
}

fn schedule(cron: Cron, zone: Zone, jitter: Option<Period>) -> Schedule {
    Schedule { cron, zone, jitter: jitter.map_or(Duration::ZERO, |period| period.0) }
}

/// A server as `raw` has it, at `host`.
fn server_settings(raw: &raw::Server, host: String, port: u16, root: &Path) -> ServerSettings {
    ServerSettings {
        port: raw.port.unwrap_or(port),
        user: raw.user.0.clone(),
        password: raw.password.clone().map(|reference| secret(root, reference)),
        databases: raw.databases.iter().map(|Words(name)| name.clone()).collect(),
        tls: server::tls(raw.tls, raw.ca.as_ref().map(|ca| root.join(&ca.0)), &host),
        lock_timeout: raw.lock_timeout.map_or(server::LOCK_TIMEOUT, |period| period.0),
        statement_deadline: raw
            .statement_deadline
            .map_or(server::STATEMENT_DEADLINE, |period| period.0),
        host,
    }
}

/// The servers at all places of `raw`, by what makes one of them.
fn servers<S>(
    places: (Option<Words>, Vec<Words>),
    max_lag: Option<Period>,
    primary: Option<Primary>,
    at: impl Fn(String) -> S,
) -> Option<Servers<S>> {
    let (host, hosts) = places;
    if let Some(Words(host)) = host {
        return Some(Servers::One(at(host)));
    }
    let mut all = hosts.into_iter().map(|Words(host)| at(host));
    let rule = Rule {
        max_lag: max_lag.map_or(candidates::MAX_LAG, |period| period.0),
        primary: primary.unwrap_or(Primary::Refused),
    };
    Some(Servers::FirstOf(Candidates { first: all.next()?, others: all.collect(), rule }))
}

fn database_servers(
    mut raw: raw::Server,
    port: u16,
    root: &Path,
) -> Option<Servers<ServerSettings>> {
    let places = (raw.host.take(), std::mem::take(&mut raw.hosts));
    let at = |host| server_settings(&raw, host, port, root);
    servers(places, raw.max_lag, raw.primary, at)
}

fn equality(raw: Option<raw::Equality>) -> Equality {
    match raw {
        None => Equality::Required,
        Some(raw::Equality { not_required: Words(reason) }) => Equality::NotRequired { reason },
    }
}

/// None only for a server without a place, which `candidates` refused.
fn source(raw: raw::Source, root: &Path) -> Option<SourceSettings> {
    let texts = |patterns: Vec<Pattern>| patterns.into_iter().map(|Pattern(text)| text).collect();
    Some(match raw {
        raw::Source::Files { name, paths, exclude, one_file_system, may_skip } => SourceSettings {
            name,
            kind: SourceKind::Files(FilesSettings {
                paths: paths.into_iter().map(|path| root.join(path.0)).collect(),
                exclude: texts(exclude),
                one_file_system: one_file_system.unwrap_or(true),
                may_skip: texts(may_skip),
            }),
            equality: Equality::Required,
        },
        raw::Source::Sqlite { name, path } => SourceSettings {
            name,
            kind: SourceKind::Sqlite(SqliteSettings { path: root.join(path.0) }),
            equality: Equality::Required,
        },
        raw::Source::Postgres(server) => SourceSettings {
            name: server.name.clone(),
            equality: Equality::Required,
            kind: SourceKind::Postgres(database_servers(server, server::PORT, root)?),
        },
        raw::Source::Mariadb(server) => {
            let (name, method) = (server.name.clone(), server.method);
            let equality = equality(server.equality.clone());
            let servers = database_servers(server, server::MARIADB_PORT, root)?;
            let kind = match method {
                // `server` refused several.
                Some(raw::Method::Physical) => SourceKind::MariadbFiles(servers.any().clone()),
                None | Some(raw::Method::Logical) => SourceKind::Mariadb(servers),
            };
            SourceSettings { name, equality, kind }
        }
        raw::Source::Mysql(server) => SourceSettings {
            name: server.name.clone(),
            equality: equality(server.equality.clone()),
            kind: SourceKind::Mysql(database_servers(server, server::MARIADB_PORT, root)?),
        },
        raw::Source::Command { name, capture, recover, check, secret: secrets, deadline } => {
            let argv = |words: Vec<Words>| {
                program(root, words.into_iter().map(|Words(word)| word).collect())
            };
            let named = |raw::SecretVariable { variable: Words(variable), value }| SecretVariable {
                variable,
                value: secret(root, value),
            };
            SourceSettings {
                name,
                kind: SourceKind::Command(CommandSettings {
                    capture: argv(capture),
                    recover: argv(recover),
                    check: argv(check),
                    secrets: secrets.into_iter().map(named).collect(),
                    deadline: deadline.map_or(command::DEADLINE, |period| period.0),
                }),
                equality: Equality::Required,
            }
        }
        raw::Source::Redis {
            name,
            host,
            hosts,
            max_lag,
            primary,
            port,
            user,
            password,
            tls,
            ca,
            silence,
        } => {
            let at = |host: String| RedisSettings {
                port: port.unwrap_or(redis::PORT),
                user: user.as_ref().map(|Words(user)| user.clone()),
                password: password.clone().map(|reference| secret(root, reference)),
                tls: server::tls(tls, ca.as_ref().map(|ca| root.join(&ca.0)), &host),
                silence: silence.map_or(redis::SILENCE, |period| period.0),
                host,
            };
            let servers = servers((host, hosts), max_lag, primary, at)?;
            let (kind, equality) = (SourceKind::Redis(servers), Equality::Required);
            SourceSettings { name, kind, equality }
        }
    })
}

/// `of` is the drill's policy, `zone` its customer's.
pub(super) fn drill(raw: raw::Drill, of: &Policy, zone: &Zone, root: &Path) -> Drill {
    let zone = match (raw.timezone, &of.schedule) {
        (Some(own), _) => own,
        (None, Some(policy)) => policy.zone.clone(),
        (None, None) => zone.clone(),
    };
    Drill {
        customer: raw.policy.customer,
        policy: raw.policy.policy,
        name: raw.name,
        schedule: raw.schedule.map(|cron| schedule(cron, zone, raw.jitter)),
        pick: match raw.pick {
            raw::Pick::Latest => Pick::Latest,
            raw::Pick::Oldest => Pick::Oldest,
            raw::Pick::Before(moment) => Pick::Before(moment.0),
            raw::Pick::Random(size) => Pick::Random(size),
        },
        controls: raw.controls,
        upgrades: raw
            .upgrade
            .into_iter()
            .map(|raw::Upgrade { source, version }| Upgrade { source, major: version.number() })
            .collect(),
        independent: raw.independent,
        checks: raw.check.into_iter().filter_map(|raw| check(raw, root)).collect(),
    }
}

/// None only for a check that asks or expects nothing, which `checks` refused.
fn check(raw: raw::Check, root: &Path) -> Option<CheckSettings> {
    let text = |words: Option<Words>| words.map(|Words(text)| text);
    let expect = raw.expect.map(|Expected(text)| text);
    let (asks, patience) = match (raw.query, raw.files, raw.run) {
        (Some(Words(query)), ..) => {
            let assertion = match (expect, raw.files_in) {
                (Some(expected), _) => Assertion::Expect(expected.parse().ok()?),
                (None, source) => Assertion::FilesIn(source?),
            };
            let query = Query {
                source: raw.source?,
                database: text(raw.database),
                text: query,
                assertion,
                zone: raw.timezone.unwrap_or(Zone::UTC),
            };
            (Asks::Query(query), QUERY_DEADLINE)
        }
        (None, Some(files), _) => {
            let asked = FilesAsked {
                source: raw.source?,
                patterns: files.into_iter().map(|Pattern(text)| text).collect(),
                expected: expect?.parse().ok()?,
            };
            (Asks::Files(asked), LONG_DEADLINE)
        }
        (None, None, argv) => {
            let argv = argv?.into_iter().map(|Words(word)| word).collect();
            (Asks::Program(program(root, argv)), LONG_DEADLINE)
        }
    };
    let Words(name) = raw.name;
    Some(CheckSettings { name, asks, deadline: raw.deadline.map_or(patience, |period| period.0) })
}

/// The zone of the customer named `id`; UTC only where `references` refused the name.
pub(super) fn zone_of(site: &Site, id: &Name) -> Zone {
    site.customers.iter().find(|one| one.id == *id).map_or(Zone::UTC, |one| one.zone.clone())
}
