//! How many tokens a request would take, told without asking any upstream.
//!
//! Exact only for plain messages under a public vocabulary; the rest are estimates by their providers' or observers'
//! rules. It is counted on another thread: a long prompt takes milliseconds, and the first one loads a vocabulary.

use fastroute_core::dialects::Dialect;
use fastroute_core::failure::Failure;
use fastroute_core::json::member;
use fastroute_core::passes::Demands;
use fastroute_core::tokens::{Budget, Measure, count_chat};
use fastroute_core::translate::{self, Address};
use hyper::StatusCode;

use crate::attempt::{bad, joined};
use crate::ingress::Ingress;
use crate::io::Io;
use crate::problem::{Problem, Reply};
use crate::table::Table;

/// What Gemini's clients may put around the request that is to be counted.
const WRAPPED: &str = "generateContentRequest";

/// Answers a request whose tokens are to be counted.
pub(crate) async fn answer(io: &Io, ingress: &Ingress) -> Reply {
    let id = &ingress.request_id;
    let table = io.shared.tables.current();
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

/// The model that a request would most likely reach, by the name that its maker gave it.
fn counted_as(table: &Table, asked: &str) -> Option<String> {
    let route = table.route(table.resolve(asked)?)?;
    let target = route.targets.first().and_then(|index| table.target(*index))?;
    let rest = || asked.split_once('/').map_or(asked, |(_, rest)| rest);
    Some(target.name.as_deref().unwrap_or_else(rest).to_owned())
}

fn count(body: &[u8], dialect: Dialect, model: &str) -> Result<u64, Failure> {
    let measure = Measure::for_model(model);
    if dialect != Dialect::Gemini {
        return Ok(count_chat(body, &measure, &mut Budget::default()).tokens);
    }
    let inner = member(body, WRAPPED).unwrap_or(body);
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
