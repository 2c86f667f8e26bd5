//! The page of one drill: what the ledger says, in the order in which an auditor asks.

use askama::Template;

use super::bar::Bar;
use super::evidence::{self, CheckView, ControlView, EarlierView, GapView, SourceView};
use super::terms::{self, Sign};
use super::texts::Texts;
use super::{Lang, Proof, amount, en, zh};
use crate::ground::size::ByteSize;
use crate::ledger::details::{Drill, Finding};
use crate::ledger::record::{Answer, DrillFinished, Record, Word};

/// Earlier drills that are listed at most.
const EARLIER_LISTED: usize = 10;

/// Writes the page of one drill: one HTML document that needs nothing else, in `lang`.
///
/// `finished` is the body of `record`; `details` are what it names, with the digest verified.
/// `history` holds the policy's drills in the ledger's order; this one may be among them.
pub fn drill(
    record: &Record,
    finished: &DrillFinished,
    details: &Drill,
    history: &[DrillFinished],
    proof: &Proof,
    lang: Lang,
) -> String {
    let texts = match lang {
        Lang::Zh => &zh::TEXTS,
        Lang::En => &en::TEXTS,
    };
    let page = Page {
        t: texts,
        sign: finished.verdict.into(),
        word: evidence::word(finished.verdict, texts),
        sentence: sentence(finished, details, texts),
        disaster: disaster(finished, details, texts),
        contradiction: contradicts(finished, details),
        name: full_name(details),
        customer: customer(details, lang),
        on: amount::utc(details.started),
        seq: amount::count(record.seq),
        parts: parts(finished, details, texts),
        facts: facts(record, finished, details, history, texts, lang),
        sources: details.sources.iter().map(|found| evidence::source(found, texts, lang)).collect(),
        checks_held: (texts.checks_held)(
            &amount::count(finished.checks_held),
            &amount::count(finished.checks_declared),
        ),
        checks: details.checks.iter().map(|check| evidence::check(check, texts, lang)).collect(),
        time: time(finished, details, texts, lang),
        controls_found: (texts.controls_found)(
            &amount::count(finished.controls_found),
            &amount::count(finished.controls_run),
        ),
        controls: details.controls.iter().map(|c| evidence::control(c, texts, lang)).collect(),
        skipped: &details.skipped,
        beside: &details.beside,
        not_covered: details.not_covered.iter().map(|g| evidence::gap(g, texts, lang)).collect(),
        earlier: earlier(finished, history, texts),
        limits: limits(finished, details, texts),
        verify: verify(record, details, proof, texts),
    };
    page.render().expect("rendering into a string fails only where a value's Display does")
}

/// What the template shows; every text in it is chosen, none is escaped yet.
#[derive(Template)]
#[template(path = "drill.html", config = "src/report/askama.toml")]
struct Page<'a> {
    t: &'static Texts,
    sign: Sign,
    word: &'static str,
    sentence: String,
    disaster: Option<String>,
    contradiction: bool,
    name: String,
    customer: String,
    on: String,
    seq: String,
    parts: Vec<PartRow<'a>>,
    facts: Vec<Fact>,
    sources: Vec<SourceView>,
    checks_held: String,
    checks: Vec<CheckView<'a>>,
    time: Time,
    controls_found: String,
    controls: Vec<ControlView<'a>>,
    skipped: &'a [Finding],
    beside: &'a [Finding],
    not_covered: Vec<GapView<'a>>,
    earlier: Vec<EarlierView>,
    limits: Vec<&'static str>,
    verify: Verify<'a>,
}

struct PartRow<'a> {
    name: &'static str,
    meaning: &'static str,
    sign: Sign,
    answer: &'static str,
    reasons: Vec<&'a str>,
}

/// A line of the identity table.
struct Fact {
    label: &'static str,
    lines: Vec<String>,
    /// A digest or the like: set in a fixed width and broken anywhere.
    code: bool,
}

