use super::*;
use crate::passes::Demands;

const CHAT: Dialect = Dialect::OpenAiChat;

const STREAM: &str = concat!(
    "data: {\"id\":\"c1\",\"model\":\"m\",\"created\":1,\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hé\"}}]}\r\n\r\n",
    ": still here\n\n",
    "data: {\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,",
    "\"id\":\"call_1\",\"function\":{\"name\":\"short\",\"arguments\":\"{}\"}}]}}]}\n\n",
    "data: {\"id\":\"c1\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"tool_calls\"}]}\n\n",
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\n\n",
);

fn translated(pieces: &[&[u8]], back: &WayBack) -> String {
    let envelope = Envelope { include_usage: true, ..Envelope::default() };
    let mut stream = StreamTranslator::new(CHAT, CHAT, back.clone(), &envelope, Limits::default()).unwrap();
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
    let whole = translated(&[STREAM.as_bytes()], &WayBack::default());
    assert!(whole.contains("Hé") && whole.ends_with("data: [DONE]\n\n"), "{whole}");
    for at in 0..STREAM.len() {
        let (head, tail) = STREAM.as_bytes().split_at(at);
        assert_eq!(translated(&[head, tail], &WayBack::default()), whole, "cut at {at}");
    }
    let bytes: Vec<&[u8]> = STREAM.as_bytes().chunks(1).collect();
    assert_eq!(translated(&bytes, &WayBack::default()), whole);
}

#[test]
fn a_stream_that_breaks_off_ends_with_an_error_and_without_a_finish() {
    let finish = STREAM.find("\"finish_reason\"").unwrap();
    for at in 0..finish {
        let out = translated(&[STREAM.as_bytes().get(..at).unwrap()], &WayBack::default());
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
    let mut stream = StreamTranslator::new(CHAT, CHAT, WayBack::default(), &Envelope::default(), limits).unwrap();
    let mut out = Vec::new();
    for _ in 0..100 {
        stream.push(&[b'x'; 16], &mut out);
    }
    assert!(stream.ended());
    assert!(String::from_utf8(out).unwrap().contains("response_too_large"));
}

#[test]
fn tools_answer_to_the_names_that_the_client_gave_them() {
    let long = "weather.".to_owned() + &"x".repeat(90);
    let body = format!(
        r#"{{"model":"m","stream":true,"messages":[{{"role":"user","content":"a"}}],
        "tools":[{{"type":"function","function":{{"name":"{long}"}}}}]}}"#
    );
    let asked = request(body.as_bytes(), CHAT, &Demands::of(CHAT), Address::default()).unwrap();
    let sent: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
    let name = sent["tools"][0]["function"]["name"].as_str().unwrap();
    assert_ne!(name, long);
    let out = translated(&[STREAM.replace("short", name).as_bytes()], &asked.way_back);
    assert!(out.contains(&long) && !out.contains(name), "{out}");
    let whole = format!(
        r#"{{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{{"index":0,"message":{{"role":"assistant",
        "content":null,"tool_calls":[{{"id":"call_1","type":"function","function":{{"name":"{name}","arguments":"{{}}"}}}}]}},
        "finish_reason":"tool_calls"}}]}}"#
    );
    let out = reply(whole.as_bytes(), CHAT, CHAT, &asked.way_back, &Envelope::default()).unwrap();
    assert!(std::str::from_utf8(&out).unwrap().contains(&long));
}

#[test]
fn an_upstream_is_asked_for_usage_whether_or_not_its_client_asked() {
    let body = br#"{"model":"m","stream":true,"messages":[{"role":"user","content":"a"}]}"#;
    let asked = request(body, CHAT, &Demands::of(CHAT), Address::default()).unwrap();
    assert!(asked.stream && !asked.include_usage);
    let sent: serde_json::Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(sent["stream_options"]["include_usage"], true);
}

