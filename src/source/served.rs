//! Which of a policy's servers is captured: the first that qualifies, and why others do not.
//!
//! In: where a policy says that its server may be, how one is looked at. Out: the first whose word of
//! itself fits the policy's rule. Nothing is taken that the policy does not allow: where none qualifies
//! there is no capture.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Context, Error};
use crate::ground::causes::chain;
use crate::policy::candidates::{Primary, Rule, Servers};

/// How often a server is asked that is behind, and the pause in between: it may be so for a moment.
const LOOKS: u32 = 8;
const PAUSE: Duration = Duration::from_millis(250);

/// The server that was captured of several that might have been; stands in `lifeboat.json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Served {
    /// As the policy names it.
    pub host: String,
    pub role: Role,
    /// By how much the captured state may be older than the captured moment.
    pub lag_ms: u64,
    /// Those before it that did not qualify.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub passed_over: Vec<PassedOver>,
}

/// What a server is to the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Primary,
    Replica,
}

/// A server that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PassedOver {
    pub host: String,
    pub why: String,
}

/// A server's word of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Standing {
    /// It follows nobody.
    Primary,
    /// Everything that its primary had at this moment, by our clock, is in it.
    Replica { as_of: Timestamp },
    /// It follows another and does not keep up with it, or is no whole copy of it; why.
    Unfit(String),
}

/// The server that is taken, and how it came to that.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub host: String,
    rule: Rule,
    pub passed_over: Vec<PassedOver>,
    sighted: Sighted,
}

/// A standing that fits the rule.
#[derive(Debug, Clone, Copy)]
struct Sighted {
    role: Role,
    as_of: Timestamp,
}

/// The first of `servers` that qualifies and opens, and how it was chosen; none where the policy names
/// a single one, which is taken as it is.
pub(super) fn choose<'a, S, L>(
    servers: &'a Servers<S>,
    context: &Context,
    host: impl Fn(&S) -> &str,
    mut look: impl FnMut(&S) -> Result<Standing, Error>,
    mut open: impl FnMut(&S) -> Result<L, Error>,
) -> Result<(&'a S, L, Option<Chosen>), Error> {
    let Servers::FirstOf(candidates) = servers else {
        let server = servers.any();
        return Ok((server, open(server)?, None));
    };
    let rule = candidates.rule;
    let mut passed_over = Vec::new();
    for server in servers.all() {
        let host = host(server).to_owned();
        let sighted = sight(&rule, context, || look(server));
        let opened = sighted.and_then(|sighted| Ok((sighted, open(server)?)));
        match opened {
            Ok((sighted, live)) => {
                let chosen = Chosen { host, rule, passed_over, sighted };
                return Ok((server, live, Some(chosen)));
            }
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(error) => {
                let why = chain(&error);
                context.progress.note(&format!("{host} is passed over: {why}"));
                passed_over.push(PassedOver { host, why });
            }
        }
    }
    let told = passed_over.iter().map(|one| format!("{}: {}", one.host, one.why));
    Err(Error::Engine {
        object: "hosts".to_owned(),
        what: format!(
            "no server qualifies, so nothing was captured; {}",
            told.collect::<Vec<_>>().join("; ")
        ),
        source: None,
    })
}

/// Looks until the rule is kept or the patience is over.
fn sight(
    rule: &Rule,
    context: &Context,
    mut look: impl FnMut() -> Result<Standing, Error>,
) -> Result<Sighted, Error> {
    let refused =
        |what: String| Error::Engine { object: "replication".to_owned(), what, source: None };
    let mut newest: Option<Timestamp> = None;
    for attempt in 0..LOOKS {
        if attempt > 0 {
            std::thread::sleep(PAUSE);
        }
        context.check_interrupted()?;
        match look()? {
            Standing::Unfit(why) => return Err(refused(why)),
            Standing::Primary if rule.primary == Primary::Refused => {
                return Err(refused(
                    "it is no replica, and is taken only where the policy says primary = \"allowed\""
                        .to_owned(),
                ));
            }
            Standing::Primary => {
                return Ok(Sighted { role: Role::Primary, as_of: context.clock.now() });
            }
            // What an earlier look saw in it is still in it.
            Standing::Replica { as_of } => newest = newest.max(Some(as_of)),
        }
        let behind = newest.map(|as_of| context.clock.now().duration_since(as_of));
        let most = SignedDuration::try_from(rule.max_lag).unwrap_or(SignedDuration::MAX);
        if let (Some(as_of), Some(behind)) = (newest, behind)
            && behind <= most
        {
            return Ok(Sighted { role: Role::Replica, as_of });
        }
    }
    let behind = newest.map_or(0, |as_of| context.clock.now().duration_since(as_of).as_secs());
    Err(refused(format!(
        "it is a replica that is up to {behind} s behind its primary, and max_lag is {} s",
        rule.max_lag.as_secs_f64()
    )))
}

impl Chosen {
    /// Looks once more, right before the moment that is captured: what was so at the beginning need not
    /// be so any more.
    pub fn confirm(
        &mut self,
        context: &Context,
        look: impl FnMut() -> Result<Standing, Error>,
    ) -> Result<(), Error> {
        let seen = sight(&self.rule, context, look);
        self.sighted = seen.map_err(|error| match error {
            Error::Interrupted => Error::Interrupted,
            error => Error::Engine {
                object: self.host.clone(),
                what: "it qualified at first, and does not any more; nothing was captured"
                    .to_owned(),
                source: Some(Box::new(error)),
            },
        })?;
        Ok(())
    }

    /// What is on record of it, where the state of `moment` was captured.
    pub fn served(self, moment: Timestamp) -> Served {
        let Self { host, passed_over, sighted: Sighted { role, as_of }, .. } = self;
        let lag = match role {
            Role::Primary => Duration::ZERO,
            Role::Replica => moment.duration_since(as_of).try_into().unwrap_or_default(),
        };
        let lag_ms = u64::try_from(lag.as_millis()).unwrap_or(u64::MAX);
        Served { host, role, lag_ms, passed_over }
    }

    /// For `doctor`: who is taken, and who is not.
    pub fn notes(self, now: Timestamp) -> Vec<String> {
        let Served { host, role, lag_ms, passed_over } = self.served(now);
        let taken = match role {
            Role::Primary => format!("{host} is taken, which is no replica"),
            Role::Replica => {
                format!("{host} is taken, a replica at most {} s behind", lag_ms.div_ceil(1000))
            }
        };
        let not = passed_over.iter().map(|one| format!("{} is passed over: {}", one.host, one.why));
        std::iter::once(taken).chain(not).collect()
    }
}

impl Standing {
    /// That of a replica which had everything `behind` before `asked`.
    pub fn behind(asked: Timestamp, behind: Duration) -> Self {
        let behind = SignedDuration::try_from(behind).unwrap_or(SignedDuration::MAX);
        Self::Replica { as_of: asked.saturating_sub(behind).unwrap_or(Timestamp::MIN) }
    }
}
