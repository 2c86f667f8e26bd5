//! How long recovery took and how old its data was, beside what was promised.

use super::bar::Bar;
use super::terms::{self, Sign};
use super::texts::Texts;
use super::{Lang, amount, identity};
use crate::ledger::details::Drill;
use crate::ledger::record::DrillFinished;

/// Both measures with their objectives, and the recovery time phase by phase.
pub(super) struct Time {
    pub recovery: String,
    /// Whether there is a recovery time to speak of.
    pub is_measured: bool,
    pub recovery_sign: Sign,
    pub rto: String,
    pub age: String,
    pub age_sign: Sign,
    pub rpo: String,
    pub caption: String,
    pub phases: Vec<PhaseRow>,
    pub bar: Bar,
    pub described: String,
}

pub(super) struct PhaseRow {
    pub name: String,
    pub duration: String,
    pub counts: bool,
    pub counted: &'static str,
}

pub(super) fn measured(
    finished: &DrillFinished,
    details: &Drill,
    texts: &Texts,
    lang: Lang,
) -> Time {
    let or = |ms: Option<u64>, otherwise: &str| {
        ms.map_or_else(|| otherwise.to_owned(), |ms| amount::duration(ms, texts))
    };
    let phases: Vec<_> = details
        .phases
        .iter()
        .map(|phase| PhaseRow {
            name: terms::phase(&phase.name, lang).into_owned(),
            duration: amount::duration(phase.duration_ms, texts),
            counts: phase.counts,
            counted: texts.counted[usize::from(!phase.counts)],
        })
        .collect();
    let told: Vec<_> = phases
        .iter()
        .filter(|phase| phase.counts)
        .map(|phase| format!("{} {}", phase.name, phase.duration))
        .collect();
    let recovery = or(finished.recovery_ms, texts.unmeasured);
    let hardware = identity::hardware(details, texts);
    let objective = details.rto_ms.map(|ms| amount::duration(ms, texts));
    Time {
        described: (texts.bar_described)(
            &told.join(texts.separator),
            &recovery,
            objective.as_deref(),
        ),
        caption: (texts.bar_caption)(&recovery, &hardware),
        recovery,
        is_measured: finished.recovery_ms.is_some(),
        recovery_sign: finished.parts.within_rto.into(),
        rto: or(details.rto_ms, texts.undeclared),
        age: or(finished.data_age_ms, texts.unmeasured),
        age_sign: finished.parts.within_rpo.into(),
        rpo: or(details.rpo_ms, texts.undeclared),
        phases,
        bar: Bar::new(&details.phases, finished.recovery_ms, details.rto_ms),
    }
}
