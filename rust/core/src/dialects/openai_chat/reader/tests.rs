//! Chunks as servers really send them, with invented words in them.

mod calls;

use crate::dialects::message::{Event, FinishReason};
use crate::dialects::{Dialect, DialectError};

/// One line per event, short enough to compare by eye.
fn line(event: &Event<'_>) -> String {
    match event {
        Event::MessageStart { id, .. } => format!("start {id}"),
        Event::TextDelta { choice, text, .. } => format!("{choice} text {text}"),
        Event::TextStart { choice } => format!("{choice} text_start"),
        Event::TextEnd { choice } => format!("{choice} text_end"),
        Event::ReasoningStart { choice } => format!("{choice} reasoning_start"),
        Event::ReasoningDelta { choice, text } => format!("{choice} reasoning {text}"),
        Event::ReasoningSignature { choice, signature } => format!("{choice} signed {signature}"),
        Event::ReasoningRedacted { choice, data } => format!("{choice} redacted {data}"),
        Event::ReasoningEnd { choice } => format!("{choice} reasoning_end"),
        Event::RefusalDelta { choice, text } => format!("{choice} refusal {text}"),
        Event::ToolCallStart { choice, call, id, name, .. } => format!("{choice} call {call} {name} id={id}"),
        Event::ToolCallDelta { choice, call, arguments, .. } => format!("{choice} call {call} += {arguments}"),
        Event::ToolCallEnd { choice, call } => format!("{choice} call {call} end"),
        Event::Finish { choice, finish } => format!("{choice} finish {:?}", finish.reason),
        Event::Usage(usage) => format!("usage {}", usage.tokens.total_tokens),
        Event::Error(error) => format!("error {}", error.message),
        Event::Done => "done".to_owned(),
        other => format!("{other:?}"),
    }
}

fn read(chunks: &[&str]) -> Result<Vec<String>, DialectError> {
    let mut reader = Dialect::OpenAiChat.reader().unwrap();
    let mut lines = Vec::new();
    for chunk in chunks {
        let events = reader.parse_event("", chunk.as_bytes())?;
        lines.extend(events.iter().map(line));
    }
    Ok(lines)
}

/// Wraps a delta of choice 0 in a chunk.
fn chunk(delta: &str, finish: &str) -> String {
    format!(
        r#"{{"id":"c-1","object":"chat.completion.chunk","created":7,"model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#
    )
}

fn read_deltas(deltas: &[(&str, &str)]) -> Vec<String> {
    let chunks: Vec<_> = deltas.iter().map(|(delta, finish)| chunk(delta, finish)).collect();
    let chunks: Vec<_> = chunks.iter().map(String::as_str).collect();
    let mut lines = read(&chunks).unwrap();
    assert_eq!(lines.remove(0), "start c-1");
    lines
}

