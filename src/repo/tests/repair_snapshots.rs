//! A damaged pack loses its own damaged blobs and no others, and what is left of a snapshot can be
//! restored.

use super::repair_index::Office;
use super::*;
use crate::ground::digest::Digest;
use crate::ground::progress::Silent;
use crate::repo::lock::{Claim, LockError};
use crate::repo::prune::Refused;
use crate::repo::repair::{Editor, Error, How, Remains, Repair, SnapshotsRepaired};
use crate::repo::verify::Memory as Readings;
use crate::store::{Act, Fault, Harm};

/// Marks what is left, and remembers nothing but what was published.
#[derive(Default)]
struct Desk {
    published: Mutex<Vec<Remains>>,
}

#[async_trait]
impl Editor for Desk {
    fn tags(&self, original: &[String]) -> Vec<String> {
        original.iter().cloned().chain(["repaired".to_owned()]).collect()
    }

    async fn published(&self, what: &Remains) -> Result<(), Refused> {
        self.published.lock().unwrap().push(what.clone());
        Ok(())
    }
}

#[async_trait]
impl Readings for Desk {
    async fn readings(&self) -> Result<HashMap<PackId, Option<Timestamp>>, Refused> {
        Ok(HashMap::new())
    }

    async fn remember(&self, _: &[(PackId, bool)]) -> Result<(), Refused> {
        Ok(())
    }

    async fn forget(&self, _: &[PackId]) -> Result<(), Refused> {
        Ok(())
    }
}

impl Bench {
    pub(super) fn repair_snapshots(&self) -> Result<SnapshotsRepaired, Error> {
        self.repair_snapshots_with(self.store.clone(), Depth::ReadData, false)
    }

    fn repair_snapshots_with(
        &self,
        store: store::Shared,
        depth: Depth,
        dry_run: bool,
    ) -> Result<SnapshotsRepaired, Error> {
        let (keeper, desk) = (Office::default(), Desk::default());
        let repository = Arc::new(self.repository.through(store));
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (repository, clock) = (&repository, &clock);
        let repair = Repair { repository, clock, keeper: &keeper, progress: &Silent };
        let how = How { depth, dry_run, memory: &desk, editor: &desk };
        let repaired = self.runtime.block_on(repair.snapshots(how))?;
        if !dry_run {
            let published = desk.published.into_inner().unwrap();
            let named = repaired.snapshots.iter().filter(|one| one.repaired.is_some());
            assert_eq!(published.len(), named.count(), "what is published is written down");
        }
        Ok(repaired)
    }

    /// Every file of a snapshot that can be read whole, by its path.
    pub(super) fn files_of(&self, id: &SnapshotId) -> HashMap<String, Vec<u8>> {
        let (index, _) = self.runtime.block_on(self.repository.load_readable_index()).unwrap();
        let reader = Reader::new(self.repository.clone(), Arc::new(RwLock::new(index)));
        let mut files = HashMap::new();
        let reading = async {
            let Ok(snapshot) = self.repository.snapshot(id).await else { return };
            let mut walk = reader.walk(snapshot.tree);
            while let Some(entry) = walk.next().await {
                let Ok(Entry { path, node }) = entry else { continue };
                let NodeKind::File { content, .. } = node.kind else { continue };
                let mut bytes = Vec::new();
                let mut is_whole = true;
                for blob in content {
                    match reader.blob(BlobKind::Data, &blob).await {
                        Ok(blob) => bytes.extend(blob),
                        Err(_) => is_whole = false,
                    }
                }
                if is_whole {
                    files.insert(String::from_utf8(path).unwrap(), bytes);
                }
            }
        };
        self.runtime.block_on(reading);
        files
    }
}

/// Five files whose pieces share a pack; answers the place of the third one's.
fn five_files(bench: &Bench) -> (SnapshotId, HashMap<String, Vec<u8>>, Location) {
    let files: Vec<_> = (0..5).map(|_| noise(3000)).collect();
    let names = ["/0", "/1", "/folder/2", "/folder/3", "/folder/4"];
    let named: Vec<_> = names.into_iter().zip(files.iter().map(Vec::as_slice)).collect();
    let (snapshot, contents) = bench.back_up(&named);
    let place = bench.index().read().unwrap().lookup(BlobKind::Data, &contents[2][0]).unwrap();
    let all = bench.files_of(&snapshot);
    assert_eq!(all.len(), 5);
    (snapshot, all, place)
}

