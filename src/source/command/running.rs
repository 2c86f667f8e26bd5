//! The owner's capture program, watched while it prints.

use std::io::{self, Read};
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use super::REPORT;
use super::report::{self, Malformed, Report};
use crate::ground::secret::{ExposeSecret, SecretString};

/// How often it is looked at whether its time is over.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// Of what it complained of only this much is kept.
const MOST_COMPLAINTS: usize = 2000;

/// Why a program gave nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot start {program}")]
    Start { program: String, source: io::Error },
    #[error("{program} was ended after {} s", limit.as_secs_f64())]
    TooLate { program: String, limit: Duration },
    #[error("interrupted")]
    Interrupted,
    #[error("{program} ended with {status}: {complaints}")]
    Failed { program: String, status: String, complaints: String },
    #[error("cannot read what {program} writes")]
    Read { program: String, source: io::Error },
    #[error("{program} exited well")]
    Report { program: String, source: Malformed },
    #[error("{program} exited well and says that it has written {said} bytes: {came} came")]
    Short { program: String, said: u64, came: u64 },
    #[error("{program} exited well and does not say how many bytes it has written (`end BYTES`)")]
    Untold { program: String },
    #[error("nobody read what it printed to its end")]
    Unread,
}

/// What to run, and how.
pub(super) struct Order {
    pub argv: Vec<String>,
    pub secrets: Vec<(String, SecretString)>,
    /// A file that is not there yet.
    pub report: PathBuf,
    pub deadline: Duration,
    pub interrupted: Arc<AtomicBool>,
}

/// A program that runs; dropped, it is ended with whatever it started.
pub(super) struct Running {
    order: Arc<Order>,
    child: Arc<Mutex<Child>>,
    stdout: ChildStdout,
    complaints: Option<JoinHandle<Vec<u8>>>,
    over: Arc<AtomicBool>,
    /// Why it was ended, where we did.
    why: Arc<Mutex<Option<Error>>>,
    came: u64,
}

impl Running {
    pub fn start(order: Order) -> Result<Self, Error> {
        let program = order.argv[0].clone();
        let mut command = Command::new(&program);
        command
            .args(&order.argv[1..])
            .env_clear()
            .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
            .env("LANG", "C.UTF-8")
            .env(REPORT, &order.report)
            .envs(order.secrets.iter().map(|(name, value)| (name, value.expose_secret())))
            .current_dir("/")
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child =
            command.spawn().map_err(|source| Error::Start { program: program.clone(), source })?;
        let stdout = child.stdout.take().expect("standard output is a pipe");
        let complaints = child.stderr.take().map(|pipe| std::thread::spawn(|| tail(pipe)));
        let running = Self {
            order: Arc::new(order),
            child: Arc::new(Mutex::new(child)),
            stdout,
            complaints,
            over: Arc::default(),
            why: Arc::default(),
            came: 0,
        };
        running.watch();
        Ok(running)
    }

    /// Ends it once its time is over or somebody asks for an end.
    fn watch(&self) {
        let (order, child) = (self.order.clone(), self.child.clone());
        let (over, why) = (self.over.clone(), self.why.clone());
        let begun = Instant::now();
        std::thread::spawn(move || {
            while !over.load(Ordering::Relaxed) {
                let program = order.argv[0].clone();
                let reason = match order.interrupted.load(Ordering::Relaxed) {
                    true => Some(Error::Interrupted),
                    false => (begun.elapsed() > order.deadline)
                        .then_some(Error::TooLate { program, limit: order.deadline }),
                };
                if reason.is_some() {
                    *why.lock().unwrap_or_else(PoisonError::into_inner) = reason;
                    kill(&child);
                    return;
                }
                std::thread::sleep(LOOK_EVERY);
            }
        });
    }

