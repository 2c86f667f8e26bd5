//! What all databases of a server share, read last and held against the dumps.

use std::collections::BTreeMap;

use super::super::{Context, Error};
use super::globals::{self, Globals};
use super::live::{Live, engine_error};
use super::schema;
use super::session::Session;
use crate::ground::digest::Digest;
use crate::policy::sources::ServerSettings;

/// The roles, as SQL and as digests of the same moment.
pub(super) struct Shared {
    pub text: Vec<u8>,
    pub schema: BTreeMap<String, Digest>,
}

/// Reads the globals until they are what they were before; then every role that a dump refers to
/// must be among them.
pub(super) fn settled(
    globals: &Globals,
    before: Vec<u8>,
    used: &[(String, Vec<String>)],
    settings: &ServerSettings,
    live: &Live,
    context: &Context,
) -> Result<Shared, Error> {
    let failed = |error| engine_error(live.login.server(), error);
    let limit = settings.statement_deadline;
    let session = Session::open(&live.login, &globals.database, limit, context.interrupted.clone());
    let mut session = session.map_err(failed)?;
    let mut text = before;
    let mut schema = schema::of_cluster(&mut session).map_err(failed)?;
    let mut attempts = 0..globals::ATTEMPTS;
    loop {
        context.check_interrupted()?;
        text = globals.read_until_settled(text).map_err(globals::refused)?;
        let now = schema::of_cluster(&mut session).map_err(failed)?;
        if now == schema {
            break;
        }
        schema = now;
        attempts.next().ok_or_else(|| globals::refused(globals::Error::Restless))?;
    }
    for (database, roles) in used {
        let is_gone = |role: &&String| !schema.contains_key(&format!("role {role}"));
        if let Some(role) = roles.iter().find(is_gone) {
            return Err(Error::Engine {
                object: format!("role {role}"),
                what: format!(
                    "was dropped while database {database} was dumped, which refers to it; run again"
                ),
                source: None,
            });
        }
    }
    Ok(Shared { text, schema })
}
