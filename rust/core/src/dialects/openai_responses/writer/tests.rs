//! What the clients of this dialect see when another one answered.

use serde_json::Value;

use crate::dialects::Dialect;
use crate::dialects::message::{
    CallKind, Citation, Envelope, ErrorReply, Event, Extras, Finish, FinishReason, TokenUsage, Usage,
};

const ENVELOPE: Envelope<'_> = Envelope { id: "resp_ours", model: "m-1", created_s: 7, include_usage: false };

fn write(events: &[Event<'_>]) -> Vec<Value> {
    let mut writer = Dialect::OpenAiResponses.writer(&ENVELOPE).unwrap();
    let mut out = Vec::new();
    for event in events {
        writer.render_event(event, &mut out);
    }
    let out = String::from_utf8(out).unwrap();
    let frames = out.split_terminator("\n\n").map(|frame| {
        let (name, data) = frame.split_once('\n').unwrap();
        let data: Value = serde_json::from_str(data.strip_prefix("data: ").unwrap()).unwrap();
        assert_eq!(name.strip_prefix("event: "), data["type"].as_str());
        data
    });
    let frames: Vec<_> = frames.collect();
    for (number, frame) in frames.iter().enumerate() {
        assert_eq!(frame["sequence_number"], number);
    }
    frames
}

fn kinds(frames: &[Value]) -> Vec<&str> {
    frames.iter().map(|frame| frame["type"].as_str().unwrap().trim_start_matches("response.")).collect()
}

fn start() -> Event<'static> {
    Event::MessageStart { id: "c-1".into(), model: "".into(), created_s: None, extras: Extras::default() }
}

