//! OpenAI embeddings: texts or tokens in, vectors out, no stream.
//!
//! The surprise: clients of OpenAI's own SDK ask for base64 without their user knowing, and some upstreams answer with
//! a list of floats anyway; [`super::message::Vector::encoded`] repairs that.

use crate::dialects::raw::RawValue;
use bytes::Bytes;

use super::chatlike::foreign;
use super::message::{
    Embedding, EmbeddingsReply, EmbeddingsRequest, Encoding, Envelope, ErrorReply, Inputs, Rendered, Reply, Request,
    Spelling, TokenUsage, Usage, Vector,
};
use super::object::{self, Mode, Object};
use super::output::{self, Buffer};
use super::{Dialect, DialectError, Place, openai_error};

super::no_streams!();

const DIALECT: Dialect = Dialect::OpenAiEmbeddings;

pub fn parse_request(body: &[u8]) -> Result<Request<'_>, DialectError> {
    let mut object = Object::document(body, Mode::Strict)?;
    let model = object.require_text("model")?;
    let place = Place::Document.member("input");
    let Some(input) = object.take_if("input", Some) else {
        return Err(place.refuse("is required"));
    };
    let (inputs, spelling) = parse_inputs(input, &place)?;
    let encoding = match object.take_text("encoding_format")?.as_deref() {
        None => None,
        Some("float") => Some(Encoding::Float),
        Some("base64") => Some(Encoding::Base64),
        Some(_) => {
            let place = object.place.member("encoding_format");
            return Err(place.refuse("must be float or base64"));
        }
    };
    Ok(Request::Embeddings(EmbeddingsRequest {
        model,
        inputs,
        spelling,
        encoding,
        dimensions: object.take_u64("dimensions")?,
        task: None,
        truncate: None,
        user: object.take_text("user")?,
        extras: object.into_extras(DIALECT),
    }))
}

/// The four forms of texts and tokens. `Plain` is one text, or one list of tokens.
pub(super) fn parse_inputs<'a>(input: &'a RawValue, place: &Place<'_>) -> Result<(Inputs<'a>, Spelling), DialectError> {
    const EXPECTED: &str = "must be a string, a list of strings, a list of tokens or a list of such lists";
    if let Some(text) = object::text(input) {
        return Ok((Inputs::Texts(vec![text]), Spelling::Plain));
    }
    let items = object::list(input).ok_or_else(|| place.refuse(EXPECTED))?;
    // The first item says which of the three lists this is.
    let first = items.first().ok_or_else(|| place.refuse("must not be empty"))?;
    if first.get().starts_with('"') {
        let texts = items.iter().enumerate().map(|(index, item)| {
            object::text(item).ok_or_else(|| place.item(index).refuse("must be a string, as the first is"))
        });
        return Ok((Inputs::Texts(texts.collect::<Result<_, _>>()?), Spelling::Structured));
    }
    if first.get().starts_with('[') {
        let lists = items.iter().enumerate().map(|(index, item)| {
            tokens(item).ok_or_else(|| place.item(index).refuse("must be a list of tokens, as the first is"))
        });
        return Ok((Inputs::Tokens(lists.collect::<Result<_, _>>()?), Spelling::Structured));
    }
    let tokens = tokens(input).ok_or_else(|| place.refuse(EXPECTED))?;
    Ok((Inputs::Tokens(vec![tokens]), Spelling::Plain))
}

fn tokens(raw: &RawValue) -> Option<Vec<u32>> {
    serde_json::from_str(raw.get()).ok()
}

pub fn render_request(request: &Request<'_>) -> Result<Rendered, DialectError> {
    let Request::Embeddings(request) = request else {
        return Err(DIALECT.has_no_words());
    };
    request.inputs.sayable(DIALECT, true)?;
    let mut out = Buffer::with_capacity(256);
    output::object(&mut out, |object| {
        object.text("model", &request.model);
        write_inputs(object.key("input"), request);
        let encoding = request.encoding.map(|encoding| match encoding {
            Encoding::Float => "float",
            Encoding::Base64 => "base64",
        });
        object.text_if("encoding_format", encoding);
        object.whole_if("dimensions", request.dimensions);
        object.text_if("user", request.user.as_deref());
        object.extras(DIALECT, &request.extras);
    });
    let mut dropped: Vec<String> = foreign(DIALECT, &request.extras).collect();
    for (name, said) in [("task", request.task.is_some()), ("truncate", request.truncate.is_some())] {
        if said {
            dropped.push(name.to_owned());
        }
    }
    Ok(Rendered { body: out.into(), dropped })
}

fn write_inputs(out: &mut Buffer, request: &EmbeddingsRequest<'_>) {
    fn write_tokens(out: &mut Buffer, tokens: &[u32]) {
        // A vector takes every byte.
        let _ = serde_json::to_writer(out, tokens);
    }
    match (&request.inputs, request.spelling) {
        (Inputs::Texts(texts), spelling) => match (texts.as_slice(), spelling) {
            ([text], Spelling::Plain) => output::text(out, text),
            (texts, _) => output::list(out, texts, |out, text| output::text(out, text)),
        },
        (Inputs::Tokens(lists), spelling) => match (lists.as_slice(), spelling) {
            ([tokens], Spelling::Plain) => write_tokens(out, tokens),
            (lists, _) => output::list(out, lists, |out, tokens| write_tokens(out, tokens)),
        },
        (Inputs::Opaque { .. }, _) => {}
    }
}

