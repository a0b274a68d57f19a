//! Log probabilities: Cohere has a list of them for each piece of text, OpenAI's form one for each token.
//!
//! A piece is a token nearly always. That of a longer one is the sum of its list, as the text of the piece is all that is
//! known of it. What Cohere said stays among the extras too, and is said again from there.

use crate::dialects::raw::RawValue;

use crate::dialects::message::Json;
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Buffer};

pub(super) const FIELD: &str = "logprobs";

/// Those of a reply, in OpenAI's form; `None` where there are none.
pub(super) fn of_reply(raw: &RawValue) -> Option<Json<'static>> {
    written(object::list(raw)?)
}

/// Those of a piece of a stream.
pub(super) fn of_piece(raw: &RawValue) -> Option<Json<'static>> {
    written(vec![raw])
}

fn written(items: Vec<&RawValue>) -> Option<Json<'static>> {
    let tokens: Vec<_> = items.into_iter().filter_map(token).collect();
    if tokens.is_empty() {
        return None;
    }
    let mut out = Buffer::new();
    output::object(&mut out, |members| {
        members.list("content", tokens, |out, (text, logprob)| {
            output::object(out, |entry| {
                entry.text("token", &text);
                entry.raw("logprob", &logprob);
                entry.null("bytes");
                entry.list("top_logprobs", [(); 0], |_, ()| {});
            });
        });
        members.null("refusal");
    });
    Some(Json::written(out))
}

fn token(raw: &RawValue) -> Option<(String, String)> {
    let mut item = Object::lenient(raw)?;
    let text = item.take_if("text", object::text).unwrap_or_default().into_owned();
    let logprobs = item.take_if(FIELD, object::list)?;
    if let [one] = logprobs.as_slice() {
        object::number(one)?;
        return Some((text, one.get().to_owned()));
    }
    let numbers: Vec<f64> = logprobs.iter().filter_map(|raw| serde_json::from_str(raw.get()).ok()).collect();
    let sum: f64 = numbers.iter().sum();
    (!numbers.is_empty() && sum.is_finite()).then(|| (text, sum.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_several_tokens_has_the_sum_of_theirs() {
        let raw: &RawValue = serde_json::from_str(
            r#"[{"text":"Hi","token_ids":[4],"logprobs":[-0.50]},{"text":"!?","token_ids":[5,6],"logprobs":[-1,-0.25]},{"text":"x","logprobs":[]},7]"#,
        )
        .unwrap();
        let told = of_reply(raw).unwrap();
        let expected = r#"{"content":[{"token":"Hi","logprob":-0.50,"bytes":null,"top_logprobs":[]},{"token":"!?","logprob":-1.25,"bytes":null,"top_logprobs":[]}],"refusal":null}"#;
        assert_eq!(told.as_str(), expected);
        assert_eq!(of_piece(serde_json::from_str("{}").unwrap()), None);
    }
}
