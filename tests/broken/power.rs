//! The power goes at any moment of an act: of the whole machine, or of the disk that the store is
//! on alone. What was not synced is lost; what lifeboat said was done is not.

use std::collections::BTreeMap;
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use crate::bench::{Bench, Ran};
use crate::dice::{Dice, rounds};
use crate::mounts::{Disk, alone};
use crate::site::{Act, Site};

const ACTS: [Act; 4] = [Act::Backup, Act::Forget, Act::Prune, Act::Drill];

/// Moves folders of a new site to a disk of their own, and shows them to the test where they were.
fn moved(bench: &Bench, folders: &[&str]) -> Disk {
    std::fs::create_dir(bench.path("disk")).unwrap();
    let disk = Disk::at(&bench.path("disk"), &bench.path("image"));
    for folder in folders {
        std::fs::create_dir(bench.path("disk").join(folder)).unwrap();
        let _ = std::fs::remove_dir(bench.path(folder));
        std::os::unix::fs::symlink(format!("disk/{folder}"), bench.path(folder)).unwrap();
        let was = bench.path(folder).display().to_string();
        let is = bench.path("disk").join(folder).display().to_string();
        bench.edit("lifeboat.toml", &was, &is);
    }
    disk
}

fn spawn(site: &Site, act: Act) -> Child {
    let mut command = site.bench.command(act.words());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Loses the power while acts run, round by round on the same disk; `machine`: whatever runs dies
/// with it.
fn loses_power(folders: &[&str], machine: bool) {
    let mut dice = Dice::thrown(&format!("power of {folders:?}"));
    alone();
    let mut disk = None;
    let mut site = Site::new(|bench| disk = Some(moved(bench, folders)));
    let disk = disk.expect("it was moved");
    let mut usual: BTreeMap<Act, Duration> = BTreeMap::new();
    let (mut running, mut done) = (0, 0);
    for round in 0..rounds(8) {
        let act = ACTS[round as usize % ACTS.len()];
        site.ready(act);
        let longest = usual.entry(act).or_insert(Duration::from_millis(900));
        let moment = dice.moment(*longest * 5 / 4);
        disk.mark();
        let begun = Instant::now();
        let mut child = spawn(&site, act);
        let ended = loop {
            match child.try_wait().unwrap() {
                Some(_) => break true,
                None if begun.elapsed() >= moment => break false,
                None => std::thread::sleep(Duration::from_millis(1)),
            }
        };
        if ended {
            *longest = begun.elapsed();
        }
        disk.lose_power();
        if machine {
            // It may have ended in the last moment.
            let _ = child.kill();
        }
        let ran = Ran::from(child.wait_with_output().unwrap());
        let lost = disk.comes_back();
        let what = format!("{act:?}, power lost after {moment:?}, exit {}", ran.code);
        println!("{what}");
        *if ended { &mut done } else { &mut running } += u64::from(lost);
        match ran.code {
            0 => site.is_true(act, &ran, &what),
            137 => assert!(machine, "{what}"),
            1 => Site::is_told(&ran, &what),
            5 if act == Act::Drill => Site::is_told(&ran, &what),
            _ => panic!("{what}: {}{}", ran.stdout, ran.stderr),
        }
        site.stands(&what);
        site.is_clean();
        site.goes_on(act, &what);
        site.stands(&what);
    }
    site.is_clean();
    println!("{running} runs lost their power, {done} had just ended");
    assert!(running > 0, "no run lost its power");
}

#[test]
fn a_machine_that_loses_its_power_loses_nothing_that_was_done() {
    loses_power(&["store", "state", "scratch"], true);
}

#[test]
fn a_store_whose_disk_loses_its_power_loses_nothing_that_was_done() {
    loses_power(&["store"], false);
}
