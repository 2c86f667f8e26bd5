//! What lies below `ledger/` in the bucket, and in a host's outbox.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use lifeboat::evidence::campaigns::{self, Populations};
use lifeboat::evidence::due;
use lifeboat::ground::digest::Digest;
use lifeboat::ledger::canonical;
use lifeboat::ledger::details::{self, Backup, Drill, Population, Prune};
use lifeboat::ledger::outbox::Outbox;
use lifeboat::ledger::record::{Actor, Body, DrillFinished, Event, Record};
use lifeboat::ledger::sign::{self, Signer};
use lifeboat::ledger::{Checkpoint, Ledger, Verify};
use lifeboat::report::{self, Lang, Proof};
use lifeboat::store::{Memory, Put, Store};

use super::bounded::bounded;
use super::repository::key;
use super::{parts, runtime};

/// One line of a segment.
pub fn record(input: &[u8]) {
    let Ok(record) = bounded(input, 128, || serde_json::from_slice::<Record>(input)) else {
        return;
    };
    // Numbers beyond 53 bits have no canonical form.
    let Ok(line) = canonical::to_vec(&record) else { return };
    assert_eq!(serde_json::from_slice::<Record>(&line).unwrap(), record);
    let body = &record.event.body;
    let _ = (body.policy(), body.signed(), body.details());
    missing(std::slice::from_ref(&record));
}

/// The plain texts of one segment after the other.
pub fn segment(input: &[u8]) {
    runtime().block_on(async {
        let store = Arc::new(Memory::new());
        let mut first = 1;
        for text in parts(input) {
            let name = format!("segments/{first:020}").parse().unwrap();
            store.put(&name, key().seal(text).into(), Put::Create).await.unwrap();
            first += text.iter().filter(|byte| **byte == b'\n').count().max(1);
        }
        let ledger = Ledger::open(store, key().clone());
        let reading = ledger.read().await.unwrap();
        let (verified, records) = ledger.verify(Verify::default()).await.unwrap();
        assert_eq!(verified.ok, verified.problems.is_empty());
        assert_eq!(verified.first_bad, reading.faults.first().cloned());
        assert_eq!(verified.records, records.len() as u64);
        missing(&records);
        let Ok(sound) = reading.sound() else {
            assert!(ledger.records().await.is_err(), "a broken ledger was taken for a sound one");
            return;
        };
        let time = Timestamp::UNIX_EPOCH;
        let actor = Actor { name: "fuzz".into(), host: "here".into() };
        let body = Body::PolicyRetired { policy: "shop".parse().unwrap() };
        let appended = ledger.append(vec![Event { time, actor, body }]).await.unwrap();
        assert_eq!(appended[0].prev, sound.last().map_or(Digest::ZERO, |line| line.digest));
        assert_eq!(ledger.records().await.unwrap().len(), sound.len() + 1);
    });
}

/// Campaigns; and what was due and is not on record, of a short time: a schedule may have a slot every second.
fn missing(records: &[Record]) {
    let _ = campaigns::audit(records, &Populations::new());
    let times = || records.iter().map(|record| record.event.time);
    let (Some(begin), Some(end)) = (times().min(), due::horizon(records, None)) else { return };
    if end.duration_since(begin) <= SignedDuration::from_hours(1) {
        let _ = due::missing(records, end);
    }
}

/// A checkpoint's text, a signature, a public and a private key.
pub fn checkpoint(input: &[u8]) {
    let parts: Vec<_> = parts(input).collect();
    let text = parts[0];
    if let Ok(text) = std::str::from_utf8(text)
        && let Ok(checkpoint) = bounded(input, 16, || text.parse::<Checkpoint>())
    {
        assert_eq!(checkpoint.to_string(), text, "one checkpoint has two texts");
    }
    if let Some(signature) = parts.get(1) {
        assert!(bounded(input, 64, || sign::check(text, signature, &[])).is_err());
    }
    let texts = parts.iter().skip(2).filter_map(|part| std::str::from_utf8(part).ok());
    for text in texts {
        let _ = bounded(input, 64, || sign::PublicKey::from_openssh(text));
        if let Ok(signer) = bounded(input, 64, || Signer::open(&text.to_owned().into())) {
            let signature = signer.sign(parts[0]).unwrap();
            let allowed = [signer.public_key().clone()];
            sign::check(parts[0], signature.as_bytes(), &allowed).unwrap();
        }
    }
}

