//! What clients see of streams that other dialects tell in their own order.

use serde_json::Value;

use super::super::opaque;
use crate::dialects::message::{
    CallKind, Citation, Envelope, ErrorReply, Event, Extras, Finish, FinishReason, Json, Text, TokenUsage, Usage,
};
use crate::dialects::mint::SplitMix64;
use crate::dialects::{Dialect, Writer};

const ENVELOPE: Envelope<'_> = Envelope { id: "msg_ours", model: "m-1", created_s: 7, include_usage: false };

fn writer() -> Writer {
    Dialect::AnthropicMessages.writer(&ENVELOPE).unwrap()
}

/// Each frame as one line: what it is, the block it is about, and what it says.
fn lines(out: &[u8]) -> Vec<String> {
    let text = std::str::from_utf8(out).unwrap();
    text.split_terminator("\n\n")
        .map(|frame| {
            let (name, data) = frame.split_once('\n').unwrap();
            let name = name.strip_prefix("event: ").unwrap();
            let event: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
            assert_eq!(event["type"], name);
            let index = event["index"].to_string();
            let said = match name {
                "content_block_start" => event["content_block"]["type"].clone(),
                "content_block_delta" => {
                    let delta = event["delta"].as_object().unwrap();
                    delta.iter().find(|(name, _)| *name != "type").unwrap().1.clone()
                }
                "message_delta" => event["delta"]["stop_reason"].clone(),
                _ => return name.to_owned(),
            };
            format!("{} {index} {said}", name.trim_start_matches("content_block_")).replace(" null ", " ")
        })
        .collect()
}

