//! Runs of the model, without and with a planted mistake.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinHandle;

use super::Dice;
use super::acts::{Act, Stopped};
use super::gate::Call;
use super::world::{Planted, Tally, World};
use crate::ground::progress::Silent;
use crate::repo::repository::tests::create_in;
use crate::repo::{Depth, Repository, verify};

/// Acts of one run, and how many of them are at work at one time.
const ACTS: usize = 14;
const AT_ONCE: usize = 4;
/// Runs of one test.
const RUNS: u64 = 1000;
/// Longer than any lock is good for.
const SLEEP_MINUTES: i64 = 40;

struct Run {
    world: Arc<World>,
    base: Arc<Repository>,
    dice: Dice,
    /// How rarely an act begins beside others: removers need to be alone.
    crowding: usize,
    begun: usize,
    rots_index: bool,
    /// Who sleeps, and for how many turns of others.
    asleep: Option<(usize, usize)>,
    crashed: Vec<usize>,
    work: Vec<(usize, JoinHandle<()>)>,
}

/// Plays one run to its end; answers what it did and, if something was wrong, what.
fn play(seed: u64, rots: bool, planted: Option<Planted>) -> (Tally, Option<String>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    tokio::task::LocalSet::new().block_on(&runtime, async {
        let world = World::new(rots, planted);
        let base = Arc::new(create_in(world.memory.clone()).await);
        *world.key.lock().unwrap() = Some(base.key().clone());
        let mut dice = Dice::new(seed);
        let crowding = 10 + dice.below(90);
        let (crashed, work) = (Vec::new(), Vec::new());
        let (shared, asleep, rots_index) = (world.clone(), None, seed.is_multiple_of(2));
        let run = Run { world, base, dice, crowding, begun: 0, rots_index, asleep, crashed, work };
        tokio::time::timeout(Duration::from_secs(60), run.play()).await.expect("a run ends");
        let violation = shared.violation.lock().unwrap().clone();
        let tally = *shared.tally.lock().unwrap();
        (tally, violation)
    })
}

impl Run {
    async fn play(mut self) {
        while self.world.violation.lock().unwrap().is_none() {
            let at_work = self.world.gate.at_work();
            let may_begin = self.begun < ACTS && at_work.len() < AT_ONCE;
            let sleeps = |actor: &usize| self.asleep.is_some_and(|(one, _)| one == *actor);
            if may_begin && (at_work.iter().all(sleeps) || self.dice.one_in(self.crowding)) {
                if at_work.is_empty() {
                    self.rot().await;
                }
                self.begin();
                continue;
            }
            let Some(actor) = self.choose(&at_work).await else {
                if at_work.is_empty() && self.begun == ACTS {
                    break;
                }
                continue;
            };
            if self.dice.one_in(150) {
                self.crash(actor);
            } else {
                self.world.gate.open(actor);
                tokio::task::yield_now().await;
            }
        }
        if self.world.violation.lock().unwrap().is_none() {
            self.look_at_the_end().await;
        }
    }

    /// Whose turn it is: theirs first who have looked and are about to act.
    async fn choose(&mut self, at_work: &[usize]) -> Option<usize> {
        let mut ready = Vec::new();
        for actor in at_work {
            match self.world.gate.ready(*actor).await {
                Some(Call::Commit) => return Some(*actor),
                Some(_) => ready.push(*actor),
                None => {}
            }
        }
        if ready.is_empty() {
            return None;
        }
        if self.dice.one_in(200) && self.asleep.is_none() {
            self.world.pass_time(SLEEP_MINUTES);
            self.world.count(|tally| tally.slept += 1);
            self.asleep = Some((ready[self.dice.below(ready.len())], self.dice.below(300)));
        }
        if let Some((sleeper, turns)) = &mut self.asleep {
            *turns = turns.saturating_sub(1);
            if *turns > 0 {
                ready.retain(|actor| actor != sleeper);
            } else {
                self.asleep = None;
            }
        }
        if ready.is_empty() {
            return None;
        }
        Some(ready[self.dice.below(ready.len())])
    }

    /// Something rots now and then, in one run index files and in another packs: of both at once the
    /// last copy can go. Nobody is at work: what rots between the look at a copy and the removal of
    /// another is nobody's mistake.
    async fn rot(&mut self) {
        if !self.world.rots || !self.dice.one_in(4) {
            return;
        }
        match self.rots_index {
            true => self.world.rot_index(&mut self.dice).await,
            false => self.world.rot_pack(&mut self.dice).await,
        }
    }

