//! What users write: the site, policies and drills, and the texts in them and on the command line.

use std::fmt::{Debug, Display};
use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::str::FromStr;
use std::time::Duration;

use jiff::Timestamp;
use lifeboat::ground::digest::Digest;
use lifeboat::ground::ids::{Name, RunId};
use lifeboat::ground::size::{ByteRate, ByteSize};
use lifeboat::ground::visible::{is_hostile, visible};
use lifeboat::ledger::canonical;
use lifeboat::policy::leaf::{
    Instant, Pattern, Period, PolicyRef, Rate, Size, SnapshotPrefix, Words, Zone,
};
use lifeboat::policy::span::CalendarSpan;
use lifeboat::policy::{
    self, Caller, Cron, Diagnostic, DrillName, Expectation, PolicyName, Schedule, Setup,
};
use lifeboat::store::ObjectName;

use super::bounded::bounded;
use super::parts;

/// A site file, a policy and a drill.
pub fn site(input: &[u8]) {
    let folder = tempfile::tempdir().unwrap();
    let mut parts = parts(input);
    let mut texts = Vec::new();
    for name in ["lifeboat.toml", "policies/shop.toml", "drills/weekly.toml"] {
        let path = folder.path().join(name);
        let parent = path.parent().unwrap();
        fs::DirBuilder::new().recursive(true).mode(0o700).create(parent).unwrap();
        let text = parts.next().unwrap_or_default();
        fs::write(&path, text).unwrap();
        texts.push((path, text));
    }
    let uid = rustix::process::geteuid().as_raw();
    let caller = Caller { uid, state_home: "/var/lib/lifeboat".into() };
    let site_file = folder.path().join("lifeboat.toml");
    let loaded = bounded(input, 1 << 10, || policy::load(&site_file, &caller));
    let diagnostics = match &loaded {
        Ok(setup) => &setup.warnings,
        Err(diagnostics) => diagnostics,
    };
    assert!(loaded.is_ok() || !diagnostics.is_empty(), "refused for no reason");
    for one in diagnostics.iter() {
        let text = texts.iter().find(|(path, _)| *path == one.file);
        is_inside(one, text.map_or(b"", |(_, text)| text));
    }
    for colours in [false, true] {
        diagnostics.render(colours);
    }
    serde_json::to_string(diagnostics).unwrap();
    if let Ok(setup) = &loaded {
        is_recorded(setup);
    }
}

/// Line and column lie in the text, or right behind it.
fn is_inside(one: &Diagnostic, text: &[u8]) {
    let Some(line) = one.line else { return };
    let text = std::str::from_utf8(text).unwrap();
    let shown = text.split('\n').nth(line - 1).unwrap_or_else(|| panic!("{one}: no such line"));
    let column = one.column.unwrap_or(1);
    assert!((1..=shown.chars().count() + 1).contains(&column), "{one}: no such column");
}

/// What goes on the ledger can be written there, and its schedules come back.
fn is_recorded(setup: &Setup) {
    for policy in &setup.policies {
        let effective = setup.effective(policy);
        let text = canonical::to_vec(&effective).unwrap();
        let again = serde_json::from_slice(&text).unwrap();
        let schedules = policy::schedules_of(&again).unwrap();
        let drills = setup.drills_of(policy).filter_map(|drill| drill.schedule.clone());
        let declared: Vec<_> = policy.schedule.clone().into_iter().chain(drills).collect();
        let recorded: Vec<_> = schedules.into_iter().map(|(_, schedule)| schedule).collect();
        assert_eq!(recorded, declared);
    }
}

/// One text, read as everything that a text may be.
pub fn texts(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    bounded(input, 1 << 10, || {
        comes_back::<Cron>(text);
        // One that is unknown is compared with all that are known, which takes long.
        if text.starts_with("A") {
            comes_back::<Zone>(text);
        }
        comes_back::<CalendarSpan>(text);
        comes_back::<Expectation>(text);
        comes_back::<Name>(text);
        comes_back::<RunId>(text);
        comes_back::<Digest>(text);
        comes_back::<PolicyName>(text);
        comes_back::<DrillName>(text);
        comes_back::<ObjectName>(text);
        let _ = text.parse::<SnapshotPrefix>();
        let _ = text.parse::<Period>();
        let _ = text.parse::<Size>();
        let _ = text.parse::<Rate>();
        let _ = text.parse::<Instant>();
        let _ = text.parse::<PolicyRef>();
        let _ = text.parse::<Pattern>();
        let _ = text.parse::<Words>();
    });
    if let Ok(size) = text.parse::<ByteSize>() {
        let shown = size.to_string().parse::<ByteSize>().unwrap();
        assert!(shown.0.abs_diff(size.0) <= size.0 / 100, "{size} is not {size:?}");
    }
    if let Ok(rate) = text.parse::<ByteRate>() {
        rate.bytes_in(rate.time_for(u64::MAX));
    }
    assert!(!visible(text).contains(is_hostile));
}

/// What is read is shown as something that is read as the same.
fn comes_back<T: FromStr<Err: Debug> + Display + PartialEq + Debug>(text: &str) {
    if let Ok(read) = text.parse::<T>() {
        assert_eq!(read.to_string().parse::<T>().unwrap(), read);
    }
}

/// Eight bytes of a moment, a cron expression, and a line whose length chooses a zone.
pub fn schedule(input: &[u8]) {
    let Some((seconds, rest)) = input.split_first_chunk::<8>() else { return };
    let Ok(text) = std::str::from_utf8(rest) else { return };
    let (cron, zone) = text.split_once('\n').unwrap_or((text, ""));
    let zones = ["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia", "Africa/El_Aaiun"];
    let zone = zones[zone.len() % zones.len()].parse::<Zone>().unwrap();
    let Ok(cron) = cron.parse::<Cron>() else { return };
    let (low, high) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    let second = low + i64::from_le_bytes(*seconds).rem_euclid(high - low);
    let moment = Timestamp::from_second(second).unwrap();
    let schedule = Schedule { cron, zone, jitter: Duration::from_secs(300) };
    let mut before = moment;
    for slot in schedule.between(moment, Timestamp::MAX).take(10) {
        assert!(slot > before, "{slot} comes after {before}");
        assert!(schedule.delay("acme/shop", slot) < schedule.jitter);
        before = slot;
    }
    // Every expression that is taken has a date, and no leap day is further away.
    let far = high - 60 * 60 * 24 * 366 * 42;
    assert!(before > moment || second > far, "nothing is due after {moment}");
}
