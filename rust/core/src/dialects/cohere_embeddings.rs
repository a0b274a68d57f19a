//! Cohere's embeddings, version 2: texts in, vectors out by the type that was asked for.
//!
//! The surprise: its models since version 3 want to know what the vectors are for (`input_type`), which OpenAI's clients
//! never say; `crate::translate` says it for them and tells them so.

use crate::dialects::raw::RawValue;
use bytes::Bytes;

use super::chatlike::foreign;
use super::message::{
    Embedding, EmbeddingsReply, EmbeddingsRequest, Encoding, Envelope, ErrorReply, Extras, Inputs, Json, Rendered,
    Reply, Request, Spelling, Task, Truncate, Vector,
};
use super::object::{self, Mode, Object};
use super::output::{self, Buffer, Members};
use super::{Dialect, DialectError, Place, cohere_error, cohere_meta};

super::no_streams!();

const DIALECT: Dialect = Dialect::CohereEmbeddings;
const EMBEDDINGS: &str = "embeddings";
/// What the model is to read that is no list of texts.
const OTHER_INPUTS: [&str; 2] = ["inputs", "images"];

const TASKS: [(&str, Task); 4] = [
    ("search_query", Task::Query),
    ("search_document", Task::Document),
    ("classification", Task::Classification),
    ("clustering", Task::Clustering),
];
const TRUNCATIONS: [(&str, Truncate); 3] =
    [("NONE", Truncate::Never), ("START", Truncate::Start), ("END", Truncate::End)];
const TYPES: [(&str, Encoding); 2] = [("float", Encoding::Float), ("base64", Encoding::Base64)];

fn meaning<T: Copy>(words: &[(&str, T)], raw: &RawValue) -> Option<T> {
    let word = object::text(raw)?;
    words.iter().find(|(known, _)| *known == word).map(|(_, meaning)| *meaning)
}

fn word<T: Copy + PartialEq>(words: &[(&'static str, T)], meaning: T) -> Option<&'static str> {
    words.iter().find(|(_, known)| *known == meaning).map(|(word, _)| *word)
}

pub fn parse_request(body: &[u8]) -> Result<Request<'_>, DialectError> {
    let mut object = Object::document(body, Mode::Strict)?;
    Ok(Request::Embeddings(EmbeddingsRequest {
        model: object.require_text("model")?,
        inputs: take_inputs(&mut object)?,
        spelling: Spelling::Structured,
        // Several types at once, and those of whole numbers, are Cohere's alone.
        encoding: object.take_if("embedding_types", |raw| match object::list(raw)?.as_slice() {
            [only] => meaning(&TYPES, only),
            _ => None,
        }),
        dimensions: object.take_u64("output_dimension")?,
        task: object.take_if("input_type", |raw| meaning(&TASKS, raw)),
        truncate: object.take_if("truncate", |raw| meaning(&TRUNCATIONS, raw)),
        user: None,
        extras: object.into_extras(DIALECT),
    }))
}

fn take_inputs<'a>(object: &mut Object<'a, '_>) -> Result<Inputs<'a>, DialectError> {
    let place = Place::Document.member("texts");
    if let Some(texts) = object.take_filled_list("texts")? {
        let texts = texts
            .into_iter()
            .enumerate()
            .map(|(index, raw)| object::text(raw).ok_or_else(|| place.item(index).refuse("must be a string")));
        return Ok(Inputs::Texts(texts.collect::<Result<_, _>>()?));
    }
    for member in OTHER_INPUTS {
        if let Some(items) = object.take_filled_list(member)? {
            let items = items.into_iter().map(Json::from).collect();
            return Ok(Inputs::Opaque { dialect: DIALECT, member, items });
        }
    }
    Err(place.refuse("must hold at least one text"))
}

/// Refuses tokens, and what only another dialect can read.
pub fn render_request(request: &Request<'_>) -> Result<Rendered, DialectError> {
    let Request::Embeddings(request) = request else {
        return Err(DIALECT.has_no_words());
    };
    request.inputs.sayable(DIALECT, false)?;
    let mut out = Buffer::with_capacity(256);
    output::object(&mut out, |members| write_request(members, request));
    Ok(Rendered { body: out.into(), dropped: dropped(request) })
}

fn write_request(members: &mut Members<'_>, request: &EmbeddingsRequest<'_>) {
    members.text("model", &request.model);
    match &request.inputs {
        Inputs::Texts(texts) => members.list("texts", texts, |out, text| output::text(out, text)),
        Inputs::Opaque { member, items, .. } => {
            members.list(member, items, |out, item| output::raw(out, item.as_str()));
        }
        Inputs::Tokens(_) => {}
    }
    members.text_if("input_type", request.task.and_then(nearest));
    if let Some(encoding) = request.encoding.and_then(|encoding| word(&TYPES, encoding)) {
        members.list("embedding_types", [encoding], output::text);
    }
    members.whole_if("output_dimension", request.dimensions);
    members.text_if("truncate", request.truncate.and_then(|truncate| word(&TRUNCATIONS, truncate)));
    members.extras(DIALECT, &request.extras);
}

/// Cohere's word, or for a question of some kind the word for a query.
fn nearest(task: Task) -> Option<&'static str> {
    word(&TASKS, task).or(match task {
        Task::QuestionAnswering | Task::FactVerification | Task::CodeQuery => Some("search_query"),
        _ => None,
    })
}

fn dropped(request: &EmbeddingsRequest<'_>) -> Vec<String> {
    let mut dropped: Vec<String> = foreign(DIALECT, &request.extras).collect();
    for (name, said) in
        [("task", request.task.is_some_and(|task| word(&TASKS, task).is_none())), ("user", request.user.is_some())]
    {
        if said {
            dropped.push(name.to_owned());
        }
    }
    dropped
}

/// Refuses a document without vectors. The list that version 1 answers with is read as well.
pub fn parse_reply(body: &[u8]) -> Result<Reply<'_>, DialectError> {
    let mut reply = Object::document(body, Mode::Lenient)?;
    let mut extras = Extras::default();
    let place = Place::Document.member(EMBEDDINGS);
    let vectors = if let Some(items) = reply.take_if(EMBEDDINGS, object::list) {
        extras.mark(DIALECT, EMBEDDINGS, Json::null());
        vectors(items, &place, Encoding::Float)?
    } else {
        let Some(mut by_type) = reply.take_if(EMBEDDINGS, Object::lenient) else {
            return Err(place.refuse("must be a list or an object of lists"));
        };
        let found = TYPES.iter().find_map(|(name, encoding)| Some((by_type.take_if(name, object::list)?, *encoding)));
        if !by_type.is_empty() {
            extras.push(by_type.into_rest(DIALECT, EMBEDDINGS));
        }
        let (items, encoding) = found.unwrap_or((Vec::new(), Encoding::Float));
        vectors(items, &place, encoding)?
    };
    let (usage, _) = cohere_meta::take(DIALECT, &mut reply, &mut extras);
    reply.spill(DIALECT, &mut extras);
    Ok(Reply::Embeddings(EmbeddingsReply {
        model: "".into(),
        embeddings: vectors,
        spelling: Spelling::Structured,
        usage,
        extras,
    }))
}

