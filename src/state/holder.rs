//! Who holds something, told apart from whoever comes after.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::ground::process::{Identity, Realm, host_name};

/// A process on a host, in one run of that host's kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub host: String,
    #[serde(flatten)]
    realm: Realm,
    pub process: Identity,
}

impl Holder {
    /// This very process.
    pub fn me() -> Self {
        Self::here(Identity::me())
    }

    /// The process `process` of this host.
    pub fn here(process: Identity) -> Self {
        Self { host: host_name(), realm: Realm::here(), process }
    }

    /// Whether it certainly runs no more. Of other hosts nothing is certain.
    pub fn is_gone(&self) -> bool {
        let here = Self::here(self.process);
        if self.host != here.host {
            return false;
        }
        self.realm.boot != here.realm.boot || self.realm == here.realm && !self.process.is_alive()
    }

    pub(super) fn written(&self) -> String {
        serde_json::to_string(self).expect("text and numbers always become JSON")
    }

    pub(super) fn read(text: &str) -> Result<Self, Error> {
        let nonsense = |_| Error::Nonsense { what: format!("the holder {text}") };
        serde_json::from_str(text).map_err(nonsense)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}", self.process.pid, self.host)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ran_on_this_host_is_known_to_be_gone() {
        let me = Holder::me();
        let other_tick = Identity { started_ticks: me.process.started_ticks + 1, ..me.process };

        assert!(!me.is_gone());
        assert!(Holder::here(other_tick).is_gone());
        let before = Realm { boot: "before the restart".into(), ..Realm::here() };
        assert!(Holder { realm: before, ..me.clone() }.is_gone());
        let contained = Realm { namespace: "pid:[1]".into(), ..Realm::here() };
        assert!(!Holder { realm: contained, ..Holder::here(other_tick) }.is_gone());
        assert!(!Holder { host: "elsewhere".into(), ..Holder::here(other_tick) }.is_gone());
    }
}
