//! Codes of the ledger as words: answers, outcomes, rungs, phases, faults, units, picks.
//!
//! A code that this version does not know is shown as it stands.

use std::borrow::Cow;

use super::Lang;
use crate::ledger::details::{CheckOutcome, Part};
use crate::ledger::record::{Answer, Parts, Word};

/// Code, 中文, English.
type Row = (&'static str, &'static str, &'static str);

const RUNGS: [Row; 7] = [
    ("point", "恢复点", "Recovery point"),
    ("integrity", "存储完整性", "Integrity"),
    ("restore", "还原", "Restore"),
    ("start", "启动与自检", "Start"),
    ("equality", "一致性", "Equality"),
    ("check", "业务校验", "Owner's check"),
    ("objectives", "目标", "Objectives"),
];

const PHASES: [Row; 5] = [
    ("queue", "排队", "Queue"),
    ("fetch", "读取", "Fetch"),
    ("load", "装载", "Load"),
    ("start", "启动", "Start"),
    ("first-query", "首次查询", "First query"),
];

const FAULTS: [Row; 4] = [
    ("row-changed", "修改一行数据", "One row changed"),
    ("row-removed", "删除一行数据", "One row removed"),
    ("byte-flipped", "翻转一个字节", "One byte flipped"),
    ("blob-hidden", "隐藏一个数据块", "One stored blob hidden"),
];

/// Code, 中文, English for one, English for several.
const UNITS: [(&str, &str, &str, &str); 16] = [
    ("records", "条记录", "record", "records"),
    ("engines", "个引擎", "engine", "engines"),
    ("answers", "个回答", "answer", "answers"),
    ("rows", "行", "row", "rows"),
    ("entries", "个条目", "entry", "entries"),
    ("files", "个文件", "file", "files"),
    ("tables", "张表", "table", "tables"),
    ("parts", "个部分", "part", "parts"),
    ("pages", "页", "page", "pages"),
    ("blobs", "个数据块", "blob", "blobs"),
    ("bytes", "字节", "byte", "bytes"),
    ("values", "个值", "value", "values"),
    ("objects", "个对象", "object", "objects"),
    ("sources", "个数据源", "source", "sources"),
    ("queries", "次查询", "query", "queries"),
    ("milliseconds", "毫秒", "ms", "ms"),
];

const PICKS: [Row; 3] = [
    ("latest", "最新", "the latest"),
    ("oldest", "最早", "the oldest"),
    ("named", "指定", "named by hand"),
];

fn look_up<'a>(rows: &[Row], code: &'a str, lang: Lang) -> Cow<'a, str> {
    let row = rows.iter().find(|(known, ..)| *known == code);
    Cow::Borrowed(row.map_or(code, |(_, zh, en)| match lang {
        Lang::Zh => zh,
        Lang::En => en,
    }))
}

pub(super) fn rung(code: &str, lang: Lang) -> Cow<'_, str> {
    look_up(&RUNGS, code, lang)
}

pub(super) fn phase(code: &str, lang: Lang) -> Cow<'_, str> {
    look_up(&PHASES, code, lang)
}

pub(super) fn fault(code: &str, lang: Lang) -> Cow<'_, str> {
    look_up(&FAULTS, code, lang)
}

pub(super) fn unit(code: &str, number: u64, lang: Lang) -> &str {
    let row = UNITS.iter().find(|(known, ..)| *known == code);
    row.map_or(code, |(_, zh, one, several)| match lang {
        Lang::Zh => zh,
        Lang::En if number == 1 => one,
        Lang::En => several,
    })
}

pub(super) fn pick(code: &str, lang: Lang) -> Cow<'_, str> {
    match (code.strip_prefix("before "), lang) {
        (Some(time), Lang::Zh) => format!("早于 {time}").into(),
        (Some(time), Lang::En) => format!("the latest before {time}").into(),
        (None, _) => look_up(&PICKS, code, lang),
    }
}

/// The parts in the order of the design, each with its answer.
pub(super) fn parts(parts: &Parts) -> [(Part, Answer); 5] {
    [
        (Part::Restorable, parts.restorable),
        (Part::Intact, parts.intact),
        (Part::WithinRto, parts.within_rto),
        (Part::WithinRpo, parts.within_rpo),
        (Part::CleanedUp, parts.cleaned_up),
    ]
}

/// How something ended, for colour and sign alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sign {
    Good,
    Bad,
    Doubt,
    None,
}

impl Sign {
    /// The class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Good => "good",
            Self::Bad => "bad",
            Self::Doubt => "doubt",
            Self::None => "none",
        }
    }

    /// A sign that is told apart without colour.
    pub(super) fn mark(self) -> &'static str {
        match self {
            Self::Good => "✓",
            Self::Bad => "✗",
            Self::Doubt => "?",
            Self::None => "–",
        }
    }
}

impl From<Word> for Sign {
    fn from(word: Word) -> Self {
        match word {
            Word::Pass => Self::Good,
            Word::Fail => Self::Bad,
            Word::Inconclusive => Self::Doubt,
        }
    }
}

impl From<Answer> for Sign {
    fn from(answer: Answer) -> Self {
        match answer {
            Answer::Yes => Self::Good,
            Answer::No => Self::Bad,
            Answer::Unknown => Self::Doubt,
            Answer::NotApplicable => Self::None,
        }
    }
}

impl From<CheckOutcome> for Sign {
    fn from(outcome: CheckOutcome) -> Self {
        match outcome {
            CheckOutcome::Held => Self::Good,
            CheckOutcome::Broke => Self::Bad,
            CheckOutcome::NotRun => Self::Doubt,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_are_translated_and_unknown_ones_stand_as_they_are() {
        assert_eq!(rung("equality", Lang::Zh), "一致性");
        assert_eq!(fault("byte-flipped", Lang::En), "One byte flipped");
        assert_eq!(unit("queries", 1, Lang::En), "query");
        assert_eq!(phase("warm-up", Lang::Zh), "warm-up");
        assert_eq!(pick("before 2026-01-01T00:00:00Z", Lang::Zh), "早于 2026-01-01T00:00:00Z");
    }
}
