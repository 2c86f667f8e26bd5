//! Where a policy's server may be: at one place, or at the first of several that qualifies.

use std::time::Duration;

use super::document::Document;
pub use super::raw::Primary;
use super::server;

/// How far behind a replica may be where nobody says.
pub(super) const MAX_LAG: Duration = Duration::from_secs(60);

/// What is said of several servers, and of no single one.
const OF_SEVERAL: [&str; 2] = ["max_lag", "primary"];

/// Where a server may be. `S` is how one is reached and what is meant of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Servers<S> {
    /// There, whether it is a primary or a replica.
    One(S),
    FirstOf(Candidates<S>),
}

/// Servers that hold the same; they differ in nothing but their place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates<S> {
    pub first: S,
    /// In the order in which they are tried.
    pub others: Vec<S>,
    pub rule: Rule,
}

/// What a candidate must be to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    /// How far it may be behind its primary.
    pub max_lag: Duration,
    pub primary: Primary,
}

impl<S> Servers<S> {
    /// One of them, for what all have in common.
    pub fn any(&self) -> &S {
        match self {
            Self::One(server) => server,
            Self::FirstOf(candidates) => &candidates.first,
        }
    }

    /// All of them, in the order in which they are tried.
    pub fn all(&self) -> impl Iterator<Item = &S> {
        let others = match self {
            Self::One(_) => &[][..],
            Self::FirstOf(candidates) => &candidates.others,
        };
        std::iter::once(self.any()).chain(others)
    }
}

impl<S> From<S> for Servers<S> {
    fn from(server: S) -> Self {
        Self::One(server)
    }
}

/// Adds what is wrong with where the server of the source at `at` may be, e.g. `/source/0`.
pub(super) fn check(policy: &mut Document, at: &str) {
    let kind = policy.text_at(&format!("{at}/kind"));
    if kind != Some("redis") && !server::is_server(kind) {
        return;
    }
    let (host, hosts) = (format!("{at}/host"), format!("{at}/hosts"));
    match (policy.stands(&host), policy.stands(&hosts)) {
        (false, false) => {
            let hint =
                "where the server is, or hosts = [\"…\"]: the first of several that qualifies";
            policy.error(at, "missing key `host`", hint.to_owned());
        }
        (true, true) => {
            let hint = "put all places into `hosts`, in the order in which they are to be tried";
            policy.error(&host, "`host` beside `hosts`", hint.to_owned());
        }
        (true, false) => {
            for key in OF_SEVERAL.map(|key| format!("{at}/{key}")) {
                if policy.stands(&key) {
                    let hint = "a single `host` is taken as it is; write hosts = [\"…\"] to have it \
                                looked at";
                    policy.error(&key, "a condition that only `hosts` have", hint.to_owned());
                }
            }
        }
        (false, true) => no_place_twice(policy, &hosts),
    }
}

fn no_place_twice(policy: &mut Document, hosts: &str) {
    let mut seen: Vec<String> = Vec::new();
    for index in 0..policy.length_of(hosts) {
        let place = format!("{hosts}/{index}");
        let Some(host) = policy.text_at(&place).map(str::to_owned) else { continue };
        if seen.contains(&host) {
            policy.error(&place, format!("\"{host}\" is there already"), "leave it out".to_owned());
        }
        seen.push(host);
    }
}

/// Where the server of the source at `at` may be: the place in the document, and what is written.
pub(super) fn places(document: &Document, at: &str) -> Vec<(String, String)> {
    let several =
        (0..document.length_of(&format!("{at}/hosts"))).map(|index| format!("{at}/hosts/{index}"));
    std::iter::once(format!("{at}/host"))
        .chain(several)
        .filter_map(|place| document.text_at(&place).map(str::to_owned).map(|text| (place, text)))
        .collect()
}