struct Time {
    recovery: String,
    recovery_sign: Sign,
    rto: String,
    age: String,
    age_sign: Sign,
    rpo: String,
    caption: String,
    phases: Vec<PhaseRow>,
    bar: Bar,
    described: String,
}

struct PhaseRow {
    name: String,
    duration: String,
    counts: bool,
    counted: &'static str,
}

struct Verify<'a> {
    proof: &'a Proof,
    checkpoint: Option<CheckpointSteps>,
    /// What keeps the reader from verifying now.
    obstacle: Option<&'static str>,
}

struct CheckpointSteps {
    fetch: String,
    /// The checkpoint's file name, without its folder.
    file: String,
    ledger: String,
    commands: [String; 2],
}

fn full_name(details: &Drill) -> String {
    let drill = details.drill.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
    format!("{}/{}{drill}", details.customer, details.policy)
}

fn customer(details: &Drill, lang: Lang) -> String {
    let tag = match lang {
        Lang::Zh => "zh",
        Lang::En => "en",
    };
    let names = &details.customer_names;
    match names.get(tag).or_else(|| names.values().next()) {
        Some(name) => format!("{name} ({})", details.customer),
        None => details.customer.to_string(),
    }
}

/// Whether the details tell another story than the record that names them.
fn contradicts(finished: &DrillFinished, details: &Drill) -> bool {
    details.verdict != finished.verdict
        || details.parts != finished.parts
        || details.run != finished.run
        || details.policy != finished.policy
        || details.drill != finished.drill
        || details.recovery_ms != finished.recovery_ms
        || details.data_age_ms != finished.data_age_ms
        || details.point.as_ref().map(|point| point.snapshot) != finished.snapshot
}

fn sentence(finished: &DrillFinished, details: &Drill, texts: &Texts) -> String {
    let named = |wanted: Answer| {
        let answers = terms::parts(&finished.parts);
        let parts = answers.iter().zip(texts.part_names);
        let names: Vec<_> =
            parts.filter(|((_, answer), _)| *answer == wanted).map(|(_, name)| name).collect();
        names.join(texts.separator)
    };
    match (finished.verdict, &details.point) {
        (Word::Pass, Some(point)) => (texts.passed)(&amount::utc(point.time)),
        (Word::Pass, None) => texts.contradiction.to_owned(),
        (Word::Fail, _) => (texts.failed)(&named(Answer::No)),
        (Word::Inconclusive, _) => (texts.undecided)(&named(Answer::Unknown)),
    }
}

/// The sentence for the management: only on the evidence of a passed drill of the latest point.
fn disaster(finished: &DrillFinished, details: &Drill, texts: &Texts) -> Option<String> {
    let latest = details.point.as_ref().is_some_and(|point| point.pick == "latest");
    if finished.verdict != Word::Pass || !latest {
        return None;
    }
    let (recovery, age) = finished.recovery_ms.zip(finished.data_age_ms)?;
    let [recovery, age] = [recovery, age].map(|ms| amount::duration(ms, texts));
    Some((texts.in_a_disaster)(&recovery, &age))
}

fn parts<'a>(finished: &DrillFinished, details: &'a Drill, texts: &Texts) -> Vec<PartRow<'a>> {
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

