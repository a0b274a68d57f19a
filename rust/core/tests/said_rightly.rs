//! What is named as lost is lost, under the name that the client gave it; what is not lost is not named; and what a client
//! leaves out or says in another's form is understood.
#![expect(clippy::unwrap_used, clippy::panic, reason = "what the functions of a test meet is a failure of the test")]

use fastroute_core::dialects::{Dialect, DialectError};
use fastroute_core::passes::{Demands, OnLoss};
use fastroute_core::translate::{self, Address, Translated};
use serde_json::{Value, json};

const CHAT: Dialect = Dialect::OpenAiChat;
const RESPONSES: Dialect = Dialect::OpenAiResponses;
const ANTHROPIC: Dialect = Dialect::AnthropicMessages;
const GEMINI: Dialect = Dialect::Gemini;
const COHERE: Dialect = Dialect::CohereV2;
const OLLAMA: Dialect = Dialect::Ollama;
const BEDROCK: Dialect = Dialect::BedrockConverse;
const TARGETS: [Dialect; 7] = [CHAT, RESPONSES, ANTHROPIC, GEMINI, COHERE, OLLAMA, BEDROCK];

fn ask(body: &Value, source: Dialect, demands: &Demands) -> Result<Translated, DialectError> {
    translate::request(body.to_string().as_bytes(), source, demands, Address::default())
}

fn sent(body: &Value, source: Dialect, target: Dialect) -> (Value, Vec<String>) {
    let told = ask(body, source, &Demands::of(target));
    let told = told.unwrap_or_else(|error| panic!("{} to {}: {error}", source.name(), target.name()));
    (serde_json::from_slice(&told.body).unwrap(), [told.dropped, told.changed].concat())
}

fn strict(target: Dialect) -> Demands {
    Demands::new(
        target,
        serde_json::from_value(json!({})).unwrap(),
        serde_json::from_value(json!({})).unwrap(),
        OnLoss::Reject,
    )
}

#[test]
fn settings_about_tools_and_stops_that_are_not_there_say_nothing() {
    let chat = json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}],
        "stop": [], "tool_choice": "auto", "parallel_tool_calls": false});
    for target in TARGETS.into_iter().filter(|target| *target != CHAT) {
        let told = ask(&chat, CHAT, &strict(target)).unwrap_or_else(|error| panic!("{}: {error}", target.name()));
        assert_eq!([told.dropped, told.changed].concat(), [""; 0], "{}", target.name());
        let asked: Value = serde_json::from_slice(&told.body).unwrap();
        for name in ["stop", "tool_choice", "toolConfig", "parallel_tool_calls"] {
            assert!(asked.get(name).is_none(), "{}: {asked}", target.name());
        }
    }
    // The only tool is one that nobody else runs: a choice among nothing is refused by OpenAI.
    let search = json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "web_search_20250305", "name": "web_search"}],
        "tool_choice": {"type": "auto", "disable_parallel_tool_use": true}});
    let (asked, named) = sent(&search, ANTHROPIC, CHAT);
    assert!(asked.get("tool_choice").is_none() && asked.get("parallel_tool_calls").is_none(), "{asked}");
    assert_eq!(named, ["tools[0]"]);
    let mut forced = search;
    forced["tool_choice"] = json!({"type": "tool", "name": "web_search"});
    let error = ask(&forced, ANTHROPIC, &Demands::of(CHAT)).unwrap_err();
    assert_eq!(error.to_string(), "tool_choice: names a tool that this model cannot be told of");
}

#[test]
fn what_a_message_says_beside_its_content_is_named_at_the_message() {
    let items = |content: Value| {
        json!({"model": "m", "input": [{"role": "user", "content": "a"},
            {"type": "message", "role": "assistant", "phase": "commentary", "content": content},
            {"role": "user", "content": "b"}]})
    };
    for content in [json!("x"), json!([{"type": "output_text", "text": "x", "annotations": []}])] {
        for target in [CHAT, ANTHROPIC, GEMINI] {
            assert_eq!(sent(&items(content.clone()), RESPONSES, target).1, ["input[1].phase"], "{}", target.name());
        }
    }
    let twice = json!({"model": "m", "messages": [{"role": "user", "name": "ada", "content": "a"},
        {"role": "user", "name": "bob", "content": "b", "mood": "good"}]});
    for target in [ANTHROPIC, GEMINI, BEDROCK] {
        let (_, mut named) = sent(&twice, CHAT, target);
        named.sort();
        assert_eq!(named, ["messages[0].name", "messages[1].mood", "messages[1].name"], "{}", target.name());
    }
}

#[test]
fn instructions_alone_are_what_is_to_be_answered() {
    let body =
        json!({"model": "m", "instructions": "Be brief.", "input": [{"role": "developer", "content": "Say hello."}]});
    let (asked, named) = sent(&body, RESPONSES, ANTHROPIC);
    assert_eq!(asked["messages"], json!([{"role": "user", "content": "Say hello."}]));
    assert_eq!((&asked["system"], named), (&json!("Be brief."), vec!["input[0].role".to_owned()]));
}

#[test]
fn thinking_that_goes_as_a_whole_is_named_as_a_whole() {
    let body = json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "a"},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": "hm", "signature": "c2ln"},
            {"type": "text", "text": "x"}]}, {"role": "user", "content": "b"}]});
    let (asked, named) = sent(&body, ANTHROPIC, RESPONSES);
    assert!(!asked.to_string().contains("hm"), "{asked}");
    assert_eq!(named, ["messages[1].content[0]"]);
    // Where its text is told, only the proof is lost.
    assert_eq!(sent(&body, ANTHROPIC, CHAT).1, ["messages[1].content[0].signature"]);
    let demands = Demands::new(
        CHAT,
        serde_json::from_value(json!({})).unwrap(),
        serde_json::from_value(json!({"history_reasoning": "strip"})).unwrap(),
        OnLoss::Drop,
    );
    let told = ask(&body, ANTHROPIC, &demands).unwrap();
    assert!(told.changed.contains(&"messages[1].content[0]".to_owned()), "{:?}", told.changed);
}

