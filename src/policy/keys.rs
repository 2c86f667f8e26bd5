//! The reference of all keys, made from the types that read them, so that it cannot fall behind.
//!
//! In: the JSON Schema of one kind of file. Out: Markdown, a table for each table of TOML. Pure.

use std::collections::VecDeque;
use std::fmt::Write as _;

use serde_json::Value;

/// The keys of a file with this schema.
pub(super) fn markdown(schema: &Value) -> String {
    let mut page = Page { schema, text: String::new(), waiting: VecDeque::new() };
    let _ = writeln!(page.text, "## {}\n", told(schema));
    page.table("", schema);
    while let Some((path, schema)) = page.waiting.pop_front() {
        page.section(&path, schema);
    }
    page.text
}

struct Page<'a> {
    schema: &'a Value,
    text: String,
    /// Tables that were met as values and are not written yet, as their headings have them.
    waiting: VecDeque<(String, &'a Value)>,
}

impl<'a> Page<'a> {
    fn section(&mut self, path: &str, schema: &'a Value) {
        let Some(kinds) = schema["oneOf"].as_array() else {
            let _ = writeln!(self.text, "### `{path}`\n");
            if !told(schema).is_empty() {
                let _ = writeln!(self.text, "{}\n", told(schema));
            }
            return self.table(path, schema);
        };
        for kind in kinds {
            let is = kind["properties"]["kind"]["const"].as_str().unwrap_or_default();
            let about = if told(kind).is_empty() { told(schema) } else { told(kind) };
            let _ = writeln!(self.text, "### `{path}` with `kind = \"{is}\"`\n\n{about}\n");
            self.table(path, kind);
        }
    }

    fn table(&mut self, path: &str, schema: &'a Value) {
        let Some(keys) = schema["properties"].as_object() else { return };
        let needed = |key: &str| {
            schema["required"].as_array().is_some_and(|all| all.iter().any(|one| one == key))
        };
        self.text.push_str("| key | value | |\n|---|---|---|\n");
        let (first, then): (Vec<_>, Vec<_>) = keys.iter().partition(|(key, _)| needed(key));
        for (key, value) in first.into_iter().chain(then) {
            if value.get("const").is_some() {
                continue;
            }
            let must = if needed(key) { ", **needed**" } else { "" };
            let words = self.words(&inner(path, key), value);
            let _ = writeln!(self.text, "| `{key}` | {words}{must} | {} |", self.about(value));
        }
        self.text.push('\n');
    }

    /// What a key is for, in one line of a table.
    fn about(&self, value: &'a Value) -> String {
        let meant = self.resolved(value);
        let texts = [value, meant, self.resolved(&meant["items"])].map(told);
        let text = texts.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        text.replace('\n', " ").replace('|', "\\|")
    }

    /// What kind of value stands behind a key; tables are left for sections of their own.
    fn words(&mut self, path: &str, value: &'a Value) -> String {
        let value = self.resolved(value);
        if let Some(items) = value.get("items") {
            let items = self.resolved(items);
            if is_table(items) {
                return self.later(format!("[[{path}]]"), "tables", items);
            }
            return format!("list of {}", self.words(path, items));
        }
        match value["properties"].as_object() {
            Some(keys) if keys.len() > 1 || !path.contains('.') => {
                return self.later(format!("[{path}]"), "table", value);
            }
            Some(keys) => return inline(keys.keys()),
            None => {}
        }
        let alternatives = value.get("oneOf").or_else(|| value.get("anyOf"));
        let Some(alternatives) = alternatives.and_then(Value::as_array) else { return leaf(value) };
        let only = |one: &'a Value| {
            one["properties"].as_object().filter(|keys| keys.len() == 1)?.keys().next()
        };
        match alternatives.iter().map(only).collect::<Option<Vec<_>>>() {
            Some(keys) => inline(keys),
            None => {
                let words: Vec<_> = alternatives
                    .iter()
                    .map(|one| only(one).map_or_else(|| self.words(path, one), |key| inline([key])))
                    .collect();
                words.join(" or ")
            }
        }
    }

    fn later(&mut self, path: String, what: &str, table: &'a Value) -> String {
        let words = format!("{what}, `{path}`");
        self.waiting.push_back((path, table));
        words
    }

    /// What a reference leads to, without the null that stands for a key left out.
    fn resolved(&self, value: &'a Value) -> &'a Value {
        let there = |one: &&Value| one["type"] != "null";
        let mut value = value;
        loop {
            let only =
                value["anyOf"].as_array().filter(|all| all.iter().filter(there).count() == 1);
            value = match (value["$ref"].as_str(), only) {
                (Some(to), _) => {
                    &self.schema["$defs"][to.strip_prefix("#/$defs/").unwrap_or_default()]
                }
                (None, Some(all)) => all.iter().find(there).unwrap_or(&Value::Null),
                (None, None) => return value,
            };
        }
    }
}

/// A table of one key, whichever of these.
fn inline<'a>(keys: impl IntoIterator<Item = &'a String>) -> String {
    let keys: Vec<_> = keys.into_iter().map(String::as_str).collect();
    format!("`{{ {} = … }}`", keys.join(" \\| "))
}

/// Whether a list of these is written as tables.
fn is_table(value: &Value) -> bool {
    let kinds = value["oneOf"].as_array();
    value["properties"].is_object()
        || kinds.is_some_and(|all| all.iter().all(|one| one["properties"]["kind"].is_object()))
}

/// The path of a key within the table at `path`.
fn inner(path: &str, key: &str) -> String {
    let table = path.trim_matches(['[', ']']);
    if table.is_empty() { key.to_owned() } else { format!("{table}.{key}") }
}

fn told(value: &Value) -> &str {
    value["description"].as_str().unwrap_or_default()
}

/// A value that is no table and no list.
fn leaf(value: &Value) -> String {
    let is = |kind: &str| {
        let told = &value["type"];
        told == kind || told.as_array().is_some_and(|all| all.iter().any(|one| one == kind))
    };
    if let Some(words) = value["enum"].as_array() {
        let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
        return words.join(" or ");
    }
    let format = value["format"].as_str().unwrap_or_default();
    match value.get("const") {
        Some(word) => format!("`{word}`"),
        None if value["pattern"].is_string() => "name".to_owned(),
        None if is("boolean") => "`true` or `false`".to_owned(),
        None if is("integer") => match value["maximum"].as_u64() {
            Some(most) => format!("number up to {most}"),
            None => "number".to_owned(),
        },
        None if format == "words" || format.is_empty() => "text".to_owned(),
        None => format.trim_end_matches("-text").replace('-', " "),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Which, keys};

    #[test]
    fn the_page_of_keys_says_what_the_types_say() {
        let page = include_str!("../../docs/keys.md");
        let (_, page) = page.split_once("\n## ").expect("an introduction and tables");

        let made = [Which::Site, Which::Policy, Which::Drill].map(keys).concat();

        let made = made.trim().strip_prefix("## ").expect("a heading");
        let how = "for kind in site policy drill; do lifeboat schema $kind --markdown; done";
        assert!(page.trim() == made, "docs/keys.md is another page than this makes: {how}");
    }
}
