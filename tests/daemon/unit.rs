//! The unit's restrictions, applied to a real backup and a real drill as far as a machine without
//! systemd allows: bubblewrap does what the unit asks systemd for, from the unit's own lines.
//!
//! Not applied: LockPersonality, RestrictRealtime, KeyringMode, RemoveIPC, and what only a control
//! group can do.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::bench::{Bench, Ran, must};

pub const CASES: &[(&str, fn())] =
    &[("a_drill_passes_under_the_units_restrictions", a_drill_passes_under_the_units)];

const UNIT: &str = include_str!("../../packaging/systemd/lifeboat.service");

/// What the unit says of `name`, all its lines together.
fn words(name: &str) -> Vec<&'static str> {
    let values = UNIT.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix('='));
    values.flat_map(str::split_whitespace).collect()
}

/// Whether the unit holds exactly this line.
#[track_caller]
fn says(line: &str) {
    assert!(UNIT.lines().any(|other| other == line), "the unit does not say {line}");
}

fn a_drill_passes_under_the_units() {
    let bench = Bench::new();
    let confined = Confined::new(&bench);

    let backup = confined.lifeboat(&["backup", "shop", "--json"]).exits(0).json();
    let drill = confined.lifeboat(&["drill", "shop", "--json"]).exits(0).json();

    assert_eq!(backup["skipped"].as_array().unwrap().len(), 0, "{backup:#}");
    assert_eq!(drill["verdict"], "pass", "{drill:#}");
    assert_eq!(bench.leftovers(), Vec::<std::path::PathBuf>::new());
    confined.is_in_force();
    let doctor = confined.lifeboat(&["doctor"]).exits(0).stdout;
    let cage = doctor.lines().find(|line| line.contains("sandbox for servers")).unwrap();
    assert!(cage.contains("own network") && cage.contains("filtered system calls"), "{doctor}");
}

/// Runs programs as the unit would.
struct Confined<'a> {
    bench: &'a Bench,
    arguments: Vec<String>,
}

impl<'a> Confined<'a> {
    fn new(bench: &'a Bench) -> Self {
        let mut arguments: Vec<String> = Vec::new();
        let mut add = |words: &[&str]| arguments.extend(words.iter().map(|&word| word.to_owned()));
        says("ProtectSystem=strict");
        add(&["--ro-bind", "/", "/", "--proc", "/proc"]);
        says("PrivateDevices=yes");
        add(&["--dev", "/dev"]);
        says("PrivateTmp=yes");
        add(&["--tmpfs", "/tmp", "--tmpfs", "/var/tmp"]);
        says("ProtectKernelTunables=yes");
        add(&["--ro-bind", "/proc/sys", "/proc/sys"]);
        // What StateDirectory and ReadWritePaths open.
        let place = bench.path("").display().to_string();
        add(&["--bind", &place, &place]);
        add(&["--cap-drop", "ALL"]);
        for capability in words("CapabilityBoundingSet") {
            add(&["--cap-add", capability]);
        }
        fs::write(bench.path("filter"), filter()).unwrap();
        Self { bench, arguments }
    }

    fn lifeboat(&self, arguments: &[&str]) -> Ran {
        let config = self.bench.path("lifeboat.toml").display().to_string();
        let all = [&[env!("CARGO_BIN_EXE_lifeboat")], arguments, &["--config", &config]].concat();
        self.run(&all)
    }

    fn run(&self, program: &[&str]) -> Ran {
        let filter = self.bench.path("filter").display().to_string();
        let bounds = words("CapabilityBoundingSet").into_iter();
        let bounds = bounds.map(|name| format!(",+{}", name[4..].to_lowercase()));
        let script = "filter=$1 bounds=$2; shift 2
            exec setpriv --bounding-set \"$bounds\" bwrap --seccomp 9 \"$@\" 9<\"$filter\"";
        Command::new("sh")
            .args(["-c", script, "sh"])
            .arg(filter)
            .arg(format!("-all{}", bounds.collect::<String>()))
            .args(&self.arguments)
            .arg("--")
            .args(program)
            .env("NO_COLOR", "1")
            .stdin(Stdio::null())
            .output()
            .unwrap()
            .into()
    }

    /// The restrictions hold for what is run in them.
    fn is_in_force(&self) {
        says("NoNewPrivileges=yes");
        let status = self.run(&["cat", "/proc/self/status"]).exits(0).stdout;
        let is = |line: &str| status.lines().any(|other| other.replace('\t', " ") == line);
        assert!(is("NoNewPrivs: 1") && is("Seccomp: 2"), "{status}");
        let bounding = status.lines().find(|line| line.starts_with("CapBnd:")).unwrap();
        let bounding = u64::from_str_radix(bounding[7..].trim(), 16).unwrap();
        // A machine may lack some of them itself.
        let most = words("CapabilityBoundingSet").len();
        assert!((1..=most).contains(&(bounding.count_ones() as usize)), "{bounding:x}");
        assert_ne!(self.run(&["touch", "/etc/lifeboat-was-here"]).code, 0, "/etc was written to");
        assert!(!Path::new("/etc/lifeboat-was-here").exists());
        let packet = "use Socket; socket(my $s, 17, SOCK_RAW, 0) or die $!";
        let refused = self.run(&["perl", "-e", packet]);
        assert!(refused.stderr.contains("Address family not supported"), "{}", refused.stderr);
        let swap = self.run(&["swapoff", "/nonexistent"]);
        // Its words for EPERM; CAP_SYS_ADMIN is there, so it was the filter.
        assert!(swap.stderr.contains("Not superuser"), "{}", swap.stderr);
    }
}

/// The unit's system calls and socket families as a program for seccomp(2).
fn filter() -> Vec<u8> {
    let numbers = numbers();
    let mut allowed = BTreeSet::new();
    for word in words("SystemCallFilter") {
        match word.strip_prefix('~') {
            // The rest of such a line is denied too, as systemd reads it.
            Some(_) => break,
            None => allowed.extend(expanded(word)),
        }
    }
    let denied = UNIT.lines().filter_map(|line| line.strip_prefix("SystemCallFilter=~"));
    for word in denied.flat_map(str::split_whitespace) {
        for call in expanded(word) {
            allowed.remove(&call);
        }
    }
    assert!(allowed.contains("landlock_restrict_self") && !allowed.contains("swapoff"));
    says("SystemCallErrorNumber=EPERM");
    says("SystemCallArchitectures=native");
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
    let families: Vec<u32> = words("RestrictAddressFamilies").into_iter().map(family).collect();
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
