//! What servers say whole behind its pieces: what is missing of it is told, and nothing twice.

use super::{COMPLETED, line, read};
use crate::dialects::Dialect;
use crate::dialects::fold::Fold;
use crate::dialects::message::{Content, Event, Reply};

const MESSAGE: &str = r#""output_index":0,"item":{"type":"message","id":"msg_1","content":[]}"#;
const CALL: &str = r#""output_index":0,"item":{"type":"function_call","call_id":"c1","name":"look","arguments":""}"#;

fn done(parts: &str) -> String {
    format!(r#""output_index":0,"item":{{"type":"message","id":"msg_1","content":[{parts}]}}"#)
}

fn text(text: &str) -> String {
    format!(r#"{{"type":"output_text","text":"{text}"}}"#)
}

/// What was said of each kind, in one text each: text, reasoning, refusal, arguments.
fn said(lines: &[String]) -> [String; 4] {
    ["text ", "reasoning ", "refusal ", "call 0 += "].map(|kind| {
        let said = lines.iter().filter_map(|line| line.strip_prefix(kind));
        let quoted = kind == "reasoning ";
        said.map(|piece| if quoted { piece.trim_matches('"').replace("\\n", "|") } else { piece.to_owned() }).collect()
    })
}

/// The types that are named as not told.
fn untold(frames: &[(&str, &str)]) -> Vec<String> {
    let mut reader = Dialect::OpenAiResponses.reader().unwrap();
    let mut names = Vec::new();
    for (kind, rest) in frames {
        let data = format!(r#"{{"type":"{kind}",{rest}}}"#);
        for event in reader.parse_event(kind, data.as_bytes()).unwrap() {
            if let Event::Opaque { name, raw, .. } = event
                && name == super::super::UNTOLD
            {
                names.push(raw.as_str().to_owned());
            }
        }
    }
    names
}

#[test]
fn an_empty_object_in_front_of_the_arguments_is_none_of_them() {
    let delta = "response.function_call_arguments.delta";
    let real = |piece: &str| format!(r#""output_index":0,"delta":"{piece}""#);
    let whole = (
        "response.output_item.done",
        r#""output_index":0,"item":{"type":"function_call","call_id":"c1","name":"look","arguments":"{\"a\":1}"}"#,
    );
    let began_empty = CALL.replace(r#""arguments":"""#, r#""arguments":"{}""#);
    let empty_first = [real("{}"), real(r#"{\"a\""#), real(":1}")];
    let [empty, first, second] = empty_first.each_ref().map(|piece| (delta, piece.as_str()));
    for frames in [
        &[("response.output_item.added", began_empty.as_str()), first, second, whole][..],
        &[("response.output_item.added", CALL), empty, first, second, whole],
        &[("response.output_item.added", CALL), empty, whole],
        &[
            ("response.output_item.added", CALL),
            empty,
            ("response.function_call_arguments.done", r#""output_index":0,"arguments":"{}""#),
            whole,
        ],
    ] {
        let lines = read(&[frames, &[COMPLETED]].concat());
        assert_eq!(said(&lines)[3], r#"{"a":1}"#, "{lines:?}");
        assert!(untold(frames).is_empty(), "{frames:?}");
    }
    let none = read(&[("response.output_item.added", CALL), empty, COMPLETED]);
    assert_eq!(none[1..], ["call 0 += {}", "call 0 end", "finish ToolCalls", "done"]);
}

#[test]
fn arguments_that_only_their_end_tells_are_told() {
    let item = |arguments: &str| CALL.replace(r#""arguments":"""#, &format!(r#""arguments":"{arguments}""#));
    let whole = item(r#"{\"a\":1}"#);
    let completed =
        format!(r#""response":{{"status":"completed","output":[{}]}}"#, &whole[r#""output_index":0,"item":"#.len()..]);
    let piece = ("response.function_call_arguments.delta", r#""output_index":0,"delta":"{\"a\"""#);
    let end = ("response.function_call_arguments.done", r#""output_index":0,"arguments":"{\"a\":1}""#);
    let added = ("response.output_item.added", CALL);
    for frames in [
        &[added, end, COMPLETED][..],
        &[added, piece, end, COMPLETED],
        &[added, piece, ("response.output_item.done", whole.as_str()), COMPLETED],
        &[added, piece, ("response.completed", completed.as_str())],
        &[added, ("response.completed", completed.as_str())],
        &[("response.output_item.added", whole.as_str()), COMPLETED],
        &[("response.output_item.added", whole.as_str()), piece, end, COMPLETED],
    ] {
        let lines = read(frames);
        assert_eq!(said(&lines)[3], r#"{"a":1}"#, "{frames:?}");
        assert_eq!(lines.iter().filter(|line| *line == "call 0 end").count(), 1);
        assert!(untold(frames).is_empty(), "{frames:?}");
    }
}

#[test]
fn arguments_that_are_others_than_told_are_named() {
    let end = |arguments: &str| CALL.replace(r#""arguments":"""#, &format!(r#""arguments":"{arguments}""#));
    let piece = ("response.function_call_arguments.delta", r#""output_index":0,"delta":"{\"a\":1}""#);
    for (arguments, named) in
        [(r#"{\"a\":2}"#, true), (r#"{\"b\":1,\"a\":1}"#, true), (r#"{ \"a\": 1 }"#, false), ("{}", false), ("", false)]
    {
        let done = end(arguments);
        let frames = [("response.output_item.added", CALL), piece, ("response.output_item.done", done.as_str())];
        assert_eq!(said(&read(&frames))[3], r#"{"a":1}"#);
        let expected = named.then(|| r#"{"type":"function_call_arguments"}"#.to_owned());
        assert_eq!(untold(&frames), Vec::from_iter(expected), "{arguments}");
    }
}

#[test]
fn text_that_only_an_end_tells_is_told_once() {
    let delta = ("response.output_text.delta", r#""output_index":0,"content_index":0,"delta":"He""#);
    let text_done = ("response.output_text.done", r#""output_index":0,"content_index":0,"text":"Hello""#);
    let part = format!(r#""output_index":0,"content_index":0,"part":{}"#, text("Hello"));
    let item = done(&text("Hello"));
    let whole =
        format!(r#""response":{{"status":"completed","output":[{}]}}"#, &item[r#""output_index":0,"item":"#.len()..]);
    let added = ("response.output_item.added", MESSAGE);
    let ends = [
        text_done,
        ("response.content_part.done", part.as_str()),
        ("response.output_item.done", item.as_str()),
        ("response.completed", whole.as_str()),
    ];
    for first in 0..ends.len() {
        for begun in [&[added, delta][..], &[added], &[delta]] {
            let frames = [begun, &ends[first..]].concat();
            let lines = read(&frames);
            assert_eq!(said(&lines)[0], "Hello", "{frames:?}");
            assert!(untold(&frames).is_empty(), "{frames:?}");
        }
    }
}

#[test]
fn parts_that_were_not_told_follow_those_that_were() {
    let delta = ("response.output_text.delta", r#""output_index":0,"content_index":0,"delta":"One""#);
    let more =
        done(&format!(r#"{},{},{{"type":"refusal","refusal":"No"}},{{"type":"new"}}"#, text("One"), text("Two")));
    let lines =
        read(&[("response.output_item.added", MESSAGE), delta, ("response.output_item.done", &more), COMPLETED]);
    let expected = [
        "text_start",
        "text One",
        "text_end",
        "text_start",
        "text Two",
        "text_end",
        "refusal No",
        "finish Stop",
        "done",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn text_that_is_another_than_told_is_named_and_not_told_again() {
    let delta = ("response.output_text.delta", r#""output_index":0,"delta":"Hello.""#);
    let frames = [
        ("response.output_item.added", MESSAGE),
        delta,
        ("response.output_text.done", r#""output_index":0,"text":"Hello, Ada""#),
        ("response.output_item.done", &done(&text("Hello, Ada"))),
    ];
    assert_eq!(said(&read(&frames))[0], "Hello.");
    assert_eq!(untold(&frames)[0], r#"{"type":"output_text"}"#);
}

#[test]
fn the_rest_of_a_text_is_not_told_behind_another_text() {
    let second = MESSAGE.replace(r#""output_index":0"#, r#""output_index":1"#).replace("msg_1", "msg_2");
    let frames = [
        ("response.output_item.added", MESSAGE),
        ("response.output_text.delta", r#""output_index":0,"delta":"Hel""#),
        ("response.output_item.added", second.as_str()),
        ("response.output_text.delta", r#""output_index":1,"delta":"World""#),
        ("response.output_item.done", &done(&text("Hello"))),
    ];
    assert_eq!(said(&read(&frames))[0], "HelWorld");
    assert_eq!(untold(&frames), [r#"{"type":"output_text"}"#]);
}

#[test]
fn reasoning_that_only_an_end_tells_is_told_once() {
    let part = |text: &str| format!(r#"{{"type":"summary_text","text":"{text}"}}"#);
    let added =
        ("response.output_item.added", r#""output_index":0,"item":{"type":"reasoning","id":"rs_1","summary":[]}"#);
    let delta = ("response.reasoning_summary_text.delta", r#""output_index":0,"summary_index":0,"delta":"On""#);
    let end = ("response.reasoning_summary_text.done", r#""output_index":0,"summary_index":0,"text":"One""#);
    let second = format!(r#""output_index":0,"summary_index":1,"part":{}"#, part("Two"));
    let second = ("response.reasoning_summary_part.done", second.as_str());
    let item = format!(
        r#""output_index":0,"item":{{"type":"reasoning","id":"rs_1","summary":[{},{}]}}"#,
        part("One"),
        part("Two")
    );
    let item = ("response.output_item.done", item.as_str());
    for frames in [
        &[added, delta, end, second, item, COMPLETED][..],
        &[added, delta, item, COMPLETED],
        &[added, end, second, item, COMPLETED],
        &[added, item, COMPLETED],
        &[delta, end, second, COMPLETED],
    ] {
        assert_eq!(said(&read(frames))[1], "One||Two", "{frames:?}");
        assert!(untold(frames).is_empty(), "{frames:?}");
    }
}

#[test]
fn links_that_only_an_end_tells_are_told_once() {
    let link = r#"{"type":"url_citation","url":"https://example.com/a","start_index":0,"end_index":2}"#;
    let cited = format!(r#"{{"type":"output_text","text":"Hi","annotations":[{link}]}}"#);
    let told = format!(r#""output_index":0,"annotation":{link}"#);
    let part = format!(r#""output_index":0,"part":{cited}"#);
    let delta = ("response.output_text.delta", r#""output_index":0,"delta":"Hi""#);
    let item = done(&cited);
    let item = ("response.output_item.done", item.as_str());
    for frames in [
        &[
            delta,
            ("response.output_text.annotation.added", told.as_str()),
            ("response.content_part.done", part.as_str()),
            item,
        ][..],
        &[delta, ("response.content_part.done", part.as_str()), item],
        &[delta, item],
    ] {
        let lines = read(frames);
        assert_eq!(lines.iter().filter(|line| line.starts_with("citation")).count(), 1, "{lines:?}");
    }
}

#[test]
fn items_that_only_the_response_holds_are_told_beside_those_that_were() {
    let call = r#"{"type":"function_call","id":"fc_1","call_id":"c1","name":"look","arguments":"{}"}"#;
    let hidden = r#"{"type":"reasoning","id":"rs_1","summary":[],"encrypted_content":"blob"}"#;
    let message = format!(r#"{{"type":"message","id":"another","content":[{}]}}"#, text("Hi"));
    let whole = format!(r#""response":{{"status":"completed","output":[{hidden},{message},{call}]}}"#);
    let lines = read(&[
        ("response.output_item.added", MESSAGE),
        ("response.output_text.delta", r#""output_index":0,"delta":"Hi""#),
        ("response.output_item.done", &done(&text("Hi"))),
        ("response.completed", &whole),
    ]);
    let expected = [
        "text_start",
        "text Hi",
        "text_end",
        "redacted blob",
        "call 0 look id=c1",
        "call 0 += {}",
        "call 0 end",
        "finish ToolCalls",
        "done",
    ];
    assert_eq!(lines, expected);
}

#[test]
fn what_is_held_back_is_bounded() {
    let mut reader = Dialect::OpenAiResponses.reader().unwrap();
    let arguments = "x".repeat(1 << 20);
    let refused = (0..20).find_map(|index| {
        let data = format!(
            r#"{{"type":"response.output_item.added","output_index":{index},"item":{{"type":"function_call","name":"f","arguments":"{arguments}"}}}}"#
        );
        reader.parse_event("", data.as_bytes()).err()
    });
    assert_eq!(refused.unwrap().to_string(), "output: holds more arguments than a stream may have");
}

/// A response, and streams of it that leave out more and more.
#[test]
fn a_stream_says_what_its_whole_response_says_however_much_it_leaves_out() {
    let items = [
        r#"{"type":"reasoning","id":"rs_1","summary":[{"type":"summary_text","text":"Why"},{"type":"summary_text","text":"not"}]}"#,
        r#"{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[{"type":"output_text","text":"Hello"},{"type":"refusal","refusal":"No"}]}"#,
        r#"{"type":"function_call","id":"fc_1","call_id":"c1","name":"look","arguments":"{\"a\":1}"}"#,
    ];
    let response = format!(r#"{{"id":"resp_1","model":"m","status":"completed","output":[{}]}}"#, items.join(","));
    let Reply::Chat(whole) = Dialect::OpenAiResponses.parse_reply(response.as_bytes()).unwrap() else { panic!() };
    let expected: Vec<String> = whole.choices[0].turn.blocks.iter().map(|block| words(&block.content)).collect();
    for told in 0..1_u32 << items.len() {
        let mut reader = Dialect::OpenAiResponses.reader().unwrap();
        let mut fold = Fold::new(1 << 20);
        let told = items.iter().enumerate().filter(|(index, _)| told & (1 << index) != 0);
        let items = told.map(|(index, item)| {
            format!(r#"{{"type":"response.output_item.done","output_index":{index},"item":{item}}}"#)
        });
        let end = format!(r#"{{"type":"response.completed","response":{response}}}"#);
        for data in items.chain([end]) {
            for event in reader.parse_event("", data.as_bytes()).unwrap() {
                assert!(line(&event).is_none_or(|line| !line.starts_with("error")));
                fold.add(&event).unwrap();
            }
        }
        let reply = fold.finish().unwrap();
        let mut found: Vec<String> = reply.choices[0].turn.blocks.iter().map(|block| words(&block.content)).collect();
        found.sort_unstable_by_key(|found| expected.iter().position(|expected| expected == found));
        assert_eq!(found, expected);
        assert_eq!(reply.choices[0].finish.as_ref().unwrap().reason, whole.choices[0].finish.as_ref().unwrap().reason);
    }
}

fn words(content: &Content<'_>) -> String {
    match content {
        Content::Text { text, .. } => format!("text {text}"),
        Content::Refusal { text, .. } => format!("refusal {text}"),
        Content::Reasoning(reasoning) => format!("reasoning {:?}", reasoning.text),
        Content::ToolCall(call) => format!("call {} {} {}", call.id, call.name, call.arguments),
        _ => "other".to_owned(),
    }
}
