//! A request in the target's own words, and what its reply must be read with.

use bytes::Bytes;

use super::places::Places;
use crate::dialects::message::{Request, StreamOptions, Task, Text, Wanted};
use crate::dialects::{Dialect, DialectError, Place, openai_completions};
use crate::json::{self, splice};
use crate::passes::{Demands, OnLoss, Prepared, WayBack, prepare, refusal};
use crate::quirks;

/// A request in the target's dialect, and what its reply must be read with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Translated {
    pub body: Bytes,
    /// What the target's dialect cannot say, as names and places of the client's own dialect.
    pub dropped: Vec<String>,
    /// What was said otherwise than the client said it, likewise.
    pub changed: Vec<String>,
    /// What the reply must be read with.
    pub way_back: WayBack,
    /// The client wants a stream. Some dialects say so in the address and not in the body.
    pub stream: bool,
    /// The client wants to hear the usage at the end of its stream; an upstream is always asked for it.
    pub include_usage: bool,
    /// In which form the vectors are to be told, where some were asked for.
    pub wanted: Option<Wanted>,
}

/// What a request's address says in the place of its body, as Gemini's do.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Address<'a> {
    pub model: Option<&'a str>,
    pub stream: Option<bool>,
}

/// Reads a request of `source` and writes it as a target demands it.
pub fn request(
    body: &[u8],
    source: Dialect,
    demands: &Demands,
    address: Address<'_>,
) -> Result<Translated, DialectError> {
    let mut request = source.parse_request(body)?;
    let places = match &mut request {
        Request::Chat(chat) => Places::of(chat, source),
        Request::Embeddings(embeddings) => Places::of_inputs(embeddings, source),
        Request::Rerank(_) => Places::plain(source),
    };
    let mut told = said(request, source, demands, address).map_err(|error| places.error(error))?;
    (told.dropped, told.changed) = (places.names(told.dropped), places.names(told.changed));
    Ok(told)
}

/// The same of a request that was read, with names and places as passes and renderers say them.
fn said<'r>(
    mut request: Request<'r>,
    source: Dialect,
    demands: &Demands,
    address: Address<'r>,
) -> Result<Translated, DialectError> {
    let target = demands.dialect;
    let mut prepared = Prepared::default();
    match &mut request {
        Request::Chat(chat) => {
            chat.model = address.model.map_or_else(|| std::mem::take(&mut chat.model), Text::Borrowed);
            chat.stream = address.stream.or(chat.stream);
        }
        Request::Embeddings(embeddings) => {
            embeddings.model = address.model.map_or_else(|| std::mem::take(&mut embeddings.model), Text::Borrowed);
        }
        Request::Rerank(rerank) => {
            rerank.model = address.model.map_or_else(|| std::mem::take(&mut rerank.model), Text::Borrowed);
        }
    }
    let mut wanted = None;
    if let Request::Embeddings(embeddings) = &mut request {
        wanted = Some(Wanted::of(embeddings));
        // Cohere's models refuse a request that does not say; what is stored is mostly what most vectors are of.
        if target == Dialect::CohereEmbeddings && source != target && embeddings.task.is_none() {
            embeddings.task = Some(Task::Document);
            prepared.changed.push("input_type".to_owned());
        }
    }
    let (mut stream, mut include_usage) = (false, false);
    if let Request::Chat(chat) = &mut request {
        if source == Dialect::OpenAiCompletions && target != source {
            openai_completions::leave(chat, target)?;
        }
        (stream, include_usage) = (chat.streams(), chat.include_usage() || !asks_for_usage(source));
        prepared = prepare(chat, source, demands)?;
        if stream && asks_for_usage(target) {
            if demands.quirks.asks_for_usage() {
                chat.stream_options.get_or_insert_with(StreamOptions::default).include_usage = Some(true);
            } else {
                // What it is asked for comes without being asked for.
                chat.stream_options = None;
            }
        }
    }
    let rendered = target.render_request(&request)?;
    let Prepared { way_back, mut dropped, changed } = prepared;
    dropped.extend(rendered.dropped);
    let mut told = Translated { body: rendered.body, dropped, changed, way_back, stream, include_usage, wanted };
    if demands.edits() && matches!(request, Request::Chat(_)) {
        edit(&mut told, demands)?;
    }
    match told.dropped.first() {
        Some(first) if demands.on_loss == OnLoss::Reject => Err(refusal(first, "cannot be said to this model")),
        _ => Ok(told),
    }
}

/// The end of its streams tells the usage to those who asked, and to nobody else.
fn asks_for_usage(dialect: Dialect) -> bool {
    matches!(dialect, Dialect::OpenAiChat | Dialect::OpenAiCompletions)
}

/// Changes members of the top level of what was written, as the provider's quirks want it.
fn edit(told: &mut Translated, demands: &Demands) -> Result<(), DialectError> {
    let of_ours = || Place::Document.refuse("cannot be written for this provider");
    let limits = json::Limits { body_bytes: u32::MAX as usize, messages: u32::MAX, ..json::Limits::default() };
    let scan = json::scan(&told.body, json::Shape::Chat, &limits).map_err(|_| of_ours())?;
    let frames = [told.body.clone()];
    let edited = quirks::edits(&frames, &scan, &demands.quirks, demands.limit(), demands.on_loss)?;
    if !edited.edits.is_empty() {
        let pieces = splice(&frames, &edited.edits).map_err(|_| of_ours())?;
        told.body = pieces.concat().into();
    }
    told.dropped.extend(edited.dropped);
    told.changed.extend(edited.changed);
    Ok(())
}
