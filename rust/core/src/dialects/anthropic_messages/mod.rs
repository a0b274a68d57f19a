//! Anthropic Messages, as Anthropic, Vertex and Azure speak it and others imitate it.
//!
//! Requests are read strictly, replies and events around what is odd. The surprise is the stream: its blocks come one
//! behind the other, so a writer holds back what another dialect tells at the same time.

mod blocks;
mod citations;
mod dropped;
mod error;
mod finish;
pub(super) mod input;
mod invoked;
mod media;
mod reader;
mod reply;
mod request;
mod tools;
mod usage;
mod wish;
mod write;
mod writer;

use bytes::Bytes;

use super::message::{Block, Envelope, ErrorReply, Event, Events, Rendered, Reply, Request};
use super::{Dialect, DialectError};
pub use invoked::{Host, invoked};
pub use reader::Reader;
pub use writer::Writer;

const DIALECT: Dialect = Dialect::AnthropicMessages;

/// Events of ours that have no neutral form travel as `Event::Opaque` under these names; under any other name they are
/// whole frames. What a frame says of its position stays behind: the writer counts blocks itself. No frame has a line
/// break in its name, so none is taken for one of these.
mod opaque {
    /// A block that only this dialect knows, as its `content_block` object.
    pub(super) const START: &str = "content_block_start";
    /// A piece of the block that began last, as its `delta` object, by what that block is: whoever stands between
    /// reader and writer may have taken it out or made another of it.
    pub(super) const DELTA: &str = "\ndelta";
    pub(super) const DELTA_OF_TEXT: &str = "\ndelta of text";
    pub(super) const DELTA_OF_THINKING: &str = "\ndelta of thinking";
    pub(super) const DELTA_OF_CALL: &str = "\ndelta of tool_use";
    pub(super) const STOP: &str = "\nstop";
    /// What the neutral form leaves of the block that starts next, by its type for the same reason.
    pub(super) const REST: &str = "\nrest of ";
    pub(super) const REST_OF_TEXT: &str = "\nrest of text";
    pub(super) const REST_OF_THINKING: &str = "\nrest of thinking";
    pub(super) const REST_OF_REDACTED: &str = "\nrest of redacted_thinking";
    pub(super) const REST_OF_CALL: &str = "\nrest of tool_use";
    /// The refusal that follows is the explanation in `stop_details`, and no content.
    pub(super) const EXPLANATION: &str = "\nstop_details";
}

/// Refuses what is not a request for a message, or says one of its fields in a type the contract does not know.
pub fn parse_request(body: &[u8]) -> Result<Request<'_>, DialectError> {
    request::parse(body).map(Request::Chat)
}

/// Refuses only what is not a chat at all; what cannot be said is dropped and named.
pub fn render_request(request: &Request<'_>) -> Result<Rendered, DialectError> {
    match request {
        Request::Chat(chat) => Ok(request::render(chat)),
        _ => Err(DIALECT.has_no_words()),
    }
}

/// Refuses a document without content.
pub fn parse_reply(body: &[u8]) -> Result<Reply<'_>, DialectError> {
    reply::parse(body).map(Reply::Chat)
}

/// Refuses a reply that ended in an error: this dialect has no stop reason for that, and none is made up. Of several
/// choices the first is told.
pub fn render_reply(reply: &Reply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
    match reply {
        Reply::Chat(chat) => reply::render(chat, envelope),
        _ => Err(DIALECT.has_no_words()),
    }
}

/// Whether a request has words for a block.
pub(crate) fn says(block: &Block<'_>) -> bool {
    write::says(block, write::Side::Model)
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
    error::parse(body)
}

pub fn render_error(error: &ErrorReply<'_>) -> Bytes {
    error::render(error)
}
