//! Confined children, seen from both sides: this program is parent and child, as lifeboat is.
//!
//! Every case runs as this user; run as root, the whole file runs once more as an ordinary user.

mod ordinary;

use std::fs::Permissions;
use std::io::{self, BufRead, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use lifeboat::sandbox::{self, Confined, Error, Launcher, Limits, Scratch, TOKEN_VARIABLE};
use ordinary::all_of_it_holds_for_an_ordinary_user;

const LONG: Duration = Duration::from_secs(60);

fn main() -> ExitCode {
    if let Some(code) = sandbox::role_requested(&[("obey", obey)]) {
        return code;
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, root] = arguments.as_slice()
        && mode == "own-a-scratch"
    {
        return own_a_scratch(Path::new(root));
    }
    let filter = arguments.iter().find(|argument| !argument.starts_with('-'));
    let chosen = CASES.iter().filter(|(name, _)| filter.is_none_or(|part| name.contains(part)));
    for (name, case) in chosen {
        case();
        println!("test {name} ... ok");
    }
    ExitCode::SUCCESS
}

const CASES: [(&str, fn()); 10] = [
    ("a_file_outside_the_scratch_is_out_of_reach", a_file_outside_the_scratch_is_out_of_reach),
    ("the_environment_holds_nothing_of_ours", the_environment_holds_nothing_of_ours),
    ("there_is_no_network", there_is_no_network),
    ("privileges_and_descendants_are_gone", privileges_and_descendants_are_gone),
    ("memory_processor_and_files_are_bounded", memory_processor_and_files_are_bounded),
    ("a_child_that_is_late_is_killed", a_child_that_is_late_is_killed),
    ("a_child_that_breaks_the_protocol_is_over", a_child_that_breaks_the_protocol_is_over),
    (
        "a_child_outlives_the_thread_that_asked_for_it",
        a_child_outlives_the_thread_that_asked_for_it,
    ),
    ("nothing_is_left_of_an_owner_that_was_killed", nothing_is_left_of_an_owner_that_was_killed),
    ("all_of_it_holds_for_an_ordinary_user", all_of_it_holds_for_an_ordinary_user),
];

/// The child: does what it is told and answers what came of it.
fn obey(input: &mut dyn BufRead, output: &mut dyn Write) -> io::Result<()> {
    let mut line = String::new();
    while input.read_line(&mut line)? > 0 {
        let words: Vec<&str> = line.split_whitespace().collect();
        let answer = match words.as_slice() {
            ["read", path] => show(std::fs::read_to_string(path)),
            ["write", path] => show(std::fs::write(path, "new").map(|()| "written")),
            ["connect", address] => show(TcpStream::connect(address).map(|_| "connected")),
            ["send", address] => show(
                UdpSocket::bind("0.0.0.0:0")
                    .and_then(|socket| socket.send_to(b"x", address))
                    .map(|_| "sent"),
            ),
            ["environment"] => std::env::vars().map(|(name, _)| name).collect::<Vec<_>>().join(" "),
            ["execute"] => show(Command::new("/bin/true").status().map(|_| "ran")),
            ["thread"] => show(std::thread::Builder::new().spawn(|| ()).map(|_| "started")),
            ["become-root"] => {
                show(rustix::thread::set_thread_uid(rustix::thread::Uid::ROOT).map(|()| "root"))
            }
            ["chroot"] => show(rustix::process::chroot(".").map(|()| "moved")),
            ["eat"] => {
                let mut eaten: Vec<Vec<u8>> = Vec::new();
                loop {
                    eaten.push(vec![1; 1 << 20]);
                }
            }
            ["spin"] => loop {
                std::hint::spin_loop();
            },
            ["grow"] => show(std::fs::write("large", vec![0; 8 << 20]).map(|()| "grown")),
            ["babble"] => "one\ntwo".to_owned(),
            ["flood"] => loop {
                output.write_all(&[b'x'; 1 << 16])?;
            },
            ["fail"] => return Err(io::Error::other("no such shop")),
            _ => "pong".to_owned(),
        };
        writeln!(output, "{answer}")?;
        output.flush()?;
        line.clear();
    }
    Ok(())
}

fn show<T: std::fmt::Display, E: std::fmt::Display>(result: Result<T, E>) -> String {
    match result {
        Ok(value) => format!("ok {value}"),
        Err(error) => format!("refused {error}"),
    }
}

fn limits() -> Limits {
    Limits { memory_bytes: 512 << 20, cpu_seconds: 60, file_bytes: 4 << 20, wall: LONG }
}

struct Bench {
    /// Holds the scratch root, and is private, as a user's home may be.
    folder: tempfile::TempDir,
    scratch: Scratch,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(&folder.path().join("scratch"), None).unwrap();
        Self { folder, scratch }
    }

    fn child(&self, limits: Limits) -> Confined {
        Confined::spawn(&Launcher::this_program(), "obey", &self.scratch, limits).unwrap()
    }
}

