//! Whose lock it is, told so that nobody's is taken for another's.

use serde::{Deserialize, Serialize};

use crate::ground::process::{Identity, Realm};

/// The process that holds a lock. Names of hosts do not come into it: several may share one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Owner {
    #[serde(flatten)]
    realm: Realm,
    #[serde(flatten)]
    process: Identity,
}

impl Owner {
    /// This very process.
    pub fn me() -> Self {
        Self { realm: Realm::here(), process: Identity::me() }
    }

    /// Whether it certainly runs no more; nothing is certain of what ran elsewhere, or under another
    /// run of the kernel: that may be another machine's.
    pub fn is_gone(&self) -> bool {
        let here = Realm::here();
        !here.boot.is_empty() && self.realm == here && !self.process.is_alive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_ran_where_this_process_runs_is_known_to_be_gone() {
        let me = Owner::me();
        let gone = Identity { started_ticks: me.process.started_ticks + 1, ..me.process };
        let elsewhere = [
            Realm { boot: "of another machine, or before a restart".into(), ..Realm::here() },
            Realm { namespace: "pid:[1]".into(), ..Realm::here() },
        ];

        assert!(!me.is_gone());
        assert!(Owner { process: gone, ..me }.is_gone());
        for realm in elsewhere {
            assert!(!Owner { realm, process: gone }.is_gone());
        }
    }
}
