use super::*;
use crate::dialects::message::{Block, Request, Role};

/// Passes a chat request and shows what came of it: roles, and kinds of blocks with their text or id.
fn passed(body: &str, shape: &Shape) -> (Vec<String>, Passed) {
    let Request::Chat(mut chat) = Dialect::OpenAiChat.parse_request(body.as_bytes()).unwrap() else {
        panic!("no chat")
    };
    let passed = shape_to(&mut chat, shape).unwrap();
    (chat.turns.iter().map(|turn| shown(turn.role, &turn.blocks)).collect(), passed)
}

fn shown(role: Role, blocks: &[Block<'_>]) -> String {
    use crate::dialects::message::Content;
    let blocks = blocks.iter().map(|block| match &block.content {
        Content::Text { text, .. } => text.to_string(),
        Content::ToolCall(call) => format!("call {} {}", call.name, call.id),
        Content::ToolResult(result) => format!("result {} error={:?}", result.call_id, result.is_error),
        other => format!("{other:?}"),
    });
    format!("{role:?}: {}", blocks.collect::<Vec<_>>().join(" | "))
}

fn anthropic(messages: &str) -> (Vec<String>, Passed) {
    passed(&format!(r#"{{"model":"m","messages":[{messages}]}}"#), &Shape::ANTHROPIC_MESSAGES)
}

const CALL: &str = r#"{"role":"assistant","content":null,"tool_calls":[
    {"id":"call_1","type":"function","function":{"name":"weather","arguments":"{}"}}]}"#;

#[test]
fn results_lead_the_users_turn() {
    let (turns, passed) = anthropic(&format!(
        r#"{{"role":"user","content":"how is it?"}},{CALL},
        {{"role":"tool","tool_call_id":"call_1","content":"rain"}},{{"role":"user","content":"and tomorrow?"}}"#
    ));
    assert_eq!(
        turns,
        ["User: how is it?", "Assistant: call weather call_1", "User: result call_1 error=None | and tomorrow?"]
    );
    assert!(passed.changed.is_empty(), "{:?}", passed.changed);
}

#[test]
fn a_call_without_a_result_gets_one_that_says_so() {
    let (turns, passed) =
        anthropic(&format!(r#"{{"role":"user","content":"a"}},{CALL},{{"role":"user","content":"never mind"}}"#));
    assert_eq!(turns[2], "User: result call_1 error=Some(true) | never mind");
    assert_eq!(passed.changed, ["messages[2]"]);
}

#[test]
fn a_result_that_comes_late_goes_to_its_call() {
    let calls =
        CALL.replace("]}", r#",{"id":"call_2","type":"function","function":{"name":"time","arguments":"{}"}}]}"#);
    let messages = format!(
        r#"{{"role":"user","content":"a"}},{calls},{{"role":"tool","tool_call_id":"call_2","content":"noon"}},
        {{"role":"user","content":"well?"}},{{"role":"tool","tool_call_id":"call_1","content":"rain"}},
        {{"role":"user","content":"and?"}}"#
    );
    let (turns, told) = anthropic(&messages);
    let results = "User: result call_2 error=None | result call_1 error=None | well? | and?";
    assert_eq!((turns[2].as_str(), turns.len()), (results, 3));
    assert!(told.changed.is_empty(), "{:?}", told.changed);
    let (turns, told) = passed(&format!(r#"{{"model":"m","messages":[{messages}]}}"#), &Shape::OPENAI_CHAT);
    assert_eq!(turns[3..5], ["Tool: result call_1 error=None", "User: well?"]);
    assert!(told.changed.is_empty(), "{:?}", told.changed);
}

#[test]
fn a_call_at_the_end_stays_open() {
    let (turns, passed) = anthropic(&format!(r#"{{"role":"user","content":"a"}},{CALL}"#));
    assert_eq!(turns.len(), 2);
    assert!(passed.changed.is_empty());
}

#[test]
fn an_empty_turn_does_not_part_a_call_from_its_result() {
    let (turns, passed) = passed(
        &format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"a"}},{CALL},{{"role":"assistant","content":""}},
            {{"role":"tool","tool_call_id":"call_1","content":"rain"}}]}}"#
        ),
        &Shape::OPENAI_CHAT,
    );
    assert_eq!(turns, ["User: a", "Assistant: call weather call_1", "Tool: result call_1 error=None"]);
    assert!(passed.changed.is_empty(), "{:?}", passed.changed);
}

#[test]
fn a_conversation_that_another_server_holds_is_refused_in_the_words_that_clients_look_for() {
    let anthropic =
        r#"{"model":"m","max_tokens":9,"thread":THREAD,"messages":[{"role":"user","content":"and then?"}]}"#;
    let responses = r#"{"model":"m","previous_response_id":ID,"input":"and then?"}"#;
    for (dialect, body, param, code) in [
        (
            Dialect::AnthropicMessages,
            anthropic.replace("THREAD", r#"{"type":"create"}"#),
            "thread",
            "thread_unsupported_request",
        ),
        (
            Dialect::OpenAiResponses,
            responses.replace("ID", r#""resp_1""#),
            "previous_response_id",
            "previous_response_not_found",
        ),
    ] {
        let Ok(Request::Chat(chat)) = dialect.parse_request(body.as_bytes()) else { panic!("no chat") };
        let error = held::refuse(&chat).unwrap_err();
        assert_eq!((error.param.as_deref(), error.code), (Some(param), Some(code)));
    }
    let body = responses.replace("ID", "null");
    let Ok(Request::Chat(chat)) = Dialect::OpenAiResponses.parse_request(body.as_bytes()) else { panic!("no chat") };
    assert!(held::refuse(&chat).is_ok());
}

#[test]
fn a_result_without_a_call_becomes_text() {
    let (turns, passed) = anthropic(
        r#"{"role":"user","content":"a"},{"role":"assistant","content":"b"},
        {"role":"tool","tool_call_id":"call_9","content":"rain"}"#,
    );
    assert_eq!(turns[2], "User: rain");
    assert_eq!(passed.changed, ["messages[2].content[0].tool_call_id"]);
}

#[test]
fn later_instructions_stay_in_their_place_as_text_of_the_user() {
    let (turns, passed) = anthropic(
        r#"{"role":"developer","content":"be kind"},{"role":"user","content":"a"},{"role":"assistant","content":"b"},
        {"role":"system","content":"be short"},{"role":"user","content":"c"}"#,
    );
    assert_eq!(turns, ["System: be kind", "User: a", "Assistant: b", "User: be short | c"]);
    assert_eq!(passed.changed, ["messages[3].role"]);
}

#[test]
fn blank_text_and_turns_of_nothing_else_go() {
    let (turns, _) = anthropic(
        r#"{"role":"user","content":"a"},{"role":"assistant","content":""},{"role":"user","content":[
        {"type":"text","text":" \n"},{"type":"text","text":"b"}]}"#,
    );
    assert_eq!(turns, ["User: a | b"]);
}

#[test]
fn a_conversation_begins_with_the_user() {
    let (turns, passed) = anthropic(r#"{"role":"system","content":"s"},{"role":"assistant","content":"hello"}"#);
    assert_eq!(turns, ["System: s", "User: .", "Assistant: hello"]);
    assert_eq!(passed.changed, ["messages[1]"]);
}

#[test]
fn a_conversation_of_nobody_is_refused() {
    let mut chat = ChatRequest::default();
    let error = shape_to(&mut chat, &Shape::ANTHROPIC_MESSAGES).unwrap_err();
    assert_eq!(error.param.as_deref(), Some("messages"));
}

#[test]
fn ids_that_fit_stay_and_others_change_alike_in_call_and_result_and_from_turn_to_turn() {
    let nine = Shape { call_ids: CallIds::Nine, ..Shape::OPENAI_CHAT };
    let body = |id: &str| {
        format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"a"}},{{"role":"assistant","tool_calls":[
            {{"id":"{id}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}]}},
            {{"role":"tool","tool_call_id":"{id}","content":"r"}}]}}"#
        )
    };
    let (kept, _) = passed(&body("AbCdEf123"), &nine);
    assert_eq!(kept[1..], ["Assistant: call f AbCdEf123", "Tool: result AbCdEf123 error=None"]);
    let (first, _) = passed(&body("toolu_01/x"), &nine);
    let (again, _) = passed(&body("toolu_01/x"), &nine);
    assert_eq!(first, again);
    let id = first[1].rsplit(' ').next().unwrap();
    assert!(id.len() == 9 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    assert_eq!(first[2], format!("Tool: result {id} error=None"));
}

#[test]
fn the_first_form_of_functions_becomes_calls_with_ids() {
    let (turns, _) = anthropic(
        r#"{"role":"user","content":"a"},{"role":"assistant","content":null,"function_call":{"name":"f","arguments":"{}"}},
        {"role":"function","name":"f","content":"r"}"#,
    );
    let id = turns[1].strip_prefix("Assistant: call f ").unwrap();
    assert!(id.starts_with("call_"));
    assert_eq!(turns[2], format!("User: result {id} error=None"));
}

#[test]
fn tools_that_the_history_calls_are_declared_and_not_offered() {
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"a"}},{CALL},
        {{"role":"tool","tool_call_id":"call_1","content":"r"}}]}}"#
    );
    let Request::Chat(mut chat) = Dialect::OpenAiChat.parse_request(body.as_bytes()).unwrap() else {
        panic!("no chat")
    };
    shape_to(&mut chat, &Shape::ANTHROPIC_MESSAGES).unwrap();
    let rendered = Dialect::OpenAiChat.render_request(&Request::Chat(chat)).unwrap();
    let said: serde_json::Value = serde_json::from_slice(&rendered.body).unwrap();
    assert_eq!(said["tools"][0]["function"]["name"], "weather");
    assert_eq!(said["tool_choice"], "none");
}