    fn begin(&mut self) {
        self.begun += 1;
        let mut dead = Vec::new();
        if !self.dice.one_in(4) {
            dead.extend(self.crashed.iter().flat_map(|actor| self.world.left_by(*actor)));
        }
        let dice = Dice::new(self.dice.below(usize::MAX) as u64);
        let act = Act::new(&self.world, &self.base, dice, dead);
        let (world, base, actor) = (self.world.clone(), self.base.clone(), act.gated.actor);
        let kind = self.dice.below(if self.world.rots { 20 } else { 16 });
        let work = tokio::task::spawn_local(async move {
            let _ended: Result<(), Stopped> = match kind {
                0..7 => act.backup().await,
                7..9 => act.forget().await,
                9..14 => act.prune(&base).await,
                14 => act.verify().await,
                15 => act.unlock().await,
                16..18 => act.repair_index().await,
                _ => act.repair_snapshots(&base).await,
            };
            world.gate.leave(actor);
        });
        self.work.push((actor, work));
    }

    fn crash(&mut self, actor: usize) {
        self.world.gate.kill(actor);
        let was_between = self.world.between_slices.lock().unwrap().remove(&actor);
        self.world.count(|tally| {
            tally.crashed += 1;
            tally.crashed_between += usize::from(was_between);
        });
        self.crashed.push(actor);
        for (_, work) in self.work.iter().filter(|(one, _)| *one == actor) {
            work.abort();
        }
    }

    /// Every byte of what snapshots need is there.
    async fn look_at_the_end(&self) {
        self.world.check().await;
        if self.world.rot.lock().unwrap().times > 0 {
            return;
        }
        let found = verify(&self.base, &[], Depth::ReadData, &Silent).await.unwrap();
        let needed = |object: &str| !object.starts_with("pack ");
        if let Some(damage) = found.errors.iter().find(|damage| needed(&damage.object)) {
            self.world.violated(format!("at the end verify found {damage:?}"));
        }
    }
}

/// A seed of one's own repeats a run: `LIFEBOAT_MODEL_SEED=7 cargo test --lib prune::tests`.
fn seeds(count: u64) -> std::ops::Range<u64> {
    let own = std::env::var("LIFEBOAT_MODEL_SEED").ok().and_then(|seed| seed.parse().ok());
    own.map_or(0..count, |seed: u64| seed..seed + 1)
}

#[test]
fn what_a_listed_snapshot_reaches_is_stored_always() {
    let begun = Instant::now();
    let mut sum = Tally::default();
    for seed in seeds(RUNS) {
        let (tally, violation) = play(seed, false, None);
        assert_eq!(violation, None, "seed {seed}");
        sum += tally;
    }
    println!("{sum:?} in {:?}", begun.elapsed());
    assert!(sum.all().iter().all(|happened| *happened > 0), "something was not tried: {sum:?}");
}

#[test]
fn what_did_not_rot_stays_stored_and_named_whoever_repairs_beside_the_others() {
    let begun = Instant::now();
    let mut sum = Tally::default();
    for seed in seeds(RUNS) {
        let (tally, violation) = play(seed, true, None);
        assert_eq!(violation, None, "seed {seed}");
        sum += tally;
    }
    println!("{sum:?} in {:?}", begun.elapsed());
    assert!(sum.of_repairs().iter().all(|happened| *happened > 0), "not tried: {sum:?}");
}

/// How many runs it takes until the model finds the mistake.
fn found_after(planted: Planted) -> u64 {
    let rots = matches!(
        planted,
        Planted::NamesGoFirst | Planted::DropBeforeSalvage | Planted::MarkForgotten
    );
    let found = (0..3000).find(|seed| play(*seed, rots, Some(planted)).1.is_some());
    found.unwrap_or_else(|| panic!("{planted:?} was not found"))
}

#[test]
fn an_index_before_its_packs_is_found() {
    println!("after {} runs", found_after(Planted::IndexBeforePack));
}

#[test]
fn a_snapshot_before_its_index_is_found() {
    println!("after {} runs", found_after(Planted::SnapshotBeforeIndex));
}

#[test]
fn a_deletion_without_another_listing_is_found() {
    println!("after {} runs", found_after(Planted::DeletionBeforeRelisting));
}

#[test]
fn a_missing_fence_is_found() {
    println!("after {} runs", found_after(Planted::MissingFence));
}

#[test]
fn old_index_files_that_go_before_new_ones_are_there_are_found() {
    println!("after {} runs", found_after(Planted::NamesGoFirst));
}

#[test]
fn a_damaged_pack_that_loses_its_name_before_the_rest_of_it_is_saved_is_found() {
    println!("after {} runs", found_after(Planted::DropBeforeSalvage));
}

#[test]
fn a_damaged_pack_that_nobody_marked_is_found() {
    println!("after {} runs", found_after(Planted::MarkForgotten));
}
