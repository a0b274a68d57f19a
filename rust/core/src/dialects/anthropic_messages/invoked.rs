//! The request as those take it who serve Anthropic's models under addresses of their own: the model stands in the address,
//! and the version, a header elsewhere, in the body. Bedrock's `InvokeModel` has whether to stream in the address, too,
//! and the betas in the body.

use bytes::Bytes;

use crate::dialects::DialectError;
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer};

const VERSION_NAME: &str = "anthropic_version";
const BETAS: &str = "anthropic_beta";

/// Who serves the models.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    Bedrock,
    Vertex,
}

impl Host {
    const fn version(self) -> &'static str {
        match self {
            Self::Bedrock => "bedrock-2023-05-31",
            Self::Vertex => "vertex-2023-10-16",
        }
    }
}

/// Everything else stays as it is; betas that the body names already are not named again. Refuses what is not one JSON
/// object.
pub fn invoked(body: &[u8], host: Host, betas: &[&str]) -> Result<Bytes, DialectError> {
    let mut request = Object::document(body, Mode::Strict)?;
    for name in ["model", VERSION_NAME] {
        request.forget(name);
    }
    if host == Host::Bedrock {
        request.forget("stream");
    }
    let told =
        request.take_if(BETAS, |raw| object::list(raw)?.into_iter().map(object::text).collect::<Option<Vec<_>>>());
    let told = told.unwrap_or_default();
    let more = betas.iter().copied().filter(|beta| !told.iter().any(|told| told == beta));
    let all: Vec<&str> = told.iter().map(AsRef::as_ref).chain(more).collect();
    let mut out = Buffer::with_capacity(body.len() + 64);
    output::object(&mut out, |members| {
        members.text(VERSION_NAME, host.version());
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
        serde_json::from_slice(&invoked(body.as_bytes(), Host::Bedrock, betas).unwrap()).unwrap()
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
        assert!(invoked(b"[]", Host::Bedrock, &[]).is_err());
    }

    #[test]
    fn vertex_reads_in_the_body_whether_to_stream() {
        let said = invoked(br#"{"model":"m","stream":true}"#, Host::Vertex, &[]).unwrap();
        let said: serde_json::Value = serde_json::from_slice(&said).unwrap();
        assert_eq!(said, serde_json::json!({"anthropic_version": "vertex-2023-10-16", "stream": true}));
    }
}
