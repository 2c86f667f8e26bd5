//! Checks a TOML document against a JSON Schema and finds *every* fault, each with its place.
//!
//! serde stops at the first fault, so the document is walked with the schema that schemars makes
//! of the raw types; only the part of JSON Schema that schemars emits is known here. Out: the
//! document without its faulty parts, as JSON, and the place of every value by JSON pointer.

use std::collections::HashMap;
use std::ops::Range;

use serde_json::{Map, Value};
use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::diagnostic::Finding;
use super::mask::{is_secret_key, url_password};
use super::nearest::nearest;
use super::shape::{constants, fits, spoken, tag_of, type_names};
use super::{Which, later, leaf};
use crate::ground::ids::Name;

const SECRET_HINT: &str = "say where it is kept: { file = \"/path\" }, { env = \"NAME\" }, \
                           { command = [\"…\"] } or { credential = \"name\" }";

/// Where a value and its key stand in the text, in bytes.
#[derive(Debug, Clone)]
pub(super) struct Spans {
    pub key: Option<Range<usize>>,
    pub value: Range<usize>,
}

/// What a walk brings back.
pub(super) struct Walked {
    pub value: Value,
    pub spans: HashMap<String, Spans>,
    pub findings: Vec<Finding>,
    /// Places of text that must not be shown.
    pub secrets: Vec<Range<usize>>,
}

/// Walks the document `table`, whose text is `text`.
pub(super) fn walk(which: Which, table: &Spanned<DeTable<'_>>, text: &str) -> Walked {
    let schema = super::schema(which);
    let mut walker = Walker {
        which,
        root: &schema,
        text,
        spans: HashMap::new(),
        findings: Vec::new(),
        secrets: Vec::new(),
    };
    // Missing keys of the whole file are told at its beginning.
    let value = walker.table(&schema, table.get_ref(), 0..0, "");
    let Walker { spans, findings, secrets, .. } = walker;
    Walked { value, spans, findings, secrets }
}

struct Walker<'a> {
    which: Which,
    root: &'a Value,
    text: &'a str,
    spans: HashMap<String, Spans>,
    findings: Vec<Finding>,
    secrets: Vec<Range<usize>>,
}

impl<'a> Walker<'a> {
    /// The value as JSON, or none if it cannot be used.
    fn value(&mut self, schema: &'a Value, node: &Spanned<DeValue<'_>>, at: &str) -> Option<Value> {
        if names_secret(schema) && node.get_ref().is_str() {
            self.secrets.push(node.span());
            self.error(node.span(), "a secret does not stand in a configuration file", SECRET_HINT);
            return None;
        }
        let schema = self.resolve(schema);
        let options: Vec<&Value> = match schema.get("oneOf").or_else(|| schema.get("anyOf")) {
            Some(options) => options
                .as_array()?
                .iter()
                .map(|option| (option, self.resolve(option)))
                .filter(|(_, resolved)| resolved["type"] != "null")
                // Unresolved, so that what the reference names is still known.
                .map(|(option, _)| option)
                .collect(),
            None => vec![schema],
        };
        if let [option] = options[..]
            && !std::ptr::eq(option, schema)
        {
            return self.value(option, node, at);
        }
        let options: Vec<&Value> = options.iter().map(|option| self.resolve(option)).collect();
        let fitting: Vec<&Value> =
            options.iter().copied().filter(|option| fits(option, node.get_ref())).collect();
        if fitting.is_empty() {
            self.wrong_type(&options, node);
            return None;
        }
        match node.get_ref() {
            DeValue::Table(table) if fitting.len() > 1 => {
                self.variant(&fitting, table, node.span(), at)
            }
            DeValue::Table(table) => Some(self.table(fitting[0], table, node.span(), at)),
            DeValue::Array(array) => self.array(fitting[0], array, node.span(), at),
            DeValue::String(text) => self.text(&fitting, text, node.span(), at),
            DeValue::Datetime(moment) => self.text(&fitting, &moment.to_string(), node.span(), at),
            DeValue::Boolean(value) => Some(Value::from(*value)),
            DeValue::Integer(number) => {
                let number = i64::from_str_radix(number.as_str(), number.radix()).ok();
                self.integer(fitting[0], number, node.span())
            }
            DeValue::Float(_) => None,
        }
    }

