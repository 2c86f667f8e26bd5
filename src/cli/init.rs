//! `lifeboat init`: the first site file, keys, policy and drill of this host.

mod server;

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use serde::Serialize;

use super::hint::Hinting;
use super::starter::{self, Starter};
use super::{App, Exit};
use crate::ground::ids::Name;
use crate::policy::{self, Caller};
use server::Server;

const IN_USE: &str = "name another folder; nothing was written";

/// The site file is written last.
const HALF_WAY: &str = "there is no lifeboat.toml beside it: where an `init` that ended half way left it, move keys/, \
     policies/host.toml and drills/host.toml away and run it again; else name another folder. Nothing \
     was written";

/// Write a first lifeboat.toml, keys, a policy and a drill for this host
///
/// What exists already is never overwritten.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder to write to
    #[arg(value_name = "DIR", default_value = ".")]
    folder: PathBuf,
    /// Customer's id: 1 to 40 of a-z, 0-9 and '-'
    #[arg(long, default_value = "acme")]
    customer: Name,
    /// Where backups go, as a URL: file:///absolute/path [default: store/ below DIR]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// Files to protect, absolute; may be given several times [default: an example to edit]
    #[arg(long, value_name = "PATH")]
    files: Vec<PathBuf>,
    /// SQLite database to protect, absolute; may be given several times [default: none]
    #[arg(long, value_name = "PATH")]
    sqlite: Vec<PathBuf>,
    /// PostgreSQL server to protect: postgres://USER@HOST:PORT/DATABASE, or
    /// postgres://USER@/DATABASE?host=FOLDER of its socket; databases with commas between, none for
    /// all; may be given several times [default: none]
    #[arg(long, value_name = "URL")]
    postgres: Vec<String>,
    /// File that holds the password of these servers' log-in, absolute [default: none]
    #[arg(long, value_name = "PATH", requires = "postgres")]
    postgres_password_file: Option<PathBuf>,
}

/// The answer of `init --json`.
#[derive(Debug, Serialize)]
struct Answer {
    site: PathBuf,
    policy: PathBuf,
    drill: PathBuf,
    keys: PathBuf,
    store: String,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let servers = args.postgres.iter().map(|url| Server::read(url));
    let servers = servers.collect::<anyhow::Result<Vec<Server>>>()?;
    for path in args.files.iter().chain(&args.sqlite).chain(&args.postgres_password_file) {
        if !path.is_absolute() || !path.exists() {
            return Err(anyhow::anyhow!(
                "{} is not an absolute path of something here",
                path.display()
            ))
            .hint("name what exists, from / on");
        }
    }
    starter::make_folder(&args.folder)?;
    let folder = args
        .folder
        .canonicalize()
        .with_context(|| format!("cannot enter {}", args.folder.display()))?;
    let file = folder.join("lifeboat.toml");
    let (policy, drill) = (folder.join("policies/host.toml"), folder.join("drills/host.toml"));
    for path in [&file, &folder.join("keys"), &policy, &drill] {
        if path.exists() {
            let hint = if file.exists() { IN_USE } else { HALF_WAY };
            return Err(anyhow::anyhow!("{} exists already", path.display())).hint(hint);
        }
    }
    let store = match &args.store {
        Some(url) => url.clone(),
        None => {
            starter::make_folder(&folder.join("store"))?;
            "file:store".to_owned()
        }
    };
    starter::make_keys(&folder.join("keys"), args.customer.as_str())?;
    let zone = jiff::tz::TimeZone::system();
    let site = Starter {
        customer: args.customer.as_str(),
        name_zh: args.customer.as_str(),
        name_en: args.customer.as_str(),
        timezone: zone.iana_name().unwrap_or("UTC"),
        store: &store,
        state: "sqlite:state/state.db",
        scratch: "scratch",
    };
    starter::write_new(&policy, &policy_text(&args, &servers))?;
    starter::write_new(&drill, &drill_text(&args))?;
    starter::write_new(&file, &site.site())?;
    // What was written must be what the next command reads.
    policy::load(&file, &Caller::current())?;
    let answer = Answer { keys: folder.join("keys"), site: file, policy, drill, store };
    let wants_password =
        args.postgres_password_file.is_none() && !servers.iter().all(Server::is_on_a_socket);
    let mut text = text(&answer, &folder, !servers.is_empty());
    if wants_password {
        text.push_str(
            "\nA server on the network asks for a password: write `password` into the policy, e.g. \
             { file = \"/etc/lifeboat/database\" }.\n",
        );
    }
    app.out.answer(&answer, &text)?;
    Ok(Exit::Done)
}

fn policy_text(args: &Args, servers: &[Server]) -> String {
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
        args.customer
    );
    let example = [PathBuf::from("/etc")];
    let names_nothing = args.files.is_empty() && args.sqlite.is_empty() && servers.is_empty();
    let files = if names_nothing { &example[..] } else { &args.files };
    if !files.is_empty() {
        let paths: Vec<String> = files.iter().map(|path| quoted(path)).collect();
        // Writing to a string cannot fail.
        let _ = write!(
            text,
            "\n[[source]]\nname = \"files\"\nkind = \"files\"\npaths = [{}]\n\
             exclude = [\"*.tmp\"]              # .gitignore's syntax\n",
            paths.join(", ")
        );
    }
    for (number, path) in args.sqlite.iter().enumerate() {
        let name = format!("database-{}", number + 1);
        let _ = write!(
            text,
            "\n[[source]]\nname = \"{name}\"\nkind = \"sqlite\"\npath = {}\n",
            quoted(path)
        );
    }
    for (number, server) in servers.iter().enumerate() {
        let password = args.postgres_password_file.as_deref();
        text.push_str(&server.source(&format!("postgres-{}", number + 1), password));
    }
    text
}

fn drill_text(args: &Args) -> String {
    let customer = &args.customer;
    let (source, since) = if args.sqlite.is_empty() && !args.postgres.is_empty() {
        ("postgres-1\"\n# database = \"shop\"", "now() - interval '7 days'")
    } else {
        ("database-1\"", "unixepoch() - 7 * 86400")
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
# source = "{source}
# query  = "SELECT count(*) FROM sessions WHERE at > {since}"
# expect = "> 0"
"#
    )
}

/// A path as a TOML string.
fn quoted(path: &Path) -> String {
    toml::Value::String(path.display().to_string()).to_string()
}

fn text(answer: &Answer, folder: &Path, has_server: bool) -> String {
    let config = folder.join("lifeboat.toml").display().to_string();
    let Answer { site, policy, drill, keys, store } = answer;
    let mut text = String::from("written:\n");
    for path in [site, policy, drill, keys] {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "  {}", path.display());
    }
    let _ = write!(
        text,
        "backups go to {store}\n\nKeep a copy of {}/repository-password somewhere else: without it \
         the backups are noise.\n\nNext:\n",
        keys.display()
    );
    let grants = has_server.then_some("grants host --sql    # goes to psql, as a superuser");
    let then = ["doctor", "backup host", "drill host", "daemon"];
    for next in ["validate"].into_iter().chain(grants).chain(then) {
        let _ = writeln!(text, "  lifeboat --config {config} {next}");
    }
    text
}
