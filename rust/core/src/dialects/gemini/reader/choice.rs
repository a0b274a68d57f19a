//! What must be remembered of one candidate of a stream: which block is open, how much it called, how it ended.

use crate::dialects::raw::RawValue;

use super::super::citations::{self, Spoken};
use super::super::finish::{self, Said};
use super::super::{ids, logprobs, parts, reply};
use super::frame::Frame;
use super::streamed::{self, Piece, Streamed};
use super::{DIALECT, refuse};
use crate::dialects::message::{
    CallKind, Content, Event, Events, Extra, Finish, FinishReason, Json, Reasoning, Text, ToolCall,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::{DialectError, Place};

/// More candidates than any model gives, and more calls than any makes; beyond them a server would only make us remember.
const MOST_CHOICES: usize = 128;
const MOST_CALLS: u32 = 1024;
/// Bytes of text in which positions are looked up; what leans on more is told without them.
const MOST_TEXT: usize = 1 << 20;
/// The name of the event of a part that only this dialect knows.
const PART: &str = "part";
/// That of a proof over a text or a picture, which the frame holds: for others, so that they can name it.
const PROOF: &str = "proof";

#[derive(Debug, Default)]
pub(super) struct Choices(Vec<ChoiceState>);

#[derive(Debug, Default)]
pub(super) struct ChoiceState {
    index: u32,
    open: Open,
    calls: u32,
    said: bool,
    /// All its text, for positions are told in it, and where the block begins that came last.
    text: String,
    text_from: usize,
    too_long: bool,
    /// Calls whose arguments come in pieces: several beside each other where each has its id.
    streamed: Vec<Streamed>,
    ended: Option<Ended>,
}

#[derive(Debug)]
enum Ended {
    /// The last finish reason that was given.
    Finish(Finish<'static>),
    /// The prompt was blocked, for this reason, with this feedback.
    Blocked(String, Json<'static>),
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Text,
    Reasoning,
}

impl Choices {
    fn state(&mut self, index: u32) -> Result<&mut ChoiceState, DialectError> {
        let known = self.0.iter().position(|state| state.index == index);
        let position = known.unwrap_or(self.0.len());
        if known.is_none() && position < MOST_CHOICES {
            self.0.push(ChoiceState { index, ..ChoiceState::default() });
        }
        self.0.get_mut(position).ok_or_else(|| refuse("holds more candidates than a stream may have"))
    }

    /// Remembers that the prompt was blocked. False when something was said all the same, or this was known.
    pub(super) fn block(&mut self, reason: String, feedback: Json<'static>) -> Result<bool, DialectError> {
        let state = self.state(0)?;
        let first = state.ended.is_none() && !state.said;
        if first {
            state.ended = Some(Ended::Blocked(reason, feedback));
        }
        Ok(first)
    }

    /// Reads a candidate: its pieces become events, and the rest of it goes into the frame.
    pub(super) fn candidate<'a>(
        &mut self,
        raw: &'a RawValue,
        position: usize,
        stream_id: &str,
        frame: &mut Frame,
        events: &mut Events<'a>,
    ) -> Result<(), DialectError> {
        let Some(mut candidate) = Object::lenient(raw) else {
            frame.item(raw);
            return Ok(());
        };
        let members = Object::lenient(raw);
        let state = self.state(reply::take_index(&mut candidate, position)?)?;
        let finishes = candidate.peek("finishReason").is_some();
        let before = events.len();
        frame.open_item();
        for (name, raw) in members.into_iter().flat_map(Object::into_members) {
            match (name.as_ref(), Object::lenient(raw)) {
                ("content", Some(content)) => {
                    frame.open_object(&name);
                    state.content(content, finishes, stream_id, frame, events)?;
                    frame.close_object();
                }
                _ => frame.literal(&name, raw),
            }
        }
        frame.close_object();
        // They are of all that the chunk says, and stand with its last text.
        let last = events.iter_mut().skip(before).rev().find_map(|event| match event {
            Event::TextDelta { logprobs, .. } => Some(logprobs),
            _ => None,
        });
        if let Some(last) = last {
            *last = candidate.peek(logprobs::FIELD).and_then(logprobs::parse);
        }
        let choice = state.index;
        let spoken = Spoken { text: &state.text, from: state.text_from };
        // In a stream the parts of one chunk are not those that are counted.
        let cited = citations::of(&candidate, Some(spoken).filter(|_| !state.too_long), &[]);
        events.extend(cited.into_iter().map(|(_, citation)| Event::Citation { choice, citation }));
        let said = Said { anything: state.said, calls: state.calls > 0 };
        if let Some(finish) = finish::take(&mut candidate, said) {
            state.ended = Some(Ended::Finish(finish.into_owned()));
        }
        Ok(())
    }

    pub(super) fn all_finished(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|state| state.ended.is_some())
    }

    /// Ends what is open and says how each choice ended that has.
    pub(super) fn finish(&mut self, stream_id: &str, events: &mut Events<'_>) -> Vec<(u32, Finish<'static>)> {
        let mut finishes = Vec::new();
        for state in self.0.iter_mut().filter(|state| state.ended.is_some()) {
            // Some servers leave out the part that ends the arguments, and the last content as well.
            let streamed = std::mem::take(&mut state.streamed);
            let told = streamed.into_iter().try_for_each(|one| state.call(one.into_call(), stream_id, events));
            if told.is_err() {
                // Beyond the most calls that a stream may have: not all of it was told.
                finishes.push((state.index, Finish::new(FinishReason::Error, None)));
                continue;
            }
            let Some(ended) = state.ended.as_ref() else { continue };
            let finish = match ended {
                Ended::Blocked(reason, feedback) => {
                    let mut finish = Finish::new(FinishReason::ContentFilter, Some(reason.clone().into()));
                    let (name, value) = (Text::Borrowed("promptFeedback"), feedback.clone());
                    finish.extras.push(Extra { dialect: DIALECT, name, value });
                    finish
                }
                // A call may have come behind the reason.
                Ended::Finish(finish) if finish.reason == FinishReason::Stop && state.calls > 0 => {
                    Finish { reason: FinishReason::ToolCalls, ..finish.clone() }
                }
                Ended::Finish(finish) => finish.clone(),
            };
            state.switch(Open::Nothing, events);
            finishes.push((state.index, finish));
        }
        finishes
    }
}

impl ChoiceState {
    fn content<'a>(
        &mut self,
        content: Object<'a, '_>,
        finishes: bool,
        stream_id: &str,
        frame: &mut Frame,
        events: &mut Events<'a>,
    ) -> Result<(), DialectError> {
        for (name, raw) in content.into_members() {
            let Some(items) = object::list(raw).filter(|_| name == "parts") else {
                frame.literal(&name, raw);
                continue;
            };
            frame.open_list(&name);
            for raw in items {
                self.part(raw, stream_id, frame, events)?;
            }
            // Some servers leave out the part that ends the arguments.
            if finishes {
                self.end_streamed(stream_id, frame, events)?;
            }
            frame.close_list();
        }
        Ok(())
    }

    fn part<'a>(
        &mut self,
        raw: &'a RawValue,
        stream_id: &str,
        frame: &mut Frame,
        events: &mut Events<'a>,
    ) -> Result<(), DialectError> {
        if let Some(piece) = Piece::of(raw, !self.streamed.is_empty()) {
            if self.streamed.is_empty() && piece.says_nothing() {
                // The end of a call that has ended already.
                frame.item(raw);
                return Ok(());
            }
            return self.piece(raw, piece, stream_id, frame, events);
        }
        let block = parts::parse(raw, Place::Document, Mode::Lenient)?;
        if parts::has_own_proof(&block) {
            events.push(Event::Opaque { dialect: DIALECT, name: PROOF.into(), raw: Json::null() });
        }
        if !is_told(&block.content) {
            frame.item(raw);
            if matches!(block.content, Content::Opaque { .. }) {
                // So that others can name what they cannot be told.
                events.push(Event::Opaque { dialect: DIALECT, name: PART.into(), raw: Json::from(raw) });
            }
            // The frame holds it whole; the event is for others, whom drafts among the thoughts are nothing to.
            if block.content.media().is_some() && !parts::is_draft(&block) {
                self.end_streamed(stream_id, frame, events)?;
                self.switch(Open::Nothing, events);
                self.said = true;
                events.push(Event::Media { choice: self.index, content: block.content });
            }
            return Ok(());
        }
        self.end_streamed(stream_id, frame, events)?;
        frame.piece(&block.extras);
        self.tell(block.content, stream_id, events)
    }

    fn tell<'a>(&mut self, content: Content<'a>, stream_id: &str, events: &mut Events<'a>) -> Result<(), DialectError> {
        let choice = self.index;
        self.said = true;
        match content {
            Content::Text { text, .. } => {
                self.switch(Open::Text, events);
                self.too_long |= self.text.len() + text.len() > MOST_TEXT;
                if !self.too_long {
                    self.text.push_str(&text);
                }
                events.push(Event::TextDelta { choice, text, logprobs: None });
            }
            Content::Reasoning(Reasoning { text, signature, .. }) => {
                self.switch(Open::Reasoning, events);
                events.push(Event::ReasoningDelta { choice, text });
                events.extend(signature.map(|signature| Event::ReasoningSignature { choice, signature }));
            }
            Content::ToolCall(call) => self.call(call, stream_id, events)?,
            _ => {}
        }
        Ok(())
    }

    /// A call, which comes whole.
    fn call<'a>(&mut self, tool: ToolCall<'a>, stream_id: &str, events: &mut Events<'a>) -> Result<(), DialectError> {
        if self.calls == MOST_CALLS {
            return Err(refuse("holds more tool calls than a stream may have"));
        }
        self.switch(Open::Nothing, events);
        let (choice, call, kind) = (self.index, self.calls, CallKind::Function);
        self.calls += 1;
        let ToolCall { id, name, arguments, signature, .. } = tool;
        let id = if id.is_empty() { ids::mint(stream_id, choice, call).into() } else { id };
        events.push(Event::ToolCallStart { choice, call, kind, id, name, signature });
        if !arguments.is_empty() {
            events.push(Event::ToolCallDelta { choice, call, kind, arguments });
        }
        events.push(Event::ToolCallEnd { choice, call });
        Ok(())
    }

    /// A piece of a call's arguments: it says by its id of which, else it is of the last that began.
    fn piece(
        &mut self,
        raw: &RawValue,
        piece: Piece<'_>,
        stream_id: &str,
        frame: &mut Frame,
        events: &mut Events<'_>,
    ) -> Result<(), DialectError> {
        let at = if let Some(known) = streamed::goes_on(&self.streamed, &piece) {
            known
        } else {
            if !streamed::stands_beside(&self.streamed, &piece) {
                self.end_streamed(stream_id, frame, events)?;
            }
            self.streamed.push(Streamed::default());
            self.streamed.len() - 1
        };
        frame.item(raw);
        let held = self.streamed.iter().map(Streamed::bytes).sum();
        let Some(streamed) = self.streamed.get_mut(at) else {
            return Ok(());
        };
        if streamed.add(piece, held)? {
            let streamed = self.streamed.remove(at);
            self.end_one(streamed, stream_id, frame, events)?;
        }
        Ok(())
    }

    /// Tells the calls whose arguments came in pieces.
    fn end_streamed(
        &mut self,
        stream_id: &str,
        frame: &mut Frame,
        events: &mut Events<'_>,
    ) -> Result<(), DialectError> {
        for streamed in std::mem::take(&mut self.streamed) {
            self.end_one(streamed, stream_id, frame, events)?;
        }
        Ok(())
    }

    fn end_one(
        &mut self,
        streamed: Streamed,
        stream_id: &str,
        frame: &mut Frame,
        events: &mut Events<'_>,
    ) -> Result<(), DialectError> {
        frame.said_before();
        self.said = true;
        self.call(streamed.into_call(), stream_id, events)
    }

    fn switch(&mut self, open: Open, events: &mut Events<'_>) {
        if self.open == open {
            return;
        }
        let choice = self.index;
        match self.open {
            Open::Nothing => {}
            Open::Text => events.push(Event::TextEnd { choice }),
            Open::Reasoning => events.push(Event::ReasoningEnd { choice }),
        }
        match open {
            Open::Nothing => {}
            Open::Text => {
                self.text_from = self.text.len();
                events.push(Event::TextStart { choice });
            }
            Open::Reasoning => events.push(Event::ReasoningStart { choice }),
        }
        self.open = open;
    }
}

/// Whether events say what a part says. Media have none, and empty text is only where a signature hangs.
fn is_told(content: &Content<'_>) -> bool {
    match content {
        Content::Text { text, .. } => !text.is_empty(),
        Content::Reasoning(reasoning) => !reasoning.text.is_empty() || reasoning.signature.is_some(),
        Content::ToolCall(_) => true,
        _ => false,
    }
}
