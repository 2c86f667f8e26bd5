//! What `init` writes, and what it says of it.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::super::App;
use super::super::output::visible;
use super::super::starter::{self, Starter};
use super::discovered::Discovered;
use super::sources::{Declared, What};
use super::text::shell;
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
    site: PathBuf,
    policy: PathBuf,
    drill: PathBuf,
    keys: PathBuf,
    grants: Vec<Granting>,
    store: String,
}

/// What a server must allow.
struct Granting {
    source: String,
    /// The statements.
    file: PathBuf,
    /// Has the server carry them out.
    command: String,
}

/// The answer of `init --json`.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    site: PathBuf,
    policy: PathBuf,
    drill: PathBuf,
    keys: PathBuf,
    /// One file of statements for each server that has accounts.
    grants: Vec<PathBuf>,
    store: String,
    /// What a person has to see to before the next commands can work, a sentence each.
    notes: Vec<String>,
    /// Commands, in this order.
    next: Vec<String>,
    /// With `--discover` alone.
    #[serde(flatten)]
    discovered: Option<Discovered>,
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

impl Written {
    /// What to say of it.
    pub(super) fn answer(self, sources: &[Declared], discovered: Option<Discovered>) -> Answer {
        let Self { site, policy, drill, keys, grants, store, .. } = self;
        let is_ready = |source: &str| {
            let found = discovered.iter().flat_map(|discovered| &discovered.found);
            found.into_iter().any(|one| one.source == source && one.lacks.is_none())
        };
        let granting = grants.iter().filter(|one| !is_ready(&one.source));
        let granting = granting.map(|one| one.command.clone());
        let config = shell(&site.display().to_string());
        let then = ["doctor", "backup host", "drill host", "daemon"];
        let then = then.map(|command| format!("lifeboat --config {config} {command}"));
        Answer {
            next: granting.chain(then).collect(),
            notes: notes(sources, discovered.is_some()),
            grants: grants.into_iter().map(|one| one.file).collect(),
            site,
            policy,
            drill,
            keys,
            store,
            discovered,
        }
    }
}

/// What is left to a person.
fn notes(sources: &[Declared], are_found: bool) -> Vec<String> {
    let mut notes = Vec::new();
    let servers = || sources.iter().filter_map(|one| Some((&one.name, one.server()?)));
    for (name, server) in servers().filter(|_| are_found) {
        if let Some(file) = &server.password {
            let account = server.user.as_deref().unwrap_or("default");
            notes.push(format!(
                "{name}: write the password of the account {account} into {} beside the site file \
                 (chmod 600)",
                file.display()
            ));
        }
        if server.user.as_deref() == Some("root") && server.kind != Kind::Postgres {
            notes.push(format!(
                "{name}: lifeboat logs in as root, who may do all there; run by a user of its own \
                 it gets an account that only reads"
            ));
        }
    }
    let needs_password = servers().any(|(_, server)| {
        server.password.is_none() && !server.is_on_a_socket() && server.kind != Kind::Redis
    });
    if needs_password {
        notes.push(
            "a server on the network asks for a password: write `password` into the policy, e.g. \
             { file = \"/etc/lifeboat/database\" }"
                .to_owned(),
        );
    }
    notes
}

impl Answer {
    /// As a person reads it.
    pub(super) fn text(&self) -> String {
        let Self { site, policy, drill, keys, grants, store, notes, next, discovered } = self;
        let mut text = discovered.as_ref().map(Discovered::text).unwrap_or_default();
        text.push_str("written:\n");
        for path in [site, policy, drill, keys].into_iter().chain(grants) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {}", visible(&path.display().to_string()));
        }
        let _ = writeln!(
            text,
            "backups go to {store}\n\nKeep a copy of {}/repository-password somewhere else: without \
             it the backups are noise.",
            visible(&keys.display().to_string())
        );
        for note in notes {
            let _ = writeln!(text, "\nnote: {}", visible(note));
        }
        text.push_str("\nNext:\n");
        for command in next {
            let _ = writeln!(text, "  {}", visible(command));
        }
        text
    }
}
