//! What a user must be allowed, so that a server can be captured.

use crate::policy::sources::RedisSettings;
use crate::source::Grants;

/// What a capture asks of a server, and nothing else.
const COMMANDS: &str = "+psync +replconf +info";

pub(super) fn of(settings: &RedisSettings) -> Grants {
    let mut needs = vec![
        "it asks the server for its data set as a new replica does: the server forks once and \
         sends all keys of all databases"
            .to_owned(),
        "the user needs PSYNC, REPLCONF and INFO, and no key: a replica is given everything \
         whatever keys its user may touch"
            .to_owned(),
    ];
    let Some(user) = &settings.user else {
        needs
            .push("no user is named: the server's own, `default`, may do this and all else".into());
        return Grants { needs, ..Grants::default() };
    };
    needs.push(format!(
        "run in redis-cli, with the password that `password` names in the place of PASSWORD; \
         ACL SAVE or CONFIG REWRITE keeps it:  ACL SETUSER {user} reset on >PASSWORD {COMMANDS}"
    ));
    Grants { needs, ..Grants::default() }
}
