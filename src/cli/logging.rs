//! Logs: `tracing` to standard error, above the progress bars.
//!
//! `-v` sets the level; `LIFEBOAT_LOG` overrides it with a filter such as `lifeboat::repo=trace`.

use std::io::{self, Write};
use std::sync::Arc;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::output::Output;
use super::progress::Meter;

/// Names the filter that overrides `-v`.
const VARIABLE: &str = "LIFEBOAT_LOG";

/// Sends what the rooms log to standard error from now on; JSON lines with `--json`.
///
/// Only the first call of a process has an effect.
pub(super) fn start(out: &Output, verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => "error",
        (false, 0) => "warn",
        (false, 1) => "warn,lifeboat=info",
        (false, 2) => "info,lifeboat=debug",
        (false, _) => "trace",
    };
    let filter = std::env::var(VARIABLE).ok().and_then(|text| EnvFilter::try_new(text).ok());
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter.unwrap_or_else(|| EnvFilter::new(level)))
        .with_ansi(out.stderr_has_colour())
        .with_writer(AboveBars(out.meter()));
    // `try_init` fails where a subscriber is set already: a test's, which then stays.
    let _ = if out.json() { lines.json().try_init() } else { lines.try_init() };
}

/// Writes each event in one piece, with the bar out of the way.
struct AboveBars(Arc<Meter>);

impl<'a> MakeWriter<'a> for AboveBars {
    type Writer = Above<'a>;

    fn make_writer(&'a self) -> Above<'a> {
        Above(&self.0)
    }
}

struct Above<'a>(&'a Meter);

impl Write for Above<'_> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        self.0.suspended(|| io::stderr().write_all(event))?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
