//! `lifeboat repair index`: name anew what packs hold.

use serde::Serialize;

use super::super::output::styled;
use super::super::{App, Exit};
use crate::ground::ids::RunId;
use crate::policy::PolicyName;
use crate::repair::{self, Repaired};
use crate::repo::repair::{Header, IndexPlan};
use crate::repo::{Damage, IndexId, PackId};
use crate::report::{Line, Tone};

/// Things of one kind that are told on a terminal.
const NAMED: usize = 10;

/// Name anew what packs hold, where index files are damaged, missing or wrong
///
/// Reads the header of every pack. New index files are stored before old ones go, and what cannot be
/// read is set aside in the repository's folder `damaged`. Ends with 1 where a pack cannot tell what
/// it holds.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Policy whose repository to repair: POLICY or CUSTOMER/POLICY
    policy: PolicyName,
    /// Only print what would be done
    #[arg(long)]
    dry_run: bool,
}

/// The answer of `repair index --json`.
#[derive(Debug, Serialize)]
struct Answer {
    policy: String,
    run: RunId,
    dry_run: bool,
    /// Index files that could not be read and were set aside, with the reason.
    set_aside: Vec<Damage>,
    /// Index files whose content is in new ones now.
    rewritten: Vec<IndexId>,
    /// Packs that are named anew, by their headers.
    named: Vec<PackId>,
    /// Packs that were named and are not there: named no more.
    forgotten: Vec<PackId>,
    /// Packs whose headers cannot be read, with the reason.
    errors: Vec<Damage>,
}

pub(super) async fn run(args: Args, app: &App) -> anyhow::Result<Exit> {
    let setup = app.setup().await?;
    let policy = setup.policy(&args.policy)?;
    let rooms = app.rooms(&setup).await?;
    let repaired = repair::index(&setup, policy, args.dry_run, &rooms).await?;
    let answer = answer(policy.full_name(), repaired, args.dry_run);
    app.out.answer(&answer, &styled(&lines(&answer)))?;
    Ok(if answer.errors.is_empty() { Exit::Done } else { Exit::Failed })
}

fn answer(policy: String, repaired: Repaired<IndexPlan>, dry_run: bool) -> Answer {
    let Repaired { run, done } = repaired;
    let aside = |(id, what): (IndexId, String)| Damage::of(format!("index {id}"), what);
    let headless = |Header { pack, what, is_indexed }| {
        let known = if is_indexed { "; read by its index" } else { "; no index file tells more" };
        Damage::of(format!("pack {pack}"), format!("{what}{known}"))
    };
    Answer {
        policy,
        run,
        dry_run,
        set_aside: done.damaged.into_iter().map(aside).collect(),
        rewritten: done.rewritten,
        named: done.named,
        forgotten: done.gone,
        errors: done.headless.into_iter().map(headless).collect(),
    }
}

fn lines(answer: &Answer) -> Vec<Line> {
    let mut lines = Vec::new();
    let would = if answer.dry_run { "would be " } else { "" };
    let mut group = |tone: Tone, all: Vec<String>| {
        let more = all.len().saturating_sub(NAMED);
        lines.extend(all.into_iter().take(NAMED).map(|text| Line { tone, text }));
        if more > 0 {
            lines.push(Line { tone: Tone::Faint, text: format!("    and {more} more") });
        }
    };
    let told = |damage: &Damage, end: String| format!("{}: {}{end}", damage.object, damage.what);
    let aside = format!("; {would}set aside");
    group(Tone::Plain, answer.set_aside.iter().map(|one| told(one, aside.clone())).collect());
    let named = |pack: &PackId| format!("pack {pack} {would}named anew, by its header");
    group(Tone::Plain, answer.named.iter().map(named).collect());
    let gone = |pack: &PackId| format!("pack {pack} is gone and {would}named no more");
    group(Tone::Doubt, answer.forgotten.iter().map(gone).collect());
    let headless = |one: &Damage| told(one, String::new());
    group(Tone::Bad, answer.errors.iter().map(headless).collect());
    let (aside, rewritten) = (answer.set_aside.len(), answer.rewritten.len());
    let text = match (aside, rewritten, answer.named.len(), answer.forgotten.len()) {
        (0, 0, 0, 0) => "the index says what the packs say: nothing is to be done".to_owned(),
        (_, _, named, forgotten) => format!(
            "{aside} index files {would}set aside, {rewritten} {would}written anew; {named} packs \
             {would}named anew, {forgotten} {would}named no more"
        ),
    };
    let tone = if answer.errors.is_empty() { Tone::Good } else { Tone::Plain };
    lines.push(Line { tone, text });
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::digest::Digest;

    #[test]
    fn what_is_done_is_told_and_of_much_the_first() {
        let pack = |n: u8| PackId(Digest([n; 32]));
        let done = IndexPlan {
            damaged: vec![(IndexId(Digest([9; 32])), "it is empty".into())],
            rewritten: Vec::new(),
            named: (0..12).map(pack).collect(),
            gone: vec![pack(77)],
            headless: vec![Header { pack: pack(5), what: "cut".into(), is_indexed: false }],
        };

        let answer = answer("acme/shop".into(), Repaired { run: RunId::draw(), done }, true);
        let text: Vec<_> = lines(&answer).into_iter().map(|line| line.text).collect();

        let (nine, five) = ("09".repeat(32), "05".repeat(32));
        assert_eq!(text[0], format!("index {nine}: it is empty; would be set aside"));
        assert_eq!(text[11], "    and 2 more");
        assert_eq!(text[13], format!("pack {five}: cut; no index file tells more"));
        assert_eq!(
            text[14],
            "1 index files would be set aside, 0 would be written anew; 12 packs would be named \
             anew, 1 would be named no more"
        );
    }
}