fn facts(
    record: &Record,
    finished: &DrillFinished,
    details: &Drill,
    history: &[DrillFinished],
    t: &Texts,
    lang: Lang,
) -> Vec<Fact> {
    let mut facts = Vec::new();
    let mut fact = |label, lines, code| facts.push(Fact { label, lines, code });
    let when = |time| match amount::local(time, &details.timezone) {
        Some(local) => vec![amount::utc(time), local],
        None => vec![amount::utc(time)],
    };
    let actor = &record.event.actor;
    let recorded_by = (t.recorded_by)(&actor.name, &actor.host);
    fact(t.customer, vec![customer(details, lang)], false);
    fact(t.policy, vec![details.policy.to_string()], false);
    let drill = details.drill.as_ref().map_or_else(|| t.no_drill.to_owned(), ToString::to_string);
    fact(t.drill, vec![drill], false);
    fact(t.record, vec![amount::count(record.seq), recorded_by], false);
    fact(t.slot, finished.slot.map_or_else(|| vec![t.no_slot.to_owned()], when), false);
    fact(t.started, when(details.started), false);
    fact(t.finished, when(details.finished), false);
    match &details.point {
        None => fact(t.point, vec![t.no_point.to_owned()], false),
        Some(point) => {
            let pick = terms::pick(&point.pick, lang);
            fact(t.point, vec![point.snapshot.to_string()], true);
            fact(t.point_time, when(point.time), false);
            if let Some(time) = point.consistent_time {
                fact(t.consistent_time, when(time), false);
            }
            fact(t.picked, vec![(t.picked_how)(&pick, &amount::count(point.candidates))], false);
            let complete = if point.complete { t.is_complete } else { t.is_incomplete };
            fact(t.complete, vec![complete.to_owned()], false);
            let origin = if point.manifest { t.made_by_lifeboat } else { t.made_by_other };
            fact(t.origin, vec![origin.to_owned()], false);
        }
    }
    let instead = history.iter().rev().find(|drill| drill.stands_in_for(finished.run));
    if let Some((snapshot, lost)) = instead.and_then(|drill| drill.snapshot.zip(drill.data_age_ms))
    {
        let lost = (t.would_lose)(&amount::duration(lost, t));
        fact(t.comes_back, vec![snapshot.to_string(), lost], false);
    }
    fact(t.store, vec![details.scratch.store.clone()], false);
    fact(t.scratch_host, vec![details.scratch.host.clone()], false);
    fact(t.hardware_label, vec![hardware(details, t)], false);
    fact(t.storage, vec![details.scratch.storage.clone()], false);
    fact(t.sandbox, vec![details.scratch.sandbox.clone()], false);
    fact(t.run, vec![details.run.to_string()], true);
    fact(t.policy_digest, vec![finished.policy_digest.to_string()], true);
    fact(t.details_digest, vec![finished.details.to_string()], true);
    facts
}

fn hardware(details: &Drill, texts: &Texts) -> String {
    let memory = ByteSize(details.scratch.memory_bytes).to_string();
    (texts.hardware)(&amount::count(details.scratch.cores), &memory)
}

fn time(finished: &DrillFinished, details: &Drill, texts: &Texts, lang: Lang) -> Time {
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
    let hardware = hardware(details, texts);
    let objective = details.rto_ms.map(|ms| amount::duration(ms, texts));
    Time {
        described: (texts.bar_described)(
            &told.join(texts.separator),
            &recovery,
            objective.as_deref(),
        ),
        caption: (texts.bar_caption)(&recovery, &hardware),
        recovery,
        recovery_sign: finished.parts.within_rto.into(),
        rto: or(details.rto_ms, texts.undeclared),
        age: or(finished.data_age_ms, texts.unmeasured),
        age_sign: finished.parts.within_rpo.into(),
        rpo: or(details.rpo_ms, texts.undeclared),
        phases,
        bar: Bar::new(&details.phases, finished.recovery_ms, details.rto_ms),
    }
}

fn earlier(finished: &DrillFinished, history: &[DrillFinished], texts: &Texts) -> Vec<EarlierView> {
    history
        .iter()
        .rev()
        .skip_while(|drill| drill.run != finished.run && contains(history, finished))
        .filter(|drill| drill.run != finished.run && drill.searched_for.is_none())
        .take(EARLIER_LISTED)
        .map(|drill| evidence::earlier(drill, texts))
        .collect()
}

/// Whether this drill is in the history, so that what follows it there is later than it.
fn contains(history: &[DrillFinished], finished: &DrillFinished) -> bool {
    history.iter().any(|drill| drill.run == finished.run)
}

