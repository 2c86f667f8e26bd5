//! What the largest things take: one file of 20 GiB, a million files, ten million blobs, a ledger of
//! 200,000 records.
//!
//! `cargo bench --bench limits [-- large GIBIBYTES | many FILES | blobs MILLIONS | records THOUSANDS]` makes
//! each in a temporary folder (`TMPDIR`), lets lifeboat back it up and restore it, opens its index, or reads
//! and verifies it, each in a process of its own, and prints wall and CPU seconds and the peak of its memory. A third of the large
//! file is noise, the rest are holes; it takes as much room as that three times.

#[path = "peers/measure.rs"]
mod measure;

use std::fs::{self, File};
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use jiff::Timestamp;
use lifeboat::ground::clock::SystemClock;
use lifeboat::ground::digest::Digest;
use lifeboat::ground::ids::RunId;
use lifeboat::ledger::record::{Actor, Body, Event};
use lifeboat::ledger::sign::{Signer, generate_key};
use lifeboat::ledger::{Checkpoint, Ledger, Verify};
use lifeboat::repo::{BlobId, BlobKind, IndexFile, IndexPack, PackId, PackedBlob, Repository};
use lifeboat::seal::Cost;
use lifeboat::store::Local;
use measure::measure;

const MIB: u64 = 1 << 20;
const PASSWORD: &str = "a password of the bench";

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let number = |usual: u64| words.get(1).and_then(|word| word.parse().ok()).unwrap_or(usual);
    let is_meant = |what: &str| words.first().is_none_or(|word| word == what);
    if let [mode, store] = words.as_slice()
        && mode == "--open"
    {
        return open_index(Path::new(store));
    }
    if let [mode, store] = words.as_slice()
        && mode.starts_with("--ledger")
    {
        return read_ledger(Path::new(store), mode);
    }
    println!("| what | step | wall s | CPU s | peak MiB |\n|---|---|---|---|---|");
    if is_meant("large") {
        let gibibytes = number(20);
        let what = format!("one file of {gibibytes} GiB");
        backed_up(&what, &["first", "restore"], |source| large(source, gibibytes));
    }
    if is_meant("many") {
        let files = number(1_000_000);
        let what = format!("{files} files");
        backed_up(&what, &["first", "unchanged", "restore"], |source| many(source, files));
    }
    if is_meant("blobs") {
        blobs(number(10));
    }
    if is_meant("records") {
        records(number(200) * 1000);
    }
}

/// Backs up what `make` makes, as `steps` say.
fn backed_up(what: &str, steps: &[&str], make: impl Fn(&Path)) {
    let folder = tempfile::Builder::new().prefix("limits-").tempdir().expect("a folder");
    let place = folder.path();
    for name in ["repo", "policies", "source"] {
        fs::create_dir(place.join(name)).expect("a folder");
    }
    make(&place.join("source"));
    let here = place.display();
    write(
        &place.join("lifeboat.toml"),
        &format!(
            "[state]\nurl = \"sqlite://{here}/state.db\"\n[scratch]\ndir = \"{here}/scratch\"\n\
             [[store]]\nname = \"store\"\nurl = \"file://{here}/repo\"\n[[customer]]\nid = \"acme\"\n\
             store = \"store\"\nrepository_password = {{ file = \"password\" }}\n"
        ),
    );
    write(&place.join("password"), PASSWORD);
    write(
        &place.join("policies/bench.toml"),
        &format!(
            "customer = \"acme\"\nname = \"bench\"\n[[source]]\nname = \"data\"\nkind = \"files\"\n\
             paths = [\"{here}/source\"]\n"
        ),
    );
    for step in steps {
        let mut command = Command::new(env!("CARGO_BIN_EXE_lifeboat"));
        match *step {
            "restore" => command.args(["restore", "bench", "--to"]).arg(place.join("restored")),
            _ => command.args(["backup", "bench"]),
        };
        command.args(["--no-progress", "--json", "--config"]).arg(place.join("lifeboat.toml"));
        tell(what, step, command);
    }
    let [source, restored] = ["source", "restored/data"].map(|name| place.join(name));
    let restored = restored.join(source.strip_prefix("/").expect("an absolute path"));
    let same = Command::new("diff").arg("-rq").arg(&source).arg(&restored).status();
    assert!(same.expect("diff").success(), "something else was restored");
}

fn tell(what: &str, step: &str, command: Command) {
    let cost = measure(command);
    let peak = cost.memory / MIB;
    println!("| {what} | {step} | {:.1} | {:.1} | {peak} |", cost.wall, cost.cpu);
}

fn write(path: &Path, text: &str) {
    fs::write(path, text).expect("a file");
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).expect("our file");
}

/// Every third MiB is noise, none like another; what lies between was never written.
fn large(folder: &Path, gibibytes: u64) {
    let file = File::create(folder.join("disk.img")).expect("a file");
    file.set_len(gibibytes << 30).expect("room");
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut noise = vec![0; MIB as usize];
    for at in (0..gibibytes * 1024).step_by(3) {
        for eight in noise.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            eight.copy_from_slice(&state.to_le_bytes());
        }
        file.write_all_at(&noise, at * MIB).expect("room");
    }
}

