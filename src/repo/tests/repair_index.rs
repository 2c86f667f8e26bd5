//! Whatever happens to index files: what packs hold is named again, and nothing is lost on the way.

use std::time::Duration;

use super::*;
use crate::ground::digest::Digest;
use crate::ground::progress::Silent;
use crate::repo::lock::Claim;
use crate::repo::prune::{Deletion, Keeper, Known, Refused};
use crate::repo::repair::{Error, IndexPlan, Repair};
use crate::store::{Act, Fault, Harm};

/// Writes down what goes.
#[derive(Default)]
pub(super) struct Office {
    deletions: Mutex<Vec<Deletion>>,
    known: Known,
}

impl Office {
    pub(super) fn knowing(known: Known) -> Self {
        Self { known, ..Self::default() }
    }
}

#[async_trait]
impl Keeper for Office {
    async fn claim(&self) -> Result<Claim, Refused> {
        Ok(Claim::default())
    }

    async fn known(&self) -> Result<Known, Refused> {
        Ok(self.known.clone())
    }

    async fn deleting(&self, what: &Deletion) -> Result<(), Refused> {
        self.deletions.lock().unwrap().push(what.clone());
        Ok(())
    }

    async fn pause(&self, _: Duration) {}
}

impl Bench {
    pub(super) fn repair_index(&self) -> Result<IndexPlan, Error> {
        self.repair_index_through(self.store.clone(), &Office::default())
    }

    fn plan_index(&self) -> IndexPlan {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let keeper = Office::default();
        let (repository, keeper) = (&self.repository, &keeper);
        let repair = Repair { repository, clock: &clock, keeper, progress: &Silent };
        self.runtime.block_on(repair.plan_index()).unwrap()
    }

    fn repair_index_through(
        &self,
        store: store::Shared,
        keeper: &Office,
    ) -> Result<IndexPlan, Error> {
        let repository = Arc::new(self.repository.through(store));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let repair = Repair { repository: &repository, clock: &clock, keeper, progress: &Silent };
        self.runtime.block_on(repair.index())
    }

    /// What of `contents` can be read, by whatever index files can be read.
    fn readable(&self, contents: &[Vec<BlobId>]) -> Vec<BlobId> {
        let loading = self.repository.load_readable_index();
        let (index, _) = self.runtime.block_on(loading).unwrap();
        let reader = Reader::new(self.repository.clone(), Arc::new(RwLock::new(index)));
        let got = self.fetch(&reader, &contents.concat()).unwrap();
        let mut whole: Vec<_> =
            got.into_iter().filter(|(_, blob)| blob.is_ok()).map(|(id, _)| id).collect();
        whole.sort();
        whole
    }
}

/// Two snapshots, each with an index file of its own.
fn two_snapshots(bench: &Bench) -> Vec<Vec<BlobId>> {
    let files = [noise(9000), noise(7000), noise(5000)];
    let (_, mut contents) = bench.back_up(&[("/a", &files[0]), ("/folder/b", &files[1])]);
    contents.extend(bench.back_up(&[("/c", &files[2])]).1);
    contents
}

type Harming = fn(&Bench, &ObjectName, &ObjectName);

/// What may happen to an index file; the second one is another of the same repository.
const HARMS: [(&str, Harming); 7] = [
    ("deleted", |bench, name, _| bench.remove(name)),
    ("cut", |bench, name, _| bench.replace(name, bench.bytes(name).slice(..20))),
    ("emptied", |bench, name, _| bench.replace(name, Bytes::new())),
    ("flipped", |bench, name, _| {
        let mut bytes = bench.bytes(name).to_vec();
        bytes[30] ^= 4;
        bench.replace(name, bytes);
    }),
    ("swapped", |bench, name, other| {
        let (one, two) = (bench.bytes(name), bench.bytes(other));
        bench.replace(name, two);
        bench.replace(other, one);
    }),
    ("overwritten by another", |bench, name, other| bench.replace(name, bench.bytes(other))),
    ("replayed from another repository", |bench, name, _| {
        let stranger = Bench::new();
        stranger.back_up(&[("/x", b"x")]);
        bench.replace(name, stranger.bytes(&stranger.names("index")[0]));
    }),
];

