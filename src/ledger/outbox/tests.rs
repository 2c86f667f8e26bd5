use super::super::testing::{Bucket, Fault, events};
use super::*;
use crate::seal::MasterKey;

fn acme() -> Name {
    "acme".parse().unwrap()
}

fn outbox() -> (tempfile::TempDir, Outbox) {
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(&folder.path().join("outbox")).unwrap();
    (folder, outbox)
}

#[tokio::test]
async fn what_was_held_is_delivered_once_in_order_with_its_details_and_times() {
    let (_folder, outbox) = outbox();
    let bucket = Bucket::new();
    let ledger = bucket.ledger(&MasterKey::generate());
    let events = events(4);
    outbox.hold(&acme(), events[..1].to_vec(), vec!["\"details\"".into()]).await.unwrap();
    outbox.hold(&acme(), events[1..].to_vec(), vec![]).await.unwrap();
    assert_eq!(outbox.waiting(&acme()).unwrap(), 2);
    assert_eq!(outbox.waiting(&"other".parse().unwrap()).unwrap(), 0);

    let delivered = outbox.deliver(&acme(), &ledger).await.unwrap();

    assert_eq!(delivered.events, 4);
    let recorded = ledger.records().await.unwrap().into_iter().map(|record| record.event);
    assert_eq!(recorded.collect::<Vec<_>>(), events);
    assert_eq!(ledger.details::<String>(&Digest::of(b"\"details\"")).await.unwrap(), "details");
    assert_eq!(outbox.deliver(&acme(), &ledger).await.unwrap().events, 0);
    assert_eq!(outbox.waiting(&acme()).unwrap(), 0);
}

#[tokio::test]
async fn an_append_whose_answer_was_lost_is_not_made_twice() {
    let (_folder, outbox) = outbox();
    let bucket = Bucket::new();
    let ledger = bucket.ledger(&MasterKey::generate());
    let events = events(2);
    bucket.fail_after(0, Fault::ReplyLostAndDown);
    assert!(ledger.append(events.clone()).await.unwrap_err().is_out_of_reach());
    outbox.hold(&acme(), events, vec![]).await.unwrap();
    assert!(outbox.deliver(&acme(), &ledger).await.is_err(), "still down");
    assert_eq!(outbox.waiting(&acme()).unwrap(), 1);
    bucket.set_down(false);

    let delivered = outbox.deliver(&acme(), &ledger).await.unwrap();

    assert_eq!(delivered.events, 0);
    assert_eq!(ledger.records().await.unwrap().len(), 2);
    assert_eq!(outbox.waiting(&acme()).unwrap(), 0);
}

#[tokio::test]
async fn a_damaged_file_is_reported_and_kept_and_holds_nothing_up() {
    let (folder, outbox) = outbox();
    let ledger = Bucket::new().ledger(&MasterKey::generate());
    for event in events(3) {
        outbox.hold(&acme(), vec![event], vec![]).await.unwrap();
    }
    let path = folder.path().join("outbox/acme/00000000000000000002.held");
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();

    let delivered = outbox.deliver(&acme(), &ledger).await.unwrap();

    assert_eq!((delivered.events, delivered.damaged), (2, vec![path.clone()]));
    assert!(path.exists());
}

#[tokio::test]
async fn a_process_that_died_while_it_wrote_leaves_nothing_half_held() {
    let (folder, outbox) = outbox();
    outbox.hold(&acme(), events(1), vec![]).await.unwrap();
    let tray = folder.path().join("outbox/acme");
    fs::write(tray.join("new"), b"half a li").unwrap();

    assert_eq!(outbox.waiting(&acme()).unwrap(), 1);
    outbox.hold(&acme(), events(1), vec![]).await.unwrap();

    assert_eq!(outbox.waiting(&acme()).unwrap(), 2);
    assert!(!tray.join("new").exists());
}

#[tokio::test]
async fn only_the_owner_can_look_into_the_outbox() {
    use std::os::unix::fs::PermissionsExt;
    let (folder, outbox) = outbox();
    outbox.hold(&acme(), events(1), vec![]).await.unwrap();

    let mode = |path: &str| folder.path().join(path).metadata().unwrap().permissions().mode();

    assert_eq!(mode("outbox") & 0o777, 0o700);
    assert_eq!(mode("outbox/acme") & 0o777, 0o700);
    assert_eq!(mode("outbox/acme/00000000000000000001.held") & 0o777, 0o600);
}

/// Set in the child that the next test starts, holds records in, and kills.
const CHILD: &str = "LIFEBOAT_TEST_OUTBOX";

async fn hold_until_killed(folder: &Path) {
    let outbox = Outbox::open(folder).unwrap();
    for event in events(10_000) {
        outbox.hold(&acme(), vec![event], vec![]).await.unwrap();
        println!("\nheld");
    }
}

#[tokio::test]
async fn a_process_killed_while_it_holds_keeps_what_it_acknowledged() {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    if let Some(folder) = std::env::var_os(CHILD) {
        return hold_until_killed(Path::new(&folder)).await;
    }
    let (folder, outbox) = outbox();
    let mut acknowledged = 0;
    for round in 1..4 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg(
                "ledger::outbox::tests::a_process_killed_while_it_holds_keeps_what_it_acknowledged",
            )
            .env(CHILD, folder.path().join("outbox"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut held = lines.map(Result::unwrap).filter(|line| line == "held");
        acknowledged += held.by_ref().take(5 * round).count();
        child.kill().unwrap();
        acknowledged += held.count();
        child.wait().unwrap();
    }

    let ledger = Bucket::new().ledger(&MasterKey::generate());
    let waiting = outbox.waiting(&acme()).unwrap();
    let delivered = outbox.deliver(&acme(), &ledger).await.unwrap();

    // The last hold of each round may have been done and not yet said.
    assert!((acknowledged..=acknowledged + 3).contains(&waiting), "{acknowledged} {waiting}");
    assert!(acknowledged >= 30 && delivered.damaged.is_empty(), "{acknowledged} {delivered:?}");
    assert_eq!(outbox.waiting(&acme()).unwrap(), 0);
}
