//! What tool definitions cost: they are rendered the way OpenAI's models are told of them, and the rendering is counted.
//!
//! The form is known from the models repeating it: a TypeScript namespace of functions. It is not documented, so a count
//! of it is an estimate; on public examples it is within a few tokens.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// Around the namespace, beyond its own text. A system message, if there is one, already pays for four of them.
pub(super) const NAMESPACE_TOKENS: u64 = 9;
pub(super) const SHARED_WITH_SYSTEM: u64 = 4;
/// Being told to call one tool, beyond its name; being told to call none.
pub(super) const FORCED_TOKENS: u64 = 7;
pub(super) const NONE_TOKENS: u64 = 1;

/// Deeper levels are not indented further, so that a deep schema cannot grow quadratically when rendered.
const DEEPEST_INDENT: usize = 16;

/// The tools of a request of any dialect, as a namespace; the shapes differ only in where the name stands.
pub(super) fn render_namespace(tools: &[Value]) -> String {
    let mut out = String::from("namespace functions {\n\n");
    for tool in tools {
        let function = tool.get("function").unwrap_or(tool);
        let Some(name) = text(function, "name") else {
            continue;
        };
        if let Some(description) = text(function, "description") {
            line(&mut out, 0, &format!("// {description}"));
        }
        let schema = function.get("parameters").or_else(|| function.get("input_schema"));
        match schema.and_then(properties) {
            Some(_) => {
                line(&mut out, 0, &format!("type {name} = (_: {{"));
                if let Some(schema) = schema {
                    render_properties(&mut out, schema, 0);
                }
                line(&mut out, 0, "}) => any;\n");
            }
            None => line(&mut out, 0, &format!("type {name} = () => any;\n")),
        }
    }
    out.push_str("} // namespace functions");
    out
}

fn render_properties(out: &mut String, schema: &Value, indent: usize) {
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    for (name, property) in properties(schema).into_iter().flatten() {
        // Below the second level the models are not shown descriptions.
        if let (Some(description), true) = (text(property, "description"), indent < 2) {
            line(out, indent, &format!("// {description}"));
        }
        let optional = if required.contains(&name.as_str()) { "" } else { "?" };
        let mut kind = String::new();
        render_type(&mut kind, property, indent);
        line(out, indent, &format!("{name}{optional}: {kind},"));
    }
}

fn render_type(out: &mut String, schema: &Value, indent: usize) {
    if let Some(choices) = schema.get("enum").and_then(Value::as_array) {
        for (at, choice) in choices.iter().enumerate() {
            let separator = if at == 0 { "" } else { " | " };
            // Writing to a string cannot fail.
            let _ = write!(out, "{separator}{choice}");
        }
        return;
    }
    match text(schema, "type") {
        Some("integer" | "number") => out.push_str("number"),
        Some("array") => {
            match schema.get("items") {
                Some(items) => render_type(out, items, indent),
                None => out.push_str("any"),
            }
            out.push_str("[]");
        }
        Some("object") if properties(schema).is_some() => {
            out.push_str("{\n");
            render_properties(out, schema, (indent + 2).min(DEEPEST_INDENT));
            out.push('}');
        }
        Some("object") => out.push_str("object"),
        Some(other) => out.push_str(other),
        None => out.push_str("any"),
    }
}

fn properties(schema: &Value) -> Option<&Map<String, Value>> {
    schema.get("properties").and_then(Value::as_object).filter(|properties| !properties.is_empty())
}

fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key).and_then(Value::as_str)
}

fn line(out: &mut String, indent: usize, text: &str) {
    let _ = writeln!(out, "{:indent$}{text}", "");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(tools: &str) -> String {
        render_namespace(&serde_json::from_str::<Vec<Value>>(tools).unwrap())
    }

    #[test]
    fn a_function_is_rendered_as_the_models_see_it() {
        let tools = r#"[{"type": "function", "function": {"name": "get_weather", "description": "Weather now.", "parameters": {
            "type": "object", "required": ["city"], "properties": {
                "city": {"type": "string", "description": "City and country."},
                "days": {"type": "integer"},
                "unit": {"type": "string", "enum": ["C", "F"]},
                "where": {"type": "object", "properties": {"lat": {"type": "number"}}},
                "tags": {"type": "array", "items": {"type": "string"}}}}}}]"#;
        let expected = "namespace functions {\n\n// Weather now.\ntype get_weather = (_: {\n// City and country.\ncity: string,\n\
            days?: number,\ntags?: string[],\nunit?: \"C\" | \"F\",\nwhere?: {\n  lat?: number,\n},\n}) => any;\n\n\
            } // namespace functions";
        assert_eq!(rendered(tools), expected);
    }

    #[test]
    fn every_dialect_names_its_tools_and_gets_the_same_rendering() {
        let schema = r#"{"type": "object", "properties": {"a": {"type": "boolean"}}}"#;
        let chat =
            rendered(&format!(r#"[{{"type": "function", "function": {{"name": "f", "parameters": {schema}}}}}]"#));
        let responses = rendered(&format!(r#"[{{"type": "function", "name": "f", "parameters": {schema}}}]"#));
        let anthropic = rendered(&format!(r#"[{{"name": "f", "input_schema": {schema}}}]"#));
        assert!(chat.contains("type f = (_: {\na?: boolean,\n}) => any;"), "{chat}");
        assert_eq!((&chat, &chat), (&responses, &anthropic));
    }

    #[test]
    fn odd_schemas_render_to_something_bounded() {
        assert_eq!(
            rendered(r#"[{"name": "f"}, 7, {"type": "web_search"}]"#),
            "namespace functions {\n\ntype f = () => any;\n\n} // namespace functions"
        );
        let deep =
            (0..50).fold(String::from("{}"), |inner, _| format!(r#"{{"type":"object","properties":{{"a":{inner}}}}}"#));
        let out = rendered(&format!(r#"[{{"name": "f", "parameters": {deep}}}]"#));
        assert!(out.len() < 2 * deep.len(), "{} from {}", out.len(), deep.len());
    }
}
