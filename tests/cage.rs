//! Cages: foreign programs behind bubblewrap's walls, tried from inside by a shell.
//!
//! Every case runs as this user; run as root, the whole file runs once more as an ordinary user.

mod ordinary;

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use lifeboat::sandbox::{
    self, Bounds, Cage, Ending, Error, Finished, Out, Program, Scratch, TOKEN_VARIABLE,
};

const LONG: Duration = Duration::from_secs(60);

/// Set for the run in which this program owns a scratch until it is killed.
const OWNER: &str = "LIFEBOAT_TEST_CAGE_OWNER";

fn bounds() -> Bounds {
    Bounds { memory_bytes: 256 << 20, processes: 20, file_bytes: 4 << 20, wall: LONG }
}

/// Shared by tests whose few processes the kernel counts as the same user's, and held alone by
/// those that start as many as there may be.
static CROWD: RwLock<()> = RwLock::new(());

fn beside_others() -> RwLockReadGuard<'static, ()> {
    CROWD.read().unwrap_or_else(PoisonError::into_inner)
}

fn alone() -> RwLockWriteGuard<'static, ()> {
    CROWD.write().unwrap_or_else(PoisonError::into_inner)
}

struct Bench<Turn = RwLockReadGuard<'static, ()>> {
    /// Holds the scratch root, and is private, as a user's home may be.
    folder: tempfile::TempDir,
    scratch: Scratch,
    _turn: Turn,
}

impl Bench {
    fn new() -> Self {
        Self::with(beside_others())
    }
}

impl<Turn> Bench<Turn> {
    fn with(turn: Turn) -> Self {
        // As the service has it.
        rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::create(&folder.path().join("scratch"), None).unwrap();
        Self { folder, scratch, _turn: turn }
    }

    fn cage(&self) -> Cage {
        Cage::raise(&self.scratch, self.scratch.dir(), &[], bounds()).unwrap()
    }

    /// Runs a line of shell in a cage.
    fn shell(&self, line: &str) -> Finished {
        self.cage().run(&shell(line), Out::Kept, LONG).unwrap()
    }
}

fn shell(line: &str) -> Program {
    Program::new("/bin/sh").args(["-c", line])
}

fn perl(line: &str) -> String {
    format!("perl -e '{line}' && echo done")
}

fn printed(finished: &Finished) -> String {
    String::from_utf8_lossy(&finished.stdout).into_owned()
}

#[test]
fn a_program_works_on_the_scratch_as_an_unprivileged_user_with_a_name() {
    let bench = Bench::new();
    std::fs::write(bench.scratch.dir().join("orders"), "rows").unwrap();
    bench.scratch.hand_over(bench.scratch.dir()).unwrap();

    let finished = bench.shell("cat orders; id -un; echo new > result; pwd; echo oops >&2; exit 3");

    assert_eq!(finished.ending, Ending::Exited(3));
    let place = bench.scratch.dir().display().to_string();
    assert_eq!(printed(&finished), format!("rowslifeboat\n{place}\n"));
    assert_eq!(finished.stderr, "oops");
    assert_eq!(std::fs::read(bench.scratch.dir().join("result")).unwrap(), b"new\n");
}

