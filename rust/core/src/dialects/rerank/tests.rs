use crate::dialects::Dialect;
use crate::dialects::message::Envelope;
use crate::passes::{Demands, WayBack};
use crate::translate::{self, Address};
use serde_json::{Value, json};

const COHERE: Dialect = Dialect::Rerank;
const JINA: Dialect = Dialect::JinaRerank;
const VOYAGE: Dialect = Dialect::VoyageRerank;

fn asked(body: &Value, source: Dialect, target: Dialect) -> Result<(Value, Vec<String>), String> {
    let body = body.to_string();
    let told = translate::request(body.as_bytes(), source, &Demands::of(target), Address::default());
    let told = told.map_err(|error| error.to_string())?;
    Ok((serde_json::from_slice(&told.body).unwrap(), told.dropped))
}

fn answered(body: &Value, source: Dialect, target: Dialect) -> Value {
    let body = body.to_string();
    let envelope = Envelope { id: "r-1", model: "rank-1", created_s: 7, include_usage: false };
    let told = translate::reply(body.as_bytes(), source, target, &WayBack::default(), &envelope).unwrap();
    serde_json::from_slice(&told).unwrap()
}

#[test]
fn a_request_is_said_in_the_words_of_its_server() {
    let cohere = json!({"model": "m", "query": "deep?", "documents": ["a", {"text": "b", "year": 1}], "top_n": 1,
        "return_documents": true, "max_tokens_per_doc": 64});
    let (said, dropped) = asked(&cohere, COHERE, VOYAGE).unwrap();
    assert_eq!(
        said,
        json!({"model": "m", "query": "deep?", "documents": ["a", "b"], "top_k": 1, "return_documents": true})
    );
    assert_eq!(dropped, ["max_tokens_per_doc"]);
    let (said, _) = asked(&cohere, COHERE, JINA).unwrap();
    assert_eq!(said["documents"][1], json!({"text": "b", "year": 1}));
    assert_eq!(said["top_n"], 1);
    let voyage = json!({"model": "m", "query": "deep?", "documents": ["a"], "top_k": 1, "truncation": false});
    let (said, dropped) = asked(&voyage, VOYAGE, COHERE).unwrap();
    assert_eq!(said, json!({"model": "m", "query": "deep?", "documents": ["a"], "top_n": 1}));
    assert_eq!(dropped, ["truncation"]);
}

#[test]
fn a_reply_is_said_in_the_words_of_its_client() {
    let voyage = json!({"object": "list", "model": "v-1", "data": [
        {"index": 1, "relevance_score": 0.5, "document": "b"}, {"index": 0, "relevance_score": 0.25}],
        "usage": {"total_tokens": 9}});
    let cohere = answered(&voyage, VOYAGE, COHERE);
    assert_eq!(
        cohere,
        json!({"id": "r-1", "results": [{"index": 1, "relevance_score": 0.5, "document": {"text": "b"}},
            {"index": 0, "relevance_score": 0.25}], "meta": {"tokens": {"input_tokens": 9}}})
    );
    let mut jina = answered(&voyage, VOYAGE, JINA);
    assert_eq!(jina["usage"], json!({"prompt_tokens": 9, "total_tokens": 9}));
    assert_eq!(answered(&jina, JINA, VOYAGE), voyage);
    jina["results"][0]["document"] = json!({"image": "a.png"});
    assert_eq!(answered(&jina, JINA, VOYAGE)["data"][0]["document"], r#"{"image":"a.png"}"#);
}

#[test]
fn search_units_are_no_tokens() {
    let cohere = json!({"id": "c-1", "results": [{"index": 0, "relevance_score": 1}],
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 3}}});
    assert_eq!(answered(&cohere, COHERE, JINA)["usage"], json!({"prompt_tokens": 0, "total_tokens": 0}));
    assert_eq!(answered(&cohere, COHERE, COHERE), cohere);
}

#[test]
fn what_cannot_be_ranked_is_refused_where_it_stands() {
    for (member, value, dialect, expected) in [
        ("documents", json!([]), COHERE, "documents: must hold at least one document"),
        ("documents", json!([1]), COHERE, "documents[0]: must be a string or an object"),
        ("documents", json!(["a", {"text": "b"}]), VOYAGE, "documents[1]: must be a string"),
        ("query", json!(null), JINA, "query: is required"),
        ("top_k", json!(-1), VOYAGE, "top_k: must be a whole number of at least 0"),
    ] {
        let mut body = json!({"model": "m", "query": "q", "documents": ["a"]});
        body[member] = value;
        assert_eq!(asked(&body, dialect, dialect).unwrap_err(), expected);
    }
    let image = json!({"model": "m", "query": "q", "documents": [{"image": "a.png"}]});
    let refused = asked(&image, JINA, VOYAGE).unwrap_err();
    assert_eq!(refused, "documents[0]: must be text to be said in voyage_rerank");
    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "a"}]});
    assert_eq!(asked(&chat, Dialect::OpenAiChat, COHERE).unwrap_err(), "cannot be said in rerank");
}
