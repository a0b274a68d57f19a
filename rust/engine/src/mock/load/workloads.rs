//! The workloads of the benchmark by name: what is sent, and the script the upstream needs for it.
//!
//! Sizes are exact and contents invented; the same name always gives the same bytes.

use std::time::Duration;

use super::{Mode, Shape};

/// A named workload. The feature workloads (W9, W11, W12) are W1 against a gateway that is configured otherwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Workload {
    /// A chat of 220 bytes, answered by 700.
    W1,
    /// A prompt of 32 KiB with escapes and non-ASCII text.
    W2,
    /// A prompt of 1 MiB.
    W3,
    /// Streams of 200 events, one every 5 ms.
    W4,
    /// Streams that stay open, one event a second.
    W5,
    /// Embeddings of 64 inputs: a reply of 1.1 MB.
    W6,
    /// W1 where the first target fails one request in twenty: answers 503, resets, or hangs, by the first folder of its
    /// path. Rarely enough that no gateway takes the target out, and those requests are told apart by a shape of their own.
    W7,
    /// The same for short streams.
    W7Stream,
    /// 90 % W1, 9 % W4, 1 % W3.
    W8,
    /// W1 from an Anthropic client.
    W10,
    /// W4 from an Anthropic client.
    W10Stream,
}

const NAMES: [(&str, Workload); 11] = [
    ("W1", Workload::W1),
    ("W2", Workload::W2),
    ("W3", Workload::W3),
    ("W4", Workload::W4),
    ("W5", Workload::W5),
    ("W6", Workload::W6),
    ("W7", Workload::W7),
    ("W7-stream", Workload::W7Stream),
    ("W8", Workload::W8),
    ("W10", Workload::W10),
    ("W10-stream", Workload::W10Stream),
];

impl Workload {
    /// By its name, in either case.
    pub fn parse(name: &str) -> Option<Self> {
        NAMES.iter().find(|(each, _)| each.eq_ignore_ascii_case(name)).map(|&(_, workload)| workload)
    }

    pub fn names() -> impl Iterator<Item = &'static str> {
        NAMES.iter().map(|&(name, _)| name)
    }

    /// The requests, for a model of this name.
    pub fn shapes(self, model: &str) -> Vec<Shape> {
        let small = |stream| padded(220, |text| chat(model, text, stream));
        match self {
            Self::W1 => vec![shape("chat", 1, CHAT, small(false), false)],
            Self::W7 | Self::W7Stream => {
                let stream = self == Self::W7Stream;
                let mut meets = shape("meets_failure", 1, CHAT, small(stream), stream);
                // One of the headers that gateways pass on, so that the upstream knows whom to fail.
                meets.headers.push(("openai-beta".into(), "w7".into()));
                vec![shape(if stream { "stream" } else { "chat" }, 19, CHAT, small(stream), stream), meets]
            }
            Self::W2 => vec![shape("chat_32k", 1, CHAT, thorny(32 * 1024, model), false)],
            Self::W3 => vec![shape("chat_1m", 1, CHAT, padded(1 << 20, |text| chat(model, text, false)), false)],
            Self::W4 | Self::W5 => vec![shape("stream", 1, CHAT, small(true), true)],
            Self::W6 => vec![shape("embeddings", 1, EMBEDDINGS, embeddings(model), false)],
            Self::W8 => vec![
                shape("chat", 90, CHAT, small(false), false),
                shape("stream", 9, CHAT, small(true), true),
                shape("chat_1m", 1, CHAT, padded(1 << 20, |text| chat(model, text, false)), false),
            ],
            Self::W10 => vec![shape("messages", 1, MESSAGES, padded(220, |text| messages(model, text, false)), false)],
            Self::W10Stream => {
                vec![shape("messages_stream", 1, MESSAGES, padded(220, |text| messages(model, text, true)), true)]
            }
        }
    }

    /// Saturation for plain requests; as many streams as the workload speaks of for the others.
    pub fn mode(self) -> Mode {
        let connections = match self {
            Self::W4 | Self::W10Stream => 50,
            Self::W5 => 1000,
            _ => 16,
        };
        let ramp = match self {
            Self::W4 | Self::W5 | Self::W10Stream => Duration::from_secs(1),
            _ => Duration::ZERO,
        };
        Mode::Closed { connections, ramp }
    }

    /// What the upstream needs to be told, as a script in JSON.
    pub fn script(self) -> &'static str {
        match self {
            // Only a stamp that is part of the text comes through a translation.
            Self::W10Stream => {
                r#"{"defaults": {"reply_bytes": 700, "events": 200, "first_ms": 5, "every_ms": 5, "stamp": "text"}}"#
            }
            Self::W5 => r#"{"defaults": {"reply_bytes": 700, "events": 600, "first_ms": 100, "every_ms": 1000}}"#,
            Self::W7 | Self::W7Stream => {
                r#"{"defaults": {"reply_bytes": 700, "events": 5}, "rules": [
    {"match": {"path": "/w7-503/*", "header": {"openai-beta": "w7"}}, "steps": [{"status": {"code": 503}}]},
    {"match": {"path": "/w7-reset/*", "header": {"openai-beta": "w7"}}, "steps": ["reset"]},
    {"match": {"path": "/w7-hang/*", "header": {"openai-beta": "w7"}}, "steps": ["stall"]}]}"#
            }
            _ => r#"{"defaults": {"reply_bytes": 700, "events": 200, "first_ms": 5, "every_ms": 5}}"#,
        }
    }
}

