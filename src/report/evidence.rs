//! What a drill compared and found, row by row as the page shows it.

use std::borrow::Cow;

use super::terms::{self, Sign};
use super::texts::Texts;
use super::{Lang, amount};
use crate::ground::size::ByteSize;
use crate::ledger::details::{
    Check, CheckOutcome, Control, Finding, NotCovered, PartCompared, Served, SourceRecovered,
    Upgraded,
};

/// More equal parts of one source than this are counted instead of listed.
const EQUAL_PARTS_LISTED: usize = 200;

/// One source: what came back and how it compares.
pub(super) struct SourceView {
    pub name: String,
    pub kind: String,
    pub about: Vec<String>,
    pub parts: Vec<PartView>,
    pub more_equal: Option<String>,
}

/// One table or path.
pub(super) struct PartView {
    pub name: String,
    pub captured: String,
    pub restored: String,
    pub sign: Sign,
    pub equal: &'static str,
}

pub(super) fn source(found: &SourceRecovered, texts: &Texts, lang: Lang) -> SourceView {
    let entries = terms::unit("entries", found.entries, lang);
    let mut about = vec![
        (texts.source_came_back)(
            &format!("{} {entries}", amount::count(found.entries)),
            &ByteSize(found.bytes).to_string(),
        ),
        (texts.captured_on)(&found.captured_on),
    ];
    if let Some(served) = &found.served {
        about.extend(taken_from(served, texts));
    }
    about.extend(found.upgraded.iter().flat_map(|upgraded| rehearsed(upgraded, texts)));
    let waived = found.waived.as_ref();
    about.extend(waived.map(|one| (texts.equality_not_required)(&one.reason, &one.why)));
    about.extend(found.consistent_time.map(|time| (texts.as_of)(&amount::utc(time))));
    let (equal, different): (Vec<_>, Vec<_>) = found.parts.iter().partition(|part| part.equal);
    let beyond = equal.len().saturating_sub(EQUAL_PARTS_LISTED);
    let listed = different.into_iter().chain(equal.into_iter().take(EQUAL_PARTS_LISTED));
    SourceView {
        name: found.source.to_string(),
        kind: if found.engine.is_empty() { found.kind.clone() } else { found.engine.clone() },
        about,
        parts: listed.map(|compared| part(compared, texts)).collect(),
        more_equal: (beyond > 0).then(|| (texts.more_equal)(&amount::count(beyond as u64))),
    }
}

/// What an upgrade rehearsal brought a source up on, and what it could not compare.
fn rehearsed(upgraded: &Upgraded, texts: &Texts) -> Vec<String> {
    let Upgraded { major, retold } = upgraded;
    let retold = (!retold.is_empty()).then(|| (texts.retold)(&retold.join(", ")));
    std::iter::once((texts.upgraded)(&major.to_string())).chain(retold).collect()
}

/// Which server was asked, and why not those before it.
fn taken_from(served: &Served, texts: &Texts) -> Vec<String> {
    let lag = amount::duration(served.lag_ms, texts);
    let taken = match served.is_replica {
        true => (texts.taken_from_replica)(&served.host, &lag),
        false => (texts.taken_from_primary)(&served.host),
    };
    let not = served.passed_over.iter().map(|one| (texts.passed_over)(&one.object, &one.what));
    std::iter::once(taken).chain(not).collect()
}

/// What of one kind a recovery point does not cover.
pub(super) struct GapView<'a> {
    pub what: Cow<'a, str>,
    pub source: &'a str,
    pub names: Vec<Cow<'a, str>>,
    pub more: Option<String>,
}

/// Names of one kind that are listed at most.
const NAMES_LISTED: usize = 50;

pub(super) fn gap<'a>(gap: &'a NotCovered, texts: &Texts, lang: Lang) -> GapView<'a> {
    let beyond = gap.names.len().saturating_sub(NAMES_LISTED);
    let named = gap.names.iter().take(NAMES_LISTED).map(|name| match &gap.database {
        Some(database) => format!("{database}: {name}").into(),
        None => name.into(),
    });
    GapView {
        what: terms::gap(&gap.what, lang),
        source: gap.source.as_str(),
        names: named.collect(),
        more: (beyond > 0).then(|| (texts.and_more)(&amount::count(beyond as u64))),
    }
}

fn part(compared: &PartCompared, texts: &Texts) -> PartView {
    let rows = |rows: Option<u64>| rows.map_or_else(|| "–".to_owned(), amount::count);
    PartView {
        name: compared.name.clone(),
        captured: rows(compared.rows_captured),
        restored: rows(compared.rows_restored),
        sign: if compared.equal { Sign::Good } else { Sign::Bad },
        equal: texts.equals[usize::from(!compared.equal)],
    }
}

/// One check with its outcome.
pub(super) struct CheckView<'a> {
    pub rung: String,
    pub name: Cow<'a, str>,
    /// Beside the owner's words, which need not name it.
    pub source: Option<&'a str>,
    pub sign: Sign,
    pub outcome: &'static str,
    pub compared: String,
    pub took: String,
    pub expected: Option<&'a str>,
    pub found: Option<&'a str>,
    pub at_capture: Option<&'a str>,
    pub reason: Option<&'a str>,
    pub places: &'a [Finding],
    pub places_heading: String,
}

pub(super) fn check<'a>(check: &'a Check, texts: &Texts, lang: Lang) -> CheckView<'a> {
    let outcome = match check.outcome {
        CheckOutcome::Held => 0,
        CheckOutcome::Broke => 1,
        CheckOutcome::NotRun => 2,
    };
    let owners = check.rung == "check";
    let own = if owners { None } else { terms::assertion(&check.name, lang) };
    CheckView {
        rung: terms::rung(&check.rung, lang).into_owned(),
        source: own.is_none().then(|| check.source.as_ref().map(|name| name.as_str())).flatten(),
        name: own.map_or_else(|| Cow::Borrowed(check.name.as_str()), Cow::Owned),
        sign: check.outcome.into(),
        outcome: texts.outcomes[outcome],
        compared: match check.compared {
            0 => "–".to_owned(),
            count => format!("{} {}", amount::count(count), terms::unit(&check.unit, count, lang)),
        },
        took: amount::duration(check.duration_ms, texts),
        expected: check.expected.as_deref(),
        found: check.found.as_deref(),
        at_capture: check.at_capture.as_deref(),
        reason: check.reason.as_deref(),
        places: &check.places,
        places_heading: (texts.places)(
            &amount::count(check.places.len() as u64),
            &amount::count(check.places_total),
        ),
    }
}

/// One deliberate fault.
pub(super) struct ControlView<'a> {
    pub fault: String,
    pub source: Option<&'a str>,
    pub injured: &'a str,
    pub expected_check: Cow<'a, str>,
    pub sign: Sign,
    pub result: &'static str,
    pub said: &'a str,
}

pub(super) fn control<'a>(control: &'a Control, texts: &Texts, lang: Lang) -> ControlView<'a> {
    let (sign, result) = match (control.found, control.not_run) {
        (_, true) => (Sign::Doubt, 2),
        (true, false) => (Sign::Good, 0),
        (false, false) => (Sign::Bad, 1),
    };
    ControlView {
        fault: terms::fault(&control.fault, lang).into_owned(),
        source: control.source.as_ref().map(|name| name.as_str()),
        injured: &control.injured,
        expected_check: terms::assertion(&control.expected_check, lang)
            .map_or_else(|| Cow::Borrowed(control.expected_check.as_str()), Cow::Owned),
        sign,
        result: texts.control_results[result],
        said: if control.found && !control.not_run { texts.found_there } else { &control.said },
    }
}
