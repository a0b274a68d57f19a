//! What a table refuses, and where a model name leads.

use std::borrow::Cow;

use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::said::Said;
use fastroute_core::json::member;
use fastroute_core::passes::{Capabilities, OnLoss};

use super::*;

fn spec() -> TableSpec {
    let provider = ProviderSpec {
        name: "p".into(),
        scheme: "http".into(),
        host: "127.0.0.1".into(),
        port: 1,
        speaks: [("openai_chat".to_owned(), "/chat/completions".to_owned())].into(),
        ..ProviderSpec::default()
    };
    let choices = vec![ChoiceSpec { target: 0, weight: 1 }];
    TableSpec {
        generation: 1,
        providers: vec![provider],
        targets: vec![TargetSpec {
            provider: 0,
            model: None,
            key: None,
            key_id: String::new(),
            capabilities: Capabilities::default(),
        }],
        routes: vec![RouteSpec {
            name: "m".into(),
            choices,
            policy: "ordered".into(),
            patience: Patience::default(),
            on_loss: OnLoss::default(),
        }],
        direct: vec![vec![0]],
        endpoints: [("files".to_owned(), "up/*".to_owned())].into(),
        patience: Patience::default(),
        on_loss: OnLoss::default(),
    }
}

fn refusal(spoil: impl FnOnce(&mut TableSpec)) -> String {
    let mut spec = spec();
    spoil(&mut spec);
    Table::compile(spec).err().expect("such a table is refused").0
}

#[test]
fn a_table_that_cannot_work_is_refused_and_the_place_named() {
    let header = |name: &str| vec![(name.to_owned(), "1".to_owned())];
    assert!(refusal(|spec| spec.targets[0].provider = 7).starts_with("targets[0].provider: "));
    assert!(refusal(|spec| spec.routes[0].choices[0].target = 7).starts_with("routes[0].choices: "));
    assert!(refusal(|spec| spec.routes[0].choices.clear()).starts_with("routes[0].choices: "));
    assert!(refusal(|spec| spec.direct = vec![vec![7]]).starts_with("direct[0]: "));
    assert!(refusal(|spec| spec.providers[0].scheme = "ftp".into()).starts_with("providers[0].scheme: "));
    assert!(refusal(|spec| spec.providers[0].host.clear()).starts_with("providers[0].host: "));
    assert!(refusal(|spec| spec.providers[0].headers = header("a b")).starts_with("targets[0].headers: "));
    for framing in ["Content-Length", "transfer-encoding", "connection"] {
        assert!(refusal(|spec| spec.providers[0].headers = header(framing)).contains(framing));
    }
    for path in ["chat", "/a b", "/a\r\nx: y"] {
        let told = refusal(|spec| _ = spec.providers[0].speaks.insert("openai_chat".into(), path.into()));
        assert!(told.contains("speaks: "), "{told}");
    }
}

#[test]
fn a_name_wins_over_the_pass_through_of_the_same_spelling() {
    let mut spec = spec();
    spec.routes[0].name = "p/special".into();
    let table = Table::compile(spec).unwrap();
    assert_eq!(table.resolve("p/special"), Some(0));
    assert_eq!(table.resolve("p/anything"), Some(1));
    assert_eq!(table.resolve("p/"), None);
    assert_eq!(table.resolve("q/anything"), None);
    assert!(
        table.model(Dialect::OpenAiChat, "p/special").is_some()
            && table.model(Dialect::OpenAiChat, "p/anything").is_none()
    );
}

#[test]
fn a_target_is_spoken_to_in_the_dialect_that_loses_least_of_the_request() {
    let spoken = |client: Dialect, body: &str, model: &str| {
        let mut spec = spec();
        spec.providers[0].speaks.insert("openai_responses".into(), "/responses".into());
        spec.targets[0].capabilities = serde_json::from_str(model).unwrap();
        let table = Table::compile(spec).unwrap();
        let said = || Said::of(client, |name| member(body.as_bytes(), name).map(Cow::Borrowed));
        table.target(0).unwrap().head(client, said).unwrap().dialect
    };
    let stops = r#"{"stop_sequences":["END"]}"#;
    for (client, body, model, dialect) in [
        (Dialect::OpenAiChat, r#"{"reasoning_effort":"low"}"#, "{}", Dialect::OpenAiChat),
        (Dialect::OpenAiResponses, r#"{"stop":"x"}"#, "{}", Dialect::OpenAiResponses),
        (Dialect::AnthropicMessages, "{}", "{}", Dialect::OpenAiResponses),
        (Dialect::AnthropicMessages, stops, "{}", Dialect::OpenAiChat),
        // A model that refuses to be sampled while it thinks would not take them in chat either.
        (Dialect::AnthropicMessages, stops, r#"{"sampling":"reject"}"#, Dialect::OpenAiResponses),
        (
            Dialect::Gemini,
            r#"{"generationConfig":{"candidateCount":2}}"#,
            r#"{"sampling":"reject"}"#,
            Dialect::OpenAiChat,
        ),
    ] {
        assert_eq!(spoken(client, body, model), dialect, "{} {body}", client.name());
    }
}