fn flip(bench: &Bench, name: &ObjectName, at: usize) {
    let mut bytes = bench.bytes(name).to_vec();
    bytes[at] ^= 1;
    bench.replace(name, bytes);
}

#[test]
fn a_pack_loses_its_damaged_blob_alone_and_the_rest_of_the_snapshot_is_published_beside_it() {
    let bench = Bench::new();
    let (original, all, place) = five_files(&bench);
    let pack = layout::pack(&place.pack);
    flip(&bench, &pack, place.offset as usize + 99);
    let damaged = bench.bytes(&pack);

    let repaired = bench.repair_snapshots().unwrap();

    assert_eq!((repaired.salvaged.blobs, repaired.lost_blobs), (4, 1));
    assert_eq!(repaired.dropped, [place.pack]);
    let [one] = &repaired.snapshots[..] else { panic!("{:?}", repaired.snapshots) };
    assert_eq!((one.original, one.files, one.folders, one.was_there), (original, 1, 0, false));
    let rest = bench.files_of(&one.repaired.unwrap());
    let mut expected = all.clone();
    expected.remove("folder/2");
    assert_eq!(rest, expected);
    // The original and the pack are there as they were; the pack is marked, and nothing names it.
    assert_eq!(bench.files_of(&original), expected);
    assert_eq!(bench.names("damaged"), [layout::aside(&pack, &Digest::of(&damaged))]);
    assert_eq!(bench.bytes(&pack), damaged);
    assert!(!bench.index().read().unwrap().has_pack(&place.pack));
    let published = bench.runtime.block_on(bench.repository.snapshot(&one.repaired.unwrap()));
    let published = published.unwrap();
    assert_eq!((published.original, published.summary), (Some(original), None));
    assert_eq!(published.tags, ["repaired"]);
    let verified = bench.verify(Depth::ReadData).unwrap();
    let affected: Vec<_> =
        verified.affected.iter().map(|told| (told.snapshot, told.repaired)).collect();
    assert_eq!(affected, [(original, one.repaired)]);
    assert_eq!(verified.hints, Vec::<String>::new());
    assert!(bench.repair_index().unwrap().is_empty());
    assert_eq!(bench.names("locks"), []);
}

#[test]
fn a_damaged_pack_is_named_again_only_when_somebody_mended_it() {
    let bench = Bench::new();
    let (original, all, place) = five_files(&bench);
    let pack = layout::pack(&place.pack);
    let sound = bench.bytes(&pack);
    flip(&bench, &pack, place.offset as usize + 99);
    bench.repair_snapshots().unwrap();

    assert!(bench.repair_index().unwrap().is_empty());
    bench.replace(&pack, sound);
    assert_eq!(bench.repair_index().unwrap().named, [place.pack]);

    assert_eq!(bench.files_of(&original), all);
    assert_eq!(bench.verify(Depth::ReadData).unwrap().errors, []);
}

#[test]
fn a_second_repair_publishes_nothing_twice() {
    let bench = Bench::new();
    let (original, _, place) = five_files(&bench);
    flip(&bench, &layout::pack(&place.pack), place.offset as usize + 99);
    let first = bench.repair_snapshots().unwrap();
    let before = bench.objects();

    let second = bench.repair_snapshots().unwrap();

    assert_eq!(second.snapshots.len(), 1);
    assert_eq!(second.snapshots[0].original, original);
    assert_eq!(second.snapshots[0].repaired, first.snapshots[0].repaired);
    assert!(second.snapshots[0].was_there && second.dropped.is_empty());
    assert_eq!(bench.objects(), before);
}

#[test]
fn what_the_source_still_has_makes_the_original_whole_again() {
    let bench = Bench::new();
    let (original, all, place) = five_files(&bench);
    flip(&bench, &layout::pack(&place.pack), place.offset as usize + 99);
    bench.repair_snapshots().unwrap();

    bench.back_up(&[("/found-again", &all["folder/2"])]);

    assert_eq!(bench.files_of(&original), all);
    assert_eq!(bench.verify(Depth::ReadData).unwrap().errors, []);
}

