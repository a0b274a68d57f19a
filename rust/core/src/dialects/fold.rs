//! Puts the events of a stream together again: the whole reply, for clients that did not ask for a stream.
//!
//! Its rule: what it holds is bounded in bytes, and a stream that failed or stopped in the middle gives no reply.

use std::collections::BTreeMap;

use super::message::{
    Block, ChatReply, Choice, Citation, Content, ErrorReply, Event, Extras, Json, MediaSource, Reasoning, Role,
    Spelling, Text, ToolCall, Turn,
};
use super::object::{self, Object};
use super::output::{self, Buffer};

/// Why a stream gave no reply.
#[derive(Debug, Clone, PartialEq)]
pub enum FoldError {
    /// It held more bytes than allowed.
    TooLarge { limit: usize },
    /// The upstream said so.
    Failed(Box<ErrorReply<'static>>),
    /// It ended before every choice had finished.
    Unfinished,
}

#[derive(Debug)]
pub struct Fold {
    reply: ChatReply<'static>,
    choices: BTreeMap<u32, Choice<'static>>,
    logprobs: BTreeMap<u32, Vec<Json<'static>>>,
    /// Choice and number of each call, and the block it is in.
    calls: BTreeMap<(u32, u32), usize>,
    failure: Option<ErrorReply<'static>>,
    bytes: usize,
    limit: usize,
}

impl Fold {
    /// `limit` bounds the bytes of text, arguments and log probabilities held.
    pub fn new(limit: usize) -> Self {
        Self {
            reply: ChatReply::default(),
            choices: BTreeMap::new(),
            logprobs: BTreeMap::new(),
            calls: BTreeMap::new(),
            failure: None,
            bytes: 0,
            limit,
        }
    }

    /// Takes the next event in. Refuses what would go over the limit.
    pub fn add(&mut self, event: &Event<'_>) -> Result<(), FoldError> {
        self.bytes += weight(event);
        if self.bytes > self.limit {
            return Err(FoldError::TooLarge { limit: self.limit });
        }
        match event {
            Event::MessageStart { id, model, created_s, extras } => {
                self.reply.id = own(id);
                self.reply.model = own(model);
                self.reply.created_s = *created_s;
                self.reply.extras = extras.clone().into_owned();
            }
            Event::TextStart { choice } => self.push(*choice, Block::text("")),
            Event::TextDelta { choice, text, logprobs } => {
                if let Some(Content::Text { text: all, .. }) = self.last(*choice) {
                    all.to_mut().push_str(text);
                }
                if let Some(logprobs) = logprobs {
                    self.add_logprobs(*choice, logprobs);
                }
            }
            Event::ReasoningStart { choice } => self.push_reasoning(*choice, Reasoning::default()),
            Event::ReasoningDelta { choice, text } => {
                if let Some(Content::Reasoning(reasoning)) = self.last(*choice) {
                    reasoning.text.to_mut().push_str(text);
                }
            }
            Event::ReasoningSignature { choice, signature } => {
                if let Some(Content::Reasoning(reasoning)) = self.last(*choice) {
                    reasoning.signature = Some(own(signature));
                }
            }
            Event::ReasoningRedacted { choice, data } => {
                let redacted = Some(own(data));
                let reasoning = Reasoning { redacted, ..Reasoning::default() };
                self.push_reasoning(*choice, reasoning);
            }
            Event::Media { choice, content } => {
                if let Some(content) = content.owned_media() {
                    self.push(*choice, Block::new(content));
                }
            }
            Event::RefusalDelta { choice, text } => self.refuse(*choice, text),
            Event::ToolCallStart { choice, call, kind, id, name, signature } => {
                let content = Content::ToolCall(ToolCall {
                    kind: *kind,
                    id: own(id),
                    name: own(name),
                    arguments: Text::default(),
                    signature: signature.as_ref().map(own),
                });
                let position = self.choice(*choice).turn.blocks.len();
                self.calls.insert((*choice, *call), position);
                self.push(*choice, Block::new(content));
            }
            Event::ToolCallDelta { choice, call, arguments, .. } => self.fill_call(*choice, *call, arguments),
            Event::Citation { choice, citation } => self.cite(*choice, citation),
            Event::Finish { choice, finish } => {
                self.choice(*choice).finish = Some(finish.clone().into_owned());
            }
            Event::Usage(usage) => {
                let mut usage = usage.clone().into_owned();
                // The last count is the truth; what it does not say again still holds.
                if let Some(earlier) = &self.reply.usage {
                    usage.extras.inherit(&earlier.extras);
                }
                self.reply.usage = Some(usage);
            }
            Event::Error(error) => self.failure = Some(error.clone().into_owned()),
            Event::TextEnd { .. }
            | Event::ReasoningEnd { .. }
            | Event::ToolCallEnd { .. }
            | Event::Opaque { .. }
            | Event::Done => {}
        }
        Ok(())
    }

