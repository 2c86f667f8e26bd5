use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::ground::digest::Digest;
use crate::ground::ids::RunId;
use crate::ground::process::Identity;

const LONG: Duration = Duration::from_secs(60);

async fn state() -> (tempfile::TempDir, State) {
    let folder = tempfile::tempdir().unwrap();
    let state = State::open(&folder.path().join("deep/state.db")).await.unwrap();
    (folder, state)
}

/// A process of this host that runs no more.
fn gone() -> Holder {
    let me = Identity::me();
    Holder::here(Identity { started_ticks: me.started_ticks + 1, ..me })
}

#[tokio::test]
async fn of_two_handles_on_one_file_one_gets_the_lease() {
    let (folder, first) = state().await;
    let second = State::open(&folder.path().join("deep/state.db")).await.unwrap();

    let (one, two) = tokio::join!(
        first.lease("backup acme/shop", RunId::draw(), LONG),
        second.lease("backup acme/shop", RunId::draw(), LONG)
    );

    let won = [one.unwrap().is_ok(), two.unwrap().is_ok()];
    assert_eq!(won.iter().filter(|won| **won).count(), 1);
    assert!(first.lease("drill acme/shop", RunId::draw(), LONG).await.unwrap().is_ok());
}

#[tokio::test]
async fn a_lease_that_ran_out_is_taken_over_and_its_holder_cannot_come_back() {
    let (_folder, state) = state().await;
    let old = state.lease("key", RunId::draw(), Duration::ZERO).await.unwrap().unwrap();

    let new = state.lease("key", RunId::draw(), LONG).await.unwrap().unwrap();

    assert!(new.fence > old.fence);
    assert!(matches!(old.renew().await, Err(Error::LeaseLost { .. })));
    new.renew().await.unwrap();
    assert!(matches!(old.release().await, Err(Error::LeaseLost { .. })));
    assert!(state.lease("key", RunId::draw(), LONG).await.unwrap().is_err());
    new.release().await.unwrap();
    assert!(state.lease("key", RunId::draw(), LONG).await.unwrap().is_ok());
}

#[tokio::test]
async fn the_lease_of_a_dead_process_is_taken_over_at_once() {
    let (_folder, state) = state().await;
    let lost = RunId::draw();
    let _lease = state.lease("key", lost, LONG).await.unwrap().unwrap();
    assert_eq!(state.living_runs().await.unwrap(), [lost]);
    sqlx::query("UPDATE lease SET holder = ?")
        .bind(gone().written())
        .execute(&state.pool)
        .await
        .unwrap();

    assert!(state.living_runs().await.unwrap().is_empty());
    assert!(state.lease("key", RunId::draw(), LONG).await.unwrap().is_ok());
}

#[tokio::test]
async fn only_locks_of_dead_processes_are_dead() {
    let (_folder, state) = state().await;
    state.remember_lock("here", "living").await.unwrap();
    state.remember_lock("here", "dead").await.unwrap();
    sqlx::query("UPDATE repository_lock SET holder = ? WHERE id = 'dead'")
        .bind(gone().written())
        .execute(&state.pool)
        .await
        .unwrap();

    assert_eq!(state.dead_locks("here").await.unwrap(), ["dead"]);
    assert!(state.dead_locks("elsewhere").await.unwrap().is_empty());
    state.forget_lock("here", "dead").await.unwrap();
    assert!(state.dead_locks("here").await.unwrap().is_empty());
}

#[tokio::test]
async fn a_remembered_checkpoint_is_never_replaced_by_an_older_one() {
    let (_folder, state) = state().await;
    assert_eq!(state.newest_checkpoint("here").await.unwrap(), None);
    state.remember_checkpoint("here", 7, Digest::of(b"7")).await.unwrap();
    state.remember_checkpoint("here", 3, Digest::of(b"3")).await.unwrap();

    assert_eq!(state.newest_checkpoint("here").await.unwrap(), Some((7, Digest::of(b"7"))));
}

#[tokio::test]
async fn the_key_file_that_opened_last_is_remembered_for_each_place_until_it_is_rebuilt() {
    let (_folder, state) = state().await;
    let [first, second] = [b"first", b"again"].map(|text| Digest::of(text));
    state.remember_opening_key("here", first, 450).await.unwrap();

    state.remember_opening_key("here", second, 460).await.unwrap();

    assert_eq!(state.opening_key("here").await.unwrap(), Some((second, 460)));
    assert_eq!(state.opening_key("there").await.unwrap(), None);
    state.forget_memories().await.unwrap();
    assert_eq!(state.opening_key("here").await.unwrap(), None);
}

#[tokio::test]
async fn an_owed_hook_outlives_its_process_until_it_ran() {
    let (folder, state) = state().await;
    let argv = vec!["/bin/resume".to_owned(), "a b".to_owned()];
    state.owe_hook("acme/shop", &argv).await.unwrap();
    drop(state);

    let state = State::open(&folder.path().join("deep/state.db")).await.unwrap();

    assert_eq!(state.owed_hook("acme/shop").await.unwrap(), Some(argv));
    state.settle_hook("acme/shop").await.unwrap();
    assert_eq!(state.owed_hook("acme/shop").await.unwrap(), None);
}

