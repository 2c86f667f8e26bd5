//! Every kind of object, every kind of damage; then verify, repair, prune. Nothing is laundered, and
//! what the damage did not touch is restored byte for byte.

use super::repair_index::Office;
use super::*;
use crate::ground::progress::Silent;
use crate::repo::prune::{Course, Error as PruneError, Known, Limits, Prune};

/// Two snapshots that share some and have each something of their own; a third that was forgotten.
struct Site {
    bench: Bench,
    snapshots: [SnapshotId; 2],
    files: [HashMap<String, Vec<u8>>; 2],
    sound: HashMap<ObjectName, Bytes>,
    /// Of another repository.
    foreign: HashMap<ObjectName, Bytes>,
}

impl Site {
    fn new() -> Self {
        let stranger = Bench::new();
        stranger.back_up(&[("/theirs", &noise(9000)), ("/folder/theirs", b"x")]);
        let bench = Bench::new();
        let [shared, first, second, third] = [6000, 5000, 4000, 3000].map(noise);
        let (one, _) =
            bench.back_up(&[("/shared", &shared), ("/folder/own", &first), ("/small", b"1")]);
        let (two, _) = bench.back_up(&[("/folder/own", &second), ("/shared", &shared)]);
        let (gone, _) = bench.back_up(&[("/folder/own", &third)]);
        bench.remove(&layout::snapshot(&gone));
        let snapshots = [one, two];
        let files = snapshots.map(|id| bench.files_of(&id));
        let sound = bench.objects();
        Self { bench, snapshots, files, sound, foreign: stranger.objects() }
    }

    /// What of each snapshot can be read; whatever can be is what was backed up.
    #[track_caller]
    fn readable(&self, what: &str) -> [Vec<String>; 2] {
        [0, 1].map(|at| {
            let files = self.bench.files_of(&self.snapshots[at]);
            let is_own = |(path, bytes): (&String, &Vec<u8>)| self.files[at][path] == *bytes;
            assert!(files.iter().all(is_own), "{what}: a file is another");
            let mut paths: Vec<_> = files.into_keys().collect();
            paths.sort();
            paths
        })
    }

    fn prune(&self) -> Result<(), PruneError> {
        let published = self.snapshots.to_vec();
        let keeper = Office::knowing(Known { published, ..Known::default() });
        let repository = &self.bench.repository;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let (clock, limits, progress) = (&clock, Limits::default(), &Silent);
        let prune = Prune { repository, clock, keeper: &keeper, progress, limits };
        self.bench.runtime.block_on(prune.run(&mut Course::default()))
    }

    fn all(&self) -> [Vec<String>; 2] {
        self.files.clone().map(|files| {
            let mut paths: Vec<_> = files.into_keys().collect();
            paths.sort();
            paths
        })
    }
}

/// What may happen to an object with these bytes; none: it is deleted.
fn harms(site: &Site, name: &ObjectName) -> Vec<(String, Option<Bytes>)> {
    let bytes = &site.sound[name];
    let length = bytes.len();
    let mut harms = vec![
        ("deleted".to_owned(), None),
        ("emptied".to_owned(), Some(Bytes::new())),
        ("garbled".to_owned(), Some(noise(length).into())),
        ("lengthened".to_owned(), Some([&bytes[..], b"x"].concat().into())),
    ];
    for at in [0, 17, length / 3, length / 2, length - 60, length - 30, length - 4, length - 1] {
        let mut flipped = bytes.to_vec();
        flipped[at] ^= 0x40;
        harms.push((format!("flipped at {at} of {length}"), Some(flipped.into())));
    }
    for left in [1, length / 4, length / 2, length - 40, length - 1] {
        harms.push((format!("cut to {left} of {length}"), Some(bytes.slice(..left))));
    }
    let folder = |name: &ObjectName| name.as_str().split('/').next().unwrap().to_owned();
    let like = |other: &&ObjectName| folder(other) == folder(name) && *other != name;
    let mut others: Vec<_> = site.sound.keys().filter(like).collect();
    others.sort();
    for other in others {
        harms.push((format!("replaced by {other}"), Some(site.sound[other].clone())));
    }
    let mut foreign: Vec<_> = site.foreign.keys().filter(like).collect();
    foreign.sort();
    harms.extend(
        foreign.first().map(|other| ("replayed".to_owned(), Some(site.foreign[*other].clone()))),
    );
    harms
}

