//! What one schema says of a value's shape: its type, its constants, the tag of its variants.
//!
//! Only the part of JSON Schema that schemars emits for the raw types is known here.

use serde_json::Value;
use toml::de::DeValue;

/// The types a schema allows, in JSON Schema's words.
fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(several) => {
            several.iter().filter_map(Value::as_str).filter(|name| *name != "null").collect()
        }
        // schemars leaves the type out beside `const` and `enum`, which are texts here.
        _ => vec!["string"],
    }
}

/// Whether the schema allows values of this type.
pub(super) fn fits(schema: &Value, value: &DeValue<'_>) -> bool {
    types(schema).into_iter().any(|name| match value {
        DeValue::String(_) => name == "string",
        DeValue::Datetime(_) => name == "string" && schema["format"] == "instant",
        DeValue::Integer(_) => name == "integer",
        DeValue::Boolean(_) => name == "boolean",
        DeValue::Array(_) => name == "array",
        DeValue::Table(_) => name == "object",
        DeValue::Float(_) => false,
    })
}

/// The types a schema allows, in words for people.
pub(super) fn type_names(schema: &Value) -> Vec<&'static str> {
    types(schema).into_iter().map(spoken).collect()
}

/// A type of TOML or JSON Schema in words for people.
pub(super) fn spoken(name: &str) -> &'static str {
    match name {
        "string" => "a text",
        "integer" => "a whole number",
        "float" => "a number with a fraction",
        "boolean" => "true or false",
        "datetime" => "a date",
        "array" => "a list",
        _ => "a table",
    }
}

/// The only texts a schema allows, if it lists them.
pub(super) fn constants(schema: &Value) -> Vec<&str> {
    match (&schema["const"], &schema["enum"]) {
        (Value::String(one), _) => vec![one],
        (_, Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

/// The key whose constant tells the shapes apart.
pub(super) fn tag_of<'a>(options: &[&'a Value]) -> Option<&'a str> {
    let properties = options.first()?["properties"].as_object()?;
    properties
        .keys()
        .map(String::as_str)
        .find(|key| options.iter().all(|option| option["properties"][*key]["const"].is_string()))
}
