//! A campaign for a terminal.

use super::statement::{Conclusion, statement};
use crate::ledger::record::{CampaignFinished, CampaignStarted, DrillFinished, Earlier, Word};
use crate::report::terms::Sign;
use crate::report::{Lang, Line, Tone, amount, en, verdict};

/// Draws that did not pass, told at most.
const DRAWS_TOLD: usize = 20;

/// A draw's record, and why its drill did not pass.
pub type Drawn<'a> = (&'a DrillFinished, Vec<&'a str>);

/// Tells in English what a campaign came to, and what to think of its seed.
pub fn campaign_text(
    name: &str,
    started: &CampaignStarted,
    finished: &CampaignFinished,
    drills: &[Drawn<'_>],
    earlier: Earlier,
) -> Vec<Line> {
    let sign = Sign::from(finished.verdict);
    let word = verdict::word(finished.verdict, &en::TEXTS).to_uppercase();
    let plain = |text| Line { tone: Tone::Plain, text };
    let said = statement(started, Conclusion::Finished(finished), Lang::En);
    let mut lines = vec![
        Line { tone: sign.into(), text: format!("{word}  {name}") },
        Line { tone: sign.into(), text: format!("  {said}") },
    ];
    let open = drills.iter().filter(|(drill, _)| drill.verdict != Word::Pass);
    for (drill, why) in open.clone().take(DRAWS_TOLD) {
        let sign = Sign::from(drill.verdict);
        let snapshot = drill.draw.map_or_else(String::new, |draw| draw.snapshot.short());
        let text = format!("  {} snapshot {snapshot}: {}", sign.mark(), why.join("; "));
        lines.push(Line { tone: sign.into(), text });
    }
    if let Some(more) = open.count().checked_sub(DRAWS_TOLD).filter(|more| *more > 0) {
        lines.push(plain(format!("  and {more} more")));
    }
    lines.push(plain(format!("  {:<16} {}", "population", started.population_digest)));
    let (seed, from) = (&started.seed, &started.seed_from);
    lines.push(plain(format!("  {:<16} {seed}", "seed")));
    lines.push(match from {
        Some(from) => plain(format!("  {:<16} {from}", "seed from")),
        None => Line {
            tone: Tone::Doubt,
            text: format!(
                "  {:<16} lifeboat: operator-chosen, for whoever ran it could have tried others \
                 (--seed takes somebody else's)",
                "seed from"
            ),
        },
    });
    if earlier.begun > 0 {
        let [begun, completed] =
            [earlier.begun, earlier.completed].map(|number| amount::count(number as u64));
        let said = format!("campaigns of this drill begun: {begun}, completed: {completed}");
        let text = format!("  {:<16} {said}", "earlier");
        lines.push(Line { tone: Tone::Faint, text });
    }
    lines
}
