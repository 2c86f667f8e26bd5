//! One customer's repository with all who use it: two hosts with two policies each, and restic.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::{BufRead, BufReader, Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bench::{Bench, Ran, contents, must, new_restic, noise};
use crate::dice::{Dice, is_whole, rounds};
use crate::seaweed::{ADMIN, seaweed};

/// Seconds that all of them work at once, in each round.
const SECONDS: u64 = 12;

const PATIENCE: Duration = Duration::from_secs(300);

/// The same where every phase is to be hit.
const LONG_PATIENCE: Duration = Duration::from_secs(900);

/// What must have been done, all at once. restic's own forget may find no moment without a lock.
const ACTS: [&str; 8] =
    ["backup", "forget", "prune", "verify", "drill", "snapshots", "status", "restic backup"];

/// The phases that acts log, in any of which one may be killed.
pub const PHASES: [(&str, &[&str]); 5] = [
    ("backup", &["begin", "prepare", "capture", "commit", "publish", "record"]),
    ("forget", &["lock", "plan", "record", "remove", "finish"]),
    (
        "prune",
        &["survey", "find", "repack", "lock", "look", "index", "record", "unindex", "delete"],
    ),
    ("verify", &["survey", "read", "trees", "record"]),
    ("drill", &["begin", "fetch", "start", "teardown", "record"]),
];

/// When a process is killed.
#[derive(Clone, Copy)]
pub enum Death {
    After(Duration),
    /// As soon as it logs this phase, unless it ends without.
    In(&'static str),
}

/// Where a policy runs: its host's site file, its name, and the folder that it backs up.
#[derive(Clone)]
pub struct Writer {
    pub site: PathBuf,
    pub policy: &'static str,
    pub data: PathBuf,
}

/// What a process did.
pub struct Deed {
    pub act: &'static str,
    pub ran: Ran,
    /// As planned, if it did not end before.
    pub death: Option<Death>,
}

impl Deed {
    pub fn was_killed(&self) -> bool {
        self.death.is_some() && self.ran.code == 137
    }

    /// The phase in which it was killed.
    pub fn killed_in(&self) -> Option<(&'static str, &'static str)> {
        match self.death {
            Some(Death::In(phase)) if self.was_killed() => Some((self.act, phase)),
            _ => None,
        }
    }
}

pub struct World {
    pub bench: Bench,
    /// The repository as restic calls it.
    place: String,
    pub writers: Vec<Writer>,
    until: Instant,
    pub deeds: Mutex<Vec<Deed>>,
    /// What each snapshot holds, by the source it was taken from.
    pub taken: Mutex<BTreeMap<String, String>>,
    /// All that any source ever held when it was backed up.
    pub held: Mutex<HashSet<String>>,
}

impl World {
    /// Two hosts of one customer with two policies each, in a folder or a bucket.
    pub fn new(bucket: Option<&str>) -> Self {
        let bench = Bench::new();
        let mut place = bench.repository().display().to_string();
        if let Some(bucket) = bucket {
            let bucket = seaweed().bucket(bucket);
            let endpoint = seaweed().endpoint();
            bench.move_to_bucket(&endpoint, &bucket, ADMIN.access, ADMIN.secret);
            place = format!("s3:{endpoint}/{bucket}/lifeboat/acme/repo");
        }
        let folder = bench.path(".").canonicalize().unwrap();
        std::fs::remove_file(bench.path("policies/shop.toml")).unwrap();
        std::fs::remove_file(bench.path("drills/weekly.toml")).unwrap();
        must(Command::new("bash").current_dir(&folder).args([
            "-c",
            "mkdir -m 700 second && cp -a lifeboat.toml keys policies drills second",
        ]));
        bench.edit("second/lifeboat.toml", "/state/state.db", "/second/state/state.db");
        bench.edit("second/lifeboat.toml", "/scratch\"", "/second/scratch\"");
        let writers = [("", "north"), ("", "east"), ("second/", "south"), ("second/", "west")];
        let writers = writers.map(|(host, policy)| {
            let data = folder.join("data").join(policy);
            std::fs::create_dir(&data).unwrap();
            let text = format!(
                "customer = \"acme\"\nname = \"{policy}\"\n\n[retention]\nlast = 2\n\n\
                 [[source]]\nname = \"files\"\nkind = \"files\"\npaths = [{data:?}]\n"
            );
            bench.write(&format!("{host}policies/{policy}.toml"), text);
            Writer { site: folder.join(host).join("lifeboat.toml"), policy, data }
        });
        let until = Instant::now() + Duration::from_secs(SECONDS * rounds(1));
        let (deeds, taken, held) = (Mutex::default(), Mutex::default(), Mutex::default());
        Self { bench, place, writers: writers.to_vec(), until, deeds, taken, held }
    }