fn written(events: &[Event<'_>]) -> Vec<String> {
    let (mut writer, mut out) = (writer(), Vec::new());
    for event in events {
        writer.render_event(event, &mut out);
    }
    lines(&out)
}

fn call(call: u32, id: &'static str) -> Event<'static> {
    let (id, name) = (id.into(), "tide".into());
    Event::ToolCallStart { choice: 0, call, kind: CallKind::Function, id, name, signature: None }
}

fn piece(call: u32, arguments: &'static str) -> Event<'static> {
    Event::ToolCallDelta { choice: 0, call, kind: CallKind::Function, arguments: arguments.into() }
}

fn text(text: &'static str) -> Event<'static> {
    Event::TextDelta { choice: 0, text: text.into(), logprobs: None }
}

fn finish(reason: FinishReason) -> Event<'static> {
    Event::Finish { choice: 0, finish: Finish::new(reason, None) }
}

#[test]
fn calls_told_beside_each_other_come_one_behind_the_other() {
    let said = written(&[
        call(0, "a"),
        piece(0, "{\"x\":"),
        call(1, "b"),
        piece(1, "{\"y\":"),
        piece(0, "1}"),
        piece(1, "2}"),
        Event::ToolCallEnd { choice: 0, call: 0 },
        Event::ToolCallEnd { choice: 0, call: 1 },
        finish(FinishReason::ToolCalls),
        Event::Done,
    ]);
    let expected = [
        "message_start",
        "start 0 \"tool_use\"",
        r#"delta 0 "{\"x\":""#,
        "delta 0 \"1}\"",
        "stop",
        "start 1 \"tool_use\"",
        r#"delta 1 "{\"y\":""#,
        "delta 1 \"2}\"",
        "stop",
        "message_delta \"tool_use\"",
        "message_stop",
    ];
    let said: Vec<_> = said.iter().map(|line| line.replace("content_block_stop", "stop")).collect();
    assert_eq!(said, expected);
}

#[test]
fn a_call_whose_arguments_are_whole_does_not_hold_up_the_next() {
    let (mut writer, mut out) = (writer(), Vec::new());
    for event in [call(0, "a"), piece(0, "{\"x\":{}}"), call(1, "b"), piece(1, "{\"y\"")] {
        writer.render_event(&event, &mut out);
    }
    assert_eq!(lines(&out).last().unwrap(), r#"delta 1 "{\"y\"""#);
    // What comes late for a call that is over is lost on purpose: nothing can follow a whole object.
    writer.render_event(&piece(0, " "), &mut out);
    assert_eq!(lines(&out).last().unwrap(), r#"delta 1 "{\"y\"""#);
}

#[test]
fn text_behind_an_open_call_waits_for_its_end() {
    let (mut writer, mut out) = (writer(), Vec::new());
    for event in [call(0, "a"), piece(0, "{"), Event::TextStart { choice: 0 }, text("Hm")] {
        writer.render_event(&event, &mut out);
    }
    assert_eq!(lines(&out).last().unwrap(), "delta 0 \"{\"");
    writer.render_event(&Event::ToolCallEnd { choice: 0, call: 0 }, &mut out);
    assert_eq!(lines(&out).last().unwrap(), "delta 1 \"Hm\"");
}

#[test]
fn a_call_without_arguments_is_told_as_the_api_tells_it() {
    for arguments in [vec![], vec![piece(0, "")], vec![piece(0, "{}")], vec![piece(0, "null")]] {
        let mut events = vec![call(0, "a")];
        events.extend(arguments);
        events.push(Event::ToolCallEnd { choice: 0, call: 0 });
        assert_eq!(written(&events)[1..3], ["start 0 \"tool_use\"", "delta 0 \"\""]);
    }
}

#[test]
fn free_text_is_a_member_of_an_object_piece_by_piece() {
    let kind = CallKind::Custom;
    let piece =
        |arguments: &'static str| Event::ToolCallDelta { choice: 0, call: 0, kind, arguments: arguments.into() };
    let start =
        Event::ToolCallStart { choice: 0, call: 0, kind, id: "a".into(), name: "patch".into(), signature: None };
    let said = written(&[start, piece("say \"a\"\n"), piece("{}"), Event::ToolCallEnd { choice: 0, call: 0 }]);
    let pieces = said.iter().filter_map(|line| line.strip_prefix("delta 0 "));
    let joined: String = pieces.map(|piece| serde_json::from_str::<String>(piece).unwrap()).collect();
    assert_eq!(serde_json::from_str::<Value>(&joined).unwrap()["input"], "say \"a\"\n{}");
}

#[test]
fn an_empty_text_is_never_opened_and_a_refusal_is_text() {
    let said = written(&[
        Event::TextStart { choice: 0 },
        text(""),
        Event::TextEnd { choice: 0 },
        Event::RefusalDelta { choice: 0, text: "No".into() },
        Event::RefusalDelta { choice: 0, text: ".".into() },
        finish(FinishReason::Stop),
        Event::Done,
    ]);
    let expected = ["message_start", "start 0 \"text\"", "delta 0 \"No.\"", "content_block_stop"];
    assert_eq!(said[..4], expected);
    assert_eq!(said[4..], ["message_delta \"end_turn\"", "message_stop"]);
}

#[test]
fn only_the_first_choice_is_told() {
    let said = written(&[
        Event::TextStart { choice: 1 },
        Event::TextDelta { choice: 1, text: "B".into(), logprobs: None },
        Event::Finish { choice: 1, finish: Finish::new(FinishReason::Length, None) },
        Event::TextStart { choice: 0 },
        text("A"),
        finish(FinishReason::Stop),
        Event::Done,
    ]);
    assert!(!said.iter().any(|line| line.contains("\"B\"")), "{said:?}");
    assert!(said.contains(&"message_delta \"end_turn\"".to_owned()), "{said:?}");
}

#[test]
fn nothing_follows_an_error_and_no_reason_is_made_up() {
    let error = Event::Error(ErrorReply { message: "lost".into(), ..ErrorReply::default() });
    assert_eq!(written(&[error.clone(), Event::Done]), ["error"]);
    assert_eq!(written(&[text("A"), error, text("B"), Event::Done]).last().unwrap(), "error");
    assert_eq!(written(&[finish(FinishReason::Error), Event::Done]), ["message_start", "error"]);
    assert_eq!(written(&[Event::Done])[1..], ["message_delta null", "message_stop"]);
}

#[test]
fn the_start_has_what_the_upstream_left_out_and_the_last_usage_is_the_truth() {
    let usage = |prompt_tokens, cached_tokens, completion_tokens| {
        let tokens = TokenUsage { prompt_tokens, completion_tokens, cached_tokens, ..TokenUsage::default() };
        Event::Usage(Usage { tokens, extras: Extras::default() })
    };
    let start = Event::MessageStart { id: "".into(), model: "".into(), created_s: None, extras: Extras::default() };
    let (mut writer, mut out) = (writer(), Vec::new());
    for event in [start, usage(10, None, 0), finish(FinishReason::Stop), usage(12, Some(9), 4), Event::Done] {
        writer.render_event(&event, &mut out);
    }
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains(r#""id":"msg_ours","type":"message","role":"assistant","model":"m-1","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":10,"output_tokens":0}"#), "{out}");
    assert!(out.contains(r#""usage":{"input_tokens":3,"cache_read_input_tokens":9,"output_tokens":4}"#), "{out}");
}

#[test]
fn a_citation_of_another_dialect_has_all_that_clients_ask_for() {
    let citation = Citation { url: Some("https://example.com".into()), ..Citation::default() };
    let (mut writer, mut out) = (writer(), Vec::new());
    for event in [Event::TextStart { choice: 0 }, text("A"), Event::Citation { choice: 0, citation }] {
        writer.render_event(&event, &mut out);
    }
    let expected = r#"{"type":"web_search_result_location","url":"https://example.com","title":null,"cited_text":"","encrypted_index":""}"#;
    assert!(String::from_utf8(out).unwrap().contains(expected));
}

#[test]
fn an_upstream_cannot_make_a_writer_hold_without_end() {
    let (mut writer, mut out) = (writer(), Vec::new());
    let long = "x".repeat(1 << 20);
    for event in [call(0, "a"), piece(0, "{"), call(1, "b")] {
        writer.render_event(&event, &mut out);
    }
    for _ in 0..20 {
        let arguments = long.as_str().into();
        let delta = Event::ToolCallDelta { choice: 0, call: 1, kind: CallKind::Function, arguments };
        writer.render_event(&delta, &mut out);
    }
    assert_eq!(lines(&out).last().unwrap(), "error");
    assert!(out.len() < 4096);
}

#[test]
fn calls_without_ids_get_them() {
    let (mut writer, mut out) = (writer(), Vec::new());
    writer.render_event(&call(0, ""), &mut out);
    assert!(String::from_utf8(out).unwrap().contains("\"id\":\"call_"));
}

/// Any event, in any order: what no reader tells, too.
fn any_event(dice: &mut SplitMix64) -> Event<'static> {
    let call_number = u32::try_from(dice.draw() % 4).unwrap();
    let choice = u32::from(dice.draw().is_multiple_of(16));
    let kind = if dice.draw().is_multiple_of(8) { CallKind::Custom } else { CallKind::Function };
    let pieces = ["", "{}", "{\"a\":", "\"}\"", "}", "null", "x"];
    let piece = pieces[usize::try_from(dice.draw()).unwrap_or(0) % pieces.len()];
    match dice.draw() % 14 {
        0 => Event::TextStart { choice },
        1 | 2 => Event::TextDelta { choice, text: piece.into(), logprobs: None },
        3 => Event::TextEnd { choice },
        4 => Event::ReasoningStart { choice },
        5 => Event::ReasoningDelta { choice, text: piece.into() },
        6 => Event::ReasoningSignature { choice, signature: piece.into() },
        7 => Event::ReasoningRedacted { choice, data: piece.into() },
        8 => Event::ReasoningEnd { choice },
        9 => Event::RefusalDelta { choice, text: piece.into() },
        10 => call(call_number, "a"),
        11 | 12 => Event::ToolCallDelta { choice, call: call_number, kind, arguments: piece.into() },
        _ => Event::ToolCallEnd { choice, call: call_number },
    }
}

#[test]
fn blocks_come_one_behind_the_other_whatever_is_told() {
    for seed in 0..500 {
        let mut dice = SplitMix64(seed);
        let mut events: Vec<_> = (0..60).map(|_| any_event(&mut dice)).collect();
        events.extend([finish(FinishReason::Stop), Event::Done]);
        let (mut open, mut next) = (None, 0);
        for line in written(&events) {
            let mut words = line.split(' ');
            match (words.next().unwrap(), words.next()) {
                ("start", Some(index)) => {
                    assert_eq!((open, index), (None, next.to_string().as_str()), "seed {seed}: {line}");
                    open = Some(next);
                    next += 1;
                }
                ("delta", Some(index)) => {
                    assert_eq!(open.map(|open: i32| open.to_string()).as_deref(), Some(index), "seed {seed}: {line}");
                }
                ("content_block_stop", _) => assert!(open.take().is_some(), "seed {seed}"),
                ("message_start", _) => assert_eq!(next, 0, "seed {seed}"),
                _ => assert_eq!(open, None, "seed {seed}: {line}"),
            }
        }
    }
}

#[test]
fn what_the_reader_left_of_a_block_that_became_another_is_not_said_of_that_one() {
    let own = |name, raw| {
        let raw = Json::parse(raw).unwrap();
        Event::Opaque { dialect: Dialect::AnthropicMessages, name: Text::Borrowed(name), raw }
    };
    let (mut writer, mut out) = (writer(), Vec::new());
    let events = [
        own(opaque::REST_OF_CALL, r#"{"caller":{"type":"direct"}}"#),
        Event::TextStart { choice: 0 },
        own(opaque::DELTA_OF_CALL, r#"{"type":"input_json_delta","partial_json":""}"#),
        text("A"),
        own(opaque::DELTA_OF_CALL, r#"{"type":"input_json_delta","partial_json":""}"#),
        own(opaque::DELTA_OF_TEXT, r#"{"type":"sigh"}"#),
    ];
    for event in &events {
        writer.render_event(event, &mut out);
    }
    let said = String::from_utf8(out).unwrap();
    assert!(!said.contains("caller") && !said.contains("input_json_delta"), "{said}");
    assert_eq!(said.matches("content_block_delta\n").count(), 2, "{said}");
    assert!(said.contains(r#""index":0,"delta":{"type":"sigh"}"#), "{said}");
}
