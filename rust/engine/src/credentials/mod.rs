//! How a request proves to its provider who sends it, where a header that never changes does not do.
//!
//! Its one rule: a request is proved last, when nothing of it changes any more, and without waiting; what has to be
//! waited for, a first token, is waited for before ([`Credential::ready`]). The surprise: tokens outlive tables, so
//! that a reload fetches none.

mod fetch;
mod keeper;
mod spec;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use fastroute_core::auth::{Signer, Unsigned, encoded, sha256, sigv4};
use fastroute_core::failure::Failure;
use fastroute_core::relay::Secrets;
use hyper::header::{AUTHORIZATION, HeaderName, HeaderValue};
use hyper::{Request, Uri};
use smallvec::SmallVec;

use crate::clocks::Due;
use crate::io::Io;
use crate::table::ProviderSpec;
use crate::upstream::Outgoing;
use keeper::Keeper;

pub use spec::{AuthSpec, EndpointSpec, GrantSpec, TokenSpec};

const X_AMZ_DATE: HeaderName = HeaderName::from_static("x-amz-date");
const X_AMZ_SECURITY_TOKEN: HeaderName = HeaderName::from_static("x-amz-security-token");

/// Where a key goes, and the key.
type Key = (String, String);

/// What a head adds to each request.
pub(crate) enum Credential {
    /// Nothing: its headers say it all.
    Headers,
    /// `name=value`, encoded, for the query; and the value as it is, which an upstream may quote.
    Query {
        pair: Box<str>,
        key: Box<str>,
    },
    Aws(Box<Signer>),
    Token(Arc<Keeper>),
}

impl Credential {
    /// That of a provider, with the one of its keys that a target uses; and that key again, if it is a header's. Errors
    /// name the field at fault.
    pub(crate) fn of<'k>(provider: &ProviderSpec, key: Option<&'k Key>) -> Result<(Self, Option<&'k Key>), String> {
        let credential = match &provider.auth {
            None => return Ok((Self::Headers, key)),
            Some(AuthSpec::Query) => match key {
                None => Self::Headers,
                Some((name, value)) => Self::Query { pair: pair(name, value)?, key: value.as_str().into() },
            },
            Some(AuthSpec::AwsSigv4 { region, service, access_key_id, secret_access_key, session_token }) => {
                for part in [Some(region), Some(service), Some(access_key_id), session_token.as_ref()] {
                    if part.is_some_and(|part| HeaderValue::from_str(part).is_err()) {
                        return Err("auth: a value holds a character that no header may carry".into());
                    }
                }
                let token = session_token.as_deref();
                Self::Aws(Box::new(Signer::new(access_key_id, secret_access_key, token, region, service)))
            }
            Some(AuthSpec::Token(token)) => {
                Self::Token(keeper::of(provider, token).map_err(|what| format!("auth.{what}"))?)
            }
        };
        Ok((credential, None))
    }

    /// What of it no client may see, beside what is told by [`Credential::secrets`] later.
    pub(crate) fn fixed_secrets(&self) -> SmallVec<[&[u8]; 3]> {
        match self {
            Self::Headers | Self::Token(_) => SmallVec::new(),
            Self::Query { pair, key } => {
                let encoded = pair.split_once('=').map(|(_, value)| value.as_bytes());
                encoded.into_iter().chain([key.as_bytes()]).collect()
            }
            Self::Aws(signer) => signer.secrets().map(str::as_bytes).collect(),
        }
    }

    /// What no client may see now: `fixed`, and the tokens in use.
    pub(crate) fn secrets(&self, fixed: &Secrets) -> Secrets {
        match self {
            Self::Token(keeper) => fixed.iter().cloned().chain(keeper.secrets()).collect(),
            _ => fixed.clone(),
        }
    }

    /// Waits, within the attempt's time, until a request can be proved.
    pub(crate) async fn ready(&self, io: &Arc<Io>, due: Due) -> Result<(), Failure> {
        match self {
            Self::Token(keeper) => keeper.ready(io, due).await,
            _ => Ok(()),
        }
    }

    /// The provider did not take it: a token may have been withdrawn before its time.
    pub(crate) fn refused(&self) {
        if let Self::Token(keeper) = self {
            keeper.doubt();
        }
    }

    /// Adds what proves the request. Its path, query, headers and body are those that will be sent.
    pub(crate) fn prove(&self, request: &mut Request<Outgoing>, frames: &[Bytes], now: SystemTime) {
        match self {
            Self::Headers => {}
            Self::Query { pair, .. } => {
                if let Some(uri) = with_pair(request.uri(), pair) {
                    *request.uri_mut() = uri;
                }
            }
            Self::Aws(signer) => sign(signer, request, frames, now),
            Self::Token(keeper) => {
                if let Some(bearer) = keeper.bearer() {
                    request.headers_mut().insert(AUTHORIZATION, bearer);
                }
            }
        }
    }
}

fn pair(name: &str, value: &str) -> Result<Box<str>, String> {
    let pair = format!("{}={}", encoded(name), encoded(value));
    match format!("/?{pair}").parse::<Uri>() {
        Ok(_) => Ok(pair.into()),
        Err(_) => Err("keys: one is too long for a query".into()),
    }
}

fn with_pair(uri: &Uri, pair: &str) -> Option<Uri> {
    let sign = if uri.query().is_some() { '&' } else { '?' };
    format!("{}{sign}{pair}", uri.path_and_query()?).parse().ok()
}

fn sign(signer: &Signer, request: &mut Request<Outgoing>, frames: &[Bytes], now: SystemTime) {
    let headers: SmallVec<[(&str, &[u8]); 8]> = request
        .headers()
        .iter()
        .filter(|(name, _)| sigv4::is_signed(name.as_str()))
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    let unsigned = Unsigned {
        method: request.method().as_str(),
        path: request.uri().path(),
        query: request.uri().query().unwrap_or_default(),
        headers: &headers,
        payload: sha256(frames.iter().map(|frame| &**frame)),
    };
    let proof = signer.sign(&unsigned, unix_s(now));
    drop(headers);
    let parts = [
        (X_AMZ_DATE, Some(&*proof.date)),
        (X_AMZ_SECURITY_TOKEN, proof.session_token),
        (AUTHORIZATION, Some(&*proof.authorization)),
    ];
    for (name, value) in parts {
        if let Some(Ok(mut value)) = value.map(HeaderValue::from_str) {
            value.set_sensitive(true);
            request.headers_mut().insert(name, value);
        }
    }
}

fn unix_s(now: SystemTime) -> u64 {
    now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
