//! Servers and clients of a conversation with tools and thoughts, in every dialect.
#![allow(dead_code, reason = "each test takes what it needs of it")]

use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::fold::Fold;
use fastroute_core::dialects::message::{
    ChatReply, Content, Envelope, Event, Extras, Finish, FinishReason, Reply, TokenUsage, Usage,
};
use fastroute_core::passes::WayBack;
use fastroute_core::sse::Limits;
use fastroute_core::translate::{self, Frames, StreamTranslator};
use serde_json::{Value, json};

pub const CHAT: Dialect = Dialect::OpenAiChat;
pub const RESPONSES: Dialect = Dialect::OpenAiResponses;
pub const ANTHROPIC: Dialect = Dialect::AnthropicMessages;
pub const GEMINI: Dialect = Dialect::Gemini;
pub const BEDROCK: Dialect = Dialect::BedrockConverse;
pub const CLIENTS: [Dialect; 4] = [CHAT, RESPONSES, ANTHROPIC, GEMINI];

/// How an answer reaches the client. Google's SDK keeps a stream as it came, chunk by chunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    Whole,
    Streamed,
}

impl How {
    pub const ALL: [Self; 2] = [Self::Whole, Self::Streamed];
}

/// In base64 as all of them are, and nowhere in anything else.
pub fn proof(maker: Dialect, turn: usize) -> String {
    let name: String = maker.name().chars().filter(char::is_ascii_alphanumeric).take(7).collect();
    format!("{:x<16}", format!("PROOF{turn}{name}"))
}

/// What a server answers: a thought, a word, and a call; in Gemini the call is what is proven.
pub fn answer(maker: Dialect, turn: usize, proven: bool) -> Value {
    let proof = proof(maker, turn);
    let id = format!("of_{}_{turn}", maker.name());
    let (thought, word) = (format!("Hm {turn}."), format!("Word {turn}."));
    match maker {
        Dialect::OpenAiChat => {
            let mut message = json!({"role": "assistant", "content": word, "tool_calls": [{"id": id,
                "type": "function", "function": {"name": "look", "arguments": "{\"at\":\"sky\"}"}}]});
            if proven {
                message["reasoning_details"] =
                    json!([{"type": "reasoning.text", "text": thought, "signature": proof, "index": 0}]);
            } else {
                message["reasoning_content"] = json!(thought);
            }
            json!({"id": format!("chatcmpl-{turn}"), "object": "chat.completion", "created": 1, "model": "m",
                "choices": [{"index": 0, "message": message, "finish_reason": "tool_calls"}]})
        }
        Dialect::OpenAiResponses => {
            let mut reasoning = json!({"type": "reasoning", "id": format!("rs_of_the_server_{turn}"),
                "summary": [{"type": "summary_text", "text": thought}]});
            if proven {
                reasoning["encrypted_content"] = json!(proof);
            }
            json!({"id": format!("resp_{turn}"), "object": "response", "created_at": 1, "model": "m",
            "status": "completed", "output": [reasoning,
                {"type": "message", "id": format!("msg_{turn}"), "role": "assistant", "status": "completed",
                    "content": [{"type": "output_text", "text": word, "annotations": []}]},
                {"type": "function_call", "id": format!("fc_{turn}"), "call_id": id, "name": "look",
                    "arguments": "{\"at\":\"sky\"}", "status": "completed"}]})
        }
        Dialect::Gemini => {
            let mut call = json!({"functionCall": {"name": "look", "args": {"at": "sky"}}});
            if proven {
                call["thoughtSignature"] = json!(proof);
            }
            json!({"responseId": format!("g{turn}"), "modelVersion": "m", "candidates": [{"index": 0, "content":
                {"role": "model", "parts": [{"text": thought, "thought": true}, {"text": word}, call]},
                "finishReason": "STOP"}]})
        }
        Dialect::BedrockConverse => {
            let mut text = json!({"text": thought});
            if proven {
                text["signature"] = json!(proof);
            }
            json!({"output": {"message": {"role": "assistant", "content": [
                {"reasoningContent": {"reasoningText": text}}, {"text": word},
                {"toolUse": {"toolUseId": id, "name": "look", "input": {"at": "sky"}}}]}},
                "stopReason": "tool_use", "usage": {"inputTokens": 1, "outputTokens": 1, "totalTokens": 2}})
        }
        _ => {
            let signature = if proven { proof } else { String::new() };
            json!({"id": format!("msg_{turn}"), "type": "message", "role": "assistant", "model": "m", "content": [
                {"type": "thinking", "thinking": thought, "signature": signature},
                {"type": "text", "text": word},
                {"type": "tool_use", "id": id, "name": "look", "input": {"at": "sky"}}],
                "stop_reason": "tool_use", "stop_sequence": null, "usage": {"input_tokens": 1, "output_tokens": 1}})
        }
    }
}

