//! Bodies that real clients sent are accepted and read rightly: strictness must cost nobody a request.
//! Read from `$FASTROUTE_CLIENTS/traffic.jsonl`; unset, the test says so and passes.

use std::path::PathBuf;

use fastroute_core::json::{Limits, Shape, scan};
use serde_json::Value;

fn shape(path: &str) -> Shape {
    if path.ends_with("/chat/completions") {
        Shape::Chat
    } else if path.ends_with("/embeddings") {
        Shape::Embeddings
    } else {
        Shape::Any
    }
}

#[test]
fn every_recorded_client_is_understood() {
    let Some(folder) = std::env::var_os("FASTROUTE_CLIENTS") else {
        println!("skipped 155 recorded requests: FASTROUTE_CLIENTS is not set");
        return;
    };
    let traffic = std::fs::read_to_string(PathBuf::from(folder).join("traffic.jsonl")).unwrap();
    let (mut bodies, mut chats) = (0, 0);
    for line in traffic.lines() {
        let request: Value = serde_json::from_str(line).unwrap();
        let (client, path, body) = (&request["client"], request["path"].as_str().unwrap(), &request["body"]);
        if !body.is_object() {
            continue;
        }
        for text in [body.to_string(), serde_json::to_string_pretty(body).unwrap()] {
            let found = scan(text.as_bytes(), shape(path), &Limits::default());
            let found = found.unwrap_or_else(|error| panic!("{client} {path}: {error}"));
            assert_eq!(found.model.as_deref(), body["model"].as_str(), "{client} {path}");
            if shape(path) == Shape::Chat {
                assert_eq!(found.stream, body["stream"].as_bool(), "{client}");
                assert_eq!(found.messages as usize, body["messages"].as_array().unwrap().len(), "{client}");
                assert_eq!(found.roles.other, 0, "{client}");
                chats += 1;
            }
            bodies += 1;
        }
    }
    assert!(bodies > 200 && chats > 60, "{bodies} bodies, {chats} chats");
    println!("ran {bodies} bodies, {chats} of them chats");
}
