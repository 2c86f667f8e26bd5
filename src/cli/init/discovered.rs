//! What `init --discover` makes of what was found: sources, and what is told of them.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::super::hint::Hinting;
use super::super::output::visible;
use super::super::{App, advice};
use super::server::Server;
use super::sources::{Declared, Names, What};
use crate::discover::{Admission, Application, Discovery, LeftOut, Place, Server as Met, Size};
use crate::ground::causes::chain;
use crate::ground::clock::SystemClock;
use crate::ground::progress::Silent;
use crate::ground::size::ByteSize;
use crate::policy::Setup;
use crate::source::files::owners::Owners;
use crate::source::{self, Kind};

/// The account where nobody is let in by who they are.
const ACCOUNT: &str = "lifeboat";

/// What `init --discover` found.
#[derive(Debug, Default, Serialize)]
pub(super) struct Discovered {
    pub(super) found: Vec<Found>,
    pub(super) left_out: Vec<LeftOut>,
}

/// One source that was found.
#[derive(Debug, Serialize)]
pub(super) struct Found {
    /// Its name in the policy.
    pub(super) source: String,
    kind: Kind,
    /// What it is and where, on one line.
    pub(super) what: String,
    /// None where it is not known.
    pub(super) bytes: Option<u64>,
    /// What it lacks to be backed up, and what to do; of servers alone.
    pub(super) lacks: Option<String>,
}

impl Discovered {
    /// Adds what `discovery` holds to `sources`, but for what they name already.
    pub(super) fn of(
        discovery: Discovery,
        names: &mut Names,
        sources: &mut Vec<Declared>,
    ) -> Discovered {
        let Discovery { servers, applications, left_out } = discovery;
        let mut told = Self { found: Vec::new(), left_out };
        let me = Owners::of_this_host().user(rustix::process::geteuid().as_raw());
        for met in &servers {
            let is_named = |one: &Declared| one.server().is_some_and(|server| is_at(server, met));
            if sources.iter().any(is_named) {
                continue;
            }
            let name = names.next(&met.kind.to_string());
            let what = What::Server(declared(met, &name, &me));
            told.add(&name, met.kind, described(met), met.size.map(|size| size.bytes));
            sources.push(Declared { name, what });
        }
        for application in applications {
            told.application(application, names, sources);
        }
        told
    }

    fn application(
        &mut self,
        application: Application,
        names: &mut Names,
        sources: &mut Vec<Declared>,
    ) {
        let Application { name, folder, files, sqlite, size } = application;
        let is_known = name != "database";
        for path in sqlite {
            if sources.iter().any(|one| one.what == What::Sqlite(path.clone())) {
                continue;
            }
            let source = names.next(&if is_known { format!("{name}-db") } else { name.to_owned() });
            let bytes = path.metadata().map(|meta| meta.len()).ok();
            self.add(&source, Kind::Sqlite, path.display().to_string(), bytes);
            sources.push(Declared { name: source, what: What::Sqlite(path) });
        }
        if files.is_empty() {
            return;
        }
        let source = names.next(name);
        let parts: Vec<String> = files.iter().map(|path| below(path, &folder)).collect();
        let what = format!("{}: {}, {}", folder.display(), parts.join(", "), told(size));
        self.add(&source, Kind::Files, what, Some(size.bytes));
        sources.push(Declared { name: source, what: What::Files(files) });
    }

    /// The error of a host on which nothing can be protected.
    pub(super) fn nothing(&self) -> anyhow::Error {
        let left_out = self.left_out.iter().map(|one| format!("; {}: {}", one.what, one.why));
        let what = format!("nothing to protect was found{}", left_out.collect::<String>());
        let named = Err::<(), _>(anyhow::Error::msg(what)).hint(
            "name what to protect, e.g. --files /srv/www, or where to look: --look-in /data; \
             nothing was written",
        );
        named.expect_err("it is one")
    }

