//! What a caged process is, as the kernel tells it from inside.

use std::fmt;

/// Of a process in a cage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Inside {
    pub(super) uid: u32,
    capabilities: bool,
    no_new_privileges: bool,
    filtered: bool,
    /// The kinds of namespaces that are not this process's own.
    own: Vec<&'static str>,
}

impl Inside {
    /// What is to be read for [`Inside::read`], one link a line.
    pub(super) const NAMESPACES: [&'static str; 6] = [
        "/proc/self/ns/net",
        "/proc/self/ns/pid",
        "/proc/self/ns/mnt",
        "/proc/self/ns/ipc",
        "/proc/self/ns/uts",
        "/proc/self/ns/user",
    ];

    const NAMES: [&'static str; 6] = ["network", "process", "mount", "ipc", "host name", "user"];

    /// Namespaces without which there are no walls.
    const NEEDED: [&'static str; 4] = ["network", "process", "mount", "ipc"];

    /// From `/proc/self/status` (proc(5)) and the links of [`Inside::NAMESPACES`].
    pub(super) fn read(status: &str, namespaces: &str) -> Result<Self, &'static str> {
        let field = |name: &str| {
            status.lines().find_map(|line| {
                line.strip_prefix(name)?.strip_prefix(':').map(|value| value.trim().to_owned())
            })
        };
        let uids = field("Uid").unwrap_or_default();
        let mut uids = uids.split_whitespace().map(str::parse::<u32>);
        let Some(Ok(uid)) = uids.next() else { return Err("the user inside cannot be told") };
        if !uids.all(|other| other == Ok(uid)) {
            return Err("the process inside could take another user's rights back");
        }
        let none = |name| field(name).is_some_and(|set| set.bytes().all(|digit| digit == b'0'));
        let inside: Vec<&str> = namespaces.lines().collect();
        if inside.len() != Self::NAMESPACES.len() {
            return Err("the namespaces inside cannot be told");
        }
        let ours = Self::NAMESPACES.map(|link| std::fs::read_link(link).ok());
        let all = inside.iter().zip(ours).zip(Self::NAMES);
        let own = all.filter(|((inside, ours), _)| {
            ours.as_ref().is_some_and(|ours| ours.as_os_str() != **inside)
        });
        Ok(Self {
            uid,
            capabilities: !["CapPrm", "CapEff", "CapInh", "CapAmb"].into_iter().all(none),
            no_new_privileges: field("NoNewPrivs").as_deref() == Some("1"),
            filtered: field("Seccomp").as_deref() == Some("2"),
            own: own.map(|(_, name)| name).collect(),
        })
    }

    /// Whether these are walls.
    pub(super) fn is_walled(&self, with_filter: bool) -> Result<(), &'static str> {
        if self.uid == 0 {
            return Err("it would run as root");
        }
        if self.capabilities || !self.no_new_privileges {
            return Err("it would keep privileges");
        }
        if !Self::NEEDED.iter().all(|needed| self.own.contains(needed)) {
            return Err("it would not have namespaces of its own");
        }
        if with_filter && !self.filtered {
            return Err("its system calls would not be filtered");
        }
        Ok(())
    }
}

impl fmt::Display for Inside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "uid {}, own {} namespaces", self.uid, self.own.join(", "))?;
        f.write_str(", private mounts, no capabilities, no new privileges")?;
        if self.filtered {
            f.write_str(", filtered system calls")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: &str = "Name:\tcat\nUid:\t1000\t1000\t1000\t1000\nCapInh:\t0000\nCapPrm:\t0000\n\
                          CapEff:\t0000\nCapAmb:\t0000\nNoNewPrivs:\t1\nSeccomp:\t2\n";
    const FOREIGN: &str = "net:[1]\npid:[2]\nmnt:[3]\nipc:[4]\nuts:[5]\nuser:[6]\n";

    #[test]
    fn walls_with_a_hole_are_none() {
        let sound = Inside::read(STATUS, FOREIGN).unwrap();
        assert_eq!(sound.is_walled(true), Ok(()));

        let own_network = std::fs::read_link("/proc/self/ns/net").unwrap();
        let open_network = FOREIGN.replace("net:[1]", own_network.to_str().unwrap());
        let holes = [
            (STATUS.to_owned(), open_network),
            (STATUS.replace("CapEff:\t0000", "CapEff:\t0400"), FOREIGN.to_owned()),
            (STATUS.replace("NoNewPrivs:\t1", "NoNewPrivs:\t0"), FOREIGN.to_owned()),
            (STATUS.replace("Seccomp:\t2", "Seccomp:\t0"), FOREIGN.to_owned()),
            (STATUS.replace("1000", "0"), FOREIGN.to_owned()),
        ];
        for (status, namespaces) in holes {
            let inside = Inside::read(&status, &namespaces).unwrap();
            assert!(inside.is_walled(true).is_err(), "{inside:?}");
        }
        assert!(Inside::read(&STATUS.replace("1000\t1000\n", "1000\t0\n"), FOREIGN).is_err());
        assert!(Inside::read(STATUS, "net:[1]\n").is_err());
    }
}
