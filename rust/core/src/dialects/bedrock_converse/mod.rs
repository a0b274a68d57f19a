//! Amazon Bedrock's Converse and `ConverseStream`.
//!
//! The model stands in the address and not in the body, and whether to stream as well; a reply names neither itself nor
//! its model. Three surprises: what marks the end of a cached prompt is a block of its own, behind the one it marks; texts
//! and reasoning begin in a stream without an event for it; and the counts come behind the end. What only pads an event,
//! so that its length tells nothing, is not kept.

mod blocks;
mod cache;
mod citations;
mod dropped;
mod error;
mod finish;
mod media;
mod reader;
mod reply;
mod request;
#[cfg(test)]
mod tests;
mod tools;
mod usage;
mod wish;
mod write;
mod writer;

use bytes::Bytes;

use super::message::{Block, Envelope, ErrorReply, Event, Events, MediaSource, Rendered, Reply, Request};
use super::{Dialect, DialectError};
pub use reader::Reader;
pub use writer::Writer;

pub(crate) use tools::DECLARED;

const DIALECT: Dialect = Dialect::BedrockConverse;

/// Events of ours that have no neutral form travel as `Event::Opaque` under these names; under any other name they are
/// whole messages. What a message says of its position stays behind: the writer counts blocks itself. The name of a message
/// that nobody knows gets a line break behind it, which goes no further, so that it is never one of these.
mod opaque {
    /// A block that only this dialect knows, as its `start` object.
    pub(super) const START: &str = "contentBlockStart";
    /// A piece of the block that is open, as its `delta` object.
    pub(super) const DELTA: &str = "contentBlockDelta";
    /// The same of the call that began last.
    pub(super) const DELTA_OF_CALL: &str = "contentBlockDelta of toolUse";
    /// The end of a block that the neutral form does not end.
    pub(super) const STOP: &str = "contentBlockStop";
    /// What the neutral form leaves of the call that starts next.
    pub(super) const CALL: &str = "toolUse";
    /// What the neutral form leaves of the next message.
    pub(super) const REST: &str = "rest";
    /// What the last message says beside the counts.
    pub(super) const METADATA: &str = "metadata";
    /// The next arguments were made up, because the call has none.
    pub(super) const NO_INPUT: &str = "noInput";
}

/// Leaves `model` empty. Refuses what is not a request to converse, or says a field in a type the contract does not know.
pub fn parse_request(body: &[u8]) -> Result<Request<'_>, DialectError> {
    request::parse(body).map(Request::Chat)
}

/// Does not write the model. Refuses images, sounds and documents that are not there as bytes, because an answer without
/// them would be one to another question; what else cannot be said is dropped and named.
pub fn render_request(request: &Request<'_>) -> Result<Rendered, DialectError> {
    match request {
        Request::Chat(chat) => request::render(chat),
        _ => Err(DIALECT.has_no_words()),
    }
}

/// Refuses a document without a message.
pub fn parse_reply(body: &[u8]) -> Result<Reply<'_>, DialectError> {
    reply::parse(body).map(Reply::Chat)
}

/// Refuses a reply that ended in another dialect's error: no stop reason is made up for it. Of several choices the first
/// is told.
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

/// Whether a reply has words for a picture, which must be in one of four formats.
pub(crate) fn shows(source: &MediaSource<'_>) -> bool {
    media::Kind::Image.says(source) == media::Said::Whole
}

pub fn reader() -> Option<Reader> {
    Some(Reader::default())
}

pub fn writer(envelope: &Envelope<'_>) -> Option<Writer> {
    Some(Writer::new(envelope))
}

/// Reads an event under the name that its message has in a header; one without a name is the object that the API's
/// description has for it, with the name as its only member. Refuses what is not JSON and what would grow the reader
/// without end.
pub fn parse_event<'a>(reader: &mut Reader, name: &str, data: &'a [u8]) -> Result<Events<'a>, DialectError> {
    reader.parse(name, data)
}

/// Writes AWS's binary messages, checksums included.
pub fn render_event(writer: &mut Writer, event: &Event<'_>, out: &mut Vec<u8>) {
    writer.render(event, out);
}

pub fn parse_error(body: &[u8]) -> ErrorReply<'_> {
    error::parse(body)
}

pub fn render_error(error: &ErrorReply<'_>) -> Bytes {
    error::render(error)
}