fn limits(finished: &DrillFinished, details: &Drill, texts: &Texts) -> Vec<&'static str> {
    let mut limits = Vec::new();
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

fn verify<'a>(
    record: &Record,
    details: &Drill,
    proof: &'a Proof,
    texts: &'static Texts,
) -> Verify<'a> {
    let Some(checkpoint) = &proof.checkpoint else {
        return Verify { proof, checkpoint: None, obstacle: Some(texts.verify_unsigned) };
    };
    if checkpoint.size < record.seq {
        return Verify { proof, checkpoint: None, obstacle: Some(texts.verify_uncovered) };
    }
    let folder = format!("{}/{}", details.scratch.store.trim_end_matches('/'), details.customer);
    let file = checkpoint.name.rsplit('/').next().unwrap_or(&checkpoint.name).to_owned();
    let steps = CheckpointSteps {
        fetch: (texts.verify_fetch)(&folder),
        ledger: (texts.verify_ledger)(&amount::count(record.seq), &amount::count(checkpoint.size)),
        commands: [
            format!("lifeboat ledger verify {} --earlier {file}", details.customer),
            format!("lifeboat ledger show {} {}", details.customer, record.seq),
        ],
        file,
    };
    Verify { proof, checkpoint: Some(steps), obstacle: None }
}

#[cfg(test)]
mod tests {
    use super::super::sample::{self, Sample};
    use super::*;

