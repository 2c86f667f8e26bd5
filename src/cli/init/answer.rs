//! What `init` says of what it wrote, and what comes next.

use std::fmt::Write as _;
use std::path::PathBuf;

use serde::Serialize;

use super::super::output::visible;
use super::discovered::Discovered;
use super::sources::Declared;
use super::text::shell;
use super::written::Written;
use crate::source::Kind;

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
