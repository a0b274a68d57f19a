//! Cohere's chat, version 2.
//!
//! Its surprises: what a model plans before it calls tools is a text of its own (`tool_plan`), which the neutral form
//! holds as reasoning; the results of tools may be documents; and a reply names neither its model nor its time.

mod citations;
mod logprobs;
mod message;
mod parts;
mod reader;
mod reply;
mod request;
#[cfg(test)]
mod tests;
mod tools;
mod usage;
mod writer;

use bytes::Bytes;

use super::message::{Block, Content, Envelope, ErrorReply, Event, Events, Rendered, Reply, Request};
use super::{Dialect, DialectError, cohere_error};
pub use reader::Reader;
pub use writer::Writer;

const DIALECT: Dialect = Dialect::CohereV2;

/// Refuses what is not a chat request, or says one of its fields in a type the contract does not know.
pub fn parse_request(body: &[u8]) -> Result<Request<'_>, DialectError> {
    request::parse(body).map(Request::Chat)
}

/// Refuses only what is not a chat at all; what Cohere cannot say is dropped and named.
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

/// Writes the first choice: a reply has no room for more.
pub fn render_reply(reply: &Reply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
    match reply {
        Reply::Chat(chat) => Ok(reply::render(chat, envelope)),
        _ => Err(DIALECT.has_no_words()),
    }
}

/// Whether a request has words for a block.
pub(crate) fn says(block: &Block<'_>) -> bool {
    match &block.content {
        Content::ToolCall(_) | Content::ToolResult(_) => true,
        Content::Reasoning(reasoning) => reasoning.redacted.is_none(),
        _ => parts::is_part(block),
    }
}

pub fn reader() -> Option<Reader> {
    Some(Reader::default())
}

pub fn writer(envelope: &Envelope<'_>) -> Option<Writer> {
    Some(Writer::new(envelope))
}

/// Refuses what is not JSON and what would grow the reader without end.
pub fn parse_event<'a>(reader: &mut Reader, name: &str, data: &'a [u8]) -> Result<Events<'a>, DialectError> {
    reader.parse(name, data)
}

pub fn render_event(writer: &mut Writer, event: &Event<'_>, out: &mut Vec<u8>) {
    writer.render(event, out);
}

pub fn parse_error(body: &[u8]) -> ErrorReply<'_> {
    cohere_error::parse(DIALECT, body)
}

pub fn render_error(error: &ErrorReply<'_>) -> Bytes {
    cohere_error::render(DIALECT, error)
}