fn text(text: &'static str) -> Event<'static> {
    Event::TextDelta { choice: 0, text: text.into(), logprobs: None }
}

fn thought(text: &'static str) -> Event<'static> {
    Event::ReasoningDelta { choice: 0, text: text.into() }
}

fn call(call: u32, id: &'static str) -> Event<'static> {
    Event::ToolCallStart {
        choice: 0,
        call,
        kind: CallKind::Function,
        id: id.into(),
        name: "look".into(),
        signature: None,
    }
}

fn arguments(call: u32, arguments: &'static str) -> Event<'static> {
    Event::ToolCallDelta { choice: 0, call, kind: CallKind::Function, arguments: arguments.into() }
}

fn finish(reason: FinishReason) -> Event<'static> {
    Event::Finish { choice: 0, finish: Finish::new(reason, None) }
}

#[test]
fn a_text_is_an_item_of_one_part_and_is_told_again_at_every_end() {
    let usage = TokenUsage { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5, ..TokenUsage::default() };
    let frames = write(&[
        start(),
        Event::TextStart { choice: 0 },
        text("Hel"),
        text("lo"),
        Event::TextEnd { choice: 0 },
        finish(FinishReason::Stop),
        Event::Usage(Usage { tokens: usage, extras: Extras::default() }),
        Event::Done,
    ]);
    let expected = [
        "created",
        "in_progress",
        "output_item.added",
        "content_part.added",
        "output_text.delta",
        "output_text.delta",
        "output_text.done",
        "content_part.done",
        "output_item.done",
        "completed",
    ];
    assert_eq!(kinds(&frames), expected);
    let response = &frames[9]["response"];
    assert_eq!((&response["id"], &response["model"]), (&Value::from("c-1"), &Value::from("m-1")));
    assert_eq!(response["output"][0]["content"][0]["text"], "Hello");
    assert_eq!(response["output"][0], frames[8]["item"]);
    assert_eq!(response["usage"]["input_tokens"], 3);
    assert_eq!(response["usage"]["output_tokens_details"]["reasoning_tokens"], 0);
    assert!(frames[2]["item"]["id"].as_str().unwrap().starts_with("msg_"));
    assert_eq!(frames[4]["item_id"], frames[2]["item"]["id"]);
}

#[test]
fn reasoning_goes_out_as_a_summary_with_its_signature_in_the_place_that_comes_back() {
    let frames = write(&[
        start(),
        Event::ReasoningStart { choice: 0 },
        thought("Hm."),
        Event::ReasoningSignature { choice: 0, signature: "sig".into() },
        Event::ReasoningEnd { choice: 0 },
        Event::ReasoningRedacted { choice: 0, data: "blob".into() },
        Event::TextStart { choice: 0 },
        text("So."),
        Event::TextEnd { choice: 0 },
        finish(FinishReason::Stop),
        Event::Done,
    ]);
    let output = &frames.last().unwrap()["response"]["output"];
    assert_eq!(output[0]["summary"][0]["text"], "Hm.");
    assert_eq!(output[0]["encrypted_content"], "sig");
    assert_eq!(output[1]["summary"], serde_json::json!([]));
    assert_eq!(output[1]["encrypted_content"], "blob");
    assert_eq!(output[2]["type"], "message");
}

#[test]
fn calls_side_by_side_are_items_of_their_own_and_have_ids() {
    let frames = write(&[
        start(),
        call(0, "call_a"),
        call(1, ""),
        arguments(1, "{}"),
        arguments(0, "{\"a\":1}"),
        Event::ToolCallEnd { choice: 0, call: 0 },
        Event::ToolCallEnd { choice: 0, call: 1 },
        finish(FinishReason::ToolCalls),
        Event::Done,
    ]);
    let output = &frames.last().unwrap()["response"]["output"];
    assert_eq!(output[0]["call_id"], "call_a");
    assert_eq!(output[0]["arguments"], "{\"a\":1}");
    assert_eq!(output[1]["arguments"], "{}");
    assert!(output[1]["call_id"].as_str().unwrap().starts_with("call_"));
    let added: Vec<_> = frames.iter().filter(|frame| frame["type"] == "response.output_item.added").collect();
    assert_eq!((&added[0]["output_index"], &added[1]["output_index"]), (&0.into(), &1.into()));
}

#[test]
fn a_citation_that_comes_after_its_text_still_belongs_to_it() {
    let citation = Citation { url: Some("https://e.test".into()), ..Citation::default() };
    let frames = write(&[
        start(),
        Event::TextStart { choice: 0 },
        text("As said."),
        Event::TextEnd { choice: 0 },
        Event::Citation { choice: 0, citation },
        finish(FinishReason::Stop),
        Event::Done,
    ]);
    let part = &frames.last().unwrap()["response"]["output"][0]["content"][0];
    assert_eq!(part["annotations"][0]["url"], "https://e.test");
}

#[test]
fn a_refusal_after_a_text_is_a_part_of_the_same_message() {
    let refusal = Event::RefusalDelta { choice: 0, text: "No.".into() };
    let frames = write(&[
        start(),
        Event::TextStart { choice: 0 },
        text("Well: "),
        Event::TextEnd { choice: 0 },
        refusal,
        finish(FinishReason::Stop),
        Event::Done,
    ]);
    let content = &frames.last().unwrap()["response"]["output"][0]["content"];
    assert_eq!((&content[0]["text"], &content[1]["refusal"]), (&"Well: ".into(), &"No.".into()));
}

#[test]
fn an_answer_that_was_cut_is_incomplete_and_says_why() {
    for (reason, word) in [(FinishReason::Length, "max_output_tokens"), (FinishReason::ContentFilter, "content_filter")]
    {
        let frames = write(&[start(), finish(reason), Event::Done]);
        let last = frames.last().unwrap();
        assert_eq!(last["type"], "response.incomplete");
        assert_eq!(last["response"]["incomplete_details"]["reason"], word);
    }
}

#[test]
fn no_end_is_made_up() {
    let frames = write(&[start(), Event::TextStart { choice: 0 }, text("Half"), Event::Done]);
    assert_eq!(kinds(&frames).last(), Some(&"output_text.delta"));
}

#[test]
fn nothing_follows_a_failure_and_its_code_is_one_that_clients_know() {
    for (code, kind, expected) in [
        (Some("context_length_exceeded"), None, "context_length_exceeded"),
        (Some("502"), None, "server_error"),
        (None, Some("rate_limit_error"), "rate_limit_exceeded"),
    ] {
        let error = ErrorReply {
            message: "lost".into(),
            code: code.map(Into::into),
            kind: kind.map(Into::into),
            ..ErrorReply::default()
        };
        let frames = write(&[Event::Error(error), text("more"), finish(FinishReason::Stop), Event::Done]);
        assert_eq!(kinds(&frames), ["created", "in_progress", "failed"]);
        let response = &frames[2]["response"];
        assert_eq!(response["status"], "failed");
        assert_eq!((&response["error"]["code"], &response["error"]["message"]), (&expected.into(), &"lost".into()));
    }
}

#[test]
fn what_belongs_to_a_second_choice_is_not_mixed_in() {
    let other = Event::TextDelta { choice: 1, text: "other".into(), logprobs: None };
    let frames =
        write(&[start(), Event::TextStart { choice: 0 }, text("one"), other, finish(FinishReason::Stop), Event::Done]);
    assert_eq!(frames.last().unwrap()["response"]["output"][0]["content"][0]["text"], "one");
}

#[test]
fn an_answer_too_long_to_be_held_fails_in_the_open() {
    let mut writer = Dialect::OpenAiResponses.writer(&ENVELOPE).unwrap();
    let mut out = Vec::new();
    writer.render_event(&start(), &mut out);
    let long = "x".repeat(8 << 20);
    for _ in 0..16 {
        out.clear();
        writer.render_event(&Event::TextDelta { choice: 0, text: long.as_str().into(), logprobs: None }, &mut out);
        if out.windows(15).any(|window| window == b"response.failed") {
            return;
        }
    }
    panic!("128 MB were held");
}