/// What a client asks first, in its own dialect.
pub fn question(client: Dialect, thinks: bool) -> Value {
    let parameters = json!({"type": "object", "properties": {"at": {"type": "string"}}});
    let mut body = match client {
        Dialect::OpenAiChat => json!({"model": "m", "messages": [{"role": "user", "content": "Look."}],
            "tools": [{"type": "function", "function": {"name": "look", "parameters": parameters}}]}),
        Dialect::OpenAiResponses => json!({"model": "m", "input": [{"role": "user", "content": "Look."}],
            "store": false, "tools": [{"type": "function", "name": "look", "parameters": parameters}]}),
        Dialect::Gemini => json!({"contents": [{"role": "user", "parts": [{"text": "Look."}]}],
            "tools": [{"functionDeclarations": [{"name": "look", "parameters": parameters}]}]}),
        _ => json!({"model": "m", "max_tokens": 9000, "messages": [{"role": "user", "content": "Look."}],
            "tools": [{"name": "look", "input_schema": parameters}]}),
    };
    if thinks {
        match client {
            Dialect::OpenAiChat => body["reasoning_effort"] = json!("high"),
            Dialect::OpenAiResponses => {
                body["reasoning"] = json!({"effort": "high"});
                body["include"] = json!(["reasoning.encrypted_content"]);
            }
            Dialect::Gemini => body["generationConfig"] = json!({"thinkingConfig": {"includeThoughts": true}}),
            _ => body["thinking"] = json!({"type": "enabled", "budget_tokens": 2000}),
        }
    }
    body
}

/// What the client of an answer holds. A list of what came, chunk by chunk, where it is a stream of Gemini's.
pub fn told(reply: &Value, maker: Dialect, client: Dialect, way_back: &WayBack, how: How, turn: usize) -> Value {
    let id = format!("r{turn}");
    let envelope = Envelope { id: &id, model: "m", created_s: 1, include_usage: true };
    let body = reply.to_string();
    if how == How::Whole {
        if maker == client {
            return reply.clone();
        }
        let said = translate::reply(body.as_bytes(), maker, client, way_back, &envelope).unwrap();
        return serde_json::from_slice(&said).unwrap();
    }
    let upstream = stream_of(&body, maker, &envelope);
    let mut out = Vec::new();
    if maker == client {
        out = upstream;
    } else {
        let stream = StreamTranslator::new(maker, client, way_back.clone(), &envelope, Limits::default());
        let mut stream = stream.unwrap();
        stream.push(&upstream, &mut out);
        stream.finish(&mut out);
    }
    let mut chunks = Vec::new();
    let (mut reader, mut fold) = (client.reader().unwrap(), Fold::new(1 << 20));
    Frames::of(client, Limits::default()).feed(&out, |name, data| {
        chunks.push(serde_json::from_slice::<Value>(data).unwrap_or_default());
        for event in reader.parse_event(name, data).unwrap() {
            fold.add(&event).unwrap();
        }
    });
    if client == GEMINI {
        return json!(chunks);
    }
    if client == RESPONSES {
        let done = chunks.into_iter().find(|chunk| chunk["type"] == "response.completed").unwrap();
        return done["response"].clone();
    }
    let said = client.render_reply(&Reply::Chat(fold.finish().unwrap()), &envelope).unwrap();
    serde_json::from_slice(&said).unwrap()
}

