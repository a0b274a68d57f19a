//! Gemini's embeddings: `embedContent`, one content in and one vector out, and `batchEmbedContents`, a list of them.
//!
//! The address says which of the two it is, and the body is of one form or the other: what comes from another dialect is
//! always said as a batch, whatever its length. The surprise: each request of a batch repeats the model and says what its
//! own vector is for; where all say the same, it is said once in the neutral form.

use crate::dialects::raw::RawValue;
use bytes::Bytes;

use super::chatlike::foreign;
use super::gemini::{error, names};
use super::message::{
    Embedding, EmbeddingsReply, EmbeddingsRequest, Encoding, Envelope, ErrorReply, Extra, Extras, Inputs, Json,
    Rendered, Reply, Request, Spelling, Task, Text, TokenUsage, Truncate, Usage, Vector,
};
use super::object::{self, Mode, Object};
use super::output::{self, Buffer, Members};
use super::{Dialect, DialectError, Place};

super::no_streams!();

const DIALECT: Dialect = Dialect::GeminiEmbeddings;
const REQUESTS: &str = "requests";
const USAGE: &str = "usageMetadata";
/// The names of models as a collection, in front of the name of one.
const MODELS: &str = "models/";
/// Marks: a body for `embedContent`; contents whose role is said; a truncation that was asked for here.
const ALONE: &str = "embedContent";
const ROLE: &str = "role";
const TRUNCATE: &str = "autoTruncate";

const TASKS: [(&str, Task); 8] = [
    ("RETRIEVAL_QUERY", Task::Query),
    ("RETRIEVAL_DOCUMENT", Task::Document),
    ("SEMANTIC_SIMILARITY", Task::Similarity),
    ("CLASSIFICATION", Task::Classification),
    ("CLUSTERING", Task::Clustering),
    ("QUESTION_ANSWERING", Task::QuestionAnswering),
    ("FACT_VERIFICATION", Task::FactVerification),
    ("CODE_RETRIEVAL_QUERY", Task::CodeQuery),
];

/// Leaves `model` empty where only the address says it.
pub fn parse_request(body: &[u8]) -> Result<Request<'_>, DialectError> {
    let mut object = Object::document(body, Mode::Strict)?;
    names::spell(&mut object)?;
    let place = Place::Document.member(REQUESTS);
    let Some(items) = object.take_list(REQUESTS)? else {
        let mut alone = [object];
        let mut request = parse_items(&mut alone)?;
        request.spelling = Spelling::Plain;
        request.extras.mark(DIALECT, ALONE, Json::null());
        let [rest] = alone;
        rest.spill(DIALECT, &mut request.extras);
        return Ok(Request::Embeddings(request));
    };
    let items = items.into_iter().enumerate().map(|(index, raw)| names::open(raw, place.item(index)));
    let mut items = items.collect::<Result<Vec<_>, _>>()?;
    if items.is_empty() {
        return Err(place.refuse("must hold at least one request"));
    }
    let mut request = parse_items(&mut items)?;
    object.spill(DIALECT, &mut request.extras);
    if items.iter().any(|item| !item.is_empty()) {
        let mut out = Buffer::new();
        output::list(&mut out, items, |out, item| {
            let rest = item.into_extras(DIALECT);
            output::object(out, |members| members.extras(DIALECT, &rest));
        });
        request.extras.push(Extra { dialect: DIALECT, name: REQUESTS.into(), value: Json::written(out) });
    }
    Ok(Request::Embeddings(request))
}

