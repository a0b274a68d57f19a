//! Records as JSON lines, for people and for tests.

use serde_json::{Map, Value, json};

use super::record::{Record, Settle};
use crate::usage::Basis;

/// One JSON object on one line, without its line feed.
pub fn render_line(record: &Record<'_>) -> String {
    let value = match record {
        Record::Opened(opened) => json!({
            "record": "opened",
            "boot": opened.boot,
            "lane": opened.lane,
            "number": opened.number,
            "process": opened.process,
            "machine_boot": format!("{:032x}", opened.machine_boot),
            "opened_ms": opened.opened_ms,
            "carried": opened.carried,
            "instance": opened.instance,
        }),
        Record::Intent(intent) => json!({
            "record": "intent",
            "attempt": intent.attempt.to_string(),
            "request_id": intent.request_id,
            "ordinal": intent.ordinal,
            "model": intent.model,
            "target": intent.target,
            "key_id": intent.key_id,
            "door": intent.door,
            "dialect": intent.dialect,
            "stream": intent.stream,
            "generation": intent.generation,
            "started_ms": intent.started_ms,
            "body_bytes": intent.body_bytes,
            "input_tokens": intent.input_tokens,
            "max_output_tokens": intent.max_output_tokens,
        }),
        Record::Progress(progress) => json!({
            "record": "progress",
            "attempt": progress.attempt.to_string(),
            "events": progress.events,
            "bytes": progress.bytes,
        }),
        Record::Settle(settle) => settled(settle),
        Record::Gap(gap) => json!({"record": "gap", "at_ms": gap.at_ms, "lost": gap.lost}),
        Record::Other(kind) => json!({"record": "other", "kind": kind}),
    };
    value.to_string()
}

fn settled(settle: &Settle<'_>) -> Value {
    let usage = &settle.usage;
    let mut line = Map::new();
    let mut put = |name: &str, value: Value| line.insert(name.to_owned(), value);
    put("record", "settle".into());
    put("attempt", settle.attempt.to_string().into());
    put("state", settle.state.name().into());
    put("failure", if settle.failure.is_empty() { Value::Null } else { settle.failure.into() });
    put("status", settle.status.into());
    put("took_us", settle.took_us.into());
    put("events", settle.events.into());
    put("bytes", settle.bytes.into());
    put("basis", basis_name(usage.basis).into());
    put("prompt_tokens", usage.prompt_tokens.into());
    put("completion_tokens", usage.completion_tokens.into());
    put("total_tokens", usage.total_tokens.into());
    put("cached_tokens", usage.cached_tokens.into());
    put("cache_write_tokens", usage.cache_write_tokens.into());
    put("reasoning_tokens", usage.reasoning_tokens.into());
    Value::Object(line)
}

fn basis_name(basis: Basis) -> &'static str {
    match basis {
        Basis::Provider => "provider",
        Basis::Counted => "counted",
        Basis::Estimated => "estimated",
        Basis::Reserved => "reserved",
        Basis::Zero => "zero",
    }
}
