//! Servers that leave events out, repeat them or mix them, read as one answer.

mod wholes;

use crate::dialects::Dialect;
use crate::dialects::message::{Envelope, Event};

fn line(event: &Event<'_>) -> Option<String> {
    Some(match event {
        Event::MessageStart { id, .. } => format!("start {id}"),
        Event::TextStart { .. } => "text_start".to_owned(),
        Event::TextDelta { text, .. } => format!("text {text}"),
        Event::TextEnd { .. } => "text_end".to_owned(),
        Event::ReasoningStart { .. } => "reasoning_start".to_owned(),
        Event::ReasoningDelta { text, .. } => format!("reasoning {text:?}"),
        Event::ReasoningSignature { signature, .. } => format!("signature {signature}"),
        Event::ReasoningRedacted { data, .. } => format!("redacted {data}"),
        Event::ReasoningEnd { .. } => "reasoning_end".to_owned(),
        Event::Media { .. } => "media".to_owned(),
        Event::RefusalDelta { text, .. } => format!("refusal {text}"),
        Event::ToolCallStart { call, id, name, .. } => format!("call {call} {name} id={id}"),
        Event::ToolCallDelta { call, arguments, .. } => format!("call {call} += {arguments}"),
        Event::ToolCallEnd { call, .. } => format!("call {call} end"),
        Event::Citation { citation, .. } => format!("citation {:?}", citation.url.as_deref()),
        Event::Finish { finish, .. } => format!("finish {:?}", finish.reason),
        Event::Usage(usage) => format!("usage {}", usage.tokens.prompt_tokens),
        Event::Error(error) => format!("error {} {:?}", error.message, error.code.as_deref()),
        Event::Done => "done".to_owned(),
        Event::Opaque { .. } => return None,
    })
}