#[tokio::test]
async fn a_damaged_or_newer_state_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.db");
    std::fs::write(&file, "this is no database, it only has its name ".repeat(100)).unwrap();
    let error = State::open(&file).await.unwrap_err();
    assert!(matches!(error, Error::Unusable { .. }) && error.is_damage(), "{error:?}");

    std::fs::remove_file(&file).unwrap();
    let state = State::open(&file).await.unwrap();
    sqlx::raw_sql("PRAGMA user_version = 99").execute(&state.pool).await.unwrap();
    drop(state);
    assert!(matches!(State::open(&file).await, Err(Error::Newer { found: 99, .. })));
}

#[tokio::test]
async fn the_state_is_readable_by_its_owner_only() {
    let (folder, _state) = state().await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;

    assert_eq!(mode(&folder.path().join("deep")), 0o700);
    assert_eq!(mode(&folder.path().join("deep/state.db")), 0o600);
}

#[tokio::test]
async fn a_slot_is_handed_out_once() {
    let (_folder, state) = state().await;
    let at = |second| jiff::Timestamp::from_second(second).unwrap();

    assert!(state.begin_slot("acme/shop", at(60)).await.unwrap());
    assert!(!state.begin_slot("acme/shop", at(60)).await.unwrap());
    assert!(state.begin_slot("acme/shop/weekly", at(60)).await.unwrap());
    assert!(state.has_begun("acme/shop", at(60)).await.unwrap());
    assert!(!state.has_begun("acme/shop", at(120)).await.unwrap());
}

#[tokio::test]
async fn the_board_is_the_living_daemons_alone() {
    let (_folder, state) = state().await;
    let old = state.lease(DAEMON, RunId::draw(), Duration::ZERO).await.unwrap().unwrap();
    let board = Board { serves: ["acme/shop".to_owned()].into(), ..Board::default() };
    old.post(&board).await.unwrap();
    assert_eq!(state.board().await.unwrap().unwrap().1, board);

    let new = state.lease(DAEMON, RunId::draw(), LONG).await.unwrap().unwrap();
    assert!(matches!(old.post(&Board::default()).await, Err(Error::LeaseLost { .. })));
    assert_eq!(state.served().await.unwrap(), board.serves);

    new.take_down().await.unwrap();
    assert!(state.served().await.unwrap().is_empty());
    new.post(&board).await.unwrap();
    sqlx::query("UPDATE board SET holder = ?")
        .bind(gone().written())
        .execute(&state.pool)
        .await
        .unwrap();
    assert!(state.served().await.unwrap().is_empty(), "a dead daemon answers for nothing");
}

#[tokio::test]
async fn who_is_refused_a_lease_learns_who_holds_it_since_when() {
    let (_folder, state) = state().await;
    let _lease = state.lease(DAEMON, RunId::draw(), LONG).await.unwrap().unwrap();

    let held = state.lease(DAEMON, RunId::draw(), LONG).await.unwrap().unwrap_err();

    let age = jiff::Timestamp::now().duration_since(held.since().unwrap());
    assert!(age.as_secs().abs() < 60, "{held}");
    assert!(held.to_string().contains(&format!("process {}", std::process::id())), "{held}");
}

#[tokio::test]
async fn nothing_is_held_in_a_state_that_was_removed_or_replaced() {
    let (folder, state) = state().await;
    let lease = state.lease("key", RunId::draw(), LONG).await.unwrap().unwrap();
    let file = folder.path().join("deep/state.db");
    std::fs::remove_file(&file).unwrap();
    assert!(matches!(lease.renew().await, Err(Error::Gone { .. })));

    let _new = State::open(&file).await.unwrap();

    assert!(matches!(lease.renew().await, Err(Error::Gone { .. })));
}

#[tokio::test]
async fn a_rebuilt_state_keeps_owed_hooks_and_the_checkpoint_that_a_rolled_back_bucket_hides() {
    let (_folder, state) = state().await;
    state.owe_hook("acme/shop", &["resume".to_owned()]).await.unwrap();
    state.remember_checkpoint("here", 7, Digest::of(b"7")).await.unwrap();
    let lease = state.lease("key", RunId::draw(), LONG).await.unwrap().unwrap();

    state.forget_memories().await.unwrap();

    assert!(state.owed_hook("acme/shop").await.unwrap().is_some());
    assert_eq!(state.newest_checkpoint("here").await.unwrap(), Some((7, Digest::of(b"7"))));
    lease.renew().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_file_that_many_make_at_once_is_opened_by_all() {
    for _ in 0..8 {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("state.db");
        let open = |_| {
            let file = file.clone();
            tokio::spawn(async move { State::open(&file).await.map(drop) })
        };
        for opened in (0..6).map(open).collect::<Vec<_>>() {
            opened.await.unwrap().unwrap();
        }
    }
}

#[tokio::test]
async fn readings_of_packs_are_remembered_for_each_place_and_forgotten_one_by_one() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.db");
    let time = Timestamp::from_second(1_800_000_000).unwrap();
    let [whole, damaged] = ["whole", "damaged"].map(|text| Digest::of(text.as_bytes()));
    let state = State::open(&file).await.unwrap();

    state.remember_packs_read("here", &[(whole, false), (damaged, true)], time).await.unwrap();
    state.remember_packs_read("here", &[(whole, true), (damaged, false)], time).await.unwrap();
    drop(state);

    let state = State::open(&file).await.unwrap();
    let read = state.packs_read("here").await.unwrap();
    assert_eq!(read, [(whole, Some(time)), (damaged, None)].into());
    assert!(state.packs_read("there").await.unwrap().is_empty());
    state.forget_packs_read("here", &[whole]).await.unwrap();
    assert_eq!(state.packs_read("here").await.unwrap(), [(damaged, None)].into());
}
