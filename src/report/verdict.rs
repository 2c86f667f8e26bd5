//! What a drill's verdict says, answer by answer, and what it does not say.

use super::amount;
use super::terms::{self, Sign};
use super::texts::Texts;
use crate::ledger::details::Drill;
use crate::ledger::record::{Answer, DrillFinished, Word};

/// One answer of the verdict, and why it is as it is.
pub(super) struct PartRow<'a> {
    pub name: &'static str,
    pub meaning: &'static str,
    pub sign: Sign,
    pub answer: &'static str,
    pub reasons: Vec<&'a str>,
}

/// The word of a verdict.
pub(super) fn word(word: Word, texts: &Texts) -> &'static str {
    texts.words[match word {
        Word::Pass => 0,
        Word::Fail => 1,
        Word::Inconclusive => 2,
    }]
}

/// Whether the details tell another story than the record that names them.
pub(super) fn contradicts(finished: &DrillFinished, details: &Drill) -> bool {
    details.verdict != finished.verdict
        || details.parts != finished.parts
        || details.run != finished.run
        || details.policy != finished.policy
        || details.drill != finished.drill
        || details.recovery_ms != finished.recovery_ms
        || details.data_age_ms != finished.data_age_ms
        || details.point.as_ref().map(|point| point.snapshot) != finished.snapshot
}

/// The verdict with its parts, in one sentence.
pub(super) fn sentence(finished: &DrillFinished, details: &Drill, texts: &Texts) -> String {
    let named = |wanted: Answer| {
        let answers = terms::parts(&finished.parts);
        let parts = answers.iter().zip(texts.part_names);
        let names: Vec<_> =
            parts.filter(|((_, answer), _)| *answer == wanted).map(|(_, name)| name).collect();
        names.join(texts.separator)
    };
    match (finished.verdict, &details.point) {
        (Word::Pass, Some(point)) => {
            let point = amount::utc(point.time);
            let passed = match finished.parts.intact {
                Answer::Yes => (texts.passed)(&point),
                _ => (texts.passed_in_part)(&point),
            };
            if finished.upgrade { format!("{} {passed}", texts.is_upgrade) } else { passed }
        }
        (Word::Pass, None) => texts.contradiction.to_owned(),
        (Word::Fail, _) => (texts.failed)(&named(Answer::No)),
        (Word::Inconclusive, _) => (texts.undecided)(&named(Answer::Unknown)),
    }
}

/// The sentence for the management: only on the evidence of a passed drill of the latest point, in which
/// everything was compared, on its own engine.
pub(super) fn disaster(finished: &DrillFinished, details: &Drill, texts: &Texts) -> Option<String> {
    let latest = details.point.as_ref().is_some_and(|point| point.pick == "latest");
    let is_proof = finished.verdict == Word::Pass && finished.proves_the_snapshot();
    if !is_proof || !latest {
        return None;
    }
    let (recovery, age) = finished.recovery_ms.zip(finished.data_age_ms)?;
    let [recovery, age] = [recovery, age].map(|ms| amount::duration(ms, texts));
    Some((texts.in_a_disaster)(&recovery, &age))
}

pub(super) fn parts<'a>(
    finished: &DrillFinished,
    details: &'a Drill,
    texts: &Texts,
) -> Vec<PartRow<'a>> {
    terms::parts(&finished.parts)
        .into_iter()
        .enumerate()
        .map(|(at, (part, answer))| PartRow {
            name: texts.part_names[at],
            meaning: texts.part_meanings[at],
            sign: answer.into(),
            answer: texts.answers[match answer {
                Answer::Yes => 0,
                Answer::No => 1,
                Answer::Unknown => 2,
                Answer::NotApplicable => 3,
            }],
            reasons: details
                .reasons
                .iter()
                .filter(|reason| reason.part == part)
                .map(|reason| reason.why.as_str())
                .collect(),
        })
        .collect()
}

/// What this drill does not show.
pub(super) fn limits(
    finished: &DrillFinished,
    details: &Drill,
    texts: &Texts,
) -> Vec<&'static str> {
    let mut limits = Vec::new();
    limits.extend(finished.upgrade.then_some(texts.limit_upgrade));
    let is_in_part = finished.parts.intact == Answer::NotApplicable;
    limits.extend(is_in_part.then_some(texts.limit_in_part));
    if let Some(point) = &details.point {
        let mut when = |holds: bool, limit| limits.extend(holds.then_some(limit));
        when(!point.complete, texts.limit_incomplete);
        when(!point.manifest, texts.limit_foreign);
        when(point.pick != "latest", texts.limit_not_latest);
    }
    limits.extend((finished.controls_run == 0).then_some(texts.limit_no_controls));
    limits.extend(texts.limits_always);
    limits
}

#[cfg(test)]
mod tests {
    use super::super::{Lang, sample};
    use super::*;

    #[test]
    fn every_verdict_is_told_in_words_and_with_its_reason() {
        let expected = [
            (sample::passed(), "Pass", "通过", "everything that was compared equals"),
            (sample::failed(), "Fail", "未通过", "table orders differs"),
            (sample::inconclusive(), "Inconclusive", "无法判定", "connection timed out"),
        ];
        for (sample, en, zh, says) in expected {
            let page = sample.page(Lang::En);
            assert!(page.contains(&format!("</span> {en}</span></h1>")), "{en}");
            assert!(page.contains(says), "{says}");
            assert!(sample.page(Lang::Zh).contains(&format!("</span> {zh}</span></h1>")), "{zh}");
        }
    }

    #[test]
    fn only_a_pass_of_the_latest_point_makes_a_promise_to_the_management() {
        let promise = "Had everything been lost";
        assert!(sample::passed().page(Lang::En).contains(promise));
        assert!(!sample::failed().page(Lang::En).contains(promise));

        let mut oldest = sample::passed();
        oldest.details.point.as_mut().unwrap().pick = "oldest".into();
        assert!(!oldest.page(Lang::En).contains(promise));
    }

    #[test]
    fn a_pass_without_everything_compared_and_an_upgrade_say_so_and_promise_nothing() {
        let promise = "Had everything been lost";
        let mut in_part = sample::passed();
        in_part.finished.parts.intact = Answer::NotApplicable;
        in_part.details.parts.intact = Answer::NotApplicable;
        let page = in_part.page(Lang::En);
        assert!(page.contains("not everything could be compared") && !page.contains(promise));
        assert!(!page.contains("every declared check held"));
        assert!(in_part.page(Lang::Zh).contains("未能全部比对"));

        let mut upgrade = sample::passed();
        upgrade.finished.upgrade = true;
        let page = upgrade.page(Lang::En);
        assert!(page.contains("This is an upgrade rehearsal.") && !page.contains(promise));
        assert!(upgrade.page(Lang::Zh).contains("升级演练"));
    }

    #[test]
    fn details_that_contradict_the_record_are_called_out() {
        let warning = "contradict its record";
        assert!(!sample::passed().page(Lang::En).contains(warning));

        let mut forged = sample::failed();
        forged.details.verdict = Word::Pass;
        let page = forged.page(Lang::En);
        assert!(page.contains(warning));
        assert!(page.contains("</span> Fail</span></h1>"), "the signed word stands");
    }
}
