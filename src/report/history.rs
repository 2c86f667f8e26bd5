//! The policy's drills before this one, a row each.

use super::terms::Sign;
use super::texts::Texts;
use super::{amount, verdict};
use crate::ledger::record::DrillFinished;

/// Earlier drills that are listed at most.
const EARLIER_LISTED: usize = 10;

/// One earlier drill.
pub(super) struct EarlierView {
    pub when: String,
    pub sign: Sign,
    pub word: &'static str,
    pub recovery: String,
    pub age: String,
    pub checks: String,
}

/// The drills before this one, newest first, without those of a search or a campaign; rehearsals of an
/// upgrade among themselves.
pub(super) fn earlier(
    finished: &DrillFinished,
    history: &[DrillFinished],
    texts: &Texts,
) -> Vec<EarlierView> {
    history
        .iter()
        .rev()
        .skip_while(|drill| drill.run != finished.run && contains(history, finished))
        .filter(|drill| drill.run != finished.run && !drill.is_part())
        .filter(|drill| drill.upgrade == finished.upgrade)
        .take(EARLIER_LISTED)
        .map(|drill| row(drill, texts))
        .collect()
}

/// Whether this drill is in the history, so that what follows it there is later than it.
fn contains(history: &[DrillFinished], finished: &DrillFinished) -> bool {
    history.iter().any(|drill| drill.run == finished.run)
}

fn row(drill: &DrillFinished, texts: &Texts) -> EarlierView {
    let duration = |ms: Option<u64>| {
        ms.map_or_else(|| texts.unmeasured.to_owned(), |ms| amount::duration(ms, texts))
    };
    EarlierView {
        when: begun(drill).map_or_else(|| "–".to_owned(), amount::utc),
        sign: drill.verdict.into(),
        word: verdict::word(drill.verdict, texts),
        recovery: duration(drill.recovery_ms),
        age: duration(drill.data_age_ms),
        checks: format!(
            "{}/{}",
            amount::count(drill.checks_held),
            amount::count(drill.checks_declared)
        ),
    }
}

/// When a run began: a run's id (UUID version 7, RFC 9562) holds the moment it was drawn.
fn begun(drill: &DrillFinished) -> Option<jiff::Timestamp> {
    let (seconds, _) = drill.run.0.get_timestamp()?.to_unix();
    jiff::Timestamp::from_second(i64::try_from(seconds).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::super::{en, sample};
    use super::*;

    #[test]
    fn later_drills_are_not_called_earlier() {
        let sample = sample::passed();
        let mut later = sample.history[0].clone();
        later.run = crate::ground::ids::RunId::draw();
        let mut history = sample.history.clone();
        history.push(later);

        let rows = earlier(&sample.finished, &history, &en::TEXTS);

        assert_eq!(rows.len(), EARLIER_LISTED);
        assert!(rows[0].when.starts_with("2026-11-15"), "{}", rows[0].when);
    }
}
