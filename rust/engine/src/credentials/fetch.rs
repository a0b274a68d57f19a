//! One request for a token, over the engine's own connections.
//!
//! The rule: the address is the operator's, and no answer leads to another one; redirects are refusals.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use fastroute_core::auth::google::KeyError;
use fastroute_core::auth::{ServiceAccount, Token, TokenError, entra, parse_token_reply};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderName, HeaderValue, USER_AGENT};
use hyper::http::uri::PathAndQuery;
use hyper::{Method, Request, Uri};
use tokio::time::{Instant, timeout_at};

use super::spec::{EndpointSpec, GrantSpec};
use super::unix_s;
use crate::render;
use crate::table::ProviderSpec;
use crate::upstream::{Origin, Outgoing, Pool};

/// All of a fetch, from looking up the name on. A token endpoint answers within a second or is in trouble.
const TIME: Duration = Duration::from_secs(10);
/// A reply longer than that holds no token.
const REPLY_BYTES: usize = 64 * 1024;

/// Without it a metadata server answers nobody, so that no request forged elsewhere gets a token.
const METADATA_FLAVOR: (HeaderName, HeaderValue) =
    (HeaderName::from_static("metadata-flavor"), HeaderValue::from_static("Google"));

/// Why no token came, in words that quote nothing.
#[derive(Debug)]
pub(super) enum FetchError {
    Unreachable,
    Late,
    Broken,
    TooLong,
    Unsigned(KeyError),
    Answered(TokenError),
}

impl FetchError {
    /// What was shown is wrong, and will be the next time.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(self, Self::Unsigned(_) | Self::Answered(TokenError::Refused { .. }))
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => out.write_str("cannot be reached"),
            Self::Late => write!(out, "did not answer within {} s", TIME.as_secs()),
            Self::Broken => out.write_str("broke off"),
            Self::TooLong => out.write_str("answered more than a token"),
            Self::Unsigned(error) => write!(out, "was not asked: {error}"),
            Self::Answered(error) => error.fmt(out),
        }
    }
}

/// A token endpoint.
pub(super) struct Endpoint {
    origin: Arc<Origin>,
    path: PathAndQuery,
}

impl Endpoint {
    pub(super) fn new(provider: &ProviderSpec, at: &EndpointSpec) -> Result<Self, String> {
        let tls = match at.scheme.as_str() {
            "https" => true,
            "http" => false,
            other => return Err(format!("scheme: `{other}` is neither http nor https")),
        };
        let place = ProviderSpec {
            host: at.host.clone(),
            port: at.port,
            timeouts: provider.timeouts.clone(),
            ca_file: provider.ca_file.clone(),
            ..ProviderSpec::default()
        };
        let path = at.path.parse().ok().filter(|_| at.path.starts_with('/'));
        Ok(Self { origin: Origin::new(&place, tls)?, path: path.ok_or("path: it is no path")? })
    }

    pub(super) fn origin(&self) -> &Arc<Origin> {
        &self.origin
    }

    /// Tells apart what the same words mean: with another file of certificates it is another place.
    pub(super) fn place(&self) -> usize {
        self.origin.id()
    }

    pub(super) async fn fetch(&self, grant: &Grant, pool: &Arc<Pool>, now: SystemTime) -> Result<Token, FetchError> {
        let request = self.request(grant, now).map_err(FetchError::Unsigned)?;
        let began = Instant::now();
        let by = began + TIME;
        // Fresh: an hour after the last time there is no connection to use again.
        let leased = timeout_at(by, pool.lease(true)).await.map_err(|_| FetchError::Late)?;
        let mut lease = leased.map_err(|_| FetchError::Unreachable)?;
        let response = match lease.send(request, began, by).await {
            Ok(response) => response,
            Err(_) if Instant::now() >= by => return Err(FetchError::Late),
            Err(_) => return Err(FetchError::Broken),
        };
        let status = response.status().as_u16();
        let body = timeout_at(by, whole(response.into_body())).await.map_err(|_| FetchError::Late)??;
        parse_token_reply(status, &body).map_err(FetchError::Answered)
    }

    fn request(&self, grant: &Grant, now: SystemTime) -> Result<Request<Outgoing>, KeyError> {
        let form = grant.form(now)?;
        let (method, body) = match &form {
            Some(_) => (Method::POST, Outgoing::new(form.clone())),
            None => (Method::GET, Outgoing::new(None)),
        };
        let mut request = Request::new(body);
        *request.method_mut() = method;
        *request.uri_mut() = Uri::from(self.path.clone());
        let headers = request.headers_mut();
        headers.insert(HOST, self.origin.authority().clone());
        headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
        headers.insert(USER_AGENT, HeaderValue::from_static(concat!("fastroute/", env!("CARGO_PKG_VERSION"))));
        match form {
            Some(form) => {
                headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded"));
                headers.insert(CONTENT_LENGTH, render::number(form.len() as u64));
            }
            None => {
                headers.insert(METADATA_FLAVOR.0, METADATA_FLAVOR.1);
            }
        }
        Ok(request)
    }
}

async fn whole(mut body: Incoming) -> Result<Vec<u8>, FetchError> {
    let mut read = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| FetchError::Broken)?;
        let Some(data) = frame.data_ref() else { continue };
        if read.len() + data.len() > REPLY_BYTES {
            return Err(FetchError::TooLong);
        }
        read.extend_from_slice(data);
    }
    Ok(read)
}

/// What the endpoint is shown.
pub(super) enum Grant {
    ServiceAccount(Box<ServiceAccount>),
    /// Nothing: it knows the machine that asks.
    Metadata,
    /// A form that is always the same.
    Form(Bytes),
}

impl Grant {
    pub(super) fn new(spec: &GrantSpec) -> Result<Self, String> {
        Ok(match spec {
            GrantSpec::GoogleServiceAccount { client_email, private_key_id, private_key, audience, scope } => {
                let id = private_key_id.as_deref();
                let account = ServiceAccount::new(client_email, id, private_key, audience, scope);
                Self::ServiceAccount(Box::new(account.map_err(|error| format!("private_key: {error}"))?))
            }
            GrantSpec::GoogleMetadata => Self::Metadata,
            GrantSpec::AzureEntra { client_id, client_secret, scope } => {
                Self::Form(entra::request_body(client_id, client_secret, scope).into())
            }
        })
    }

    fn form(&self, now: SystemTime) -> Result<Option<Bytes>, KeyError> {
        Ok(match self {
            Self::ServiceAccount(account) => Some(account.request_body(unix_s(now))?.into()),
            Self::Metadata => None,
            Self::Form(form) => Some(form.clone()),
        })
    }
}
