//! The processes of a cage, counted and weighed from outside.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

/// How many processes there are and what they hold together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Crowd {
    pub(super) processes: u32,
    /// Memory of their own, and the most that one of them shares with others.
    pub(super) bytes: u64,
}

/// The processes in the pid namespace of the program that the process `monitor` (bubblewrap)
/// started; none where there is no such program (any more).
pub(super) fn behind(monitor: u32) -> Crowd {
    let Some(space) = first_behind(monitor).and_then(namespace) else { return Crowd::default() };
    let (mut crowd, mut shared) = (Crowd::default(), 0);
    for process in all().filter(|process| namespace(*process).as_ref() == Some(&space)) {
        let (own, with_others) = held(process);
        crowd.processes += 1;
        crowd.bytes += own;
        shared = shared.max(with_others);
    }
    crowd.bytes += shared;
    crowd
}

/// The first process of the pid namespace that bubblewrap, the process `monitor`, has made.
pub(super) fn first_behind(monitor: u32) -> Option<u32> {
    children(monitor).into_iter().next()
}

/// The program that bubblewrap runs: the child of its namespace's first process.
pub(super) fn program_of(monitor: u32) -> Option<u32> {
    first_behind(first_behind(monitor)?)
}

/// Whether a process has ended, waited for or not.
pub(super) fn is_gone(process: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // The command's name, in brackets, may hold blanks and brackets itself; see proc(5).
    stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
}

/// How many processes the user `uid` has on this host.
pub(super) fn of_user(uid: u32) -> u32 {
    let owned = all().filter(|process| {
        fs::metadata(format!("/proc/{process}")).is_ok_and(|found| found.uid() == uid)
    });
    u32::try_from(owned.count()).unwrap_or(u32::MAX)
}

fn all() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

fn children(process: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{process}/task/{process}/children"));
    let list = list.unwrap_or_default();
    list.split_whitespace().filter_map(|number| number.parse().ok()).collect()
}

fn namespace(process: u32) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/ns/pid")).ok()
}

/// Bytes that a process holds for itself, and bytes that it maps together with others.
fn held(process: u32) -> (u64, u64) {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let kilobytes = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|value| value.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0)
    };
    (kilobytes("RssAnon") * 1024, kilobytes("RssShmem") * 1024)
}
