//! The live server: what it is, and what speaks against capturing it.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use jiff::Timestamp;

use super::super::served::{self, Chosen, Standing};
use super::super::{Context, Error};
use super::info::Info;
use super::login::Login;
use super::memory::Fork;
use super::session::{self, Session};
use crate::policy::candidates::Servers;
use crate::policy::sources::RedisSettings;

/// A server that may be captured.
pub(super) struct Live {
    pub session: Session,
    pub login: Login,
    pub info: Info,
}

/// A server's refusals in the source's terms.
pub(super) fn engine_error(server: &str, error: session::Error) -> Error {
    match error {
        session::Error::Interrupted => Error::Interrupted,
        error => Error::Engine {
            object: server.to_owned(),
            what: "Redis did not do what was asked".to_owned(),
            source: Some(Box::new(error)),
        },
    }
}

/// The server to capture, and how it was chosen where the policy names several.
pub(super) fn choose(
    servers: &Servers<RedisSettings>,
    context: &Context,
) -> Result<(Live, Option<Chosen>), Error> {
    let look = |settings: &RedisSettings| {
        let now = context.clock.now();
        Live::open(settings, &context.interrupted).map(|live| live.standing(now))
    };
    let open = |settings: &RedisSettings| Live::open(settings, &context.interrupted);
    let chosen = served::choose(servers, context, |settings| &settings.host, look, open);
    chosen.map(|(_, live, chosen)| (live, chosen))
}

impl Live {
    /// Logs in and asks what is there; refuses a server that cannot give its data set now.
    pub fn open(settings: &RedisSettings, interrupted: &Arc<AtomicBool>) -> Result<Self, Error> {
        let login = Login::of(settings)?;
        let server = login.server();
        let failed = |error| engine_error(&server, error);
        let mut session =
            Session::open(&login, settings.silence, interrupted.clone()).map_err(failed)?;
        let info = Info::ask(&mut session).map_err(failed)?;
        match refusal(&info).or_else(|| Fork::of(&info, login.is_local()).refusal()) {
            None => Ok(Self { session, login, info }),
            Some(what) => Err(Error::Engine { object: server, what, source: None }),
        }
    }

    /// With its version, e.g. `Redis 7.0.15`.
    pub fn engine(&self) -> String {
        match self.info.text("valkey_version") {
            "" => format!("Redis {}", self.version()),
            version => format!("Valkey {version}"),
        }
    }

    /// The version of Redis that it is, or is like.
    pub fn version(&self) -> String {
        self.info.text("redis_version").to_owned()
    }

    /// Memory that its data takes.
    pub fn used_bytes(&self) -> u64 {
        self.info.number("used_memory").unwrap_or_default()
    }

    pub fn is_replica(&self) -> bool {
        self.info.says("role", "slave")
    }

    pub fn is_of_cluster(&self) -> bool {
        self.info.says("cluster_enabled", "1")
    }

    /// How it stands to its master; it was asked at `now`, or later. One without a link to its master
    /// was refused before.
    pub fn standing(&self, now: Timestamp) -> Standing {
        match (self.is_replica(), self.info.number("master_last_io_seconds_ago")) {
            (false, _) => Standing::Primary,
            // Whole seconds.
            (true, Some(seconds)) => {
                let behind = seconds + 1 + self.seconds_since_forked();
                Standing::behind(now, Duration::from_secs(behind))
            }
            (true, None) => {
                Standing::Unfit("it does not tell when it heard from its master".to_owned())
            }
        }
    }

    /// Seconds since a replica has heard from its master.
    pub fn seconds_since_heard(&self) -> u64 {
        match self.is_replica() {
            true => self.info.number("master_last_io_seconds_ago").unwrap_or_default(),
            false => 0,
        }
    }

    /// Seconds since a fork that is under way, which may serve us too.
    pub fn seconds_since_forked(&self) -> u64 {
        match self.info.says("rdb_bgsave_in_progress", "1") {
            true => self.info.number("rdb_current_bgsave_time_sec").unwrap_or_default() + 1,
            false => 0,
        }
    }

    /// What is doubtful, for `doctor`.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for module in self.info.modules() {
            warnings.push(format!(
                "the module {module} is loaded: what it keeps is captured, and no drill can \
                 compare it"
            ));
        }
        if self.is_of_cluster() {
            warnings.push(
                "not covered: the other nodes of its cluster; each needs a source of its own"
                    .to_owned(),
            );
        }
        if self.info.keys() == 0 {
            warnings.push("it holds no key: a drill will have nothing to compare".to_owned());
        }
        warnings
    }
}

/// The oldest major version whose format is read.
const OLDEST: u32 = 7;

fn refusal(info: &Info) -> Option<String> {
    let version = info.text("redis_version");
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    if info.says("redis_mode", "sentinel") {
        return Some("this is a sentinel, which holds no data: name the server".to_owned());
    }
    if major.is_none_or(|major| major < OLDEST) {
        return Some(format!(
            "it is of version {version:?}: lifeboat reads what Redis {OLDEST} and newer write; \
             back up a replica of that version"
        ));
    }
    if info.says("loading", "1") {
        return Some("it is loading its data set: run it again once that is done".to_owned());
    }
    if info.says("role", "slave") && !info.says("master_link_status", "up") {
        return Some(
            "it is a replica without a link to its master: what it holds may be old".to_owned(),
        );
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_that_cannot_give_their_data_set_are_refused_and_told_why() {
        let of = |more: &str| refusal(&Info::read(&format!("redis_version:7.0.15\r\n{more}")));

        assert_eq!(of("role:master\r\nloading:0"), None);
        assert_eq!(of("role:slave\r\nmaster_link_status:up"), None);
        for (told, why) in [
            ("role:slave\r\nmaster_link_status:down", "without a link"),
            ("loading:1", "loading"),
            ("redis_mode:sentinel", "sentinel"),
        ] {
            assert!(of(told).unwrap().contains(why), "{told}");
        }
        assert!(refusal(&Info::read("redis_version:6.2.14")).unwrap().contains("6.2.14"));
        assert!(refusal(&Info::read("")).is_some());
    }
}
