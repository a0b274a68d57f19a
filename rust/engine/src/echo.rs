//! The built-in model `mock/echo`: a target that is answered in this process, so that the first request works.
//!
//! It answers on the `fr-count` threads: the first exact count loads a vocabulary, and no I/O thread waits for that.

use bytes::Bytes;
use fastroute_core::dialects::{Dialect, DialectError};
use fastroute_core::failure::{Failure, Kind};
use fastroute_core::tokens::{Budget, Encoding, count_text};
use fastroute_core::usage::UsageRule;
use fastroute_core::{echo, relay};
use hyper::header::HeaderMap;

use crate::attempt::{Frames, Success, Whole};
use crate::ingress::Ingress;
use crate::table::ECHO;

/// Answers as an upstream would, already past the commit point.
pub(crate) async fn answer(ingress: &Ingress) -> Result<Success, Failure> {
    let frames = ingress.frames.clone();
    let (dialect, stream) = (ingress.dialect, ingress.stream());
    let id = format!("chatcmpl-{}", ingress.request_id.trim_start_matches("req_"));
    let answered = tokio::task::spawn_blocking(move || {
        let body = match frames.as_slice() {
            [only] => only.clone(),
            several => several.concat().into(),
        };
        render(&body, dialect, stream, &id)
    });
    answered.await.unwrap_or_else(|_| Err(Failure::new(Kind::Internal)))
}

fn render(body: &[u8], dialect: Dialect, stream: bool, id: &str) -> Result<Success, Failure> {
    let created_s = crate::identity::now_s();
    match dialect {
        Dialect::OpenAiChat if stream => {
            let frames = echo::events(body, ECHO, id, created_s, &count).map_err(|error| bad(&error))?;
            Ok(ready(frames.into_iter().collect(), relay::ReplyFacts::default()))
        }
        Dialect::OpenAiChat => whole(echo::reply(body, ECHO, id, created_s, &count).map_err(|error| bad(&error))?),
        Dialect::OpenAiEmbeddings => whole(echo::embeddings(body, ECHO, &count).map_err(|error| bad(&error))?),
        // No door leads here with another one.
        _ => Err(Failure::new(Kind::Internal)),
    }
}

fn count(text: &str) -> u32 {
    let counted = count_text(Encoding::O200kBase, text, &mut Budget::default());
    u32::try_from(counted.tokens).unwrap_or(u32::MAX)
}

fn bad(error: &DialectError) -> Failure {
    let failure = Failure::new(Kind::BadRequest).saying(error.to_string());
    match &error.param {
        Some(param) => failure.about(param.clone()),
        None => failure,
    }
}

fn whole(body: Bytes) -> Result<Success, Failure> {
    let facts = relay::inspect_reply(&body, UsageRule::Invariant)?;
    Ok(ready([body].into_iter().collect(), facts))
}

fn ready(frames: Frames, facts: relay::ReplyFacts) -> Success {
    Success::Whole(Box::new(Whole { headers: HeaderMap::new(), frames, facts }))
}
