//! Programs we run to their end, and telling a living process from a recycled number.

use std::io::{self, Read};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How long the pipes of a program that ended are waited for.
const GRACE: Duration = Duration::from_secs(1);

/// Why a program did not do its work.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the program's argument list is empty")]
    NoProgram,
    #[error("cannot start {program}")]
    Start { program: String, source: io::Error },
    #[error("{program} ended with {status}{}", said(stderr))]
    Failed { program: String, status: ExitStatus, stderr: String },
    #[error("{program} was killed after {} s without an answer", limit.as_secs())]
    TimedOut { program: String, limit: Duration },
    #[error("{program} was killed: interrupted")]
    Stopped { program: String },
    #[error("cannot read what {program} printed")]
    Read { program: String, source: io::Error },
}

/// What a program said, if anything, after what became of it.
fn said(stderr: &str) -> String {
    if stderr.is_empty() { String::new() } else { format!(": {stderr}") }
}

/// Runs `argv` (no shell, no input) and returns its standard output; blocking.
///
/// The program is killed, with its process group, when it takes longer than `limit`. At most the
/// last 2,000 characters of its standard error stand in [`Error::Failed`].
pub fn output(argv: &[String], limit: Duration) -> Result<Vec<u8>, Error> {
    output_unless(&|| false, argv, limit)
}

/// As [`output`], but the program is killed too once `stop` says so.
pub fn output_unless(
    stop: &dyn Fn() -> bool,
    argv: &[String],
    limit: Duration,
) -> Result<Vec<u8>, Error> {
    let (program, arguments) = argv.split_first().ok_or(Error::NoProgram)?;
    let mut command = Command::new(program);
    command.args(arguments);
    output_of(stop, command, limit)
}

