//! The quirks of the catalogue: each is read, and each does to a request what it says.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "what the functions of a test meet is a failure of the test"
)]

use std::collections::BTreeMap;

use bytes::Bytes;
use fastroute_core::dialects::Dialect;
use fastroute_core::json::{self, splice};
use fastroute_core::passes::{Capabilities, Demands, OnLoss};
use fastroute_core::quirks::{Quirks, edits};
use fastroute_core::translate::{self, Address, Translated};
use serde_json::{Map, Value, json};

const CHAT: Dialect = Dialect::OpenAiChat;
const CATALOGUE: &str = include_str!("../../../python/fastroute/catalogue/quirks.toml");

/// The catalogue as values. Of TOML it needs tables, dotted keys and values on one line; a Python test holds it to that.
fn catalogue() -> BTreeMap<String, Value> {
    let mut tables: BTreeMap<String, Value> = BTreeMap::new();
    let mut name = String::new();
    for line in CATALOGUE.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(table) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            table.clone_into(&mut name);
            assert!(tables.insert(name.clone(), json!({})).is_none(), "{name} stands twice");
            continue;
        }
        let (key, value) = line.split_once(" = ").unwrap_or_else(|| panic!("{line}"));
        let mut values = serde_json::Deserializer::from_str(value).into_iter::<Value>();
        let value = values.next().unwrap().unwrap_or_else(|_| panic!("{line}"));
        let mut place = tables.get_mut(&name).unwrap();
        for step in key.split('.') {
            place = place.as_object_mut().unwrap().entry(step).or_insert_with(|| Value::Object(Map::new()));
        }
        if place.is_object() && place.as_object().unwrap().is_empty() {
            *place = value;
        } else {
            panic!("{name}.{key} stands twice");
        }
    }
    tables
}

fn quirks(provider: &str) -> Quirks {
    let tables = catalogue();
    let table = tables.get(provider).unwrap_or_else(|| panic!("no table {provider}"));
    serde_json::from_value(table.clone()).unwrap_or_else(|error| panic!("{provider}: {error}"))
}

fn demands(provider: &str, capabilities: &Value) -> Demands {
    let capabilities: Capabilities = serde_json::from_value(capabilities.clone()).unwrap();
    Demands::new(CHAT, capabilities, quirks(provider), OnLoss::Drop)
}

fn chat(more: &Value) -> Value {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in more.as_object().unwrap() {
        body[name] = value.clone();
    }
    body
}

/// What a chat request comes to at a provider, the way the gateway would send it.
fn sent(provider: &str, body: &Value) -> (Value, Vec<String>) {
    sent_to(&demands(provider, &json!({})), body)
}

fn sent_to(demands: &Demands, body: &Value) -> (Value, Vec<String>) {
    if demands.rewrites(CHAT) {
        let told = asked(demands, body);
        return (serde_json::from_slice(&told.body).unwrap(), [told.dropped, told.changed].concat());
    }
    let (bytes, named) = edited(demands, body.to_string());
    (serde_json::from_slice(&bytes).unwrap(), named)
}

fn asked(demands: &Demands, body: &Value) -> Translated {
    translate::request(body.to_string().as_bytes(), CHAT, demands, Address::default()).unwrap()
}

fn edited(demands: &Demands, body: String) -> (Vec<u8>, Vec<String>) {
    let frames = [Bytes::from(body)];
    let scan = json::scan(&frames[0], json::Shape::Chat, &json::Limits::default()).unwrap();
    let edited = edits(&frames, &scan, &demands.quirks, demands.limit(), demands.on_loss).unwrap();
    let pieces = splice(&frames, &edited.edits).unwrap();
    (pieces.concat(), [edited.dropped, edited.changed].concat())
}

#[test]
fn every_table_of_the_catalogue_is_read() {
    let tables = catalogue();
    assert!(tables.len() >= 15, "{}", tables.len());
    for provider in tables.keys() {
        assert_ne!(quirks(provider), Quirks::default(), "{provider} says nothing");
    }
}

