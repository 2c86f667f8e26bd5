//! Trees as text: nodes leave and folders change, and everything else stays as its writer wrote it,
//! also what this version does not know.
//!
//! In: JSON that [`crate::repo::Tree::decode`] takes. Out: JSON, or none where it is not such.

use std::borrow::Cow;
use std::ops::Range;

use serde::de::{Deserialize, IgnoredAny};

use crate::repo::BlobId;

/// What becomes of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Stays,
    Leaves,
    /// A folder whose tree is another one now.
    Becomes(BlobId),
}

/// A tree's JSON after each of its nodes met its fate; `fates` are in the order of the nodes.
pub(super) fn edited(json: &[u8], fates: &[Fate]) -> Option<Vec<u8>> {
    let nodes = member(json, 0, "nodes")?;
    let all = elements(json, nodes.start)?;
    if all.len() != fates.len() {
        return None;
    }
    let mut edited = json[..=nodes.start].to_vec();
    let mut is_first = true;
    for (node, fate) in all.into_iter().zip(fates) {
        if *fate == Fate::Leaves {
            continue;
        }
        if !std::mem::take(&mut is_first) {
            edited.push(b',');
        }
        match fate {
            Fate::Becomes(tree) => {
                let old = member(json, node.start, "subtree")?;
                edited.extend_from_slice(&json[node.start..old.start]);
                edited.extend_from_slice(format!("\"{tree}\"").as_bytes());
                edited.extend_from_slice(&json[old.end..node.end]);
            }
            Fate::Stays | Fate::Leaves => edited.extend_from_slice(&json[node]),
        }
    }
    edited.extend_from_slice(&json[nodes.end - 1..]);
    Some(edited)
}

/// Where the value of a member of the object that begins at `from` stands.
fn member(json: &[u8], from: usize, name: &str) -> Option<Range<usize>> {
    let mut at = after(json, from, b'{')?;
    loop {
        let (key, end): (Cow<'_, str>, _) = value(json, at)?;
        let begin = blank(json, after(json, end, b':')?);
        let (IgnoredAny, end) = value(json, begin)?;
        if key == name {
            return Some(begin..end);
        }
        at = after(json, end, b',')?;
    }
}

/// Where the elements of the array that begins at `from` stand.
fn elements(json: &[u8], from: usize) -> Option<Vec<Range<usize>>> {
    let mut at = after(json, from, b'[')?;
    let mut found = Vec::new();
    if after(json, at, b']').is_some() {
        return Some(found);
    }
    loop {
        let begin = blank(json, at);
        let (IgnoredAny, end) = value(json, begin)?;
        found.push(begin..end);
        match after(json, end, b',') {
            Some(next) => at = next,
            None => return after(json, end, b']').map(|_| found),
        }
    }
}

/// The value that begins at `from`, and where it ends.
fn value<'a, T: Deserialize<'a>>(json: &'a [u8], from: usize) -> Option<(T, usize)> {
    let mut values = serde_json::Deserializer::from_slice(json.get(from..)?).into_iter();
    let value = values.next()?.ok()?;
    Some((value, from + values.byte_offset()))
}

/// Behind the byte `wanted`, if nothing but blanks is before it.
fn after(json: &[u8], from: usize, wanted: u8) -> Option<usize> {
    let at = blank(json, from);
    (json.get(at) == Some(&wanted)).then_some(at + 1)
}

/// Behind the blanks at `from`.
fn blank(json: &[u8], from: usize) -> usize {
    let blanks = json[from..].iter().take_while(|byte| byte.is_ascii_whitespace());
    from + blanks.count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ground::digest::Digest;
    use crate::repo::Tree;

    fn id(byte: u8) -> BlobId {
        BlobId(Digest([byte; 32]))
    }

    /// A tree as some later restic may write it, with the name of its second folder written oddly.
    fn foreign(first: BlobId, nodes: &str) -> String {
        format!(
            "{{ \"era\": 12345678901234567890123, \"nodes\" : [\n{nodes}\
             {{\"name\":\"a\",\"type\":\"dir\", \"subtree\" :  \"{first}\",\"birth\":{{\"subtree\":1.50}}}}\
             ], \"sealed\":\"\\u00e4]}}\"}}\n"
        )
    }

    const FILE: &str =
        r#"{"name":"x","note":"\"subtree\":","type":"file","content":null,"flags":[1e3]} , "#;

    #[test]
    fn what_nobody_here_knows_stays_byte_for_byte() {
        let json = foreign(id(1), FILE);

        let same = edited(json.as_bytes(), &[Fate::Stays, Fate::Stays]).unwrap();
        let changed = edited(json.as_bytes(), &[Fate::Leaves, Fate::Becomes(id(2))]).unwrap();

        assert_eq!(Tree::decode(&same).unwrap(), Tree::decode(json.as_bytes()).unwrap());
        assert!(String::from_utf8(same).unwrap().contains("\"flags\":[1e3]}"));
        let expected = foreign(id(2), "").replacen("[\n", "[", 1);
        assert_eq!(String::from_utf8(changed.clone()).unwrap(), expected);
        assert_eq!(Tree::decode(&changed).unwrap().nodes.len(), 1);
    }

    #[test]
    fn of_a_tree_nothing_may_be_left() {
        let json = foreign(id(1), FILE);

        let empty = edited(json.as_bytes(), &[Fate::Leaves, Fate::Leaves]).unwrap();

        assert!(Tree::decode(&empty).unwrap().nodes.is_empty());
        assert_eq!(edited(&empty, &[]), Some(empty));
    }

    #[test]
    fn our_own_trees_stay_what_we_write() {
        let json = Tree::default().encode();
        assert_eq!(edited(&json, &[]), Some(json));
    }

    #[test]
    fn what_is_no_tree_is_not_edited() {
        for json in
            ["", "{", "{}", "[]", r#"{"nodes":null}"#, r#"{"nodes":[1"#, r#"{"nodes":[1 2]}"#]
        {
            assert_eq!(edited(json.as_bytes(), &[Fate::Stays]), None, "{json}");
        }
        assert_eq!(edited(br#"{"nodes":[{}]}"#, &[Fate::Becomes(id(1))]), None);
    }
}
