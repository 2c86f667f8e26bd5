//! The page of one campaign: its sentence, what it rests on, and what it does not show.

use std::collections::BTreeMap;

use askama::Template;

use super::statement::{self, Conclusion, said};
use super::texts::Texts as Words;
use crate::ground::digest::Digest;
use crate::ledger::record::{Body, CampaignStarted, DrillFinished, Earlier, Record};
use crate::report::identity::Fact;
use crate::report::terms::Sign;
use crate::report::texts::Texts;
use crate::report::verify::{self, Verify};
use crate::report::{Lang, Proof, amount, en, verdict, zh};

/// Earlier campaigns that are listed at most.
const EARLIER_LISTED: usize = 10;

/// A campaign as the ledger has it.
#[derive(Debug, Clone, Copy)]
pub struct Sampled<'a> {
    /// Of the draw.
    pub record: &'a Record,
    pub campaign: &'a CampaignStarted,
    /// Every record of the ledger, verified.
    pub records: &'a [Record],
    /// What an audit of it found, one English sentence each.
    pub problems: &'a [String],
    /// By language tag.
    pub customer_names: &'a BTreeMap<String, String>,
    pub timezone: &'a str,
    /// The place of the store that holds the ledger.
    pub store: &'a str,
    pub proof: &'a Proof,
}

/// Writes the page of one campaign: one HTML document that needs nothing else, in `lang`.
pub fn campaign(sampled: Sampled<'_>, lang: Lang) -> String {
    let t = match lang {
        Lang::Zh => &zh::TEXTS,
        Lang::En => &en::TEXTS,
    };
    let c = Words::of(lang);
    let Sampled { record, campaign, records, problems, proof, .. } = sampled;
    let end = Conclusion::of(campaign, records);
    let (sign, word) = word(end, t, c);
    let number = Earlier::than(campaign, records);
    let page = Page {
        t,
        c,
        sign: if problems.is_empty() { sign } else { Sign::Bad },
        word,
        problems,
        name: format!("{}/{}/{}", proof.customer, campaign.policy, campaign.drill),
        sentence: said(campaign, end, c),
        seed_lead: match &campaign.seed_from {
            Some(from) => (c.seed_from)(from),
            None => c.operator_chosen.to_owned(),
        },
        customer: customer(sampled, t),
        customer_id: &proof.customer,
        on: amount::utc(record.event.time),
        seq: amount::count(record.seq),
        seq_plain: record.seq,
        wanted_plain: campaign.wanted,
        figures: figures(campaign, end, sign, c),
        facts: facts(sampled, t, c),
        draws: campaign.drawn.iter().map(|id| drawn(id, sampled, t, c)).collect(),
        earlier_told: match number.begun {
            0 => c.no_earlier.to_owned(),
            begun => {
                let [begun, completed] =
                    [begun, number.completed].map(|number| amount::count(number as u64));
                (c.some_earlier)(&begun, &completed)
            }
        },
        earlier: earlier(sampled, t, c),
        limits: limits(campaign, c),
        verify: verify::steps(record, sampled.store, proof, t),
    };
    page.render().expect("rendering into a string fails only where a value's Display does")
}

#[derive(Template)]
#[template(path = "campaign.html", config = "src/report/askama.toml")]
struct Page<'a> {
    t: &'static Texts,
    c: &'static Words,
    sign: Sign,
    word: &'static str,
    problems: &'a [String],
    name: String,
    sentence: String,
    seed_lead: String,
    customer: String,
    customer_id: &'a str,
    on: String,
    seq: String,
    /// As commands take it.
    seq_plain: u64,
    wanted_plain: u64,
    figures: Vec<Figure>,
    facts: Vec<Fact>,
    draws: Vec<DrawView>,
    earlier_told: String,
    earlier: Vec<EarlierView>,
    limits: Vec<&'static str>,
    verify: Verify<'a>,
}

struct Figure {
    label: &'static str,
    value: String,
    note: Option<String>,
    sign: Sign,
}

struct DrawView {
    snapshot: String,
    sign: Sign,
    word: &'static str,
    recovery: String,
    record: String,
}

struct EarlierView {
    when: String,
    record: String,
    sign: Sign,
    word: &'static str,
    statement: String,
    is_same: bool,
}