#[test]
fn what_is_no_business_of_a_quirk_keeps_every_byte() {
    let body = "{ \"model\" :\"m\",\"x\":{\"max_completion_tokens\":1},\n\"max_completion_tokens\": 7 ,\"messages\":[ {\"role\":\"user\",\
                \"content\":\"temperature\"} ],\"temperature\":0.50}";
    let (bytes, named) = edited(&demands("together", &json!({})), body.to_owned());
    assert_eq!(String::from_utf8(bytes).unwrap(), body.replace("\n\"max_completion_tokens\"", "\n\"max_tokens\""));
    assert!(named.is_empty());
    // Without quirks there is not even an edit.
    let plain = Demands::of(CHAT);
    assert!(!plain.edits() && !plain.rewrites(CHAT));
    for provider in ["openai", "azure", "xai", "openrouter", "vllm"] {
        let demands = demands(provider, &json!({}));
        assert!(!demands.edits() && !demands.rewrites(CHAT), "{provider}");
    }
}

#[test]
fn a_body_in_many_frames_is_edited_like_one() {
    let demands = demands("together", &json!({}));
    let body = chat(&json!({"max_completion_tokens": 7, "seed": 1})).to_string();
    let whole = edited(&demands, body.clone()).0;
    let frames: Vec<Bytes> = body.as_bytes().chunks(3).map(Bytes::copy_from_slice).collect();
    let scan = json::scan(body.as_bytes(), json::Shape::Chat, &json::Limits::default()).unwrap();
    let edited = edits(&frames, &scan, &demands.quirks, None, OnLoss::Drop).unwrap();
    assert_eq!(splice(&frames, &edited.edits).unwrap().concat(), whole);
}

