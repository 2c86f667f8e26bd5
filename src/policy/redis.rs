//! What only policies of Redis sources say: defaults, and keys that must fit each other.

use std::time::Duration;

use super::candidates;
use super::document::Document;
use super::server;

/// The port that Redis listens on where nobody says another.
pub(super) const PORT: u16 = 6379;

/// A server that prepares its data set sends a sign of life each second, and bytes afterwards.
pub(super) const SILENCE: Duration = Duration::from_secs(60);

/// Adds what is wrong with the source at `at`, e.g. `/source/0`.
pub(super) fn check(policy: &mut Document, at: &str) {
    if policy.text_at(&format!("{at}/kind")) != Some("redis") {
        return;
    }
    server::encryption(policy, at);
    let places = candidates::places(policy, at);
    for (place, _) in places.iter().filter(|(_, host)| host.contains('/') && !host.starts_with('/'))
    {
        let hint = "write the socket's path, e.g. \"/run/redis/redis-server.sock\", or the server's \
                    name";
        policy.error(place, "neither a path nor a name", hint.to_owned());
    }
    let port = format!("{at}/port");
    let is_socket = |(_, host): &(String, String)| host.starts_with('/');
    if !places.is_empty() && places.iter().all(is_socket) && policy.stands(&port) {
        policy.error(&port, "a socket has no port", "leave it out".to_owned());
    }
    let user = format!("{at}/user");
    if policy.stands(&user) && !policy.stands(&format!("{at}/password")) {
        let hint = "add where it is kept: password = { file = \"/path\" }".to_owned();
        policy.error(&user, "a user without a password", hint);
    }
}

/// What is wrong with the database that a check names: message and hint.
pub(super) fn wrong_database(name: &str) -> Option<(String, String)> {
    name.parse::<u32>().is_err().then(|| {
        let hint = "Redis' databases are numbered from 0, e.g. database = \"1\"".to_owned();
        (format!("no database of Redis is named \"{name}\""), hint)
    })
}