/// The member in which a client wrote what is to be embedded.
pub(crate) fn member_of_inputs(request: &EmbeddingsRequest<'_>) -> &'static str {
    if request.extras.marked(DIALECT, ALONE).is_some() { "content" } else { REQUESTS }
}

/// Takes from every request what the neutral form has a place for, where it says it of all of them.
fn parse_items<'a>(items: &mut [Object<'a, '_>]) -> Result<EmbeddingsRequest<'a>, DialectError> {
    let mut extras = Extras::default();
    let model = take_model(items)?;
    let mut contents = Vec::with_capacity(items.len());
    for item in items.iter_mut() {
        let content = item.take_object("content")?;
        contents.push(content.ok_or_else(|| item.place.member("content").refuse("is required"))?);
    }
    let task = take_shared(items, "taskType", |raw| {
        let word = object::text(raw)?;
        TASKS.iter().find(|(known, _)| *known == word).map(|(_, task)| *task)
    });
    let dimensions = take_shared(items, "outputDimensionality", object::whole);
    let truncate = take_shared(items, TRUNCATE, |raw| match raw.get() {
        "true" => Some(Truncate::End),
        "false" => Some(Truncate::Never),
        _ => None,
    });
    if truncate.is_some() {
        extras.mark(DIALECT, TRUNCATE, Json::null());
    }
    Ok(EmbeddingsRequest {
        model,
        inputs: inputs_of(contents, &mut extras),
        spelling: Spelling::Structured,
        encoding: None,
        dimensions,
        task,
        truncate,
        user: None,
        extras,
    })
}

fn take_model<'a>(items: &mut [Object<'a, '_>]) -> Result<Text<'a>, DialectError> {
    let mut model: Option<Text<'a>> = None;
    for item in items {
        let said = item.take_text("model")?.unwrap_or_default();
        match &model {
            None => model = Some(said),
            Some(first) if *first == said => {}
            Some(_) => return Err(item.place.member("model").refuse("must be that of the first request")),
        }
    }
    Ok(match model.unwrap_or_default() {
        Text::Borrowed(model) => Text::Borrowed(model.trim_start_matches(MODELS)),
        Text::Owned(model) => Text::Owned(model.trim_start_matches(MODELS).to_owned()),
    })
}

/// Takes a member that all requests say alike; otherwise each keeps its own.
fn take_shared<'a, T>(
    items: &mut [Object<'a, '_>],
    name: &'static str,
    read: impl Fn(&'a RawValue) -> Option<T>,
) -> Option<T> {
    let first = items.first()?.peek(name)?;
    let shared = read(first)?;
    if items.iter().any(|item| item.peek(name).map(RawValue::get) != Some(first.get())) {
        return None;
    }
    for item in items {
        item.forget(name);
    }
    Some(shared)
}

/// One text each, all of the user or all of nobody; anything else stays as it is.
fn inputs_of<'a>(contents: Vec<&'a RawValue>, extras: &mut Extras<'a>) -> Inputs<'a> {
    let texts: Option<Vec<_>> = contents.iter().copied().map(text_of).collect();
    let roles = texts.as_ref().map_or(0, |texts| texts.iter().filter(|(_, of_user)| *of_user).count());
    match texts {
        Some(texts) if roles == 0 || roles == texts.len() => {
            if roles > 0 {
                extras.mark(DIALECT, ROLE, Json::null());
            }
            Inputs::Texts(texts.into_iter().map(|(text, _)| text).collect())
        }
        _ => {
            let items = contents.into_iter().map(Json::from).collect();
            Inputs::Opaque { dialect: DIALECT, member: "content", items }
        }
    }
}

fn text_of(raw: &RawValue) -> Option<(Text<'_>, bool)> {
    let mut content = Object::lenient(raw)?;
    let parts = content.take_if("parts", object::list)?;
    let [part] = parts.as_slice() else {
        return None;
    };
    let mut part = Object::lenient(part)?;
    let text = part.take_if("text", object::text)?;
    let of_user = content.take_if("role", |raw| (raw.get() == "\"user\"").then_some(())).is_some();
    (part.is_empty() && content.is_empty()).then_some((text, of_user))
}

/// Refuses tokens, and what only another dialect can read.
pub fn render_request(request: &Request<'_>) -> Result<Rendered, DialectError> {
    let Request::Embeddings(request) = request else {
        return Err(DIALECT.has_no_words());
    };
    request.inputs.sayable(DIALECT, false)?;
    let rests = request.extras.get(DIALECT, REQUESTS).and_then(Json::as_raw);
    let rests = rests.and_then(object::list).unwrap_or_default();
    let mut out = Buffer::with_capacity(256);
    output::object(&mut out, |members| {
        if request.extras.marked(DIALECT, ALONE).is_some() && request.inputs.len() == 1 {
            write_item(members, request, 0);
        } else {
            members.list(REQUESTS, 0..request.inputs.len(), |out, index| {
                output::object(out, |item| {
                    write_item(item, request, index);
                    let rest = rests.get(index).copied().and_then(Object::lenient);
                    for (name, value) in rest.into_iter().flat_map(Object::into_members) {
                        item.fill(&name, value.get());
                    }
                });
            });
        }
        members.extras(DIALECT, &request.extras);
    });
    Ok(Rendered { body: out.into(), dropped: dropped(request) })
}

fn write_item(item: &mut Members<'_>, request: &EmbeddingsRequest<'_>, index: usize) {
    match request.model.as_ref() {
        "" => {}
        model if model.starts_with(MODELS) || model.starts_with("tunedModels/") => item.text("model", model),
        model => item.text("model", &format!("{MODELS}{model}")),
    }
    match &request.inputs {
        Inputs::Texts(texts) => item.object("content", |content| {
            content.list("parts", texts.get(index), |out, text| {
                output::object(out, |part| part.text("text", text));
            });
            if request.extras.marked(DIALECT, ROLE).is_some() {
                content.text("role", "user");
            }
        }),
        Inputs::Opaque { items, .. } => item.json_if("content", items.get(index)),
        Inputs::Tokens(_) => {}
    }
    item.text_if("taskType", request.task.and_then(word));
    item.whole_if("outputDimensionality", request.dimensions);
    if request.extras.marked(DIALECT, TRUNCATE).is_some() {
        item.flag_if(TRUNCATE, request.truncate.map(|truncate| truncate != Truncate::Never));
    }
}

fn word(task: Task) -> Option<&'static str> {
    TASKS.iter().find(|(_, known)| *known == task).map(|(word, _)| *word)
}

