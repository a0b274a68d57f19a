//! Gemini's `generateContent` and `streamGenerateContent`, as AI Studio and Vertex AI speak it.
//!
//! The model stands in the address and not in the body, and whether to stream as well. Like all JSON of protobuf it has
//! more than one spelling, and three of them are not kept: documented names in `snake_case` are said in `camelCase`, one
//! object in the place of a list as a list of one, and the role that a candidate leaves out as `model`. The surprise: a
//! stream has no end of its own, and a finish reason may be followed by more, so choices finish at [`end`].

mod citations;
pub(super) mod error;
mod finish;
mod generation;
mod ids;
mod logprobs;
pub(super) mod names;
mod parts;
mod reader;
mod reply;
mod request;
mod results;
mod schema;
mod tools;
mod turn;
mod usage;
mod writer;

use bytes::Bytes;

use super::message::{Block, Envelope, ErrorReply, Event, Events, Rendered, Reply, Request};
use super::{Dialect, DialectError};
pub(crate) use ids::{is_minted as is_call_id, mint as call_id};
pub(crate) use parts::{has_own_proof, is_base64, is_draft, is_proof};
pub use reader::Reader;
pub(crate) use tools::room;
pub use writer::Writer;

const DIALECT: Dialect = Dialect::Gemini;

/// Leaves `model` empty. Refuses what is not a request for content, or says a field in a type the contract does not know.
pub fn parse_request(body: &[u8]) -> Result<Request<'_>, DialectError> {
    request::parse(body).map(Request::Chat)
}

/// Does not write the model. Refuses only what is not a chat at all; what Gemini cannot say is dropped and named.
pub fn render_request(request: &Request<'_>) -> Result<Rendered, DialectError> {
    match request {
        Request::Chat(chat) => Ok(request::render(chat)),
        _ => Err(DIALECT.has_no_words()),
    }
}

/// Refuses a document with neither candidates nor feedback nor usage. A blocked prompt is a choice that was filtered.
pub fn parse_reply(body: &[u8]) -> Result<Reply<'_>, DialectError> {
    reply::parse(body).map(Reply::Chat)
}

/// Refuses a reply that ended in another dialect's error: no finish reason is made up for it.
pub fn render_reply(reply: &Reply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
    match reply {
        Reply::Chat(chat) => reply::render(chat, envelope),
        _ => Err(DIALECT.has_no_words()),
    }
}

/// Whether a request has words for a block.
pub(crate) fn says(block: &Block<'_>) -> bool {
    parts::is_part(block)
}

pub fn reader() -> Option<Reader> {
    Some(Reader::default())
}

pub fn writer(envelope: &Envelope<'_>) -> Option<Writer> {
    Some(Writer::new(envelope))
}

/// Reads a chunk, or the list of chunks that comes where `alt=sse` was not asked for. Refuses what is not JSON and what
/// would grow the reader without end.
pub fn parse_event<'a>(reader: &mut Reader, _name: &str, data: &'a [u8]) -> Result<Events<'a>, DialectError> {
    reader.parse(data)
}

/// The finishes, which only the end of the body makes the last ones. Nothing, where a choice has none.
pub fn end(reader: &mut Reader) -> Events<'static> {
    reader.end()
}

pub fn render_event(writer: &mut Writer, event: &Event<'_>, out: &mut Vec<u8>) {
    writer.render(event, out);
}

pub fn parse_error(body: &[u8]) -> ErrorReply<'_> {
    error::parse(DIALECT, body)
}

pub fn render_error(error: &ErrorReply<'_>) -> Bytes {
    error::render(DIALECT, error)
}
