//! Log probabilities: Gemini has a list of what was chosen and one of what could have been, OpenAI's form one of both.
//!
//! Token numbers have no neutral form, so what Gemini said stays among the extras too, and is said again from there.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::message::{Extras, Json};
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Buffer, Members};

pub(super) const FIELD: &str = "logprobsResult";

/// In OpenAI's form; `None` where nothing was chosen.
pub(super) fn parse(raw: &RawValue) -> Option<Json<'static>> {
    let mut result = Object::lenient(raw)?;
    let chosen = result.take_if("chosenCandidates", object::list).filter(|chosen| !chosen.is_empty())?;
    let mut top = result.take_if("topCandidates", object::list).unwrap_or_default().into_iter();
    let mut out = Buffer::new();
    output::object(&mut out, |members| {
        members.list("content", chosen, |out, chosen| {
            let others = top.next().and_then(Object::lenient);
            let others = others.and_then(|mut others| others.take_if("candidates", object::list)).unwrap_or_default();
            output::object(out, |entry| {
                write_token(entry, chosen);
                entry.list("top_logprobs", others, |out, other| {
                    output::object(out, |entry| write_token(entry, other));
                });
            });
        });
        members.null("refusal");
    });
    Some(Json::written(out))
}

fn write_token(entry: &mut Members<'_>, raw: &RawValue) {
    let candidate = Object::lenient(raw);
    let peek = |name: &str| candidate.as_ref()?.peek(name);
    entry.text("token", &peek("token").and_then(object::text).unwrap_or_default());
    // Certainty is a zero, and left out.
    let logprob = peek("logProbability").filter(|raw| object::number(raw).is_some());
    entry.raw("logprob", logprob.map_or("0", RawValue::get));
    entry.null("bytes");
}

/// Writes what another dialect said of them; what Gemini said is written from its extras.
pub(super) fn write(candidate: &mut Members<'_>, logprobs: Option<&Json<'_>>, extras: &Extras<'_>) {
    if extras.get(DIALECT, FIELD).is_some() {
        return;
    }
    let raw = logprobs.and_then(Json::as_raw);
    let content = raw.and_then(|raw| Object::lenient(raw)?.take_if("content", object::list));
    let Some(content) = content.filter(|content| !content.is_empty()) else {
        return;
    };
    candidate.object(FIELD, |result| {
        result.list("chosenCandidates", &content, |out, entry| write_candidate(out, entry));
        result.list("topCandidates", &content, |out, entry| {
            let others = Object::lenient(entry).and_then(|mut entry| entry.take_if("top_logprobs", object::list));
            output::object(out, |top| {
                top.list("candidates", others.unwrap_or_default(), write_candidate);
            });
        });
    });
}

fn write_candidate(out: &mut Buffer, raw: &RawValue) {
    let entry = Object::lenient(raw);
    let peek = |name: &str| entry.as_ref()?.peek(name);
    output::object(out, |candidate| {
        candidate.text_if("token", peek("token").and_then(object::text).as_deref());
        if let Some(logprob) = peek("logprob").filter(|raw| object::number(raw).is_some()) {
            candidate.raw("logProbability", logprob.get());
        }
    });
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn they_are_the_same_in_openais_form_and_back() {
        let said = json!({"chosenCandidates": [{"token": "a", "tokenId": 7, "logProbability": -0.25}, {"token": "b"}],
            "topCandidates": [{"candidates": [{"token": "c", "logProbability": -2}]}]});
        let said = said.to_string();
        let neutral = parse(serde_json::from_str(&said).unwrap()).unwrap();
        let top = json!([{"token": "c", "logprob": -2, "bytes": null}]);
        let expected = json!({"content": [
            {"token": "a", "logprob": -0.25, "bytes": null, "top_logprobs": top},
            {"token": "b", "logprob": 0, "bytes": null, "top_logprobs": []},
        ], "refusal": null});
        assert_eq!(serde_json::from_str::<Value>(neutral.as_str()).unwrap(), expected);
        let mut out = Buffer::new();
        output::object(&mut out, |candidate| write(candidate, Some(&neutral), &Extras::default()));
        let back: Value = serde_json::from_slice(&out).unwrap();
        let chosen = json!([{"token": "a", "logProbability": -0.25}, {"token": "b", "logProbability": 0}]);
        assert_eq!(back["logprobsResult"]["chosenCandidates"], chosen);
        assert_eq!(back["logprobsResult"]["topCandidates"][0]["candidates"][0]["token"], "c");
    }
}
