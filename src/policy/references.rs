//! What files say of each other and of themselves: names that must exist, or exist only once.
//!
//! Works on documents that may have lost faulty parts, so that one mistake does not hide others;
//! where what is missing could explain a finding, the finding is left out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::candidates;
use super::checks;
use super::command;
use super::document::Document;
use super::leaf::{Period, Zone};
use super::nearest::nearest;
use super::redis;
use super::schedule::{Cron, Schedule};
use super::server;

/// Checks all files against each other and adds what is wrong to them.
pub(super) fn check(
    root: &Path,
    site: &mut Document,
    policies: &mut [Document],
    all_policies_read: bool,
    drills: &mut [Document],
) {
    let customers = site_itself(root, site);
    for policy in policies.iter_mut() {
        one_policy(root, &customers, policy);
    }
    unique_across(policies, |policy| {
        Some((format!("{}/{}", policy.text_at("/customer")?, policy.text_at("/name")?), "/name"))
    });
    let mut known = sources_by_policy(&customers, policies);
    known.names.some_unknown |= !all_policies_read;
    for drill in drills.iter_mut() {
        one_drill(&known, drill);
    }
    unique_across(drills, |drill| {
        Some((format!("{}/{}", drill.text_at("/policy")?, drill.text_at("/name")?), "/name"))
    });
}

/// Returns the customers' ids.
fn site_itself(root: &Path, site: &mut Document) -> Names {
    let stores = unique_within(site, "/store", "name");
    let customers = unique_within(site, "/customer", "id");
    one_engine_a_version(site);
    engines_are_there(root, site);
    for index in 0..site.length_of("/customer") {
        let pointer = format!("/customer/{index}/store");
        known_name(site, &pointer, "store", &stores);
    }
    for index in 0..site.length_of("/store") {
        one_store(site, &format!("/store/{index}"));
    }
    unique_within(site, "/server", "name");
    for index in 0..site.length_of("/server") {
        let at = format!("/server/{index}");
        known_name(site, &format!("{at}/customer"), "customer", &customers);
        server::check(site, &at);
    }
    if site.value.pointer("/daemon/parallel").and_then(Value::as_u64) == Some(0) {
        let hint = "say how many backups and drills may run at once, e.g. 2".to_owned();
        site.error("/daemon/parallel", "a daemon that runs nothing", hint);
    }
    if site.readable && site.value.get("signing").is_none() {
        site.warn("", "no [signing] key: what the ledger says can be checked but is not signed");
    }
    if site.text_at("/scratch/without_sandbox").is_some() {
        let message = "restored dumps are opened without a sandbox, and every record will say so";
        site.warn("/scratch/without_sandbox", message);
    }
    customers
}

fn one_engine_a_version(site: &mut Document) {
    let mut seen = Vec::new();
    for index in 0..site.length_of("/engine") {
        let at = |key: &str| site.text_at(&format!("/engine/{index}/{key}")).map(str::to_owned);
        let (Some(kind), Some(version)) = (at("kind"), at("version")) else { continue };
        let engine = format!("{kind} {version}");
        if seen.contains(&engine) {
            let hint = "one folder holds the programs of a version: leave one of them out";
            let message = format!("{engine} is there already");
            site.error(&format!("/engine/{index}/version"), message, hint.to_owned());
        }
        seen.push(engine);
    }
}

/// A disk that is not mounted, or a package that went: what Debian has of the version serves instead.
fn engines_are_there(root: &Path, site: &mut Document) {
    for index in 0..site.length_of("/engine") {
        let at = format!("/engine/{index}/path");
        let Some(path) = site.text_at(&at).map(str::to_owned) else { continue };
        let server = match site.text_at(&format!("/engine/{index}/kind")) {
            Some("mariadb") => "sbin/mariadbd",
            Some("mysql") => "sbin/mysqld",
            _ => "postgres",
        };
        if !root.join(path).join(server).is_file() {
            site.warn(&at, "no server's programs are there: those of the system serve, if any");
        }
    }
}

/// Keys that only a store in a bucket has.
const OF_BUCKETS: [&str; 5] = ["endpoint", "region", "access_key", "secret_key", "ca"];

fn one_store(site: &mut Document, at: &str) {
    let Some(url) = site.text_at(&format!("{at}/url")).map(str::to_owned) else { return };
    if url.starts_with("file:") {
        for key in OF_BUCKETS.map(|key| format!("{at}/{key}")) {
            if site.stands(&key) {
                let what = format!("a folder has no `{}`", &key[at.len() + 1..]);
                site.error(&key, what, "leave it out, or name a bucket as `url`".to_owned());
            }
        }
        return;
    }
    for key in ["access_key", "secret_key"] {
        if !site.stands(&format!("{at}/{key}")) {
            let hint =
                format!("say where it is kept: {key} = {{ env = \"S3_{}\" }}", key.to_uppercase());
            site.error(&format!("{at}/url"), format!("a bucket without `{key}`"), hint);
        }
    }
    let endpoint = format!("{at}/endpoint");
    if site.text_at(&endpoint).is_some_and(is_open_to_listeners) {
        site.warn(&endpoint, "without https others on the way see sizes and can alter answers");
    }
}

