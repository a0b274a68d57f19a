//! Amazon Titan's embeddings at Bedrock's `InvokeModel`: one text in, one vector out; the address names the model.
//!
//! The surprise: it has no lists. A client that asks for several vectors at once is refused here, by name, and can be
//! served by another target.

use bytes::Bytes;

use super::chatlike::foreign;
use super::message::{
    Embedding, EmbeddingsReply, EmbeddingsRequest, Encoding, Envelope, ErrorReply, Extras, Inputs, Rendered, Reply,
    Request, Spelling, TokenUsage, Usage, Vector,
};
use super::object::{self, Mode, Object};
use super::output::{self, Buffer};
use super::{Dialect, DialectError, Place, bedrock_converse};

super::no_streams!();

const DIALECT: Dialect = Dialect::TitanEmbeddings;
const TEXT: &str = "inputText";
const VECTOR: &str = "embedding";
const COUNT: &str = "inputTextTokenCount";

/// Leaves `model` empty: only the address says it.
pub fn parse_request(body: &[u8]) -> Result<Request<'_>, DialectError> {
    let mut object = Object::document(body, Mode::Strict)?;
    Ok(Request::Embeddings(EmbeddingsRequest {
        model: "".into(),
        inputs: Inputs::Texts(vec![object.require_text(TEXT)?]),
        spelling: Spelling::Plain,
        encoding: None,
        dimensions: object.take_u64("dimensions")?,
        task: None,
        truncate: None,
        user: None,
        extras: object.into_extras(DIALECT),
    }))
}

/// Refuses tokens, and everything but one text.
pub fn render_request(request: &Request<'_>) -> Result<Rendered, DialectError> {
    let Request::Embeddings(request) = request else {
        return Err(DIALECT.has_no_words());
    };
    request.inputs.sayable(DIALECT, false)?;
    let Inputs::Texts(texts) = &request.inputs else {
        return Err(DIALECT.has_no_words());
    };
    let [text] = texts.as_slice() else {
        return Err(Place::Document.member("input").refuse("must be one text: this model takes no lists"));
    };
    let mut out = Buffer::with_capacity(256);
    output::object(&mut out, |members| {
        members.text(TEXT, text);
        members.whole_if("dimensions", request.dimensions);
        members.extras(DIALECT, &request.extras);
    });
    let mut dropped: Vec<String> = foreign(DIALECT, &request.extras).collect();
    let said = [request.task.is_some(), request.truncate.is_some(), request.user.is_some()];
    let names = ["task", "truncate", "user"].into_iter().zip(said);
    dropped.extend(names.filter(|(_, said)| *said).map(|(name, _)| name.to_owned()));
    Ok(Rendered { body: out.into(), dropped })
}

/// Refuses a document without a vector of numbers. Vectors of other types stay beside it.
pub fn parse_reply(body: &[u8]) -> Result<Reply<'_>, DialectError> {
    let mut reply = Object::document(body, Mode::Lenient)?;
    let vector = reply.take_if(VECTOR, |raw| object::list(raw).map(|_| raw));
    let Some(vector) = vector else {
        return Err(Place::Document.member(VECTOR).refuse("must be a list of numbers"));
    };
    let count = reply.take_if(COUNT, |raw| raw.get().parse().ok());
    let usage = count.map(|prompt_tokens| Usage {
        tokens: TokenUsage { prompt_tokens, total_tokens: prompt_tokens, ..TokenUsage::default() },
        extras: Extras::default(),
    });
    Ok(Reply::Embeddings(EmbeddingsReply {
        model: "".into(),
        embeddings: vec![Embedding { index: 0, vector: Vector::Numbers(vector.into()), extras: Extras::default() }],
        spelling: Spelling::Plain,
        usage,
        extras: reply.into_extras(DIALECT),
    }))
}

/// Refuses several vectors.
pub fn render_reply(reply: &Reply<'_>, _: &Envelope<'_>) -> Result<Bytes, DialectError> {
    let Reply::Embeddings(reply) = reply else {
        return Err(DIALECT.has_no_words());
    };
    let vectors = reply.in_order(Encoding::Float)?;
    let [vector] = vectors.as_slice() else {
        return Err(Place::Document.member("embeddings").refuse("must be one vector: this dialect has no lists"));
    };
    let mut out = Buffer::with_capacity(1024);
    output::object(&mut out, |members| {
        vector.write(members.key(VECTOR));
        members.whole_if(COUNT, reply.usage.as_ref().map(|usage| usage.tokens.prompt_tokens));
        members.extras(DIALECT, &reply.extras);
    });
    Ok(out.into())
}

pub fn parse_error(body: &[u8]) -> ErrorReply<'_> {
    bedrock_converse::parse_error(body)
}

pub fn render_error(error: &ErrorReply<'_>) -> Bytes {
    bedrock_converse::render_error(error)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::passes::Demands;
    use crate::translate::{self, Address};

    fn asked(body: &Value) -> Result<(Value, Vec<String>), DialectError> {
        let (body, to) = (body.to_string(), Demands::of(DIALECT));
        let said = translate::request(body.as_bytes(), Dialect::OpenAiEmbeddings, &to, Address::default())?;
        Ok((serde_json::from_slice(&said.body).unwrap(), said.dropped))
    }

    #[test]
    fn one_text_is_asked_for_and_several_are_refused() {
        let body = json!({"model": "m", "input": "sea", "dimensions": 256, "user": "u", "encoding_format": "base64"});
        assert_eq!(asked(&body).unwrap(), (json!({"inputText": "sea", "dimensions": 256}), vec!["user".to_owned()]));
        assert_eq!(asked(&json!({"model": "m", "input": ["sea"]})).unwrap().0, json!({"inputText": "sea"}));
        for several in [json!(["sea", "hill"]), json!([1, 2])] {
            assert_eq!(asked(&json!({"model": "m", "input": several})).unwrap_err().param.as_deref(), Some("input"));
        }
    }

    #[test]
    fn a_vector_and_its_tokens_come_back_as_openai_says_them() {
        let body = br#"{"embedding":[0.5,-1.0],"embeddingsByType":{"float":[0.5,-1.0]},"inputTextTokenCount":3}"#;
        let reply = DIALECT.parse_reply(body).unwrap();
        let told = Dialect::OpenAiEmbeddings.render_reply(&reply, &Envelope::default()).unwrap();
        let told: Value = serde_json::from_slice(&told).unwrap();
        assert_eq!(told["data"][0]["embedding"], json!([0.5, -1.0]));
        assert_eq!(told["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
        assert_eq!(DIALECT.render_reply(&reply, &Envelope::default()).unwrap().len(), body.len());
        assert!(DIALECT.parse_reply(br#"{"embedding":"AAAA"}"#).is_err());
    }
}
