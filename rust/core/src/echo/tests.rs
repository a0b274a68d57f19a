//! What a client sees of `mock/echo`.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::dialects::fold::Fold;

fn words(text: &str) -> u32 {
    u32::try_from(text.split_whitespace().count()).unwrap()
}

fn ask(fields: &Value) -> Vec<u8> {
    let mut request = json!({
        "model": "mock/echo",
        "messages": [
            {"role": "system", "content": "Be an echo."},
            {"role": "user", "content": "Hello  there,\n\tcaptain! "},
        ],
    });
    for (name, value) in fields.as_object().unwrap() {
        request[name] = value.clone();
    }
    request.to_string().into_bytes()
}

fn whole(request: &[u8]) -> Result<Value, DialectError> {
    let body = reply(request, "mock/echo", "chatcmpl-1", 7, &words)?;
    Ok(serde_json::from_slice(&body).unwrap())
}

fn streamed(request: &[u8]) -> Vec<Bytes> {
    events(request, "mock/echo", "chatcmpl-1", 7, &words).unwrap()
}

#[test]
fn it_repeats_the_last_user_message_exactly() {
    let request = ask(&json!({"messages": [
        {"role": "user", "content": "first"},
        {"role": "user", "content": [{"type": "text", "text": "one "}, {"type": "image_url", "image_url": {"url": "https://a.example"}}, {"type": "text", "text": "two"}]},
        {"role": "assistant", "content": "later"},
    ]}));
    let reply = whole(&request).unwrap();
    let choice = &reply["choices"][0];
    assert_eq!(choice["message"]["content"], "one \ntwo");
    assert_eq!(choice["finish_reason"], "stop");
    assert_eq!(reply["usage"], json!({"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}));
    assert_eq!((&reply["id"], &reply["created"]), (&json!("chatcmpl-1"), &json!(7)));
}

#[test]
fn its_stream_is_one_word_per_frame_and_joins_to_the_text() {
    let frames = streamed(&ask(&json!({"stream": true})));
    let text: Vec<String> = frames[1..frames.len() - 2].iter().map(content_of).collect();
    assert_eq!(text, ["Hello  ", "there,\n\t", "captain! "]);
    assert_eq!(content_of(&frames[0]), "");
    assert_eq!(frames.last().unwrap(), "data: [DONE]\n\n");
    assert!(!frames.iter().any(|frame| memchr::memmem::find(frame, b"usage").is_some()));
}

fn content_of(frame: &Bytes) -> String {
    let frame = std::str::from_utf8(frame).unwrap();
    let data = frame.strip_prefix("data: ").unwrap().strip_suffix("\n\n").unwrap();
    let chunk: Value = serde_json::from_str(data).unwrap();
    chunk["choices"][0]["delta"]["content"].as_str().unwrap().to_owned()
}

#[test]
fn stream_and_whole_reply_say_the_same() {
    let tool = json!({"type": "function", "function": {"name": "tide", "parameters": {"type": "object", "properties": {"port": {"type": "string"}}, "required": ["port"]}}});
    for fields in [
        json!({}),
        json!({"n": 3}),
        json!({"response_format": {"type": "json_object"}}),
        json!({"tools": [tool], "tool_choice": "required"}),
        json!({"functions": [{"name": "tide"}], "function_call": {"name": "tide"}}),
        json!({"messages": [{"role": "user", "content": ""}]}),
    ] {
        let mut request: Value = serde_json::from_slice(&ask(&fields)).unwrap();
        request["stream_options"] = json!({"include_usage": true});
        let request = request.to_string().into_bytes();
        let mut reader = Dialect::OpenAiChat.reader().unwrap();
        let mut fold = Fold::new(1 << 20);
        for frame in streamed(&request) {
            let data = &frame["data: ".len()..];
            for event in reader.parse_event("", data).unwrap() {
                fold.add(&event).unwrap();
            }
        }
        let folded = Reply::Chat(fold.finish().unwrap());
        let folded = Dialect::OpenAiChat.render_reply(&folded, &Envelope::default()).unwrap();
        let mut folded: Value = serde_json::from_slice(&folded).unwrap();
        // No delta is the same as an empty one.
        for choice in folded["choices"].as_array_mut().unwrap() {
            let message = &mut choice["message"];
            if message["content"].is_null()
                && message.get("tool_calls").is_none()
                && message.get("function_call").is_none()
            {
                message["content"] = json!("");
            }
        }
        assert_eq!(folded, whole(&request).unwrap(), "{fields}");
    }
}

#[test]
fn a_long_text_is_cut_into_longer_pieces_not_into_more() {
    let text = "word ".repeat(100_000);
    let cut = pieces(&text);
    assert!(cut.len() <= MOST_PIECES, "{}", cut.len());
    assert_eq!(cut.concat(), text);
    assert_eq!(pieces(""), Vec::<&str>::new());
    assert_eq!(pieces("  a "), ["  ", "a "]);
    assert_eq!(pieces("é\u{2003}ü").concat(), "é\u{2003}ü");
}

#[test]
fn tools_are_called_only_when_the_request_insists() {
    let tools = json!([
        {"type": "function", "function": {"name": "wind"}},
        {"type": "function", "function": {"name": "tide", "parameters": {"type": "object", "properties": {"port": {"type": "string"}, "deep": {"type": "number"}}, "required": ["port"]}}},
        {"type": "custom", "custom": {"name": "log"}},
    ]);
    let named = |name: &str| json!({"type": "function", "function": {"name": name}});
    let cases = [
        (json!("auto"), None),
        (json!("none"), None),
        (json!("required"), Some(("wind", "{}"))),
        (named("tide"), Some(("tide", r#"{"port":""}"#))),
        (
            json!({"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [named("tide")]}}),
            Some(("tide", r#"{"port":""}"#)),
        ),
        (json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named("tide")]}}), None),
    ];
    for (choice, expected) in cases {
        let reply = whole(&ask(&json!({"tools": tools, "tool_choice": choice}))).unwrap();
        let message = &reply["choices"][0]["message"];
        let call = &message["tool_calls"][0]["function"];
        let said = call["name"].as_str().map(|name| (name, call["arguments"].as_str().unwrap()));
        assert_eq!(said, expected, "{choice}");
        assert_eq!(message["content"].is_null(), expected.is_some());
    }
    let custom = json!({"type": "custom", "custom": {"name": "log"}});
    let reply = whole(&ask(&json!({"tools": tools, "tool_choice": custom}))).unwrap();
    let call = &reply["choices"][0]["message"]["tool_calls"][0];
    assert_eq!(call["custom"]["input"], "Hello  there,\n\tcaptain! ");
    assert_eq!(reply["choices"][0]["finish_reason"], "tool_calls");
    let error = whole(&ask(&json!({"tools": tools, "tool_choice": named("moon")}))).unwrap_err();
    assert_eq!(error.pointer, "/tool_choice");
}

#[test]
fn json_is_answered_where_json_is_asked_for() {
    let content = |format: Value| {
        let reply = whole(&ask(&json!({"response_format": format}))).unwrap();
        let content = reply["choices"][0]["message"]["content"].as_str().unwrap();
        serde_json::from_str::<Value>(content).unwrap()
    };
    assert_eq!(content(json!({"type": "json_object"})), json!({"echo": "Hello  there,\n\tcaptain! "}));
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]});
    assert_eq!(
        content(json!({"type": "json_schema", "json_schema": {"name": "n", "schema": schema}})),
        json!({"a": 0})
    );
    assert_eq!(
        content(json!({"type": "json_schema", "json_schema": {"name": "n"}})),
        json!({"echo": "Hello  there,\n\tcaptain! "})
    );
}

fn instance(schema: &Value) -> Result<Value, DialectError> {
    let text = schema.to_string();
    let place = Place::Document;
    let written = super::instance::of(&Json::parse(&text).unwrap(), place)?;
    Ok(serde_json::from_str(&written).unwrap())
}

#[test]
fn the_smallest_instance_satisfies_its_schema() {
    for (schema, expected) in [
        (json!({}), json!(null)),
        (json!(true), json!(null)),
        (json!({"type": "string"}), json!("")),
        (json!({"type": "string", "minLength": 3}), json!("xxx")),
        (json!({"type": "string", "format": "date"}), json!("1970-01-01")),
        (json!({"type": "integer", "minimum": 2.5}), json!(3)),
        (json!({"type": "integer", "exclusiveMinimum": 0}), json!(1)),
        (json!({"type": "number", "maximum": -4}), json!(-4)),
        (json!({"type": "number", "exclusiveMaximum": 0}), json!(-1)),
        (json!({"type": ["null", "boolean"]}), json!(false)),
        (json!({"enum": ["b", "a"]}), json!("b")),
        (json!({"const": null}), json!(null)),
        (json!({"const": {"k": [1]}}), json!({"k": [1]})),
        (json!({"type": "array", "items": {"type": "null"}}), json!([])),
        (json!({"type": "array", "minItems": 2, "items": {"type": "integer"}}), json!([0, 0])),
        (json!({"type": "array", "minItems": 2, "prefixItems": [{"const": 1}], "items": {"const": 2}}), json!([1, 2])),
        (json!({"properties": {"a": {}}, "required": ["a", "b"]}), json!({"a": null, "b": null})),
        (json!({"anyOf": [{"$ref": "#/$defs/d"}, {"type": "null"}], "$defs": {"d": {"type": "string"}}}), json!(null)),
        (json!({"oneOf": [{"type": "string"}, {"type": "null"}]}), json!("")),
        (json!({"allOf": [{"$ref": "#/$defs/a~1b"}], "$defs": {"a/b": {"const": 7}}}), json!(7)),
        (
            json!({"type": "object", "required": ["next"], "properties": {"next": {"anyOf": [{"$ref": "#"}, {"type": "null"}]}}}),
            json!({"next": null}),
        ),
    ] {
        assert_eq!(instance(&schema).unwrap(), expected, "{schema}");
    }
}

#[test]
fn a_schema_without_an_instance_or_without_an_end_is_refused() {
    let twice = json!({"$ref": "#/$defs/d"});
    for schema in [
        json!(false),
        json!({"enum": []}),
        json!({"type": "integer", "minimum": 2, "maximum": 1}),
        json!({"$ref": "https://elsewhere.example"}),
        json!({"$ref": "#/$defs/missing"}),
        json!({"type": "object", "required": ["next"], "properties": {"next": {"$ref": "#"}}}),
        json!({"$ref": "#/$defs/d", "$defs": {"d": {"anyOf": [twice, twice, twice]}}}),
        json!({"type": "array", "minItems": 1e15, "items": {"type": "null"}}),
        json!({"type": "string", "minLength": 1e15}),
    ] {
        assert!(instance(&schema).is_err(), "{schema}");
    }
}

#[test]
fn vectors_are_of_length_one_and_depend_on_the_input_alone() {
    let ask = |fields: Value| {
        let mut request = json!({"model": "mock/echo", "input": ["a", "b", "a"]});
        for (name, value) in fields.as_object().unwrap() {
            request[name] = value.clone();
        }
        let body = embeddings(request.to_string().as_bytes(), "mock/echo", &words)?;
        let Reply::Embeddings(reply) = Dialect::OpenAiEmbeddings.parse_reply(&body)? else {
            panic!("not embeddings");
        };
        let vectors = reply.embeddings.iter().map(|e| e.vector.to_floats().unwrap());
        Ok::<_, DialectError>(vectors.collect::<Vec<_>>())
    };
    let vectors = ask(json!({})).unwrap();
    let lengths: BTreeMap<usize, usize> = vectors.iter().map(|v| (v.len(), 1)).collect();
    assert_eq!(lengths.into_keys().collect::<Vec<_>>(), [64]);
    assert_eq!(vectors[0], vectors[2]);
    assert_ne!(vectors[0], vectors[1]);
    for vector in &vectors {
        let length: f32 = vector.iter().map(|x| x * x).sum();
        assert!((length - 1.0).abs() < 1e-4, "{length}");
    }
    let packed = ask(json!({"encoding_format": "base64"})).unwrap();
    assert_eq!(packed, vectors);
    assert_eq!(ask(json!({"dimensions": 1024, "input": [1, 2]})).unwrap()[0].len(), 1024);
    for (fields, pointer) in [
        (json!({"dimensions": 0}), "/dimensions"),
        (json!({"dimensions": 4097}), "/dimensions"),
        (json!({"input": vec!["a"; 2049]}), "/input"),
        (json!({"input": vec!["a"; 2000], "dimensions": 4096}), "/input"),
    ] {
        assert_eq!(ask(fields).unwrap_err().pointer, pointer);
    }
}

#[test]
fn the_first_numbers_of_a_vector_never_change() {
    let body = embeddings(br#"{"model":"m","input":"fastroute","dimensions":2}"#, "m", &words).unwrap();
    let Reply::Embeddings(reply) = Dialect::OpenAiEmbeddings.parse_reply(&body).unwrap() else {
        panic!("not embeddings");
    };
    let floats = reply.embeddings[0].vector.to_floats().unwrap();
    assert_eq!(floats, [-0.589_916_9, 0.807_463_94]);
}

#[test]
fn it_does_not_multiply_a_request_without_end() {
    for n in [0, 17, 1_000_000] {
        assert_eq!(whole(&ask(&json!({"n": n}))).unwrap_err().pointer, "/n");
    }
    assert_eq!(whole(&ask(&json!({"n": 16}))).unwrap()["choices"].as_array().unwrap().len(), 16);
}

#[test]
fn a_bad_request_is_refused_as_anywhere_else() {
    assert_eq!(whole(b"{}").unwrap_err().pointer, "/model");
    assert_eq!(embeddings(b"{}", "m", &words).unwrap_err().pointer, "/model");
}
