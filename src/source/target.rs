//! A server that captured databases are loaded into: a real one, with which people work.
//!
//! In: a server of the site, a capture, the folder that its files came out to. Out: what the server
//! holds once all databases are in, taken as it was at capture, so that the two can be compared.
//! Nothing that is there is touched, but for databases that are named to be replaced. Blocking.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::{Capture, Context, Error, Fingerprint, Host, mysql, postgres};
use crate::ground::process;
use crate::policy::{self, TargetKind};

/// Longer than any load takes: it ends by itself, or where somebody asks for it.
const PATIENCE: Duration = Duration::from_secs(365 * 24 * 3600);

/// A server that takes databases back.
pub trait Target: Send + Sync {
    /// Those databases of `capture` that hold something there already, or are made otherwise than
    /// it can be taken over. Fails where the server cannot take what was captured.
    fn occupied(&self, capture: &Capture, context: &Context) -> Result<Vec<String>, Error>;

    /// Makes all databases of `capture` out of its files below `data`, those in `replaced` in the
    /// place of what is there now. Returns what the server holds of them then.
    fn load(
        &self,
        capture: &Capture,
        data: &Path,
        replaced: &[String],
        context: &Context,
    ) -> Result<Fingerprint, Error>;
}

/// The server that the site declares as `target`.
pub fn to(target: &policy::Target, host: &Host) -> Box<dyn Target> {
    let settings = target.settings.clone();
    let mysql = |product| mysql::Target::new(product, settings.clone(), host.mysql.clone());
    match target.kind {
        TargetKind::Postgres => {
            Box::new(postgres::Target::new(settings.clone(), host.postgres.clone()))
        }
        TargetKind::Mariadb => Box::new(mysql(mysql::Product::Mariadb)),
        TargetKind::Mysql => Box::new(mysql(mysql::Product::Mysql)),
    }
}

impl Capture {
    /// The names of its databases, in the order of their dumps; none of a kind that has no servers.
    pub fn databases(&self) -> Vec<String> {
        let cluster = self.cluster.iter().flat_map(|cluster| &cluster.databases);
        let server = self.server.iter().flat_map(|server| &server.databases);
        let names = cluster.map(|one| &one.name).chain(server.map(|one| &one.name));
        names.cloned().collect()
    }

    /// What its databases held, without what the server has for all of them: accounts and roles.
    pub fn of_databases(&self) -> Fingerprint {
        let mut found = self.fingerprint.clone();
        let readable = |name: String| match self.server {
            Some(_) => mysql::names::readable(&name),
            None => postgres::names::readable(&name),
        };
        let prefixes: Vec<String> =
            self.databases().into_iter().map(|name| format!("{}: ", readable(name))).collect();
        found.schema.retain(|object, _| prefixes.iter().any(|prefix| object.starts_with(prefix)));
        found
    }
}

/// What a server refuses, in the source's terms.
pub(super) fn refused(server: &str, what: String) -> Error {
    Error::Engine { object: server.to_owned(), what, source: None }
}

/// Fails where a database of `capture` holds something that is not named to be replaced.
pub(super) fn spared(server: &str, occupied: &[String], replaced: &[String]) -> Result<(), Error> {
    let spared: Vec<&str> =
        occupied.iter().filter(|name| !replaced.contains(name)).map(String::as_str).collect();
    if spared.is_empty() {
        return Ok(());
    }
    Err(refused(server, format!("it holds something by now in: {}", spared.join(", "))))
}

/// Runs a client to its end, without a limit; fails with what `told` makes of its words.
///
/// It ends with this process, however that ends: a client that went on would write into a server that
/// somebody restores into anew.
pub(super) fn run(
    mut command: Command,
    what: &str,
    context: &Context,
    told: fn(&str) -> String,
) -> Result<(), Error> {
    let parent = rustix::process::Pid::as_raw(Some(rustix::process::getpid()));
    let end_with_parent = move || {
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        // It may have ended before it could be told of.
        match rustix::process::Pid::as_raw(rustix::process::getppid()) == parent {
            true => Ok(()),
            false => Err(io::ErrorKind::BrokenPipe.into()),
        }
    };
    // SAFETY: between fork and exec only prctl and getppid are called, which are safe there.
    unsafe { command.pre_exec(end_with_parent) };
    let stop = || context.check_interrupted().is_err();
    match process::output_of(&stop, command, PATIENCE) {
        Ok(_) => Ok(()),
        Err(process::Error::Stopped { .. }) => Err(Error::Interrupted),
        Err(process::Error::Failed { status, stderr, .. }) => Err(Error::Engine {
            object: what.to_owned(),
            what: format!("it was not loaded to its end ({status}): {}", told(&stderr)),
            source: None,
        }),
        Err(error) => Err(Error::Engine {
            object: what.to_owned(),
            what: "it was not loaded to its end".to_owned(),
            source: Some(Box::new(error)),
        }),
    }
}
