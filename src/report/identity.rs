//! Which drill it was: who ran it, of which recovery point, where.

use super::texts::Texts;
use super::{Lang, amount, terms};
use crate::ground::size::ByteSize;
use crate::ledger::details::Drill;
use crate::ledger::record::{DrillFinished, Record};

/// A line of the identity table.
pub(super) struct Fact {
    pub label: &'static str,
    pub lines: Vec<String>,
    /// A digest or the like: set in a fixed width and broken anywhere.
    pub code: bool,
}

pub(super) fn full_name(details: &Drill) -> String {
    let drill = details.drill.as_ref().map(|name| format!("/{name}")).unwrap_or_default();
    format!("{}/{}{drill}", details.customer, details.policy)
}

pub(super) fn customer(details: &Drill, lang: Lang) -> String {
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

pub(super) fn facts(
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
            if let Some(draw) = finished.draw {
                fact(t.campaign, vec![(t.drawn_by)(&draw.campaign.to_string())], false);
            }
            let complete = if point.complete { t.is_complete } else { t.is_incomplete };
            fact(t.complete, vec![complete.to_owned()], false);
            let origin = if point.manifest { t.made_by_lifeboat } else { t.made_by_other };
            fact(t.origin, vec![origin.to_owned()], false);
        }
    }
    let run = finished.run;
    let instead = history.iter().rev().find(|drill| drill.stands_in_for(run));
    if let Some((snapshot, lost)) = instead.and_then(|drill| drill.snapshot.zip(drill.data_age_ms))
    {
        let lost = (t.would_lose)(&amount::duration(lost, t));
        fact(t.comes_back, vec![snapshot.to_string(), lost], false);
    } else if let tried @ 1.. = history.iter().filter(|one| one.searched_for == Some(run)).count() {
        fact(t.comes_back, vec![(t.none_comes_back)(&amount::count(tried as u64))], false);
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

pub(super) fn hardware(details: &Drill, texts: &Texts) -> String {
    let memory = ByteSize(details.scratch.memory_bytes).to_string();
    (texts.hardware)(&amount::count(details.scratch.cores), &memory)
}