    /// Whether there is time left, or, on a machine that has much else to do, not enough was shown.
    pub fn goes_on(&self) -> bool {
        let now = Instant::now();
        let patience = if is_whole() { LONG_PATIENCE } else { PATIENCE };
        now < self.until || now < self.until + patience && !self.has_shown_enough()
    }

    /// Whether each act came to its end once, and some act was killed in a phase, or each in all of its
    /// phases where nothing is left to chance.
    pub fn has_shown_enough(&self) -> bool {
        let deeds = self.deeds.lock().unwrap();
        let has_ended = |act| deeds.iter().any(|deed| deed.act == act && deed.ran.code == 0);
        let has_died = deeds.iter().any(|deed| deed.killed_in().is_some());
        let is_hit = if is_whole() { phases_left(&deeds).is_empty() } else { has_died };
        ACTS.into_iter().all(has_ended) && is_hit
    }

    /// How an act is to die, if it is: in a phase in which none died yet while there is such, or at any
    /// time.
    pub fn death(&self, act: &str, dice: &mut Dice) -> Option<Death> {
        if dice.below(if is_whole() { 2 } else { 5 }) > 0 {
            return None;
        }
        let left = phases_left(&self.deeds.lock().unwrap());
        let left: Vec<_> = left.iter().filter(|(one, _)| *one == act).collect();
        Some(match left.is_empty() {
            false if dice.below(3) > 0 => Death::In(dice.one_of(&left).1),
            _ => Death::After(dice.moment(Duration::from_millis(700))),
        })
    }

    pub fn lifeboat(&self, site: &Path, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        command.args(words).arg("--config").arg(site).current_dir(self.bench.path("."));
        command.env("NO_COLOR", "1").stdin(Stdio::null());
        command
    }

    pub fn restic(&self, words: &[&str]) -> Command {
        let mut command = Command::new(new_restic());
        command
            .args(["-r", &self.place, "--no-cache", "--password-file"])
            .arg(self.bench.path("keys/repository-password"))
            .args(words)
            .env("AWS_ACCESS_KEY_ID", ADMIN.access)
            .env("AWS_SECRET_ACCESS_KEY", ADMIN.secret)
            .env("HOME", self.bench.path("."))
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end or to its death; keeps in mind how it ended.
    pub fn does(&self, act: &'static str, mut command: Command, death: Option<Death>) -> Ran {
        let mut stdout = tempfile::tempfile().unwrap();
        command.stdout(stdout.try_clone().unwrap()).stderr(Stdio::piped());
        if matches!(death, Some(Death::In(_))) {
            command.env("LIFEBOAT_LOG", "lifeboat=info");
        }
        let mut child = command.spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut stderr = Vec::new();
        match death {
            None => {}
            Some(Death::After(life)) => {
                std::thread::sleep(life);
                child.kill().unwrap();
            }
            Some(Death::In(phase)) => {
                let said = format!("\"fields\":{{\"phase\":\"{phase}\"");
                let mut seen = 0;
                while log.read_until(b'\n', &mut stderr).unwrap() > 0 {
                    if String::from_utf8_lossy(&stderr[seen..]).contains(&said) {
                        child.kill().unwrap();
                        break;
                    }
                    seen = stderr.len();
                }
            }
        }
        log.read_to_end(&mut stderr).unwrap();
        let (status, mut answer) = (child.wait().unwrap(), Vec::new());
        stdout.rewind().unwrap();
        stdout.read_to_end(&mut answer).unwrap();
        let ran = Ran::from(Output { status, stdout: answer, stderr });
        let (code, stdout, stderr) = (ran.code, ran.stdout.clone(), ran.stderr.clone());
        self.deeds.lock().unwrap().push(Deed { act, ran, death });
        Ran { code, stdout, stderr }
    }

    /// Gives a folder other content, some of which stays from one time to the next.
    pub fn change(&self, folder: &Path, nth: u64, dice: &mut Dice) {
        let bytes = noise(700_000);
        let from = dice.below(300_000) as usize;
        std::fs::write(folder.join("changing"), &bytes[from..from + 400_000]).unwrap();
        let stays = &bytes[..dice.below(90_000) as usize];
        std::fs::write(folder.join(format!("stays{}", nth % 3)), stays).unwrap();
        self.held.lock().unwrap().insert(contents(folder));
    }

    pub fn was_taken(&self, snapshot: &Value, of: &Path) {
        let snapshot = snapshot.as_str().unwrap().to_owned();
        self.taken.lock().unwrap().insert(snapshot, contents(of));
    }
}

/// The phases in which nobody was killed yet.
fn phases_left(deeds: &[Deed]) -> Vec<(&'static str, &'static str)> {
    let hit: BTreeSet<_> = deeds.iter().filter_map(Deed::killed_in).collect();
    let all =
        PHASES.into_iter().flat_map(|(act, phases)| phases.iter().map(move |one| (act, *one)));
    all.filter(|phase| !hit.contains(phase)).collect()
}
