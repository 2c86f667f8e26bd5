//! What a verification found, for a terminal: each damage with who needs it, then each snapshot with
//! what it lacks; of many the first, and how many more.

use super::{Answer, OfPolicy};
use crate::ground::size::ByteSize;
use crate::repo::{Coverage, Damage};
use crate::report::{Line, Tone};

/// Damages, snapshots and files of each that are told.
const DAMAGES: usize = 10;
const SNAPSHOTS: usize = 8;
const FILES: usize = 5;

pub(super) fn lines(answer: &Answer<'_>) -> Vec<Line> {
    let mut lines = Vec::new();
    let mut line = |tone: Tone, text: String| lines.push(Line { tone, text });
    line(
        Tone::Plain,
        format!(
            "{} snapshots, {} trees, {} blobs in {} packs; {} read",
            answer.snapshots,
            answer.trees,
            answer.blobs,
            answer.packs,
            ByteSize(answer.bytes_read)
        ),
    );
    answer.coverage.iter().for_each(|coverage| tell_coverage(coverage, &mut line));
    for hint in answer.hints {
        line(Tone::Faint, format!("note: {hint}"));
    }
    let told = causes(answer.errors);
    for damage in told.iter().take(DAMAGES) {
        line(Tone::Bad, format!("damaged: {}: {}", damage.object, damage.what));
        for file in damage.files.iter().take(FILES) {
            let short = file.snapshot.0.short();
            line(Tone::Plain, format!("    {} of snapshot {short}", file.path));
        }
        let unnamed = damage.files.len().saturating_sub(FILES) as u64 + damage.more_files;
        more(unnamed, "    and", "", &mut line);
    }
    let unnamed = (answer.errors.len() - told.len().min(DAMAGES)) as u64 + answer.more_errors;
    more(unnamed, "and", if unnamed == 1 { " damage" } else { " damages" }, &mut line);
    for affected in answer.affected.iter().take(SNAPSHOTS) {
        tell_snapshot(affected, &mut line);
    }
    let unnamed = answer.affected.len().saturating_sub(SNAPSHOTS) as u64;
    more(unnamed, "and", " older snapshots", &mut line);
    match answer.errors.len() as u64 + answer.more_errors {
        0 => line(Tone::Good, "no damage found".into()),
        damages => {
            let affected = answer.affected.len();
            let noun = if damages == 1 { "damage" } else { "damages" };
            let text = format!(
                "{damages} {noun}; {affected} of {} snapshots cannot be restored whole",
                answer.snapshots
            );
            line(Tone::Bad, text);
        }
    }
    if is_of_the_index(answer) {
        let policy = &answer.policy;
        let hint = format!("hint: `lifeboat repair index {policy}` names anew what packs hold");
        line(Tone::Doubt, hint);
    } else if needs_repair(answer) {
        let policy = &answer.policy;
        let hint = format!(
            "hint: `lifeboat repair snapshots {policy}` saves what can be read of damaged packs; then \
             a backup stores again what the sources still have"
        );
        line(Tone::Doubt, hint);
    } else if !answer.affected.is_empty() {
        let policy = &answer.policy;
        let hint = format!(
            "hint: `lifeboat backup {policy}` stores again what the sources still have, which may make \
             them whole"
        );
        line(Tone::Doubt, hint);
    }
    lines
}

/// The damages without what follows from them: where packs are damaged, the blobs that these held.
fn causes(errors: &[Damage]) -> Vec<&Damage> {
    let is_pack = |damage: &&Damage| damage.object.starts_with("pack ");
    let has_packs = errors.iter().any(|damage| is_pack(&damage));
    let follows = |damage: &&Damage| has_packs && damage.object.starts_with("blob ");
    errors.iter().filter(|damage| !follows(damage)).collect()
}

/// Whether packs may hold what the index does not say: an index file is damaged, or packs are in none
/// and something is missed.
fn is_of_the_index(answer: &Answer<'_>) -> bool {
    let unnamed = |damage: &Damage| damage.what.contains("no index file names");
    answer.errors.iter().any(|damage| damage.object.starts_with("index "))
        || !answer.hints.is_empty() && answer.errors.iter().any(unnamed)
}

/// Whether a pack is damaged, or what is left of a snapshot not published.
fn needs_repair(answer: &Answer<'_>) -> bool {
    answer.errors.iter().any(|damage| damage.object.starts_with("pack "))
        || answer.affected.iter().any(|one| one.affected.repaired.is_none())
}

fn tell_coverage(coverage: &Coverage, line: &mut impl FnMut(Tone, String)) {
    let Coverage { read_packs, read_bytes, covered_bytes, bytes, since, begun_anew, .. } =
        *coverage;
    if begun_anew && read_packs < coverage.packs {
        line(Tone::Faint, "note: this host remembers no earlier reading: it begins anew".into());
    }
    let read = format!("read {} in {read_packs} packs", ByteSize(read_bytes));
    let Some(since) = since else { return line(Tone::Plain, read) };
    // Rounded down: 100 % is all.
    let percent = u128::from(covered_bytes) * 100 / u128::from(bytes.max(1));
    let (covered, all) = (ByteSize(covered_bytes), ByteSize(bytes));
    let since = since.strftime("%Y-%m-%d %H:%M:%SZ");
    let text = format!(
        "{read}; read and whole since {since}: {covered} of {all}, {percent} % of everything"
    );
    line(Tone::Plain, text);
}