    fn samples() -> [(&'static str, Sample); 4] {
        [
            ("passed", sample::passed()),
            ("failed", sample::failed()),
            ("inconclusive", sample::inconclusive()),
            ("long", sample::long()),
        ]
    }

    /// The text a reader sees: without style sheet and tags.
    fn seen(page: &str) -> String {
        let body = page.split("</style>").nth(1).unwrap();
        // An apostrophe is written as a number, which is none to a reader.
        let body = body.replace("&#39;", "'").replace("&#34;", "\"");
        let mut text = String::new();
        let mut inside = false;
        for c in body.chars() {
            match c {
                '<' => inside = true,
                '>' => inside = false,
                c if !inside => text.push(c),
                _ => {}
            }
        }
        text
    }

    fn numbers(text: &str) -> Vec<String> {
        let mut numbers: Vec<_> = text
            .split(|c: char| !c.is_ascii_digit())
            .filter(|digits| !digits.is_empty())
            .map(str::to_owned)
            .collect();
        numbers.sort();
        numbers
    }

    #[test]
    fn both_languages_hold_the_same_numbers() {
        for (name, sample) in samples() {
            let [zh, en] = [Lang::Zh, Lang::En].map(|lang| numbers(&seen(&sample.page(lang))));
            assert_eq!(zh, en, "{name}");
        }
    }

    #[test]
    fn a_page_needs_nothing_else_and_runs_nothing() {
        for (name, sample) in samples() {
            for lang in [Lang::Zh, Lang::En] {
                let page = sample.page(lang);
                for foreign in ["<script", "<link", "<img", "<iframe", "src=", "url(", "@import"] {
                    assert!(!page.contains(foreign), "{name}: {foreign}");
                }
            }
        }
    }

    #[test]
    fn hostile_names_stay_text() {
        let mut sample = sample::failed();
        let hostile = "\"><img src=x onerror=alert(1)>'&";
        sample.details.checks[8].name = hostile.into();
        sample.details.sources[0].parts[0].name = hostile.into();
        sample.details.customer_names.insert("en".into(), hostile.into());
        sample.details.reasons[0].why = hostile.into();

        let page = sample.page(Lang::En);

        assert!(!page.contains("<img"));
        assert!(page.contains("&lt;img") || page.contains("&#60;img"));
    }

    #[test]
    fn names_with_controls_neither_steer_the_reader_nor_look_alike() {
        let mut sample = sample::failed();
        let parts = &mut sample.details.sources[0].parts;
        parts[0].name = "a\nb\u{1b}[8m\u{7}".into();
        parts[1].name = "a b\u{202e}gpj".into();

        let page = sample.page(Lang::En);

        assert!(page.contains("<bdi>a\\nb\\u{1b}[8m\\u{7}</bdi>"), "{page}");
        assert!(page.contains("<bdi>a b\\u{202e}gpj</bdi>"), "{page}");
        assert!(!page.contains(['\u{1b}', '\u{7}', '\u{202e}']));
    }

    #[test]
    fn what_is_not_covered_is_named_in_both_languages() {
        let (some, none, many) = (sample::failed(), sample::passed(), sample::long());

        let [zh, en] = [Lang::Zh, Lang::En].map(|lang| seen(&some.page(lang)));

        for told in ["Not covered", "Rows of unlogged tables", "Passwords of roles (the"] {
            assert!(en.contains(told), "{told} in {en}");
        }
        for told in ["未覆盖的内容", "UNLOGGED 表中的数据行", "角色口令"] {
            assert!(zh.contains(told), "{told} in {zh}");
        }
        for name in ["analytics", "shop: cache.d", "&#60;b&#62;staging"] {
            assert!(en.contains(name) && zh.contains(name), "{name} in {en}");
        }
        assert!(seen(&none.page(Lang::En)).contains("Nothing was seen at capture"));
        assert!(seen(&many.page(Lang::En)).contains("and 10 more"));
    }

    #[test]
    fn what_is_damaged_beside_the_recovery_point_is_told_in_both_languages() {
        let (some, none) = (sample::failed(), sample::passed());
        let told = [
            (Lang::En, "Damaged beside the recovery point", "says nothing of them"),
            (Lang::Zh, "恢复点之外的损坏", "结论也不涉及它们"),
        ];
        for (lang, heading, how) in told {
            let page = seen(&some.page(lang));

            for told in [heading, how, "snapshot 8d3c", "its bytes hash to 51c0"] {
                assert!(page.contains(told), "{told} in {page}");
            }
            assert!(!seen(&none.page(lang)).contains(heading));
        }
    }

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
    fn details_that_contradict_the_record_are_called_out() {
        let warning = "contradict its record";
        assert!(!sample::passed().page(Lang::En).contains(warning));

        let mut forged = sample::failed();
        forged.details.verdict = Word::Pass;
        let page = forged.page(Lang::En);
        assert!(page.contains(warning));
        assert!(page.contains("</span> Fail</span></h1>"), "the signed word stands");
    }

    #[test]
    fn a_checkpoint_that_does_not_cover_the_record_is_not_offered_as_proof() {
        let mut sample = sample::passed();
        assert!(sample.page(Lang::En).contains("ssh-keygen -Y verify"));

        sample.proof.checkpoint.as_mut().unwrap().size = sample.record.seq - 1;
        let page = sample.page(Lang::En);
        assert!(!page.contains("ssh-keygen -Y verify"));
        assert!(page.contains("does not cover it") || page.contains("does not cover\n"), "told");
    }

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

    #[test]
    fn every_sample_has_a_whole_page_in_each_language() {
        // A folder named in the environment gets the pages, for eyes.
        let folder = std::env::var_os("LIFEBOAT_TEST_PAGES");
        for (name, sample) in samples() {
            for (tag, lang) in [("zh", Lang::Zh), ("en", Lang::En)] {
                let page = sample.page(lang);
                assert!(page.starts_with("<!doctype html>"), "{name} in {tag}");
                assert!(page.trim_end().ends_with("</html>"), "{name} in {tag}");
                if let Some(folder) = &folder {
                    let file = std::path::Path::new(folder).join(format!("{name}-{tag}.html"));
                    std::fs::write(file, page).unwrap();
                }
            }
        }
    }
}
