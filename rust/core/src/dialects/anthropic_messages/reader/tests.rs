//! Events as servers really send them, with invented words in them.

use crate::dialects::message::{Event, FinishReason, TokenUsage};
use crate::dialects::{Dialect, DialectError};

/// One line per event, short enough to compare by eye.
fn line(event: &Event<'_>) -> String {
    match event {
        Event::MessageStart { id, .. } => format!("start {id}"),
        Event::TextStart { .. } => "text_start".to_owned(),
        Event::TextDelta { text, .. } => format!("text {text}"),
        Event::TextEnd { .. } => "text_end".to_owned(),
        Event::ReasoningStart { .. } => "reasoning_start".to_owned(),
        Event::ReasoningDelta { text, .. } => format!("reasoning {text}"),
        Event::ReasoningSignature { signature, .. } => format!("signed {signature}"),
        Event::ReasoningRedacted { data, .. } => format!("redacted {data}"),
        Event::ReasoningEnd { .. } => "reasoning_end".to_owned(),
        Event::Media { .. } => "media".to_owned(),
        Event::RefusalDelta { text, .. } => format!("refusal {text}"),
        Event::ToolCallStart { call, id, name, .. } => format!("call {call} {name} id={id}"),
        Event::ToolCallDelta { call, arguments, .. } => format!("call {call} += {arguments}"),
        Event::ToolCallEnd { call, .. } => format!("call {call} end"),
        Event::Citation { citation, .. } => format!("cites {:?}", citation.title.as_deref()),
        Event::Finish { finish, .. } => format!("finish {:?}", finish.reason),
        Event::Usage(usage) => format!("usage {}", usage.tokens.total_tokens),
        Event::Error(error) => format!("error {}", error.message),
        Event::Opaque { name, .. } => format!("opaque {name}"),
        Event::Done => "done".to_owned(),
    }
}

/// What these events say. Most streams here leave their beginning out, and it is not among the lines.
fn read(events: &[&str]) -> Result<Vec<String>, DialectError> {
    Ok(read_all(events)?.into_iter().filter(|line| line != "start ").collect())
}

fn read_all(events: &[&str]) -> Result<Vec<String>, DialectError> {
    let mut reader = Dialect::AnthropicMessages.reader().unwrap();
    let mut lines = Vec::new();
    for event in events {
        lines.extend(reader.parse_event("", event.as_bytes())?.iter().map(line));
    }
    Ok(lines)
}

