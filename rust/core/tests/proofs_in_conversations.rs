//! Conversations of several turns that change who answers them, between makers and back: a proof goes to its maker and to
//! nobody else, and nobody is sent reasoning that it would refuse.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails where it meets a failure"
)]

use std::collections::HashSet;

use fastroute_core::dialects::Dialect;
use fastroute_core::passes::{Capabilities, Demands, OnLoss, holds_marks};
use fastroute_core::quirks::Quirks;
use fastroute_core::translate::{self, Address};
use serde_json::{Value, json};

#[path = "dialects/talk.rs"]
mod talk;
use talk::{ANTHROPIC, BEDROCK, CHAT, CLIENTS, GEMINI, How, RESPONSES, answer, asked, next, told};

const TARGETS: [Dialect; 5] = [CHAT, RESPONSES, ANTHROPIC, GEMINI, BEDROCK];

/// What a target is sent: the client's own bytes where they will do, as the gateway decides.
fn sent(body: &Value, client: Dialect, target: Dialect) -> (Value, Vec<String>, fastroute_core::passes::WayBack) {
    let bytes = body.to_string();
    if client == target && !holds_marks([bytes.as_bytes()]) {
        return (body.clone(), Vec::new(), fastroute_core::passes::WayBack::default());
    }
    let level: Capabilities = serde_json::from_value(json!({"reasoning_style": "level"})).unwrap();
    let capabilities = if target == GEMINI { level } else { Capabilities::default() };
    let demands = Demands::new(target, capabilities, Quirks::default(), OnLoss::Drop);
    let address = Address { model: Some("m"), stream: None };
    let told = translate::request(bytes.as_bytes(), client, &demands, address)
        .unwrap_or_else(|error| panic!("{} to {}: {error}\n{body}", client.name(), target.name()));
    let said = serde_json::from_slice(&told.body).unwrap();
    (said, [told.dropped, told.changed].concat(), told.way_back)
}

/// Every proof in a body, as the servers of these tests make them: `proof/DIALECT/TURN`, in base64 without an end.
fn proofs(body: &Value) -> Vec<String> {
    let text = body.to_string();
    TARGETS
        .iter()
        .flat_map(|maker| (0..4).map(move |turn| (maker.name(), talk::proof(*maker, turn))))
        .filter(|(_, proof)| text.contains(proof.as_str()))
        .map(|(maker, _)| maker.to_owned())
        .collect()
}

/// What each server refuses.
fn check(body: &Value, target: Dialect, what: &str) {
    let text = body.to_string();
    assert!(!holds_marks([text.as_bytes()]), "{what}: a mark gets out: {text}");
    for maker in proofs(body) {
        assert_eq!(maker, target.name(), "{what}: {text}");
    }
    let blocks = talk::blocks(body, target);
    if target == ANTHROPIC {
        for block in blocks.iter().filter(|block| block["type"] == "thinking") {
            assert!(block["signature"].as_str().is_some_and(|proof| !proof.is_empty()), "{what}: {text}");
        }
        for message in body["messages"].as_array().unwrap() {
            assert!(message["content"] != json!([]) && message["content"] != json!(""), "{what}: {text}");
        }
        assert!(
            blocks.iter().filter(|block| block["type"] == "tool_use").all(|block| block.get("signature").is_none())
        );
    }
    if target == RESPONSES {
        for item in blocks.iter().filter(|item| item["type"] == "reasoning") {
            let stored = item["id"].as_str().is_some_and(|id| id.starts_with("rs_of_the_server"));
            assert!(stored || item["encrypted_content"].is_string(), "{what}: {text}");
        }
    }
    let ids = talk::call_ids(body, target);
    let different: HashSet<_> = ids.iter().collect();
    assert_eq!(different.len(), ids.len(), "{what}: two calls with one id: {text}");
}

/// One conversation: who answers turn by turn, with proofs or without.
fn hold(client: Dialect, makers: &[Dialect], proven: bool, how: How, thinks: bool) {
    let names: Vec<_> = makers.iter().map(|maker| maker.name()).collect();
    let what = format!("{} of {names:?}, proven: {proven}, {how:?}, thinks: {thinks}", client.name());
    let mut body = talk::question(client, thinks);
    for (turn, maker) in makers.iter().copied().enumerate() {
        let (said, _, way_back) = sent(&body, client, maker);
        check(&said, maker, &format!("{what}, turn {turn}"));
        // What gives thoughts an empty signature to clients of its own dialect imitates Anthropic, and has them back so.
        let reply = answer(maker, turn, proven || [client, maker] == [ANTHROPIC; 2]);
        let told = told(&reply, maker, client, &way_back, how, turn);
        next(client, &mut body, &told);
        let everybody = format!("{what}, behind turn {turn}");
        for target in TARGETS {
            let (said, ..) = sent(&body, client, target);
            check(&said, target, &everybody);
            asked(&said, target, turn + 1, &everybody);
            let kept = proofs(&said).len();
            let made = makers[..=turn].iter().filter(|maker| **maker == target).count();
            if proven {
                assert!(kept >= made, "{everybody}: {} has {kept} of {made} proofs back: {said}", target.name());
            }
        }
    }
}

