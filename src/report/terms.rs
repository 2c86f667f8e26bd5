//! Codes of the ledger as words: answers, outcomes, rungs, phases, faults, units, picks.
//!
//! A code that this version does not know is shown as it stands.

use std::borrow::Cow;

use super::Lang;
use crate::ledger::details::{CheckOutcome, Part};
use crate::ledger::record::{Answer, Parts, Word};

/// Code, 中文, English.
type Row = (&'static str, &'static str, &'static str);

const RUNGS: [Row; 8] = [
    ("point", "恢复点", "Recovery point"),
    ("integrity", "存储完整性", "Integrity"),
    ("restore", "还原", "Restore"),
    ("start", "启动与自检", "Start"),
    ("equality", "一致性", "Equality"),
    ("check", "业务校验", "Owner's check"),
    ("independent", "独立还原", "Independent restore"),
    ("objectives", "目标", "Objectives"),
];

const PHASES: [Row; 7] = [
    ("queue", "排队", "Queue"),
    ("fetch", "读取", "Fetch"),
    ("prepare", "准备", "Prepare"),
    ("load", "装载", "Load"),
    ("start", "启动", "Start"),
    ("first-query", "首次查询", "First query"),
    ("independent", "独立还原", "Independent restore"),
];

const FAULTS: [Row; 4] = [
    ("row-changed", "修改一行数据", "One row changed"),
    ("row-removed", "删除一行数据", "One row removed"),
    ("byte-flipped", "翻转一个字节", "One byte flipped"),
    ("blob-hidden", "隐藏一个数据块", "One stored blob hidden"),
];

const GAPS: [Row; 22] = [
    (
        "masking-policies",
        "列脱敏策略（由服务器统一保存）",
        "Masking policies, which the server keeps for its columns",
    ),
    (
        "rounded-floats",
        "FLOAT 列在六位有效数字之外的部分（导出时被舍入）",
        "All but six digits of FLOAT columns (dumps round them)",
    ),
    (
        "unheld-rows",
        "非事务表中的数据行（已导出，未作比对）",
        "Rows of tables without transactions (dumped, not compared)",
    ),
    (
        "grants-elsewhere",
        "对未备份或已删除对象的授权",
        "Grants on what is not captured, or is gone",
    ),
    ("counters", "AUTO_INCREMENT 与序列的下一个值", "Next values of AUTO_INCREMENT and sequences"),
    ("databases", "策略未列明的数据库", "Databases that the policy does not name"),
    ("unlogged-rows", "UNLOGGED 表中的数据行", "Rows of unlogged tables"),
    ("foreign-rows", "外部表中的数据行", "Rows of foreign tables"),
    (
        "materialised-rows",
        "物化视图中的数据行（还原时重新计算，未作比对）",
        "Rows of materialised views (a restore computes them anew; not compared)",
    ),
    ("subscriptions", "逻辑复制订阅", "Subscriptions to logical replication"),
    (
        "user-mappings",
        "用户映射的选项（仅超级用户可见）",
        "Options of user mappings (only a superuser sees them)",
    ),
    ("tablespaces", "表空间", "Tablespaces"),
    ("role-settings", "ALTER ROLE ALL 设定的参数", "Settings made by ALTER ROLE ALL"),
    ("strangers", "用户建在 pg_catalog 中的对象", "What users made in pg_catalog"),
    (
        "default-grants",
        "默认权限对扩展对象的授权",
        "What default privileges granted on what an extension made",
    ),
    (
        "published-of-extensions",
        "发布中属于扩展的表",
        "What publications publish of an extension's tables",
    ),
    (
        "constraint-triggers",
        "被改动启用状态的约束触发器（恢复后重新生效）",
        "Constraints whose enforcement ALTER TABLE … TRIGGER changed (a restore enforces them)",
    ),
    (
        "predefined-memberships",
        "预定义角色之间被改动的成员关系",
        "Changed memberships of the server's own roles in each other",
    ),
    (
        "role-passwords",
        "角色口令（备份账号无权读取）",
        "Passwords of roles (the backup's log-in may not read them)",
    ),
    ("module-values", "仅 Redis 模块自身可读取的值", "Values that only a module of Redis can read"),
    ("other-nodes", "集群的其他节点", "The other nodes of the cluster"),
    (
        "checksum",
        "传输中的损坏（该服务器不发送校验和）",
        "Damage on the way from the server, which sends no checksum",
    ),
];

/// Code, 中文, English for one, English for several.
const UNITS: [(&str, &str, &str, &str); 20] = [
    ("things", "项", "thing", "things"),
    ("records", "条记录", "record", "records"),
    ("rows", "行", "row", "rows"),
    ("keys", "个键", "key", "keys"),
    ("entries", "个条目", "entry", "entries"),
    ("files", "个文件", "file", "files"),
    ("tables", "张表", "table", "tables"),
    ("parts", "个部分", "part", "parts"),
    ("pages", "页", "page", "pages"),
    ("relations", "张表和索引", "table or index", "tables and indexes"),
    ("blobs", "个数据块", "blob", "blobs"),
    ("bytes", "字节", "byte", "bytes"),
    ("values", "个值", "value", "values"),
    ("objects", "个对象", "object", "objects"),
    ("sources", "个数据源", "source", "sources"),
    ("queries", "次查询", "query", "queries"),
    ("answers", "个应答", "answer", "answers"),
    ("totals", "项合计", "total", "totals"),
    ("engines", "个引擎", "engine", "engines"),
    ("milliseconds", "毫秒", "ms", "ms"),
];

const PICKS: [Row; 5] = [
    ("latest", "最新", "the latest"),
    ("oldest", "最早", "the oldest"),
    ("named", "指定", "named by hand"),
    ("drawn", "随机抽取", "drawn at random"),
    ("searched", "演练失败后向前查找", "searched for after a failed drill"),
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

/// A phase, which may belong to one source: `fetch`, `start orders`.
pub(super) fn phase(code: &str, lang: Lang) -> Cow<'_, str> {
    match code.split_once(' ') {
        Some((phase, source)) => format!("{} {source}", look_up(&PHASES, phase, lang)).into(),
        None => look_up(&PHASES, code, lang),
    }
}

/// What one of lifeboat's own assertions says: `integrity`, `equality of orders`. None where the
/// name is another: the owner's words, or a later version's.
pub(super) fn assertion(name: &str, lang: Lang) -> Option<String> {
    let (kind, source) = name.split_once(" of ").unwrap_or((name, ""));
    let says = match (kind, source.is_empty(), lang) {
        ("recovery point", true, Lang::En) => "the ledger vouches for this very snapshot",
        ("recovery point", true, Lang::Zh) => "台账证明所演练的正是该快照",
        ("integrity", true, Lang::En) => "every stored object is there, authentic and unaltered",
        ("integrity", true, Lang::Zh) => "存储对象齐全、真实、未被篡改",
        ("restore", true, Lang::En) => "everything came out as it is recorded",
        ("restore", true, Lang::Zh) => "全部内容按记录还原",
        ("start", false, Lang::En) => "starts and answers",
        ("start", false, Lang::Zh) => "能够启动并应答",
        ("self-check", false, Lang::En) => "passes its own consistency check",
        ("self-check", false, Lang::Zh) => "自检无误",
        ("equality", false, Lang::En) => "equals what was captured",
        ("equality", false, Lang::Zh) => "与采集时一致",
        ("independent restore", false, Lang::En) => "has the same totals, restored independently",
        ("independent restore", false, Lang::Zh) => "独立还原后合计一致",
        _ => return None,
    };
    Some(if source.is_empty() { says.to_owned() } else { format!("{source} {says}") })
}

pub(super) fn fault(code: &str, lang: Lang) -> Cow<'_, str> {
    look_up(&FAULTS, code, lang)
}

pub(super) fn gap(code: &str, lang: Lang) -> Cow<'_, str> {
    look_up(&GAPS, code, lang)
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
        assert_eq!(phase("start orders", Lang::Zh), "启动 orders");
        let says = assertion("equality of orders", Lang::En);
        assert_eq!(says.as_deref(), Some("orders equals what was captured"));
        assert_eq!(assertion("equality", Lang::En), None);
        let vouched = assertion("recovery point", Lang::Zh);
        assert_eq!(vouched.as_deref(), Some("台账证明所演练的正是该快照"));
        assert_eq!(pick("before 2026-01-01T00:00:00Z", Lang::Zh), "早于 2026-01-01T00:00:00Z");
    }
}
