use serde_json::{Value, json};

use crate::dialects::message::Envelope;
use crate::dialects::{Dialect, DialectError};
use crate::passes::{Capabilities, Demands, OnLoss, WayBack};
use crate::quirks::Quirks;
use crate::sse::Limits;
use crate::translate::{self, Address, StreamTranslator, Translated};

const CHAT: Dialect = Dialect::OpenAiChat;
const ANTHROPIC: Dialect = Dialect::AnthropicMessages;
const RESPONSES: Dialect = Dialect::OpenAiResponses;
const GEMINI: Dialect = Dialect::Gemini;

fn demands(dialect: Dialect, capabilities: &Value, quirks: &Value, on_loss: OnLoss) -> Demands {
    let capabilities: Capabilities = serde_json::from_value(capabilities.clone()).unwrap();
    let quirks: Quirks = serde_json::from_value(quirks.clone()).unwrap();
    Demands::new(dialect, capabilities, quirks, on_loss)
}

/// A target of a dialect whose model can do this.
fn able(dialect: Dialect, capabilities: &Value) -> Demands {
    demands(dialect, capabilities, &json!({}), OnLoss::Drop)
}

fn try_ask(body: &Value, source: Dialect, demands: &Demands) -> Result<Translated, DialectError> {
    translate::request(body.to_string().as_bytes(), source, demands, Address::default())
}

fn ask(body: &Value, source: Dialect, demands: &Demands) -> (Value, Translated) {
    let told = try_ask(body, source, demands).unwrap();
    (serde_json::from_slice(&told.body).unwrap(), told)
}

fn refused(body: &Value, source: Dialect, demands: &Demands) -> String {
    try_ask(body, source, demands).unwrap_err().param.unwrap()
}

fn chat(more: &Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

const ENVELOPE: Envelope<'static> = Envelope { id: "r1", model: "m", created_s: 1, include_usage: false };

fn told_back(reply: &Value, source: Dialect, target: Dialect, back: &WayBack) -> Result<Value, DialectError> {
    let told = translate::reply(reply.to_string().as_bytes(), source, target, back, &ENVELOPE)?;
    Ok(serde_json::from_slice(&told).unwrap())
}

/// The JSON of every event of a stream that is told to a client.
fn streamed(events: &[Value], source: Dialect, target: Dialect, back: &WayBack) -> Vec<Value> {
    let mut stream = StreamTranslator::new(source, target, back.clone(), &ENVELOPE, Limits::default()).unwrap();
    let mut out = Vec::new();
    for event in events {
        let name = event["type"].as_str().map(|name| format!("event: {name}\n")).unwrap_or_default();
        stream.push(format!("{name}data: {event}\n\n").as_bytes(), &mut out);
    }
    stream.finish(&mut out);
    let text = String::from_utf8(out).unwrap();
    text.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data: ")?).ok()).collect()
}

/// The chunks of a chat stream that calls one tool with these pieces of arguments.
fn call_chunks(name: &str, pieces: &[&str]) -> Vec<Value> {
    let chunk = |delta: Value, finish: Value| json!({"id": "c1", "model": "m", "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]});
    let mut chunks = vec![chunk(
        json!({"role": "assistant", "tool_calls": [{"index": 0, "id": "call_1", "type": "function",
            "function": {"name": name, "arguments": ""}}]}),
        Value::Null,
    )];
    chunks.extend(
        pieces
            .iter()
            .map(|piece| chunk(json!({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}), Value::Null)),
    );
    chunks.push(chunk(json!({}), json!("tool_calls")));
    chunks
}

fn called(name: &str, arguments: &str) -> Value {
    json!({"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": null, "tool_calls": [{"id": "call_1", "type": "function",
        "function": {"name": name, "arguments": arguments}}]}, "finish_reason": "tool_calls"}]})
}

fn said(text: &str) -> Value {
    json!({"id": "c1", "object": "chat.completion", "created": 1, "model": "m", "choices": [{"index": 0,
        "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}]})
}

mod answers;
mod reasoning;
mod refusals;
mod tools;