fn start(index: u32, block: &str) -> String {
    format!(r#"{{"type":"content_block_start","index":{index},"content_block":{block}}}"#)
}

fn delta(index: u32, delta: &str) -> String {
    format!(r#"{{"type":"content_block_delta","index":{index},"delta":{delta}}}"#)
}

fn stop(index: u32) -> String {
    format!(r#"{{"type":"content_block_stop","index":{index}}}"#)
}

const TIDE: &str = r#"{"type":"tool_use","id":"t-1","name":"tide","input":{}}"#;
const END: &str = r#"{"type":"message_delta","delta":{"stop_reason":"tool_use"},"usage":{"output_tokens":5}}"#;

#[test]
fn a_stream_begins_once_whatever_it_begins_with() {
    let block = start(0, r#"{"type":"text","text":""}"#);
    let text = delta(0, r#"{"type":"text_delta","text":"A"}"#);
    for first in [r#"{"type":"message_start"}"#, r#"{"type":"ping_of_sorts"}"#, r#"{"type":"ping"}"#] {
        let told = read_all(&[first, &block, &text, r#"{"type":"message_start","message":{"id":"late"}}"#]).unwrap();
        let told: Vec<_> = told.iter().filter(|line| !line.starts_with("opaque")).collect();
        assert_eq!(told, ["start ", "text_start", "text A"], "{first}");
    }
}

#[test]
fn a_call_without_arguments_gets_an_empty_object() {
    let (start, stop) = (start(0, TIDE), stop(0));
    let empty = delta(0, r#"{"type":"input_json_delta","partial_json":""}"#);
    for events in [vec![start.as_str(), &stop], vec![&start, &empty, &stop]] {
        let mut lines = read(&events).unwrap();
        lines.retain(|line| !line.starts_with("opaque"));
        assert_eq!(lines, ["call 0 tide id=t-1", "call 0 += {}", "call 0 end"]);
    }
}

#[test]
fn input_that_stands_in_the_start_counts_when_no_piece_follows() {
    let start = start(0, r#"{"type":"tool_use","id":"t-1","name":"tide","input":{"port": "Brest"}}"#);
    let piece = delta(0, r#"{"type":"input_json_delta","partial_json":"{\"port\":\"Lorient\"}"}"#);
    let alone = read(&[&start, &stop(0)]).unwrap();
    assert_eq!(alone[1..], [r#"call 0 += {"port":"Brest"}"#, "call 0 end"]);
    let followed = read(&[&start, &piece, &stop(0)]).unwrap();
    assert_eq!(followed[1..], [r#"call 0 += {"port":"Lorient"}"#, "call 0 end"]);
}

#[test]
fn blocks_that_a_server_does_not_stop_end_where_others_begin_and_with_the_message() {
    let text = start(0, r#"{"type":"text","text":"A"}"#);
    let thinking = start(1, r#"{"type":"thinking","thinking":"B","signature":"s"}"#);
    let lines = read(&[&text, &thinking, &start(2, TIDE), END, r#"{"type":"message_stop"}"#]).unwrap();
    assert_eq!(
        lines,
        [
            "text_start",
            "text A",
            "text_end",
            "reasoning_start",
            "reasoning B",
            "signed s",
            "reasoning_end",
            "call 0 tide id=t-1",
            "call 0 += {}",
            "call 0 end",
            "finish ToolCalls",
            "usage 5",
            "done"
        ]
    );
}

#[test]
fn a_piece_that_nobody_knows_goes_on_in_its_block_or_not_at_all() {
    let (text, unknown) = (start(0, r#"{"type":"text","text":"A"}"#), |index| delta(index, r#"{"type":"sigh","x":1}"#));
    assert_eq!(read(&[&text, &unknown(0)]).unwrap()[2..], ["opaque \ndelta of text"]);
    assert_eq!(read(&[&text, &stop(0), &unknown(0), &unknown(7)]).unwrap()[2..], ["text_end"]);
    // Beside each other only the last is known again by whoever numbers them anew.
    let other = TIDE.replace("t-1", "t-2");
    let calls = read(&[&start(0, TIDE), &start(1, &other), &unknown(0), &unknown(1)]).unwrap();
    assert_eq!(calls, ["call 0 tide id=t-1", "call 1 tide id=t-2", "opaque \ndelta of tool_use"]);
}

#[test]
fn an_event_that_nobody_knows_is_what_it_says_it_is() {
    let mut reader = Dialect::AnthropicMessages.reader().unwrap();
    for name in ["content_block_delta", "ping"] {
        let told: Vec<_> = reader.parse_event(name, br#"{"type":"si\ngh"}"#).unwrap().iter().map(line).collect();
        assert_eq!(told, ["opaque sigh"]);
    }
}

#[test]
fn the_second_usage_is_cumulative_and_overrides_only_what_it_says() {
    let mut reader = Dialect::AnthropicMessages.reader().unwrap();
    let begin = br#"{"type":"message_start","message":{"id":"m","usage":{"input_tokens":3,"cache_read_input_tokens":10,"cache_creation_input_tokens":100,"output_tokens":1}}}"#;
    let end = br#"{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":7,"output_tokens_details":{"thinking_tokens":2}}}"#;
    let mut last = None;
    for event in [&begin[..], end] {
        for event in reader.parse_event("", event).unwrap() {
            if let Event::Usage(usage) = event {
                last = Some(usage.tokens);
            }
        }
    }
    let expected = TokenUsage {
        prompt_tokens: 113,
        completion_tokens: 7,
        total_tokens: 120,
        cached_tokens: Some(10),
        cache_write_tokens: Some(100),
        reasoning_tokens: Some(2),
    };
    assert_eq!(last, Some(expected));
}

#[test]
fn the_explanation_of_a_refusal_is_a_refusal_where_nothing_else_was_said() {
    let end = r#"{"type":"message_delta","delta":{"stop_reason":"refusal","stop_details":{"type":"refusal","explanation":"No."}}}"#;
    assert_eq!(read(&[end]).unwrap(), ["opaque \nstop_details", "refusal No.", "finish ContentFilter"]);
    let text = start(0, r#"{"type":"text","text":"A"}"#);
    assert_eq!(read(&[&text, end]).unwrap()[2..], ["text_end", "finish ContentFilter"]);
}

#[test]
fn a_stream_finishes_and_ends_once() {
    let stop = r#"{"type":"message_stop"}"#;
    assert_eq!(read(&[END, END, stop, stop, END]).unwrap(), ["finish ToolCalls", "usage 5", "usage 5", "done"]);
    assert_eq!(read(&[END, "[DONE]", stop]).unwrap(), ["finish ToolCalls", "usage 5", "done"]);
}

#[test]
fn an_error_ends_the_stream_whatever_form_it_has() {
    let own = r#"{"type":"error","error":{"type":"overloaded_error","message":"busy"}}"#;
    assert_eq!(read(&[own, END]).unwrap(), ["error busy"]);
    let mut reader = Dialect::AnthropicMessages.reader().unwrap();
    let named = reader.parse_event("error", br#"{"message":"busy"}"#).unwrap();
    assert_eq!(named.iter().map(line).collect::<Vec<_>>(), ["error busy"]);
}

#[test]
fn unknown_reasons_keep_their_own_word() {
    for (word, expected) in [
        ("pause_turn", FinishReason::Stop),
        ("model_context_window_exceeded", FinishReason::Length),
        ("tide_turned", FinishReason::Stop),
    ] {
        let end = format!(r#"{{"type":"message_delta","delta":{{"stop_reason":"{word}"}}}}"#);
        let mut reader = Dialect::AnthropicMessages.reader().unwrap();
        let events = reader.parse_event("", end.as_bytes()).unwrap();
        let Some(Event::Finish { finish, .. }) = events.last() else {
            panic!("no finish in {events:?}");
        };
        assert_eq!((finish.reason, finish.native.as_deref()), (expected, Some(word)));
    }
}

#[test]
fn a_server_cannot_make_a_reader_remember_without_end() {
    let starts: Vec<_> = (0..100).map(|index| start(index, TIDE)).collect();
    let starts: Vec<_> = starts.iter().map(String::as_str).collect();
    assert_eq!(read(&starts).unwrap_err().to_string(), "index: opens more blocks than a stream may hold open");
}

#[test]
fn what_is_not_json_is_refused_and_what_is_odd_is_not() {
    assert!(read(&["{\"type\":"]).is_err());
    let odd = [
        "",
        "  ",
        r#"{"type":7}"#,
        r#"{"type":"message_start","message":null}"#,
        r#"{"type":"content_block_start","index":-1,"content_block":[]}"#,
        r#"{"type":"content_block_delta","index":9,"delta":{"type":"text_delta","text":"lost"}}"#,
        r#"{"type":"content_block_stop","index":9}"#,
        r#"{"type":"message_delta","delta":null,"usage":[]}"#,
    ];
    assert!(read(&odd).is_ok());
}

#[test]
fn a_text_whose_beginning_the_server_leaves_out_is_read() {
    let text = r#"{"type":"text_delta","text":"High."}"#;
    let thought = r#"{"type":"thinking_delta","thinking":"Moon."}"#;
    let lines = read(&[&delta(0, thought), &stop(0), &delta(1, text), &delta(1, text), &stop(1), END]).unwrap();
    assert_eq!(
        lines[..7],
        ["reasoning_start", "reasoning Moon.", "reasoning_end", "text_start", "text High.", "text High.", "text_end"]
    );
}