#[test]
fn a_pack_with_a_damaged_header_loses_nothing_and_its_blobs_move_to_a_sound_one() {
    for end in [1, 3, 20, 60] {
        let bench = Bench::new();
        let (original, all, place) = five_files(&bench);
        let name = layout::pack(&place.pack);
        flip(&bench, &name, bench.bytes(&name).len() - end);

        let repaired = bench.repair_snapshots().unwrap();

        assert_eq!((repaired.salvaged.blobs, repaired.lost_blobs), (5, 0), "{end}");
        assert!(repaired.snapshots.is_empty() && repaired.dropped == [place.pack], "{end}");
        assert_eq!(bench.files_of(&original), all, "{end}");
        assert_eq!(bench.verify(Depth::ReadData).unwrap().errors, [], "{end}");
    }
}

#[test]
fn missing_and_cut_packs_are_known_without_reading_all_data() {
    for left in [None, Some(0), Some(7000)] {
        let bench = Bench::new();
        let (original, all, place) = five_files(&bench);
        let name = layout::pack(&place.pack);
        match left {
            None => bench.remove(&name),
            Some(bytes) => bench.replace(&name, bench.bytes(&name).slice(..bytes)),
        }
        let readable = bench.files_of(&original);

        let repaired =
            bench.repair_snapshots_with(bench.store.clone(), Depth::Structure, false).unwrap();

        assert_eq!(repaired.snapshots[0].files, 5 - readable.len() as u64, "{left:?}");
        let rest = bench.files_of(&repaired.snapshots[0].repaired.unwrap());
        assert_eq!(rest, readable, "{left:?}");
        assert!(rest.iter().all(|(path, bytes)| all[path] == *bytes));
        assert_eq!(readable.len(), if left == Some(7000) { 2 } else { 0 });
    }
}

#[test]
fn a_lost_folder_is_left_out_and_of_a_lost_root_nothing_is_published() {
    let bench = Bench::new();
    let (_, all, _) = five_files(&bench);
    let trees = bench.names("data").into_iter().find(|name| bench.bytes(name).len() < 6000);
    let trees = trees.unwrap();
    let sound = bench.objects();
    // The folder's tree was stored first, the root's after it.
    flip(&bench, &trees, 40);
    let repaired = bench.repair_snapshots().unwrap();
    let [one] = &repaired.snapshots[..] else { panic!("{:?}", repaired.snapshots) };
    assert_eq!((one.files, one.folders), (0, 1));
    let rest = bench.files_of(&one.repaired.unwrap());
    let mut paths: Vec<_> = rest.keys().map(String::as_str).collect();
    paths.sort_unstable();
    assert_eq!(paths, ["0", "1"]);
    assert_eq!(rest["0"], all["0"]);
    assert_eq!(repaired.salvaged.blobs, 1, "the root's tree is saved");

    bench.reset(&sound);
    bench.remove(&trees);
    let repaired = bench.repair_snapshots().unwrap();
    let [one] = &repaired.snapshots[..] else { panic!("{:?}", repaired.snapshots) };
    assert_eq!((one.folders, one.repaired), (1, None));
    assert_eq!(bench.names("snapshots").len(), 1);
}

#[test]
fn what_lies_in_two_packs_is_not_lost_with_one() {
    let bench = Bench::new();
    let (original, all, place) = five_files(&bench);
    let nothing_known = Arc::new(RwLock::new(Index::new()));
    let writer = bench.writer_with(nothing_known, Arc::new(SystemClock));
    writer.store_content(&mut &all["folder/2"][..]).unwrap();
    bench.finish(writer).unwrap();
    flip(&bench, &layout::pack(&place.pack), place.offset as usize + 99);

    let repaired = bench.repair_snapshots().unwrap();

    assert_eq!((repaired.salvaged.blobs, repaired.lost_blobs), (4, 0));
    assert!(repaired.snapshots.is_empty());
    assert_eq!(bench.files_of(&original), all);
    assert_eq!(bench.verify(Depth::ReadData).unwrap().errors, []);
}

