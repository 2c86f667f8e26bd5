//! The page of one drill: what the ledger says, in the order in which an auditor asks.

use askama::Template;

use super::evidence::{self, CheckView, ControlView, GapView, SourceView};
use super::history::{self, EarlierView};
use super::identity::{self, Fact};
use super::independent::{self, IndependentView};
use super::terms::Sign;
use super::texts::Texts;
use super::time::{self, Time};
use super::verdict::{self, PartRow};
use super::verify::{self, Verify};
use super::{Lang, Proof, amount, en, zh};
use crate::ledger::details::{Drill, Finding};
use crate::ledger::record::{DrillFinished, Record};

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
        word: verdict::word(finished.verdict, texts),
        sentence: verdict::sentence(finished, details, texts),
        disaster: verdict::disaster(finished, details, texts),
        contradiction: verdict::contradicts(finished, details),
        name: identity::full_name(details),
        customer: identity::customer(details, lang),
        on: amount::utc(details.started),
        seq: amount::count(record.seq),
        parts: verdict::parts(finished, details, texts),
        facts: identity::facts(record, finished, details, history, texts, lang),
        sources: details.sources.iter().map(|found| evidence::source(found, texts, lang)).collect(),
        checks_held: (texts.checks_held)(
            &amount::count(finished.checks_held),
            &amount::count(finished.checks_declared),
        ),
        checks: details.checks.iter().map(|check| evidence::check(check, texts, lang)).collect(),
        independent: details.independent.as_ref().map(|it| independent::independent(it, texts)),
        time: time::measured(finished, details, texts, lang),
        controls_found: (texts.controls_found)(
            &amount::count(finished.controls_found),
            &amount::count(finished.controls_run),
        ),
        controls: details.controls.iter().map(|c| evidence::control(c, texts, lang)).collect(),
        skipped: &details.skipped,
        beside: &details.beside,
        not_covered: details.not_covered.iter().map(|g| evidence::gap(g, texts, lang)).collect(),
        earlier: history::earlier(finished, history, texts),
        limits: verdict::limits(finished, details, texts),
        verify: verify::steps(record, &details.scratch.store, proof, texts),
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
    independent: Option<IndependentView<'a>>,
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