    /// The reply, choices in order. Refuses a stream that failed or that did not finish each of its choices.
    pub fn finish(mut self) -> Result<ChatReply<'static>, FoldError> {
        if let Some(failure) = self.failure {
            return Err(FoldError::Failed(Box::new(failure)));
        }
        let finished = |choice: &Choice<'_>| choice.finish.is_some();
        if self.choices.is_empty() || !self.choices.values().all(finished) {
            return Err(FoldError::Unfinished);
        }
        for (index, pieces) in &self.logprobs {
            if let Some(choice) = self.choices.get_mut(index) {
                choice.logprobs = join_logprobs(pieces);
            }
        }
        self.reply.choices = self.choices.into_values().collect();
        Ok(self.reply)
    }

    fn choice(&mut self, index: u32) -> &mut Choice<'static> {
        self.choices.entry(index).or_insert_with(|| Choice {
            index,
            turn: Turn::new(Role::Assistant, Vec::new()),
            finish: None,
            logprobs: None,
            extras: Extras::default(),
        })
    }

    fn push(&mut self, choice: u32, block: Block<'static>) {
        self.choice(choice).turn.blocks.push(block);
    }

    fn push_reasoning(&mut self, choice: u32, reasoning: Reasoning<'static>) {
        self.push(choice, Block::new(Content::Reasoning(reasoning)));
    }

    fn last(&mut self, choice: u32) -> Option<&mut Content<'static>> {
        let block = self.choice(choice).turn.blocks.last_mut()?;
        Some(&mut block.content)
    }

    fn refuse(&mut self, choice: u32, piece: &str) {
        if let Some(Content::Refusal { text, .. }) = self.last(choice) {
            return text.to_mut().push_str(piece);
        }
        let content = Content::Refusal { text: piece.to_owned().into(), spelling: Spelling::Plain };
        self.push(choice, Block::new(content));
    }

    fn fill_call(&mut self, choice: u32, call: u32, piece: &str) {
        let Some(position) = self.calls.get(&(choice, call)).copied() else {
            return;
        };
        let block = self.choice(choice).turn.blocks.get_mut(position);
        if let Some(Content::ToolCall(call)) = block.map(|block| &mut block.content) {
            call.arguments.to_mut().push_str(piece);
        }
    }

    fn cite(&mut self, choice: u32, citation: &Citation<'_>) {
        let blocks = &mut self.choice(choice).turn.blocks;
        let cited = blocks.iter_mut().rev().find_map(|block| match &mut block.content {
            Content::Text { citations, .. } => Some(citations),
            _ => None,
        });
        if let Some(citations) = cited {
            citations.push(citation.clone().into_owned());
        }
    }

    fn add_logprobs(&mut self, choice: u32, piece: &Json<'_>) {
        let pieces = self.logprobs.entry(choice).or_default();
        pieces.push(piece.clone().into_owned());
    }
}

/// What an event adds to the memory held: its text, and the room of the block it opens.
fn weight(event: &Event<'_>) -> usize {
    const BLOCK: usize = size_of::<Block<'_>>();
    match event {
        Event::TextDelta { text, logprobs, .. } => text.len() + logprobs.as_ref().map_or(0, |json| json.as_str().len()),
        Event::ReasoningDelta { text, .. } | Event::RefusalDelta { text, .. } => text.len(),
        Event::ReasoningSignature { signature, .. } => signature.len(),
        Event::Media { content, .. } => BLOCK + content.media().map_or(0, MediaSource::len),
        Event::ReasoningRedacted { data, .. } => BLOCK + data.len(),
        Event::ToolCallStart { id, name, signature, .. } => {
            BLOCK + id.len() + name.len() + signature.as_ref().map_or(0, |signature| signature.len())
        }
        Event::ToolCallDelta { arguments, .. } => arguments.len(),
        Event::TextStart { .. } | Event::ReasoningStart { .. } | Event::Citation { .. } | Event::Finish { .. } => BLOCK,
        _ => 0,
    }
}

fn own(text: &Text<'_>) -> Text<'static> {
    Text::Owned(text.as_ref().to_owned())
}

/// Joins the log probabilities of the pieces of a stream: lists are appended, all else is as first said.
fn join_logprobs(pieces: &[Json<'_>]) -> Option<Json<'static>> {
    let mut content: Option<Vec<String>> = None;
    let mut refusal: Option<Vec<String>> = None;
    for piece in pieces {
        let raw = piece.as_raw()?;
        let mut piece = Object::lenient(raw)?;
        for (name, all) in [("content", &mut content), ("refusal", &mut refusal)] {
            if let Some(items) = piece.take_if(name, object::list) {
                let items = items.into_iter().map(|item| item.get().to_owned());
                all.get_or_insert_default().extend(items);
            }
        }
    }
    if pieces.is_empty() {
        return None;
    }
    let mut out = Buffer::new();
    output::object(&mut out, |members| {
        for (name, all) in [("content", content), ("refusal", refusal)] {
            match all {
                Some(items) => members.list(name, items, |out, item| output::raw(out, &item)),
                None => members.null(name),
            }
        }
    });
    Some(Json::written(out))
}