#[test]
fn after_any_damage_to_index_files_everything_is_named_and_read_again() {
    let bench = Bench::new();
    let contents = two_snapshots(&bench);
    let sound = bench.objects();
    let [name, other] = &bench.names("index")[..] else { panic!("two index files") };
    for (what, harm) in HARMS {
        for (name, other) in [(name, other), (other, name)] {
            harm(&bench, name, other);
            assert!(!bench.verify(Depth::Structure).unwrap().is_intact(), "{what}");

            let plan = bench.repair_index().unwrap();

            assert!(!plan.is_empty() && plan.headless.is_empty(), "{what}: {plan:?}");
            let verified = bench.verify(Depth::ReadData).unwrap();
            assert_eq!(
                (verified.errors, verified.packs, verified.snapshots),
                (vec![], 4, 2),
                "{what}"
            );
            assert_eq!(bench.readable(&contents).len(), 3, "{what}");
            assert_eq!(bench.names("damaged").len(), plan.damaged.len(), "{what}");
            assert_eq!(bench.names("locks"), [], "{what}");
            assert!(bench.repair_index().unwrap().is_empty(), "{what}: twice");
            bench.reset(&sound);
        }
    }
}

#[test]
fn all_index_files_lost_at_once_are_made_anew_and_a_backup_stores_nothing_twice() {
    let bench = Bench::new();
    let contents = two_snapshots(&bench);
    let stored = bench.names("data");
    bench.names("index").iter().for_each(|name| bench.remove(name));

    let plan = bench.repair_index().unwrap();

    assert_eq!((plan.named.len(), plan.gone.len()), (4, 0));
    assert_eq!(bench.verify(Depth::ReadData).unwrap().errors, []);
    assert_eq!(bench.readable(&contents).len(), 3);
    bench.back_up(&[(
        "/again",
        &bench.fetch(&bench.reader(), &contents[0]).unwrap()[&contents[0][0]]
            .as_ref()
            .unwrap()
            .clone(),
    )]);
    assert_eq!(bench.names("data").len(), stored.len() + 1, "only the new tree");
}

#[test]
fn what_is_set_aside_are_the_very_bytes_and_what_goes_was_written_down() {
    let bench = Bench::new();
    two_snapshots(&bench);
    let name = bench.names("index").remove(0);
    let junk = Bytes::from(noise(300));
    bench.replace(&name, junk.clone());
    let office = Office::default();

    bench.repair_index_through(bench.store.clone(), &office).unwrap();

    let aside = bench.names("damaged").remove(0);
    assert_eq!(aside.as_str(), format!("damaged/{name}.{}", Digest::of(&junk)));
    assert_eq!(bench.bytes(&aside), junk);
    assert!(!bench.names("index").contains(&name));
    let deletions = office.deletions.into_inner().unwrap();
    let gone: Vec<_> = deletions.iter().flat_map(|one| &one.index_files).collect();
    assert_eq!(gone.len(), 1);
    assert_eq!(layout::index(gone[0]), name);
}

#[test]
fn an_index_file_that_names_packs_of_the_past_names_them_no_more() {
    let bench = Bench::new();
    let contents = two_snapshots(&bench);
    let place = bench.index().read().unwrap().lookup(BlobKind::Data, &contents[0][0]).unwrap();
    let gone = PackId(Digest::of(b"pruned long ago"));
    let old = IndexFile {
        packs: vec![IndexPack {
            id: gone,
            blobs: vec![place.blob(BlobKind::Data, contents[0][0])],
        }],
        ..IndexFile::default()
    };
    bench.runtime.block_on(bench.repository.save_index(&old)).unwrap();

    let plan = bench.repair_index().unwrap();

    assert_eq!((plan.gone, plan.rewritten.len(), plan.named), (vec![gone], 1, vec![]));
    assert_eq!(bench.verify(Depth::ReadData).unwrap().errors, []);
}