#[test]
fn what_is_in_force_is_told_as_it_was_measured() {
    let bench = Bench::new();

    let told = bench.cage().confinement().to_owned();

    let me = rustix::process::geteuid();
    let uid = if me.is_root() { 65534 } else { me.as_raw() };
    for part in [
        "bubblewrap 0.",
        &format!("uid {uid}"),
        "network, process, mount, ipc",
        "no capabilities, no new privileges, filtered system calls",
        "256 MiB",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    println!("{told}");
}

#[test]
fn keys_state_and_secrets_of_the_host_are_not_in_sight() {
    let bench = Bench::new();
    let canary = bench.folder.path().join("canary");
    std::fs::write(&canary, "canary-word").unwrap();
    std::os::unix::fs::symlink(&canary, bench.scratch.dir().join("link")).unwrap();
    let open = tempfile::NamedTempFile::new().unwrap();
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(open.path(), permissions).unwrap();

    for outside in [
        canary.to_str().unwrap(),
        open.path().to_str().unwrap(),
        "link",
        "../token",
        "/etc/shadow",
        "/etc/hostname",
        "/usr/local/bin",
        "/root",
        "/home",
        "/var",
        "/run",
        "/sys",
    ] {
        let finished = bench.shell(&format!("cat {outside} || ls {outside}/"));
        assert!(!matches!(finished.ending, Ending::Exited(0)), "{outside}: {finished:?}");
        assert_eq!(printed(&finished), "", "{outside}");
    }
    for place in ["/", "/etc", "/usr/bin", "/dev", "/proc/sys/kernel/core_pattern", "/tmp"] {
        let finished = bench.shell(&format!("echo x > {place}/x || echo x > {place}"));
        assert!(!matches!(finished.ending, Ending::Exited(0)), "{place}: {finished:?}");
    }
}

#[test]
fn a_room_is_all_that_is_seen_of_the_scratch() {
    let bench = Bench::new();
    let (room, other) = (bench.scratch.dir().join("room"), bench.scratch.dir().join("other"));
    for folder in [&room, &other] {
        std::fs::create_dir(folder).unwrap();
        std::fs::write(folder.join("file"), "here").unwrap();
    }
    bench.scratch.hand_over(bench.scratch.dir()).unwrap();
    let cage = Cage::raise(&bench.scratch, &room, &[], bounds()).unwrap();

    let finished = cage.run(&shell("cat file; ls ..; cat ../other/file"), Out::Kept, LONG).unwrap();

    assert_eq!(printed(&finished), "hereroom\n", "{finished:?}");
}

#[test]
fn the_environment_and_open_files_hold_nothing_of_ours() {
    let bench = Bench::new();

    let finished = bench.shell("env | cut -d= -f1 | sort; ls /proc/self/fd | wc -l");

    let names = format!("HOME\nLANG\n{TOKEN_VARIABLE}\nPATH\nPWD\n4\n");
    assert_eq!(printed(&finished), names, "{finished:?}");
}

#[test]
fn no_network_no_loopback_and_no_abstract_socket_of_the_host_is_reached() {
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = tcp.local_addr().unwrap().port();
    std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
    let name = format!("lifeboat-{}", uuid::Uuid::new_v4());
    let abstract_name = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&abstract_name).unwrap();
    std::os::unix::net::UnixStream::connect_addr(&abstract_name).unwrap();
    let bench = Bench::new();
    let inet = perl(&format!(
        "use Socket; socket(S, PF_INET, SOCK_STREAM, 0) or die \"socket $!\"; \
         connect(S, sockaddr_in({port}, inet_aton(\"127.0.0.1\"))) or die \"connect $!\""
    ));
    let abstract_unix = perl(&format!(
        "use Socket; socket(S, PF_UNIX, SOCK_STREAM, 0) or die \"socket $!\"; \
         connect(S, pack(\"Sa*\", PF_UNIX, \"\\0{name}\")) or die \"connect $!\""
    ));
    let machine = perl("socket(S, 40, 1, 0) or die \"socket $!\"");

    for (deed, sign) in [(inet, "socket"), (abstract_unix, "connect"), (machine, "socket")] {
        let finished = bench.shell(&deed);
        assert!(!printed(&finished).contains("done"), "{deed}");
        assert!(finished.stderr.contains(sign), "{deed}: {finished:?}");
    }
    let links = bench.shell("tail -n +3 /proc/net/dev | cut -d: -f1");
    assert_eq!(printed(&links).trim(), "lo");
}

#[test]
fn privileges_are_not_to_be_had_again() {
    let bench = Bench::new();

    for deed in [
        "unshare --user true",
        "unshare --net true",
        "mount -t tmpfs x /dev/shm",
        "setpriv --reuid=0 true",
        "chroot / true",
        "nsenter -t 1 -m true",
        "kill -9 1 && sleep 1 && kill -0 1 && false",
    ] {
        let finished = bench.shell(deed);
        assert!(!matches!(finished.ending, Ending::Exited(0)), "{deed}: {finished:?}");
    }
}