fn ask(child: &mut Confined, line: &str) -> String {
    child.ask(line, LONG).unwrap()
}

fn a_file_outside_the_scratch_is_out_of_reach() {
    let bench = Bench::new();
    let canary = bench.folder.path().join("canary");
    std::fs::write(&canary, "canary-word").unwrap();
    std::fs::write(bench.scratch.dir().join("orders.db"), "rows").unwrap();
    std::os::unix::fs::symlink(&canary, bench.scratch.dir().join("link")).unwrap();
    bench.scratch.hand_over(bench.scratch.dir()).unwrap();
    let open = tempfile::NamedTempFile::new().unwrap();
    std::fs::set_permissions(open.path(), Permissions::from_mode(0o666)).unwrap();
    let mut child = bench.child(limits());

    assert_eq!(ask(&mut child, "read orders.db"), "ok rows");
    assert_eq!(ask(&mut child, "write orders.db-wal"), "ok written");
    for outside in
        [canary.to_str().unwrap(), "link", "/etc/passwd", "/proc/self/environ", "../token"]
    {
        let answer = ask(&mut child, &format!("read {outside}"));
        assert!(answer.starts_with("refused"), "{outside}: {answer}");
    }
    let answer = ask(&mut child, &format!("write {}", open.path().display()));
    assert!(answer.starts_with("refused"), "{answer}");
    child.end().unwrap();
    assert!(bench.scratch.dir().join("orders.db-wal").exists());
}

fn the_environment_holds_nothing_of_ours() {
    let bench = Bench::new();
    let mut child = bench.child(limits());

    let names = ask(&mut child, "environment");

    let mut names: Vec<_> = names.split(' ').collect();
    names.sort_unstable();
    assert_eq!(names, ["LANG", TOKEN_VARIABLE, "TMPDIR"]);
}

fn there_is_no_network() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    TcpStream::connect(address).unwrap();
    let bench = Bench::new();
    let mut child = bench.child(limits());

    for deed in ["connect", "send"] {
        if deed == "send" && !child.confinement().own_network {
            continue; // Landlock alone denies TCP only, and says so.
        }
        let answer = ask(&mut child, &format!("{deed} {address}"));
        assert!(answer.starts_with("refused"), "{deed}: {answer}");
    }
}

fn privileges_and_descendants_are_gone() {
    let bench = Bench::new();
    let mut child = bench.child(limits());

    for deed in ["become-root", "chroot", "execute", "thread"] {
        let answer = ask(&mut child, deed);
        assert!(answer.starts_with("refused"), "{deed}: {answer}");
    }
    let me = rustix::process::geteuid();
    let expected = if me.is_root() { 65534 } else { me.as_raw() };
    assert_eq!(child.confinement().uid, expected);
    println!("  {}", child.confinement());
}

fn memory_processor_and_files_are_bounded() {
    let bench = Bench::new();
    let tight = Limits { memory_bytes: 128 << 20, cpu_seconds: 1, ..limits() };
    for (deed, sign) in [("eat", "memory"), ("spin", ""), ("grow", "a file grew too large")] {
        let error = bench.child(tight).ask(deed, LONG).unwrap_err();

        assert!(matches!(error, Error::Ended { .. }), "{deed}: {error:?}");
        assert!(error.to_string().contains(sign), "{deed}: {error}");
    }
}

