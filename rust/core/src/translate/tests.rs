use super::*;

const CHAT: Dialect = Dialect::OpenAiChat;

const STREAM: &str = concat!(
    "data: {\"id\":\"c1\",\"model\":\"m\",\"created\":1,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hé\"}}]}\r\n\r\n",
    ": still here\n\n",
    "data: {\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,",
    "\"id\":\"call_1\",\"function\":{\"name\":\"short\",\"arguments\":\"{}\"}}]}}]}\n\n",
    "data: {\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n",
);

fn translated(pieces: &[&[u8]], names: &Names) -> String {
    let envelope = Envelope { include_usage: true, ..Envelope::default() };
    let mut stream = StreamTranslator::new(CHAT, CHAT, names.clone(), &envelope, Limits::default()).unwrap();
    let mut out = Vec::new();
    for piece in pieces {
        stream.push(piece, &mut out);
    }
    stream.finish(&mut out);
    assert!(stream.ended());
    String::from_utf8(out).unwrap()
}

#[test]
fn any_cut_gives_the_same_stream() {
    let whole = translated(&[STREAM.as_bytes()], &Names::default());
    assert!(whole.contains("Hé") && whole.ends_with("data: [DONE]\n\n"), "{whole}");
    for at in 0..STREAM.len() {
        let (head, tail) = STREAM.as_bytes().split_at(at);
        assert_eq!(translated(&[head, tail], &Names::default()), whole, "cut at {at}");
    }
    let bytes: Vec<&[u8]> = STREAM.as_bytes().chunks(1).collect();
    assert_eq!(translated(&bytes, &Names::default()), whole);
}

#[test]
fn a_stream_that_breaks_off_ends_with_an_error_and_without_a_finish() {
    let finish = STREAM.find("\"finish_reason\"").unwrap();
    for at in 0..finish {
        let out = translated(&[STREAM.as_bytes().get(..at).unwrap()], &Names::default());
        assert!(
            out.contains("\"code\":\"upstream_truncated\"") || out.contains("\"code\":\"upstream_malformed\""),
            "{out}"
        );
        assert!(!out.contains("[DONE]") && !out.contains("\"finish_reason\":\"tool_calls\""), "{out}");
    }
}

#[test]
fn an_event_without_end_is_refused_and_told() {
    let limits = Limits { line_bytes: 64, event_bytes: 64 };
    let mut stream = StreamTranslator::new(CHAT, CHAT, Names::default(), &Envelope::default(), limits).unwrap();
    let mut out = Vec::new();
    for _ in 0..100 {
        stream.push(&[b'x'; 16], &mut out);
    }
    assert!(stream.ended());
    assert!(String::from_utf8(out).unwrap().contains("upstream_malformed"));
}

#[test]
fn tools_answer_to_the_names_that_the_client_gave_them() {
    let long = "weather.".to_owned() + &"x".repeat(90);
    let body = format!(
        r#"{{"model":"m","stream":true,"messages":[{{"role":"user","content":"a"}}],
        "tools":[{{"type":"function","function":{{"name":"{long}"}}}}]}}"#
    );
    let asked = request(body.as_bytes(), CHAT, CHAT, &Shape::OPENAI_CHAT, Address::default()).unwrap();
    let sent: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
    let name = sent["tools"][0]["function"]["name"].as_str().unwrap();
    assert_ne!(name, long);
    let out = translated(&[STREAM.replace("short", name).as_bytes()], &asked.names);
    assert!(out.contains(&long) && !out.contains(name), "{out}");
    let whole = format!(
        r#"{{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant",
        "content":null,"tool_calls":[{{"id":"call_1","type":"function","function":{{"name":"{name}","arguments":"{{}}"}}}}]}},
        "finish_reason":"tool_calls"}}]}}"#
    );
    let out = reply(whole.as_bytes(), CHAT, CHAT, &asked.names, &Envelope::default()).unwrap();
    assert!(std::str::from_utf8(&out).unwrap().contains(&long));
}

#[test]
fn an_upstream_is_asked_for_usage_whether_or_not_its_client_asked() {
    let body = br#"{"model":"m","stream":true,"messages":[{"role":"user","content":"a"}]}"#;
    let asked = request(body, CHAT, CHAT, &Shape::OPENAI_CHAT, Address::default()).unwrap();
    assert!(asked.stream && !asked.include_usage);
    let sent: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(sent["stream_options"]["include_usage"], true);
}

#[test]
fn a_call_that_nothing_is_said_beside_has_no_content_and_not_an_empty_one() {
    let request = br#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"},
        {"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"look","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"rain"}]}]}"#;
    let (source, target) = (Dialect::AnthropicMessages, Dialect::OpenAiChat);
    let told = super::request(request, source, target, &Shape::OPENAI_CHAT, Address::default()).unwrap();
    let said: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!(said["messages"][1]["content"], serde_json::Value::Null, "{said}");
}
