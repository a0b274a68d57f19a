//! What a client speaks: its dialect, and what its address says in the place of its body.
//!
//! An exchange is in its client's dialect from end to end; an attempt says its request in another one where the target
//! has no better, and says the reply back. The rule: what a client is told, errors of the door included, is told in its
//! dialect.

use fastroute_core::dialects::Dialect;
use fastroute_core::translate;
use hyper::StatusCode;
use hyper::header::HeaderName;

use crate::delivery::ReplyBody;
use crate::opaque::Passing;
use crate::problem::{Reply, X_REQUEST_ID};

/// Where Anthropic's SDKs look for what others call `x-request-id`.
const REQUEST_ID: HeaderName = HeaderName::from_static("request-id");
/// Longer queries than this are nobody's who means well.
const QUERY_BYTES: usize = 1024;

/// What is to be done with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Task {
    #[default]
    Answer,
    /// Only its tokens are wanted.
    Count,
}

/// Names of what was lost when a body of another dialect was said in the client's.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lost {
    pub dropped: Vec<String>,
    pub changed: Vec<String>,
}

/// See the module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spoken {
    pub dialect: Dialect,
    pub model: Option<Box<str>>,
    pub stream: Option<bool>,
    pub task: Task,
    /// For a target that speaks the same dialect.
    pub query: Option<Box<str>>,
    /// The stream is wanted as one JSON list: Gemini's way where nobody asks for events.
    pub list: bool,
    /// It is passed on unread. The dialect is then that of its errors.
    pub opaque: Option<Box<Passing>>,
    /// It came in another dialect than that of its address.
    pub lost: Option<Box<Lost>>,
}

impl Spoken {
    pub fn by_body(dialect: Dialect) -> Self {
        Self {
            dialect,
            model: None,
            stream: None,
            task: Task::Answer,
            query: None,
            list: false,
            opaque: None,
            lost: None,
        }
    }

    pub(crate) fn passing(passing: Passing) -> Self {
        Self { opaque: Some(Box::new(passing)), ..Self::by_body(Dialect::OpenAiChat) }
    }

    /// What it is called on record: the dialect's name, or that of an endpoint that is in none.
    pub fn name(&self) -> &'static str {
        self.opaque.as_ref().map_or(self.dialect.name(), |passing| passing.endpoint.name())
    }

    /// Whether a query may go on to a target.
    pub fn takes_query(&self) -> bool {
        matches!(self.dialect, Dialect::AnthropicMessages | Dialect::Gemini | Dialect::OpenAiResponses)
            || self.opaque.is_some()
    }

    /// Takes over the `content-type`, where it means anything.
    #[must_use]
    pub fn bearing(mut self, content_type: Option<&str>) -> Self {
        if let Some(passing) = &mut self.opaque {
            passing.bearing(content_type);
        }
        self
    }

    /// Takes over the query of the request's address: all of it but keys, and how a stream is to be framed.
    #[must_use]
    pub fn asking(mut self, query: &str) -> Self {
        self.list = self.dialect == Dialect::Gemini
            && self.stream == Some(true)
            && !query.split('&').any(|pair| pair.eq_ignore_ascii_case("alt=sse"));
        let kept = |pair: &&str| {
            let name = pair.split('=').next().unwrap_or_default();
            !matches!(name, "" | "key" | "alt" | "access_token" | "api-key")
        };
        if self.takes_query() && query.len() <= QUERY_BYTES && query.bytes().all(|byte| byte.is_ascii_graphic()) {
            let query = query.split('&').filter(kept).collect::<Vec<_>>().join("&");
            self.query = (!query.is_empty()).then(|| query.into());
        }
        self
    }
}

/// Its errors are those of OpenAI's chat.
fn is_openais(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::OpenAiEmbeddings | Dialect::OpenAiCompletions)
}

/// An error of ours in the client's dialect; every other reply stays as it is.
pub fn restyled(mut reply: Reply, dialect: Dialect) -> Reply {
    if dialect == Dialect::AnthropicMessages
        && let Some(id) = reply.headers.get(X_REQUEST_ID)
    {
        let id = id.clone();
        reply.headers.insert(REQUEST_ID, id);
    }
    if reply.status.as_u16() < 400 || reply.said_in == dialect || is_openais(dialect) {
        return reply;
    }
    if let ReplyBody::Frames(frames) = &mut reply.body {
        let body: Vec<u8> = frames.drain(..).flatten().collect();
        let id = reply.headers.get(X_REQUEST_ID).and_then(|id| id.to_str().ok()).unwrap_or_default();
        let (status, body) = translate::error(&body, reply.said_in, dialect, reply.status.as_u16(), id);
        reply.status = StatusCode::from_u16(status).unwrap_or(reply.status);
        reply.body = ReplyBody::whole(body);
        reply.said_in = dialect;
    }
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_goes_on_without_keys() {
        let spoken = Spoken::by_body(Dialect::AnthropicMessages);
        assert_eq!(spoken.clone().asking("beta=true&key=k").query.as_deref(), Some("beta=true"));
        assert_eq!(spoken.clone().asking("key=k&alt=sse&access_token=t").query, None);
        assert_eq!(spoken.clone().asking("a=\r\nx").query, None);
        assert_eq!(spoken.asking(&"a".repeat(2000)).query, None);
        assert_eq!(Spoken::by_body(Dialect::OpenAiChat).asking("beta=true").query, None);
    }
}