fn a_child_that_is_late_is_killed() {
    let bench = Bench::new();
    let begun = Instant::now();

    let late = bench.child(limits()).ask("spin", Duration::from_millis(200)).unwrap_err();
    let short = Limits { wall: Duration::from_secs(2), ..limits() };
    let over = bench.child(short).ask("spin", LONG).unwrap_err();

    assert!(matches!(late, Error::TimedOut { .. }), "{late:?}");
    assert!(matches!(over, Error::TimedOut { .. }), "{over:?}");
    assert!(begun.elapsed() < LONG / 2);
    assert!(processes_with(bench.scratch.token()).is_empty());
}

fn a_child_that_breaks_the_protocol_is_over() {
    let bench = Bench::new();
    let mut child = bench.child(limits());
    assert_eq!(ask(&mut child, "babble"), "one");
    let stray = loop {
        // Its second line may still be on the way.
        match child.ask("ping", LONG) {
            Ok(answer) => assert!(answer == "two" || answer == "pong", "{answer}"),
            Err(error) => break error,
        }
    };
    assert!(matches!(stray, Error::Protocol { .. }), "{stray:?}");
    let after = child.ask("ping", LONG).unwrap_err();
    assert!(matches!(after, Error::Protocol { .. }), "{after:?}");

    let flood = bench.child(limits()).ask("flood", LONG).unwrap_err();
    assert!(flood.to_string().contains("too long"), "{flood}");
    let failed = bench.child(limits()).ask("fail", LONG).unwrap_err();
    assert!(failed.to_string().contains("no such shop"), "{failed}");
    let unknown = Confined::spawn(&Launcher::this_program(), "dance", &bench.scratch, limits());
    assert!(matches!(unknown, Err(Error::Refused { .. })), "{unknown:?}");
}

fn a_child_outlives_the_thread_that_asked_for_it() {
    let bench = Bench::new();
    let mut child =
        std::thread::scope(|scope| scope.spawn(|| bench.child(limits())).join().unwrap());

    assert_eq!(ask(&mut child, "ping"), "pong");
}

/// The helper that gets killed: owns a scratch with a busy child, and says so.
fn own_a_scratch(root: &Path) -> ExitCode {
    let scratch = Scratch::create(root, None).unwrap();
    let mut child = Confined::spawn(&Launcher::this_program(), "obey", &scratch, limits()).unwrap();
    println!("{}", scratch.token());
    let _ = child.ask("spin", LONG);
    ExitCode::FAILURE
}

fn nothing_is_left_of_an_owner_that_was_killed() {
    let root = tempfile::tempdir().unwrap();
    let mut owner = Command::new("/proc/self/exe")
        .arg("own-a-scratch")
        .arg(root.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut token = String::new();
    io::BufReader::new(owner.stdout.take().unwrap()).read_line(&mut token).unwrap();
    let token = token.trim();
    assert!(root.path().join(token).exists());
    assert!(sandbox::sweep(root.path()).unwrap().is_empty(), "a living owner was swept");

    owner.kill().unwrap();
    owner.wait().unwrap();
    let swept = sandbox::sweep(root.path()).unwrap();

    assert_eq!(swept.len(), 1);
    assert_eq!(swept[0].token, token);
    assert!(swept[0].leftover.is_none(), "{swept:?}");
    assert!(!root.path().join(token).exists());
    assert!(processes_with(token).is_empty());
}

fn processes_with(token: &str) -> Vec<String> {
    let mark = format!("{TOKEN_VARIABLE}={token}");
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let marked = processes.filter(|process| {
        let environment = std::fs::read(process.path().join("environ")).unwrap_or_default();
        environment.split(|byte| *byte == 0).any(|one| one == mark.as_bytes())
    });
    marked.map(|process| process.file_name().to_string_lossy().into_owned()).collect()
}
