//! Streams out of other dialects and into them, and how they end.

use serde_json::{Value, json};

use super::BEDROCK;
use crate::dialects::Dialect;
use crate::dialects::fold::{Fold, FoldError};
use crate::dialects::message::{CallKind, Envelope, ErrorReply, Event, Finish, FinishReason, Usage};
use crate::failure::{Failure, Kind};
use crate::passes::WayBack;
use crate::sse::Limits;
use crate::translate::{self, Frames, StreamTranslator};

/// The events that a stream tells, as name and payload.
fn told(stream: &[u8]) -> Vec<(String, Value)> {
    let mut frames = Frames::of(BEDROCK, Limits::default());
    let mut found = Vec::new();
    assert!(frames.feed(stream, |name, data| found.push((name.to_owned(), serde_json::from_slice(data).unwrap()))));
    found
}

fn written(events: &[Event<'_>]) -> Vec<(String, Value)> {
    let mut writer = BEDROCK.writer(&Envelope { id: "ours", ..Envelope::default() }).unwrap();
    let mut out = Vec::new();
    for event in events {
        writer.render_event(event, &mut out);
    }
    told(&out)
}

fn names(frames: &[(String, Value)]) -> Vec<&str> {
    frames.iter().map(|(name, _)| name.as_str()).collect()
}

#[test]
fn calls_beside_each_other_keep_their_numbers() {
    let start = |call: u32, kind: CallKind| Event::ToolCallStart {
        choice: 0,
        call,
        kind,
        id: "".into(),
        name: "f".into(),
        signature: None,
    };
    let piece = |call: u32, kind: CallKind, arguments: &'static str| Event::ToolCallDelta {
        choice: 0,
        call,
        kind,
        arguments: arguments.into(),
    };
    let (function, custom) = (CallKind::Function, CallKind::Custom);
    let frames = written(&[
        Event::TextStart { choice: 0 },
        Event::TextEnd { choice: 0 },
        start(0, function),
        start(1, custom),
        piece(1, custom, "a\"b"),
        piece(0, function, "{\"a\":"),
        piece(0, function, "1}"),
        piece(1, custom, "c"),
        start(2, function),
        Event::Finish { choice: 0, finish: Finish::new(FinishReason::ToolCalls, None) },
        Event::Done,
    ]);
    let input = |index: u64| -> String {
        let of_block = frames.iter().filter(|(_, data)| data["contentBlockIndex"] == index);
        of_block.filter_map(|(_, data)| data["delta"]["toolUse"]["input"].as_str()).collect()
    };
    assert_eq!([input(0), input(1), input(2)], ["{\"a\":1}", "{\"input\":\"a\\\"bc\"}", "{}"]);
    let ids: Vec<_> = frames.iter().filter_map(|(_, data)| data["start"]["toolUse"]["toolUseId"].as_str()).collect();
    assert_eq!(ids.len(), 3);
    assert!(ids.iter().all(|id| id.starts_with("call_")) && ids[0] != ids[1]);
    assert_eq!(frames.last().unwrap().0, "messageStop");
}

#[test]
fn the_counts_come_behind_the_reason_and_only_where_there_are_some() {
    let finish = || Event::Finish { choice: 0, finish: Finish::new(FinishReason::ContentFilter, None) };
    let frames = written(&[Event::Usage(Usage::default()), finish(), Event::Done]);
    assert_eq!(names(&frames), ["messageStart", "messageStop", "metadata"]);
    assert_eq!(frames[1].1, json!({"stopReason": "content_filtered"}));
    assert_eq!(frames[2].1, json!({"usage": {"inputTokens": 0, "outputTokens": 0, "totalTokens": 0}}));
    assert_eq!(names(&written(&[finish(), Event::Done])), ["messageStart", "messageStop"]);
}

#[test]
fn an_error_ends_the_stream_as_an_exception_and_nothing_follows_it() {
    let error = |status, kind: Option<&'static str>| {
        let error = ErrorReply { message: "lost".into(), status, kind: kind.map(Into::into), ..ErrorReply::default() };
        written(&[Event::Error(error), Event::Done])
    };
    for (status, kind, name) in [
        (Some(429), None, "throttlingException"),
        (Some(503), None, "serviceUnavailableException"),
        (Some(400), Some("invalid_request_error"), "validationException"),
        (Some(502), None, "modelStreamErrorException"),
        (None, None, "internalServerException"),
    ] {
        assert_eq!(error(status, kind), [(name.to_owned(), json!({"message": "lost"}))]);
    }
    let failed = Event::Finish { choice: 0, finish: Finish::new(FinishReason::Error, None) };
    assert_eq!(names(&written(&[failed, Event::Done])), ["messageStart", "internalServerException"]);
    let ours = translate::error_event(BEDROCK, &Failure::new(Kind::RateLimited));
    assert_eq!(names(&told(&ours)), ["throttlingException"]);
}