#[test]
fn a_proof_goes_to_its_maker_whoever_answers_between() {
    for client in CLIENTS {
        for first in TARGETS {
            for second in TARGETS {
                for how in How::ALL {
                    for proven in [true, false] {
                        hold(client, &[first, second, first], proven, how, true);
                        // Who did not ask for thoughts is told otherwise in one dialect.
                        if client == ANTHROPIC {
                            hold(client, &[first, second, first], proven, how, false);
                        }
                    }
                }
            }
        }
    }
}

/// Both ways in which an answer reaches a client that asked first with `question`.
fn both(client: Dialect, maker: Dialect, reply: &Value, thinks: bool) -> [(Value, Value); 2] {
    How::ALL.map(|how| {
        let mut body = talk::question(client, thinks);
        let (_, _, way_back) = sent(&body, client, maker);
        let told = told(reply, maker, client, &way_back, how, 0);
        next(client, &mut body, &told);
        (told, body)
    })
}

#[test]
fn reasoning_without_a_proof_is_known_again_for_that_of_its_maker() {
    for maker in [CHAT, GEMINI, BEDROCK, RESPONSES] {
        for (told, body) in both(ANTHROPIC, maker, &answer(maker, 0, false), true) {
            let thought = &told["content"][0];
            assert_eq!((&thought["type"], &thought["thinking"]), (&json!("thinking"), &json!("Hm 0.")), "{told}");
            assert!(holds_marks([thought["signature"].as_str().unwrap().as_bytes()]), "{}: {told}", maker.name());
            let (said, named, _) = sent(&body, ANTHROPIC, ANTHROPIC);
            let left: Vec<_> = talk::blocks(&said, ANTHROPIC).iter().map(|block| block["type"].clone()).collect();
            assert_eq!(left.iter().filter(|kind| *kind == "thinking").count(), 0, "{}: {said}", maker.name());
            // Without a thought in front of its calls, a model that thinks is asked not to.
            assert_eq!(named, ["messages[1].content[0]", "thinking"], "{}", maker.name());
        }
    }
    for maker in [CHAT, GEMINI, BEDROCK, ANTHROPIC] {
        for (told, body) in both(RESPONSES, maker, &answer(maker, 0, false), true) {
            let item = &told["output"][0];
            assert_eq!((&item["type"], &item["summary"][0]["text"]), (&json!("reasoning"), &json!("Hm 0.")), "{told}");
            let (said, named, _) = sent(&body, RESPONSES, RESPONSES);
            let kinds: Vec<_> = talk::blocks(&said, RESPONSES).iter().map(|item| item["type"].clone()).collect();
            assert!(!kinds.contains(&json!("reasoning")), "{}: {said}", maker.name());
            assert_eq!(named, ["input[1]"], "{}", maker.name());
        }
    }
    // Its own maker has it back without any.
    for client in [ANTHROPIC, RESPONSES] {
        for (_, body) in both(client, CHAT, &answer(CHAT, 0, false), true) {
            let (said, named, _) = sent(&body, client, CHAT);
            assert_eq!(said["messages"][1]["reasoning_content"], "Hm 0.", "{said}");
            assert!(named.iter().all(|name| !name.contains("content[0]") && !name.contains("encrypted")), "{named:?}");
        }
    }
}

#[test]
fn nothing_is_left_of_a_turn_of_nothing_but_the_thoughts_of_others() {
    let mut reply = answer(CHAT, 0, false);
    let message = reply["choices"][0]["message"].as_object_mut().unwrap();
    message.remove("tool_calls");
    message.remove("content");
    reply["choices"][0]["finish_reason"] = json!("length");
    let (_, _, way_back) = sent(&talk::question(ANTHROPIC, true), ANTHROPIC, CHAT);
    let told = told(&reply, CHAT, ANTHROPIC, &way_back, How::Whole, 0);
    let mut body = talk::question(ANTHROPIC, true);
    let turns = body["messages"].as_array_mut().unwrap();
    turns.push(json!({"role": "assistant", "content": told["content"]}));
    turns.push(json!({"role": "user", "content": "Go on."}));
    let (said, named, _) = sent(&body, ANTHROPIC, ANTHROPIC);
    assert!(!said.to_string().contains("Hm 0."), "{said}");
    assert!(said["messages"].as_array().unwrap().iter().all(|turn| turn["role"] == "user"), "{said}");
    assert_eq!(named, ["messages[1].content[0]"]);
}