/// As [`output_unless`], of a command with an environment of its own.
pub fn output_of(
    stop: &dyn Fn() -> bool,
    mut command: Command,
    limit: Duration,
) -> Result<Vec<u8>, Error> {
    use std::os::unix::process::CommandExt;

    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|source| Error::Start { program: program.clone(), source })?;
    let stdout = drain(child.stdout.take());
    let stderr = drain(child.stderr.take());
    let deadline = Instant::now() + limit;
    let read = |source| Error::Read { program: program.clone(), source };
    let status = loop {
        if let Some(status) = child.try_wait().map_err(read)? {
            break status;
        }
        if Instant::now() >= deadline {
            kill_group(child.id());
            child.wait().map_err(read)?;
            return Err(Error::TimedOut { program, limit });
        }
        if stop() {
            kill_group(child.id());
            child.wait().map_err(read)?;
            return Err(Error::Stopped { program });
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    kill_group(child.id());
    let printed = stdout.take().map_err(read)?;
    let complaints = stderr.take().map_err(read)?;
    if status.success() {
        return Ok(printed);
    }
    let complaints = String::from_utf8_lossy(&complaints).trim().to_owned();
    let skip = complaints.chars().count().saturating_sub(2000);
    Err(Error::Failed { program, status, stderr: complaints.chars().skip(skip).collect() })
}

/// What comes out of a pipe while its program runs.
struct Drain {
    bytes: Arc<Mutex<Vec<u8>>>,
    ended: Receiver<io::Result<()>>,
}

fn drain(pipe: Option<impl Read + Send + 'static>) -> Drain {
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let (done, ended) = channel();
    let into = bytes.clone();
    std::thread::spawn(move || {
        let copied = pipe.map_or(Ok(()), |mut pipe| {
            let mut buffer = [0; 8 * 1024];
            loop {
                match pipe.read(&mut buffer) {
                    Ok(0) => return Ok(()),
                    Ok(count) => {
                        let mut bytes = into.lock().unwrap_or_else(PoisonError::into_inner);
                        bytes.extend_from_slice(&buffer[..count]);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(error),
                }
            }
        });
        // Nobody listens any more where a daemon kept the pipe.
        let _ = done.send(copied);
    });
    Drain { bytes, ended }
}

impl Drain {
    /// What the program printed, once it ended. A daemon that it left behind holds the pipe open
    /// for good: that is not waited for.
    fn take(self) -> io::Result<Vec<u8>> {
        match self.ended.recv_timeout(GRACE) {
            Ok(copied) => copied?,
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(io::Error::other("the reading thread died"));
            }
        }
        Ok(std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

/// Ends what a finished or late program left running in its process group.
fn kill_group(id: u32) {
    if let Some(group) = i32::try_from(id).ok().and_then(rustix::process::Pid::from_raw) {
        // An empty group is the wanted state, so its error says nothing.
        let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
    }
}

/// A process told apart from any later one that gets the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Identity {
    pub pid: u32,
    /// Clock ticks since boot at which it started: field 22 of `/proc/<pid>/stat`, see proc(5).
    pub started_ticks: u64,
}

impl Identity {
    /// This very process.
    pub fn me() -> Self {
        let pid = std::process::id();
        Self { pid, started_ticks: started_ticks(pid).unwrap_or(0) }
    }

    /// Whether that process, and no successor under its number, still runs.
    pub fn is_alive(&self) -> bool {
        started_ticks(self.pid) == Some(self.started_ticks)
    }
}

/// Where a process's number counts: one run of a kernel, and a process namespace in it.
///
/// A host's name tells less: after a restart the same number can start at the same tick, containers of
/// one name count their own processes, and two machines may share a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Realm {
    /// `/proc/sys/kernel/random/boot_id`, see random(4).
    pub boot: String,
    /// See pid_namespaces(7).
    pub namespace: String,
}

impl Realm {
    /// Where this very process is.
    pub fn here() -> Self {
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        Self { boot: boot.trim().to_owned(), namespace: namespace.to_string_lossy().into_owned() }
    }
}

fn started_ticks(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The command's name, field 2, is in brackets and may hold blanks and brackets itself.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    // One that has ended and that nobody waited for does nothing any more.
    let has_ended = matches!(fields.next()?, "Z" | "X");
    if has_ended { None } else { fields.nth(18)?.parse().ok() }
}

/// Makes this thread yield to others: its niceness becomes at least `nice`, 0 to 19.
///
/// Threads and programs that it starts inherit that. The disk's scheduler goes by niceness too, as
/// long as nobody set an I/O priority: ioprio_set(2). An ordinary user cannot take it back.
pub fn yield_to_others(nice: u8) -> io::Result<()> {
    // Of nobody in particular is, on Linux, of this thread: setpriority(2), "C library/kernel
    // differences".
    let now = rustix::process::getpriority_process(None)?;
    Ok(rustix::process::setpriority_process(None, now.max(i32::from(nice)))?)
}

/// This host's name, as locks and records carry it.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn argv(words: &[&str]) -> Vec<String> {
        words.iter().map(|word| (*word).to_owned()).collect()
    }

    #[test]
    fn a_program_that_fails_reports_its_last_words() {
        let error =
            output(&argv(&["sh", "-c", "echo no such shop >&2; exit 7"]), Duration::from_secs(10))
                .unwrap_err();

        assert!(error.to_string().contains("no such shop"), "{error}");
        let silent = output(&argv(&["false"]), Duration::from_secs(10)).unwrap_err();
        assert_eq!(silent.to_string(), "false ended with exit status: 1");
    }

    #[test]
    fn a_program_that_hangs_is_killed_with_its_children() {
        let begun = Instant::now();

        let error = output(&argv(&["sh", "-c", "sleep 60 & sleep 60"]), Duration::from_millis(100))
            .unwrap_err();

        assert!(matches!(error, Error::TimedOut { .. }), "{error:?}");
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn a_thread_that_yields_takes_what_it_starts_along_and_nobody_else() {
        let nice = |of: &str| {
            let stat = std::fs::read_to_string(format!("/proc/{of}/stat")).unwrap();
            let fields = stat.rsplit_once(')').unwrap().1;
            fields.split_whitespace().nth(16).unwrap().parse::<i32>().unwrap()
        };
        let before = nice("thread-self");
        let wanted = before.max(7);

        let (own, thread, program) = std::thread::spawn(move || {
            yield_to_others(7).unwrap();
            // A lower one later changes nothing.
            yield_to_others(3).unwrap();
            let thread = std::thread::spawn(move || nice("thread-self")).join().unwrap();
            let printed = output(&argv(&["cat", "/proc/self/stat"]), Duration::from_secs(10));
            let stat = String::from_utf8(printed.unwrap()).unwrap();
            let program = stat.split_whitespace().nth(18).unwrap().parse::<i32>().unwrap();
            (nice("thread-self"), thread, program)
        })
        .join()
        .unwrap();

        assert_eq!((own, thread, program), (wanted, wanted, wanted));
        assert_eq!(nice("thread-self"), before);
    }

    #[test]
    fn a_process_that_ended_is_gone_though_nobody_waited_for_it() {
        let mut child = Command::new("sleep").arg("600").spawn().unwrap();
        let started_ticks = started_ticks(child.id()).unwrap();
        let process = Identity { pid: child.id(), started_ticks };
        assert!(process.is_alive());

        child.kill().unwrap();

        let begun = Instant::now();
        while process.is_alive() {
            assert!(begun.elapsed() < Duration::from_secs(30), "a zombie passes for alive");
        }
        child.wait().unwrap();
    }

    #[test]
    fn a_recycled_number_is_not_the_same_process() {
        let me = Identity::me();

        assert!(me.is_alive());
        assert!(!Identity { started_ticks: me.started_ticks + 1, ..me }.is_alive());
    }
}
