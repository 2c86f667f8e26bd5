//! A clock that runs faster and can be set, and the daemon that lives by it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use lifeboat::account::{self, Rooms};
use lifeboat::daemon::{self, Ended, House, Logged};
use lifeboat::ground::clock::{Clock, Steady, Timepiece};
use lifeboat::ground::process;
use lifeboat::ledger::record::Actor;
use lifeboat::policy::{self, Caller};
use lifeboat::sandbox::Launcher;
use lifeboat::source::{Host, mysql, postgres};
use lifeboat::state::State;

/// The first argument that makes this program a daemon.
pub const MODE: &str = "as-daemon";

/// The time of a simulation: the same for every process that is told the same.
#[derive(Debug, Clone)]
pub struct Scaled {
    /// The real moment that is `begins`.
    pub real: SystemTime,
    pub begins: Timestamp,
    /// Simulated seconds in a real one.
    pub scale: u32,
    /// A file that holds by how many seconds the hands are set ahead; none: by none.
    pub set_by: PathBuf,
}

impl Scaled {
    pub fn arguments(&self) -> Vec<String> {
        let real = self.real.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
        vec![
            real.to_string(),
            self.begins.to_string(),
            self.scale.to_string(),
            self.set_by.display().to_string(),
        ]
    }

    fn from_arguments(arguments: &[String]) -> Self {
        let [real, begins, scale, set_by] = arguments else { panic!("{arguments:?}") };
        let real = SystemTime::UNIX_EPOCH + Duration::from_nanos(real.parse().unwrap());
        let (begins, scale) = (begins.parse().unwrap(), scale.parse().unwrap());
        Self { real, begins, scale, set_by: set_by.into() }
    }

    /// The time that it would be had nobody set the hands.
    pub fn unset(&self) -> Timestamp {
        self.begins + self.uptime()
    }

    /// Sets the hands.
    pub fn set_by(&self, seconds: i64) {
        let new = self.set_by.with_extension("new");
        std::fs::write(&new, seconds.to_string()).unwrap();
        std::fs::rename(new, &self.set_by).unwrap();
    }
}

impl Clock for Scaled {
    fn now(&self) -> Timestamp {
        let set_by = std::fs::read_to_string(&self.set_by).unwrap_or_default();
        let seconds: i64 = set_by.trim().parse().unwrap_or(0);
        self.unset() + jiff::SignedDuration::from_secs(seconds)
    }
}

impl Timepiece for Scaled {
    fn uptime(&self) -> Duration {
        self.real.elapsed().unwrap() * self.scale
    }

    fn wait(&self, duration: Duration) -> Duration {
        duration / self.scale
    }
}

/// `lifeboat daemon`, by the clock that the arguments after the site file tell of.
pub fn daemon(arguments: &[String]) -> ExitCode {
    let (site, clock) = arguments.split_first().unwrap();
    let clock = Scaled::from_arguments(clock);
    tracing_subscriber::fmt().with_env_filter("lifeboat=debug").with_writer(std::io::stderr).init();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    match runtime.block_on(serve(Path::new(site), clock)) {
        Ok(Ended::Drained) => ExitCode::SUCCESS,
        Ok(Ended::Interrupted) => ExitCode::from(130),
        Ok(Ended::Stuck) => std::process::exit(131),
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(site: &Path, clock: Scaled) -> Result<Ended, daemon::Error> {
    let wishes = daemon::of_signals().unwrap();
    let setup = policy::load(site, &Caller::current()).unwrap();
    let clock = Arc::new(Steady::new(clock));
    let rooms = Rooms {
        state: State::open(&setup.site.state).await.unwrap(),
        clock: clock.clone(),
        progress: Arc::new(Logged),
        interrupted: Arc::default(),
        actor: Actor { name: "daemon".into(), host: process::host_name() },
        host: Host {
            launcher: Launcher::this_program(),
            postgres: postgres::Engines::of(&setup.site.engines),
            mysql: mysql::Engines::of(&setup.site.engines),
        },
        outbox: account::outbox_beside(&setup.site.state),
    };
    let site = site.to_owned();
    let load = move || policy::load(&site, &Caller::current());
    daemon::run(setup, House { rooms: Arc::new(rooms), clock, load: Arc::new(load) }, wishes).await
}
