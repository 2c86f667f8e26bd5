//! What a parent and its confined child say to each other before any question is asked.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::account::Account;
use crate::ground::size::ByteSize;

/// The argument that makes this program a confined child; never shown in the help.
pub(super) const ROLE_ARGUMENT: &str = "__confined";

/// How much a confined process may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Address space, in bytes.
    pub memory_bytes: u64,
    /// Processor time, in seconds.
    pub cpu_seconds: u64,
    /// The largest file it may write, in bytes.
    pub file_bytes: u64,
    /// How long it may live, whatever it is doing; kept by the parent.
    pub wall: Duration,
}

/// What the child needs to know to confine itself. It starts in the scratch's folder.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// The process whose death ends the child's.
    pub(super) parent: u32,
    pub(super) account: Option<Account>,
    pub(super) limits: Limits,
}

/// The child's first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Greeting {
    Confined(Confinement),
    Refused(String),
}

/// What a confined process was able to give up; its text stands in the drill's record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confinement {
    /// The user it runs as.
    pub uid: u32,
    /// It has a network namespace of its own: no interface is up, not even the loopback.
    pub own_network: bool,
    /// Its root folder is the scratch's folder.
    pub own_root: bool,
    /// The Landlock ABI in force; 0 for none. From 4 on it denies TCP.
    pub landlock_abi: i32,
    /// Address space, in bytes.
    pub memory_bytes: u64,
}

impl Confinement {
    /// Landlock's first ABI that knows TCP (Linux 6.7).
    const LANDLOCK_TCP: i32 = 4;

    /// What is missing for hostile data to be opened here.
    pub(super) fn lacks(&self) -> Option<&'static str> {
        if !self.own_root && self.landlock_abi == 0 {
            return Some("neither a root folder of its own nor Landlock is to be had");
        }
        if !self.own_network && self.landlock_abi < Self::LANDLOCK_TCP {
            return Some("neither a network namespace nor Landlock's denial of TCP is to be had");
        }
        None
    }
}

impl fmt::Display for Confinement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}", self.uid)?;
        f.write_str(if self.own_network { ", own network namespace" } else { ", TCP denied" })?;
        if self.own_root {
            f.write_str(", own root folder")?;
        }
        if self.landlock_abi > 0 {
            write!(f, ", Landlock ABI {}", self.landlock_abi)?;
        }
        write!(f, ", {}", ByteSize(self.memory_bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_open_files_or_open_network_is_not_confined() {
        let full = Confinement {
            uid: 65534,
            own_network: true,
            own_root: true,
            landlock_abi: 0,
            memory_bytes: 512 << 20,
        };
        assert_eq!(full.lacks(), None);
        assert_eq!(full.to_string(), "uid 65534, own network namespace, own root folder, 512 MiB");

        let files_open = Confinement { own_root: false, ..full.clone() };
        assert!(files_open.lacks().is_some());
        let network_open = Confinement { own_network: false, landlock_abi: 3, ..full.clone() };
        assert!(network_open.lacks().is_some());
        let by_landlock =
            Confinement { own_network: false, own_root: false, landlock_abi: 4, ..full };
        assert_eq!(by_landlock.lacks(), None);
    }
}
