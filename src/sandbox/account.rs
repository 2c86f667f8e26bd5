//! The user that scratch processes run as when lifeboat is root.

use serde::{Deserialize, Serialize};

use super::Error;

/// A user and their first group, by number. Never root.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
}

impl Account {
    /// Linux's user without rights: what is used where the site names none.
    const NOBODY: Self = Self { uid: 65534, gid: 65534 };

    /// Whom to become: nobody else for an ordinary user; for root, `user` or else nobody.
    pub(super) fn to_become(user: Option<&str>) -> Result<Option<Self>, Error> {
        if !rustix::process::geteuid().is_root() {
            return Ok(None);
        }
        let account = match user {
            None => Self::NOBODY,
            Some(name) => {
                let path = "/etc/passwd";
                let users = std::fs::read_to_string(path)
                    .map_err(|source| Error::io("read", path, source))?;
                Self::find(&users, name).ok_or_else(|| Error::NoSuchUser { name: name.into() })?
            }
        };
        if account.uid == 0 || account.gid == 0 {
            return Err(Error::RootRefused);
        }
        Ok(Some(account))
    }

    /// Reads passwd(5): `name:password:uid:gid:…`.
    fn find(users: &str, name: &str) -> Option<Self> {
        users.lines().find_map(|line| {
            let mut fields = line.split(':');
            if fields.next() != Some(name) {
                return None;
            }
            let uid = fields.nth(1)?.parse().ok()?;
            let gid = fields.next()?.parse().ok()?;
            Some(Self { uid, gid })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_the_whole_name_only() {
        let users =
            "root:x:0:0::/root:/bin/sh\nlifeboat2:x:7:8::/:/bin/false\nlifeboat:x:990:991::/:/x\n";

        let found = Account::find(users, "lifeboat");

        assert_eq!(found, Some(Account { uid: 990, gid: 991 }));
        assert_eq!(Account::find(users, "life"), None);
    }

    #[test]
    fn root_is_refused_as_a_scratch_user() {
        let refused = Account::to_become(Some("root"));

        if rustix::process::geteuid().is_root() {
            assert!(matches!(refused, Err(Error::RootRefused)), "{refused:?}");
        } else {
            assert!(matches!(refused, Ok(None)), "{refused:?}");
        }
    }
}
