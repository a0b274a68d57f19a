//! The built-in model `mock/echo`: a target that is answered in this process, so that the first request works.

use std::time::{SystemTime, UNIX_EPOCH};

use fastroute_core::dialects::Dialect;
use fastroute_core::failure::{Failure, Kind};
use fastroute_core::usage::UsageRule;
use fastroute_core::{echo, relay};
use hyper::header::HeaderMap;

use crate::attempt::Success;
use crate::ingress::Ingress;
use crate::table::ECHO;

/// Answers as an upstream would, already past the commit point.
pub(crate) fn answer(ingress: &Ingress) -> Result<Success, Failure> {
    let joined;
    let body = match ingress.frames.as_slice() {
        [only] => only.as_ref(),
        several => {
            joined = several.concat();
            &joined
        }
    };
    let created_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let id = format!("chatcmpl-{}", ingress.request_id.trim_start_matches("req_"));
    let count = |text: &str| u32::try_from(text.len().div_ceil(4)).unwrap_or(u32::MAX);
    let bad = |error: fastroute_core::dialects::DialectError| Failure::new(Kind::BadRequest).saying(error.to_string());
    match ingress.dialect {
        Dialect::OpenAiChat if ingress.stream() => {
            let frames = echo::events(body, ECHO, &id, created_s, &count).map_err(bad)?;
            Ok(Success::Ready { frames, facts: relay::ReplyFacts::default() })
        }
        Dialect::OpenAiChat => whole(echo::reply(body, ECHO, &id, created_s, &count).map_err(bad)?),
        Dialect::OpenAiEmbeddings => whole(echo::embeddings(body, ECHO, &count).map_err(bad)?),
    }
}

fn whole(body: bytes::Bytes) -> Result<Success, Failure> {
    let facts = relay::inspect_reply(&body, UsageRule::Invariant)?;
    Ok(Success::Whole { headers: HeaderMap::new(), frames: [body].into_iter().collect(), facts })
}