#[test]
fn a_dry_run_tells_the_same_and_changes_nothing() {
    let bench = Bench::new();
    let (_, _, place) = five_files(&bench);
    flip(&bench, &layout::pack(&place.pack), place.offset as usize + 99);
    let before = bench.objects();

    let dry = bench.repair_snapshots_with(bench.store.clone(), Depth::ReadData, true).unwrap();

    assert_eq!(bench.objects(), before);
    let done = bench.repair_snapshots().unwrap();
    let told = |one: &SnapshotsRepaired| {
        let lost: Vec<_> =
            one.snapshots.iter().map(|one| (one.original, one.files, one.folders)).collect();
        (one.dropped.clone(), one.lost_blobs, lost)
    };
    assert_eq!(told(&dry), told(&done));
    assert_eq!(dry.snapshots[0].repaired, None);
}

#[test]
fn a_damaged_index_is_repaired_first() {
    let bench = Bench::new();
    five_files(&bench);
    bench.replace(&bench.names("index")[0].clone(), noise(50));
    let before = bench.objects();

    let error = bench.repair_snapshots().unwrap_err();

    assert!(matches!(error, Error::IndexFirst { .. }), "{error:?}");
    assert_eq!(bench.objects(), before);
}

#[test]
fn a_repair_that_fails_at_any_call_has_lost_nothing_and_the_next_one_ends_it() {
    let bench = Bench::new();
    let (original, all, place) = five_files(&bench);
    flip(&bench, &layout::pack(&place.pack), place.offset as usize + 99);
    let damaged = bench.objects();
    let mut expected = all.clone();
    expected.remove("folder/2");
    let mut ended = 0;
    for act in [Act::Put, Act::Get, Act::List, Act::Delete] {
        for harm in [Harm::Fail, Harm::LoseReply] {
            for call in 0..80 {
                let fault = Fault { act, name: String::new(), calls: call..call + 1, harm };
                let faulty = Arc::new(store::Faulty::new(bench.store.clone(), vec![fault]));

                let outcome = bench.repair_snapshots_with(faulty.clone(), Depth::ReadData, false);

                if faulty.fired() == [0] {
                    assert!(outcome.is_ok(), "{act:?} {call}: {outcome:?}");
                    break;
                }
                let is_cut = |done: &SnapshotsRepaired| done.unfinished.is_some();
                ended += usize::from(outcome.as_ref().map_or(true, is_cut));
                let what = format!("{act:?} {harm:?} {call}");
                assert_eq!(bench.files_of(&original), expected, "{what}");
                bench.names("locks").iter().for_each(|lock| bench.remove(lock));
                let again = bench.repair_snapshots().unwrap();
                assert_eq!(again.snapshots.len(), 1, "{what}");
                let rest = bench.files_of(&again.snapshots[0].repaired.unwrap());
                assert_eq!(rest, expected, "{what}");
                assert!(!bench.index().read().unwrap().has_pack(&place.pack), "{what}");
                // A pack that the first one saved, and did not come to name, may be named now.
                let plan = bench.repair_index().unwrap();
                assert!(!plan.named.contains(&place.pack) && plan.gone.is_empty(), "{what}");
                bench.reset(&damaged);
            }
        }
    }
    assert!(ended > 30, "only {ended} repairs were cut short");
}

#[test]
fn a_store_that_lies_for_a_while_costs_nothing_that_is_stored() {
    let bench = Bench::new();
    let (original, all, place) = five_files(&bench);
    let sound = bench.objects();
    let mut unmasked = 0;
    for lies in 1..30 {
        let name = place.pack.to_string();
        let fault = Fault { act: Act::Get, name, calls: 0..lies, harm: Harm::Lie };
        let faulty = Arc::new(store::Faulty::new(bench.store.clone(), vec![fault]));

        let outcome = bench.repair_snapshots_with(faulty, Depth::ReadData, false);

        let why = match &outcome {
            Ok(repaired) => repaired.unfinished.as_ref().map(|one| &one.why),
            Err(error) => Some(error),
        };
        if matches!(why, Some(Error::Whole { .. })) {
            unmasked += 1;
            assert!(bench.index().read().unwrap().has_pack(&place.pack), "{lies}");
        }
        bench.repair_index().unwrap();
        assert!(bench.files_of(&original) == all, "{lies}");
        bench.reset(&sound);
    }
    assert!(unmasked > 1, "only {unmasked} times");
}