/// Vectors come as numbers, whatever encoding was asked for: that is for whoever says the reply.
fn dropped(request: &EmbeddingsRequest<'_>) -> Vec<String> {
    let mut dropped: Vec<String> = foreign(DIALECT, &request.extras).collect();
    // Not every server of this dialect takes the member, so it is said only by those who know theirs.
    let truncates = request.truncate.is_some() && request.extras.marked(DIALECT, TRUNCATE).is_none();
    for (name, said) in [("truncate", truncates), ("user", request.user.is_some())] {
        if said {
            dropped.push(name.to_owned());
        }
    }
    dropped
}

/// Refuses a document without vectors.
pub fn parse_reply(body: &[u8]) -> Result<Reply<'_>, DialectError> {
    let mut reply = Object::document(body, Mode::Lenient)?;
    let place = Place::Document.member("embeddings");
    let (items, spelling) = match (reply.take_list("embeddings")?, reply.take_object("embedding")?) {
        (Some(items), _) => (items, Spelling::Structured),
        (None, Some(only)) => (vec![only], Spelling::Plain),
        (None, None) => return Err(place.refuse("must be a list")),
    };
    let embeddings = items.into_iter().zip(0..).map(|(raw, index)| {
        let mut item = Object::lenient(raw).ok_or_else(|| place.refuse("must hold objects"))?;
        let values = item.take_if("values", |raw| raw.get().starts_with('[').then_some(raw));
        let values = values.ok_or_else(|| place.refuse("must hold lists of values"))?;
        Ok(Embedding { index, vector: Vector::Numbers(values.into()), extras: item.into_extras(DIALECT) })
    });
    Ok(Reply::Embeddings(EmbeddingsReply {
        model: "".into(),
        embeddings: embeddings.collect::<Result<_, _>>()?,
        spelling,
        usage: reply.take_if(USAGE, parse_usage),
        extras: reply.into_extras(DIALECT),
    }))
}

fn parse_usage(raw: &RawValue) -> Option<Usage<'_>> {
    let mut counts = Object::lenient(raw)?;
    let prompt_tokens = counts.take_if("promptTokenCount", object::whole)?;
    let tokens = TokenUsage { prompt_tokens, total_tokens: prompt_tokens, ..TokenUsage::default() };
    Some(Usage { tokens, extras: counts.into_extras(DIALECT) })
}

pub fn render_reply(reply: &Reply<'_>, _: &Envelope<'_>) -> Result<Bytes, DialectError> {
    let Reply::Embeddings(reply) = reply else {
        return Err(DIALECT.has_no_words());
    };
    let vectors = reply.in_order(Encoding::Float)?;
    let mut order: Vec<_> = reply.embeddings.iter().collect();
    order.sort_by_key(|embedding| embedding.index);
    let write = |out: &mut Buffer, (vector, embedding): (&Vector<'_>, &Embedding<'_>)| {
        output::object(out, |item| {
            vector.write(item.key("values"));
            item.extras(DIALECT, &embedding.extras);
        });
    };
    let mut out = Buffer::with_capacity(1024);
    output::object(&mut out, |members| {
        let mut told = vectors.iter().zip(order);
        match (reply.spelling, told.len()) {
            (Spelling::Plain, 1) => {
                if let Some(only) = told.next() {
                    write(members.key("embedding"), only);
                }
            }
            _ => members.list("embeddings", told, write),
        }
        if let Some(usage) = &reply.usage {
            members.object(USAGE, |counts| {
                counts.whole("promptTokenCount", usage.tokens.prompt_tokens);
                counts.extras(DIALECT, &usage.extras);
            });
        }
        members.extras(DIALECT, &reply.extras);
    });
    Ok(out.into())
}

pub fn parse_error(body: &[u8]) -> ErrorReply<'_> {
    error::parse(DIALECT, body)
}

pub fn render_error(error: &ErrorReply<'_>) -> Bytes {
    error::render(DIALECT, error)
}
