//! Names of owners: user and group numbers as the host's own files name them.
//!
//! In: `/etc/passwd` and `/etc/group`. Out: names. Asks no name service: a directory that does not
//! answer must not delay a backup, and the numbers are stored beside the names.

use std::collections::HashMap;
use std::path::Path;

/// The host's users and groups, read once.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    users: HashMap<u32, String>,
    groups: HashMap<u32, String>,
}

impl Owners {
    /// Reads the host's files; one that cannot be read names nobody.
    pub(crate) fn of_this_host() -> Self {
        Self { users: read("/etc/passwd".as_ref()), groups: read("/etc/group".as_ref()) }
    }

    /// The user's name, or nothing.
    pub(crate) fn user(&self, uid: u32) -> String {
        self.users.get(&uid).cloned().unwrap_or_default()
    }

    /// The group's name, or nothing.
    pub(crate) fn group(&self, gid: u32) -> String {
        self.groups.get(&gid).cloned().unwrap_or_default()
    }
}

fn read(path: &Path) -> HashMap<u32, String> {
    parse(&String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()))
}

/// Name and number are the first and third field in both files: passwd(5), group(5).
fn parse(text: &str) -> HashMap<u32, String> {
    let mut names = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split(':');
        if let (Some(name), Some(_), Some(Ok(id))) =
            (fields.next(), fields.next(), fields.next().map(str::parse))
        {
            // As getpwuid(3): the first line with a number names it.
            names.entry(id).or_insert_with(|| name.to_owned());
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_with_a_number_names_it() {
        let names = parse("root:x:0:0:root:/root:/bin/sh\ntoor:x:0:0::/:/bin/sh\n+::\nbad\n");

        assert_eq!(names.len(), 1);
        assert_eq!(names[&0], "root");
    }
}