const CHAT: &str = "/v1/chat/completions";
const EMBEDDINGS: &str = "/v1/embeddings";
const MESSAGES: &str = "/v1/messages";
const PROMPT: &str =
    "Tell the harbour master which of the boats came in before the storm and which are still out there. ";

fn shape(name: &str, weight: u32, path: &str, body: String, stream: bool) -> Shape {
    Shape { name: name.into(), weight, path: path.into(), headers: Vec::new(), body: body.into(), stream }
}

/// A body of exactly so many bytes, by the length of the text in it; longer only when even no text is too long.
fn padded(bytes: usize, render: impl Fn(&str) -> String) -> String {
    let space = bytes.saturating_sub(render("").len());
    let text: String = PROMPT.chars().cycle().take(space).collect();
    render(&text)
}

fn chat(model: &str, text: &str, stream: bool) -> String {
    let model = serde_json::Value::from(model);
    let stream = if stream { r#","stream":true,"stream_options":{"include_usage":true}"# } else { "" };
    format!(
        r#"{{"model":{model},"messages":[{{"role":"user","content":"{text}"}}],"temperature":0.7,"max_tokens":256{stream}}}"#
    )
}

fn messages(model: &str, text: &str, stream: bool) -> String {
    let model = serde_json::Value::from(model);
    let stream = if stream { r#","stream":true"# } else { "" };
    format!(r#"{{"model":{model},"max_tokens":256,"messages":[{{"role":"user","content":"{text}"}}]{stream}}}"#)
}

/// Text as source code and many languages make it: an escape or a multi-byte character every few bytes.
fn thorny(bytes: usize, model: &str) -> String {
    const UNIT: &str =
        r#"if (a[\"größe\"] > 3) {\n\treturn \"日本語 \\u0041 \ud83d\ude00\";\n}\r\n// naïve — «ok» 🚢 "#;
    let space = bytes.saturating_sub(chat(model, "", false).len());
    let mut text = UNIT.repeat(space / UNIT.len());
    let rest = space - text.len();
    text.push_str(&" ".repeat(rest));
    chat(model, &text, false)
}

fn embeddings(model: &str) -> String {
    let model = serde_json::Value::from(model);
    let inputs: Vec<String> = (0..64).map(|number| format!("\"{number}: {PROMPT}\"")).collect();
    format!(r#"{{"model":{model},"input":[{}]}}"#, inputs.join(","))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use serde_json::Value;

    use super::*;
    use crate::mock::Script;

    #[test]
    fn every_workload_is_valid_json_of_its_size_with_a_valid_script() {
        for name in Workload::names() {
            let workload = Workload::parse(name).unwrap();
            Script::parse(workload.script(), Path::new("")).unwrap();
            for shape in workload.shapes("mock/echo") {
                let body: Value = serde_json::from_slice(&shape.body).unwrap();
                assert_eq!(body["model"], "mock/echo");
                assert_eq!(body["stream"].as_bool().unwrap_or(false), shape.stream);
                let expected = match shape.name.as_str() {
                    "chat" | "stream" | "meets_failure" | "messages" | "messages_stream" => 220,
                    "chat_32k" => 32 * 1024,
                    "chat_1m" => 1 << 20,
                    _ => continue,
                };
                assert_eq!(shape.body.len(), expected, "{name} {}", shape.name);
            }
        }
    }

    #[test]
    fn the_thorny_prompt_has_escapes_and_non_ascii() {
        let body = String::from_utf8(Workload::W2.shapes("m")[0].body.to_vec()).unwrap();
        assert!(body.matches('\\').count() > 1000);
        assert!(body.chars().filter(|c| !c.is_ascii()).count() > 1000);
    }
}
