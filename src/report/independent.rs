//! The independent restore: each statement with the answers of both, as the page shows it.

use super::amount;
use super::terms::Sign;
use super::texts::Texts;
use crate::ledger::details::{Independent, Total};

/// More equal totals than this are counted instead of listed.
const EQUAL_LISTED: usize = 400;

/// The section.
pub(super) struct IndependentView<'a> {
    pub how: String,
    pub complaint: Option<&'a str>,
    pub totals: Vec<TotalView<'a>>,
    pub more_equal: Option<String>,
}

/// One statement.
pub(super) struct TotalView<'a> {
    pub source: &'a str,
    pub object: &'a str,
    pub statement: &'a str,
    pub at_capture: String,
    pub lifeboat: &'a str,
    pub independent: &'a str,
    pub sign: Sign,
    pub equal: &'static str,
}

pub(super) fn independent<'a>(found: &'a Independent, texts: &Texts) -> IndependentView<'a> {
    let (equal, different): (Vec<_>, Vec<_>) = found.totals.iter().partition(|total| total.equal);
    let beyond = equal.len().saturating_sub(EQUAL_LISTED);
    let listed = different.into_iter().chain(equal.into_iter().take(EQUAL_LISTED));
    IndependentView {
        how: (texts.independent_how)(&found.by),
        complaint: found.complaint.as_deref(),
        totals: listed.map(|one| total(one, texts)).collect(),
        more_equal: (beyond > 0).then(|| (texts.more_equal)(&amount::count(beyond as u64))),
    }
}

fn total<'a>(total: &'a Total, texts: &Texts) -> TotalView<'a> {
    let told = |answer: &'a Option<String>| answer.as_deref().unwrap_or("–");
    TotalView {
        source: total.source.as_str(),
        object: &total.object,
        statement: &total.statement,
        at_capture: total.at_capture.map_or_else(|| "–".to_owned(), amount::count),
        lifeboat: told(&total.lifeboat),
        independent: told(&total.independent),
        sign: if total.equal { Sign::Good } else { Sign::Bad },
        equal: texts.equals[usize::from(!total.equal)],
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Lang, sample};

    #[test]
    fn each_statement_stands_there_with_both_answers_in_both_languages() {
        let (with, without) = (sample::failed(), sample::passed());
        for (lang, heading, word) in [
            (Lang::En, "The same point, restored independently", "different"),
            (Lang::Zh, "对同一恢复点的独立还原", "不一致"),
        ] {
            let page = with.page(lang);
            for told in [heading, word, "restic 0.14.0", "COUNT(*)", "4210, 8123", "4209, 8119"] {
                assert!(page.contains(told), "{told}");
            }
            assert!(!without.page(lang).contains(heading));
        }
    }

    #[test]
    fn hostile_names_in_statements_stay_text() {
        let mut sample = sample::failed();
        let total = &mut sample.details.independent.as_mut().unwrap().totals[0];
        total.statement = "SELECT COUNT(*) FROM `</code><script>`\u{202e}".into();

        let page = sample.page(Lang::En);

        assert!(!page.contains("<script>"));
        assert!(page.contains("\\u{202e}"));
    }
}
