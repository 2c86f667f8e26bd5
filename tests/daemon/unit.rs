//! The unit's restrictions, applied to real backups and drills as far as a machine without systemd
//! allows: bubblewrap does what the unit asks systemd for, from the unit's own lines.
//!
//! Not applied: LockPersonality, RestrictRealtime, KeyringMode, RemoveIPC, and what only a control
//! group can do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::bench::{Bench, Ran, must};
use crate::servers::postgres::Server;

pub const CASES: &[(&str, fn())] = &[
    ("a_drill_passes_under_the_units_restrictions", a_drill_passes_under_the_units),
    ("a_drill_of_postgresql_passes_under_the_units_restrictions", a_drill_of_postgresql_passes),
    ("an_ordinary_users_drill_passes_under_the_drop_in_for_it", an_ordinary_users_drill_passes),
];

/// The unit as it is shipped.
pub const UNIT: &str = include_str!("../../packaging/systemd/lifeboat.service");

/// What is added to it, so that it runs as an ordinary user.
pub const DROP_IN: &str = include_str!("../../packaging/systemd/user.conf");

/// Whom the drop-in's user is played by: nobody of importance.
const ORDINARY: u32 = 65534;

/// A unit with its drop-ins, as systemd reads them.
struct Unit(String);

impl Unit {
    /// All words that are assigned to `name`; an empty assignment begins anew.
    fn words(&self, name: &str) -> Vec<&str> {
        let mut words = Vec::new();
        for value in self.values(name) {
            if value.is_empty() {
                words.clear();
            }
            words.extend(value.split_whitespace());
        }
        words
    }

    /// Whether the last word on `name` is `value`.
    fn says(&self, name: &str, value: &str) -> bool {
        self.values(name).last() == Some(value)
    }

    fn values(&self, name: &str) -> impl Iterator<Item = &str> {
        self.0.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix('='))
    }
}

fn a_drill_passes_under_the_units() {
    let bench = Bench::new();
    let confined = Confined::new(&bench, Unit(UNIT.to_owned()));

    let backup = confined.lifeboat(&["backup", "shop", "--json"]).exits(0).json();
    let drill = confined.lifeboat(&["drill", "shop", "--json"]).exits(0).json();

    assert_eq!(backup["skipped"].as_array().unwrap().len(), 0, "{backup:#}");
    assert_eq!(drill["verdict"], "pass", "{drill:#}");
    assert_eq!(bench.leftovers(), Vec::<PathBuf>::new());
    confined.is_in_force();
    let doctor = confined.lifeboat(&["doctor"]).exits(0).stdout;
    let cage = doctor.lines().find(|line| line.contains("sandbox for servers")).unwrap();
    assert!(cage.contains("own network") && cage.contains("filtered system calls"), "{doctor}");
}

fn a_drill_of_postgresql_passes() {
    let (bench, server) = on_postgresql();
    let confined = Confined::new(&bench, Unit(UNIT.to_owned())).with(server.socket());

    confined.lifeboat(&["backup", "shop", "--json"]).exits(0);
    let drill = confined.lifeboat(&["drill", "shop", "--json"]).exits(0).json();

    assert_eq!(drill["verdict"], "pass", "{drill:#}");
    confined.its_server_was_caged();
    assert_eq!(bench.leftovers(), Vec::<PathBuf>::new());
}

fn an_ordinary_users_drill_passes() {
    let (bench, server) = on_postgresql();
    let unit = Unit(format!("{UNIT}\n{DROP_IN}"));
    assert!(unit.says("User", "lifeboat"));
    let confined = Confined::new(&bench, unit).with(server.socket()).by_ordinary_user();

    confined.lifeboat(&["backup", "shop", "--json"]).exits(0);
    let drill = confined.lifeboat(&["drill", "shop", "--json"]).exits(0).json();

    assert_eq!(drill["verdict"], "pass", "{drill:#}");
    confined.its_server_was_caged();
    confined.is_in_force();
    assert_eq!(bench.leftovers(), Vec::<PathBuf>::new());
}

/// A site whose policy protects a server's database and a folder.
fn on_postgresql() -> (Bench, Server) {
    let server = Server::start(15);
    server.psql("postgres", "CREATE DATABASE shop");
    server.psql("shop", "CREATE TABLE orders AS SELECT n AS id FROM generate_series(1, 500) n");
    let bench = Bench::new();
    let database = format!(
        "kind = \"postgres\"\nhost = {:?}\nuser = \"postgres\"\ndatabases = [\"shop\"]",
        server.socket()
    );
    bench.edit("policies/shop.toml", "kind = \"sqlite\"\npath = \"data/shop.db\"", &database);
    bench.write(
        "drills/weekly.toml",
        "policy = \"acme/shop\"\nname = \"weekly\"\ncontrols = true\n\n[[check]]\n\
         name = \"all orders are there\"\nsource = \"orders\"\n\
         query = \"SELECT count(*) FROM orders\"\nexpect = \"= 500\"\n"
            .to_owned(),
    );
    (bench, server)
}

