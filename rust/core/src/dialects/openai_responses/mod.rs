//! OpenAI's Responses API: a flat list of items in, a flat list of items out.
//!
//! A reply is one choice. The surprise: what the neutral form holds as blocks of one turn are items of their own here, with
//! ids and states; those are kept as marks on the first block of each (`items.rs`), so that the list comes out as it was.

mod input;
mod items;
mod parts;
mod reader;
mod reply;
mod request;
#[cfg(test)]
mod tests;
mod tools;
mod writer;

use bytes::Bytes;

use super::chatlike::usage::Counts;
use super::message::{
    Block, ChatRequest, Content, Envelope, ErrorReply, Event, Events, Json, Rendered, Reply, Request, Role, Turn,
};
use super::object::Object;
use super::{Dialect, DialectError, openai_error};
pub(crate) use items::MADE;
pub use reader::Reader;
pub(crate) use reader::{PART_ADDED, UNTOLD};
pub(crate) use request::LEAST_OUTPUT_TOKENS;
pub use writer::Writer;

const DIALECT: Dialect = Dialect::OpenAiResponses;
const USAGE: Counts = Counts::of_responses(DIALECT);

/// Refuses what is no request for a response, or says one of its fields in a type the contract does not know.
pub fn parse_request(body: &[u8]) -> Result<Request<'_>, DialectError> {
    request::parse(body).map(Request::Chat)
}

/// Refuses only what is not a chat at all; what this dialect cannot say is dropped and named.
pub fn render_request(request: &Request<'_>) -> Result<Rendered, DialectError> {
    match request {
        Request::Chat(chat) => Ok(request::render(chat)),
        _ => Err(DIALECT.has_no_words()),
    }
}

/// Refuses a document without a list of items.
pub fn parse_reply(body: &[u8]) -> Result<Reply<'_>, DialectError> {
    reply::parse(body).map(Reply::Chat)
}

/// Says the first choice; there are no others here.
pub fn render_reply(reply: &Reply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
    match reply {
        Reply::Chat(chat) => Ok(reply::render(chat, envelope)),
        _ => Err(DIALECT.has_no_words()),
    }
}

/// Whether a request has words for a block in a turn of this role.
pub(crate) fn says(block: &Block<'_>, role: Role) -> bool {
    match &block.content {
        Content::ToolResult(_) => true,
        _ if role == Role::Assistant => items::is_said(block),
        _ => input::is_part(block),
    }
}

/// Whether the input is one text and no list.
pub(crate) fn is_one_text(request: &ChatRequest<'_>) -> bool {
    request.extras.marked(DIALECT, "input").is_some_and(|spelled| spelled.as_str() == "\"text\"")
}

/// Whether a turn stands beside the input, as `instructions`.
pub(crate) fn stands_beside(turn: &Turn<'_>) -> bool {
    turn.extras.marked(DIALECT, input::INSTRUCTIONS).is_some()
}

/// Whether a block that the model made begins an item of the input.
pub(crate) fn begins_item(block: &Block<'_>) -> bool {
    let is_part = block.extras.marked(DIALECT, parts::PART).is_some();
    block.extras.marked(DIALECT, items::ITEM).is_some() || (matches!(block.content, Content::Opaque { .. }) && !is_part)
}

/// Whether a block is the whole content of a message of the model's, as a text and no list.
pub(crate) fn is_whole_content(block: &Block<'_>) -> bool {
    let head = block.extras.marked(DIALECT, items::ITEM).and_then(Json::as_raw);
    head.and_then(Object::lenient).is_some_and(|head| head.has("content"))
}

/// Whether a block that the model made is a part of a message, and no item by itself.
pub(crate) fn is_part_of_message(block: &Block<'_>) -> bool {
    let is_part = block.extras.marked(DIALECT, parts::PART).is_some();
    matches!(block.content, Content::Text { .. }) || is_part
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
