//! Whether the server may fork: its child shares its memory until the server writes to it.
//!
//! How much of that comes to be held twice is not known beforehand. Where the server has forked
//! before, twice what that one took is asked for; where it never did, as much as it holds.

use super::info::Info;
use crate::ground::size::ByteSize;

/// The least part of what the server holds that a fork is thought to cost.
const LEAST_PART: u64 = 8;

/// Memory that a fork may cost, and memory that there is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fork {
    needed: u64,
    free: u64,
}

impl Fork {
    /// By what the server says; `is_here` where it runs on this host, which then tells more.
    pub fn of(info: &Info, is_here: bool) -> Self {
        let held = info.number("used_memory_rss").unwrap_or_default();
        let held = held.max(info.number("used_memory").unwrap_or_default());
        let needed = match info.number("rdb_last_cow_size").filter(|bytes| *bytes > 0) {
            Some(before) => before.saturating_mul(2).max(held / LEAST_PART).min(held),
            None => held,
        };
        let total = info.number("total_system_memory").unwrap_or(u64::MAX);
        let free = total.saturating_sub(held);
        let free = match is_here.then(available).flatten() {
            Some(available) => free.min(available),
            None => free,
        };
        Self { needed, free }
    }

    /// What speaks against it.
    pub fn refusal(self) -> Option<String> {
        let Self { needed, free } = self;
        (needed > free).then(|| {
            format!(
                "it would have to fork, which may take {} of memory, and its host has {} free; \
                 capture a replica of it, or give the host more memory",
                ByteSize(needed),
                ByteSize(free)
            )
        })
    }
}

/// Memory of this host that programs can have without swapping.
pub(super) fn available() -> Option<u64> {
    let told = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = told.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(told: &str) -> Option<String> {
        Fork::of(&Info::read(told), false).refusal()
    }

    #[test]
    fn a_server_that_fills_its_host_is_not_made_to_fork() {
        let full = "used_memory_rss:6000000000\r\ntotal_system_memory:8000000000\r\n";

        let said = refusal(&format!("{full}rdb_last_cow_size:0\r\n")).unwrap();

        assert!(said.contains("fork") && said.contains("replica"), "{said}");
        // It has forked before, and that cost little.
        assert_eq!(refusal(&format!("{full}rdb_last_cow_size:100000000\r\n")), None);
        assert!(refusal(&format!("{full}rdb_last_cow_size:3000000000\r\n")).is_some());
        assert_eq!(refusal("used_memory_rss:3000000000\r\ntotal_system_memory:8000000000"), None);
    }

    #[test]
    fn this_hosts_free_memory_is_known() {
        assert!(available().unwrap() > 1 << 20);
    }
}