/// Plain HTTP to another machine.
fn is_open_to_listeners(endpoint: &str) -> bool {
    endpoint.strip_prefix("http://").is_some_and(|host| {
        let here = ["127.", "localhost", "[::1]"];
        !here.iter().any(|here| host.starts_with(here))
    })
}

fn one_policy(root: &Path, customers: &Names, policy: &mut Document) {
    known_name(policy, "/customer", "customer", customers);
    unique_within(policy, "/source", "name");
    if let Some(kept) = policy.value.get("retention").and_then(Value::as_object) {
        let faulty = policy.keys_below("/retention") != kept.len();
        // Tags and pins are about single snapshots: what the next backup makes has neither.
        let keeps = |rule: &Value| rule.as_u64() > Some(0) || rule.is_string();
        if !faulty && !kept.values().any(keeps) {
            let hint = "say how many to keep, e.g. daily = 7, or how long, e.g. within = \"14d\"; \
                        leave [retention] out to keep all";
            policy.error("/retention", "[retention] keeps nothing", hint.to_owned());
        }
    }
    jitter_within(policy, "/schedule/backup", "/schedule/jitter");
    for index in 0..policy.length_of("/source") {
        nested_paths(root, policy, &format!("/source/{index}/paths"));
        candidates::check(policy, &format!("/source/{index}"));
        server::check(policy, &format!("/source/{index}"));
        redis::check(policy, &format!("/source/{index}"));
        command::check(policy, &format!("/source/{index}"));
    }
}

/// Warns of a run that may start after the next one's time has come.
fn jitter_within(document: &mut Document, schedule: &str, jitter: &str) {
    let cron: Option<Cron> = document.text_at(schedule).and_then(|text| text.parse().ok());
    let given: Option<Period> = document.text_at(jitter).and_then(|text| text.parse().ok());
    let (Some(cron), Some(Period(jitter_time))) = (cron, given) else { return };
    let of_it = Schedule { cron, zone: Zone::UTC, jitter: jitter_time };
    if of_it.shortest_interval().is_some_and(|interval| interval < jitter_time) {
        let message = "longer than the time between two slots: a run may be late for the next one, \
                       which then takes its place";
        document.warn(jitter, message);
    }
}

fn nested_paths(root: &Path, policy: &mut Document, pointer: &str) {
    let paths: Vec<PathBuf> = (0..policy.length_of(pointer))
        .filter_map(|index| policy.text_at(&format!("{pointer}/{index}")))
        .map(|path| root.join(path))
        .collect();
    for (index, path) in paths.iter().enumerate() {
        let outer = paths.iter().enumerate().find(|(other, outer)| {
            *other != index && path.starts_with(outer) && (path != *outer || *other < index)
        });
        if let Some((_, outer)) = outer {
            let message =
                format!("this path is inside `{}`, which is protected already", outer.display());
            policy.error(&format!("{pointer}/{index}"), message, "leave it out".to_owned());
        }
    }
}

/// What drills need to know of a policy's source.
pub(super) struct SourceFacts {
    pub(super) kind: Option<String>,
    pub(super) paths: usize,
    pub(super) databases: Vec<String>,
}

/// A policy's sources by name.
pub(super) struct Sources {
    pub(super) names: Names,
    pub(super) facts: BTreeMap<String, SourceFacts>,
}

/// All policies by their whole names.
struct Policies {
    names: Names,
    sources: BTreeMap<String, Sources>,
}

fn sources_by_policy(customers: &Names, policies: &[Document]) -> Policies {
    let mut all = Policies { names: Names::default(), sources: BTreeMap::new() };
    for policy in policies {
        let (Some(customer), Some(name)) = (policy.text_at("/customer"), policy.text_at("/name"))
        else {
            all.names.some_unknown = true;
            continue;
        };
        let mut sources =
            Sources { names: names_within(policy, "/source", "name"), facts: BTreeMap::new() };
        // A policy without sources is told so already.
        sources.names.some_unknown |= sources.names.known.is_empty();
        for index in 0..policy.length_of("/source") {
            let at = |key: &str| policy.text_at(&format!("/source/{index}/{key}"));
            let Some(name) = at("name") else { continue };
            let facts = SourceFacts {
                kind: at("kind").map(str::to_owned),
                paths: policy.length_of(&format!("/source/{index}/paths")),
                databases: texts(policy, &format!("/source/{index}/databases")),
            };
            // Of two with one name either may be meant.
            sources.names.some_unknown |= sources.facts.contains_key(name);
            sources.facts.entry(name.to_owned()).or_insert(facts);
        }
        let name = format!("{customer}/{name}");
        let misnamed = customers.lacks(customer);
        all.names.some_unknown |= misnamed || !policy.readable;
        all.names.known.push(name.clone());
        all.sources.insert(name, sources);
    }
    all
}

