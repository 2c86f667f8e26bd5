//! Systems that only their owner's own programs know: captured, recovered and checked by those.
//!
//! In: three programs (argv, no shell). Out: what the first one prints, as one file, and what it
//! reports of it; later the same report of the third one, on what the second one made of that file.
//! The contract is docs/command.md.

mod capture;
mod recover;
mod report;
mod running;

pub use recover::Error as RecoverError;
pub use report::{Malformed, Report};
pub use running::Error as RunError;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use super::{Capture, Context, Error, Facts, Grants, Ready, Recovered, Sink, Source, Trouble};
use crate::ground::ids::Name;
use crate::policy::sources::CommandSettings;
use crate::sandbox::Scratch;

/// The one entry of a capture.
pub const FILE: &str = "output";

/// The variable that names the file into which a program reports.
const REPORT: &str = "LIFEBOAT_REPORT";

/// A source of `kind = "command"`.
#[derive(Debug, Clone)]
pub struct Command {
    name: Name,
    settings: CommandSettings,
}

impl Command {
    /// The source `name` of a policy.
    pub fn new(name: Name, settings: CommandSettings) -> Self {
        Self { name, settings }
    }
}

impl Source for Command {
    fn probe(&self, _: &Context) -> Result<Facts, Error> {
        let CommandSettings { capture, recover, check, secrets, .. } = &self.settings;
        for argv in [capture, recover, check] {
            is_program(Path::new(&argv[0]))?;
        }
        for secret in secrets {
            secret.value.reveal().map_err(|error| unreadable(&secret.variable, error))?;
        }
        let told = "how much it holds is not known: only its own program knows it";
        Ok(Facts {
            engine: format!("the program {}", capture[0]),
            scratch_bytes: 0,
            warnings: vec![told.to_owned()],
        })
    }

    fn grants(&self) -> Grants {
        let CommandSettings { capture, recover, check, .. } = &self.settings;
        Grants {
            client: "",
            needs: vec![
                format!("who runs lifeboat may run {}", capture[0]),
                format!(
                    "on the host of the drill the user that scratch servers run as may read and run \
                     {} and {}, which are all of their folders that it sees",
                    recover[0], check[0]
                ),
            ],
            statements: Vec::new(),
        }
    }

    fn capture(&self, context: &Context, out: &dyn Sink) -> Result<Capture, Error> {
        capture::capture(&self.name, &self.settings, context, out)
    }

    fn prepare(&self, _: &Capture, scratch: &Scratch) -> Result<Option<Box<dyn Ready>>, Trouble> {
        recover::prepare(&self.name, &self.settings, scratch).map(Some)
    }

    fn recover(
        &self,
        _: &Capture,
        data: &Path,
        scratch: &Scratch,
    ) -> Result<Box<dyn Recovered>, Trouble> {
        recover::prepare(&self.name, &self.settings, scratch)?.recover(data, scratch)
    }
}

fn is_program(path: &Path) -> Result<(), Error> {
    let object = path.display().to_string();
    let found = std::fs::metadata(path).map_err(|source| Error::Io {
        action: "look at",
        object: object.clone(),
        source,
    })?;
    if found.is_file() && found.permissions().mode() & 0o111 != 0 {
        return Ok(());
    }
    Err(Error::Engine { object, what: "is no program that can be run".to_owned(), source: None })
}

/// A secret that the capture needs cannot be had.
fn unreadable(variable: &str, error: crate::ground::secret::Error) -> Error {
    Error::Engine {
        object: format!("the variable {variable}"),
        what: "its value cannot be read".to_owned(),
        source: Some(Box::new(error)),
    }
}
