//! The files that `init` writes.

use std::path::PathBuf;

use super::super::App;
use super::super::starter::{self, Starter};
use super::sources::{Declared, What};
use crate::ground::ids::Name;
use crate::policy::{self, Caller, Setup};
use crate::source::{self, Kind};

/// A site that is to be written.
pub(super) struct Site<'a> {
    /// Absolute; nothing of the site is there yet.
    pub(super) folder: PathBuf,
    pub(super) customer: &'a Name,
    /// None: a folder beside the site file.
    pub(super) store: Option<&'a str>,
}

/// What was written.
pub(super) struct Written {
    pub(super) setup: Setup,
    pub(super) site: PathBuf,
    pub(super) policy: PathBuf,
    pub(super) drill: PathBuf,
    pub(super) keys: PathBuf,
    pub(super) grants: Vec<Granting>,
    pub(super) store: String,
}

/// What a server must allow.
pub(super) struct Granting {
    pub(super) source: String,
    /// The statements.
    pub(super) file: PathBuf,
    /// Has the server carry them out.
    pub(super) command: String,
}

impl Site<'_> {
    /// Writes all files, the site file last.
    pub(super) fn write(&self, sources: &[Declared]) -> anyhow::Result<Written> {
        let at = |name: &str| self.folder.join(name);
        let (file, keys) = (at("lifeboat.toml"), at("keys"));
        let (policy, drill) = (at("policies/host.toml"), at("drills/host.toml"));
        let store = match self.store {
            Some(url) => url.to_owned(),
            None => {
                starter::make_folder(&at("store"))?;
                "file:store".to_owned()
            }
        };
        starter::make_keys(&keys, self.customer.as_str())?;
        let zone = jiff::tz::TimeZone::system();
        let site = Starter {
            customer: self.customer.as_str(),
            name_zh: self.customer.as_str(),
            name_en: self.customer.as_str(),
            timezone: zone.iana_name().unwrap_or("UTC"),
            store: &store,
            state: "sqlite:state/state.db",
            scratch: "scratch",
        };
        starter::write_new(&policy, &self.policy(sources))?;
        starter::write_new(&drill, &self.drill(sources))?;
        starter::write_new(&file, &site.site())?;
        // What was written must be what the next command reads.
        let setup = policy::load(&file, &Caller::current())?;
        let grants = self.grants(sources, &setup)?;
        Ok(Written { setup, site: file, policy, drill, keys, grants, store })
    }

    /// Writes what each server must allow.
    fn grants(&self, sources: &[Declared], setup: &Setup) -> anyhow::Result<Vec<Granting>> {
        let host = App::host(setup);
        let mut written = Vec::new();
        let settings = setup.policies.iter().flat_map(|policy| &policy.sources);
        for (declared, settings) in sources.iter().zip(settings) {
            let grants = source::of(settings, &host).grants();
            let Some(server) = declared.server().filter(|_| !grants.client.is_empty()) else {
                continue;
            };
            let name = &declared.name;
            let file = self.folder.join(format!("grants/{name}.sql"));
            let head = "-- What lifeboat's account needs; `lifeboat grants host` prints it anew.";
            let statements = grants.statements.join("\n");
            starter::write_new(&file, &format!("{head}\n{statements}\n"))?;
            let command = server.to_administer(&file);
            written.push(Granting { source: name.clone(), file, command });
        }
        Ok(written)
    }

    fn policy(&self, sources: &[Declared]) -> String {
        let mut text = format!(
            r#"# What is protected. All sources make one snapshot. Every key: lifeboat schema policy
customer = "{}"
name     = "host"

[schedule]                       # carried out by `lifeboat daemon`; without one leave it out
backup = "30 1 * * *"            # minute hour day month weekday
jitter = "10m"

[objectives]
rpo = "25h"                      # the newest recovery point may be so old
rto = "1h"                       # recovery may take so long
"#,
            self.customer
        );
        text.extend(sources.iter().map(Declared::text));
        text
    }

    fn drill(&self, sources: &[Declared]) -> String {
        let customer = self.customer;
        let asked = sources.iter().find(|one| !matches!(one.what, What::Files(_)));
        let name = asked.map_or("database-1", |source| &source.name);
        let server = asked.and_then(Declared::server);
        let (database, query) = match server.map(|server| server.kind) {
            Some(Kind::Redis) => ("", "HLEN sessions"),
            Some(_) => (
                "\n# database = \"shop\"",
                "SELECT count(*) FROM sessions WHERE at > now() - interval '7' day",
            ),
            None => ("", "SELECT count(*) FROM sessions WHERE at > unixepoch() - 7 * 86400"),
        };
        format!(
            r#"# How it is rehearsed. Every key: lifeboat schema drill
policy   = "{customer}/host"
name     = "weekly"
schedule = "0 3 * * 0"           # carried out by `lifeboat daemon`
controls = true                  # prove that the checks can fail

# What must be true of the restored data, e.g. of a database:
# [[check]]
# name   = "somebody logged in this week"
# source = "{name}"{database}
# query  = "{query}"
# expect = "> 0"
"#
        )
    }
}
