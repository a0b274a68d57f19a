//! Log probabilities: four lists side by side here, one list of tokens in chat.
//!
//! The surprise: here each token also tells at which character of prompt and text it begins. That number stays with the
//! token, as a member chat does not have, so that it can be said again.

use crate::dialects::raw::RawValue;

use crate::dialects::message::Json;
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Buffer};

const OFFSET: &str = "text_offset";

/// Reads them into chat's form. `None` for what has lists of different lengths, or members nobody documents.
pub(crate) fn parse(raw: &RawValue) -> Option<Json<'static>> {
    let mut object = Object::lenient(raw)?;
    let tokens = object.take_if("tokens", object::list)?;
    let mut list = |name: &str| {
        // What is null says nothing of any token.
        let items = match object.peek(name) {
            Some(_) => object.take_if(name, object::list)?,
            None => Vec::new(),
        };
        object.forget(name);
        (items.is_empty() || items.len() == tokens.len()).then_some(items)
    };
    let [logprobs, tops, offsets] = [list("token_logprobs")?, list("top_logprobs")?, list(OFFSET)?];
    if !object.is_empty() {
        return None;
    }
    let mut out = Buffer::with_capacity(64 * tokens.len());
    output::object(&mut out, |members| {
        members.list("content", tokens.iter().enumerate(), |out, (at, token)| {
            let tops = tops.get(at).copied().and_then(Object::lenient);
            output::object(out, |entry| {
                entry.raw("token", token.get());
                entry.raw("logprob", logprobs.get(at).map_or("null", |raw| raw.get()));
                entry.null("bytes");
                let tops = tops.into_iter().flat_map(Object::into_members);
                entry.list("top_logprobs", tops, |out, (token, logprob)| {
                    output::object(out, |top| {
                        top.text("token", &token);
                        top.raw("logprob", logprob.get());
                        top.null("bytes");
                    });
                });
                if let Some(offset) = offsets.get(at) {
                    entry.raw(OFFSET, offset.get());
                }
            });
        });
        members.null("refusal");
    });
    Some(Json::written(out))
}

/// Writes them from chat's form; `seen` counts the characters of the text before these tokens and grows by them. `None`
/// where there are no tokens.
pub(super) fn render(logprobs: &Json<'_>, seen: &mut u64) -> Option<Json<'static>> {
    let raw = logprobs.as_raw()?;
    let content = Object::lenient(raw)?.take_if("content", object::list)?;
    let entries: Vec<_> = content.into_iter().filter_map(Object::lenient).collect();
    let tops: Vec<Vec<_>> = entries
        .iter()
        .map(|entry| {
            let tops = entry.peek("top_logprobs").and_then(object::list).unwrap_or_default();
            tops.into_iter().filter_map(Object::lenient).collect()
        })
        .collect();
    let offsets = entries.iter().map(|entry| {
        let here = *seen;
        *seen += entry.peek("token").and_then(object::text).map_or(0, |token| token.chars().count() as u64);
        entry.peek(OFFSET).and_then(object::whole).unwrap_or(here)
    });
    let offsets: Vec<_> = offsets.collect();
    let member = |entry: &Object<'_, '_>, name| entry.peek(name).map_or("null", |raw: &RawValue| raw.get()).to_owned();
    let mut out = Buffer::with_capacity(64 * entries.len());
    output::object(&mut out, |members| {
        members.list("tokens", &entries, |out, entry| output::raw(out, &member(entry, "token")));
        members.list("token_logprobs", &entries, |out, entry| output::raw(out, &member(entry, "logprob")));
        if tops.iter().all(Vec::is_empty) {
            members.null("top_logprobs");
        } else {
            members.list("top_logprobs", &tops, |out, tops| {
                output::object(out, |map| {
                    for top in tops {
                        let token = top.peek("token").and_then(object::text).unwrap_or_default();
                        map.fill(&token, &member(top, "logprob"));
                    }
                });
            });
        }
        members.list(OFFSET, &offsets, |out, offset| output::raw(out, &offset.to_string()));
    });
    Some(Json::written(out))
}