/// The neutral events after the start; each frame is `type` and the rest of an object.
fn read(frames: &[(&str, &str)]) -> Vec<String> {
    let mut reader = Dialect::OpenAiResponses.reader().unwrap();
    let created = ("response.created", r#""response":{"id":"resp_1","model":"m"}"#);
    let mut lines = Vec::new();
    for (kind, rest) in std::iter::once(&created).chain(frames) {
        let data = format!(r#"{{"type":"{kind}",{rest}}}"#);
        lines.extend(reader.parse_event(kind, data.as_bytes()).unwrap().iter().filter_map(line));
    }
    assert_eq!(lines.remove(0), "start resp_1");
    lines
}

const COMPLETED: (&str, &str) =
    ("response.completed", r#""response":{"id":"resp_1","status":"completed","output":[]}"#);

#[test]
fn a_server_that_tells_only_whole_items_is_heard() {
    let lines = read(&[
        (
            "response.output_item.done",
            r#""output_index":0,"item":{"type":"message","content":[{"type":"output_text","text":"Hi"}]}"#,
        ),
        (
            "response.output_item.done",
            r#""output_index":1,"item":{"type":"function_call","call_id":"a","name":"look","arguments":"{}"}"#,
        ),
        COMPLETED,
    ]);
    let expected = [
        "text_start",
        "text Hi",
        "text_end",
        "call 0 look id=a",
        "call 0 += {}",
        "call 0 end",
        "finish ToolCalls",
        "done",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn a_server_that_tells_all_at_the_end_is_heard() {
    let lines = read(&[(
        "response.completed",
        r#""response":{"output":[{"type":"reasoning","id":"r","summary":[{"type":"summary_text","text":"Hm"}],"encrypted_content":"blob"},
            {"type":"message","content":[{"type":"output_text","text":"Hi"},{"type":"refusal","refusal":"No"}]}],
            "usage":{"input_tokens":3,"output_tokens":1}}"#,
    )]);
    let expected = [
        "reasoning_start",
        "reasoning \"Hm\"",
        "signature blob",
        "reasoning_end",
        "text_start",
        "text Hi",
        "text_end",
        "refusal No",
        "finish Stop",
        "usage 3",
        "done",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn what_came_in_pieces_is_not_taken_again() {
    let lines = read(&[
        ("response.output_item.added", r#""output_index":0,"item":{"type":"message","content":[]}"#),
        ("response.output_text.delta", r#""output_index":0,"delta":"Hi""#),
        ("response.output_item.added", r#""output_index":1,"item":{"type":"reasoning","summary":[]}"#),
        ("response.output_text.done", r#""output_index":0,"text":"Hi""#),
        (
            "response.output_item.done",
            r#""output_index":0,"item":{"type":"message","content":[{"type":"output_text","text":"Hi"}]}"#,
        ),
        (
            "response.output_item.done",
            r#""output_index":1,"item":{"type":"reasoning","summary":[],"encrypted_content":"blob"}"#,
        ),
        COMPLETED,
    ]);
    assert_eq!(lines, ["text_start", "text Hi", "text_end", "redacted blob", "finish Stop", "done"]);
}

#[test]
fn arguments_come_once_whether_in_pieces_or_whole() {
    for frames in [
        &[
            ("response.function_call_arguments.delta", r#""output_index":0,"delta":"{}""#),
            ("response.function_call_arguments.done", r#""output_index":0,"arguments":"{}""#),
        ][..],
        &[("response.function_call_arguments.done", r#""output_index":0,"arguments":"{}""#)],
        &[],
    ] {
        let added = ("response.output_item.added", r#""output_index":0,"item":{"type":"function_call","name":"look"}"#);
        let done = (
            "response.output_item.done",
            r#""output_index":0,"item":{"type":"function_call","name":"look","arguments":"{}"}"#,
        );
        let lines = read(&[&[added], frames, &[done, COMPLETED]].concat());
        assert!(lines[0].starts_with("call 0 look id=call_"), "{lines:?}");
        assert_eq!(lines[1..], ["call 0 += {}", "call 0 end", "finish ToolCalls", "done"]);
    }
}

#[test]
fn the_parts_of_a_summary_are_one_text_with_an_empty_line_between() {
    let lines = read(&[
        ("response.output_item.added", r#""output_index":0,"item":{"type":"reasoning","summary":[]}"#),
        ("response.reasoning_summary_part.added", r#""output_index":0,"part":{"type":"summary_text","text":""}"#),
        ("response.reasoning_summary_text.delta", r#""output_index":0,"delta":"One""#),
        ("response.reasoning_summary_part.added", r#""output_index":0,"part":{"type":"summary_text","text":""}"#),
        ("response.reasoning_summary_text.delta", r#""output_index":0,"delta":"Two""#),
        ("response.output_item.done", r#""output_index":0,"item":{"type":"reasoning"}"#),
        COMPLETED,
    ]);
    let expected = [
        "reasoning_start",
        "reasoning \"One\"",
        "reasoning \"\\n\\n\"",
        "reasoning \"Two\"",
        "reasoning_end",
        "finish Stop",
        "done",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn an_error_ends_the_stream_whatever_form_it_has() {
    for (kind, rest) in [
        ("error", r#""code":"server_error","message":"broken","param":null"#),
        ("error", r#""error":{"code":"server_error","message":"broken"}"#),
        ("response.failed", r#""response":{"status":"failed","error":{"code":"server_error","message":"broken"}}"#),
    ] {
        let lines = read(&[(kind, rest), COMPLETED]);
        assert_eq!(lines, ["error broken Some(\"server_error\")"], "{kind} {rest}");
    }
}

#[test]
fn states_tell_how_an_answer_ended() {
    for (kind, response, expected) in [
        (
            "incomplete",
            r#"{"status":"incomplete","incomplete_details":{"reason":"max_output_tokens"}}"#,
            "finish Length",
        ),
        (
            "incomplete",
            r#"{"status":"incomplete","incomplete_details":{"reason":"content_filter"}}"#,
            "finish ContentFilter",
        ),
        ("incomplete", r#"{"status":"incomplete","incomplete_details":null}"#, "finish Length"),
        ("completed", "{}", "finish Stop"),
    ] {
        let lines = read(&[(&format!("response.{kind}"), &format!(r#""response":{response}"#))]);
        assert_eq!(lines, [expected, "done"]);
    }
}

#[test]
fn a_stream_that_never_says_how_it_ended_has_no_finish() {
    let mut reader = Dialect::OpenAiResponses.reader().unwrap();
    let events = reader.parse_event("", b"[DONE]").unwrap();
    assert_eq!(events.as_slice(), [Event::Done]);
}

#[test]
fn a_server_cannot_make_a_reader_remember_without_end() {
    let mut reader = Dialect::OpenAiResponses.reader().unwrap();
    let refused = (0..10_000).find_map(|index| {
        let data =
            format!(r#"{{"type":"response.output_item.added","output_index":{index},"item":{{"type":"message"}}}}"#);
        reader.parse_event("", data.as_bytes()).err()
    });
    assert_eq!(refused.unwrap().to_string(), "output: holds more items than a stream may have");
}

#[test]
fn what_is_odd_is_read_around() {
    for data in [
        "{}",
        "[]",
        "7",
        r#"{"type":7}"#,
        r#"{"type":"response.output_item.added","item":7}"#,
        r#"{"type":"response.output_item.done","output_index":3,"item":[]}"#,
        r#"{"type":"response.output_text.delta","delta":{}}"#,
        r#"{"type":"response.content_part.added","part":null}"#,
        r#"{"type":"response.completed","response":{"output":[1,{},{"type":"message"}],"usage":7}}"#,
        r#"{"type":"response.new.kind","new":1}"#,
    ] {
        let mut reader = Dialect::OpenAiResponses.reader().unwrap();
        let mut writer = Dialect::OpenAiResponses.writer(&Envelope::default()).unwrap();
        let mut out = Vec::new();
        for event in reader.parse_event("", data.as_bytes()).into_iter().flatten() {
            writer.render_event(&event, &mut out);
        }
        assert!(String::from_utf8(out).is_ok(), "{data}");
    }
}

#[test]
fn events_without_numbers_are_about_the_item_that_they_name() {
    let added = "response.output_item.added";
    let done = "response.output_item.done";
    let call =
        |name: &str| format!(r#""item":{{"type":"function_call","id":"fc_{name}","call_id":"{name}","name":"{name}""#);
    let lines = read(&[
        (added, r#""item":{"type":"message","id":"msg_1","content":[]}"#),
        ("response.output_text.delta", r#""item_id":"msg_1","delta":"Hi""#),
        (added, &format!("{},\"arguments\":\"\"}}", call("a"))),
        ("response.function_call_arguments.delta", r#""item_id":"fc_a","delta":"[1]""#),
        (added, &format!("{},\"arguments\":\"\"}}", call("b"))),
        ("response.function_call_arguments.delta", r#""item_id":"fc_b","delta":"[]""#),
        (done, r#""item":{"type":"message","id":"msg_1","content":[{"type":"output_text","text":"Hi"}]}"#),
        (done, &format!("{},\"arguments\":\"[1]\"}}", call("a"))),
        (done, &format!("{},\"arguments\":\"[]\"}}", call("b"))),
        COMPLETED,
    ]);
    let said: Vec<&str> =
        lines.iter().map(String::as_str).filter(|line| !line.ends_with("_start") && !line.ends_with("_end")).collect();
    assert_eq!(
        said,
        [
            "text Hi",
            "call 0 a id=a",
            "call 0 += [1]",
            "call 1 b id=b",
            "call 1 += []",
            "call 0 end",
            "call 1 end",
            "finish ToolCalls",
            "done"
        ]
    );
}

#[test]
fn a_part_of_a_new_kind_does_not_have_a_text_told_twice() {
    let at = r#""item_id":"msg_1","output_index":0,"content_index":0"#;
    let lines = read(&[
        ("response.output_item.added", r#""output_index":0,"item":{"type":"message","id":"msg_1","content":[]}"#),
        ("response.output_text.delta", &format!(r#"{at},"delta":"Hi""#)),
        ("response.content_part.added", &format!(r#"{at},"part":{{"type":"output_of_tomorrow"}}"#)),
        ("response.output_text.done", &format!(r#"{at},"text":"Hi""#)),
    ]);
    assert_eq!(lines.iter().filter(|line| line.starts_with("text Hi")).count(), 1, "{lines:?}");
}

#[test]
fn an_item_whose_beginning_the_server_leaves_out_is_told_once() {
    let at = r#""item_id":"msg_1","output_index":0,"content_index":0"#;
    let done =
        r#""output_index":0,"item":{"type":"message","id":"msg_1","content":[{"type":"output_text","text":"Hi"}]}"#;
    let thought = r#""item_id":"rs_1","output_index":1,"summary_index":0"#;
    let reasoned =
        r#""output_index":1,"item":{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Why"}]}"#;
    let lines = read(&[
        ("response.output_text.delta", &format!(r#"{at},"delta":"Hi""#)),
        ("response.output_text.done", &format!(r#"{at},"text":"Hi""#)),
        ("response.output_item.done", done),
        ("response.reasoning_summary_text.delta", &format!(r#"{thought},"delta":"Why""#)),
        ("response.output_item.done", reasoned),
        (
            "response.completed",
            &format!(
                r#""response":{{"status":"completed","output":[{}]}}"#,
                &done[r#""output_index":0,"item":"#.len()..]
            ),
        ),
    ]);
    assert_eq!(lines.iter().filter(|line| line.starts_with("text Hi")).count(), 1, "{lines:?}");
    assert_eq!(lines.iter().filter(|line| line.starts_with("reasoning \"Why\"")).count(), 1, "{lines:?}");
}