#[test]
fn nothing_is_laundered_and_what_damage_did_not_touch_is_restored_byte_for_byte() {
    let site = Site::new();
    let bench = &site.bench;
    let mut names: Vec<_> = site.sound.keys().cloned().collect();
    names.sort();
    let (mut cases, mut refused, mut whole) = (0, 0, 0);
    for name in names {
        let id = name.as_str().rsplit('/').next().unwrap().to_owned();
        for (harm, bytes) in harms(&site, &name) {
            let what = format!("{name} {harm}");
            match bytes {
                None => bench.remove(&name),
                Some(bytes) => bench.replace(&name, bytes),
            }
            let is_snapshot = name.as_str().starts_with("snapshots/");
            cases += 1;

            // Found, and named.
            let verifying = verify(&bench.repository, &site.snapshots, Depth::ReadData, &Silent);
            let found = bench.runtime.block_on(verifying).unwrap();
            let objects = found.errors.iter().map(|damage| &damage.object);
            // What only the forgotten snapshot needed may be missed by nobody.
            let is_missed = objects.clone().count() > 0;
            let is_named = objects.clone().any(|object| object.contains(&id));
            let index_is_gone = name.as_str().starts_with("index/") && harm == "deleted";
            assert!(is_named || index_is_gone, "{what}: {:?}", found.errors);
            let before = site.readable(&what);

            // A prune stops, or takes nothing that can be read.
            let stored = bench.objects();
            match site.prune() {
                Err(_) => {
                    refused += 1;
                    let still: Vec<_> = bench.objects().into_keys().collect();
                    assert!(stored.keys().all(|name| still.contains(name)), "{what}");
                }
                Ok(()) => assert!(!is_snapshot, "{what}"),
            }
            assert_eq!(site.readable(&what), before, "{what}: pruned");

            // Repaired: nothing that could be read cannot be.
            let index = bench.repair_index().unwrap_or_else(|error| panic!("{what}: {error:?}"));
            let named = site.readable(&what);
            includes(&named, &before, &what);
            let repaired =
                bench.repair_snapshots().unwrap_or_else(|error| panic!("{what}: {error:?}"));
            assert_eq!(site.readable(&what), named, "{what}: repaired, {index:?}");
            let of = |id: SnapshotId| repaired.snapshots.iter().find(|one| one.original == id);
            for at in [0, 1] {
                let lacks = site.all()[at].len() - named[at].len();
                let is_readable = !is_snapshot || !id.starts_with(&site.snapshots[at].to_string());
                assert_eq!(of(site.snapshots[at]).is_some(), lacks > 0 && is_readable, "{what}");
                let Some(rest) = of(site.snapshots[at]).and_then(|one| one.repaired) else {
                    continue;
                };
                let files = bench.files_of(&rest);
                assert_eq!(files.len(), named[at].len(), "{what}");
                let is_own = |(path, bytes): (&String, &Vec<u8>)| site.files[at][path] == *bytes;
                assert!(files.iter().all(is_own), "{what}");
            }

            // What is damaged still is, by every account but the repaired one's.
            let again = bench.runtime.block_on(verify(
                &bench.repository,
                &site.snapshots,
                Depth::ReadData,
                &Silent,
            ));
            let again = again.unwrap();
            let lacking: Vec<_> = again.affected.iter().map(|one| one.snapshot).collect();
            for at in [0, 1] {
                let lacks = named[at].len() < site.all()[at].len() && !is_snapshot;
                assert_eq!(lacking.contains(&site.snapshots[at]), lacks, "{what}");
            }
            assert!(lacking.iter().all(|id| site.snapshots.contains(id)), "{what}: {lacking:?}");
            let pruned = site.prune();
            assert_eq!(site.readable(&what), named, "{what}: pruned after repair");
            if named == site.all() {
                pruned.unwrap_or_else(|error| panic!("{what}: {error:?}"));
                assert_eq!(bench.verify(Depth::ReadData).unwrap().errors, [], "{what}");
                whole += 1;
            } else {
                assert!(pruned.is_err(), "{what}: what a snapshot needs is lost");
            }
            assert!(is_missed || index_is_gone, "{what}");
            bench.reset(&site.sound);
        }
    }
    println!("{cases} damages; a prune stopped {refused} times; {whole} repairs lost nothing");
    assert!(cases > 150 && refused > 50 && whole > 50, "{cases} {refused} {whole}");
}

#[track_caller]
fn includes(now: &[Vec<String>; 2], before: &[Vec<String>; 2], what: &str) {
    for at in [0, 1] {
        let is_there = |path: &String| now[at].contains(path);
        assert!(before[at].iter().all(is_there), "{what}: {:?} was {:?}", now[at], before[at]);
    }
}