#[test]
fn a_role_in_every_chunk_starts_nothing_twice() {
    let lines = read_deltas(&[
        (r#"{"role":"assistant","content":""}"#, "null"),
        (r#"{"role":"assistant","content":"Good"}"#, "null"),
        (r#"{"role":null,"content":" day"}"#, "null"),
        (r#"{"role":"assistant","content":""}"#, r#""stop""#),
    ]);
    assert_eq!(lines, ["0 text_start", "0 text Good", "0 text  day", "0 text_end", "0 finish Stop"]);
}

#[test]
fn content_in_the_finish_chunk_comes_before_the_finish() {
    let lines = read_deltas(&[(r#"{"content":"All."}"#, r#""length""#)]);
    assert_eq!(lines, ["0 text_start", "0 text All.", "0 text_end", "0 finish Length"]);
}

#[test]
fn a_repeated_finish_is_one_finish() {
    let last = chunk(r#"{"content":""}"#, r#""stop""#);
    let repeated = last.replace("}]}", r#"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#);
    let lines = read(&[&last, &repeated, "[DONE]", "[DONE]"]).unwrap();
    assert_eq!(lines, ["start c-1", "0 finish Stop", "usage 3", "done"]);
}

#[test]
fn an_opening_chunk_without_id_or_choices_does_not_start_the_message() {
    let lines = read(&[
        r#"{"choices":[],"id":"","model":"","object":"","prompt_filter_results":[]}"#,
        &chunk(r#"{"content":"Hi"}"#, "null"),
    ])
    .unwrap();
    assert_eq!(lines, ["start c-1", "0 text_start", "0 text Hi"]);
}

#[test]
fn empty_or_null_ids_and_names_continue_the_call_they_follow() {
    let lines = read_deltas(&[
        (
            r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"look","arguments":""}}]}"#,
            "null",
        ),
        (
            r#"{"tool_calls":[{"index":0,"id":"","type":"function","function":{"name":"","arguments":"{\"at\":"}}]}"#,
            "null",
        ),
        (
            r#"{"tool_calls":[{"index":0,"id":null,"type":"function","function":{"name":null,"arguments":"1}"}}]}"#,
            r#""tool_calls""#,
        ),
    ]);
    assert_eq!(
        lines,
        ["0 call 0 look id=a", r#"0 call 0 += {"at":"#, "0 call 0 += 1}", "0 call 0 end", "0 finish ToolCalls"]
    );
}

#[test]
fn repeated_ids_and_names_are_the_same_call() {
    let piece = |arguments: &str| {
        format!(
            r#"{{"tool_calls":[{{"index":0,"id":"a","type":"function","function":{{"name":"look","arguments":"{arguments}"}}}}]}}"#
        )
    };
    let lines = read_deltas(&[(&piece("1"), "null"), (&piece("2"), "null")]);
    assert_eq!(lines, ["0 call 0 look id=a", "0 call 0 += 1", "0 call 0 += 2"]);
}

#[test]
fn interleaved_calls_are_numbered_by_first_appearance() {
    let lines = read_deltas(&[
        (r#"{"tool_calls":[{"index":4,"id":"a","function":{"name":"one","arguments":""}}]}"#, "null"),
        (r#"{"tool_calls":[{"index":2,"id":"b","function":{"name":"two","arguments":""}}]}"#, "null"),
        (
            r#"{"tool_calls":[{"index":4,"function":{"arguments":"1"}},{"index":2,"function":{"arguments":"2"}}]}"#,
            "null",
        ),
    ]);
    assert_eq!(lines, ["0 call 0 one id=a", "0 call 0 += 1", "0 call 1 two id=b", "0 call 1 += 2"]);
}

#[test]
fn whole_calls_without_an_index_or_all_with_the_same_are_different_calls() {
    for index in ["", r#""index":0,"#] {
        let delta = format!(
            r#"{{"tool_calls":[{{{index}"id":"a","function":{{"name":"look","arguments":"1"}}}},{{{index}"id":"b","function":{{"name":"look","arguments":"2"}}}}]}}"#
        );
        let lines = read_deltas(&[(&delta, "null")]);
        assert_eq!(lines, ["0 call 0 look id=a", "0 call 0 += 1", "0 call 1 look id=b", "0 call 1 += 2"]);
    }
}

#[test]
fn a_call_without_an_id_gets_one_that_depends_only_on_the_stream() {
    let delta = r#"{"tool_calls":[{"index":0,"id":"null","function":{"name":"look","arguments":"{}"}},{"index":1,"function":{"name":"look","arguments":"{}"}}]}"#;
    let lines = read_deltas(&[(delta, "null")]);
    assert_eq!(lines, read_deltas(&[(delta, "null")]));
    let ids: Vec<_> = lines.iter().filter_map(|line| line.split_once("id=")).collect();
    assert!(ids.iter().all(|(_, id)| id.starts_with("call_") && id.len() == 29));
    assert_ne!(ids[0].1, ids[1].1);
}

#[test]
fn a_name_may_come_a_chunk_late() {
    let lines = read_deltas(&[
        (r#"{"tool_calls":[{"index":0,"id":"a","function":{}}]}"#, "null"),
        (r#"{"tool_calls":[{"index":0,"function":{"name":"look"}}]}"#, r#""tool_calls""#),
    ]);
    assert_eq!(lines, ["0 call 0 look id=a", "0 call 0 end", "0 finish ToolCalls"]);
}

#[test]
fn reasoning_is_read_once_from_whichever_fields_repeat_it() {
    let lines = read_deltas(&[
        (
            r#"{"content":"","reasoning":"Hm","reasoning_details":[{"type":"reasoning.text","text":"Hm","index":0}]}"#,
            "null",
        ),
        (r#"{"reasoning_content":", so","reasoning":", so"}"#, "null"),
        (
            r#"{"reasoning_details":[{"type":"reasoning.text","signature":"sig"},{"type":"reasoning.encrypted","data":"blob"}]}"#,
            "null",
        ),
        (r#"{"content":"Yes"}"#, r#""stop""#),
    ]);
    assert_eq!(
        lines,
        [
            "0 reasoning_start",
            "0 reasoning Hm",
            "0 reasoning , so",
            "0 signed sig",
            "0 reasoning_end",
            "0 redacted blob",
            "0 text_start",
            "0 text Yes",
            "0 text_end",
            "0 finish Stop"
        ]
    );
}

#[test]
fn content_may_be_parts_some_of_them_thoughts() {
    let lines = read_deltas(&[
        (r#"{"content":[{"type":"thinking","thinking":[{"type":"text","text":"Hm"}]}]}"#, "null"),
        (r#"{"content":[{"type":"text","text":"Yes"}]}"#, "null"),
    ]);
    assert_eq!(lines, ["0 reasoning_start", "0 reasoning Hm", "0 reasoning_end", "0 text_start", "0 text Yes"]);
}

#[test]
fn choices_run_beside_each_other_and_finish_one_by_one() {
    let lines = read(&[
        r#"{"id":"c-1","choices":[{"index":1,"delta":{"content":"b"}},{"index":0,"delta":{"content":"a"}}]}"#,
        r#"{"id":"c-1","choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        r#"{"id":"c-1","choices":[{"index":1,"delta":{},"finish_reason":"length"}]}"#,
    ])
    .unwrap();
    assert_eq!(
        lines,
        [
            "start c-1",
            "1 text_start",
            "1 text b",
            "0 text_start",
            "0 text a",
            "0 text_end",
            "0 finish Stop",
            "1 text_end",
            "1 finish Length"
        ]
    );
}

#[test]
fn an_empty_finish_reason_counts_only_when_nothing_better_came() {
    let call = r#"{"tool_calls":[{"index":0,"id":"a","function":{"name":"look","arguments":"{}"}}]}"#;
    let chunks = [chunk(r#"{"content":""}"#, r#""""#), chunk(call, r#""""#)];
    let lines = read(&[&chunks[0], &chunks[1], "[DONE]"]).unwrap();
    assert_eq!(lines[3..], ["0 call 0 end", "0 finish ToolCalls", "done"]);
}

#[test]
fn an_error_ends_the_stream_whatever_form_it_has() {
    let half = chunk(r#"{"content":"Half"}"#, "null");
    for error in [
        r#"{"error":{"message":"broken","code":502}}"#,
        r#"{"id":"c-1","choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}],"error":{"message":"broken"}}"#,
        r#"{"error":"broken"}"#,
        r#"{"object":"error","message":"broken","code":500}"#,
    ] {
        let lines = read(&[&half, error, &half, "[DONE]"]).unwrap();
        assert_eq!(lines[3..], ["error broken"], "{error}");
    }
    let mut reader = Dialect::OpenAiChat.reader().unwrap();
    let named = reader.parse_event("error", br#"{"message":"broken"}"#).unwrap();
    assert_eq!(named.iter().map(line).collect::<Vec<_>>(), ["error broken"]);
}

#[test]
fn a_finish_reason_that_says_error_is_an_error() {
    let lines = read_deltas(&[(r#"{"content":"Half"}"#, r#""insufficient_system_resource""#)]);
    assert_eq!(lines[2..], ["error the upstream ended its answer with an error"]);
}

#[test]
fn legacy_and_custom_calls_are_calls() {
    let lines = read_deltas(&[
        (r#"{"function_call":{"name":"look","arguments":""}}"#, "null"),
        (r#"{"function_call":{"arguments":"{}"}}"#, r#""function_call""#),
    ]);
    assert_eq!(lines, ["0 call 0 look id=", "0 call 0 += {}", "0 call 0 end", "0 finish FunctionCall"]);
    let lines = read_deltas(&[(
        r#"{"tool_calls":[{"index":0,"id":"a","type":"custom","custom":{"name":"patch","input":"*** go"}}]}"#,
        "null",
    )]);
    assert_eq!(lines, ["0 call 0 patch id=a", "0 call 0 += *** go"]);
}

#[test]
fn null_floats_and_missing_totals_are_usage_too() {
    let lines = read(&[
        r#"{"id":"c","choices":[],"usage":{"prompt_tokens":3.0,"completion_tokens":null,"prompt_tokens_details":null}}"#,
        r#"{"id":"c","choices":[],"usage":null}"#,
    ])
    .unwrap();
    assert_eq!(lines, ["start c", "usage 3"]);
}

#[test]
fn a_server_cannot_make_a_reader_remember_without_end() {
    let calls = |from: usize| {
        let entries: Vec<_> =
            (from..from + 600).map(|n| format!(r#"{{"index":{n},"id":"{n}","function":{{"name":"f"}}}}"#)).collect();
        chunk(&format!(r#"{{"tool_calls":[{}]}}"#, entries.join(",")), "null")
    };
    let error = read(&[&calls(0), &calls(600)]).unwrap_err();
    assert_eq!(error.to_string(), "choices: holds more tool calls than a stream may have");
    let choices: Vec<_> = (0..200).map(|n| format!(r#"{{"index":{n},"delta":{{}}}}"#)).collect();
    let crowd = format!(r#"{{"id":"c","choices":[{}]}}"#, choices.join(","));
    assert!(read(&[&crowd]).is_err());
}

#[test]
fn what_is_not_json_is_refused_and_what_is_odd_is_not() {
    assert!(read(&["{\"id\":"]).is_err());
    let odd = [
        "",
        "  ",
        r#"{"id":1,"choices":null}"#,
        r#"{"choices":[null,{"delta":null},{"delta":{"tool_calls":[null,{}]}}]}"#,
    ];
    assert!(read(&odd).is_ok());
}

#[test]
fn unknown_finish_reasons_keep_their_own_word() {
    let text = chunk("{}", r#""eos""#);
    let mut reader = Dialect::OpenAiChat.reader().unwrap();
    let events = reader.parse_event("", text.as_bytes()).unwrap();
    let Some(Event::Finish { finish, .. }) = events.last() else {
        panic!("no finish in {events:?}");
    };
    assert_eq!(finish.reason, FinishReason::Stop);
    assert_eq!(finish.native.as_deref(), Some("eos"));
}

#[test]
fn calls_of_one_tool_with_one_id_are_two_where_their_numbers_say_so() {
    let lines = read_deltas(&[
        (r#"{"tool_calls":[{"index":0,"id":"tide","function":{"name":"tide","arguments":"{\"at\":1}"}}]}"#, "null"),
        (r#"{"tool_calls":[{"index":1,"id":"tide","function":{"name":"tide","arguments":""}}]}"#, "null"),
        (r#"{"tool_calls":[{"index":1,"id":"tide","function":{"arguments":"{\"at\":2}"}}]}"#, "null"),
        (r#"{"tool_calls":[{"index":0,"id":"tide","function":{"arguments":""}}]}"#, "\"tool_calls\""),
    ]);
    assert_eq!(
        lines,
        [
            "0 call 0 tide id=tide",
            "0 call 0 += {\"at\":1}",
            "0 call 0 end",
            "0 call 1 tide id=tide",
            "0 call 1 += {\"at\":2}",
            "0 call 1 end",
            "0 finish ToolCalls",
        ]
    );
}

#[test]
fn whole_calls_with_one_number_and_no_id_are_different_calls() {
    let call = |name: &str, arguments: &str| {
        format!(r#"{{"tool_calls":[{{"index":0,"id":"","function":{{"name":"{name}","arguments":"{arguments}"}}}}]}}"#)
    };
    let lines = read_deltas(&[(&call("a", r#"{\"x\":1}"#), "null"), (&call("b", r#"{\"y\":2}"#), "\"tool_calls\"")]);
    let said: Vec<_> = lines.iter().filter(|line| line.contains("+=")).collect();
    assert_eq!(said, ["0 call 0 += {\"x\":1}", "0 call 1 += {\"y\":2}"], "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("0 call 1 b id=")), "{lines:?}");
}
