use super::super::testing::{Bucket, Fault, events, signer};
use super::*;
use crate::seal::MasterKey;
use crate::store::{Put, Store};

#[tokio::test]
async fn a_checkpoint_is_five_lines_that_sha256sum_can_follow() {
    let (bucket, key, signer) = (Bucket::new(), MasterKey::generate(), signer());
    let ledger = bucket.ledger(&key);
    ledger.append(events(3)).await.unwrap();

    let checkpoint = ledger.checkpoint(&signer, None).await.unwrap();

    let sealed = bucket.inner.get(&object("segments/00000000000000000001"), None).await.unwrap();
    let plain = key.open(&sealed).unwrap();
    let first = plain.split(|byte| *byte == b'\n').next().unwrap();
    let text = bucket.inner.get(&name(3), None).await.unwrap();
    let expected = [
        format!("lifeboat/{}", Digest::of(first)),
        "3".into(),
        plain.len().to_string(),
        Digest::of(&plain).to_string(),
        checkpoint.root.to_string(),
    ];
    assert_eq!(std::str::from_utf8(&text).unwrap().lines().collect::<Vec<_>>(), expected);
    assert_eq!(checkpoint.to_string().parse::<Checkpoint>().unwrap(), checkpoint);
    let signature = bucket.inner.get(&signature_name(3), None).await.unwrap();
    sign::check(&text, &signature, &[signer.public_key().clone()]).unwrap();
}

#[test]
fn text_that_is_almost_a_checkpoint_is_none() {
    let digest = Digest::ZERO;
    let good = format!("lifeboat/{digest}\n12\n34\n{digest}\n{digest}\n");
    assert!(good.parse::<Checkpoint>().is_ok());

    for bad in [
        good.trim_end().to_owned(),
        format!("{good}\n"),
        good.replace("\n12\n", "\n012\n"),
        good.replace("\n12\n", "\n+12\n"),
        good.replace("lifeboat/", ""),
        good.replacen("0000", "000", 1),
        String::new(),
    ] {
        assert!(bad.parse::<Checkpoint>().is_err(), "{bad:?}");
    }
}

#[tokio::test]
async fn a_writer_that_died_before_or_after_its_checkpoint_is_made_good_by_a_rerun() {
    for writes in 0..2 {
        let (bucket, signer) = (Bucket::new(), signer());
        let ledger = bucket.ledger(&MasterKey::generate());
        ledger.append(events(2)).await.unwrap();
        bucket.fail_after(writes, Fault::Lost);
        assert!(ledger.checkpoint(&signer, None).await.unwrap_err().is_out_of_reach());
        assert!(bucket.fired());

        let checkpoint = ledger.checkpoint(&signer, None).await.unwrap();

        assert_eq!(bucket.names("checkpoints").await, [name(2), signature_name(2)]);
        let again = ledger.checkpoint(&signer, Some(checkpoint.remembered())).await.unwrap();
        assert_eq!(again, checkpoint);
    }
}

#[tokio::test]
async fn a_later_checkpoint_and_another_key_build_on_the_earlier_ones() {
    let (bucket, key) = (Bucket::new(), MasterKey::generate());
    let ledger = bucket.ledger(&key);
    ledger.append(events(2)).await.unwrap();
    ledger.checkpoint(&signer(), None).await.unwrap();
    ledger.checkpoint(&signer(), None).await.unwrap();
    ledger.append(events(3)).await.unwrap();

    let checkpoint = ledger.checkpoint(&signer(), None).await.unwrap();

    assert_eq!(checkpoint.size, 5);
}

#[tokio::test]
async fn what_to_remember_is_found_again_in_the_bucket_and_only_under_our_key() {
    let (bucket, signer) = (Bucket::new(), signer());
    let ledger = bucket.ledger(&MasterKey::generate());
    let keys = [signer.public_key().clone()];
    ledger.append(events(2)).await.unwrap();
    assert_eq!(ledger.newest_signed(&keys).await.unwrap(), None);
    let checkpoint = ledger.checkpoint(&signer, None).await.unwrap();
    ledger.append(events(1)).await.unwrap();

    let found = ledger.newest_signed(&keys).await.unwrap();

    assert_eq!(found, Some(checkpoint.remembered()));
    assert_eq!(ledger.newest_signed(&[]).await.unwrap(), None);
}

#[tokio::test]
async fn nothing_is_signed_that_does_not_agree_with_what_was_signed_before() {
    let (bucket, key, signer) = (Bucket::new(), MasterKey::generate(), signer());
    let ledger = bucket.ledger(&key);
    ledger.append(events(2)).await.unwrap();
    ledger.append(events(1)).await.unwrap();
    let remembered = ledger.checkpoint(&signer, None).await.unwrap().remembered();
    bucket.inner.delete(&object("segments/00000000000000000003")).await.unwrap();

    let cut = bucket.ledger(&key).checkpoint(&signer, None).await.unwrap_err();
    bucket.ledger(&key).append(events(5).split_off(3)).await.unwrap();
    let rewritten = bucket.ledger(&key).checkpoint(&signer, None).await.unwrap_err();
    for found in bucket.names("checkpoints").await {
        bucket.inner.delete(&found).await.unwrap();
    }
    let forgotten = bucket.ledger(&key).checkpoint(&signer, Some(remembered)).await.unwrap_err();

    for error in [cut, rewritten, forgotten] {
        assert!(matches!(error, Error::Inconsistent { size: 3, .. }), "{error:?}");
    }
    assert!(bucket.names("checkpoints").await.is_empty());
}

#[tokio::test]
async fn an_unsigned_checkpoint_that_does_not_agree_is_an_alarm() {
    let (bucket, signer) = (Bucket::new(), signer());
    let ledger = bucket.ledger(&MasterKey::generate());
    ledger.append(events(2)).await.unwrap();
    let mut forged = ledger.checkpoint(&signer, None).await.unwrap();
    ledger.append(events(2)).await.unwrap();
    forged.size = 3;
    let text = forged.to_string();
    bucket.inner.put(&name(3), text.into(), Put::Create).await.unwrap();

    let error = ledger.checkpoint(&signer, None).await.unwrap_err();

    assert!(matches!(error, Error::Inconsistent { size: 3, .. }), "{error:?}");
}

#[tokio::test]
async fn an_empty_ledger_is_not_signed() {
    let ledger = Bucket::new().ledger(&MasterKey::generate());

    assert!(matches!(ledger.checkpoint(&signer(), None).await, Err(Error::Empty)));
}

#[tokio::test]
async fn what_another_act_on_this_host_signed_meanwhile_is_no_alarm() {
    let (bucket, key, signer) = (Bucket::new(), MasterKey::generate(), signer());
    let ours = bucket.ledger(&key);
    ours.append(events(2)).await.unwrap();
    ours.read_quickly().await.unwrap();
    let theirs = bucket.ledger(&key);
    theirs.append(events(1)).await.unwrap();
    let signed = theirs.checkpoint(&signer, None).await.unwrap().remembered();

    ours.was_sound(Some(signed)).await.unwrap();

    let others = Remembered { root: Digest::ZERO, ..signed };
    let error = ours.was_sound(Some(others)).await.unwrap_err();
    assert!(matches!(error, Error::Inconsistent { size: 3, .. }), "{error:?}");
}
