//! OpenAI Chat Completions, and what the servers that speak it have made of it.
//!
//! Requests are read strictly, because the client can mend them; replies and events are read around what is odd. What we
//! write is what the published schema asks for, whatever came in.

mod parts;
mod pictures;
mod reader;
mod reply;
mod request;
mod sounds;
mod sources;
mod thoughts;
mod tools;
mod turn;
mod writer;

use bytes::Bytes;

use super::chatlike::reply::Counted;
use super::chatlike::usage::Counts;
use super::message::{Block, Envelope, ErrorReply, Event, Events, Rendered, Reply, Request};
use super::{Dialect, DialectError, openai_error};
pub use reader::Reader;
pub(crate) use reader::{EXECUTED, LOGPROBS, SOURCES};
pub(crate) use sounds::FIELD as AUDIO;
pub use writer::Writer;

const DIALECT: Dialect = Dialect::OpenAiChat;
const USAGE: Counts = Counts::of_chat(DIALECT);

/// Refuses what is not a chat request, or says one of its fields in a type the contract does not know.
pub fn parse_request(body: &[u8]) -> Result<Request<'_>, DialectError> {
    request::parse(body).map(Request::Chat)
}

/// Refuses only what is not a chat at all; what chat cannot say is dropped and named.
pub fn render_request(request: &Request<'_>) -> Result<Rendered, DialectError> {
    match request {
        Request::Chat(chat) => Ok(request::render(chat)),
        _ => Err(DIALECT.has_no_words()),
    }
}

/// Refuses a document without choices.
pub fn parse_reply(body: &[u8]) -> Result<Reply<'_>, DialectError> {
    parse_counted(body).map(|(chat, _)| Reply::Chat(chat))
}

/// The same, and the usage as it stands.
pub(crate) fn parse_counted(body: &[u8]) -> Result<Counted<'_>, DialectError> {
    reply::parse(body)
}

/// Refuses a reply that ended in an error: this dialect has no finish reason for that, and none is made up.
pub fn render_reply(reply: &Reply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
    match reply {
        Reply::Chat(chat) => reply::render(chat, envelope),
        _ => Err(DIALECT.has_no_words()),
    }
}

/// Whether a request has words for a block.
pub(crate) fn says(block: &Block<'_>) -> bool {
    parts::is_part(block) || parts::stands_beside(block)
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
    openai_error::parse_error(DIALECT, body)
}

pub fn render_error(error: &ErrorReply<'_>) -> Bytes {
    openai_error::render_error(DIALECT, error)
}
