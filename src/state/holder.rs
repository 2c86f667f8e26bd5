//! Who holds something, told apart from whoever comes after.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::ground::process::{Identity, host_name};

/// A process on a host, in one run of that host's kernel.
///
/// A host's name alone says little: after a restart the same number can start at the same tick,
/// and containers of one name count their own processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    pub host: String,
    /// `/proc/sys/kernel/random/boot_id`, see random(4).
    boot: String,
    /// The process namespace in which its number counts, see pid_namespaces(7).
    namespace: String,
    pub process: Identity,
}

impl Holder {
    /// This very process.
    pub fn me() -> Self {
        Self::here(Identity::me())
    }

    /// The process `process` of this host.
    pub fn here(process: Identity) -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        Self {
            host: host_name(),
            boot: boot.trim().to_owned(),
            namespace: namespace.to_string_lossy().into_owned(),
            process,
        }
    }

    /// Whether it certainly runs no more. Of other hosts nothing is certain.
    pub fn is_gone(&self) -> bool {
        let here = Self::here(self.process);
        if self.host != here.host {
            return false;
        }
        self.boot != here.boot || self.namespace == here.namespace && !self.process.is_alive()
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
        assert!(Holder { boot: "before the restart".into(), ..me.clone() }.is_gone());
        assert!(!Holder { namespace: "pid:[1]".into(), ..Holder::here(other_tick) }.is_gone());
        assert!(!Holder { host: "elsewhere".into(), ..Holder::here(other_tick) }.is_gone());
    }
}