fn word(end: Conclusion<'_>, t: &Texts, c: &Words) -> (Sign, &'static str) {
    match end {
        Conclusion::Finished(finished) => {
            (finished.verdict.into(), verdict::word(finished.verdict, t))
        }
        Conclusion::Aborted { .. } => (Sign::Doubt, c.unended[0]),
        Conclusion::Open => (Sign::Doubt, c.unended[1]),
    }
}

fn customer(sampled: Sampled<'_>, t: &Texts) -> String {
    let (names, id) = (sampled.customer_names, &sampled.proof.customer);
    let language = t.tag.split('-').next().unwrap_or(t.tag);
    match names.get(language).or_else(|| names.values().next()) {
        Some(name) => format!("{name} ({id})"),
        None => id.clone(),
    }
}

fn figures(campaign: &CampaignStarted, end: Conclusion<'_>, sign: Sign, c: &Words) -> Vec<Figure> {
    let figure =
        |label, value: u64, note, sign| Figure { label, value: amount::count(value), note, sign };
    let population = figure(c.population, campaign.population, None, Sign::None);
    let drawn = figure(c.drawn_figure, campaign.drawn.len() as u64, None, Sign::None);
    let Conclusion::Finished(finished) = end else { return vec![population, drawn] };
    let [failed, open] = [finished.failed, finished.inconclusive].map(amount::count);
    let others = (finished.passed < finished.drawn).then(|| (c.failed_open)(&failed, &open));
    let note = match (campaign.is_census(), finished.at_least_permille()) {
        (_, None) => None,
        (true, _) => Some(c.census.to_owned()),
        (false, Some(permille)) => {
            let confidence = finished.confidence_percent.to_string();
            Some((c.confidence)(&statement::percent(permille), &confidence))
        }
    };
    let restorable = Figure {
        label: c.restorable,
        value: finished.at_least.map_or_else(|| c.nothing.to_owned(), amount::count),
        note,
        sign,
    };
    vec![population, drawn, figure(c.passed, finished.passed, others, sign), restorable]
}

fn facts(sampled: Sampled<'_>, t: &Texts, c: &Words) -> Vec<Fact> {
    let Sampled { record, campaign, records, .. } = sampled;
    let mut facts = Vec::new();
    let mut fact = |label, lines, code| facts.push(Fact { label, lines, code });
    let when = |time| match amount::local(time, sampled.timezone) {
        Some(local) => vec![amount::utc(time), local],
        None => vec![amount::utc(time)],
    };
    let recorded = |record: &Record| {
        let actor = &record.event.actor;
        vec![amount::count(record.seq), (t.recorded_by)(&actor.name, &actor.host)]
    };
    fact(t.customer, vec![customer(sampled, t)], false);
    fact(t.policy, vec![campaign.policy.to_string()], false);
    fact(t.drill, vec![campaign.drill.to_string()], false);
    fact(t.record, recorded(record), false);
    fact(t.slot, campaign.slot.map_or_else(|| vec![t.no_slot.to_owned()], when), false);
    fact(c.drawn_at, when(record.event.time), false);
    if let Some(end) = records.iter().find(|one| ends(one, campaign)) {
        let mut lines = when(end.event.time);
        lines.extend(recorded(end).into_iter().take(1).map(|seq| format!("{} {seq}", t.record)));
        fact(c.ended_at, lines, false);
    }
    let [wanted, drawn] = [campaign.wanted, campaign.drawn.len() as u64].map(amount::count);
    fact(c.wanted, vec![(c.wanted_how)(&wanted, &drawn)], false);
    fact(c.seed, vec![campaign.seed.clone()], true);
    let origin = campaign.seed_from.clone().unwrap_or_else(|| c.operator_chosen.to_owned());
    fact(c.seed_origin, vec![origin], false);
    fact(c.population_digest, vec![campaign.population_digest.to_string()], true);
    fact(c.population_list, vec![campaign.details.to_string()], true);
    fact(t.policy_digest, vec![campaign.policy_digest.to_string()], true);
    fact(t.run, vec![campaign.run.to_string()], true);
    facts
}

fn ends(record: &Record, campaign: &CampaignStarted) -> bool {
    let one = std::slice::from_ref(record);
    Conclusion::of(campaign, one) != Conclusion::Open
}