#[test]
fn a_pack_without_a_header_is_reported_and_keeps_what_its_index_says_of_it() {
    let bench = Bench::new();
    let contents = two_snapshots(&bench);
    let place = bench.index().read().unwrap().lookup(BlobKind::Data, &contents[0][0]).unwrap();
    let name = layout::pack(&place.pack);
    // The first of its two blobs stays whole.
    let kept = bench.bytes(&name).slice(..place.length.max(place.offset) as usize + 50);
    bench.replace(&name, kept);
    let before = bench.readable(&contents);
    assert_eq!(before.len(), 2);
    // Another index file is damaged, so that something is done.
    let naming_it = |name: &ObjectName| {
        let id = name.as_str().rsplit('/').next().unwrap().parse().unwrap();
        let load = bench.repository.load(layout::Folder::Index, &id, IndexFile::decode);
        let file = bench.runtime.block_on(load).unwrap();
        file.packs.iter().any(|pack| pack.id == place.pack)
    };
    let other = bench.names("index").into_iter().find(|name| !naming_it(name)).unwrap();
    bench.remove(&other);

    let plan = bench.repair_index().unwrap();

    let [headless] = &plan.headless[..] else { panic!("{plan:?}") };
    assert_eq!((headless.pack, headless.is_indexed), (place.pack, true));
    assert_eq!(plan.named.len(), 2);
    assert_eq!(bench.readable(&contents), before);
}

#[test]
fn a_pack_that_no_index_names_and_that_has_no_header_is_left_alone_and_reported() {
    let bench = Bench::new();
    two_snapshots(&bench);
    let id = Digest::of(b"half a pack");
    let name = layout::pack(&PackId(id));
    bench.replace(&name, noise(1000));

    let plan = bench.repair_index().unwrap();

    assert_eq!((plan.headless.len(), plan.headless[0].is_indexed), (1, false));
    assert!(plan.is_empty() && bench.names("data").contains(&name));
}

#[test]
fn packs_that_changed_places_are_named_by_what_they_hold_now() {
    let bench = Bench::new();
    let contents = two_snapshots(&bench);
    let pack_of = |blob: &BlobId| data_pack(&bench, blob);
    let (one, two) = (pack_of(&contents[0][0]), pack_of(&contents[2][0]));
    let (first, second) = (bench.bytes(&one), bench.bytes(&two));
    bench.replace(&one, second);
    bench.replace(&two, first);
    assert!(bench.readable(&contents).is_empty());

    bench.repair_index().unwrap();

    assert_eq!(bench.readable(&contents).len(), 3);
    // Their names are still not what they hash to.
    assert!(!bench.verify(Depth::ReadData).unwrap().is_intact());
}

fn data_pack(bench: &Bench, id: &BlobId) -> ObjectName {
    let place = bench.index().read().unwrap().lookup(BlobKind::Data, id).unwrap();
    layout::pack(&place.pack)
}

