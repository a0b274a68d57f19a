//! The built-in model `mock/echo`: a target that is answered in this process, so that the first request works.
//!
//! It answers on the `fr-count` threads: the first exact count loads a vocabulary, and no I/O thread waits for that.

use bytes::Bytes;
use fastroute_core::dialects::message::Envelope;
use fastroute_core::dialects::{Dialect, Family};
use fastroute_core::failure::{Failure, Kind, Origin};
use fastroute_core::passes::Demands;
use fastroute_core::tokens::{Budget, Encoding, count_text};
use fastroute_core::translate::{self, Address, JsonArray, StreamTranslator};
use fastroute_core::usage::UsageRule;
use fastroute_core::{echo, relay, sse};
use hyper::StatusCode;
use hyper::header::HeaderMap;

use crate::attempt::{Frames, Success, Whole, bad};
use crate::ingress::Ingress;
use crate::table::ECHO;

/// Answers as an upstream would, already past the commit point.
pub(crate) async fn answer(ingress: &Ingress) -> Result<Success, Failure> {
    let frames = ingress.frames.clone();
    let (client, stream, asked) = (ingress.dialect(), ingress.stream(), ingress.model().to_owned());
    let list = ingress.spoken.list;
    let id = format!("chatcmpl-{}", ingress.request_id.trim_start_matches("req_"));
    let answered = tokio::task::spawn_blocking(move || {
        let body = match frames.as_slice() {
            [only] => only.clone(),
            several => several.concat().into(),
        };
        match client {
            Dialect::OpenAiChat | Dialect::OpenAiEmbeddings => render(&body, client, stream, &id),
            _ => abroad(&body, client, stream, &id, &asked),
        }
    });
    let mut answered = answered.await.unwrap_or_else(|_| Err(Failure::new(Kind::Internal)))?;
    if list && let Success::Whole(whole) = &mut answered {
        let (mut list, mut said) = (JsonArray::default(), Vec::new());
        whole.frames.iter().for_each(|frame| list.push(frame, &mut said));
        list.end(&mut said);
        whole.frames = [said.into()].into_iter().collect();
    }
    Ok(answered)
}

/// The same for a client of another dialect than the echo's own.
fn abroad(body: &[u8], client: Dialect, stream: bool, id: &str, asked: &str) -> Result<Success, Failure> {
    let ours = match client.family() {
        Family::Chat => Dialect::OpenAiChat,
        Family::Embeddings => Dialect::OpenAiEmbeddings,
        Family::Rerank => {
            return Err(Failure::at(Kind::NotFound, Origin::Client).saying("mock does not serve this endpoint"));
        }
    };
    let address = Address { model: Some(ECHO), stream: Some(stream) };
    let told = translate::request(body, client, &Demands::of(ours), address).map_err(|error| bad(&error))?;
    let Success::Whole(echoed) = render(&told.body, ours, stream, id)? else {
        return Err(Failure::new(Kind::Internal));
    };
    let created_s = crate::identity::now_s();
    let envelope = Envelope { id, model: asked, created_s, include_usage: told.include_usage };
    let Whole { headers, status, frames, facts } = *echoed;
    let said = if stream {
        let translator = StreamTranslator::new(ours, client, told.way_back, &envelope, sse::Limits::default());
        let mut translator = translator.ok_or_else(|| Failure::new(Kind::Internal))?;
        let mut said = Vec::new();
        for frame in &frames {
            translator.push(frame, &mut said);
        }
        translator.finish(&mut said);
        said.into()
    } else {
        let said = translate::reply_as(&frames.concat(), ours, client, &told.way_back, &envelope, told.wanted);
        said.map_err(|_| Failure::new(Kind::Internal))?
    };
    Ok(Success::Whole(Box::new(Whole { headers, status, frames: [said].into_iter().collect(), facts })))
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

fn whole(body: Bytes) -> Result<Success, Failure> {
    let facts = relay::inspect_reply(&body, UsageRule::Invariant)?;
    Ok(ready([body].into_iter().collect(), facts))
}

fn ready(frames: Frames, facts: relay::ReplyFacts) -> Success {
    Success::Whole(Box::new(Whole { headers: HeaderMap::new(), status: StatusCode::OK, frames, facts }))
}