/// Provider, what a client says, what goes out in its place, and what is named.
#[test]
fn members_of_the_top_level_are_said_as_each_provider_takes_them() {
    let tool = json!([{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]);
    let function = json!({"type": "function", "function": {"name": "f"}});
    let cases = [
        ("deepseek", json!({"max_completion_tokens": 5}), json!({"max_tokens": 5}), vec![]),
        ("deepseek", json!({"max_completion_tokens": 5, "max_tokens": 9}), json!({"max_tokens": 5}), vec![]),
        ("deepseek", json!({"seed": 1, "user": "u", "n": 1}), json!({"n": 1}), vec!["seed", "user"]),
        (
            "dashscope",
            json!({"temperature": 2.0, "top_p": 0}),
            json!({"temperature": 1.99, "top_p": 0.0001, "parallel_tool_calls": true}),
            vec!["temperature", "top_p"],
        ),
        (
            "dashscope",
            json!({"parallel_tool_calls": false, "frequency_penalty": 1}),
            json!({"parallel_tool_calls": false}),
            vec!["frequency_penalty"],
        ),
        (
            "mistral",
            json!({"seed": 3, "temperature": 1.7, "store": null}),
            json!({"random_seed": 3, "temperature": 1.5}),
            vec!["temperature"],
        ),
        (
            "mistral",
            json!({"tools": tool, "tool_choice": "required"}),
            json!({"tools": tool, "tool_choice": "any"}),
            vec!["tool_choice"],
        ),
        (
            "mistral",
            json!({"tools": tool, "tool_choice": function}),
            json!({"tools": tool, "tool_choice": function}),
            vec![],
        ),
        (
            "azure_foundry",
            json!({"tools": tool, "tool_choice": function}),
            json!({"tools": tool, "tool_choice": "required"}),
            vec!["tool_choice"],
        ),
        ("groq", json!({"logprobs": true, "top_logprobs": 2}), json!({}), vec!["logprobs", "top_logprobs"]),
        ("cerebras", json!({"presence_penalty": 1, "seed": 2}), json!({"seed": 2}), vec!["presence_penalty"]),
        ("perplexity", json!({"tools": tool, "stop": "x"}), json!({}), vec!["tools", "stop"]),
        (
            "moonshot",
            json!({"temperature": 1.5, "tools": tool, "tool_choice": "required"}),
            json!({"temperature": 1, "tools": tool, "tool_choice": "auto"}),
            vec!["temperature", "tool_choice"],
        ),
        (
            "zai",
            json!({"tools": tool, "tool_choice": function}),
            json!({"tools": tool, "tool_choice": "auto", "tool_stream": true}),
            vec!["tool_choice"],
        ),
        ("databricks", json!({"stream_options": {"include_usage": true}}), json!({}), vec!["stream_options"]),
    ];
    for (provider, said, expected, names) in cases {
        let (mut out, mut told) = sent(provider, &chat(&said));
        let members = out.as_object_mut().unwrap();
        members.remove("model");
        members.remove("messages");
        assert_eq!(out, expected, "{provider} {said}");
        let mut names: Vec<String> = names.into_iter().map(str::to_owned).collect();
        names.sort();
        told.sort();
        assert_eq!(told, names, "{provider} {said}");
    }
}

/// Provider, the messages of a client, and those that go out.
#[test]
fn messages_are_said_as_each_provider_takes_them() {
    let call = |id: &str, arguments: &str| json!([{"id": id, "type": "function", "function": {"name": "f", "arguments": arguments}}]);
    let turns = |calls: Value| {
        json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": null, "tool_calls": calls},
            {"role": "tool", "tool_call_id": calls[0]["id"], "content": "r"}])
    };
    let cases = [
        (
            "deepseek",
            json!([{"role": "developer", "content": [{"type": "text", "text": "x"}, {"type": "text", "text": "y"}]},
            {"role": "user", "content": "a"}]),
            json!([{"role": "system", "content": "x\ny"}, {"role": "user", "content": "a"}]),
        ),
        (
            "deepseek",
            turns(call("c1", "{}")),
            json!([{"role": "user", "content": "a"},
            {"role": "assistant", "content": null, "reasoning_content": " ", "tool_calls": call("c1", "{}")},
            {"role": "tool", "tool_call_id": "c1", "content": "r"}]),
        ),
        (
            "deepseek",
            json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "reasoning_content": "t"}]),
            json!([{"role": "user", "content": "a"},
            {"role": "assistant", "content": "b", "reasoning_content": "t", "prefix": true}]),
        ),
        (
            "dashscope",
            turns(call("c1", "")),
            json!([{"role": "user", "content": "a"},
            {"role": "assistant", "content": null, "tool_calls": call("c1", "{}")}, {"role": "tool", "tool_call_id": "c1", "content": "r"}]),
        ),
        (
            "groq",
            json!([{"role": "user", "name": "bo", "content": "a"},
            {"role": "assistant", "content": "b", "reasoning_content": "t", "refusal": null, "audio": null}, {"role": "user", "content": "c"}]),
            json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]),
        ),
        (
            "cerebras",
            json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "reasoning": "t"}, {"role": "user", "content": "c"}]),
            json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, {"role": "user", "content": "c"}]),
        ),
        (
            "moonshot",
            json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]),
            json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "reasoning_content": " ", "partial": true}]),
        ),
        (
            "perplexity",
            json!([{"role": "assistant", "content": "hello"}, {"role": "user", "content": "a"}, {"role": "user", "content": "b"}]),
            json!([{"role": "user", "content": "."}, {"role": "assistant", "content": "hello"},
            {"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}]),
        ),
        (
            "mistral",
            json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": "b", "reasoning_content": "t", "refusal": null},
            {"role": "user", "content": "c"}]),
            json!([{"role": "user", "content": "a"}, {"role": "assistant", "content": [
                {"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}, {"type": "text", "text": "b"}]}, {"role": "user", "content": "c"}]),
        ),
    ];
    for (provider, said, expected) in cases {
        let (out, _) = sent(provider, &chat(&json!({"messages": said})));
        assert_eq!(out["messages"], expected, "{provider} {said}");
    }
}

#[test]
fn mistral_gets_ids_of_nine_letters_and_an_answer_behind_results() {
    let body = chat(&json!({"messages": [
        {"role": "user", "content": "a"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "call_abc", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "call_abc", "content": "r"},
        {"role": "user", "content": "b"}]}));
    let (out, named) = sent("mistral", &body);
    let id = out["messages"][1]["tool_calls"][0]["id"].as_str().unwrap();
    assert!(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    assert_eq!(out["messages"][2]["tool_call_id"], id);
    assert_eq!(out["messages"][3], json!({"role": "assistant", "content": "OK."}));
    assert_eq!(named, ["messages[3]"]);
    // A stream's usage comes unasked, and asking is refused.
    let (out, named) = sent("mistral", &chat(&json!({"stream": true})));
    assert!(out.get("stream_options").is_none() && named.is_empty(), "{named:?}");
}

#[test]
fn documents_and_sounds_stand_in_the_parts_that_each_provider_has() {
    let pdf = "data:application/pdf;base64,JVBERi0x";
    let file = json!({"type": "file", "file": {"filename": "a.pdf", "file_data": pdf}});
    let sound = json!({"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}});
    let part = |provider: &str, part: &Value| {
        let (out, _) = sent(provider, &chat(&json!({"messages": [{"role": "user", "content": [part]}]})));
        out["messages"][0]["content"][0].clone()
    };
    let url = json!({"type": "document_url", "document_url": pdf, "document_name": "a.pdf"});
    assert_eq!((part("mistral", &file), part("openrouter", &file)), (url, file));
    assert_eq!(part("mistral", &sound), json!({"type": "input_audio", "input_audio": "UklG"}));
    assert_eq!(part("openrouter", &sound), sound);
    let response = json!({"model": "m", "input": [{"role": "user", "content": [
        {"type": "input_file", "file_url": "https://example.com/a.pdf"}]}]});
    let asked = |provider: &str| {
        let demands = demands(provider, &json!({}));
        translate::request(response.to_string().as_bytes(), Dialect::OpenAiResponses, &demands, Address::default())
    };
    for provider in ["mistral", "openrouter"] {
        assert!(asked(provider).is_ok(), "{provider}");
    }
    for provider in ["openai", "deepseek", "dashscope"] {
        let error = asked(provider).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("input[0].content[0]"), "{provider}: {error}");
    }
}

#[test]
fn schemas_of_tools_hold_what_each_provider_reads() {
    let tools = json!([{"type": "function", "function": {"name": "f", "strict": true, "parameters": {"type": "object", "additionalProperties": false,
        "properties": {"p": {"$ref": "#/$defs/P"}}, "$defs": {"P": {"type": "string"}}}}}]);
    let parameters = |provider: &str| {
        let (out, _) = sent(provider, &chat(&json!({"tools": tools})));
        out["tools"][0]["function"].clone()
    };
    assert_eq!(parameters("mistral")["parameters"], json!({"type": "object", "properties": {"p": {"type": "string"}}}));
    let fireworks = json!({"type": "object", "additionalProperties": false, "properties": {"p": {"type": "string"}}});
    assert_eq!(parameters("fireworks")["parameters"], fireworks);
    assert!(parameters("deepseek").get("strict").is_none());
}

#[test]
fn a_schema_is_told_in_words_where_json_mode_is_all_there_is() {
    let format =
        json!({"type": "json_schema", "json_schema": {"name": "d", "schema": {"type": "object", "required": ["a"]}}});
    let (out, named) = sent("deepseek", &chat(&json!({"response_format": format})));
    assert_eq!(out["response_format"], json!({"type": "json_object"}));
    assert!(out["messages"][0]["content"].as_str().unwrap().contains(r#""required":["a"]"#));
    assert_eq!(named, ["response_format"]);
    for provider in ["deepseek", "dashscope"] {
        let (out, _) = sent(provider, &chat(&json!({"response_format": {"type": "json_object"}})));
        assert!(out["messages"][0]["content"].as_str().unwrap().contains("JSON"), "{provider}");
    }
}

#[test]
fn a_wish_to_think_stands_where_each_provider_looks_for_it() {
    let body = json!({"model": "m", "max_tokens": 99999, "thinking": {"type": "disabled"}, "messages": [{"role": "user", "content": "a"}]});
    let cases = [
        ("deepseek", "toggle", json!({"thinking": {"type": "disabled"}})),
        ("moonshot", "toggle", json!({"thinking": {"type": "disabled"}})),
        ("zai", "toggle", json!({"thinking": {"type": "disabled"}})),
        ("dashscope", "budget", json!({"enable_thinking": false})),
        ("openrouter", "effort", json!({"reasoning": {"effort": "none"}})),
        ("vllm", "toggle", json!({"chat_template_kwargs": {"enable_thinking": false}})),
        ("sglang", "toggle", json!({"chat_template_kwargs": {"enable_thinking": false}})),
        ("groq", "effort", json!({"reasoning_effort": "none"})),
    ];
    for (provider, style, expected) in cases {
        let target = demands(provider, &json!({"reasoning_style": style}));
        let told =
            translate::request(body.to_string().as_bytes(), Dialect::AnthropicMessages, &target, Address::default())
                .unwrap();
        let out: Value = serde_json::from_slice(&told.body).unwrap();
        for (name, value) in expected.as_object().unwrap() {
            assert_eq!(&out[name], value, "{provider}: {out}");
        }
    }
}

#[test]
fn free_text_tools_stay_what_they_are_where_they_are_known_and_become_functions_elsewhere() {
    let body = json!({"model": "m", "input": "a", "tools": [{"type": "custom", "name": "patch"}]});
    for (provider, kind) in
        [("openai", "custom"), ("azure", "custom"), ("azure_deployments", "custom"), ("groq", "function")]
    {
        let target = demands(provider, &json!({}));
        let told =
            translate::request(body.to_string().as_bytes(), Dialect::OpenAiResponses, &target, Address::default())
                .unwrap();
        let out: Value = serde_json::from_slice(&told.body).unwrap();
        assert_eq!(out["tools"][0]["type"], kind, "{provider}");
    }
}

#[test]
fn one_choice_is_all_there_is_and_a_strict_route_loses_nothing() {
    for provider in ["deepseek", "groq", "perplexity"] {
        let target = demands(provider, &json!({}));
        let body = chat(&json!({"n": 2})).to_string();
        let error = translate::request(body.as_bytes(), CHAT, &target, Address::default()).unwrap_err();
        assert_eq!(error.param.as_deref(), Some("n"), "{provider}");
    }
    let strict = Demands::new(CHAT, Capabilities::default(), quirks("databricks"), OnLoss::Reject);
    let frames = [Bytes::from(chat(&json!({"stream_options": {}})).to_string())];
    let scan = json::scan(&frames[0], json::Shape::Chat, &json::Limits::default()).unwrap();
    let error = edits(&frames, &scan, &strict.quirks, None, strict.on_loss).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("stream_options"));
}

#[test]
fn usage_is_read_as_each_provider_writes_it() {
    use fastroute_core::usage::UsageRule;
    let rules = [
        ("xai", UsageRule::ReasoningApart),
        ("mistral", UsageRule::PromptFromTotal),
        ("gemini_openai", UsageRule::CompletionFromTotal),
        ("vertex_openai", UsageRule::CompletionFromTotal),
        ("groq", UsageRule::Invariant),
    ];
    for (provider, rule) in rules {
        assert_eq!(quirks(provider).usage_rule(), rule, "{provider}");
    }
}