    /// Waits for its end and takes its report, which must tell of as many bytes as came.
    pub fn finish(mut self) -> Result<Report, Error> {
        let status = self.wait()?;
        self.over.store(true, Ordering::Relaxed);
        // What it left running is not wanted; nobody has its number yet.
        kill(&self.child);
        if let Some(why) = self.why.lock().unwrap_or_else(PoisonError::into_inner).take() {
            return Err(why);
        }
        let program = self.order.argv[0].clone();
        if !status.success() {
            let complaints = self.complained();
            return Err(Error::Failed { program, status: status.to_string(), complaints });
        }
        let told = read_report(&self.order.report);
        let told = told.map_err(|source| Error::Read { program: program.clone(), source })?;
        let report = Report::read(&told);
        let report = report.map_err(|source| Error::Report { program: program.clone(), source })?;
        match report.bytes {
            Some(said) if said == self.came => Ok(report),
            Some(said) => Err(Error::Short { program, said, came: self.came }),
            None => Err(Error::Untold { program }),
        }
    }

    fn wait(&self) -> Result<ExitStatus, Error> {
        loop {
            let waited = self.child.lock().unwrap_or_else(PoisonError::into_inner).try_wait();
            match waited {
                Ok(Some(status)) => return Ok(status),
                Ok(None) => std::thread::sleep(LOOK_EVERY / 10),
                Err(source) => {
                    return Err(Error::Read { program: self.order.argv[0].clone(), source });
                }
            }
        }
    }

    /// What it complained of, without the secrets that it was given.
    fn complained(&mut self) -> String {
        let said = self.complaints.take().and_then(|thread| thread.join().ok());
        let said = String::from_utf8_lossy(&said.unwrap_or_default()).into_owned();
        without_secrets(said, &self.order.secrets).trim().to_owned()
    }
}

/// The end of what was said, without the values of `secrets`, nor what a cut left of one at its
/// beginning.
fn without_secrets(said: String, secrets: &[(String, SecretString)]) -> String {
    // Of a character that was cut.
    let mut said = said.trim_start_matches(char::REPLACEMENT_CHARACTER).to_owned();
    for (name, value) in secrets {
        let value = value.expose_secret();
        let ends = value.char_indices().skip(1).map(|(at, _)| &value[at..]);
        if let Some(end) = ends.into_iter().find(|end| said.starts_with(end)) {
            said.drain(..end.len());
        }
        if !value.is_empty() {
            said = said.replace(value, &format!("(the value of {name})"));
        }
    }
    said
}

/// What it reported; nothing where it wrote nothing.
fn read_report(path: &std::path::Path) -> io::Result<Vec<u8>> {
    let mut told = Vec::new();
    match std::fs::File::open(path) {
        Ok(file) => file.take(report::MOST_BYTES + 1).read_to_end(&mut told)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
        Err(error) => return Err(error),
    };
    if told.len() as u64 > report::MOST_BYTES {
        return Err(io::Error::other(Malformed::NoText));
    }
    Ok(told)
}

impl Read for Running {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.stdout.read(buffer)?;
        self.came += count as u64;
        Ok(count)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.over.swap(true, Ordering::Relaxed) {
            kill(&self.child);
            // Nothing waits for it any more; without this it would stay a zombie.
            let _ = self.child.lock().unwrap_or_else(PoisonError::into_inner).wait();
        }
    }
}

/// Ends the program with whatever it started: that may live on, and hold its output open, when the
/// program itself is over.
fn kill(child: &Mutex<Child>) {
    let child = child.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // An empty group is the wanted state, so its error says nothing.
        let _ = rustix::process::kill_process_group(group, Signal::KILL);
    }
}

/// The end of what comes out of a pipe.
fn tail(mut pipe: impl Read) -> Vec<u8> {
    let (mut kept, mut buffer) = (Vec::new(), [0; 4096]);
    while let Ok(count @ 1..) = pipe.read(&mut buffer) {
        kept.extend_from_slice(&buffer[..count]);
        let surplus = kept.len().saturating_sub(MOST_COMPLAINTS);
        kept.drain(..surplus);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_a_secret_shows_where_complaints_were_cut() {
        let secrets = [("CRM".to_owned(), SecretString::from("hünter2"))];
        let told = |said: &str| without_secrets(said.to_owned(), &secrets);

        assert_eq!(told("login hünter2 failed"), "login (the value of CRM) failed");
        for cut in ["ünter2 failed", "\u{fffd}nter2 failed", "nter2 failed", "2 failed"] {
            assert_eq!(told(cut), " failed");
        }
    }
}
