//! `lifeboat doctor`: can each policy run here?

mod sources;
mod store;

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::Serialize;

use self::store::Found;
use super::output::visible;
use super::{App, Exit};
use crate::drill;
use crate::policy::{Asks, Policy, PolicyName, Setup};

/// Check what policies need here: tools, log-ins, store access, password, space for scratch
///
/// Writes one small probe object to each store and removes it again.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policies to check [default: all]
    #[arg(value_name = "POLICY")]
    policies: Vec<PolicyName>,
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    policy: String,
    what: String,
    ok: bool,
    found: String,
    /// What to do about it.
    hint: Option<String>,
}

/// What the findings of one policy are gathered in.
struct Examination {
    policy: String,
    findings: Vec<Finding>,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let setup = app.setup().await?;
    let policies = setup.policies_or_all(&args.policies)?;
    let rooms = app.rooms(&setup).await?;
    let (mut findings, mut repositories) = (Vec::new(), BTreeMap::new());
    for policy in policies {
        if !repositories.contains_key(&policy.customer) {
            let found = Found::at(setup.customer_of(policy), &setup, &rooms).await;
            repositories.insert(&policy.customer, found);
        }
        let mut examination = Examination { policy: policy.full_name(), findings: Vec::new() };
        examination.keys(&setup, policy);
        examination.store(&setup, policy).await;
        examination.repository(&repositories[&policy.customer], policy, &rooms);
        examination.sources(&setup, policy, &rooms).await?;
        examination.programs(&setup, policy);
        examination.restic(&setup, policy);
        findings.append(&mut examination.findings);
    }
    app.out.answer(&findings, &text(&findings))?;
    let sound = findings.iter().all(|finding| finding.ok);
    Ok(if sound { Exit::Done } else { Exit::Failed })
}

impl Examination {
    fn good(&mut self, what: &str, found: impl Into<String>) {
        self.add(what, true, found.into(), None);
    }

    fn bad(&mut self, what: &str, found: impl Into<String>, hint: &str) {
        self.add(what, false, found.into(), Some(hint.to_owned()));
    }

    fn add(&mut self, what: &str, ok: bool, found: String, hint: Option<String>) {
        let policy = self.policy.clone();
        self.findings.push(Finding { policy, what: what.to_owned(), ok, found, hint });
    }

    /// Are the programs of hooks and of checks there?
    fn programs(&mut self, setup: &Setup, policy: &Policy) {
        let hooks = [("hook before", &policy.hooks.before), ("hook after", &policy.hooks.after)];
        let hooks =
            hooks.into_iter().filter_map(|(what, argv)| Some((what, argv.as_deref()?.first()?)));
        let checks = setup.drills_of(policy).flat_map(|drill| &drill.checks);
        let checks = checks.filter_map(|check| match &check.asks {
            Asks::Program(argv) => Some(("program of a check", argv.first()?)),
            Asks::Query(_) | Asks::Files(_) => None,
        });
        for (what, program) in hooks.chain(checks) {
            let mode = std::fs::metadata(program)
                .map(|found| std::os::unix::fs::PermissionsExt::mode(&found.permissions()) & 0o111);
            match mode {
                Ok(0) => self.bad(what, format!("{program} is not executable"), "chmod +x it"),
                Ok(_) => self.good(what, program),
                Err(error) => {
                    self.bad(what, format!("{program}: {error}"), "name it by its absolute path");
                }
            }
        }
    }

    /// Is there a restic for drills that restore independently?
    fn restic(&mut self, setup: &Setup, policy: &Policy) {
        const WHAT: &str = "independent drill";
        if setup.drills_of(policy).all(|drill| !drill.independent) {
            return;
        }
        match drill::find_restic() {
            Ok(program) => self.good(WHAT, program.display().to_string()),
            Err(error) => self.bad(WHAT, error.to_string(), "apt install restic"),
        }
    }
}

fn text(findings: &[Finding]) -> String {
    let mut text = String::new();
    let mut policy = "";
    for finding in findings {
        // Writing to a string cannot fail.
        if finding.policy != policy {
            policy = &finding.policy;
            let _ = writeln!(text, "{policy}");
        }
        let mark = if finding.ok { "ok  " } else { "FAIL" };
        let _ = writeln!(text, "  {mark}  {:<20} {}", finding.what, visible(&finding.found));
        if let Some(hint) = &finding.hint {
            let _ = writeln!(text, "        {:<20} hint: {}", "", visible(hint));
        }
    }
    if findings.is_empty() {
        text.push_str("no policies yet: `lifeboat init` writes a first one");
    }
    text
}