/// A reply as its server streams it, thoughts and words in pieces.
fn stream_of(body: &str, maker: Dialect, envelope: &Envelope<'_>) -> Vec<u8> {
    if maker == RESPONSES {
        return stream_of_items(&serde_json::from_str(body).unwrap());
    }
    let Reply::Chat(reply) = maker.parse_reply(body.as_bytes()).unwrap() else { panic!("{body}") };
    let mut writer = maker.writer(envelope).unwrap();
    let mut out = Vec::new();
    for event in events(&reply) {
        writer.render_event(&event, &mut out);
    }
    out
}

/// Items that come whole, under the ids of their server.
fn stream_of_items(response: &Value) -> Vec<u8> {
    let mut begun = response.clone();
    begun["status"] = json!("in_progress");
    begun["output"] = json!([]);
    let mut events = vec![json!({"type": "response.created", "response": begun})];
    for (at, item) in response["output"].as_array().unwrap().iter().enumerate() {
        let mut head = item.clone();
        for said in ["content", "summary", "encrypted_content", "arguments"] {
            if head.get(said).is_some() {
                head[said] = if said == "arguments" { json!("") } else { json!([]) };
            }
        }
        head.as_object_mut().unwrap().remove("encrypted_content");
        events.push(json!({"type": "response.output_item.added", "output_index": at, "item": head}));
        events.push(json!({"type": "response.output_item.done", "output_index": at, "item": item}));
    }
    events.push(json!({"type": "response.completed", "response": response}));
    let frames = events.iter().map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()));
    frames.collect::<String>().into_bytes()
}

fn events<'r>(reply: &'r ChatReply<'_>) -> Vec<Event<'r>> {
    let choice = 0;
    let id = reply.id.as_ref();
    let mut events =
        vec![Event::MessageStart { id: id.into(), model: "m".into(), created_s: None, extras: Extras::default() }];
    let mut call = 0;
    for block in &reply.choices[0].turn.blocks {
        match &block.content {
            Content::Text { text, .. } => {
                let (one, two) = text.split_at(3);
                events.push(Event::TextStart { choice });
                events.push(Event::TextDelta { choice, text: one.into(), logprobs: None });
                events.push(Event::TextDelta { choice, text: two.into(), logprobs: None });
                events.push(Event::TextEnd { choice });
            }
            Content::Reasoning(said) => {
                let (one, two) = said.text.split_at(2);
                events.push(Event::ReasoningStart { choice });
                events.push(Event::ReasoningDelta { choice, text: one.into() });
                events.push(Event::ReasoningDelta { choice, text: two.into() });
                if let Some(proof) = said.signature.as_deref().filter(|proof| !proof.is_empty()) {
                    events.push(Event::ReasoningSignature { choice, signature: proof.into() });
                }
                events.push(Event::ReasoningEnd { choice });
            }
            Content::ToolCall(tool) => {
                let signature = tool.signature.as_deref().map(Into::into);
                let (kind, id, name) = (tool.kind, tool.id.as_ref().into(), tool.name.as_ref().into());
                events.push(Event::ToolCallStart { choice, call, kind, id, name, signature });
                let arguments = tool.arguments.as_ref().into();
                events.push(Event::ToolCallDelta { choice, call, kind, arguments });
                events.push(Event::ToolCallEnd { choice, call });
                call += 1;
            }
            _ => {}
        }
    }
    events.push(Event::Finish { choice, finish: Finish::new(FinishReason::ToolCalls, None) });
    events.push(Event::Usage(Usage { tokens: TokenUsage::default(), extras: Extras::default() }));
    events.push(Event::Done);
    events
}