fn vectors<'a>(
    items: Vec<&'a RawValue>,
    place: &Place<'_>,
    encoding: Encoding,
) -> Result<Vec<Embedding<'a>>, DialectError> {
    let vectors = items.into_iter().zip(0..).map(|(raw, index)| {
        let vector = match encoding {
            Encoding::Float => raw.get().starts_with('[').then(|| Vector::Numbers(raw.into())),
            Encoding::Base64 => object::text(raw).map(Vector::Base64),
        };
        let vector = vector.ok_or_else(|| place.refuse("must hold lists of numbers or base64 texts"))?;
        Ok(Embedding { index, vector, extras: Extras::default() })
    });
    vectors.collect()
}

pub fn render_reply(reply: &Reply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
    let Reply::Embeddings(reply) = reply else {
        return Err(DIALECT.has_no_words());
    };
    let packed = |embedding: &&Embedding<'_>| matches!(embedding.vector, Vector::Base64(_));
    let encoding = if !reply.embeddings.is_empty() && reply.embeddings.iter().all(|embedding| packed(&embedding)) {
        Encoding::Base64
    } else {
        Encoding::Float
    };
    let vectors = reply.in_order(encoding)?;
    let told = |name| reply.extras.get(DIALECT, name).is_some();
    let mut out = Buffer::with_capacity(1024);
    output::object(&mut out, |members| {
        if !told("id") {
            members.text("id", envelope.id);
        }
        if reply.extras.marked(DIALECT, EMBEDDINGS).is_some() {
            members.list(EMBEDDINGS, &vectors, |out, vector| vector.write(out));
        } else {
            members.object(EMBEDDINGS, |by_type| {
                if let Some(name) = word(&TYPES, encoding).filter(|_| !vectors.is_empty()) {
                    by_type.list(name, &vectors, |out, vector| vector.write(out));
                }
                by_type.rest_of(EMBEDDINGS, DIALECT, &reply.extras);
            });
            if !told("response_type") {
                members.text("response_type", "embeddings_by_type");
            }
        }
        cohere_meta::write(DIALECT, members, reply.usage.as_ref(), None, &reply.extras, true);
        members.extras(DIALECT, &reply.extras);
    });
    Ok(out.into())
}

pub fn parse_error(body: &[u8]) -> ErrorReply<'_> {
    cohere_error::parse(DIALECT, body)
}

pub fn render_error(error: &ErrorReply<'_>) -> Bytes {
    cohere_error::render(DIALECT, error)
}
