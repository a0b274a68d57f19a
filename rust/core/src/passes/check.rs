//! Whether a value holds to a JSON Schema: the part of it that clients of language models write.
//!
//! Checked are `type`, `enum`, `const`, `required`, `properties`, `additionalProperties`, `items`, `minItems`,
//! `maxItems`, `minimum`, `maximum`, `minLength`, `maxLength`, `anyOf`, `oneOf`, `allOf` and references within the
//! document. Whatever else a schema says is taken as held to, so an answer is never refused for a word we do not know.

use serde_json::{Map, Value};

/// A schema may refer to itself, and its alternatives multiply.
const MOST_STEPS: usize = 100_000;
const MOST_DEPTH: usize = 256;

pub(super) fn holds(value: &Value, schema: &Value) -> bool {
    Check { root: schema, steps: 0, depth: 0 }.value(value, schema)
}

struct Check<'s> {
    root: &'s Value,
    steps: usize,
    depth: usize,
}

impl<'s> Check<'s> {
    fn value(&mut self, value: &Value, schema: &'s Value) -> bool {
        self.steps += 1;
        if self.steps > MOST_STEPS || self.depth > MOST_DEPTH {
            return true;
        }
        self.depth += 1;
        let holds = self.rules(value, schema);
        self.depth -= 1;
        holds
    }

    fn rules(&mut self, value: &Value, schema: &'s Value) -> bool {
        let rules = match schema {
            Value::Bool(allowed) => return *allowed,
            Value::Object(rules) => rules,
            _ => return true,
        };
        if let Some(Value::String(reference)) = rules.get("$ref") {
            let place = reference.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            // A place that refers to itself says nothing.
            return place.is_none_or(|place| std::ptr::eq(place, schema) || self.value(value, place));
        }
        is_of_type(value, rules.get("type"))
            && rules.get("const").is_none_or(|wanted| wanted == value)
            && listed(rules, "enum").is_none_or(|options| options.contains(value))
            && within(value, rules)
            && self.members(value, rules)
            && self.items(value, rules)
            && self.alternatives(value, rules)
    }

    fn members(&mut self, value: &Value, rules: &'s Map<String, Value>) -> bool {
        let Value::Object(members) = value else { return true };
        let required = listed(rules, "required").into_iter().flatten().filter_map(Value::as_str);
        if !required.into_iter().all(|name| members.contains_key(name)) {
            return false;
        }
        let known = rules.get("properties").and_then(Value::as_object);
        let others = rules.get("additionalProperties").filter(|_| !rules.contains_key("patternProperties"));
        members.iter().all(|(name, member)| match (known.and_then(|known| known.get(name)), others) {
            (Some(schema), _) | (None, Some(schema)) => self.value(member, schema),
            (None, None) => true,
        })
    }

    fn items(&mut self, value: &Value, rules: &'s Map<String, Value>) -> bool {
        let Value::Array(items) = value else { return true };
        let Some(schema) = rules.get("items").filter(|_| !rules.contains_key("prefixItems")) else {
            return true;
        };
        items.iter().all(|item| self.value(item, schema))
    }

    fn alternatives(&mut self, value: &Value, rules: &'s Map<String, Value>) -> bool {
        let any = ["anyOf", "oneOf"].into_iter().all(|name| {
            listed(rules, name).is_none_or(|options| options.iter().any(|option| self.value(value, option)))
        });
        any && listed(rules, "allOf").is_none_or(|parts| parts.iter().all(|part| self.value(value, part)))
    }
}

fn listed<'s>(rules: &'s Map<String, Value>, name: &str) -> Option<&'s Vec<Value>> {
    rules.get(name).and_then(Value::as_array)
}

fn is_of_type(value: &Value, kind: Option<&Value>) -> bool {
    let is = |kind: &Value| match kind.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("string") => value.is_string(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some("number") => value.is_number(),
        Some("integer") => value.as_f64().is_some_and(|number| number.fract() == 0.0),
        _ => true,
    };
    match kind {
        None => true,
        Some(Value::Array(kinds)) => kinds.iter().any(is),
        Some(kind) => is(kind),
    }
}

fn within(value: &Value, rules: &Map<String, Value>) -> bool {
    let bound = |name: &str| rules.get(name).and_then(Value::as_f64);
    let between = |number: f64, least: &str, most: &str| {
        bound(least).is_none_or(|least| number >= least) && bound(most).is_none_or(|most| number <= most)
    };
    match value {
        Value::Number(number) => number.as_f64().is_none_or(|number| between(number, "minimum", "maximum")),
        Value::String(text) => between(text.chars().count() as f64, "minLength", "maxLength"),
        Value::Array(items) => between(items.len() as f64, "minItems", "maxItems"),
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_answer_holds_to_what_clients_write_in_schemas() {
        let schema = json!({
            "type": "object", "required": ["name", "kind"], "additionalProperties": false,
            "properties": {
                "name": {"type": "string", "minLength": 1},
                "kind": {"enum": ["a", "b"]},
                "size": {"anyOf": [{"type": "integer", "minimum": 0}, {"type": "null"}]},
                "parts": {"type": "array", "items": {"$ref": "#"}, "maxItems": 2},
            },
        });
        let good = [
            json!({"name": "x", "kind": "a"}),
            json!({"name": "x", "kind": "b", "size": null, "parts": [{"name": "y", "kind": "a", "size": 3.0}]}),
        ];
        for value in good {
            assert!(holds(&value, &schema), "{value}");
        }
        let bad = [
            json!([]),
            json!({"name": "x"}),
            json!({"name": "", "kind": "a"}),
            json!({"name": "x", "kind": "c"}),
            json!({"name": "x", "kind": "a", "size": -1}),
            json!({"name": "x", "kind": "a", "size": 1.5}),
            json!({"name": "x", "kind": "a", "more": 1}),
            json!({"name": "x", "kind": "a", "parts": [{"name": "y"}]}),
            json!({"name": "x", "kind": "a", "parts": [{}, {}, {}]}),
        ];
        for value in bad {
            assert!(!holds(&value, &schema), "{value}");
        }
    }

    #[test]
    fn unknown_words_and_circles_refuse_nothing() {
        assert!(holds(&json!(1), &json!({"frobnicate": true, "type": "unknown"})));
        assert!(holds(&json!(1), &json!({"$ref": "#"})));
        let circle = json!({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}});
        assert!(holds(&json!(1), &circle));
    }
}