#[test]
fn names_that_do_not_fit_are_rewritten_everywhere_and_turned_back() {
    let long = "mcp__".to_owned() + &"x".repeat(80);
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"a"}}],"tools":[
        {{"type":"function","function":{{"name":"{long}"}}}},{{"type":"function","function":{{"name":"plain"}}}}],
        "tool_choice":{{"type":"function","function":{{"name":"{long}"}}}}}}"#
    );
    let Request::Chat(mut chat) = Dialect::OpenAiChat.parse_request(body.as_bytes()).unwrap() else {
        panic!("no chat")
    };
    let passed = shape_to(&mut chat, &Shape { tool_names: OPENAI_NAMES, ..Shape::ANTHROPIC_MESSAGES }).unwrap();
    let said = Dialect::OpenAiChat.render_request(&Request::Chat(chat)).unwrap().body;
    let said: serde_json::Value = serde_json::from_slice(&said).unwrap();
    let name = said["tools"][0]["function"]["name"].as_str().unwrap();
    assert!(name.len() <= 64 && name.starts_with("mcp__xxx"), "{name}");
    assert_eq!(said["tool_choice"]["function"]["name"], name);
    assert_eq!(passed.names.back(name), long);
    assert_eq!(passed.names.back("plain"), "plain");
    assert_eq!(passed.names.back("never_seen"), "never_seen");
}

#[test]
fn what_a_target_takes_as_it_is_stays_as_it_is() {
    let body = format!(
        r#"{{"model":"m","messages":[{{"role":"system","content":"s"}},{{"role":"user","content":"a"}},{CALL},
        {{"role":"tool","tool_call_id":"call_1","content":"r"}},{{"role":"developer","content":"d"}}]}}"#
    );
    let Request::Chat(before) = Dialect::OpenAiChat.parse_request(body.as_bytes()).unwrap() else { panic!("no chat") };
    let mut after = before.clone();
    let passed = shape_to(&mut after, &Shape::OPENAI_CHAT).unwrap();
    assert_eq!((after, passed), (before, Passed::default()));
}