fn drawn(snapshot: &Digest, sampled: Sampled<'_>, t: &Texts, c: &Words) -> DrawView {
    let run = sampled.campaign.run;
    let is_it = |drill: &&DrillFinished| {
        drill.draw.is_some_and(|draw| draw.campaign == run && draw.snapshot == *snapshot)
    };
    let drill = sampled.records.iter().find_map(|record| match &record.event.body {
        Body::DrillFinished(drill) => Some((record, drill)).filter(|(_, drill)| is_it(drill)),
        _ => None,
    });
    let snapshot = snapshot.to_string();
    let Some((record, drill)) = drill else {
        let nothing = || "–".to_owned();
        let (sign, word) = (Sign::Doubt, c.not_drilled);
        return DrawView { snapshot, sign, word, recovery: nothing(), record: nothing() };
    };
    DrawView {
        snapshot,
        sign: drill.verdict.into(),
        word: verdict::word(drill.verdict, t),
        recovery: drill
            .recovery_ms
            .map_or_else(|| t.unmeasured.to_owned(), |ms| amount::duration(ms, t)),
        record: amount::count(record.seq),
    }
}

/// Newest first.
fn earlier(sampled: Sampled<'_>, t: &Texts, c: &Words) -> Vec<EarlierView> {
    let Sampled { record, campaign, records, .. } = sampled;
    let before = records.iter().filter(|other| other.seq < record.seq).rev();
    let others = before.filter_map(|other| match &other.event.body {
        Body::CampaignStarted(one) => Some((other, one)),
        _ => None,
    });
    let of_drill = others
        .filter(|(_, other)| other.policy == campaign.policy && other.drill == campaign.drill);
    let view = |(record, other): (&Record, &CampaignStarted)| {
        let end = Conclusion::of(other, records);
        let (sign, word) = word(end, t, c);
        EarlierView {
            when: amount::utc(record.event.time),
            record: amount::count(record.seq),
            sign,
            word,
            statement: said(other, end, c),
            is_same: other.population_digest == campaign.population_digest,
        }
    };
    of_drill.take(EARLIER_LISTED).map(view).collect()
}

