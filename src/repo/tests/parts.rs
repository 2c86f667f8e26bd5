//! A part of the packs at a time, until all were read.

use super::*;
use crate::repo::prune::Refused;
use crate::repo::verify::Memory as Readings;

/// What a host remembers; `now` is the second of the next reading.
#[derive(Default)]
struct Remembered {
    packs: Mutex<HashMap<PackId, Option<Timestamp>>>,
    now: AtomicUsize,
}

#[async_trait]
impl Readings for Remembered {
    async fn readings(&self) -> Result<HashMap<PackId, Option<Timestamp>>, Refused> {
        Ok(self.packs.lock().unwrap().clone())
    }

    async fn remember(&self, read: &[(PackId, bool)]) -> Result<(), Refused> {
        let now = 4_000_000_000 + self.now.load(Ordering::SeqCst) as i64;
        let time = |whole: bool| whole.then(|| Timestamp::from_second(now).unwrap());
        let read = read.iter().map(|(pack, is_whole)| (*pack, time(*is_whole)));
        self.packs.lock().unwrap().extend(read);
        Ok(())
    }

    async fn forget(&self, gone: &[PackId]) -> Result<(), Refused> {
        self.packs.lock().unwrap().retain(|pack, _| !gone.contains(pack));
        Ok(())
    }
}

impl Remembered {
    fn verify(&self, bench: &Bench, depth: Depth) -> Verified {
        self.now.fetch_add(1, Ordering::SeqCst);
        let silent = crate::ground::progress::Silent;
        let verifying = verify_with(self, &bench.repository, &[], depth, &silent);
        bench.runtime.block_on(verifying).unwrap()
    }
}

/// A repository of so many snapshots, each with packs of its own.
fn bench(snapshots: usize) -> Bench {
    let bench = Bench::new();
    for _ in 0..snapshots {
        bench.back_up(&[("/file", &noise(20_000))]);
    }
    bench
}

fn tenth() -> Depth {
    Depth::Part("10%".parse().unwrap())
}

#[test]
fn ten_runs_of_a_tenth_read_every_pack_also_one_that_came_later() {
    let bench = bench(12);
    let memory = Remembered::default();
    let first = memory.verify(&bench, tenth()).coverage.unwrap();
    assert!(first.begun_anew && first.covered_packs == first.read_packs, "{first:?}");
    assert!(first.read_bytes * 5 < first.bytes, "{first:?}");
    bench.back_up(&[("/later", &noise(20_000))]);

    for _ in 0..9 {
        assert!(memory.verify(&bench, tenth()).is_intact());
    }
    let last = memory.verify(&bench, tenth());

    assert_eq!(last.errors, []);
    let coverage = last.coverage.unwrap();
    assert_eq!(coverage.packs, 26);
    assert_eq!((coverage.covered_packs, coverage.covered_bytes), (26, coverage.bytes));
    assert!(!coverage.begun_anew);
    assert!(coverage.since >= Timestamp::from_second(4_000_000_001).ok());
}

#[test]
fn a_pack_that_is_gone_is_forgotten_and_upsets_nothing() {
    let bench = bench(2);
    let memory = Remembered::default();
    assert_eq!(memory.verify(&bench, Depth::ReadData).coverage.unwrap().covered_packs, 4);
    let gone = PackId(crate::ground::digest::Digest::of(b"pruned"));
    memory.packs.lock().unwrap().insert(gone, None);

    let verified = memory.verify(&bench, tenth());

    assert_eq!((verified.errors.len(), verified.coverage.unwrap().packs), (0, 4));
    assert!(!memory.packs.lock().unwrap().contains_key(&gone));
}

#[test]
fn a_damage_that_was_found_once_is_told_by_every_run_until_it_is_mended() {
    let bench = bench(6);
    let memory = Remembered::default();
    let pack = bench.names("data").pop().unwrap();
    let sound = bench.bytes(&pack);
    let mut bytes = sound.to_vec();
    bytes[20] ^= 1;
    bench.replace(&pack, bytes);
    assert!(!memory.verify(&bench, Depth::ReadData).is_intact());

    for depth in [tenth(), tenth(), Depth::Structure, tenth()] {
        let verified = memory.verify(&bench, depth);
        assert!(!verified.is_intact(), "{depth:?}");
        assert!(verified.coverage.is_none_or(|it| it.covered_packs == 11), "{depth:?}");
    }

    bench.replace(&pack, sound);
    assert!(memory.verify(&bench, Depth::Structure).is_intact());
    let verified = memory.verify(&bench, tenth());
    assert_eq!(verified.coverage.unwrap().covered_packs, 12);
}