/// Runs programs as the unit would.
struct Confined<'a> {
    bench: &'a Bench,
    unit: Unit,
    program: PathBuf,
    arguments: Vec<String>,
    /// Before the program: what makes it an ordinary user's.
    user: Vec<String>,
}

impl<'a> Confined<'a> {
    fn new(bench: &'a Bench, unit: Unit) -> Self {
        let mut arguments: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|&word| word.to_owned()));
        assert!(unit.says("ProtectSystem", "strict"));
        add(&["--ro-bind", "/", "/", "--proc", "/proc"]);
        assert!(unit.says("PrivateDevices", "yes"));
        add(&["--dev", "/dev"]);
        assert!(unit.says("PrivateTmp", "yes"));
        add(&["--tmpfs", "/tmp", "--tmpfs", "/var/tmp"]);
        if unit.says("ProtectKernelTunables", "yes") {
            add(&["--ro-bind", "/proc/sys", "/proc/sys"]);
        }
        // What StateDirectory and ReadWritePaths open.
        let place = bench.path("").display().to_string();
        add(&["--bind", &place, &place]);
        add(&["--cap-drop", "ALL"]);
        for capability in unit.words("CapabilityBoundingSet") {
            add(&["--cap-add", capability]);
        }
        fs::write(bench.path("filter"), filter(&unit)).unwrap();
        let program = PathBuf::from(env!("CARGO_BIN_EXE_lifeboat"));
        Self { bench, unit, program, arguments, user: Vec::new() }
    }

    /// With a folder that a service of the machine has in /run, and this test's in /tmp.
    fn with(mut self, folder: &Path) -> Self {
        let folder = folder.display().to_string();
        self.arguments.extend(["--ro-bind".to_owned(), folder.clone(), folder]);
        self
    }

    /// As the user of the unit's `User=`, to whom the site belongs then. Becoming one takes rights
    /// that are gone afterwards.
    fn by_ordinary_user(mut self) -> Self {
        assert_eq!(self.unit.words("CapabilityBoundingSet"), Vec::<&str>::new());
        for needed in ["CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"] {
            self.arguments.extend(["--cap-add".to_owned(), needed.to_owned()]);
        }
        let become_user = format!("setpriv --reuid={ORDINARY} --regid={ORDINARY} --clear-groups");
        let become_user = format!("{become_user} --bounding-set=-all --no-new-privs --");
        self.user = become_user.split(' ').map(str::to_owned).collect();
        self.program = self.bench.path("lifeboat");
        fs::copy(env!("CARGO_BIN_EXE_lifeboat"), &self.program).unwrap();
        let owner = format!("{ORDINARY}:{ORDINARY}");
        must(Command::new("chown").args(["-R", &owner]).arg(self.bench.path("")));
        self
    }

    fn lifeboat(&self, arguments: &[&str]) -> Ran {
        let config = self.bench.path("lifeboat.toml").display().to_string();
        let program = self.program.display().to_string();
        self.run(&[&[program.as_str()], arguments, &["--config", &config]].concat())
    }

    /// The report of the last drill tells of walls.
    fn its_server_was_caged(&self) {
        let told = self.lifeboat(&["report", "drill", "shop"]).exits(0).stdout;
        assert!(told.contains("bubblewrap") && told.contains("own network"), "{told}");
    }

    fn run(&self, program: &[&str]) -> Ran {
        let filter = self.bench.path("filter").display().to_string();
        let mut rights = self.unit.words("CapabilityBoundingSet");
        if !self.user.is_empty() {
            // What bubblewrap and the change of user take, both of which come before the program.
            rights.extend(["CAP_SYS_ADMIN", "CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP"]);
        }
        let bounds = rights.iter().map(|name| format!(",+{}", name[4..].to_lowercase()));
        let script = "filter=$1 bounds=$2; shift 2
            exec setpriv --bounding-set \"$bounds\" bwrap --seccomp 9 \"$@\" 9<\"$filter\"";
        Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(filter)
            .arg(format!("-all{}", bounds.collect::<String>()))
            .args(&self.arguments)
            .arg("--")
            .args(&self.user)
            .args(program)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output()
            .unwrap()
            .into()
    }

    /// The restrictions hold for what is run in them.
    fn is_in_force(&self) {
        assert!(self.unit.says("NoNewPrivileges", "yes"));
        let status = self.run(&["cat", "/proc/self/status"]).exits(0).stdout;
        let is = |line: &str| status.lines().any(|other| other.replace('\t', " ") == line);
        assert!(is("NoNewPrivs: 1") && is("Seccomp: 2"), "{status}");
        let bounding = status.lines().find(|line| line.starts_with("CapBnd:")).unwrap();
        let bounding = u64::from_str_radix(bounding[7..].trim(), 16).unwrap();
        // A machine may lack some of them itself.
        let most = self.unit.words("CapabilityBoundingSet").len();
        let least = most.min(1);
        assert!((least..=most).contains(&(bounding.count_ones() as usize)), "{bounding:x}");
        assert_ne!(self.run(&["touch", "/etc/lifeboat-was-here"]).code, 0, "/etc was written to");
        assert!(!Path::new("/etc/lifeboat-was-here").exists());
        let packet = "use Socket; socket(my $s, 17, SOCK_RAW, 0) or die $!";
        let refused = self.run(&["perl", "-e", packet]);
        assert!(refused.stderr.contains("Address family not supported"), "{}", refused.stderr);
        let swap = self.run(&["swapoff", "/nonexistent"]);
        // Its words for EPERM; where CAP_SYS_ADMIN is there, it was the filter.
        assert!(swap.stderr.contains("Not superuser"), "{}", swap.stderr);
    }
}