fn limits(campaign: &CampaignStarted, c: &Words) -> Vec<&'static str> {
    let seed = if campaign.seed_from.is_some() { c.limit_outside } else { c.limit_operator };
    std::iter::once(seed).chain(c.limits).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::ids::RunId;
    use crate::ledger::record::{CampaignFinished, Draw, Word};
    use crate::report::sample;

    /// 30 of 240 points, of which `failed` did not come back, after an aborted campaign over the same.
    struct Sample {
        records: Vec<Record>,
        proof: Proof,
        names: BTreeMap<String, String>,
    }

    impl Sample {
        fn of(failed: usize, seed_from: Option<&str>) -> Self {
            let drill = sample::passed();
            let campaign = RunId::draw();
            let drawn: Vec<_> = (0..30u8).map(|nth| Digest::of(&[nth])).collect();
            let started = CampaignStarted {
                policy: drill.finished.policy.clone(),
                drill: "quarterly".parse().unwrap(),
                run: campaign,
                slot: None,
                policy_digest: drill.finished.policy_digest,
                population: 240,
                population_digest: Digest::of(b"population"),
                wanted: 30,
                seed: "c0ffee-2026-Q4".into(),
                seed_from: seed_from.map(str::to_owned),
                drawn: drawn.clone(),
                details: Digest::of(b"list"),
            };
            let (policy, name) = (started.policy.clone(), started.drill.clone());
            let earlier = CampaignStarted { run: RunId::draw(), ..started.clone() };
            let aborted = Body::CampaignAborted {
                policy: policy.clone(),
                drill: name.clone(),
                run: earlier.run,
                slot: None,
                reason: "interrupted".into(),
            };
            let mut bodies =
                vec![Body::CampaignStarted(earlier), aborted, Body::CampaignStarted(started)];
            for (nth, snapshot) in drawn.iter().enumerate() {
                let mut finished = drill.finished.clone();
                finished.draw = Some(Draw { campaign, snapshot: *snapshot });
                finished.verdict = if nth < failed { Word::Fail } else { Word::Pass };
                bodies.push(Body::DrillFinished(finished));
            }
            let failed = failed as u64;
            bodies.push(Body::CampaignFinished(CampaignFinished {
                policy,
                drill: name,
                run: campaign,
                slot: None,
                population: 240,
                drawn: 30,
                passed: 30 - failed,
                failed,
                inconclusive: 0,
                verdict: if failed == 0 { Word::Pass } else { Word::Fail },
                at_least: Some(if failed == 0 { 219 } else { 196 }),
                confidence_percent: 95,
                signed: None,
            }));
            let record = |(seq, body)| {
                let mut record = drill.record.clone();
                (record.seq, record.event.body) = (seq, body);
                record
            };
            let records = (1250..).zip(bodies).map(record).collect();
            let names = drill.details.customer_names.clone();
            Self { records, proof: drill.proof, names }
        }

        fn page(&self, problems: &[String], lang: Lang) -> String {
            let record = &self.records[2];
            let Body::CampaignStarted(started) = &record.event.body else { panic!("{record:?}") };
            let sampled = Sampled {
                record,
                campaign: started,
                records: &self.records,
                problems,
                customer_names: &self.names,
                timezone: "Asia/Shanghai",
                store: "s3://backups/lifeboat",
                proof: &self.proof,
            };
            campaign(sampled, lang)
        }
    }

    #[test]
    fn a_campaign_is_told_with_its_statement_seed_and_caveats_in_both_languages() {
        let sample = Sample::of(0, Some("nonce in the auditor's letter of 3 Nov 2026"));
        let told: [(Lang, &[&str]); 2] = [
            (
                Lang::En,
                &[
                    "30 of 240 recovery points drawn, none failed: at least 219 of 240 (91.2 %) restorable",
                    "with 95 % confidence",
                    "letter of 3 Nov 2026",
                    "Begun before: 1, of these completed: 0",
                    "the very same recovery points",
                    "Of twenty campaigns",
                ],
            ),
            (
                Lang::Zh,
                &[
                    "从 240 个恢复点中随机抽取 30 个，无一失败",
                    "240 个中至少 219 个（91.2 %）可恢复",
                    "letter of 3 Nov 2026",
                    "此前开始 1 次，其中完成 0 次",
                    "总体与本次完全相同",
                ],
            ),
        ];
        for (lang, told) in told {
            let page = sample.page(&[], lang);
            for told in told {
                assert!(page.contains(told), "{told} in {page}");
            }
            assert!(page.contains("c0ffee-2026-Q4") && page.contains("| head -n 30 |"));
            assert!(!page.contains("<script") && page.trim_end().ends_with("</html>"));
        }
    }

    #[test]
    fn a_seed_of_the_operator_and_what_the_ledger_contradicts_are_called_out() {
        let chosen = Sample::of(1, None);

        let page = chosen.page(&["it draws 3 where the drill declares 30".into()], Lang::En);

        assert!(page.contains("Operator-chosen: lifeboat drew the seed itself"), "{page}");
        assert!(page.contains("The ledger contradicts this campaign"), "{page}");
        assert!(page.contains("it draws 3 where the drill declares 30"), "{page}");
        assert!(page.contains("</span> Fail</span></h1>"), "{page}");
        assert!(page.contains("1 failed, 0 inconclusive"), "{page}");
    }

    #[test]
    fn hostile_words_about_a_seed_stay_text() {
        let page = Sample::of(0, Some("<img src=x>")).page(&[], Lang::En);

        assert!(!page.contains("<img"));
    }

    #[test]
    fn every_sample_has_a_whole_page_in_each_language() {
        // A folder named in the environment gets the pages, for eyes.
        let folder = std::env::var_os("LIFEBOAT_TEST_PAGES");
        for (name, sample) in
            [("campaign", Sample::of(0, Some("auditor"))), ("chosen", Sample::of(1, None))]
        {
            for (tag, lang) in [("zh", Lang::Zh), ("en", Lang::En)] {
                let page = sample.page(&[], lang);
                assert!(page.starts_with("<!doctype html>"), "{name} in {tag}");
                if let Some(folder) = &folder {
                    let file = std::path::Path::new(folder).join(format!("{name}-{tag}.html"));
                    std::fs::write(file, page).unwrap();
                }
            }
        }
    }
}