#[test]
fn a_reply_has_an_id_as_its_client_knows_them() {
    let whole = br#"{"id":"chatcmpl-7","choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}"#;
    let nameless = br#"{"choices":[{"index":0,"message":{"content":"Hi"},"finish_reason":"stop"}]}"#;
    let envelope = Envelope { id: "req_9", model: "m", created_s: 1, include_usage: false };
    for (target, prefix) in [
        (Dialect::AnthropicMessages, "msg_"),
        (Dialect::OpenAiResponses, "resp_"),
        (Dialect::OpenAiCompletions, "cmpl-"),
        (CHAT, "chatcmpl-"),
    ] {
        let id = |body: &[u8]| {
            let told = reply(body, CHAT, target, &WayBack::default(), &envelope).unwrap();
            let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
            told["id"].as_str().unwrap().to_owned()
        };
        assert_eq!(id(whole), format!("{prefix}7"));
        assert_eq!(id(nameless), format!("{prefix}9"));
        let mut stream = StreamTranslator::new(CHAT, target, WayBack::default(), &envelope, Limits::default()).unwrap();
        let mut out = Vec::new();
        stream.push(&STREAM.replace("\"c1\"", "\"chatcmpl-7\"").into_bytes(), &mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains(&format!("\"id\":\"{prefix}7\"")), "{out}");
    }
    // A server's own id stays as it is for those who speak as it does.
    let odd = br#"{"id":"7f3a","choices":[]}"#;
    let told = reply(odd, CHAT, CHAT, &WayBack::default(), &envelope).unwrap();
    assert!(std::str::from_utf8(&told).unwrap().contains(r#""id":"7f3a""#));
}

#[test]
fn anthropics_clients_find_the_id_of_their_request_in_the_body_of_an_error() {
    let said = |body: &str, source, target| {
        let (_, body) = error(body.as_bytes(), source, target, 404, "req_9");
        serde_json::from_slice::<serde_json::Value>(&body).unwrap()
    };
    let plain = r#"{"error":{"message":"no such model","code":"model_not_found"}}"#;
    let told = said(plain, CHAT, Dialect::AnthropicMessages);
    assert_eq!((&told["request_id"], &told["error"]["type"]), (&"req_9".into(), &"not_found_error".into()));
    let theirs = r#"{"type":"error","error":{"type":"not_found_error","message":"no"},"request_id":"req_theirs"}"#;
    let told = said(theirs, Dialect::AnthropicMessages, Dialect::AnthropicMessages);
    assert_eq!(told["request_id"], "req_9");
    assert_eq!(said(plain, CHAT, CHAT).get("request_id"), None);
}

/// A Gemini stream, chunk by chunk.
const CHUNKS: [&str; 2] = [
    r#"{"candidates":[{"content":{"parts":[{"text":"Hé ]}"}],"role":"model"}}]}"#,
    r#"{"candidates":[{"content":{"parts":[{"text":"!"}]},"finishReason":"STOP"}],"usageMetadata":{"promptTokenCount":3,"candidatesTokenCount":4}}"#,
];

/// As it comes without `alt=sse`.
fn list(chunks: &[&str]) -> String {
    format!("[{}\n]", chunks.join("\n,\r\n"))
}

fn from_gemini(pieces: &[&[u8]]) -> String {
    let stream = StreamTranslator::new(
        Dialect::Gemini,
        CHAT,
        WayBack::default(),
        &Envelope { include_usage: true, ..Envelope::default() },
        Limits::default(),
    );
    let mut stream = stream.unwrap();
    let mut out = Vec::new();
    for piece in pieces {
        stream.push(piece, &mut out);
    }
    stream.finish(&mut out);
    String::from_utf8(out).unwrap()
}

#[test]
fn a_list_of_chunks_is_a_stream_like_any_other() {
    let events = CHUNKS.map(|chunk| format!("data: {chunk}\n\n")).concat();
    let list = list(&CHUNKS);
    let whole = from_gemini(&[list.as_bytes()]);
    assert!(whole.contains("Hé ]}") && whole.ends_with("data: [DONE]\n\n"), "{whole}");
    assert_eq!(from_gemini(&[events.as_bytes()]), whole);
    for at in 0..=list.len() {
        let (head, tail) = list.as_bytes().split_at(at);
        assert_eq!(from_gemini(&[b"\n", head, tail]), whole, "cut at {at}");
    }
}

#[test]
fn a_list_that_breaks_off_or_holds_an_error_ends_in_one() {
    let [first, _] = CHUNKS;
    let broken = from_gemini(&[b"[", first.as_bytes(), b",{\"cand"]);
    assert!(broken.contains("upstream_truncated") && !broken.contains("[DONE]"), "{broken}");
    let failed = list(&[first, r#"{"error":{"code":503,"message":"busy","status":"UNAVAILABLE"}}"#]);
    let failed = from_gemini(&[failed.as_bytes()]);
    assert!(failed.contains("busy") && !failed.contains("[DONE]"), "{failed}");
    let no_list = from_gemini(&[b"[{}] and more"]);
    assert!(no_list.contains("upstream_malformed"), "{no_list}");
}

#[test]
fn a_client_without_server_sent_events_gets_a_list_that_is_read_as_one() {
    let envelope = Envelope { include_usage: true, ..Envelope::default() };
    let mut stream =
        StreamTranslator::new(CHAT, Dialect::Gemini, WayBack::default(), &envelope, Limits::default()).unwrap();
    let (mut list, mut events, mut out) = (JsonArray::default(), Vec::new(), Vec::new());
    for piece in STREAM.as_bytes().chunks(7) {
        events.clear();
        stream.push(piece, &mut events);
        list.push(&events, &mut out);
    }
    events.clear();
    stream.finish(&mut events);
    list.push(&events, &mut out);
    list.end(&mut out);
    let chunks: Vec<serde_json::Value> = serde_json::from_slice(&out).unwrap();
    assert_eq!(chunks.first().unwrap()["candidates"][0]["content"]["parts"][0]["text"], "Hé");
    assert!(from_gemini(&[&out]).ends_with("data: [DONE]\n\n"));
}

#[test]
fn a_call_that_nothing_is_said_beside_has_no_content_and_not_an_empty_one() {
    let request = br#"{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"a"},
        {"role":"assistant","content":[{"type":"tool_use","id":"toolu_1","name":"look","input":{}}]},
        {"role":"user","content":[{"type":"tool_result","tool_use_id":"toolu_1","content":"rain"}]}]}"#;
    let (source, target) = (Dialect::AnthropicMessages, Dialect::OpenAiChat);
    let told = super::request(request, source, &Demands::of(target), Address::default()).unwrap();
    let said: serde_json::Value = serde_json::from_slice(&told.body).unwrap();
    assert_eq!(said["messages"][1]["content"], serde_json::Value::Null, "{said}");
}

#[test]
fn a_choice_that_says_nothing_is_not_the_one_that_is_told() {
    let chunk = |choice: u32, delta: &str, finish: &str| {
        format!(
            "data: {{\"id\":\"c1\",\"model\":\"m\",\"choices\":[{{\"index\":{choice},\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let link =
        r#"{"annotations":[{"type":"url_citation","url_citation":{"url":"https://sea.example","title":"Sea"}}]}"#;
    let sent = [chunk(2, link, "null"), chunk(0, r#"{"content":"Wide."}"#, "null"), chunk(0, "{}", "\"stop\"")];
    for (target, end) in
        [(Dialect::OpenAiResponses, "event: response.completed"), (Dialect::AnthropicMessages, "event: message_stop")]
    {
        let envelope = Envelope::default();
        let mut stream = StreamTranslator::new(CHAT, target, WayBack::default(), &envelope, Limits::default()).unwrap();
        let mut out = Vec::new();
        stream.push(format!("{}data: [DONE]\n\n", sent.concat()).as_bytes(), &mut out);
        stream.finish(&mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains("Wide.") && out.contains(end), "{out}");
    }
}

#[test]
fn a_proof_over_a_text_is_named_where_no_client_has_a_place_for_it() {
    let part = r#"{"text":"Nine.","thoughtSignature":"cHJvb2Y="}"#;
    let bare = r#"{"text":"","thoughtSignature":"cHJvb2Y="}"#;
    let ran = r#"{"thoughtSignature":"cHJvb2Y=","executableCode":{"language":"PYTHON","code":"9"}}"#;
    let body = |parts: &[&str]| {
        let parts = parts.join(",");
        format!(
            r#"{{"responseId":"r","modelVersion":"m","candidates":[{{"index":0,"content":{{"role":"model","parts":[{parts}]}},"finishReason":"STOP"}}]}}"#
        )
    };
    let gemini = Dialect::Gemini;
    for client in [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::AnthropicMessages] {
        for (parts, named) in [(&[part][..], "signature"), (&[ran][..], "executableCode")] {
            let body = body(parts);
            let reply = gemini.parse_reply(body.as_bytes()).unwrap();
            let (said, names) =
                say_reply(reply, [gemini, client], &WayBack::default(), &Envelope::default(), None).unwrap();
            assert_eq!(names, [format!("choices[0].{named}")], "{}", client.name());
            assert!(!String::from_utf8(said.to_vec()).unwrap().contains("cHJvb2Y="));
        }
        let mut stream =
            StreamTranslator::new(gemini, client, WayBack::default(), &Envelope::default(), Limits::default()).unwrap();
        let mut out = Vec::new();
        stream.push(format!("data: {}\n\n", body(&[part])).as_bytes(), &mut out);
        stream.push(format!("data: {}\n\n", body(&[bare])).as_bytes(), &mut out);
        stream.finish(&mut out);
        let out = String::from_utf8(out).unwrap();
        assert!(out.contains(": x-fastroute-dropped: choices[0].signature\n"), "{}: {out}", client.name());
    }
}

#[test]
fn a_response_made_of_a_whole_answer_has_a_status() {
    let body = br#"{"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"Nine."}}]}"#;
    let [chat, responses] = [Dialect::OpenAiChat, Dialect::OpenAiResponses];
    let said = reply(body, chat, responses, &WayBack::default(), &Envelope::default()).unwrap();
    let said: serde_json::Value = serde_json::from_slice(&said).unwrap();
    assert_eq!(said["status"], "completed", "{said}");
    // Its own stay as they came.
    let body = br#"{"id":"r","object":"response","created_at":1,"model":"m","output":[]}"#;
    let said = reply(body, responses, responses, &WayBack::default(), &Envelope::default()).unwrap();
    let said: serde_json::Value = serde_json::from_slice(&said).unwrap();
    assert_eq!(said.get("status"), None, "{said}");
}