fn folded(events: &[(&str, Value)]) -> Result<String, FoldError> {
    let mut reader = BEDROCK.reader().unwrap();
    let mut fold = Fold::new(1 << 20);
    for (name, data) in events {
        let data = data.to_string();
        for event in reader.parse_event(name, data.as_bytes()).unwrap() {
            fold.add(&event)?;
        }
    }
    fold.finish().map(|reply| reply.choices[0].turn.texts().collect())
}

#[test]
fn exceptions_in_a_stream_are_its_failure() {
    let text = ("contentBlockDelta", json!({"contentBlockIndex": 0, "delta": {"text": "Hi"}}));
    for (name, data, status) in [
        ("throttlingException", json!({"message": "lost"}), Some(429)),
        ("validationException", json!({"message": "lost"}), Some(400)),
        ("serviceUnavailableException", json!({"message": "lost"}), Some(503)),
        ("modelStreamErrorException", json!({"message": "lost", "originalStatusCode": 529}), Some(529)),
        ("error", json!({"message": "lost", "code": "InternalError"}), None),
        ("tomorrowsFailure", json!({"message": "lost"}), None),
    ] {
        let Err(FoldError::Failed(failure)) = folded(&[text.clone(), (name, data)]) else {
            panic!("{name} is no failure");
        };
        assert_eq!((failure.message.as_ref(), failure.status), ("lost", status), "{name}");
    }
    let Err(FoldError::Failed(failure)) = folded(&[text.clone(), ("internalServerException", json!({}))]) else {
        panic!("no failure");
    };
    assert!(!failure.message.is_empty());
    let end = ("messageStop", json!({"stopReason": "end_turn"}));
    assert_eq!(folded(&[text.clone(), end, text.clone()]), Ok("HiHi".to_owned()));
    assert_eq!(folded(&[text]), Err(FoldError::Unfinished));
}

#[test]
fn a_reader_remembers_no_more_blocks_than_a_model_opens() {
    let mut reader = BEDROCK.reader().unwrap();
    let refused = (0..2000).find_map(|index| {
        let start = json!({"contentBlockIndex": index, "start": {"toolUse": {"toolUseId": "a", "name": "b"}}});
        let start = start.to_string();
        reader.parse_event("contentBlockStart", start.as_bytes()).map(drop).err()
    });
    assert_eq!(refused.unwrap().pointer, "/contentBlockIndex");
}

fn chunk(name: &str, of: &str, payload: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    let kind = if of == ":event-type" { "event" } else { "exception" };
    crate::eventstream::write(&mut out, &[(of, name), (":message-type", kind)], |out| {
        out.extend_from_slice(payload.to_string().as_bytes());
    });
    out
}

const INVOKED: &[u8] = b"application/vnd.amazon.eventstream";

#[test]
fn an_invoked_models_stream_reaches_a_client_of_another_dialect() {
    use base64::Engine as _;
    let event = |event: Value| {
        let bytes = base64::engine::general_purpose::STANDARD.encode(event.to_string());
        chunk("chunk", ":event-type", &json!({"bytes": bytes, "p": "abc"}))
    };
    let translated = |last: Vec<u8>| {
        let (source, target) = (Dialect::AnthropicMessages, Dialect::OpenAiChat);
        let stream = StreamTranslator::new(source, target, WayBack::default(), &Envelope::default(), Limits::default());
        let mut stream = stream.unwrap().framed(Frames::of_reply(source, INVOKED, Limits::default()));
        let mut out = Vec::new();
        stream.push(
            &event(json!({"type": "message_start", "message": {"id": "m", "usage": {"input_tokens": 1}}})),
            &mut out,
        );
        stream.push(
            &event(json!({"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": "Hi"}})),
            &mut out,
        );
        stream.push(&last, &mut out);
        stream.finish(&mut out);
        String::from_utf8(out).unwrap()
    };
    let end =
        event(json!({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 1}}));
    let out = translated(end);
    assert!(out.contains("\"content\":\"Hi\"") && out.ends_with("data: [DONE]\n\n"), "{out}");
    let out = translated(chunk("throttlingException", ":exception-type", &json!({"message": "slow down"})));
    assert!(out.contains("slow down") && out.contains("rate_limit_error") && !out.contains("[DONE]"), "{out}");
    let out = translated(chunk("chunk", ":event-type", &json!({"bytes": "no base64!"})));
    assert!(out.contains("upstream_malformed") && !out.contains("[DONE]"), "{out}");
}

#[test]
fn a_stream_with_a_changed_byte_ends_as_malformed() {
    let mut stream = chunk("messageStart", ":event-type", &json!({"role": "assistant"}));
    if let Some(last) = stream.last_mut() {
        *last ^= 1;
    }
    let translator = StreamTranslator::new(
        BEDROCK,
        Dialect::OpenAiChat,
        WayBack::default(),
        &Envelope::default(),
        Limits::default(),
    );
    let mut translator = translator.unwrap();
    let mut out = Vec::new();
    translator.push(&stream, &mut out);
    let out = String::from_utf8(out).unwrap();
    assert!(translator.ended() && out.contains("upstream_malformed") && out.contains("checksum"), "{out}");
}