fn tell_snapshot(one: &OfPolicy<'_>, line: &mut impl FnMut(Tone, String)) {
    let affected = one.affected;
    let of = one.policy.as_deref().map_or(&*affected.host, |policy| policy);
    let time = affected.time.strftime("%Y-%m-%d %H:%M:%SZ");
    let (short, lacks) = (affected.snapshot.0.short(), lacks(affected.files, affected.folders));
    let rest = match affected.repaired {
        Some(id) => format!("; what is left of it is snapshot {}", id.0.short()),
        None => String::new(),
    };
    line(Tone::Bad, format!("snapshot {short} of {of}, {time}, lacks {lacks}{rest}"));
    for gap in affected.lost.iter().take(FILES) {
        line(Tone::Plain, format!("    {}", gap.path));
    }
    let unnamed = affected.lost.len().saturating_sub(FILES) as u64 + affected.more;
    more(unnamed, "    and", "", line);
}

/// What a snapshot lacks, in words.
pub(in crate::cli) fn lacks(files: u64, folders: u64) -> String {
    let files = match files {
        0 => None,
        1 => Some("1 file".to_owned()),
        files => Some(format!("{files} files")),
    };
    let folders = match folders {
        0 => None,
        1 => Some("1 folder with all below it".to_owned()),
        folders => Some(format!("{folders} folders with all below them")),
    };
    files.into_iter().chain(folders).collect::<Vec<_>>().join(" and ")
}

fn more(count: u64, before: &str, after: &str, line: &mut impl FnMut(Tone, String)) {
    if count > 0 {
        line(Tone::Faint, format!("{before} {count} more{after}"));
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::ground::digest::Digest;
    use crate::repo::{Affected, Gap, SnapshotId, Use};

    #[test]
    fn how_much_has_been_read_is_told_and_all_is_said_only_of_all() {
        let told = |covered_bytes, begun_anew| {
            let mut lines = Vec::new();
            let coverage = Coverage {
                read_packs: 2,
                read_bytes: 50,
                covered_packs: 9,
                covered_bytes,
                packs: 10,
                bytes: 1000,
                since: Some(Timestamp::UNIX_EPOCH),
                begun_anew,
            };
            tell_coverage(&coverage, &mut |_, text| lines.push(text));
            lines
        };

        let read = "read 50 B in 2 packs; read and whole since 1970-01-01 00:00:00Z";
        let text = format!("{read}: 999 B of 1000 B, 99 % of everything");
        assert_eq!(told(999, false), [text]);
        assert!(told(1000, false)[0].contains(" 100 % of everything"));
        assert_eq!(told(50, true).len(), 2);
    }

    #[test]
    fn a_damage_is_told_with_its_files_and_a_snapshot_with_what_it_lacks() {
        let snapshot = SnapshotId(Digest([7; 32]));
        let file = |n: u64| Use { snapshot, path: format!("/uploads/{n}") };
        let damage = Damage {
            files: (0..5).map(file).collect(),
            more_files: 7,
            ..Damage::of("pack 12", "it is missing")
        };
        let gap = |n: u64| Gap { path: format!("/uploads/{n}"), object: "blob 1".into() };
        let affected = Affected {
            snapshot,
            time: Timestamp::UNIX_EPOCH,
            host: "acme".into(),
            tags: Vec::new(),
            files: 12,
            folders: 1,
            lost: (0..10).map(gap).collect(),
            more: 3,
            repaired: Some(SnapshotId(Digest([8; 32]))),
        };
        let answer = Answer {
            policy: "acme/shop".into(),
            errors: &[
                damage,
                Damage::of("blob 1", "no intact pack holds it"),
                Damage::of("index 34", "it is empty"),
            ],
            more_errors: 4,
            affected: vec![OfPolicy { policy: Some("acme/shop".into()), affected: &affected }],
            hints: &[],
            snapshots: 2,
            packs: 3,
            blobs: 4,
            trees: 5,
            bytes_read: 6,
            coverage: None,
        };

        let lines = lines(&answer);

        let text: Vec<_> = lines.iter().map(|line| &*line.text).collect();
        assert_eq!(text[1], "damaged: pack 12: it is missing");
        assert_eq!(text[2], "    /uploads/0 of snapshot 07070707");
        assert_eq!(text[7], "    and 7 more");
        assert_eq!(text[8], "damaged: index 34: it is empty");
        assert_eq!(text[9], "and 5 more damages");
        assert_eq!(
            text[10],
            "snapshot 07070707 of acme/shop, 1970-01-01 00:00:00Z, lacks 12 files and 1 folder with \
             all below it; what is left of it is snapshot 08080808"
        );
        assert_eq!((text[16], text.len()), ("    and 8 more", 19));
        assert_eq!(text[17], "7 damages; 1 of 2 snapshots cannot be restored whole");
        assert!(text[18].starts_with("hint: `lifeboat repair index acme/shop`"));
    }
}
