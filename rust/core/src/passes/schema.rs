//! JSON Schema as each target takes it: references inlined, keywords left out or said otherwise.
//!
//! The rules: the order of members stays, because models write in it; a schema that needs no change keeps its bytes; a
//! constraint that cannot be said moves into the description, where the model still reads it. The surprise: inlining
//! may blow a schema up without end, so it is bounded, and what is beyond the bound or refers to itself allows anything.

mod keywords;
mod tree;

use crate::dialects::message::Json;
use keywords::{describe, merge_all_of, open_api};
use tree::Node;

/// More than any real schema has, after inlining.
const MOST_NODES: usize = 20_000;

/// What a target's schemas may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule of its own, and every mix of them is somebody's")]
pub struct SchemaRules {
    /// References are put in the place where they stand.
    pub inline: bool,
    /// Keywords that are left out without a word.
    pub drop: &'static [&'static str],
    /// Keywords that move into the description.
    pub describe: &'static [&'static str],
    pub one_of_to_any_of: bool,
    pub merge_all_of: bool,
    /// `additionalProperties: false` on every object.
    pub close: bool,
    /// `additionalProperties` is left out: all of it, or where it is false.
    pub open: Open,
    /// `null` among several types becomes `nullable`, `const` becomes `enum`, and an `enum` is of strings.
    pub open_api: bool,
    /// Every property is required.
    pub require_all: bool,
    /// The order of properties is said in a list of its own.
    pub ordering: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Open {
    Keep,
    DropFalse,
    Drop,
}

const AS_IT_IS: SchemaRules = SchemaRules {
    inline: false,
    drop: &[],
    describe: &[],
    one_of_to_any_of: false,
    merge_all_of: false,
    close: false,
    open: Open::Keep,
    open_api: false,
    require_all: false,
    ordering: false,
};

/// Constraints that structured outputs do not enforce.
const BOUNDS: &[&str] = &[
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "pattern",
    "maxItems",
    "uniqueItems",
    "contains",
    "minContains",
    "maxContains",
    "minProperties",
    "maxProperties",
    "patternProperties",
    "propertyNames",
    "dependentRequired",
    "dependentSchemas",
    "not",
    "if",
    "then",
    "else",
    "unevaluatedProperties",
    "unevaluatedItems",
    "prefixItems",
];

impl SchemaRules {
    /// `output_config.format` and strict tools of Anthropic.
    pub const ANTHROPIC: Self = Self {
        describe: BOUNDS,
        drop: &["$schema", "$id", "$comment"],
        one_of_to_any_of: true,
        close: true,
        ..AS_IT_IS
    };
    /// Google's older form, a part of what `OpenAPI` has.
    pub const OPEN_API: Self = Self {
        inline: true,
        drop: &[
            "$schema",
            "$id",
            "$comment",
            "$anchor",
            "default",
            "examples",
            "exclusiveMinimum",
            "exclusiveMaximum",
            "multipleOf",
            "not",
            "if",
            "then",
            "else",
            "patternProperties",
            "propertyNames",
            "dependentRequired",
            "dependentSchemas",
            "uniqueItems",
            "contains",
            "unevaluatedProperties",
            "unevaluatedItems",
            "prefixItems",
        ],
        one_of_to_any_of: true,
        merge_all_of: true,
        open: Open::Drop,
        open_api: true,
        ordering: true,
        ..AS_IT_IS
    };
    pub const INLINED: Self = Self { inline: true, ..AS_IT_IS };
    /// Mistral's.
    pub const BARE: Self = Self { inline: true, drop: &["$schema", "$id"], open: Open::DropFalse, ..AS_IT_IS };
    /// Structured outputs of `OpenAI`.
    pub const OPENAI_STRICT: Self = Self {
        drop: &["$schema", "$id", "$comment", "default", "examples"],
        one_of_to_any_of: true,
        close: true,
        require_all: true,
        ..AS_IT_IS
    };
}