#[test]
fn a_tree_that_was_never_stored_is_told_and_left_out() {
    let bench = Bench::new();
    let writer = bench.writer();
    let gone = BlobId(Digest::of(b"never stored"));
    let file = node("file", NodeKind::File { size: 0, content: Vec::new() });
    let root = Tree { nodes: vec![node("a", NodeKind::Dir { subtree: gone }), file] };
    let tree = writer.store_tree(&root).unwrap();
    bench.finish(writer).unwrap();
    bench.runtime.block_on(bench.repository.save_snapshot(&snapshot(tree))).unwrap();

    let repaired = bench.repair_snapshots().unwrap();

    let [one] = &repaired.snapshots[..] else { panic!("{:?}", repaired.snapshots) };
    assert_eq!((one.files, one.folders), (0, 1));
    assert_eq!(bench.files_of(&one.repaired.unwrap()).len(), 1);
}

#[test]
fn a_whole_pack_that_the_index_names_in_part_is_neither_dropped_nor_marked() {
    let bench = Bench::new();
    let (original, all, place) = five_files(&bench);
    let name = bench.names("index").remove(0);
    let id = name.as_str().rsplit('/').next().unwrap().parse().unwrap();
    let loading = bench.repository.load(layout::Folder::Index, &id, IndexFile::decode);
    let mut file = bench.runtime.block_on(loading).unwrap();
    let pack = file.packs.iter_mut().find(|pack| pack.id == place.pack).unwrap();
    pack.blobs.truncate(2);
    bench.remove(&name);
    bench.runtime.block_on(bench.repository.save_index(&file)).unwrap();

    for depth in [Depth::Structure, Depth::ReadData] {
        let error = bench.repair_snapshots_with(bench.store.clone(), depth, false).unwrap_err();
        assert!(matches!(error, Error::Whole { pack } if pack == place.pack), "{error:?}");
        assert_eq!((bench.names("damaged").len(), bench.names("snapshots").len()), (0, 1));
    }

    bench.repair_index().unwrap();
    assert!(bench.files_of(&original) == all);
    assert!(bench.repair_snapshots().unwrap().snapshots.is_empty());
}

#[test]
fn a_copy_that_nobody_read_is_no_reason_to_give_up_another() {
    let bench = Bench::new();
    let (original, all, place) = five_files(&bench);
    let nothing_known = Arc::new(RwLock::new(Index::new()));
    let writer = bench.writer_with(nothing_known, Arc::new(SystemClock));
    writer.store_content(&mut &all["folder/2"][..]).unwrap();
    bench.finish(writer).unwrap();
    let is_other =
        |name: &ObjectName| *name != layout::pack(&place.pack) && bench.bytes(name).len() > 3000;
    let copy = bench.names("data").into_iter().find(is_other).unwrap();
    flip(&bench, &copy, 99);
    // Cut within its header: all of its blobs can be read.
    let name = layout::pack(&place.pack);
    bench.replace(&name, bench.bytes(&name).slice(..bench.bytes(&name).len() - 7));

    let repaired =
        bench.repair_snapshots_with(bench.store.clone(), Depth::Structure, false).unwrap();

    assert_eq!((repaired.salvaged.blobs, repaired.lost_blobs), (5, 0));
    assert!(repaired.snapshots.is_empty() && bench.files_of(&original) == all);
}

#[test]
fn a_missing_index_file_is_made_anew_before_snapshots_are_taken_for_lost() {
    let bench = Bench::new();
    let (original, all, _) = five_files(&bench);
    bench.remove(&bench.names("index")[0].clone());

    let error = bench.repair_snapshots().unwrap_err();

    assert!(matches!(error, Error::Unnamed { .. }), "{error:?}");
    assert_eq!(bench.names("snapshots").len(), 1);
    bench.repair_index().unwrap();
    assert!(bench.files_of(&original) == all);
}

#[test]
fn what_was_published_is_told_though_the_last_step_waits_for_others() {
    let bench = Bench::new();
    let (original, _, place) = five_files(&bench);
    flip(&bench, &layout::pack(&place.pack), place.offset as usize + 99);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let claim = Claim::default();
    let other = Lock::shared(&bench.repository, &clock, &claim);
    let other = bench.runtime.block_on(other).unwrap();

    let first = bench.repair_snapshots().unwrap();

    let unfinished = first.unfinished.unwrap();
    assert!(matches!(unfinished.why, Error::Lock(LockError::Locked { .. })), "{unfinished:?}");
    assert_eq!((unfinished.packs, first.dropped), (vec![place.pack], vec![]));
    assert_eq!((first.snapshots.len(), first.snapshots[0].original), (1, original));
    assert!(bench.index().read().unwrap().has_pack(&place.pack));
    bench.runtime.block_on(other.release()).unwrap();

    let second = bench.repair_snapshots().unwrap();

    assert!(second.unfinished.is_none() && second.dropped == [place.pack]);
    assert_eq!(second.salvaged.blobs, 0, "what was saved was saved again");
    assert!(second.snapshots[0].was_there);
    assert_eq!(second.snapshots[0].repaired, first.snapshots[0].repaired);
}