    /// As a person reads it.
    pub(super) fn text(&self) -> String {
        let mut text = String::from("found:\n");
        // Writing to a string cannot fail.
        for one in &self.found {
            let _ = writeln!(text, "  {:<14} {}", one.source, visible(&one.what));
            if let Some(lacks) = &one.lacks {
                let _ = writeln!(text, "  {:<14} not yet: {}", "", visible(lacks));
            }
        }
        if !self.left_out.is_empty() {
            text.push_str("left out:\n");
        }
        for LeftOut { what, why } in &self.left_out {
            let _ = writeln!(text, "  {what}: {why}");
        }
        text.push('\n');
        text
    }

    fn add(&mut self, source: &str, kind: Kind, what: String, bytes: Option<u64>) {
        let source = source.to_owned();
        self.found.push(Found { source, kind, what, bytes, lacks: None });
    }

    /// Looks which of the servers can be backed up as they are.
    pub(super) async fn examine(&mut self, setup: &Setup, app: &App) -> anyhow::Result<()> {
        let (settings, host) = (setup.policies[0].sources.clone(), App::host(setup));
        let (found, interrupted) = (std::mem::take(&mut self.found), app.interrupt.flag());
        let staging = tempfile::tempdir()?;
        let looked = tokio::task::spawn_blocking(move || {
            let context = source::Context {
                clock: Arc::new(SystemClock),
                progress: Arc::new(Silent),
                staging: staging.path().to_owned(),
                interrupted,
                questions: Vec::new(),
            };
            let lacks = |one: &Found| {
                let settings = settings.iter().find(|it| it.name.as_str() == one.source)?;
                let error = source::of(settings, &host).probe(&context).err()?;
                let hint = advice::of(&error).map(|hint| format!(" ({hint})")).unwrap_or_default();
                Some(format!("{}{hint}", chain(&error)))
            };
            let is_server = |one: &Found| !matches!(one.kind, Kind::Files | Kind::Sqlite);
            let looked = found.into_iter().map(|one| match is_server(&one) {
                true => Found { lacks: lacks(&one), ..one },
                false => one,
            });
            looked.collect()
        });
        self.found = looked.await?;
        Ok(())
    }
}

/// Whether `server` is the one that was met.
fn is_at(server: &Server, met: &Met) -> bool {
    match &met.place {
        Place::Socket { path, port } => {
            server.host == *path && (server.port == *port || server.port.is_none())
        }
        Place::Port { host, port } => server.host == *host && server.port == Some(*port),
    }
}

/// A server as the source `name` has it; `me` is who we are, nobody where that has no name.
fn declared(met: &Met, name: &str, me: &str) -> Server {
    let (host, port) = match &met.place {
        Place::Socket { path, port } => (path.clone(), *port),
        Place::Port { host, port } => ((*host).to_owned(), Some(*port)),
    };
    // Sockets show who asks. A root who was refused is somebody else's account.
    let by_who_we_are = host.starts_with('/')
        && !me.is_empty()
        && (met.kind == Kind::Postgres || met.admission == Admission::Admitted || me != "root");
    let (user, has_password) = match met.kind {
        Kind::Redis => (None, met.admission == Admission::Refused),
        _ if by_who_we_are => (Some(me.to_owned()), false),
        _ => (Some(ACCOUNT.to_owned()), true),
    };
    Server {
        kind: met.kind,
        host,
        port,
        user,
        password: has_password.then(|| PathBuf::from(format!("keys/{name}-password"))),
        databases: Vec::new(),
        administrator: match met.kind {
            Kind::Postgres => met.runs_as.clone(),
            _ => "root".to_owned(),
        },
    }
}

fn described(met: &Met) -> String {
    let what = met.version.clone().unwrap_or_else(|| met.kind.to_string());
    let place = match &met.place {
        Place::Socket { path, port: None } => path.clone(),
        Place::Socket { path, port: Some(port) } => format!("{path}, port {port}"),
        Place::Port { host, port } => format!("{host}:{port}"),
    };
    let size = met.size.map(|size| format!(", {}", told(size))).unwrap_or_default();
    format!("{what} at {place}, run by {}{size}", met.runs_as)
}

fn told(size: Size) -> String {
    let bytes = ByteSize(size.bytes);
    if size.is_more { format!("more than {bytes}") } else { bytes.to_string() }
}

fn below(path: &Path, folder: &Path) -> String {
    path.strip_prefix(folder).unwrap_or(path).display().to_string()
}