/// The schema as the rules want it; `None` where it is so already, or is nothing that can be walked.
pub fn suit(schema: &Json<'_>, rules: &SchemaRules) -> Option<Json<'static>> {
    let before = Node::parse(schema.as_str())?;
    let mut after = before.clone();
    Walk { rules, root: Some(&before), open: Vec::new(), nodes: 0 }.schema(&mut after);
    (after != before).then(|| Json::written(after.text().into_bytes()))
}

/// Whether an object's schema names no property.
pub(super) fn is_empty_object(schema: &Json<'_>) -> bool {
    let Some(whole @ Node::Object(_)) = Node::parse(schema.as_str()) else {
        return false;
    };
    let nothing = |name| match whole.get(name) {
        None => true,
        Some(inner) => matches!(inner, Node::Object(members) if members.is_empty()),
    };
    let is_object = whole.get("type").is_none() || whole.is_text("type", "object");
    is_object && ["properties", "patternProperties", "anyOf", "oneOf", "allOf", "$ref"].into_iter().all(nothing)
}

struct Walk<'s> {
    rules: &'s SchemaRules,
    /// Where references are looked up.
    root: Option<&'s Node>,
    /// References that are being put in place.
    open: Vec<String>,
    nodes: usize,
}

impl Walk<'_> {
    /// What a reference within the document stands for (RFC 6901).
    fn resolve(&self, reference: &str) -> Option<&Node> {
        let steps = reference.strip_prefix('#')?.split('/').skip(1);
        steps.map(|step| step.replace("~1", "/").replace("~0", "~")).try_fold(self.root?, |node, step| node.get(&step))
    }

    fn schema(&mut self, node: &mut Node) {
        self.nodes += 1;
        if self.nodes > MOST_NODES {
            *node = Node::Object(Vec::new());
            return;
        }
        if self.rules.inline && self.inlined(node) {
            return;
        }
        let Node::Object(_) = node else { return };
        self.inner(node);
        let rules = self.rules;
        for name in rules.drop {
            node.remove(name);
        }
        describe(node, rules.describe);
        if rules.one_of_to_any_of && node.get("anyOf").is_none() {
            node.rename("oneOf", "anyOf");
        }
        if rules.merge_all_of {
            merge_all_of(node);
        }
        if rules.open_api {
            open_api(node);
        }
        self.object(node);
    }

    /// Puts what a reference stands for in its place, what stands beside it included.
    fn inlined(&mut self, node: &mut Node) -> bool {
        if self.open.is_empty() {
            node.remove("$defs");
            node.remove("definitions");
        }
        let Some(Node::Text(reference)) = node.get("$ref").cloned() else {
            return false;
        };
        let known = self.resolve(&reference).filter(|_| !self.open.contains(&reference)).cloned();
        let mut place = known.unwrap_or(Node::Object(Vec::new()));
        node.remove("$ref");
        place.remove("$defs");
        place.remove("definitions");
        if let (Node::Object(members), Node::Object(beside)) = (&mut place, std::mem::replace(node, Node::Null)) {
            for (name, value) in beside {
                members.retain(|(known, _)| *known != name);
                members.push((name, value));
            }
        }
        *node = place;
        self.open.push(reference);
        self.schema(node);
        self.open.pop();
        true
    }

    fn inner(&mut self, node: &mut Node) {
        let Node::Object(members) = node else { return };
        for (name, value) in members {
            match name.as_str() {
                "properties" | "patternProperties" | "$defs" | "definitions" | "dependentSchemas" => {
                    if let Node::Object(named) = value {
                        for (_, schema) in named {
                            self.schema(schema);
                        }
                    }
                }
                "items" | "additionalProperties" | "not" | "if" | "then" | "else" | "contains" | "propertyNames" => {
                    self.schema(value);
                }
                "anyOf" | "oneOf" | "allOf" | "prefixItems" => {
                    if let Node::List(schemas) = value {
                        for schema in schemas {
                            self.schema(schema);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn object(&self, node: &mut Node) {
        let is_object = node.get("properties").is_some() || node.is_text("type", "object");
        match self.rules.open {
            Open::Drop => node.remove("additionalProperties"),
            Open::DropFalse if node.get("additionalProperties") == Some(&Node::Flag(false)) => {
                node.remove("additionalProperties");
            }
            _ => {}
        }
        if !is_object {
            return;
        }
        if self.rules.close {
            node.set("additionalProperties", Node::Flag(false));
        }
        let names: Vec<Node> = match node.get("properties") {
            Some(Node::Object(properties)) => properties.iter().map(|(name, _)| Node::Text(name.clone())).collect(),
            _ => return,
        };
        if self.rules.require_all {
            node.set("required", Node::List(names.clone()));
        }
        if self.rules.ordering && names.len() > 1 && node.get("propertyOrdering").is_none() {
            node.set("propertyOrdering", Node::List(names));
        }
    }
}

#[cfg(test)]
mod tests;
