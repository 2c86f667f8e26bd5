//! `lifeboat init`: the first site file, keys, policy and drill of this host.

mod answer;
mod discovered;
mod server;
mod sources;
mod text;
mod written;

use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::hint::Hinting;
use super::starter;
use super::{App, Exit};
use crate::discover::{self, Places};
use crate::ground::ids::Name;
use crate::source::Kind;
use discovered::Discovered;
use server::Server;
use sources::{Declared, Names, What};

const IN_USE: &str = "name another folder; nothing was written";

/// The site file is written last.
const HALF_WAY: &str = "there is no lifeboat.toml beside it: where an `init` that ended half way left it, move keys/, \
     grants/, policies/host.toml and drills/host.toml away and run it again; else name another \
     folder. Nothing was written";

/// Write a first lifeboat.toml, keys, a policy and a drill for this host
///
/// What exists already is never overwritten. With --discover it protects what it finds running and
/// installed, and says what it left out; it logs in nowhere with a password.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Folder to write to; all *.toml in its policies/ and drills/ belong to the site
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
    /// Protect the servers (MariaDB, MySQL, PostgreSQL, Redis) and applications that are found here
    #[arg(long)]
    discover: bool,
    /// Folder to look for applications in besides the usual ones, absolute; may be given several times
    /// [default: none]
    #[arg(long, value_name = "PATH", requires = "discover")]
    look_in: Vec<PathBuf>,
    /// PostgreSQL server to protect: postgres://USER@HOST:PORT/DATABASE, or
    /// postgres://USER@/DATABASE?host=FOLDER of its socket; databases with commas between, none for
    /// all; may be given several times [default: none]
    #[arg(long, value_name = "URL")]
    postgres: Vec<String>,
    /// MariaDB server to protect: mariadb://USER@HOST:PORT/DATABASE, or
    /// mariadb://USER@/DATABASE?socket=PATH; likewise [default: none]
    #[arg(long, value_name = "URL")]
    mariadb: Vec<String>,
    /// MySQL server to protect: mysql://USER@HOST:PORT/DATABASE, or
    /// mysql://USER@/DATABASE?socket=PATH; likewise [default: none]
    #[arg(long, value_name = "URL")]
    mysql: Vec<String>,
    /// Redis server to protect: redis://HOST:PORT, or redis://?socket=PATH; may be given several
    /// times [default: none]
    #[arg(long, value_name = "URL")]
    redis: Vec<String>,
    /// File that holds the password of these servers' log-ins, absolute [default: none]
    #[arg(long, value_name = "PATH")]
    password_file: Option<PathBuf>,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let mut names = Names::default();
    let mut sources = named(&args, &mut names)?;
    let is_new = !args.folder.exists();
    starter::make_folder(&args.folder)?;
    let folder = args
        .folder
        .canonicalize()
        .with_context(|| format!("cannot enter {}", args.folder.display()))?;
    is_free(&folder)?;
    let mut discovered = None;
    if args.discover {
        let places = Places { also: args.look_in.clone(), except: folder.clone() };
        let found = discover::look(places, &app.interrupt.flag()).await;
        discovered = Some(Discovered::of(found, &mut names, &mut sources));
    }
    if sources.is_empty() {
        match &discovered {
            Some(found) => {
                if is_new {
                    // What cannot be removed holds something, and stays.
                    let _ = std::fs::remove_dir(&folder);
                }
                return Err(found.nothing());
            }
            None => {
                let what = What::Files(vec!["/etc".into()]);
                sources.push(Declared { name: "files".to_owned(), what });
            }
        }
    }
    let site = written::Site { folder, customer: &args.customer, store: args.store.as_deref() };
    let written = site.write(&sources)?;
    if let Some(found) = &mut discovered {
        found.examine(&written.setup, app).await?;
    }
    let answer = written.answer(&sources, discovered);
    app.out.answer(&answer, &answer.text())?;
    Ok(Exit::Done)
}

/// What the arguments name.
fn named(args: &Args, names: &mut Names) -> anyhow::Result<Vec<Declared>> {
    let paths = args.files.iter().chain(&args.sqlite).chain(&args.look_in);
    for path in paths.chain(&args.password_file) {
        if !path.is_absolute() || !path.exists() {
            return Err(anyhow::anyhow!(
                "{} is not an absolute path of something here",
                path.display()
            ))
            .hint("name what exists, from / on");
        }
    }
    let mut sources = Vec::new();
    if !args.files.is_empty() {
        let what = What::Files(args.files.clone());
        sources.push(Declared { name: "files".to_owned(), what });
    }
    for path in &args.sqlite {
        let what = What::Sqlite(path.clone());
        sources.push(Declared { name: names.next("database"), what });
    }
    let servers = [
        (Kind::Postgres, &args.postgres),
        (Kind::Mariadb, &args.mariadb),
        (Kind::Mysql, &args.mysql),
        (Kind::Redis, &args.redis),
    ];
    for (kind, url) in servers.iter().flat_map(|(kind, urls)| urls.iter().map(|url| (*kind, url))) {
        let server = Server::read(kind, url, args.password_file.as_deref())?;
        let name = names.next(&kind.to_string());
        sources.push(Declared { name, what: What::Server(server) });
    }
    if args.password_file.is_some() && sources.iter().all(|one| one.server().is_none()) {
        return Err(anyhow::anyhow!("--password-file without a server"))
            .hint("name the server whose log-in it is for, e.g. --mariadb mariadb://backup@db1");
    }
    Ok(sources)
}

/// Refuses a folder in which something stands that would be overwritten, or taken for the new site's.
fn is_free(folder: &Path) -> anyhow::Result<()> {
    let file = folder.join("lifeboat.toml");
    let own = ["lifeboat.toml", "keys", "grants", "policies/host.toml", "drills/host.toml"];
    if let Some(path) = own.map(|name| folder.join(name)).iter().find(|path| path.exists()) {
        let hint = if file.exists() { IN_USE } else { HALF_WAY };
        return Err(anyhow::anyhow!("{} exists already", path.display())).hint(hint);
    }
    for part in ["policies", "drills"].map(|name| folder.join(name)) {
        let entries = std::fs::read_dir(&part).into_iter().flatten().flatten();
        let is_read = |name: &Path| name.extension().is_some_and(|end| end == "toml");
        if let Some(stranger) = entries.map(|entry| entry.path()).find(|path| is_read(path)) {
            return Err(anyhow::anyhow!("{} would belong to the new site", stranger.display())).hint(
                "all of policies/ and drills/ beside a site file is read: name a folder of its own, \
                 e.g. `lifeboat init /etc/lifeboat`, and copy there what shall belong to it; nothing \
                 was written",
            );
        }
    }
    Ok(())
}
