//! The parent's side of a confined child: one line asked, one line answered.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ChildStderr, ChildStdout, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use rustix::process::{Pid, PidfdFlags, Signal};

use super::protocol::{Confinement, Greeting, Limits, Order, ROLE_ARGUMENT};
use super::{Error, Scratch, TOKEN_VARIABLE};

/// The longest answer that is taken in: a child must not fill its parent's memory.
const ANSWER_BYTES: u64 = 64 << 20;

/// How much of what the child complained of is kept.
const STDERR_BYTES: usize = 2000;

/// How long a child may take to confine itself, and to end once it is asked nothing more.
const GRACE: Duration = Duration::from_secs(20);

/// Which program is started as a confined child; its `main` calls [`super::role_requested`].
#[derive(Debug, Clone)]
pub struct Launcher {
    /// The program's file.
    pub program: PathBuf,
}

impl Launcher {
    /// This very program, also when its file was replaced since it started.
    pub fn this_program() -> Self {
        Self { program: "/proc/self/exe".into() }
    }
}

/// A child in a role, without keys, privileges, network, or files but its scratch's; blocking.
///
/// It dies with its parent, at its limits, and when this value is dropped.
#[derive(Debug)]
pub struct Confined {
    /// Lines for the child; `None` once it is over.
    requests: Option<Sender<Vec<u8>>>,
    answers: Receiver<Result<String, Error>>,
    process: OwnedFd,
    exited: Receiver<io::Result<ExitStatus>>,
    stderr: Option<JoinHandle<String>>,
    confinement: Confinement,
    ends_at: Instant,
}

/// What the thread that started the child hands back.
struct Started {
    process: OwnedFd,
    stdout: ChildStdout,
    stderr: ChildStderr,
}

impl Confined {
    /// Starts `role` in `scratch`, whose [`Scratch::dir`] is the child's working folder and all
    /// it can reach.
    ///
    /// Fails with [`Error::Refused`] where this host gives no confinement worth the name: that is
    /// trouble with the environment, and says nothing of the data.
    pub fn spawn(
        launcher: &Launcher,
        role: &str,
        scratch: &Scratch,
        limits: Limits,
    ) -> Result<Self, Error> {
        let order = Order { parent: std::process::id(), account: scratch.account(), limits };
        let order = serde_json::to_string(&order).expect("numbers always become JSON");
        let mut command = Command::new(&launcher.program);
        command
            .args([ROLE_ARGUMENT, role, &order])
            .current_dir(scratch.dir())
            .env_clear()
            .env(TOKEN_VARIABLE, scratch.token())
            .env("LANG", "C.UTF-8")
            // SQLite's temporary files: the one folder it has.
            .env("TMPDIR", ".")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let (requests, lines) = mpsc::channel();
        let (send_started, started) = mpsc::channel();
        let (send_exited, exited) = mpsc::channel();
        thread("keep", move || keep(command, &lines, &send_started, &send_exited))?;
        let started = started
            .recv()
            .unwrap_or_else(|gone| Err(io::Error::other(gone)))
            .map_err(Error::Start)?;
        let (send_answer, answers) = mpsc::sync_channel(1);
        let stdout = started.stdout;
        let reading = thread("read", move || {
            let mut stdout = BufReader::new(stdout);
            while let Some(answer) = read_answer(&mut stdout) {
                let is_last = answer.is_err();
                if send_answer.send(answer).is_err() || is_last {
                    break;
                }
            }
        });
        let stderr = started.stderr;
        let complaining = thread("stderr", move || last_words(stderr));
        let mut confined = Self {
            requests: Some(requests),
            answers,
            process: started.process,
            exited,
            stderr: None,
            confinement: Confinement::default(),
            ends_at: Instant::now() + limits.wall,
        };
        reading?;
        confined.stderr = Some(complaining?);
        match serde_json::from_str(&confined.answer(GRACE)?) {
            Ok(Greeting::Confined(confinement)) => confined.confinement = confinement,
            Ok(Greeting::Refused(reason)) => return Err(Error::Refused { reason }),
            Err(_) => return Err(Error::Protocol { what: "its greeting cannot be read" }),
        }
        Ok(confined)
    }

    /// What the child gave up.
    pub fn confinement(&self) -> &Confinement {
        &self.confinement
    }

    /// Sends one line (without its end) and waits for the line that answers it.
    ///
    /// After `deadline`, or when its wall time is over, the child is killed. After any error the
    /// child is over, and every further question is [`Error::Protocol`].
    pub fn ask(&mut self, line: &str, deadline: Duration) -> Result<String, Error> {
        let Some(requests) = &self.requests else {
            return Err(Error::Protocol { what: "it was asked after its end" });
        };
        if line.contains('\n') {
            return Err(Error::Protocol { what: "a question has more than one line" });
        }
        match self.answers.try_recv() {
            // Read before the question: it would pass for the answer.
            Ok(_) => {
                self.kill();
                return Err(Error::Protocol { what: "it spoke without being asked" });
            }
            Err(TryRecvError::Disconnected) => return Err(self.ended()),
            Err(TryRecvError::Empty) => {}
        }
        if requests.send(format!("{line}\n").into_bytes()).is_err() {
            return Err(self.ended());
        }
        self.answer(deadline)
    }