    fn table(
        &mut self,
        schema: &'a Value,
        table: &DeTable<'_>,
        span: Range<usize>,
        at: &str,
    ) -> Value {
        let Some(known) = schema["properties"].as_object() else { return Value::Null };
        let mut out = Map::new();
        // Missing keys that an unknown key was probably meant to be.
        let mut explained: Vec<&str> = Vec::new();
        for (key, node) in table {
            let name = key.get_ref().as_ref();
            if let Some((_, property)) = known.iter().find(|(known, _)| *known == name) {
                let pointer = format!("{at}/{name}");
                self.spans
                    .insert(pointer.clone(), Spans { key: Some(key.span()), value: node.span() });
                // A key that is there is not missing, whatever it holds.
                explained.extend(known.keys().map(String::as_str).find(|known| *known == name));
                if let Some(value) = self.value(property, node, &pointer) {
                    out.insert(name.to_owned(), value);
                }
            } else {
                if node.get_ref().is_str() && (is_secret_key(name) || is_secret_table(known)) {
                    self.secrets.push(node.span());
                }
                explained.extend(self.unknown_key(name, key.span(), known, at));
            }
        }
        for key in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if !explained.contains(&key) {
                self.findings.push(Finding::error(
                    span.clone(),
                    format!("missing key `{key}`"),
                    known[key].get("description").and_then(Value::as_str).map(str::to_owned),
                ));
            }
        }
        Value::Object(out)
    }

    /// Reports a key that the table does not have; returns the keys that it probably stands for.
    fn unknown_key<'k>(
        &mut self,
        name: &str,
        span: Range<usize>,
        known: &'k Map<String, Value>,
        at: &str,
    ) -> Vec<&'k str> {
        let keys: Vec<&str> = known.keys().map(String::as_str).collect();
        let list = keys.join(", ");
        if later::is_key(&format!("{}:{}", self.which.name(), without_indices(at)), name) {
            let message = later::not_yet(&format!("`{name}`"));
            self.error(span, message, &format!("it carries out: {list}"));
            return keys;
        }
        let near = nearest(name, keys.iter().copied());
        let hint = match near {
            Some(near) => format!("did you mean `{near}`? allowed here: {list}"),
            None => format!("allowed here: {list}"),
        };
        self.error(span, format!("unknown key `{}`", shortened(name)), &hint);
        near.into_iter().collect()
    }

    /// A table that may have one of several shapes: told apart by a tag, or by its only key.
    fn variant(
        &mut self,
        options: &[&'a Value],
        table: &DeTable<'_>,
        span: Range<usize>,
        at: &str,
    ) -> Option<Value> {
        let Some(tag) = tag_of(options) else {
            return self.by_only_key(options, table, span, at);
        };
        let allowed: Vec<&str> = options
            .iter()
            .filter_map(|option| option["properties"][tag]["const"].as_str())
            .collect();
        let list = allowed.join(", ");
        // Whatever is wrong with it, others may refer to it by its name.
        let named = || {
            let name = table.get("name").and_then(|name| name.get_ref().as_str())?;
            Some(serde_json::json!({ "name": name.parse::<Name>().ok()?.as_str() }))
        };
        if let Some((key, node)) = table.get_key_value("name") {
            let spans = Spans { key: Some(key.span()), value: node.span() };
            self.spans.insert(format!("{at}/name"), spans);
        }
        let Some(found) = table.get(tag) else {
            self.error(span, format!("missing key `{tag}`"), &format!("allowed: {list}"));
            return named();
        };
        let Some(text) = found.get_ref().as_str() else {
            self.error(
                found.span(),
                format!("`{tag}` must be a text"),
                &format!("allowed: {list}"),
            );
            return named();
        };
        match options.iter().find(|option| option["properties"][tag]["const"] == text) {
            Some(option) => Some(self.table(option, table, span, at)),
            None => {
                let message = format!("unknown {tag} \"{}\"", shortened(text));
                self.error(found.span(), message, &suggest(text, &allowed));
                named()
            }
        }
    }

    fn by_only_key(
        &mut self,
        options: &[&'a Value],
        table: &DeTable<'_>,
        span: Range<usize>,
        at: &str,
    ) -> Option<Value> {
        let key_of = |option: &'a Value| option["required"][0].as_str();
        let keys: Vec<&str> = options.iter().filter_map(|option| key_of(option)).collect();
        let present: Vec<&str> =
            keys.iter().copied().filter(|key| table.contains_key(*key)).collect();
        let option = match present[..] {
            [one] => options.iter().find(|option| key_of(option) == Some(one))?,
            _ => {
                self.secrets.extend(table.values().map(Spanned::span));
                let message = "exactly one key is expected here".to_owned();
                self.error(span, message, &format!("allowed: {}", keys.join(", ")));
                return None;
            }
        };
        // Of what stands beside it nothing is shown: it may be the secret itself.
        let beside = table.iter().filter(|(key, _)| key.get_ref() != present[0]);
        self.secrets.extend(beside.map(|(_, node)| node.span()));
        let value = self.table(option, table, span.clone(), at);
        if value["command"].as_array().is_some_and(Vec::is_empty) {
            self.error(span, "a command needs at least a program", SECRET_HINT);
            return None;
        }
        Some(value)
    }

    fn array(
        &mut self,
        schema: &'a Value,
        array: &DeArray<'_>,
        span: Range<usize>,
        at: &str,
    ) -> Option<Value> {
        let least = schema["minItems"].as_u64().unwrap_or(0);
        if (array.len() as u64) < least {
            self.findings.push(Finding::error(span, "at least one is needed here", None));
            return None;
        }
        let mut out = Vec::new();
        for node in array {
            let pointer = format!("{at}/{}", out.len());
            self.spans.insert(pointer.clone(), Spans { key: None, value: node.span() });
            out.extend(self.value(&schema["items"], node, &pointer));
        }
        Some(Value::from(out))
    }

    fn text(
        &mut self,
        options: &[&'a Value],
        text: &str,
        span: Range<usize>,
        at: &str,
    ) -> Option<Value> {
        let allowed: Vec<&str> = options.iter().flat_map(|option| constants(option)).collect();
        if !allowed.is_empty() {
            if allowed.contains(&text) {
                return Some(Value::from(text));
            }
            let message = format!("unknown value \"{}\"", shortened(text));
            self.error(span, message, &suggest(text, &allowed));
            return None;
        }
        // Queries may hold anything that looks like an address.
        if !at.ends_with("/query") && url_password(text).is_some() {
            self.hide_password(text, span.clone());
            self.error(span, "a password does not stand in a URL", SECRET_HINT);
            return None;
        }
        if is_argument(at) && is_inline_secret(text) {
            self.secrets.push(span.clone());
            let hint = "let the program read it from a file or its environment";
            self.error(span, "a secret does not stand in an argument", hint);
            return None;
        }
        let schema = options[0];
        if schema["pattern"] == Name::PATTERN && text.parse::<Name>().is_err() {
            let message = format!("\"{}\" is not a name", shortened(text));
            self.error(span, message, "1 to 40 of a-z, 0-9 and '-', not beginning with '-'");
            return None;
        }
        match schema["format"].as_str().map_or(Ok(()), |format| leaf::check(format, text)) {
            Ok(()) => Some(Value::from(text)),
            Err(wrong) => {
                self.findings.push(Finding::error(span, wrong.what, wrong.hint));
                None
            }
        }
    }

    fn integer(
        &mut self,
        schema: &Value,
        number: Option<i64>,
        span: Range<usize>,
    ) -> Option<Value> {
        let least = schema["minimum"].as_u64().unwrap_or(0);
        let most = schema["maximum"].as_u64().unwrap_or(u64::from(u32::MAX));
        match number.and_then(|number| u64::try_from(number).ok()) {
            Some(number) if (least..=most).contains(&number) => Some(Value::from(number)),
            _ => {
                let hint = format!("a whole number from {least} to {most}");
                self.error(span, "the number is out of range", &hint);
                None
            }
        }
    }

    fn wrong_type(&mut self, options: &[&Value], node: &Spanned<DeValue<'_>>) {
        let mut expected: Vec<&str> =
            options.iter().flat_map(|option| type_names(option)).collect();
        expected.dedup();
        let message = format!(
            "expected {}, found {}",
            expected.join(" or "),
            spoken(node.get_ref().type_str())
        );
        let description = options[0]["description"].as_str().map(str::to_owned);
        self.findings.push(Finding::error(node.span(), message, description));
    }

    /// Escapes may have moved the password within the value: then all of the value is hidden.
    fn hide_password(&mut self, text: &str, span: Range<usize>) {
        let hidden = self.text.get(span.clone()).filter(|raw| raw.contains(text));
        match hidden.and_then(url_password) {
            Some(inner) => self.secrets.push(span.start + inner.start..span.start + inner.end),
            None => self.secrets.push(span),
        }
    }

    fn error(&mut self, span: Range<usize>, message: impl Into<String>, hint: &str) {
        self.findings.push(Finding::error(span, message, hint.to_owned()));
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        let pointer = schema["$ref"].as_str().and_then(|name| name.strip_prefix('#'));
        pointer.and_then(|pointer| self.root.pointer(pointer)).unwrap_or(schema)
    }
}

fn names_secret(schema: &Value) -> bool {
    schema["$ref"] == "#/$defs/SecretRef"
}

fn is_secret_table(known: &Map<String, Value>) -> bool {
    known.len() == 1
        && ["env", "file", "command", "credential"].iter().any(|key| known.contains_key(*key))
}

/// Whether a word of a program's argv stands at `pointer`.
fn is_argument(pointer: &str) -> bool {
    let of_source = ["/capture/", "/recover/", "/check/"];
    pointer.starts_with("/hooks/")
        || pointer.starts_with("/check/") && pointer.contains("/run/")
        || pointer.starts_with("/source/") && of_source.iter().any(|key| pointer.contains(key))
}

/// `--password=…`, but not `--password-file=…`.
fn is_inline_secret(argument: &str) -> bool {
    argument.split_once('=').is_some_and(|(flag, value)| {
        !value.is_empty() && flag.starts_with('-') && is_secret_key(flag) && !flag.ends_with("file")
    })
}

fn suggest(text: &str, allowed: &[&str]) -> String {
    let list = allowed.join(", ");
    match nearest(text, allowed.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"? allowed: {list}"),
        None => format!("allowed: {list}"),
    }
}

/// `/store/0` becomes `/store/*`.
fn without_indices(pointer: &str) -> String {
    let is_index = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    let parts = pointer.split('/').map(|part| if is_index(part) { "*" } else { part });
    parts.collect::<Vec<_>>().join("/")
}

fn shortened(text: &str) -> String {
    let mut short: String = text.chars().take(60).filter(|c| !c.is_control()).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}