/// A thousand to a folder, each with a content of its own.
fn many(folder: &Path, files: u64) {
    for number in 0..files {
        let within = folder.join(format!("{:04}", number / 1000));
        if number % 1000 == 0 {
            fs::create_dir(&within).expect("a folder");
        }
        fs::write(within.join(format!("{number}.txt")), format!("number {number}")).expect("room");
    }
}

/// Writes the index files of so many blobs, as many to each as a backup does, and opens them.
fn blobs(millions: u64) {
    let folder = tempfile::Builder::new().prefix("limits-").tempdir().expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let repository = repository_in(folder.path()).await;
        for file in 0..millions * 20 {
            let packs = (0..2500).map(|pack| pack_of_twenty(file * 2500 + pack)).collect();
            let file = IndexFile { packs, ..IndexFile::default() };
            repository.save_index(&file).await.expect("room");
        }
    });
    let mut command = Command::new(std::env::current_exe().expect("our own name"));
    command.arg("--open").arg(folder.path());
    tell(&format!("{millions} million blobs"), "open", command);
}

async fn repository_in(folder: &Path) -> Repository {
    let store = Arc::new(Local::open(folder).expect("our folder"));
    let cost = Cost { log_n: 4, ..Cost::DEFAULT };
    let password = PASSWORD.to_owned().into();
    let created = Repository::create(store, &password, cost, &SystemClock);
    created.await.expect("a repository")
}

fn opened_in(folder: &Path, runtime: &tokio::runtime::Runtime) -> Repository {
    let store = Arc::new(Local::open(folder).expect("a store"));
    let password = PASSWORD.to_owned().into();
    runtime.block_on(Repository::open(store, &password)).expect("a repository")
}

fn pack_of_twenty(number: u64) -> IndexPack {
    let blob = |at: u32| PackedBlob {
        id: BlobId(Digest::of(&(number * 20 + u64::from(at)).to_le_bytes())),
        kind: BlobKind::Data,
        offset: at * 800_000,
        length: 800_000,
        plain_length: Some(1_000_000),
    };
    let id = PackId(Digest::of(&[&number.to_le_bytes()[..], b"pack"].concat()));
    IndexPack { id, blobs: (0..20).map(blob).collect() }
}

/// What every command does that needs the index.
fn open_index(store: &Path) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let opened = opened_in(store, &runtime);
    let index = runtime.block_on(opened.load_index()).expect("an index");
    let some = BlobId(Digest::of(&7_u64.to_le_bytes()));
    assert!(index.lookup(BlobKind::Data, &some).is_some(), "a blob is not found");
}

/// Beside the ledger: what the host that signed it remembers.
const SIGNED: &str = "signed";

/// Appends so many records, two at a time as a short run does, and signs them.
fn records(count: u64) {
    let folder = tempfile::Builder::new().prefix("limits-").tempdir().expect("a folder");
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        fs::create_dir(folder.path().join("ledger")).expect("a folder");
        let ledger = ledger(folder.path(), &repository_in(folder.path()).await);
        for first in (0..count).step_by(2) {
            ledger.append(vec![beat(first), beat(first + 1)]).await.expect("room");
        }
        let signer = Signer::open(&generate_key("bench").expect("a key").private).expect("a key");
        let signed = ledger.checkpoint(&signer, None).await.expect("a ledger that holds together");
        fs::write(folder.path().join(SIGNED), signed.to_string()).expect("room");
    });
    for (mode, step) in [("--ledger-read", "read"), ("--ledger-verify", "verify")] {
        let mut command = Command::new(std::env::current_exe().expect("our own name"));
        command.arg(mode).arg(folder.path());
        tell(&format!("{count} records, two to a segment"), step, command);
    }
}

fn beat(second: u64) -> Event {
    Event {
        time: Timestamp::from_second(1_767_225_600 + second as i64).expect("a time"),
        actor: Actor { name: "daemon".into(), host: "quay.acme.internal".into() },
        body: Body::Verify {
            policy: "shop".parse().expect("a name"),
            run: RunId::draw(),
            read_data: true,
            errors: 0,
            damaged: Vec::new(),
            part: None,
        },
    }
}

fn ledger(folder: &Path, repository: &Repository) -> Ledger {
    let store = Local::open(&folder.join("ledger")).expect("our folder");
    Ledger::open(Arc::new(store), repository.key().clone())
}

fn read_ledger(folder: &Path, mode: &str) {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    let opened = opened_in(folder, &runtime);
    runtime.block_on(async {
        let signed = fs::read_to_string(folder.join(SIGNED)).expect("a checkpoint");
        let signed: Checkpoint = signed.parse().expect("a checkpoint");
        let ledger = ledger(folder, &opened).vouched_for(signed.remembered());
        match mode {
            "--ledger-read" => drop(ledger.records().await.expect("a ledger that holds together")),
            _ => {
                let against = Verify { earlier: Some(&signed), ..Verify::default() };
                let (verified, _) = ledger.verify(against).await.expect("a ledger");
                assert_eq!(verified.first_bad, None);
            }
        }
    });
}
