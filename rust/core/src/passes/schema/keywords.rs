//! Keywords that one target knows and another one does not.

use super::tree::Node;

/// Formats of texts that Anthropic's structured outputs take.
const FORMATS: [&str; 10] =
    ["date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"];
/// Formats that Google's older form knows.
const OPEN_API_FORMATS: [&str; 6] = ["date-time", "enum", "int32", "int64", "float", "double"];

/// Moves constraints into the description.
pub(super) fn describe(node: &mut Node, keywords: &[&str]) {
    let mut said = Vec::new();
    for name in keywords {
        if let Some(value) = node.get(name) {
            said.push(format!("{name}: {}", value.text()));
            node.remove(name);
        }
    }
    if !keywords.is_empty() {
        if let Some(Node::Text(format)) = node.get("format")
            && !FORMATS.contains(&format.as_str())
        {
            said.push(format!("format: {format}"));
            node.remove("format");
        }
        if let Some(Node::Number(least)) = node.get("minItems")
            && !matches!(least.as_str(), "0" | "1")
        {
            said.push(format!("minItems: {least}"));
            node.remove("minItems");
        }
    }
    if said.is_empty() {
        return;
    }
    let constraints = format!("({})", said.join(", "));
    let text = match node.get("description") {
        Some(Node::Text(earlier)) if !earlier.is_empty() => format!("{earlier} {constraints}"),
        _ => constraints,
    };
    node.set("description", Node::Text(text));
}

/// One schema of all of them: properties and requirements together, of everything else the first word counts.
pub(super) fn merge_all_of(node: &mut Node) {
    let Some(Node::List(parts)) = node.take("allOf") else {
        return;
    };
    for part in parts {
        let Node::Object(members) = part else { continue };
        for (name, value) in members {
            match (node.get_mut(&name), value) {
                (None, value) => node.set(&name, value),
                (Some(Node::Object(known)), Node::Object(more)) if name == "properties" => {
                    for (name, schema) in more {
                        if !known.iter().any(|(other, _)| *other == name) {
                            known.push((name, schema));
                        }
                    }
                }
                (Some(Node::List(known)), Node::List(more)) if name == "required" => {
                    for name in more {
                        if !known.contains(&name) {
                            known.push(name);
                        }
                    }
                }
                _ => {}
            }
        }
    }
}

pub(super) fn open_api(node: &mut Node) {
    if let Some(value) = node.take("const") {
        node.set("enum", Node::List(vec![value]));
    }
    let is_null = |node: &Node| *node == Node::Text("null".to_owned()) || node.is_text("type", "null");
    if let Some(Node::List(mut types)) = node.get("type").cloned() {
        let nullable = types.iter().any(is_null);
        types.retain(|kind| !is_null(kind));
        match <[Node; 1]>::try_from(types) {
            Ok([one]) => node.set("type", one),
            Err(several) => {
                node.remove("type");
                let several = several.into_iter().map(|kind| Node::Object(vec![("type".to_owned(), kind)]));
                node.set("anyOf", Node::List(several.collect()));
            }
        }
        if nullable {
            node.set("nullable", Node::Flag(true));
        }
    }
    if let Some(Node::List(mut options)) = node.get("anyOf").cloned()
        && options.iter().any(is_null)
    {
        options.retain(|option| !is_null(option));
        node.remove("anyOf");
        match <[Node; 1]>::try_from(options) {
            Ok([Node::Object(only)]) => only.into_iter().for_each(|(name, value)| node.set(&name, value)),
            Ok(other) => node.set("anyOf", Node::List(other.into())),
            Err(several) => node.set("anyOf", Node::List(several)),
        }
        node.set("nullable", Node::Flag(true));
    }
    if let Some(Node::List(values)) = node.get("enum").cloned() {
        let texts = values.into_iter().filter_map(|value| match value {
            Node::Text(text) => (!text.is_empty()).then_some(Node::Text(text)),
            Node::Null => None,
            other => Some(Node::Text(other.text())),
        });
        node.set("enum", Node::List(texts.collect()));
        node.set("type", Node::Text("string".to_owned()));
    }
    if let Some(Node::Text(format)) = node.get("format")
        && !OPEN_API_FORMATS.contains(&format.as_str())
    {
        node.remove("format");
    }
}