#[test]
fn a_repair_that_fails_at_any_call_has_lost_nothing_and_the_next_one_ends_it() {
    let bench = Bench::new();
    let contents = two_snapshots(&bench);
    let name = bench.names("index").remove(0);
    bench.replace(&name, noise(100));
    let gone = PackId(Digest::of(b"gone"));
    let old = IndexFile {
        packs: vec![IndexPack { id: gone, blobs: Vec::new() }],
        ..IndexFile::default()
    };
    bench.runtime.block_on(bench.repository.save_index(&old)).unwrap();
    let damaged = bench.objects();
    let before = bench.readable(&contents);
    let mut ended = 0;
    for act in [store::Act::Put, Act::Get, Act::List, Act::Delete] {
        for harm in [Harm::Fail, Harm::LoseReply] {
            for call in 0..60 {
                let fault = Fault { act, name: String::new(), calls: call..call + 1, harm };
                let faulty = Arc::new(store::Faulty::new(bench.store.clone(), vec![fault]));

                let outcome = bench.repair_index_through(faulty.clone(), &Office::default());

                if faulty.fired() == [0] {
                    assert!(outcome.is_ok(), "{act:?} {call}: {outcome:?}");
                    break;
                }
                ended += usize::from(outcome.is_err());
                let after = bench.readable(&contents);
                assert!(before.iter().all(|blob| after.contains(blob)), "{act:?} {harm:?} {call}");
                bench.names("locks").iter().for_each(|lock| bench.remove(lock));
                bench.repair_index().unwrap();
                assert_eq!(bench.verify(Depth::ReadData).unwrap().errors, [], "{act:?} {call}");
                assert_eq!(bench.readable(&contents).len(), 3);
                bench.reset(&damaged);
            }
        }
    }
    assert!(ended > 20, "only {ended} repairs were cut short");
}

#[test]
fn a_new_index_file_that_does_not_come_back_as_written_costs_no_old_one() {
    let bench = Bench::new();
    let contents = two_snapshots(&bench);
    bench.remove(&bench.names("index")[0].clone());
    let before = (bench.names("index"), bench.readable(&contents));
    for harm in [Harm::Lie, Harm::Truncate(40), Harm::Hide] {
        let fault = Fault { act: Act::Put, name: "index".into(), calls: 0..u64::MAX, harm };
        let faulty = Arc::new(store::Faulty::new(bench.store.clone(), vec![fault]));

        assert!(
            bench.repair_index_through(faulty.clone(), &Office::default()).is_err(),
            "{harm:?}"
        );

        assert_ne!(faulty.fired(), [0]);
        assert!(before.0.iter().all(|name| bench.names("index").contains(name)), "{harm:?}");
        assert_eq!(bench.readable(&contents), before.1);
    }
}

#[test]
fn a_dry_run_names_every_index_file_that_goes_also_those_that_others_replace() {
    let bench = Bench::new();
    let contents = two_snapshots(&bench);
    // A program that died before it removed what it had replaced.
    let [first, _] = &bench.names("index")[..] else { panic!("two index files") };
    let id = first.as_str().rsplit('/').next().unwrap().parse().unwrap();
    let loading = bench.repository.load(layout::Folder::Index, &id, IndexFile::decode);
    let file = bench.runtime.block_on(loading).unwrap();
    let newer = IndexFile { supersedes: vec![IndexId(id)], ..file };
    let newer = bench.runtime.block_on(bench.repository.save_index(&newer)).unwrap();
    assert!(bench.plan_index().is_empty(), "alone it does no harm");
    let third = bench.back_up(&[("/third", &noise(3000))]);
    let sound = bench.objects();
    let replacing = layout::index(&newer);
    let others = bench.names("index");
    let others = others.iter().filter(|name| *name != first && **name != replacing);
    for (what, harm) in [HARMS[0], HARMS[3]] {
        for name in others.clone() {
            harm(&bench, name, name);
            let before = bench.names("index");

            let (plan, done) = (bench.plan_index(), bench.repair_index().unwrap());

            assert_eq!(plan, done, "{what}");
            let damaged = plan.damaged.iter().map(|(id, _)| id);
            let mut told: Vec<_> =
                plan.rewritten.iter().chain(damaged).map(layout::index).collect();
            told.sort();
            let after = bench.names("index");
            let gone: Vec<_> = before.into_iter().filter(|name| !after.contains(name)).collect();
            assert_eq!(told, gone, "{what}");
            assert!(gone.contains(first), "{what}");
            assert_eq!(bench.readable(&contents).len(), 3);
            assert_eq!(bench.readable(&third.1).len(), 1);
            bench.reset(&sound);
        }
    }
}
