//! OpenAI's first form, `/completions`: a prompt in, the text that follows it out.
//!
//! A prompt is one turn of the user, and a completion one of the assistant. The surprise: what is no such turn (tokens,
//! several prompts at once, text behind the gap) is kept for servers of this dialect and refused for all others, because
//! an answer to less than the whole input would look like an answer.

pub(crate) mod logprobs;
mod reply;
mod request;
#[cfg(test)]
mod tests;
mod writer;

use bytes::Bytes;

use super::chatlike::usage::Counts;
use super::message::{ChatRequest, Envelope, ErrorReply, Event, Events, Rendered, Reply, Request};
use super::{Dialect, DialectError, openai_chat, openai_error};
pub use openai_chat::Reader;
pub use writer::Writer;

const DIALECT: Dialect = Dialect::OpenAiCompletions;
const USAGE: Counts = Counts::of_chat(DIALECT);

/// Refuses what is not a request for a completion, or says one of its fields in a type the contract does not know.
pub fn parse_request(body: &[u8]) -> Result<Request<'_>, DialectError> {
    request::parse(body).map(Request::Chat)
}

/// Refuses a conversation of more than one turn of the user, and what is not text in it.
pub fn render_request(request: &Request<'_>) -> Result<Rendered, DialectError> {
    match request {
        Request::Chat(chat) => request::render(chat),
        _ => Err(DIALECT.has_no_words()),
    }
}

/// Refuses what a prompt of ours says that `target` could only leave out.
pub(crate) fn leave(request: &ChatRequest<'_>, target: Dialect) -> Result<(), DialectError> {
    request::leave(request, target)
}

/// Refuses a document without choices.
pub fn parse_reply(body: &[u8]) -> Result<Reply<'_>, DialectError> {
    reply::parse(body).map(Reply::Chat)
}

/// Refuses a reply that calls tools, and one that ended in an error: there are no words for either.
pub fn render_reply(reply: &Reply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
    match reply {
        Reply::Chat(chat) => reply::render(chat, envelope),
        _ => Err(DIALECT.has_no_words()),
    }
}

pub fn reader() -> Option<Reader> {
    Some(Reader::of(DIALECT, USAGE))
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
