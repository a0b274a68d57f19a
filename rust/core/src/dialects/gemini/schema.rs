//! `Schema`, Google's older form of a JSON Schema: types in capitals, `nullable` in the place of a second type.

use crate::dialects::raw::RawValue;
use serde_json::Value;
use serde_json::map::Map;

use crate::dialects::message::Json;

const TYPES: &[&str] = &["STRING", "NUMBER", "INTEGER", "BOOLEAN", "ARRAY", "OBJECT", "NULL"];
/// Members that hold values and not schemas, in which nothing may change.
const VALUES: &[&str] = &["enum", "default", "example", "examples", "const", "required", "propertyOrdering"];

/// The same as JSON Schema, for every other dialect. As it stands, where there is nothing to change.
pub(super) fn to_json_schema(raw: &RawValue) -> Json<'_> {
    let is_plain = !raw.get().contains("\"nullable\"") && !TYPES.iter().any(|name| raw.get().contains(*name));
    // The parser refuses what is nested deeper than is safe to walk.
    let schema = if is_plain { None } else { serde_json::from_str(raw.get()).ok() };
    match schema {
        Some(Value::Object(schema)) => Json::written(Value::Object(converted(schema)).to_string().into_bytes()),
        _ => Json::from(raw),
    }
}

fn converted(schema: Map<String, Value>) -> Map<String, Value> {
    let mut nullable = false;
    let mut out = Map::new();
    for (name, value) in schema {
        let value = match (name.as_str(), value) {
            ("type", Value::String(word)) if TYPES.contains(&word.as_str()) => Value::String(word.to_ascii_lowercase()),
            ("nullable", Value::Bool(flag)) => {
                nullable = flag;
                continue;
            }
            // Names of properties are the caller's own.
            ("properties" | "$defs" | "defs", Value::Object(named)) => {
                Value::Object(named.into_iter().map(|(name, schema)| (name, inner(schema))).collect())
            }
            (name, value) if VALUES.contains(&name) => value,
            (_, value) => inner(value),
        };
        out.insert(name, value);
    }
    if nullable && let Some(kind @ Value::String(_)) = out.remove("type") {
        out.insert("type".to_owned(), Value::Array(vec![kind, Value::String("null".to_owned())]));
    }
    out
}

fn inner(value: Value) -> Value {
    match value {
        Value::Object(schema) => Value::Object(converted(schema)),
        Value::Array(items) => Value::Array(items.into_iter().map(inner).collect()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_spelled_as_json_schema_spells_them_and_values_are_left_alone() {
        let raw: &RawValue = serde_json::from_str(
            r#"{"type":"OBJECT","properties":{"type":{"type":"STRING","enum":["OBJECT"],"nullable":true}}}"#,
        )
        .unwrap();
        let said: Value = serde_json::from_str(to_json_schema(raw).as_str()).unwrap();
        let expected = r#"{"type":"object","properties":{"type":{"type":["string","null"],"enum":["OBJECT"]}}}"#;
        assert_eq!(said, serde_json::from_str::<Value>(expected).unwrap());
    }

    #[test]
    fn a_json_schema_stays_byte_for_byte() {
        let raw: &RawValue = serde_json::from_str(r#"{ "type": "object", "z": 1.0, "a": 2 }"#).unwrap();
        assert_eq!(to_json_schema(raw).as_str(), raw.get());
    }
}
