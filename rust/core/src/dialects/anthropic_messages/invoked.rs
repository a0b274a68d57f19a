//! The request as Bedrock's `InvokeModel` takes it: the model, and whether to stream, stand in the address; the version
//! and the betas, which are headers elsewhere, in the body.

use bytes::Bytes;

use crate::dialects::DialectError;
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer};

const VERSION_NAME: &str = "anthropic_version";
const VERSION: &str = "bedrock-2023-05-31";
const BETAS: &str = "anthropic_beta";

/// Everything else stays as it is; betas that the body names already are not named again. Refuses what is not one JSON
/// object.
pub fn invoked(body: &[u8], betas: &[&str]) -> Result<Bytes, DialectError> {
    let mut request = Object::document(body, Mode::Strict)?;
    for name in ["model", "stream", VERSION_NAME] {
        request.forget(name);
    }
    let told =
        request.take_if(BETAS, |raw| object::list(raw)?.into_iter().map(object::text).collect::<Option<Vec<_>>>());
    let told = told.unwrap_or_default();
    let more = betas.iter().copied().filter(|beta| !told.iter().any(|told| told == beta));
    let all: Vec<&str> = told.iter().map(AsRef::as_ref).chain(more).collect();
    let mut out = Buffer::with_capacity(body.len() + 64);
    output::object(&mut out, |members| {
        members.text(VERSION_NAME, VERSION);
        if !all.is_empty() {
            members.list(BETAS, all, output::text);
        }
        for (name, value) in request.into_members() {
            members.fill(&name, value.get());
        }
    });
    Ok(out.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(body: &str, betas: &[&str]) -> serde_json::Value {
        serde_json::from_slice(&invoked(body.as_bytes(), betas).unwrap()).unwrap()
    }

    #[test]
    fn the_address_says_the_model_and_the_body_says_the_version() {
        let body = r#"{"model":"m","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"model"}],"anthropic_version":"2023-06-01"}"#;
        assert_eq!(
            said(body, &[]),
            serde_json::json!({"anthropic_version": "bedrock-2023-05-31", "max_tokens": 9,
                "messages": [{"role": "user", "content": "model"}]})
        );
    }

    #[test]
    fn betas_of_headers_join_those_of_the_body() {
        let said = said(r#"{"anthropic_beta":["a","b"]}"#, &["b", "c"]);
        assert_eq!(said["anthropic_beta"], serde_json::json!(["a", "b", "c"]));
        assert!(invoked(b"[]", &[]).is_err());
    }
}
