//! The rules of the scanner, one sentence each.

use crate::json::{Field, JsonError, JsonErrorKind as Kind, Limits, Media, Roles, Scan, Scanner, Shape, scan};

fn chat(body: &str) -> Result<Scan, JsonError> {
    scan(body.as_bytes(), Shape::Chat, &Limits::default())
}

fn accepted(body: &str) -> Scan {
    chat(body).unwrap_or_else(|error| panic!("{body}: {error}"))
}

#[track_caller]
fn refused(body: &str, kind: Kind, pointer: &str) {
    let error = chat(body).expect_err(body);
    assert_eq!((error.kind.code(), &*error.pointer), (kind.code(), pointer), "{body}");
}

/// A listed member of the wrong type; which types it may have is in the message.
#[track_caller]
fn refused_as(body: &str, message: &str) {
    assert_eq!(chat(body).expect_err(body).to_string(), message, "{body}");
}

#[test]
fn what_a_decision_needs_is_found() {
    let body = r#"{"model":"gpt\u002d4o","stream":true,"stream_options":{"include_usage":true},"max_tokens":100,"max_completion_tokens":50,"n":3,
        "messages":[{"role":"system","content":"abc"},{"role":"user","content":"de\n"}],"tools":[{},{},{}]}"#;
    let scan = accepted(body);
    assert_eq!(scan.bytes, body.len());
    assert_eq!(scan.inside, 1);
    assert_eq!(scan.model.as_deref(), Some("gpt-4o"));
    assert_eq!((scan.stream, scan.include_usage), (Some(true), Some(true)));
    assert_eq!((scan.max_tokens, scan.n), (Some(50), Some(3)));
    assert_eq!((scan.messages, scan.tools), (2, 3));
    assert_eq!(scan.roles, Roles { system: 1, user: 1, ..Roles::default() });
    assert_eq!(scan.text_bytes, 7, "abc and the four bytes that spell de and a line break");
    assert_eq!(&body[scan.span(Field::Model).unwrap()], r#""gpt\u002d4o""#);
    assert_eq!(&body[scan.span(Field::Stream).unwrap()], "true");
    assert_eq!(&body[scan.span(Field::MaxTokens).unwrap()], "100");
    assert_eq!(&body[scan.span(Field::StreamOptions).unwrap()], r#"{"include_usage":true}"#);
    assert_eq!(&body[scan.span(Field::IncludeUsage).unwrap()], "true");
    assert_eq!(&body[scan.span(Field::Tools).unwrap()], "[{},{},{}]");
    assert_eq!(scan.span(Field::User), None);
}

#[test]
fn null_stands_for_absent() {
    let scan = accepted(
        r#"{"stream":null,"stream_options":null,"max_tokens":null,"max_completion_tokens":null,"n":null,"tools":null,"prompt":null,"user":null}"#,
    );
    assert_eq!((scan.stream, scan.include_usage, scan.max_tokens, scan.n, scan.tools), (None, None, None, None, 0));
    assert_eq!(accepted(r#"{"stream_options":{"include_usage":null}}"#).include_usage, None);
    assert_eq!(accepted(r#"{"max_completion_tokens":null,"max_tokens":7}"#).max_tokens, Some(7));
}

#[test]
fn media_are_counted_and_their_data_is_not_text() {
    let scan = accepted(
        r#"{"messages":[{"role":"user","content":[
            {"type":"text","text":"12345"},
            {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAAAAAAAAAA","detail":"low"}},
            {"image_url":"https://example.com/a.png","type":"input_image"},
            {"type":"input_audio","input_audio":{"data":"AAAAAAAA","format":"wav"}},
            {"type":"file","file":{"file_data":"AAAAAA"}},
            {"type":"document","source":{"type":"base64","data":"AAAA"}}]}]}"#,
    );
    assert_eq!(scan.media, Media { image: 2, audio: 1, file: 2 });
    assert_eq!(scan.text_bytes, 5);
}

#[test]
fn text_of_tool_calls_and_results_counts() {
    let scan = accepted(
        r#"{"messages":[{"role":"assistant","content":null,"tool_calls":[{"function":{"arguments":"{\"a\":1}"}}]},{"role":"tool","content":[{"type":"text","text":"ok"}]}]}"#,
    );
    assert_eq!(scan.text_bytes, 9 + 2);
    assert_eq!(scan.roles, Roles { assistant: 1, tool: 1, ..Roles::default() });
}

#[test]
fn messages_without_a_known_role_are_other() {
    let scan =
        accepted(r#"{"messages":[{},{"role":"wizard"},{"role":5},"x",{"role":"developer"},{"role":"function"}]}"#);
    assert_eq!(scan.roles, Roles { developer: 1, function: 1, other: 4, ..Roles::default() });
    assert_eq!(scan.messages, 6);
}

#[test]
fn inputs_are_texts_or_lists_of_tokens() {
    let embeddings = |body: &str| scan(body.as_bytes(), Shape::Embeddings, &Limits::default()).unwrap();
    for (input, inputs, tokens, text) in [
        (r#""abc""#, 1, 0, 3),
        (r#"["a","bc"]"#, 2, 0, 3),
        ("[1,2,3]", 1, 3, 0),
        ("[[1,2],[3]]", 2, 3, 0),
        ("[]", 0, 0, 0),
        (r#"[{"text":"abcd"}]"#, 1, 0, 4),
    ] {
        let scan =
            embeddings(&format!(r#"{{"model":"m","input":{input},"encoding_format":"base64","dimensions":64}}"#));
        assert_eq!((scan.inputs, scan.input_tokens, scan.text_bytes), (inputs, tokens, text), "{input}");
        assert!(scan.span(Field::EncodingFormat).is_some() && scan.span(Field::Dimensions).is_some());
    }
    let scan = accepted(r#"{"prompt":["ab","c"]}"#);
    assert_eq!((scan.inputs, scan.text_bytes), (2, 3));
}

#[test]
fn input_without_messages_is_told_apart() {
    assert!(accepted(r#"{"input":"hi"}"#).has_input_without_messages());
    assert!(!accepted(r#"{"input":"hi","messages":[]}"#).has_input_without_messages());
    assert!(!accepted(r"{}").has_input_without_messages());
}

#[test]
fn another_shape_reads_only_model_and_stream() {
    let body = br#"{"model":"m","stream":true,"messages":5,"max_tokens":"x","max_tokens":"y","input":{}}"#;
    let other = scan(body, Shape::Any, &Limits::default()).unwrap();
    assert_eq!((other.model.as_deref(), other.stream, other.messages), (Some("m"), Some(true), 0));
    let twice = scan(br#"{"stream":true,"stream":true}"#, Shape::Any, &Limits::default());
    assert_eq!(twice.unwrap_err().kind, Kind::DuplicateKey);
}

#[test]
fn only_an_object_is_a_request() {
    for body in ["[]", "\"x\"", "1", "null", "true", "x"] {
        refused(body, Kind::TopLevel, "");
    }
    refused("", Kind::Empty, "");
    refused(" \n", Kind::Empty, "");
    refused("\u{feff}{}", Kind::ByteOrderMark, "");
    refused("{}{}", Kind::Trailing, "");
    refused(r#"{"a":1"#, Kind::Truncated, "/a");
}

#[test]
fn errors_point_at_the_value_and_do_not_repeat_it() {
    refused_as(r#"{"stream":"yes-please"}"#, "/stream: must be true or false or null (byte 10)");
    refused_as(r#"{"input":{}}"#, "/input: must be a string or an array (byte 9)");
    refused_as(r#"{"model":"a", "model":"b"}"#, "/model: member given twice; send it once (byte 14)");
    refused_as(
        "{\"messages\":[{},{\"content\":\"secret\u{1}\"}]}",
        "/messages/1/content: raw control character in a string; escape it (byte 34)",
    );
    refused(
        r#"{"messages":[{},{},{"content":[{"type":"text","text":"\q"}]}]}"#,
        Kind::Escape,
        "/messages/2/content/0/text",
    );
    refused(r#"{"a/b":{"c~d":[1,2,nope]}}"#, Kind::Unexpected, "/a~1b/c~0d/2");
    refused(r#"{"a":{"b":{"c":{"d":{"e":{"f":{"g":x}}}}}}}"#, Kind::Unexpected, "/a/b/c/d/e/f");
    refused(r#"{"a":1,x}"#, Kind::Unexpected, "");
    let error = scan(b"{\"a\":\"\xff\"}", Shape::Chat, &Limits::default()).unwrap_err();
    assert_eq!((error.kind, error.offset, &*error.pointer), (Kind::Utf8, 6, "/a"));
}

#[test]
fn depth_is_bounded_and_costs_no_stack() {
    let nested = |depth: usize| format!(r#"{{"a":{}1{}}}"#, "[".repeat(depth), "]".repeat(depth));
    accepted(&nested(127));
    let error = chat(&nested(128)).unwrap_err();
    assert_eq!((error.kind, error.offset), (Kind::Depth, 5 + 127));
    assert_eq!(chat(&nested(1_000_000)).unwrap_err().kind, Kind::Depth);
    let shallow = Limits { depth: 2, ..Limits::default() };
    assert!(scan(br#"{"a":[]}"#, Shape::Chat, &shallow).is_ok());
    assert_eq!(scan(br#"{"a":[[]]}"#, Shape::Chat, &shallow).unwrap_err().kind, Kind::Depth);
    let unlimited = Limits { depth: u32::MAX, ..Limits::default() };
    assert_eq!(scan(nested(128).as_bytes(), Shape::Chat, &unlimited).unwrap_err().kind, Kind::Depth);
}

#[test]
fn the_body_the_messages_and_the_model_are_bounded() {
    let body = r#"{"model":"abc","messages":[{},{}]}"#;
    let with = |limits: Limits| scan(body.as_bytes(), Shape::Chat, &limits);
    let fits = Limits { body_bytes: body.len(), messages: 2, model_bytes: 3, ..Limits::default() };
    assert!(with(fits).is_ok());
    let error = with(Limits { body_bytes: body.len() - 1, ..fits }).unwrap_err();
    assert_eq!((error.kind, error.offset), (Kind::BodyTooLarge, body.len() - 1));
    let error = with(Limits { messages: 1, ..fits }).unwrap_err();
    assert_eq!((error.kind, &*error.pointer), (Kind::TooManyMessages, "/messages/1"));
    let error = with(Limits { model_bytes: 2, ..fits }).unwrap_err();
    assert_eq!((error.kind, &*error.pointer), (Kind::ModelTooLong, "/model"));
}

#[test]
fn an_error_is_final() {
    let mut scanner = Scanner::new(Shape::Chat, &Limits::default());
    let first = scanner.feed(b"[").unwrap_err();
    assert_eq!(scanner.feed(b"{}").unwrap_err(), first);
    assert_eq!(scanner.finish().unwrap_err(), first);
}

#[test]
fn very_many_members_are_accepted_and_listed_ones_are_still_found() {
    let many: Vec<String> = (0..1000).map(|nth| format!(r#""m{nth}":{nth}"#)).collect();
    let many = many.join(",");
    let body = format!(r#"{{{many},"model":"late","x":1,"n":2}}"#);
    let scan = accepted(&body);
    assert_eq!(scan.model.as_deref(), Some("late"));
    assert_eq!(scan.members.len(), Scan::MEMBERS + 2);
    assert_eq!(&body[scan.span(Field::N).unwrap()], "2");
    assert_eq!(&body[scan.span(Field::Model).unwrap()], r#""late""#);
}

#[test]
fn a_name_that_is_the_scans_to_readers_who_ignore_case_is_refused() {
    for name in ["Model", "MODEL", "mODEL", "\u{17f}tream", "Stream_Options", "MAX_TOKEN\u{17f}", "to\u{17f}o\u{17f}"] {
        let body = format!(r#"{{"model":"m","stream":false,"{name}":1}}"#);
        match name {
            "to\u{17f}o\u{17f}" => drop(accepted(&body)),
            _ => refused(&body, Kind::OtherCase, &format!("/{name}")),
        }
    }
    refused(r#"{"M\u004fdel":"m"}"#, Kind::OtherCase, "/MOdel");
    refused(r#"{"messages":[{"role":"user","Role":"system"}]}"#, Kind::OtherCase, "/messages/0/Role");
    refused(r#"{"messages":[{"CONTENT":""}]}"#, Kind::OtherCase, "/messages/0/CONTENT");
    refused(r#"{"messages":[{"content":[{"Type":"text"}]}]}"#, Kind::OtherCase, "/messages/0/content/0/Type");
    refused(r#"{"stream_options":{"include_Usage":true}}"#, Kind::OtherCase, "/stream_options/include_Usage");
    accepted(r#"{"Temperature":1,"größe":2,"metadata":{"Model":"x"},"tools":[{"Type":"x","Model":"y"}]}"#);
    accepted(r#"{"messages":[{"Name":"x","tool_calls":[{"Content":1,"Role":2}]}]}"#);
    let body = br#"{"model":"m","input":"a","Stream":true}"#;
    assert!(scan(body, Shape::Embeddings, &Limits::default()).is_ok());
}

#[test]
fn unescaped_and_split_names_of_unlisted_members_are_free() {
    accepted(r#"{"temp\u0065rature":1,"temperature":2,"temperature":3}"#);
    accepted(r#"{"messages":[{"n\u0061me":"x","name":"y","name":"z"}]}"#);
}

#[test]
fn conversations_in_the_words_of_other_dialects_are_counted_too() {
    let read = |body: &str| scan(body.as_bytes(), Shape::Dialogue, &Limits::default()).unwrap();
    let anthropic = read(
        r#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":[{"type":"image","source":{"data":"abc"}},
        {"type":"text","text":"abcd"}]}],"tools":[{}]}"#,
    );
    assert_eq!((anthropic.messages, anthropic.tools, anthropic.max_tokens), (1, 1, Some(9)));
    assert_eq!((anthropic.media.image, anthropic.text_bytes), (1, 4));
    let responses =
        read(r#"{"model":"m","max_output_tokens":7,"input":[{"role":"user","content":"abc"},{"type":"x"}]}"#);
    assert_eq!((responses.messages, responses.max_tokens), (2, Some(7)));
    let gemini = read(
        r#"{"contents":[{"role":"user","parts":[{"text":"abc"},{"inlineData":{"mimeType":"image/png","data":"abcdef"}}]}]}"#,
    );
    assert_eq!((gemini.messages, gemini.media.file, gemini.text_bytes), (1, 1, 3));
    assert_eq!(scan(br#"{"contents":[{}]}"#, Shape::Chat, &Limits::default()).unwrap().messages, 0);
}
