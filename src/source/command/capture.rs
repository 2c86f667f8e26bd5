//! Capture: what the owner's program prints becomes one entry, with what it reports of it.

use std::io::{self, Read};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::streamed::{none_left_out, put};
use super::super::{Capture, Context, Error, Fingerprint, Kind, Open, Sink, Stream};
use super::report::Report;
use super::running::{self, Order, Running};
use super::{FILE, unreadable};
use crate::ground::ids::Name;
use crate::ground::process;
use crate::policy::sources::CommandSettings;

/// Captures what the program of `settings` prints for the source `name`.
pub(super) fn capture(
    name: &Name,
    settings: &CommandSettings,
    context: &Context,
    out: &dyn Sink,
) -> Result<Capture, Error> {
    let started = context.clock.now();
    let mut secrets = Vec::new();
    for secret in &settings.secrets {
        let value = secret.value.reveal().map_err(|error| unreadable(&secret.variable, error))?;
        secrets.push((secret.variable.clone(), value));
    }
    let order = Order {
        argv: settings.capture.clone(),
        secrets,
        report: context.staging.join(format!("report-{name}")),
        deadline: settings.deadline,
        interrupted: context.interrupted.clone(),
    };
    let ending = Arc::<Ending>::default();
    put(out, FILE, Printed { order, ending: ending.clone() }, context)?;
    let skipped = out.settle()?;
    // A program that failed tells more of it than that its output was left out.
    let (report, bytes) = ending.outcome().map_err(|error| refused(settings, error))?;
    none_left_out(skipped)?;
    Ok(Capture {
        source: name.clone(),
        kind: Kind::Command,
        engine: String::new(),
        host: process::host_name(),
        served: None,
        started,
        consistent_time: started,
        finished: context.clock.now(),
        entries: 1,
        bytes,
        skipped: Vec::new(),
        fingerprint: Fingerprint { parts: report.parts, ..Fingerprint::empty(Kind::Command) },
        answers: Vec::new(),
        cluster: None,
        server: None,
        redis: None,
    })
}

/// Why there is nothing, in the source's terms.
fn refused(settings: &CommandSettings, error: running::Error) -> Error {
    match error {
        running::Error::Interrupted => Error::Interrupted,
        error => Error::Engine {
            object: settings.capture[0].clone(),
            what: "gave nothing that could be kept".to_owned(),
            source: Some(Box::new(error)),
        },
    }
}

/// How it ended, for whoever put the entry: the report, and the bytes that came.
#[derive(Default)]
struct Ending(Mutex<Option<Result<(Report, u64), running::Error>>>);

impl Ending {
    fn outcome(&self) -> Result<(Report, u64), running::Error> {
        let mut outcome = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        outcome.take().unwrap_or(Err(running::Error::Unread))
    }

    fn settle(&self, outcome: Result<(Report, u64), running::Error>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(outcome);
    }

    /// Keeps an error for whoever put the entry; what the sink is told matters less.
    fn fail(&self, error: running::Error) -> io::Error {
        let told = io::Error::other(error.to_string());
        self.settle(Err(error));
        told
    }
}

/// The content of the entry. The program is started when somebody opens it.
struct Printed {
    order: Order,
    ending: Arc<Ending>,
}

impl Open for Printed {
    fn open(self: Box<Self>) -> io::Result<Box<dyn Stream>> {
        let Self { order, ending } = *self;
        match Running::start(order) {
            Ok(running) => Ok(Box::new(Watched { running, ending })),
            Err(error) => Err(ending.fail(error)),
        }
    }
}

struct Watched {
    running: Running,
    ending: Arc<Ending>,
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.running.read(buffer)
    }
}

impl Stream for Watched {
    fn finish(self: Box<Self>) -> io::Result<Option<String>> {
        let Self { running, ending } = *self;
        match running.finish() {
            Ok(report) => {
                let bytes = report.bytes.unwrap_or_default();
                ending.settle(Ok((report, bytes)));
                Ok(None)
            }
            Err(error) => Err(ending.fail(error)),
        }
    }
}