/// The details that records name, and the pages that are made of them.
pub fn details(input: &[u8]) {
    let _ = bounded(input, 64, || serde_json::from_slice::<Backup>(input));
    if let Ok(population) = bounded(input, 64, || serde_json::from_slice::<Population>(input)) {
        let text = details::to_text(&population).unwrap();
        assert_eq!(serde_json::from_str::<Population>(&text).unwrap(), population);
    }
    if let Ok(prune) = bounded(input, 64, || serde_json::from_slice::<Prune>(input)) {
        let text = details::to_text(&prune).unwrap();
        assert_eq!(serde_json::from_str::<Prune>(&text).unwrap(), prune);
    }
    let Ok(drill) = bounded(input, 64, || serde_json::from_slice::<Drill>(input)) else { return };
    let text = details::to_text(&drill).unwrap();
    assert_eq!(serde_json::from_str::<Drill>(&text).unwrap(), drill);
    let finished = finished(&drill, Digest::of(text.as_bytes()));
    let actor = Actor { name: drill.lifeboat.clone(), host: drill.scratch.host.clone() };
    let body = Body::DrillFinished(finished.clone());
    let event = Event { time: drill.finished, actor, body };
    let record = Record { seq: u64::from(drill.format), prev: Digest::ZERO, event };
    let proof = Proof {
        customer: drill.timezone.clone(),
        checkpoint: None,
        key_fingerprint: drill.scratch.storage.clone(),
        allowed_signers: drill.scratch.store.clone(),
        public_key: drill.scratch.sandbox.clone(),
    };
    for lang in [Lang::Zh, Lang::En] {
        let history = std::slice::from_ref(&finished);
        let page = report::drill(&record, &finished, &drill, history, &proof, lang);
        for foreign in ["<script", "<link", "<img", "<iframe"] {
            assert!(!page.contains(foreign), "{foreign} in a page");
        }
    }
    for line in report::drill_text(&finished, &drill) {
        assert!(!line.text.contains('\u{1b}'), "a terminal is steered: {:?}", line.text);
    }
}

fn finished(drill: &Drill, details: Digest) -> DrillFinished {
    DrillFinished {
        policy: drill.policy.clone(),
        drill: drill.drill.clone(),
        run: drill.run,
        slot: drill.slot,
        snapshot: drill.point.as_ref().map(|point| point.snapshot),
        verdict: drill.verdict,
        parts: drill.parts,
        recovery_ms: drill.recovery_ms,
        data_age_ms: drill.data_age_ms,
        checks_held: drill.checks.len() as u64,
        checks_declared: drill.checks.len() as u64,
        controls_found: drill.controls.len() as u64,
        controls_run: drill.controls.len() as u64,
        policy_digest: drill.policy_digest,
        details,
        signed: None,
        instead_of: None,
        named: false,
        searched_for: None,
        draw: None,
        upgrade: drill.sources.iter().any(|source| source.upgraded.is_some()),
    }
}

/// A file of the outbox below the line with its digest, and its way to the ledger.
pub fn outbox(input: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let outbox = Outbox::open(folder.path()).unwrap();
    let customer = "acme".parse().unwrap();
    std::fs::create_dir(folder.path().join("acme")).unwrap();
    let held = [format!("{}\n", Digest::of(input)).as_bytes(), input].concat();
    std::fs::write(folder.path().join("acme/00000000000000000001.held"), held).unwrap();
    let ledger = Ledger::open(Arc::new(Memory::new()), key().clone());
    let deliver = || runtime().block_on(outbox.deliver(&customer, &ledger));
    let Ok(first) = deliver() else { return };
    let waits = outbox.waiting(&customer).unwrap();
    assert_eq!(waits, first.damaged.len(), "what was delivered waits still");
    let again = deliver().unwrap();
    assert_eq!((again.events, again.damaged.len()), (0, waits));
    let records = runtime().block_on(ledger.records()).unwrap();
    assert_eq!(records.len(), first.events);
}