#[test]
fn a_thought_that_a_gemini_client_keeps_in_pieces_is_one_for_its_maker() {
    for (_, body) in both(GEMINI, ANTHROPIC, &answer(ANTHROPIC, 0, true), true) {
        let (said, named, _) = sent(&body, GEMINI, ANTHROPIC);
        let blocks = talk::blocks(&said, ANTHROPIC);
        let thoughts: Vec<_> = blocks.iter().filter(|block| block["type"] == "thinking").collect();
        let [thought] = thoughts.as_slice() else { panic!("{said}") };
        assert_eq!(**thought, json!({"type": "thinking", "thinking": "Hm 0.", "signature": talk::proof(ANTHROPIC, 0)}));
        assert!(named.is_empty(), "{named:?}");
    }
}

#[test]
fn a_client_that_did_not_ask_for_thoughts_finds_its_call_first() {
    let mut reply = answer(GEMINI, 0, true);
    let parts = reply["candidates"][0]["content"]["parts"].as_array_mut().unwrap();
    parts.drain(..2);
    for (told, body) in both(ANTHROPIC, GEMINI, &reply, false) {
        let content = told["content"].as_array().unwrap();
        let [call] = content.as_slice() else { panic!("{told}") };
        assert_eq!((&call["type"], &call["input"]["at"]), (&json!("tool_use"), &json!("sky")));
        let (said, ..) = sent(&body, ANTHROPIC, GEMINI);
        assert_eq!(said["contents"][1]["parts"][0]["thoughtSignature"], talk::proof(GEMINI, 0), "{said}");
        // Whoever rebuilds its blocks from what it knows loses the proof and not the conversation.
        let mut rebuilt = body.clone();
        rebuilt["messages"][1]["content"][0].as_object_mut().unwrap().remove("signature");
        let (said, ..) = sent(&rebuilt, ANTHROPIC, GEMINI);
        assert_eq!(said["contents"][1]["parts"][0]["thoughtSignature"], "skip_thought_signature_validator");
    }
    let [(told, _), _] = both(ANTHROPIC, GEMINI, &reply, true);
    assert_eq!(
        (&told["content"][0]["type"], &told["content"][1]["type"]),
        (&json!("redacted_thinking"), &json!("tool_use"))
    );
}

/// The string that holds a mark in an answer.
fn marked(told: &Value) -> String {
    let text = told.to_string();
    text.split('"').find(|piece| holds_marks([piece.as_bytes()])).unwrap().to_owned()
}

#[test]
fn a_mark_gets_out_of_no_place_where_a_client_may_have_put_it() {
    let mark = |client: Dialect| {
        let [(told, _), _] = both(client, BEDROCK, &answer(BEDROCK, 0, true), true);
        marked(&told)
    };
    let said = |client: Dialect, turn: Value| {
        let mut body = talk::question(client, true);
        let name = if client == RESPONSES {
            "input"
        } else if client == GEMINI {
            "contents"
        } else {
            "messages"
        };
        let again = body[name][0].clone();
        body[name].as_array_mut().unwrap().extend([turn, again]);
        sent(&body, client, client)
    };
    let (chat, responses, anthropic, gemini) = (mark(CHAT), mark(RESPONSES), mark(ANTHROPIC), mark(GEMINI));
    let cases = [
        // Details of a kind that nobody knows beside it, so that none of them is read.
        (
            CHAT,
            json!({"role": "assistant", "content": "Word.", "reasoning_details": [
            {"type": "reasoning.new"}, {"type": "reasoning.text", "text": "Hm.", "signature": chat}]}),
        ),
        // A part that is no text, so that the item is not read.
        (
            RESPONSES,
            json!({"type": "reasoning", "id": "rs_1", "encrypted_content": responses,
            "summary": [{"type": "summary_text", "text": ""}]}),
        ),
        (
            ANTHROPIC,
            json!({"role": "assistant", "content": [{"type": "text", "text": "Word.", "signature": anthropic}]}),
        ),
        // Cut short on the way.
        (
            ANTHROPIC,
            json!({"role": "assistant", "content": [{"type": "text", "text": "Word."},
            {"type": "redacted_thinking", "data": anthropic.get(..20).unwrap()}]}),
        ),
        // A proof that its client put beside the answer.
        (GEMINI, json!({"role": "model", "parts": [{"text": "Word.", "thoughtSignature": gemini}]})),
        // As an address would hold it, and without its padding.
        (
            GEMINI,
            json!({"role": "model", "parts": [{"text": "Word."},
            {"text": "Hm.", "thought": true, "thoughtSignature": gemini.replace('+', "-").trim_end_matches('=')}]}),
        ),
    ];
    for (client, turn) in cases {
        let (said, named, _) = said(client, turn);
        check(&said, client, client.name());
        assert_eq!(named.len(), 1, "{}: {named:?} {said}", client.name());
        assert!(client == RESPONSES || said.to_string().contains("Word."), "{said}");
    }
}
