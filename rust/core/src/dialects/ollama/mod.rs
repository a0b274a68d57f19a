//! Ollama's own chat: what its OpenAI-shaped one cannot say (`num_ctx`, `keep_alive`, `think`).
//!
//! It is spoken to upstreams only. Its surprises: a stream is a line of JSON per event, without frames; a request that
//! does not say otherwise asks for a stream; arguments are objects, and calls may have no ids.

mod error;
mod message;
mod reader;
mod reply;
mod request;
#[cfg(test)]
mod tests;
mod time;
mod tools;
mod writer;

use bytes::Bytes;

use super::message::{Block, Content, Envelope, ErrorReply, Event, Events, MediaSource, Rendered, Reply, Request};
use super::{Dialect, DialectError};
pub use reader::Reader;
pub use writer::Writer;

const DIALECT: Dialect = Dialect::Ollama;

/// Refuses what is not a chat request, or says one of its fields in a type the contract does not know.
pub fn parse_request(body: &[u8]) -> Result<Request<'_>, DialectError> {
    request::parse(body).map(Request::Chat)
}

/// Refuses only what is not a chat at all; what Ollama cannot say is dropped and named.
pub fn render_request(request: &Request<'_>) -> Result<Rendered, DialectError> {
    match request {
        Request::Chat(chat) => Ok(request::render(chat)),
        _ => Err(DIALECT.has_no_words()),
    }
}

/// Refuses a document without a message.
pub fn parse_reply(body: &[u8]) -> Result<Reply<'_>, DialectError> {
    reply::parse(body).map(Reply::Chat)
}

/// Writes the first choice: a reply has no room for more. Refuses one that ended in an error.
pub fn render_reply(reply: &Reply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
    match reply {
        Reply::Chat(chat) => reply::render(chat, envelope),
        _ => Err(DIALECT.has_no_words()),
    }
}

/// Whether a request has words for a block.
pub(crate) fn says(block: &Block<'_>) -> bool {
    match &block.content {
        Content::Text { .. } | Content::Refusal { .. } | Content::ToolCall(_) | Content::ToolResult(_) => true,
        Content::Reasoning(reasoning) => !reasoning.text.is_empty(),
        Content::Image { source, .. } => matches!(source, MediaSource::Base64 { .. }),
        Content::Audio { .. } | Content::File { .. } | Content::Opaque { .. } => false,
    }
}

pub fn reader() -> Option<Reader> {
    Some(Reader::default())
}

pub fn writer(envelope: &Envelope<'_>) -> Option<Writer> {
    Some(Writer::new(envelope))
}

/// Reads one line. Refuses what is not JSON and what would grow the reader without end.
pub fn parse_event<'a>(reader: &mut Reader, _name: &str, data: &'a [u8]) -> Result<Events<'a>, DialectError> {
    reader.parse(data)
}

pub fn render_event(writer: &mut Writer, event: &Event<'_>, out: &mut Vec<u8>) {
    writer.render(event, out);
}

pub fn parse_error(body: &[u8]) -> ErrorReply<'_> {
    error::parse(body)
}

pub fn render_error(error: &ErrorReply<'_>) -> Bytes {
    error::render(error)
}
