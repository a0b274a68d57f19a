//! How many tokens a request would take: asked of a provider that counts in the client's dialect, else told without one.
//!
//! Our own count is exact only for plain messages under a public vocabulary; the rest are estimates by their
//! providers' or observers' rules. It is counted on another thread: a long prompt takes milliseconds, and the first
//! one loads a vocabulary.

use std::sync::Arc;

use bytes::Bytes;
use fastroute_core::dialects::Dialect;
use fastroute_core::failure::Failure;
use fastroute_core::json::{self, Edit, Field, Limits, Shape, member};
use fastroute_core::passes::{Demands, holds_marks};
use fastroute_core::tokens::{Budget, Measure, count_chat};
use fastroute_core::translate::{self, Address};
use hyper::StatusCode;

use crate::attempt::{bad, joined};
use crate::exchange;
use crate::ingress::Ingress;
use crate::io::Io;
use crate::opaque::Passing;
use crate::problem::{Problem, Reply};
use crate::table::{Table, Target};

/// What Gemini's clients may put around the request that is to be counted, in both spellings of it.
const WRAPPED: [&str; 2] = ["generateContentRequest", "generate_content_request"];

/// Answers a request whose tokens are to be counted.
pub(crate) async fn answer(io: &Arc<Io>, mut ingress: Ingress) -> Reply {
    let table = io.shared.tables.current();
    if asks_natively(&table, &mut ingress) {
        if let Some(reply) = Box::pin(exchange::counted(io, &ingress)).await {
            return reply;
        }
        ingress.spoken.opaque = None;
    }
    let id = &ingress.request_id;
    let Some(model) = counted_as(&table, ingress.model()) else {
        let message = format!("there is no such model; {}", table.where_to_look(ingress.model()));
        return Problem::request(404, "model_not_found", message).at("model").reply(id);
    };
    let (frames, dialect) = (ingress.frames.clone(), ingress.dialect());
    let counted = tokio::task::spawn_blocking(move || count(&joined(&frames), dialect, &model)).await;
    match counted {
        Ok(Ok(tokens)) => Reply::json(StatusCode::OK, told(dialect, tokens).into()).with_request_id(id),
        Ok(Err(failure)) => Problem::of(&failure).reply(id),
        Err(_) => Problem::internal("the tokens could not be counted").reply(id),
    }
}

/// The request in what Gemini's clients send to have it counted.
fn wrapped(body: &[u8]) -> Option<&[u8]> {
    WRAPPED.into_iter().find_map(|name| member(body, name)).filter(|inner| inner.starts_with(b"{"))
}

/// What Gemini's clients wrap names the model once more inside; there it is told as the target knows it.
pub(crate) fn renamed_inside(frames: &[Bytes], model: &str) -> Option<Edit> {
    let body = joined(frames);
    let inner = wrapped(&body)?;
    let limits = Limits { body_bytes: u32::MAX as usize, ..Limits::default() };
    let scan = json::scan(inner, Shape::Any, &limits).ok()?;
    let with = json::quote(&format!("models/{model}"));
    let edit = match scan.span(Field::Model) {
        Some(at) => Edit { at, with },
        None => scan.insert(&[("model", with)]),
    };
    let start = inner.as_ptr().addr().checked_sub(body.as_ptr().addr())?;
    Some(Edit { at: start + edit.at.start..start + edit.at.end, ..edit })
}

/// Makes it a request to the provider that it would most likely reach, where that one counts in this dialect. One that
/// holds proofs with their origin would reach it as it is, and they are told to nobody but their makers.
fn asks_natively(table: &Table, ingress: &mut Ingress) -> bool {
    let Some(passing) = Passing::counting(ingress.dialect()) else { return false };
    let target = first(table, ingress.model()).filter(|target| target.has(passing.endpoint));
    if target.is_none() || holds_marks(ingress.frames.iter().map(AsRef::as_ref)) {
        return false;
    }
    ingress.spoken.opaque = Some(Box::new(passing));
    true
}

/// The target that a request would most likely reach.
fn first<'t>(table: &'t Table, asked: &str) -> Option<&'t Target> {
    let route = table.route(table.resolve(asked)?)?;
    route.targets.first().and_then(|index| table.target(*index))
}

/// The model that a request would most likely reach, by the name that its maker gave it.
fn counted_as(table: &Table, asked: &str) -> Option<String> {
    let target = first(table, asked)?;
    let rest = || asked.split_once('/').map_or(asked, |(_, rest)| rest);
    Some(target.name.as_deref().unwrap_or_else(rest).to_owned())
}

fn count(body: &[u8], dialect: Dialect, model: &str) -> Result<u64, Failure> {
    let measure = Measure::for_model(model);
    if dialect != Dialect::Gemini {
        return Ok(count_chat(body, &measure, &mut Budget::default()).tokens);
    }
    let inner = wrapped(body).unwrap_or(body);
    let address = Address { model: Some(model), stream: Some(false) };
    let chat = Demands::of(Dialect::OpenAiChat);
    let said = translate::request(inner, dialect, &chat, address).map_err(|error| bad(&error))?;
    Ok(count_chat(&said.body, &measure, &mut Budget::default()).tokens)
}

fn told(dialect: Dialect, tokens: u64) -> String {
    match dialect {
        Dialect::Gemini => format!(r#"{{"totalTokens":{tokens}}}"#),
        Dialect::OpenAiResponses => format!(r#"{{"object":"response.input_tokens","input_tokens":{tokens}}}"#),
        _ => format!(r#"{{"input_tokens":{tokens}}}"#),
    }
}