    /// Lets the child end by itself; an ending that is no success is an error.
    pub fn end(mut self) -> Result<(), Error> {
        self.requests = None;
        let status = self.exited.recv_timeout(GRACE.min(self.left()));
        match status {
            Ok(Ok(status)) if status.success() => Ok(()),
            Ok(status) => Err(self.ending(status)),
            Err(_) => {
                self.kill();
                Err(Error::TimedOut { limit: GRACE })
            }
        }
    }

    fn left(&self) -> Duration {
        self.ends_at.saturating_duration_since(Instant::now())
    }

    fn answer(&mut self, deadline: Duration) -> Result<String, Error> {
        let limit = deadline.min(self.left());
        match self.answers.recv_timeout(limit) {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => {
                self.kill();
                Err(error)
            }
            Err(RecvTimeoutError::Timeout) => {
                self.kill();
                Err(Error::TimedOut { limit })
            }
            Err(RecvTimeoutError::Disconnected) => Err(self.ended()),
        }
    }

    /// The child closed its output: says how it ended, killing it if it has not.
    fn ended(&mut self) -> Error {
        self.requests = None;
        let status = match self.exited.recv_timeout(Duration::from_secs(1)) {
            Ok(status) => status,
            Err(_) => {
                self.kill();
                self.exited.recv().unwrap_or_else(|gone| Err(io::Error::other(gone)))
            }
        };
        self.ending(status)
    }

    fn ending(&mut self, status: io::Result<ExitStatus>) -> Error {
        let how = match status {
            Ok(status) => describe(status),
            Err(error) => error.to_string(),
        };
        let stderr = self.stderr.take().and_then(|reader| reader.join().ok()).unwrap_or_default();
        Error::Ended { how, stderr }
    }

    fn kill(&mut self) {
        self.requests = None;
        // It may have ended already; the descriptor stands for no other process.
        let _ = rustix::process::pidfd_send_signal(&self.process, Signal::KILL);
    }
}

impl Drop for Confined {
    fn drop(&mut self) {
        self.kill();
        // Until its keeper has waited for it, it would stand in the process table.
        let _ = self.exited.recv_timeout(GRACE);
    }
}

fn thread<T: Send + 'static>(
    does: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, Error> {
    std::thread::Builder::new().name(format!("confined-{does}")).spawn(work).map_err(Error::Start)
}

/// Starts the child, writes its input, waits for its end.
///
/// One thread for all three: the kernel ends the child with the *thread* that started it, and
/// threads of a runtime's pool come and go.
fn keep(
    mut command: Command,
    lines: &Receiver<Vec<u8>>,
    started: &Sender<io::Result<Started>>,
    exited: &Sender<io::Result<ExitStatus>>,
) {
    let mut child = match command.spawn() {
        Ok(child) => child,
        // Nobody to tell means nobody to mind.
        Err(error) => return drop(started.send(Err(error))),
    };
    let mut stdin = child.stdin.take();
    let begun = begin(&mut child);
    if begun.is_err() {
        // It may have ended already, which is what is wanted.
        let _ = child.kill();
    }
    // The receiver waits for exactly this message.
    let _ = started.send(begun);
    for line in lines {
        // A child that no longer reads has ended or will be found late by who waits for it.
        if stdin.as_mut().is_none_or(|stdin| stdin.write_all(&line).is_err()) {
            break;
        }
    }
    drop(stdin.take());
    // The value that would have liked to know may be gone.
    let _ = exited.send(child.wait());
}

fn begin(child: &mut Child) -> io::Result<Started> {
    let missing = || io::Error::other("the child has no such stream");
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw).ok_or_else(missing)?;
    Ok(Started {
        process: rustix::process::pidfd_open(pid, PidfdFlags::empty())?,
        stdout: child.stdout.take().ok_or_else(missing)?,
        stderr: child.stderr.take().ok_or_else(missing)?,
    })
}

/// The next whole line; `None` at the end, also in the middle of a line.
fn read_answer(stdout: &mut impl BufRead) -> Option<Result<String, Error>> {
    let mut line = Vec::new();
    stdout.take(ANSWER_BYTES).read_until(b'\n', &mut line).ok()?;
    if line.pop() != Some(b'\n') {
        let is_too_long = line.len() as u64 + 1 >= ANSWER_BYTES;
        return is_too_long.then_some(Err(Error::Protocol { what: "its answer is too long" }));
    }
    let text = String::from_utf8(line);
    Some(text.map_err(|_| Error::Protocol { what: "its answer is not UTF-8 text" }))
}

/// Reads to the end and keeps the last of it.
fn last_words(mut stderr: ChildStderr) -> String {
    let (mut kept, mut piece) = (Vec::new(), [0; 4096]);
    while let Ok(length @ 1..) = stderr.read(&mut piece) {
        kept.extend_from_slice(&piece[..length]);
        kept.drain(..kept.len().saturating_sub(STDERR_BYTES));
    }
    String::from_utf8_lossy(&kept).trim().to_owned()
}

fn describe(status: ExitStatus) -> String {
    let limit = match status.signal().and_then(Signal::from_named_raw) {
        Some(Signal::XCPU) => "its processor time is used up",
        Some(Signal::XFSZ) => "a file grew too large",
        Some(Signal::ABORT) => "perhaps it ran out of memory",
        _ => return status.to_string(),
    };
    format!("{status}: {limit}")
}
