//! One customer's repository with all who use it: two hosts with two policies each, and restic.

use std::collections::{BTreeMap, HashSet};
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bench::{Bench, Ran, contents, must, new_restic, noise};
use crate::dice::{Dice, rounds};
use crate::seaweed::{ADMIN, seaweed};

/// Seconds that all of them work at once, in each round.
const SECONDS: u64 = 12;

const PATIENCE: Duration = Duration::from_secs(90);

/// What must have been done, all at once. restic's own forget may find no moment without a lock.
const ACTS: [&str; 8] =
    ["backup", "forget", "prune", "verify", "drill", "snapshots", "status", "restic backup"];

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
    pub killed: bool,
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
        now < self.until || now < self.until + PATIENCE && !self.has_shown_enough()
    }

    /// Whether each act came to its end once, and somebody was killed.
    pub fn has_shown_enough(&self) -> bool {
        let deeds = self.deeds.lock().unwrap();
        let has_ended = |act| deeds.iter().any(|deed| deed.act == act && deed.ran.code == 0);
        ACTS.into_iter().all(has_ended) && deeds.iter().any(|deed| deed.killed)
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

    /// Runs it to its end, or kills it after `life`; keeps in mind how it ended.
    pub fn does(&self, act: &'static str, mut command: Command, life: Option<Duration>) -> Ran {
        let [mut stdout, mut stderr] = [(); 2].map(|()| tempfile::tempfile().unwrap());
        command.stdout(stdout.try_clone().unwrap()).stderr(stderr.try_clone().unwrap());
        let mut child = command.spawn().unwrap();
        if let Some(life) = life {
            std::thread::sleep(life);
            child.kill().unwrap();
        }
        let status = child.wait().unwrap();
        let [stdout, stderr] = [&mut stdout, &mut stderr].map(|file| {
            let mut bytes = Vec::new();
            file.rewind().unwrap();
            file.read_to_end(&mut bytes).unwrap();
            bytes
        });
        let ran = Ran::from(Output { status, stdout, stderr });
        let (code, stdout, stderr) = (ran.code, ran.stdout.clone(), ran.stderr.clone());
        let killed = life.is_some() && code == 137;
        self.deeds.lock().unwrap().push(Deed { act, ran, killed });
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