impl Bench {
    /// A copy of a snapshot with other tags, as restic's `tag` makes it.
    fn tagged(&self, id: &SnapshotId, tags: &[&str]) -> SnapshotId {
        let mut copy = self.runtime.block_on(self.repository.snapshot(id)).unwrap();
        copy.original = Some(*id);
        copy.tags = tags.iter().map(|tag| (*tag).to_owned()).collect();
        self.runtime.block_on(self.repository.save_snapshot(&copy)).unwrap()
    }
}

#[test]
fn a_snapshot_that_restic_tagged_is_not_taken_for_what_a_repair_left() {
    let bench = Bench::new();
    let (original, _, place) = five_files(&bench);
    let tagged = bench.tagged(&original, &["important"]);
    flip(&bench, &layout::pack(&place.pack), place.offset as usize + 99);

    let before = bench.verify(Depth::ReadData).unwrap();
    assert!(before.affected.len() == 2 && before.affected.iter().all(|one| one.repaired.is_none()));
    let repaired = bench.repair_snapshots().unwrap();

    let mut left: Vec<_> =
        repaired.snapshots.iter().map(|one| (one.original, one.repaired.unwrap())).collect();
    left.sort();
    let mut originals = [original, tagged];
    originals.sort();
    assert_eq!([left[0].0, left[1].0], originals);
    assert_ne!(left[0].1, left[1].1, "each has its own");
    let verified = bench.verify(Depth::ReadData).unwrap();
    let mut told: Vec<_> =
        verified.affected.iter().map(|one| (one.snapshot, one.repaired.unwrap())).collect();
    told.sort();
    assert_eq!(told, left);
}

#[test]
fn the_same_is_left_of_a_snapshot_once_however_often_it_is_damaged() {
    let bench = Bench::new();
    let (original, all, place) = five_files(&bench);
    flip(&bench, &layout::pack(&place.pack), place.offset as usize + 99);
    let first = bench.repair_snapshots().unwrap().snapshots[0].repaired.unwrap();
    // In the pack into which it was saved.
    let third = BlobId(Digest::of(&all["folder/3"]));
    let place = bench.index().read().unwrap().lookup(BlobKind::Data, &third).unwrap();
    flip(&bench, &layout::pack(&place.pack), place.offset as usize + 99);

    let second = bench.repair_snapshots().unwrap();

    let left: Vec<_> = second.snapshots.iter().map(|one| one.repaired.unwrap()).collect();
    let mut damaged: Vec<_> = second.snapshots.iter().map(|one| one.original).collect();
    damaged.sort();
    let mut expected = [original, first];
    expected.sort();
    assert_eq!(damaged, expected);
    assert_eq!(left[0], left[1]);
    assert_eq!(bench.names("snapshots").len(), 3);
    assert_eq!(bench.files_of(&left[0]).len(), 3);
}

