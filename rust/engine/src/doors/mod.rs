//! What every door serves, and the endpoints that need no upstream.

pub(crate) mod admin;
pub mod body;
mod floods;
mod framing;
mod guard;
pub mod http;
mod look;
mod paths;
mod streams;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{ALLOW, HeaderValue, UPGRADE};

use crate::io::Shared;
use crate::problem::{Problem, Reply};
use crate::spoken::restyled;

pub use paths::{Endpoint, Hints, decoded, endpoint};

/// Whether a body is encoded: any coding but `identity`, in any of the values (RFC 9110, section 8.4).
pub fn is_encoded<'a>(mut codings: impl Iterator<Item = &'a [u8]>) -> bool {
    codings.any(|value| {
        let mut each = value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
        each.any(|coding| !coding.is_empty() && !coding.eq_ignore_ascii_case(b"identity"))
    })
}

/// A request that servers could understand in different ways; its connection ends with the answer.
pub fn malformed(flaw: &str) -> Problem {
    Problem::request(400, "malformed_request", flaw)
}

/// What is wrong with how a request names its host: HTTP/1.1 has to, nobody may twice (RFC 9112, section 3.2), and a
/// target that names one must name the same (section 3.2.2; for HTTP/2 RFC 9113, section 8.3.1).
pub fn host_flaw(hosts: &[&[u8]], authority: Option<&[u8]>, required: bool) -> Option<&'static str> {
    match hosts {
        [] if required => Some("there must be a host header"),
        [host] if !host.iter().all(u8::is_ascii_graphic) => Some("the host header names no host"),
        [host] if authority.is_some_and(|named| !host.eq_ignore_ascii_case(named)) => {
            Some("the request's target names another host than its host header")
        }
        [] | [_] => None,
        _ => Some("there must be one host header only"),
    }
}

/// Answers what needs no upstream. `Generate` is not for here and answers as unknown.
pub fn answer(shared: &Arc<Shared>, endpoint: &Endpoint<'_>, request_id: &Arc<str>) -> Reply {
    match endpoint {
        Endpoint::NoUpgrade => {
            let message = "there are no WebSockets here; send the same request with POST";
            let mut reply = Problem::request(426, "upgrade_required", message).reply(request_id);
            reply.headers.insert(UPGRADE, HeaderValue::from_static("HTTP/1.1"));
            reply
        }
        Endpoint::Models(asks) => {
            let body = shared.tables.current().models.list(*asks);
            Reply::json(StatusCode::OK, body).with_request_id(request_id)
        }
        Endpoint::Model(asks, id) => {
            let table = shared.tables.current();
            match table.model(*asks, id) {
                Some(model) => Reply::json(StatusCode::OK, model).with_request_id(request_id),
                None => restyled(no_model(&table.where_to_look(id)).reply(request_id), *asks),
            }
        }
        Endpoint::Live => {
            Reply::json(StatusCode::OK, Bytes::from_static(br#"{"live":true}"#)).with_request_id(request_id)
        }
        Endpoint::Ready if shared.ready.load(Ordering::Relaxed) => {
            Reply::json(StatusCode::OK, Bytes::from_static(br#"{"ready":true}"#)).with_request_id(request_id)
        }
        Endpoint::Ready => {
            let reply = Reply::json(StatusCode::SERVICE_UNAVAILABLE, Bytes::from_static(br#"{"ready":false}"#));
            reply.with_request_id(request_id)
        }
        Endpoint::NotAllowed(allowed) => {
            let message = format!("this path takes {allowed} only");
            let mut reply = Problem::request(405, "method_not_allowed", message).reply(request_id);
            reply.headers.insert(ALLOW, HeaderValue::from_static(allowed));
            reply
        }
        Endpoint::Unknown | Endpoint::Generate(_) => {
            let message = "this gateway serves /v1/chat/completions, /v1/responses, /v1/messages, /v1/completions, \
                           /v1/embeddings, /v1/rerank, /v2/chat, /v1/models, /v1beta/models/MODEL:generateContent and, \
                           as they are, /v1/images, /v1/audio, /v1/moderations, /v1/files and /v1/batches";
            Problem::request(404, "unknown_endpoint", message).reply(request_id)
        }
    }
}

fn no_model(hint: &str) -> Problem {
    Problem::request(404, "model_not_found", format!("there is no such model; {hint}")).at("model")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_names_one_host_and_once() {
        assert_eq!(host_flaw(&[b"x"], None, true), None);
        assert_eq!(host_flaw(&[b""], None, true), None);
        assert_eq!(host_flaw(&[b"X:80"], Some(b"x:80"), true), None);
        assert_eq!(host_flaw(&[], Some(b"x"), false), None);
        let flawed: [&[&[u8]]; 5] = [&[], &[b"x", b"x"], &[b"y"], &[b"x y"], &[b"\xff"]];
        for hosts in flawed {
            assert!(host_flaw(hosts, Some(b"x"), true).is_some(), "{hosts:?}");
        }
    }

    #[test]
    fn only_identity_in_any_case_is_no_coding() {
        for plain in [&[][..], &["identity"], &["Identity"], &["identity", "IDENTITY , identity"], &[""]] {
            assert!(!is_encoded(plain.iter().map(|value| value.as_bytes())), "{plain:?}");
        }
        for coded in [&[b"gzip".as_slice()][..], &[b"identity", b"br"], &[b"identity,\tgzip"], &[b"gz\xffip"]] {
            assert!(is_encoded(coded.iter().copied()), "{coded:?}");
        }
    }
}
