//! Many writers, removers and readers of one repository at once, from two hosts and with stock
//! restic, some of them killed half way: what was published stays, and nobody is told a lie.

mod bench;
mod dice;
#[path = "writers/judged.rs"]
mod judged;
mod seaweed;
#[path = "writers/world.rs"]
mod world;

use std::time::Duration;

use bench::must;
use dice::Dice;
use serde_json::{Value, json};
use world::{World, Writer};

fn pause(dice: &mut Dice) {
    std::thread::sleep(dice.moment(Duration::from_millis(400)));
}

fn backs_up(world: &World, writer: &Writer, mut dice: Dice) {
    for nth in 0.. {
        if !world.goes_on() {
            return;
        }
        world.change(&writer.data, nth, &mut dice);
        let words = ["backup", writer.policy, "--json"];
        let death = world.death("backup", &mut dice);
        let ran = world.does("backup", world.lifeboat(&writer.site, &words), death);
        if ran.code == 0 {
            world.was_taken(&ran.json()["snapshot"], &writer.data);
        }
        pause(&mut dice);
    }
}

/// The acts that remove and read, one after the other, for whichever policy.
fn works(world: &World, act: &'static str, writers: &[Writer], mut dice: Dice) {
    while world.goes_on() {
        let writer = &writers[dice.below(writers.len() as u64) as usize];
        let mut words = vec![act, writer.policy, "--json"];
        if act == "verify" && dice.below(2) == 0 {
            words.push("--read-data");
        }
        if act == "forget" {
            words.push("--allow-many");
        }
        let death = world.death(act, &mut dice);
        let ran = world.does(act, world.lifeboat(&writer.site, &words), death);
        if act == "verify" && ran.code == 0 {
            assert_eq!(ran.json()["errors"], json!([]), "{}", ran.stdout);
        }
        if act == "drill" && ran.code == 0 {
            assert_eq!(ran.json()["verdict"], "pass", "{}", ran.stdout);
        }
        pause(&mut dice);
    }
}

fn restic_works(world: &World, mut dice: Dice) {
    let data = world.bench.path("data/restic");
    std::fs::create_dir(&data).unwrap();
    for nth in 0.. {
        if !world.goes_on() {
            return;
        }
        world.change(&data, nth, &mut dice);
        let mut backup = world.restic(&["backup", "--retry-lock=20s", "--json", "--host=stranger"]);
        backup.arg(&data);
        let ran = world.does("restic backup", backup, None);
        if ran.code == 0 {
            let last = ran.stdout.lines().last().unwrap();
            let summary: Value = serde_json::from_str(last).unwrap();
            world.was_taken(&summary["snapshot_id"], &data);
        }
        pause(&mut dice);
        if nth % 4 == 3 {
            let words = ["forget", "--host=stranger", "--keep-last=2", "--prune"];
            let words = [&words[..], &["--retry-lock=20s"]].concat();
            world.does("restic forget", world.restic(&words), None);
        }
    }
}

/// Everybody works until the time is over.
fn all_work(world: &World, dice: &mut Dice) {
    let (first, second) = world.writers.split_at(2);
    for Writer { site, policy, data } in &world.writers {
        world.change(data, 0, dice);
        must(&mut world.lifeboat(site, &["backup", policy]));
    }
    std::thread::scope(|scope| {
        for writer in &world.writers {
            let dice = dice.others();
            scope.spawn(move || backs_up(world, writer, dice));
        }
        for act in ["forget", "prune"] {
            for host in [first, second] {
                let dice = dice.others();
                scope.spawn(move || works(world, act, host, dice));
            }
        }
        for act in ["verify", "drill", "snapshots", "status"] {
            let dice = dice.others();
            scope.spawn(move || works(world, act, &world.writers, dice));
        }
        let dice = dice.others();
        scope.spawn(move || restic_works(world, dice));
    });
}

#[test]
fn whoever_writes_removes_and_reads_at_once_in_a_folder_loses_nothing() {
    let mut dice = Dice::thrown("writers in a folder");
    let world = World::new(None);

    all_work(&world, &mut dice);

    world.all_ended_well();
    world.stands();
}

#[test]
fn whoever_writes_removes_and_reads_at_once_in_a_bucket_loses_nothing() {
    let mut dice = Dice::thrown("writers in a bucket");
    let world = World::new(Some("writers"));

    all_work(&world, &mut dice);

    world.all_ended_well();
    world.stands();
}