#[test]
fn what_a_later_restic_writes_into_trees_survives_the_loss_of_a_file_beside_it() {
    let bench = Bench::new();
    let writer = bench.writer();
    let [kept, lost] = [noise(3000), noise(3000)];
    let [kept_id, lost_id] =
        [&kept, &lost].map(|bytes| writer.store_content(&mut &bytes[..]).unwrap().ids[0]);
    let file = |name: &str, id: BlobId| {
        format!(
            r#"{{"name":"{name}","type":"file","content":["{id}"],"size":3000,"color":{{"red":9e9}}}}"#
        )
    };
    let inner = format!(
        "{{\"nodes\":[{},{}],\"signed_by\":\"somebody\"}}\n",
        file("kept", kept_id),
        file("lost", lost_id)
    );
    let inner = writer.store_blob(BlobKind::Tree, inner.as_bytes()).unwrap();
    let outer = |inner: BlobId| {
        format!(r#"{{"nodes":[{{"name":"folder","type":"dir","subtree":"{inner}","birth":7}}]}}"#)
    };
    let root = writer.store_blob(BlobKind::Tree, outer(inner).as_bytes()).unwrap();
    bench.finish(writer).unwrap();
    let id = bench.runtime.block_on(bench.repository.save_snapshot(&snapshot(root))).unwrap();
    let place = bench.index().read().unwrap().lookup(BlobKind::Data, &lost_id).unwrap();
    flip(&bench, &layout::pack(&place.pack), place.offset as usize + 99);

    let dry = bench.repair_snapshots_with(bench.store.clone(), Depth::ReadData, true).unwrap();
    let repaired = bench.repair_snapshots().unwrap();

    assert_eq!((dry.snapshots.len(), repaired.snapshots.len()), (1, 1));
    assert_eq!(repaired.snapshots[0].original, id);
    let left = repaired.snapshots[0].repaired.unwrap();
    assert_eq!(bench.files_of(&left)["folder/kept"], kept);
    let text = |id: &BlobId| {
        let reading = bench.runtime.block_on(bench.reader().blob(BlobKind::Tree, id));
        String::from_utf8(reading.unwrap()).unwrap()
    };
    let inner = format!("{{\"nodes\":[{}],\"signed_by\":\"somebody\"}}\n", file("kept", kept_id));
    let root = bench.runtime.block_on(bench.repository.snapshot(&left)).unwrap().tree;
    assert_eq!(text(&root), outer(BlobId(Digest::of(inner.as_bytes()))));
    assert_eq!(text(&BlobId(Digest::of(inner.as_bytes()))), inner);
}

#[test]
fn what_an_earlier_repair_left_is_stored_again_where_it_is_damaged_by_now() {
    for depth in [Depth::Structure, Depth::ReadData] {
        let bench = Bench::new();
        let (original, _, place) = five_files(&bench);
        flip(&bench, &layout::pack(&place.pack), place.offset as usize + 99);
        let first = bench.repair_snapshots().unwrap().snapshots[0].repaired.unwrap();
        let rest = bench.files_of(&first);
        let root = bench.runtime.block_on(bench.repository.snapshot(&first)).unwrap().tree;
        let place = bench.index().read().unwrap().lookup(BlobKind::Tree, &root).unwrap();
        flip(&bench, &layout::pack(&place.pack), place.offset as usize + 20);
        assert!(bench.files_of(&first).is_empty());

        let dry = bench.repair_snapshots_with(bench.store.clone(), depth, true).unwrap();
        let second = bench.repair_snapshots_with(bench.store.clone(), depth, false).unwrap();

        for (told, left) in [(dry, None), (second, Some(first))] {
            let [one] = &told.snapshots[..] else { panic!("{:?}", told.snapshots) };
            let told = (one.original, one.files, one.folders, one.repaired);
            assert_eq!(told, (original, 1, 0, left), "{depth:?}");
        }
        assert_eq!(bench.files_of(&first), rest, "{depth:?}");
        assert_eq!(bench.names("snapshots").len(), 2);
    }
}

#[test]
fn what_another_writer_says_in_a_snapshot_survives_its_repair() {
    let bench = Bench::new();
    let (original, _, place) = five_files(&bench);
    let mut snapshot = bench.runtime.block_on(bench.repository.snapshot(&original)).unwrap();
    let said = serde_json::json!({"label": "of a later restic", "delete": {"After": [3, null]}});
    snapshot.others = said.as_object().unwrap().clone();
    bench.runtime.block_on(bench.repository.save_snapshot(&snapshot)).unwrap();
    bench.remove(&layout::snapshot(&original));
    flip(&bench, &layout::pack(&place.pack), place.offset as usize + 99);

    let left = bench.repair_snapshots().unwrap().snapshots[0].repaired.unwrap();

    let sealed = bench.bytes(&layout::snapshot(&left));
    let json = crate::repo::file::decode_unnamed(bench.repository.key(), &sealed).unwrap();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    assert_eq!((&json["label"], &json["delete"]), (&said["label"], &said["delete"]));
    assert_eq!(json["tags"], serde_json::json!(["repaired"]));
}