#[test]
fn what_a_client_answered_to_its_providers_tool_is_not_left_out() {
    let screen = json!({"type": "computer_call_output", "call_id": "c",
        "output": {"type": "computer_screenshot", "image_url": "data:image/png;base64,AAAA"}});
    let consent = json!({"type": "mcp_approval_response", "approval_request_id": "r", "approve": true});
    for answer in [screen, consent] {
        let body = json!({"model": "m", "input": [{"role": "user", "content": "go"}, answer]});
        for target in TARGETS.into_iter().filter(|target| *target != RESPONSES) {
            for on_loss in [OnLoss::Drop, OnLoss::Reject, OnLoss::Emulate] {
                let error = ask(&body, RESPONSES, &Demands { on_loss, ..Demands::of(target) }).unwrap_err();
                assert_eq!(error.param.as_deref(), Some("input[1]"), "{}", target.name());
            }
        }
    }
}

#[test]
fn an_answer_without_a_word_is_no_message() {
    let gemini = json!({"contents": [{"role": "user", "parts": [{"text": "a"}]}, {"role": "model", "parts": [{"text": ""}]},
        {"role": "user", "parts": [{"text": "b"}]}]});
    let (asked, named) = sent(&gemini, GEMINI, RESPONSES);
    let of_user = |text: &str| json!({"role": "user", "content": text});
    assert_eq!((&asked["input"], named), (&json!([of_user("a"), of_user("b")]), Vec::new()));
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "a"},
        {"role": "assistant", "content": "", "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "c", "content": "r"}]});
    let kinds: Vec<_> =
        sent(&chat, CHAT, RESPONSES).0["input"].as_array().unwrap().iter().map(|item| item["type"].clone()).collect();
    assert_eq!(kinds, [Value::Null, json!("function_call"), json!("function_call_output")]);
}

#[test]
fn tools_in_chats_form_are_understood_in_a_response() {
    for tool in [
        json!({"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true}}),
        json!({"type": "function", "name": "f", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true}}),
    ] {
        let body = json!({"model": "m", "input": "hi", "tools": [tool],
            "tool_choice": {"type": "function", "function": {"name": "f"}}});
        let (asked, named) = sent(&body, RESPONSES, CHAT);
        let function = json!({"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": true});
        assert_eq!(asked["tools"], json!([{"type": "function", "function": function}]));
        assert_eq!(asked["tool_choice"], json!({"type": "function", "function": {"name": "f"}}));
        assert_eq!(named, [""; 0]);
    }
    let nameless = json!({"model": "m", "input": "hi", "tools": [{"type": "function", "function": {}}]});
    let error = ask(&nameless, RESPONSES, &Demands::of(CHAT)).unwrap_err();
    assert_eq!(error.to_string(), "tools[0].function.name: is required");
}

#[test]
fn calls_without_ids_are_answered_by_the_results_of_their_tools() {
    let call = |name: &str| json!({"function": {"name": name, "arguments": {}}});
    let body = json!({"model": "m", "messages": [{"role": "user", "content": "a"},
        {"role": "assistant", "content": "", "tool_calls": [call("f"), call("g")]},
        {"role": "tool", "tool_name": "g", "content": "of g"}, {"role": "tool", "tool_name": "f", "content": "of f"},
        {"role": "assistant", "content": "", "tool_calls": [call("f")]}, {"role": "tool", "content": "of f again"}]});
    let (asked, named) = sent(&body, OLLAMA, CHAT);
    let messages = asked["messages"].as_array().unwrap();
    let id = |message: usize, call: usize| messages[message]["tool_calls"][call]["id"].as_str().unwrap();
    for (message, call, text) in [(2, id(1, 1), "of g"), (3, id(1, 0), "of f"), (5, id(4, 0), "of f again")] {
        assert_eq!(
            (messages[message]["tool_call_id"].as_str(), &messages[message]["content"]),
            (Some(call), &json!(text))
        );
    }
    assert_ne!(id(1, 0), id(4, 0), "two calls of one tool are two calls");
    assert_eq!(named, [""; 0]);
}

#[test]
fn what_is_embedded_is_named_by_the_member_it_stands_in() {
    let picture = json!({"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]});
    let one = json!({"content": picture});
    let many = json!({"requests": [{"model": "models/m", "content": picture}]});
    for (body, place) in [(one, "content"), (many, "requests")] {
        let address = Address { model: Some("m"), stream: None };
        let demands = Demands::of(Dialect::OpenAiEmbeddings);
        let error = translate::request(body.to_string().as_bytes(), Dialect::GeminiEmbeddings, &demands, address);
        assert_eq!(error.unwrap_err().param.as_deref(), Some(place));
    }
}

#[test]
fn a_mark_for_caches_that_is_a_block_of_its_own_is_counted_as_one() {
    let body = json!({"messages": [{"role": "user", "content": [{"text": "a"}, {"cachePoint": {"type": "default"}},
        {"guardContent": {"text": {"text": "b"}}}]}]});
    let error = ask(&body, BEDROCK, &Demands::of(ANTHROPIC)).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("messages[0].content[2]"));
}
