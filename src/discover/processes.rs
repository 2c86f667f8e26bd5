//! Processes that look like database servers.
//!
//! In: `/proc`. Out: what is told of each by the kernel. Names are the processes' own to choose:
//! they only say where to knock.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::source::Kind;

/// Names of servers' programs, see proc(5), "comm". Which product a `mysqld` is it tells itself.
const PROGRAMS: [(&str, Kind); 6] = [
    ("mariadbd", Kind::Mariadb),
    ("mysqld", Kind::Mysql),
    ("postgres", Kind::Postgres),
    ("postmaster", Kind::Postgres),
    ("redis-server", Kind::Redis),
    ("valkey-server", Kind::Redis),
];

/// A process that may be a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Process {
    pub pid: u32,
    pub kind: Kind,
    pub uid: u32,
    /// The inodes of its sockets; none where we may not look.
    pub sockets: Option<BTreeSet<u64>>,
    /// Where it works: servers of SQL do so in the folder of their files.
    pub folder: Option<PathBuf>,
    /// Whether it is in another network than we are; unknown counts as the same.
    pub is_elsewhere: bool,
}

/// All of them, without those that a server of the same kind started, by number.
pub(super) fn servers(proc: &Path) -> io::Result<Vec<Process>> {
    let network = fs::read_link(proc.join("self/ns/net")).ok();
    let mut found: Vec<(Process, u32)> = Vec::new();
    for entry in fs::read_dir(proc)? {
        let entry = entry?;
        let Some(pid) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        // A process may end while it is looked at.
        found.extend(one(&entry.path(), pid, network.as_deref()));
    }
    let kinds: Vec<(u32, Kind)> =
        found.iter().map(|(process, _)| (process.pid, process.kind)).collect();
    found.retain(|(process, parent)| !kinds.contains(&(*parent, process.kind)));
    found.sort_by_key(|(process, _)| process.pid);
    Ok(found.into_iter().map(|(process, _)| process).collect())
}

/// The process at `folder` with its parent's number, where it looks like a server.
fn one(folder: &Path, pid: u32, network: Option<&Path>) -> Option<(Process, u32)> {
    let name = fs::read_to_string(folder.join("comm")).ok()?;
    let (_, kind) = PROGRAMS.iter().find(|(program, _)| *program == name.trim_end())?;
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    // The name, field 2, is in brackets and may hold brackets itself.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    // One that has ended and that nobody waited for does nothing any more.
    if matches!(fields.next()?, "Z" | "X") {
        return None;
    }
    let parent = fields.next()?.parse().ok()?;
    let its_network = fs::read_link(folder.join("ns/net")).ok();
    let process = Process {
        pid,
        kind: *kind,
        uid: fs::metadata(folder).ok()?.uid(),
        sockets: sockets(&folder.join("fd")),
        folder: fs::read_link(folder.join("cwd")).ok(),
        is_elsewhere: its_network.is_some() && its_network.as_deref() != network,
    };
    Some((process, parent))
}

/// Links of open files read `socket:[4711]`.
fn sockets(folder: &Path) -> Option<BTreeSet<u64>> {
    let links = fs::read_dir(folder).ok()?.flatten().map(|entry| entry.path());
    let inode = |link: PathBuf| {
        let target = fs::read_link(link).ok()?;
        target.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
    };
    Some(links.filter_map(inode).collect())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    fn process(proc: &Path, pid: u32, name: &str, state: &str, parent: u32) {
        let folder = proc.join(pid.to_string());
        fs::create_dir_all(folder.join("fd")).unwrap();
        fs::create_dir_all(folder.join("ns")).unwrap();
        fs::write(folder.join("comm"), format!("{name}\n")).unwrap();
        fs::write(folder.join("stat"), format!("{pid} ({name}) {state} {parent} 1 1")).unwrap();
        symlink("socket:[4711]", folder.join("fd/3")).unwrap();
        symlink("/dev/null", folder.join("fd/4")).unwrap();
        symlink("/var/lib/data", folder.join("cwd")).unwrap();
        symlink(format!("net:[{}]", pid / 100), folder.join("ns/net")).unwrap();
    }

    #[test]
    fn servers_are_told_from_their_children_the_dead_and_those_of_other_networks() {
        let proc = tempfile::tempdir().unwrap();
        fs::create_dir_all(proc.path().join("self/ns")).unwrap();
        symlink("net:[1]", proc.path().join("self/ns/net")).unwrap();
        process(proc.path(), 100, "postgres", "S", 1);
        process(proc.path(), 101, "postgres", "S", 100);
        process(proc.path(), 102, "mariadbd", "Z", 1);
        process(proc.path(), 103, "a) S 1 (postgres", "S", 1);
        process(proc.path(), 200, "redis-server", "S", 1);
        fs::create_dir(proc.path().join("300")).unwrap();

        let found = servers(proc.path()).unwrap();

        let told: Vec<(u32, Kind, bool)> =
            found.iter().map(|one| (one.pid, one.kind, one.is_elsewhere)).collect();
        assert_eq!(told, [(100, Kind::Postgres, false), (200, Kind::Redis, true)]);
        assert_eq!(found[0].sockets, Some(BTreeSet::from([4711])));
        assert_eq!(found[0].folder.as_deref(), Some(Path::new("/var/lib/data")));
    }
}