#[test]
fn memory_processes_files_output_and_time_are_bounded() {
    let bench = Bench::with(alone());
    let cage = bench.cage();
    let run = |line: &str| cage.run(&shell(line), Out::Kept, LONG).unwrap();

    let one_hog = run(&perl("$x = \"x\" x (1 << 30)"));
    assert!(!printed(&one_hog).contains("done"), "{one_hog:?}");
    let hogs =
        run("for n in 1 2 3 4 5 6; do perl -e '$x = \"x\" x (100 << 20); sleep 60' & done; wait");
    assert!(matches!(hogs.ending, Ending::TooMuchMemory { .. }), "{hogs:?}");
    let shared = run("head -c 300M /dev/zero > /dev/shm/x");
    assert!(!matches!(shared.ending, Ending::Exited(0)), "{shared:?}");
    let bomb = run("f() { f | f & }; f; sleep 5");
    assert!(
        matches!(bomb.ending, Ending::TooManyProcesses { .. } | Ending::TooMuchMemory { .. })
            || bomb.stderr.contains("fork"),
        "{bomb:?}"
    );
    let large = run("head -c 8M /dev/zero > large");
    assert_eq!(large.ending, Ending::Signalled(25), "{large:?}");
    let flood = run("cat /dev/zero");
    assert_eq!(flood.ending, Ending::TooMuchOutput);
    let begun = Instant::now();
    let late = cage.run(&shell("sleep 60"), Out::Dropped, Duration::from_millis(300)).unwrap();
    assert!(matches!(late.ending, Ending::TooLate(_)), "{late:?}");
    assert!(begun.elapsed() < LONG / 2);
    assert_eq!(processes_with(bench.scratch.token()), Vec::<String>::new());
}

#[test]
fn a_server_that_rests_is_bounded_once_it_works() {
    let bench = Bench::new();
    let wall = Duration::from_secs(3);
    let bounds = Bounds { wall, ..bounds() };
    let cage = Cage::raise(&bench.scratch, bench.scratch.dir(), &[], bounds).unwrap();
    let mut server = cage.start(&shell("sleep 600")).unwrap();

    server.rest();
    let rested = server.wait(wall + wall / 3).unwrap();
    server.work();
    let at_once = server.wait(wall / 3).unwrap();
    let worked = server.wait(LONG).unwrap();

    assert_eq!(rested, None, "it was ended while it waited for work");
    assert_eq!(at_once, None, "its time ran while it rested");
    assert_eq!(worked, Some(Ending::TooLate(wall)));
}

/// A service's root may lack it, and may then not look into processes of other users.
#[test]
fn bounds_hold_for_a_root_that_may_not_trace() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let _turn = alone();
    let run = Command::new("setpriv")
        .arg("--bounding-set=-sys_ptrace")
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", "memory_processes_files_output_and_time_are_bounded"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && told.contains("1 passed"), "{run:?}");
}

#[test]
fn a_server_lives_with_its_handle_and_its_descendants_die_with_it() {
    let bench = Bench::new();
    let cage = bench.cage();
    let line = "trap 'exit 7' TERM; echo up >&2; setsid sleep 600 & (sleep 600 &) ; while :; do sleep 0.1; done";
    let mut server = cage.start(&shell(line)).unwrap();
    wait_until(|| server.last_words() == "up");
    assert_eq!(server.ended().unwrap(), None);
    assert!(!processes_with(bench.scratch.token()).is_empty());

    server.signal(rustix::process::Signal::TERM).unwrap();

    assert_eq!(server.wait(LONG).unwrap(), Some(Ending::Exited(7)));
    assert_eq!(processes_with(bench.scratch.token()), Vec::<String>::new());
    let dropped = cage.start(&shell(line)).unwrap();
    wait_until(|| dropped.last_words() == "up");
    drop(dropped);
    assert_eq!(processes_with(bench.scratch.token()), Vec::<String>::new());
}

#[test]
fn what_runs_in_a_cage_ends_when_the_run_is_interrupted() {
    let mut bench = Bench::new();
    let interrupted = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    bench.scratch.end_when(interrupted.clone());
    let cage = bench.cage();
    let mut server = cage.start(&shell("sleep 600")).unwrap();

    interrupted.store(true, std::sync::atomic::Ordering::Relaxed);

    assert_eq!(server.wait(LONG).unwrap(), Some(Ending::Stopped));
    let client = cage.run(&shell("sleep 600"), Out::Dropped, LONG).unwrap();
    assert_eq!(client.ending, Ending::Stopped);
}

