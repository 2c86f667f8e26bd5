//! The processes of a cage, counted and weighed from outside.

use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;

/// How many processes there are and what they hold together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Crowd {
    pub(super) processes: u32,
    /// Memory of their own, and the most that one of them shares with others.
    pub(super) bytes: u64,
}

/// The program that the process `monitor` (bubblewrap) started in a pid namespace, with all that
/// came of it; none where there is no such program (any more).
///
/// Found by descent, for whose namespace is whose may only be asked by who may trace it. Nothing
/// slips out below: orphans fall to their namespace's first process, where the descent begins.
pub(super) fn behind(monitor: u32) -> Crowd {
    let (mut crowd, mut shared) = (Crowd::default(), 0);
    for process in first_behind(monitor).map(descended).unwrap_or_default() {
        let (own, with_others) = held(process);
        crowd.processes += 1;
        crowd.bytes += own;
        shared = shared.max(with_others);
    }
    crowd.bytes += shared;
    crowd
}

/// A process and all its descendants, each once though they move while they are looked at.
fn descended(first: u32) -> HashSet<u32> {
    let (mut found, mut unvisited) = (HashSet::from([first]), vec![first]);
    while let Some(process) = unvisited.pop() {
        unvisited.extend(children(process).into_iter().filter(|child| found.insert(*child)));
    }
    found
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

/// How many threads the user `uid` has on this host: what the kernel calls processes where it limits
/// their number, setrlimit(2).
pub(super) fn of_user(uid: u32) -> u32 {
    let owned = all().filter(|process| {
        fs::metadata(format!("/proc/{process}")).is_ok_and(|found| found.uid() == uid)
    });
    let threads = owned.map(|process| numbered(&format!("/proc/{process}/task")).count());
    u32::try_from(threads.sum::<usize>()).unwrap_or(u32::MAX)
}

fn all() -> impl Iterator<Item = u32> {
    numbered("/proc")
}

/// What a folder of /proc holds by number.
fn numbered(folder: &str) -> impl Iterator<Item = u32> + use<> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The kernel lists children by the thread that started them.
fn children(process: u32) -> Vec<u32> {
    let threads = numbered(&format!("/proc/{process}/task"));
    let lists = threads.filter_map(|thread| {
        fs::read_to_string(format!("/proc/{process}/task/{thread}/children")).ok()
    });
    let numbers = lists.flat_map(|list| {
        list.split_whitespace().filter_map(|number| number.parse().ok()).collect::<Vec<_>>()
    });
    numbers.collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_users_threads_are_counted_and_not_only_processes() {
        let uid = rustix::process::geteuid().as_raw();
        let (held, wait) = (std::sync::Barrier::new(21), std::sync::Barrier::new(21));
        let processes = all().filter(|process| {
            fs::metadata(format!("/proc/{process}")).is_ok_and(|found| found.uid() == uid)
        });
        let processes = u32::try_from(processes.count()).unwrap();

        let counted = std::thread::scope(|scope| {
            for _ in 0..20 {
                scope.spawn(|| {
                    held.wait();
                    wait.wait();
                });
            }
            held.wait();
            let counted = of_user(uid);
            wait.wait();
            counted
        });

        // Others come and go meanwhile.
        assert!(counted >= processes.saturating_sub(10) + 20, "{counted} of {processes}");
    }
}
