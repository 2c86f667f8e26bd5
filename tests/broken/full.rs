//! Disks that are full, each in turn: the repository's, the state's and scratch's, with any number of
//! bytes or files left.

use crate::bench::Ran;
use crate::dice::{Dice, rounds};
use crate::mounts::{Left, Memory, alone};
use crate::site::{Act, Site};

const PLACES: [&str; 3] = ["store", "state", "scratch"];

/// A site each of whose folders is a small disk of its own.
fn small() -> (Site, Vec<(&'static str, Memory)>) {
    let mut disks = Vec::new();
    let site = Site::new(|bench| {
        for place in PLACES {
            std::fs::create_dir_all(bench.path(place)).unwrap();
            disks.push((place, Memory::at(&bench.path(place))));
        }
    });
    (site, disks)
}

/// Calls that take room on a disk.
const TAKING: &str = "trace=write,writev,pwrite64,pwritev,pwritev2,openat,mkdir,mkdirat,ftruncate,\
                      fallocate,rename,renameat,renameat2,symlinkat,linkat";

/// From nothing at all to what nearly does.
fn left(dice: &mut Dice) -> Left {
    match dice.below(3) {
        0 => Left::Bytes(1 + dice.below(1 << 20)),
        1 => Left::Bytes(4096 * (1 + dice.below(16))),
        _ => Left::Files(dice.below(4)),
    }
}

fn fills_up(act: Act) {
    let mut dice = Dice::thrown(&format!("{act:?} on full disks"));
    alone();
    let (mut site, disks) = small();
    site.ready(act);
    site.keep();
    for (place, disk) in &disks {
        let uses_it = *place != "scratch" || matches!(act, Act::Backup | Act::Drill);
        if !uses_it {
            continue;
        }
        let chance: Vec<_> = (0..rounds(1)).map(|_| left(&mut dice)).collect();
        for left in [vec![Left::Bytes(0)], chance].concat() {
            disk.fill(left);
            let (ran, trace) = site.traced(act, &[TAKING]);
            // What looks for room first need not run out of it.
            let fired = trace.contains("ENOSPC") || looked(&ran);
            let what = format!("{act:?}, {left:?} left in {place}, exit {}", ran.code);
            println!("{what}, {}", if fired { "too little" } else { "enough" });
            ends_well_or_says(act, &ran, fired, &what);
            assert!(fired || left != Left::Bytes(0), "{what}: it needs no room");
            if *place == "store" {
                site.stands(&what);
            }
            disk.empty();
            if ran.code == 0 {
                site.is_true(act, &ran, &what);
            }
            site.goes_on(act, &what);
            site.stands(&what);
            site.is_clean();
            site.back_again();
        }
    }
}

fn looked(ran: &Ran) -> bool {
    let told = format!("{}{}", ran.stdout, ran.stderr);
    ran.code != 0 && ["no storage space", "are needed"].iter().any(|what| told.contains(what))
}

fn ends_well_or_says(act: Act, ran: &Ran, fired: bool, what: &str) {
    let told = format!("{}{}", ran.stdout, ran.stderr);
    match ran.code {
        0 => {}
        1 => {
            assert!(fired, "{what}: {told}");
            assert!(told.contains("hint"), "{what}: {told}");
            Site::is_told(ran, what);
        }
        5 if act == Act::Drill => Site::is_told(ran, what),
        _ => panic!("{what}: {told}"),
    }
}

#[test]
fn a_backup_that_meets_a_full_disk_says_so_and_goes_on_once_there_is_room() {
    fills_up(Act::Backup);
}

#[test]
fn a_forget_that_meets_a_full_disk_says_so_and_goes_on_once_there_is_room() {
    fills_up(Act::Forget);
}

#[test]
fn a_prune_that_meets_a_full_disk_says_so_and_goes_on_once_there_is_room() {
    fills_up(Act::Prune);
}

#[test]
fn a_drill_that_meets_a_full_disk_tells_no_lie_and_goes_on_once_there_is_room() {
    fills_up(Act::Drill);
}

#[test]
fn a_verify_that_meets_a_full_disk_tells_no_lie_and_goes_on_once_there_is_room() {
    fills_up(Act::Verify);
}