fn one_drill(policies: &Policies, drill: &mut Document) {
    if !drill.stands("/schedule") {
        for key in ["/timezone", "/jitter"] {
            if drill.text_at(key).is_some() {
                let message = format!("`{}` without a schedule", &key[1..]);
                drill.error(key, message, "add `schedule`, or leave it out".to_owned());
            }
        }
    }
    jitter_within(drill, "/schedule", "/jitter");
    unique_within(drill, "/check", "name");
    known_name(drill, "/policy", "policy", &policies.names);
    let sources = drill.text_at("/policy").and_then(|policy| policies.sources.get(policy));
    unique_within(drill, "/upgrade", "source");
    if drill.length_of("/upgrade") > 0 && drill.value["independent"] == true {
        let hint = "make two drills of it: other programs restore onto the source's own version";
        drill.error("/independent", "an upgrade that is restored independently", hint.to_owned());
    }
    if drill.length_of("/upgrade") > 0 && drill.stands("/pick/random") {
        let hint = "make two drills of it: what is drawn says how many points come back on their own \
                    engine";
        drill.error("/pick/random", "an upgrade in a sampling campaign", hint.to_owned());
    }
    for index in 0..drill.length_of("/upgrade") {
        upgrade(sources, drill, &format!("/upgrade/{index}/source"));
    }
    for index in 0..drill.length_of("/check") {
        checks::check(sources, drill, &format!("/check/{index}"));
    }
}

/// Adds what is wrong with the source at `place` that a drill brings up on a newer version.
fn upgrade(sources: Option<&Sources>, drill: &mut Document, place: &str) {
    let Some(sources) = sources else { return };
    known_name(drill, place, "source", &sources.names);
    let facts = drill.text_at(place).and_then(|name| sources.facts.get(name));
    let kind = facts.and_then(|facts| facts.kind.clone());
    if let Some(kind) = kind.filter(|kind| kind != "postgres") {
        let hint = "only sources of kind postgres are brought up on a newer major version: of the \
                    others lifeboat works with one series each";
        drill.error(place, format!("a source of {kind} in an upgrade"), hint.to_owned());
    }
}

fn texts(document: &Document, pointer: &str) -> Vec<String> {
    (0..document.length_of(pointer))
        .filter_map(|index| document.text_at(&format!("{pointer}/{index}")).map(str::to_owned))
        .collect()
}

/// Names that may be referred to.
#[derive(Default)]
pub(super) struct Names {
    known: Vec<String>,
    /// Some were declared in a way that cannot be read: nothing can be called unknown.
    some_unknown: bool,
}

impl Names {
    fn lacks(&self, name: &str) -> bool {
        !self.some_unknown && !self.known.iter().any(|known| known == name)
    }
}

/// Reports the text at `pointer` if it is none of `names`.
pub(super) fn known_name(document: &mut Document, pointer: &str, what: &str, names: &Names) {
    let Some(found) = document.text_at(pointer).map(str::to_owned) else { return };
    if !names.lacks(&found) {
        return;
    }
    let hint = match nearest(&found, names.known.iter().map(String::as_str)) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if names.known.is_empty() => format!("no {what} is declared"),
        None => format!("there are: {}", names.known.join(", ")),
    };
    document.error(pointer, format!("unknown {what} \"{found}\""), hint);
}

/// The names in the array at `pointer`.
fn names_within(document: &Document, pointer: &str, key: &str) -> Names {
    let names: Vec<Option<&str>> = (0..document.length_of(pointer))
        .map(|index| document.text_at(&format!("{pointer}/{index}/{key}")))
        .collect();
    let pruned = names.is_empty() && document.stands(pointer);
    Names {
        some_unknown: pruned || !document.readable || names.contains(&None),
        known: names.into_iter().flatten().map(str::to_owned).collect(),
    }
}

/// Reports repeated names in the array at `pointer`; returns all.
fn unique_within(document: &mut Document, pointer: &str, key: &str) -> Names {
    let names = names_within(document, pointer, key);
    let mut seen: Vec<String> = Vec::new();
    for index in 0..document.length_of(pointer) {
        let place = format!("{pointer}/{index}/{key}");
        let Some(name) = document.text_at(&place).map(str::to_owned) else { continue };
        if seen.contains(&name) {
            document.error(&place, format!("\"{name}\" is there already"), RENAME.to_owned());
        }
        seen.push(name);
    }
    names
}

const RENAME: &str = "names must differ: rename one of them";

fn unique_across(
    documents: &mut [Document],
    name_of: impl Fn(&Document) -> Option<(String, &'static str)>,
) {
    let mut seen: BTreeMap<String, PathBuf> = BTreeMap::new();
    for document in documents {
        let Some((name, pointer)) = name_of(document) else { continue };
        match seen.get(&name) {
            Some(first) => {
                let message = format!("\"{name}\" is declared in {} already", first.display());
                document.error(pointer, message, RENAME.to_owned());
            }
            None => {
                seen.insert(name, document.file.clone());
            }
        }
    }
}
