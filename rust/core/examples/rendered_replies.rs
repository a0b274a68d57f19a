//! Prints what we render, one JSON line per document: the name of the published schema it must satisfy, the case it comes
//! from, and the document. `tests/contract/test_rendered_replies_match_schema.py` validates them.
//!
//! The cases are the golden ones, read and written again, and the answers of `mock/echo`.

use std::error::Error;
use std::fs;
use std::path::Path;

use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::message::Envelope;
use fastroute_core::echo;

const CHAT: &str = "CreateChatCompletionResponse";
const CHUNK: &str = "CreateChatCompletionStreamResponse";
const EMBEDDINGS: &str = "CreateEmbeddingResponse";
const ERROR: &str = "ErrorResponse";

const ENVELOPE: Envelope<'static> =
    Envelope { id: "chatcmpl-ours", model: "example", created_s: 1_700_000_000, include_usage: true };

/// Replies that leave out what the schema requires.
const INCOMPLETE: &[&str] = &[
    r#"{"choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}]}"#,
    r#"{"choices":[{"message":{"tool_calls":[{"id":"a","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":null}}"#,
    r#"{"id":"","choices":[{"message":{"role":null,"content":"Hi"},"finish_reason":"eos","logprobs":null}],"usage":null}"#,
];

const ERRORS: &[&str] =
    &["<html>", r#"{"detail":"no"}"#, r#"{"error":{"code":404,"message":"no","status":"NOT_FOUND"}}"#];

const QUESTIONS: &[&str] = &[
    r#"{"model":"mock/echo","messages":[{"role":"user","content":"Hello there, captain"}],"stream_options":{"include_usage":true}}"#,
    r#"{"model":"mock/echo","messages":[{"role":"user","content":""}],"n":2}"#,
    r#"{"model":"mock/echo","messages":[{"role":"user","content":"a"}],"tools":[{"type":"function","function":{"name":"f"}}],"tool_choice":"required"}"#,
    r#"{"model":"mock/echo","messages":[{"role":"user","content":"a"}],"functions":[{"name":"f"}],"function_call":{"name":"f"}}"#,
    r#"{"model":"mock/echo","messages":[{"role":"user","content":"a"}],"response_format":{"type":"json_object"}}"#,
];

fn main() -> Result<(), Box<dyn Error>> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden/dialects");
    let chat = Dialect::OpenAiChat;
    for (case, body) in cases(&golden.join("openai_chat/replies"))? {
        print(CHAT, &case, &chat.render_reply(&chat.parse_reply(body.as_bytes())?, &ENVELOPE)?)?;
    }
    for body in INCOMPLETE {
        let reply = chat.parse_reply(body.as_bytes())?;
        print(CHAT, "incomplete", &chat.render_reply(&reply, &ENVELOPE)?)?;
    }
    for (case, stream) in cases(&golden.join("openai_chat/streams"))? {
        // OpenAI streams custom calls, but its published schema of a chunk knows only functions.
        if !case.ends_with("custom_tool_call.sse") {
            print_stream(&case, &rewritten(&stream)?)?;
        }
    }
    for body in ERRORS {
        print(ERROR, "errors", &chat.render_error(&chat.parse_error(body.as_bytes())))?;
    }
    let words = |text: &str| u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX);
    for question in QUESTIONS {
        let question = question.as_bytes();
        print(CHAT, "echo", &echo::reply(question, "mock/echo", "chatcmpl-1", 7, &words)?)?;
        let frames = echo::events(question, "mock/echo", "chatcmpl-1", 7, &words)?;
        print_stream("echo", std::str::from_utf8(&frames.concat())?)?;
    }
    let question = br#"{"model":"mock/echo","input":["a","b"]}"#;
    print(EMBEDDINGS, "echo", &echo::embeddings(question, "mock/echo", &words)?)?;
    Ok(())
}

fn cases(folder: &Path) -> Result<Vec<(String, String)>, Box<dyn Error>> {
    let mut cases = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        cases.push((path.display().to_string(), fs::read_to_string(&path)?));
    }
    Ok(cases)
}

fn rewritten(stream: &str) -> Result<String, Box<dyn Error>> {
    let mut reader = Dialect::OpenAiChat.reader().ok_or("no reader")?;
    let mut writer = Dialect::OpenAiChat.writer(&ENVELOPE).ok_or("no writer")?;
    let mut out = Vec::new();
    for data in stream.lines().filter_map(|line| line.strip_prefix("data: ")) {
        for event in reader.parse_event("", data.as_bytes())? {
            writer.render_event(&event, &mut out);
        }
    }
    Ok(String::from_utf8(out)?)
}

fn print_stream(case: &str, stream: &str) -> Result<(), Box<dyn Error>> {
    for data in stream.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let schema = if data.starts_with("{\"error\"") { ERROR } else { CHUNK };
        if data != "[DONE]" {
            print(schema, case, data.as_bytes())?;
        }
    }
    Ok(())
}

fn print(schema: &str, case: &str, document: &[u8]) -> Result<(), Box<dyn Error>> {
    let document: serde_json::Value = serde_json::from_slice(document)?;
    let line = serde_json::json!({"schema": schema, "case": case, "document": document});
    println!("{line}");
    Ok(())
}
