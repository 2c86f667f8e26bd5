//! `lifeboat grants`: what a policy needs to be allowed, and no more.

mod store;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use serde::Serialize;

use super::hint::Hinting;
use super::output::{visible, visible_lines};
use super::{App, Exit};
use crate::ground::ids::Name;
use crate::policy::PolicyName;
use crate::source::{self, Grants};

/// Show what a policy needs to be allowed: bucket policy, file permissions, GRANTs
///
/// Changes nothing and asks no server.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policy to grant for: POLICY or CUSTOMER/POLICY
    policy: PolicyName,
    /// What the host that gets the keys to the store does
    #[arg(long = "for", value_name = "HOST", value_enum, default_value_t = Host::Backup)]
    host: Host,
    /// Who the keys belong to, as the service names them, e.g. arn:aws:iam::123456789012:user/backup
    /// [default: nobody, for a policy that is attached to a user]
    #[arg(long, value_name = "ARN")]
    principal: Option<String>,
    /// Print nothing but the SQL for database servers, for their clients
    #[arg(long, conflicts_with_all = ["host", "principal"])]
    sql: bool,
    /// Print the SQL for this source's server alone
    #[arg(long, value_name = "NAME", requires = "sql")]
    source: Option<Name>,
}

/// What a host does with the keys to a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
enum Host {
    /// Backs up; whatever the others do, too
    Backup,
    /// Drills, verifies and writes reports; stores no data
    Drill,
    /// Restores and verifies, and can change nothing
    Restore,
    /// Forgets and prunes: may remove everything that was stored
    Prune,
}

/// The answer of `grants --json`.
#[derive(Debug, Serialize)]
struct Answer {
    policy: String,
    r#for: Host,
    store: store::Needs,
    /// None for hosts that capture nothing.
    sources: Vec<SourceGrants>,
}

#[derive(Debug, Serialize)]
struct SourceGrants {
    name: Name,
    #[serde(flatten)]
    grants: Grants,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let setup = app.setup().await?;
    let policy = setup.policy(&args.policy)?;
    let customer = setup.customer_of(policy);
    let host = App::host(&setup);
    if let Some(name) = &args.source
        && !policy.sources.iter().any(|source| source.name == *name)
    {
        let known: Vec<&str> = policy.sources.iter().map(|source| source.name.as_str()).collect();
        return Err(anyhow::anyhow!("{} has no source {name}", policy.full_name()))
            .hint(format!("it has: {}", known.join(", ")));
    }
    let is_meant = |name: &Name| args.source.as_ref().is_none_or(|meant| meant == name);
    let captured = policy.sources.iter().filter(|_| args.host == Host::Backup);
    let captured = captured.filter(|source| is_meant(&source.name));
    let sources = captured.map(|settings| SourceGrants {
        name: settings.name.clone(),
        grants: source::of(settings, &host).grants(),
    });
    let answer = Answer {
        policy: policy.full_name(),
        r#for: args.host,
        store: store::Needs::of(
            setup.store_of(customer),
            &customer.id,
            args.host,
            args.principal.as_deref(),
        ),
        sources: sources.collect(),
    };
    if args.sql {
        app.out.raw(sql(&answer, &args.policy)?.as_bytes())?;
    } else {
        app.out.answer(&answer, &text(&answer))?;
    }
    Ok(Exit::Done)
}

/// The statements of all sources, as one client takes them.
fn sql(answer: &Answer, policy: &PolicyName) -> anyhow::Result<String> {
    let of_servers = || answer.sources.iter().filter(|source| !source.grants.client.is_empty());
    let statements = of_servers().flat_map(|source| &source.grants.statements);
    let statements: Vec<&str> = statements.map(String::as_str).collect();
    let clients: BTreeSet<&str> = of_servers().map(|source| source.grants.client).collect();
    if statements.is_empty() {
        return Err(anyhow::anyhow!("no source of {policy} is a database server"))
            .hint("without --sql it shows what the other sources need");
    }
    if clients.len() > 1 {
        return Err(anyhow::anyhow!("{policy} has servers of several products")).hint(
            "name one with --source; without --sql it shows what each of them is to be told",
        );
    }
    Ok(statements.join("\n") + "\n")
}

fn text(answer: &Answer) -> String {
    let mut text = format!("store {}\n", answer.store.url);
    // Writing to a string cannot fail.
    for need in &answer.store.needs {
        let _ = writeln!(text, "  {need}");
    }
    if let Some(policy) = &answer.store.bucket_policy {
        let _ = writeln!(text, "\n{policy:#}");
    }
    for SourceGrants { name, grants } in &answer.sources {
        let _ = writeln!(text, "\nsource {name}");
        for need in &grants.needs {
            let _ = writeln!(text, "  {}", visible(need));
        }
        if !grants.client.is_empty() {
            let policy = &answer.policy;
            let client = grants.client;
            let _ = writeln!(text, "  lifeboat grants {policy} --sql --source {name} | {client}");
        }
        for statement in &grants.statements {
            // SQL to be run as it is: a line end may be a name's.
            let _ = writeln!(text, "    {}", visible_lines(statement));
        }
    }
    text
}