pub fn parse_reply(body: &[u8]) -> Result<Reply<'_>, DialectError> {
    let mut object = Object::document(body, Mode::Lenient)?;
    let place = Place::Document.member("data");
    let Some(data) = object.take_list("data")? else {
        return Err(place.refuse("must be a list"));
    };
    let embeddings = data.into_iter().enumerate().map(|(index, item)| parse_embedding(item, &place, index));
    let embeddings = embeddings.collect::<Result<_, _>>()?;
    object.forget("object");
    Ok(Reply::Embeddings(EmbeddingsReply {
        model: object.take_text("model")?.unwrap_or_default(),
        embeddings,
        spelling: Spelling::Structured,
        usage: object.take_if("usage", parse_usage),
        extras: object.into_extras(DIALECT),
    }))
}

fn parse_embedding<'a>(raw: &'a RawValue, data: &Place<'_>, position: usize) -> Result<Embedding<'a>, DialectError> {
    let place = data.item(position);
    let mut item = Object::open(raw, place, Mode::Lenient)?;
    let vector = item.take_if("embedding", |raw| match object::text(raw) {
        Some(text) => Some(Vector::Base64(text)),
        None => raw.get().starts_with('[').then(|| Vector::Numbers(raw.into())),
    });
    let vector = vector.ok_or_else(|| place.member("embedding").refuse("must be a list of numbers or base64 text"))?;
    item.forget("object");
    Ok(Embedding {
        index: item.take_u64("index")?.unwrap_or(position as u64),
        vector,
        extras: item.into_extras(DIALECT),
    })
}

fn parse_usage(raw: &RawValue) -> Option<Usage<'_>> {
    let mut object = Object::lenient(raw)?;
    let prompt_tokens = object.take_if("prompt_tokens", object::whole);
    let total_tokens = object.take_if("total_tokens", object::whole);
    // Everything is read and nothing written, so one count stands for the other.
    let prompt_tokens = prompt_tokens.or(total_tokens).unwrap_or(0);
    Some(Usage {
        tokens: TokenUsage {
            prompt_tokens,
            total_tokens: total_tokens.unwrap_or(prompt_tokens),
            ..TokenUsage::default()
        },
        extras: object.into_extras(DIALECT),
    })
}

pub fn render_reply(reply: &Reply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
    let Reply::Embeddings(reply) = reply else {
        return Err(DIALECT.has_no_words());
    };
    let mut out = Buffer::with_capacity(1024);
    output::object(&mut out, |object| {
        object.text("object", "list");
        object.list("data", &reply.embeddings, |out, embedding| {
            output::object(out, |item| {
                item.text("object", "embedding");
                item.whole("index", embedding.index);
                embedding.vector.write(item.key("embedding"));
                item.extras(DIALECT, &embedding.extras);
            });
        });
        let model = match reply.model.as_ref() {
            "" => envelope.model,
            model => model,
        };
        object.text("model", model);
        let reported = reply.usage.clone().unwrap_or_default();
        object.object("usage", |usage| {
            usage.whole("prompt_tokens", reported.tokens.prompt_tokens);
            usage.whole("total_tokens", reported.tokens.total_tokens);
            usage.extras(DIALECT, &reported.extras);
        });
        object.extras(DIALECT, &reply.extras);
    });
    Ok(out.into())
}

pub fn parse_error(body: &[u8]) -> ErrorReply<'_> {
    openai_error::parse_error(DIALECT, body)
}

pub fn render_error(error: &ErrorReply<'_>) -> Bytes {
    openai_error::render_error(DIALECT, error)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(body: &str) -> Result<EmbeddingsRequest<'_>, DialectError> {
        parse_request(body.as_bytes()).map(|request| match request {
            Request::Embeddings(request) => request,
            other => panic!("an embeddings request was read as {other:?}"),
        })
    }

    #[test]
    fn inputs_come_in_four_forms_and_go_out_as_they_came() {
        for input in [r#""one""#, r#"["one","two"]"#, "[1,2,3]", "[[1,2],[3]]", r#"["one"]"#, "[[7]]"] {
            let body = format!(r#"{{"model":"m","input":{input}}}"#);
            let request = Request::Embeddings(parse(&body).unwrap());
            assert_eq!(render_request(&request).unwrap().body, body);
        }
    }

    #[test]
    fn a_list_of_mixed_inputs_is_refused_where_it_turns() {
        let error = parse(r#"{"model":"m","input":["a",["b"]]}"#).unwrap_err();
        assert_eq!(error.pointer, "/input/1");
        let error = parse(r#"{"model":"m","input":[1,"a"]}"#).unwrap_err();
        assert_eq!(error.pointer, "/input");
        let error = parse(r#"{"model":"m","input":[]}"#).unwrap_err();
        assert_eq!(error.message, "must not be empty");
        let error = parse(r#"{"model":"m"}"#).unwrap_err();
        assert_eq!(error.to_string(), "input: is required");
    }

    #[test]
    fn a_vector_keeps_the_digits_it_came_with() {
        let body = br#"{"object":"list","data":[{"object":"embedding","index":0,"embedding":[0.123456789012345678,1]}],"model":"m","usage":{"prompt_tokens":3,"total_tokens":3}}"#;
        let reply = parse_reply(body).unwrap();
        let rendered = render_reply(&reply, &Envelope::default()).unwrap();
        assert_eq!(rendered, &body[..]);
    }

    #[test]
    fn a_reply_without_vectors_is_no_reply() {
        for body in [&br#"{"error":{"message":"m"}}"#[..], br#"{"data":[{"index":0}]}"#, br#"{"data":[1]}"#] {
            assert!(parse_reply(body).is_err());
        }
    }
}