#[test]
fn a_server_outlives_the_thread_that_asked_for_it() {
    let bench = Bench::new();
    let cage = bench.cage();

    let mut server =
        std::thread::scope(|scope| scope.spawn(|| cage.start(&shell("sleep 600"))).join().unwrap())
            .unwrap();

    assert_eq!(server.wait(Duration::from_millis(300)).unwrap(), None);
}

#[test]
fn nothing_is_left_of_an_owner_that_was_killed() {
    let _turn = beside_others();
    let root = tempfile::tempdir().unwrap();
    let mut owner = Command::new("/proc/self/exe")
        .args(["--exact", "own_a_scratch_until_killed", "--nocapture"])
        .env(OWNER, root.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(owner.stdout.take().unwrap());
    let token = out.lines().find_map(|line| Some(line.ok()?.strip_prefix("token ")?.to_owned()));
    let token = token.unwrap();
    assert!(!processes_with(&token).is_empty());
    assert!(sandbox::sweep(root.path()).unwrap().is_empty(), "a living owner was swept");

    owner.kill().unwrap();
    owner.wait().unwrap();
    let swept = sandbox::sweep(root.path()).unwrap();

    assert_eq!(swept.len(), 1);
    assert_eq!(swept[0].token, token);
    assert!(swept[0].leftover.is_none(), "{swept:?}");
    assert!(!root.path().join(&token).exists());
    assert_eq!(processes_with(&token), Vec::<String>::new());
}

/// Does nothing in an ordinary run.
#[test]
fn own_a_scratch_until_killed() {
    let Some(root) = std::env::var_os(OWNER) else { return };
    let scratch = Scratch::create(Path::new(&root), None).unwrap();
    let cage = Cage::raise(&scratch, scratch.dir(), &[], bounds()).unwrap();
    let server = cage.start(&shell("echo up >&2; setsid sleep 600 & sleep 600")).unwrap();
    wait_until(|| server.last_words() == "up");
    println!("\ntoken {}", scratch.token());
    std::thread::sleep(LONG);
}

#[test]
fn without_bubblewrap_nothing_runs_unless_the_site_waives_it_and_that_is_told() {
    let bench = Bench::new();
    let mut scratch = Scratch::create(&bench.folder.path().join("open"), None).unwrap();
    scratch.waive_sandbox().unwrap();
    let passable = std::os::unix::fs::PermissionsExt::from_mode(0o711);
    std::fs::set_permissions(bench.folder.path(), passable).unwrap();

    let cage = Cage::raise(&scratch, scratch.dir(), &[], bounds()).unwrap();
    let finished = cage.run(&shell("id -u; grep NoNewPrivs /proc/self/status"), Out::Kept, LONG);

    assert!(cage.confinement().starts_with("NO SANDBOX"), "{}", cage.confinement());
    let me = rustix::process::geteuid();
    let uid = if me.is_root() { 65534 } else { me.as_raw() };
    assert_eq!(printed(&finished.unwrap()), format!("{uid}\nNoNewPrivs:\t1\n"));
    let mut late = cage.start(&shell("sleep 600")).unwrap();
    late.kill().unwrap();
    assert_eq!(processes_with(scratch.token()), Vec::<String>::new());
}

#[test]
fn a_program_that_is_not_there_ends_with_its_name() {
    let bench = Bench::new();

    let finished = bench.cage().run(&Program::new("/nowhere/initdb"), Out::Dropped, LONG).unwrap();

    assert_eq!(finished.ending, Ending::Exited(127), "{finished:?}");
    assert!(finished.stderr.contains("/nowhere/initdb"), "{finished:?}");
}

#[test]
fn a_folder_that_is_not_there_is_refused_before_anything_runs() {
    let bench = Bench::new();

    let refused =
        Cage::raise(&bench.scratch, bench.scratch.dir(), &["/nowhere/bin".into()], bounds());

    let Err(Error::Refused { reason }) = refused else { panic!("{refused:?}") };
    assert!(reason.contains("/nowhere/bin"), "{reason}");
}

#[test]
fn all_of_it_holds_for_an_ordinary_user() {
    ordinary::all_of_it_holds_for_an_ordinary_user();
}

fn wait_until(mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < LONG, "it never came");
        std::thread::yield_now();
    }
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
