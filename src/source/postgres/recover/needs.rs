//! What the captured databases need of this host, tried before anything is restored.

use std::collections::BTreeSet;

use super::super::session::Error as Said;
use super::super::{Cluster, Database, Session, names};
use super::Error;
use super::server::Server;

/// The database in which a locale is tried.
const TRIAL: &str = "lifeboat_trial";

/// Fails where an extension or a locale is missing, or the server does not tell: whatever it says,
/// it has none of the data yet.
pub(super) fn check(server: &Server, cluster: &Cluster) -> Result<(), Error> {
    let mut session = server.enter("template1")?;
    for database in &cluster.databases {
        for extension in &database.extensions {
            // The newest of an extension is what its dump makes; another one is another schema.
            let found = session.rows(&format!(
                "SELECT default_version FROM pg_available_extensions WHERE name = {}",
                names::literal(&extension.name)
            ))?;
            let found = found.into_iter().next().and_then(|row| row.into_iter().next().flatten());
            let is_there = match server.engine().major == cluster.major {
                true => found.as_deref() == Some(&extension.version),
                // A newer major version brings newer ones.
                false => found.is_some(),
            };
            if !is_there {
                return Err(Error::Extension {
                    database: database.name.clone(),
                    name: extension.name.clone(),
                    version: extension.version.clone(),
                    found: found
                        .map_or_else(|| "it has none".into(), |one| format!("it has {one}")),
                    major: server.engine().major,
                });
            }
        }
    }
    let mut tried = BTreeSet::new();
    for database in &cluster.databases {
        let locale = locale(database);
        if tried.insert(locale.clone()) {
            try_locale(&mut session, database, &locale)?;
        }
    }
    Ok(())
}

/// The options that give a database its encoding and locale.
fn locale(database: &Database) -> String {
    let text = |option: &str, value: &str| format!(" {option} {}", names::literal(value));
    let mut options = text("ENCODING", &database.encoding);
    options += &text("LC_COLLATE", &database.collate);
    options += &text("LC_CTYPE", &database.ctype);
    let provider = match database.provider {
        'i' => Some(("icu", "ICU_LOCALE")),
        'b' => Some(("builtin", "BUILTIN_LOCALE")),
        _ => None,
    };
    if let (Some((provider, option)), Some(name)) = (provider, &database.locale) {
        options += &text("LOCALE_PROVIDER", provider);
        options += &text(option, name);
    }
    if let Some(rules) = &database.icu_rules {
        options += &text("ICU_RULES", rules);
    }
    options
}

fn try_locale(session: &mut Session, database: &Database, locale: &str) -> Result<(), Error> {
    let made = session.run(&format!("CREATE DATABASE {TRIAL} TEMPLATE template0{locale}"));
    match made {
        Ok(()) => Ok(session.run(&format!("DROP DATABASE {TRIAL}"))?),
        Err(Said::Refused { message, .. }) => {
            Err(Error::Locale { database: database.name.clone(), what: message })
        }
        Err(error) => Err(error.into()),
    }
}