/// The same conversation one turn later: the answer as it came, a result for each call, and a word of the user.
pub fn next(client: Dialect, body: &mut Value, told: &Value) {
    let name = match client {
        Dialect::OpenAiResponses => "input",
        Dialect::Gemini => "contents",
        _ => "messages",
    };
    let turns = body[name].as_array_mut().unwrap();
    match client {
        Dialect::OpenAiChat => {
            let message = &told["choices"][0]["message"];
            turns.push(message.clone());
            let calls = message["tool_calls"].as_array().unwrap();
            turns.extend(
                calls.iter().map(|call| json!({"role": "tool", "tool_call_id": call["id"], "content": "blue"})),
            );
        }
        Dialect::OpenAiResponses => {
            let items = told["output"].as_array().unwrap();
            turns.extend(items.iter().cloned());
            let calls = items.iter().filter(|item| item["type"] == "function_call");
            turns.extend(
                calls.map(|call| json!({"type": "function_call_output", "call_id": call["call_id"], "output": "blue"})),
            );
        }
        Dialect::Gemini => {
            let one = [told.clone()];
            let chunks = told.as_array().map_or(&one[..], Vec::as_slice);
            let contents: Vec<_> = chunks
                .iter()
                .map(|chunk| chunk["candidates"][0]["content"].clone())
                .filter(|content| content["parts"].as_array().is_some_and(|parts| !parts.is_empty()))
                .collect();
            let parts = contents.iter().flat_map(|content| content["parts"].as_array().unwrap());
            let calls: Vec<_> = parts.filter(|part| part.get("functionCall").is_some()).cloned().collect();
            turns.extend(contents);
            let results = calls.iter().map(|call| {
                let call = &call["functionCall"];
                let mut result = json!({"name": call["name"], "response": {"result": "blue"}});
                if call["id"].is_string() {
                    result["id"] = call["id"].clone();
                }
                json!({"functionResponse": result})
            });
            turns.push(json!({"role": "user", "parts": results.collect::<Vec<_>>()}));
        }
        _ => {
            let blocks = told["content"].as_array().unwrap();
            turns.push(json!({"role": "assistant", "content": blocks}));
            let calls = blocks.iter().filter(|block| block["type"] == "tool_use");
            let results =
                calls.map(|call| json!({"type": "tool_result", "tool_use_id": call["id"], "content": "blue"}));
            turns.push(json!({"role": "user", "content": results.collect::<Vec<_>>()}));
        }
    }
}

/// Everything that is said in a request, in order: items, blocks, parts, messages of chat.
pub fn blocks(body: &Value, target: Dialect) -> Vec<Value> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    match target {
        Dialect::OpenAiResponses => list(&body["input"]),
        Dialect::OpenAiChat => list(&body["messages"]),
        Dialect::Gemini => list(&body["contents"]).iter().flat_map(|turn| list(&turn["parts"])).collect(),
        _ => list(&body["messages"]).iter().flat_map(|turn| list(&turn["content"])).collect(),
    }
}

/// The ids of the calls in a request. Gemini's have none that count.
pub fn call_ids(body: &Value, target: Dialect) -> Vec<String> {
    let blocks = blocks(body, target);
    let ids: Vec<Value> = match target {
        Dialect::OpenAiChat => {
            let calls = blocks.iter().filter_map(|message| message["tool_calls"].as_array());
            calls.flatten().map(|call| call["id"].clone()).collect()
        }
        Dialect::OpenAiResponses => {
            let calls = blocks.iter().filter(|item| item["type"] == "function_call");
            calls.map(|call| call["call_id"].clone()).collect()
        }
        Dialect::BedrockConverse => {
            blocks.iter().filter_map(|block| block.get("toolUse")).map(|call| call["toolUseId"].clone()).collect()
        }
        Dialect::Gemini => Vec::new(),
        _ => blocks.iter().filter(|block| block["type"] == "tool_use").map(|call| call["id"].clone()).collect(),
    };
    ids.iter().map(|id| id.as_str().unwrap_or_default().to_owned()).collect()
}

/// That a request still holds its calls, their results and its words.
pub fn asked(body: &Value, target: Dialect, turns: usize, what: &str) {
    let text = body.to_string();
    for turn in 0..turns {
        // In pieces, as Google's SDK keeps them.
        let said = text.contains(&format!("Word {turn}.")) || text.contains(&format!("d {turn}."));
        assert!(said, "{what}, to {}: {text}", target.name());
    }
    assert_eq!(text.matches("sky").count(), turns, "{what}, to {}: {text}", target.name());
    assert_eq!(text.matches("blue").count(), turns, "{what}, to {}: {text}", target.name());
}