/// The unit's system calls and socket families as a program for seccomp(2).
fn filter(unit: &Unit) -> Vec<u8> {
    let numbers = numbers();
    let mut allowed = BTreeSet::new();
    for word in unit.words("SystemCallFilter") {
        match word.strip_prefix('~') {
            // The rest of such a line is denied too, as systemd reads it.
            Some(_) => break,
            None => allowed.extend(expanded(word)),
        }
    }
    let denied = unit.values("SystemCallFilter").filter_map(|value| value.strip_prefix('~'));
    for word in denied.flat_map(str::split_whitespace) {
        for call in expanded(word) {
            allowed.remove(&call);
        }
    }
    assert!(allowed.contains("landlock_restrict_self") && !allowed.contains("swapoff"));
    assert!(unit.says("SystemCallErrorNumber", "EPERM"));
    assert!(unit.says("SystemCallArchitectures", "native"));
    const LOAD: u16 = 0x20;
    const EQUAL: u16 = 0x15;
    const ANSWER: u16 = 0x06;
    const ALLOW: u32 = 0x7fff_0000;
    const ERRNO: u32 = 0x0005_0000;
    let (not_permitted, no_family) = (ERRNO | 1, ERRNO | 97);
    let architecture = if cfg!(target_arch = "x86_64") { 0xc000_003e } else { 0xc000_00b7 };
    let mut program: Vec<(u16, u8, u8, u32)> = vec![
        (LOAD, 0, 0, 4),
        (EQUAL, 1, 0, architecture),
        (ANSWER, 0, 0, not_permitted),
        (LOAD, 0, 0, 0),
    ];
    let families: Vec<u32> =
        unit.words("RestrictAddressFamilies").into_iter().map(family).collect();
    // Past the families: one load, two instructions each, one refusal.
    let past = u8::try_from(families.len() * 2 + 2).unwrap();
    program.push((EQUAL, 0, past, numbers["socket"]));
    program.push((LOAD, 0, 0, 16));
    for family in families {
        program.extend([(EQUAL, 0, 1, family), (ANSWER, 0, 0, ALLOW)]);
    }
    program.push((ANSWER, 0, 0, no_family));
    for number in allowed.iter().filter_map(|call| numbers.get(call)) {
        program.extend([(EQUAL, 0, 1, *number), (ANSWER, 0, 0, ALLOW)]);
    }
    program.push((ANSWER, 0, 0, not_permitted));
    let bytes = |(code, yes, no, value): (u16, u8, u8, u32)| {
        let mut bytes = code.to_ne_bytes().to_vec();
        bytes.extend([yes, no]);
        bytes.extend(value.to_ne_bytes());
        bytes
    };
    program.into_iter().flat_map(bytes).collect()
}

/// The calls that a word of SystemCallFilter stands for, groups within groups included.
fn expanded(word: &str) -> BTreeSet<String> {
    if !word.starts_with('@') {
        return [word.to_owned()].into();
    }
    let listed = must(Command::new("systemd-analyze").args(["syscall-filter", word]));
    let calls = listed.lines().filter(|line| line.starts_with(' ')).map(str::trim);
    calls.filter(|call| !call.starts_with('#')).flat_map(expanded).collect()
}

/// This machine's system calls.
fn numbers() -> BTreeMap<String, u32> {
    let source = "echo '#include <asm/unistd.h>' | cc -E -dM -";
    let defined = must(Command::new("sh").args(["-c", source]));
    let number = |line: &str| {
        let (name, number) = line.strip_prefix("#define __NR_")?.split_once(' ')?;
        Some((name.to_owned(), number.parse().ok()?))
    };
    defined.lines().filter_map(number).collect()
}

fn family(name: &str) -> u32 {
    match name {
        "AF_UNIX" => 1,
        "AF_INET" => 2,
        "AF_INET6" => 10,
        "AF_NETLINK" => 16,
        other => panic!("{other}"),
    }
}
