//! What must be remembered of one choice of a stream: which block is open, which calls were made, whether it is over.

use super::calls::{Calls, Piece};
use super::heard::Heard;
use super::refuse;
use crate::cursor::is_something;
use crate::dialects::message::{Citation, Event, Events, Finish, FinishReason, Json, Text};
use crate::dialects::object::{self, Object};
use crate::dialects::openai_chat::thoughts::BLOCKS;
use crate::dialects::openai_chat::{pictures, sounds, turn::link};
use crate::dialects::{Dialect, DialectError};

/// The name of an event that holds the log probabilities of thoughts, of the first choice.
pub(crate) const LOGPROBS: &str = "logprobs";
/// What a piece of reasoning says, in details and in thinking blocks.
const WORDS: [&str; 3] = ["text", "summary", "thinking"];
/// The name of an event that says that sources came where they cannot be told.
pub(crate) const SOURCES: &str = "citations";
/// What a server did with its own tools (Groq), and the name of an event that says so.
pub(crate) const EXECUTED: &str = "executed_tools";
/// More choices than any model gives; beyond them a server would only make us remember.
const MOST_CHOICES: usize = 128;

#[derive(Debug, Default)]
pub(super) struct Choices(Vec<ChoiceState>);

#[derive(Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is something that has happened or not")]
pub(super) struct ChoiceState {
    index: u32,
    open: Open,
    calls: Calls,
    /// Characters of text, in all and before the block that is open.
    text: u64,
    before: u64,
    /// The reasoning that is open.
    thought: Heard,
    /// The answer has said itself what it leans on.
    cited: bool,
    /// What it leans on was known when it finished.
    leaned: bool,
    begun: bool,
    finished: bool,
    /// `finish_reason: ""`, which some servers send with every chunk and some only at the end.
    empty_finish: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Open {
    #[default]
    Nothing,
    Text,
    Reasoning,
}

impl Choices {
    pub(super) fn lowest(&self) -> Option<u32> {
        self.0.iter().map(|state| state.index).min()
    }

    /// Its sources are told where they came before.
    pub(super) fn first_has_finished(&self) -> bool {
        let first = self.0.iter().min_by_key(|state| state.index);
        first.is_some_and(|state| state.finished && !state.leaned)
    }

    pub(super) fn state(&mut self, index: u64) -> Result<&mut ChoiceState, DialectError> {
        let crowd = || refuse("holds more choices than a stream may have");
        let index = u32::try_from(index).map_err(|_| crowd())?;
        let known = self.0.iter().position(|state| state.index == index);
        let position = known.unwrap_or(self.0.len());
        if known.is_none() && position < MOST_CHOICES {
            self.0.push(ChoiceState { index, ..ChoiceState::default() });
        }
        self.0.get_mut(position).ok_or_else(crowd)
    }

    /// At the end of a stream, an empty reason turns out to have been the only one. So does none at all, of an answer that
    /// was `counted`: whoever has counted it has ended it.
    pub(super) fn flush(&mut self, counted: bool, stream_id: &str, events: &mut Events<'_>) {
        for state in &mut self.0 {
            if (state.empty_finish || (counted && state.has_said())) && !state.finished {
                let reason = if state.calls.is_empty() { FinishReason::Stop } else { FinishReason::ToolCalls };
                state.finish(Finish::new(reason, None), stream_id, events);
            }
        }
    }
}

impl ChoiceState {
    pub(super) fn finished(&self) -> bool {
        self.finished
    }

    /// Anything of it has been told.
    pub(super) fn has_begun(&self) -> bool {
        self.begun
    }

    fn has_said(&self) -> bool {
        self.text > 0 || self.called()
    }

    /// Google's models behind OpenRouter finish with every call they make: another call takes the finish back.
    pub(super) fn goes_on(&mut self, choice: &Object<'_, '_>) -> bool {
        let delta = choice.peek("delta").and_then(Object::lenient);
        let again = delta.is_some_and(|delta| self.calls.is_new(&delta));
        self.finished &= !again;
        again
    }

    pub(super) fn called(&self) -> bool {
        !self.calls.is_empty()
    }

    pub(super) fn note_empty_finish(&mut self) {
        self.empty_finish = true;
    }

    pub(super) fn delta<'a>(
        &mut self,
        mut delta: Object<'a, '_>,
        logprobs: Option<Json<'a>>,
        stream_id: &str,
        events: &mut Events<'a>,
    ) -> Result<(), DialectError> {
        self.look_at_tools(&delta, events);
        let before = events.len();
        self.reasoning(&mut delta, events);
        self.refusal(&mut delta, events);
        self.content(&mut delta, logprobs, events);
        let (spoken, sounds) = sounds::piece(&mut delta);
        self.text(spoken, None, events);
        if sounds {
            let name = sounds::FIELD.into();
            events.push(Event::Opaque { dialect: Dialect::OpenAiChat, name, raw: Json::null() });
        }
        let annotations = delta.take_if("annotations", object::list);
        for mut citation in annotations.into_iter().flatten().filter_map(link) {
            // They count from the start of the content, and citations from that of their block.
            for at in [&mut citation.start_index, &mut citation.end_index].into_iter().flatten() {
                *at = at.saturating_sub(self.before);
            }
            self.cited = true;
            events.push(Event::Citation { choice: self.index, citation });
        }
        let images = delta.take_if(pictures::FIELD, object::list);
        for picture in images.into_iter().flatten().filter_map(pictures::picture) {
            self.switch(Open::Nothing, events);
            events.push(Event::Media { choice: self.index, content: picture.content });
        }
        if events.len() > before {
            events.insert_many(before, self.calls.start_named(self.index, stream_id));
        }
        let entries = delta.take_if("tool_calls", object::list).unwrap_or_default();
        let pieces = entries.into_iter().filter_map(Piece::from_entry);
        let legacy = delta.peek("function_call").map(Piece::from_function_call);
        for piece in pieces.chain(legacy) {
            self.switch(Open::Nothing, events);
            self.calls.add(piece, self.index, stream_id, events)?;
        }
        self.begun |= events.len() > before;
        Ok(())
    }

    /// What the whole answer leans on, if it has not said so itself. It must have a text to stand with.
    pub(super) fn lean_on(&mut self, sources: Vec<Citation<'static>>, events: &mut Events<'_>) {
        self.leaned = self.cited || !sources.is_empty();
        if self.cited {
            return;
        }
        if self.open == Open::Text {
            events.extend(sources.into_iter().map(|citation| Event::Citation { choice: self.index, citation }));
        } else if !sources.is_empty() {
            events.push(untold(SOURCES));
        }
    }

    /// What is said of a choice that has finished is not told, but named: links, and what its server did.
    pub(super) fn look_behind(&mut self, choice: &Object<'_, '_>, events: &mut Events<'_>) {
        let Some(delta) = choice.peek("delta").and_then(Object::lenient) else { return };
        if !self.leaned && !self.cited && says(&delta, "annotations") {
            self.leaned = true;
            events.push(untold(SOURCES));
        }
        self.look_at_tools(&delta, events);
    }

    fn look_at_tools(&self, delta: &Object<'_, '_>, events: &mut Events<'_>) {
        if self.index == 0 && says(delta, EXECUTED) {
            events.push(untold(EXECUTED));
        }
    }

    pub(super) fn finish<'a>(&mut self, finish: Finish<'a>, stream_id: &str, events: &mut Events<'a>) {
        self.switch(Open::Nothing, events);
        self.finished = true;
        let choice = self.index;
        self.calls.finish(choice, stream_id, events);
        events.push(Event::Finish { choice, finish });
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
                self.before = self.text;
                events.push(Event::TextStart { choice });
            }
            Open::Reasoning => {
                self.thought = Heard::default();
                events.push(Event::ReasoningStart { choice });
            }
        }
        self.open = open;
    }

    /// The richest of the fields that say the same: the details where they have words, else the first flat one.
    fn reasoning<'a>(&mut self, delta: &mut Object<'a, '_>, events: &mut Events<'a>) {
        let mut list = |name| delta.take_if(name, |raw| object::list(raw).filter(|items| !items.is_empty()));
        let details = list("reasoning_details").or_else(|| list(BLOCKS)).unwrap_or_default();
        let details: Vec<_> = details.into_iter().filter_map(Object::lenient).collect();
        let has_words = |item: &Object<'a, '_>| {
            let words = WORDS.into_iter().filter_map(|name| object::text(item.peek(name)?));
            words.filter(|text| !text.is_empty()).count() > 0
        };
        let worded = details.iter().any(has_words);
        if !worded {
            let said = |name| delta.take_if(name, |raw| object::text(raw).filter(|text| !text.is_empty()));
            let flat = ["reasoning_content", "reasoning"].into_iter().find_map(said);
            self.reasoning_text(flat.unwrap_or_default(), events);
        }
        for item in details {
            self.reasoning_detail(item, events);
        }
    }

    fn reasoning_detail<'a>(&mut self, mut item: Object<'a, '_>, events: &mut Events<'a>) {
        let choice = self.index;
        // A proof may come with the whole text that it is of, which was told before in pieces.
        let proves = item.peek("signature").is_some() && self.open == Open::Reasoning;
        for name in WORDS {
            let text = item.take_if(name, object::text).unwrap_or_default();
            if !(proves && self.thought.is(&text)) {
                self.reasoning_text(text, events);
            }
        }
        // An empty one is what stands in front of the one that comes.
        let filled = |raw| object::text(raw).filter(|text| !text.is_empty());
        if let Some(signature) = item.take_if("signature", filled) {
            self.switch(Open::Reasoning, events);
            events.push(Event::ReasoningSignature { choice, signature });
            // One proof is of one block: what comes behind it is another.
            self.switch(Open::Nothing, events);
        }
        if let Some(data) = item.take_if("data", filled) {
            self.switch(Open::Nothing, events);
            events.push(Event::ReasoningRedacted { choice, data });
        }
    }

    fn reasoning_text<'a>(&mut self, text: Text<'a>, events: &mut Events<'a>) {
        if text.is_empty() {
            return;
        }
        self.switch(Open::Reasoning, events);
        self.thought.add(&text);
        events.push(Event::ReasoningDelta { choice: self.index, text });
    }

    fn refusal<'a>(&mut self, delta: &mut Object<'a, '_>, events: &mut Events<'a>) {
        let text = delta.take_if("refusal", object::text).unwrap_or_default();
        if text.is_empty() {
            return;
        }
        self.switch(Open::Nothing, events);
        events.push(Event::RefusalDelta { choice: self.index, text });
    }

    fn content<'a>(&mut self, delta: &mut Object<'a, '_>, logprobs: Option<Json<'a>>, events: &mut Events<'a>) {
        let Some(parts) = delta.take_if("content", object::list) else {
            let text = delta.take_if("content", object::text).unwrap_or_default();
            self.text(text, logprobs, events);
            return;
        };
        // Mistral's models send parts where they think.
        for mut part in parts.into_iter().filter_map(Object::lenient) {
            let text = part.take_if("text", object::text).unwrap_or_default();
            self.text(text, None, events);
            let thoughts = part.take_if("thinking", object::list).unwrap_or_default();
            for mut thought in thoughts.into_iter().filter_map(Object::lenient) {
                let text = thought.take_if("text", object::text).unwrap_or_default();
                self.reasoning_text(text, events);
            }
        }
    }

    pub(super) fn text<'a>(&mut self, text: Text<'a>, logprobs: Option<Json<'a>>, events: &mut Events<'a>) {
        if text.is_empty() {
            let of_answer = logprobs.as_ref().and_then(is_of_answer);
            match (of_answer, logprobs) {
                (Some(true), logprobs) => self.piece(text, logprobs, events),
                // DeepSeek has them for thoughts, too. They are no text, and must not part the thought that they are of.
                (Some(false), Some(raw)) if self.index == 0 => {
                    events.push(Event::Opaque { dialect: Dialect::OpenAiChat, name: LOGPROBS.into(), raw });
                }
                _ => {}
            }
            return;
        }
        self.piece(text, logprobs, events);
    }

    fn piece<'a>(&mut self, text: Text<'a>, logprobs: Option<Json<'a>>, events: &mut Events<'a>) {
        self.switch(Open::Text, events);
        self.text += text.chars().count() as u64;
        events.push(Event::TextDelta { choice: self.index, text, logprobs });
    }
}

/// Something that other dialects have no words for, so that it can be named.
pub(super) fn untold<'a>(name: &'static str) -> Event<'a> {
    Event::Opaque { dialect: Dialect::OpenAiChat, name: name.into(), raw: Json::null() }
}

/// Whether a list holds anything.
fn says(delta: &Object<'_, '_>, name: &str) -> bool {
    delta.peek(name).is_some_and(|raw| is_something(raw.get().as_bytes()))
}

/// Whether log probabilities are of what the answer says, or refuses to say; `None` where they say nothing.
fn is_of_answer(logprobs: &Json<'_>) -> Option<bool> {
    let raw = logprobs.as_raw()?;
    let logprobs = Object::lenient(raw)?;
    let said =
        |name: &str| logprobs.peek(name).is_some_and(|raw| object::list(raw).is_none_or(|list| !list.is_empty()));
    let of_answer = said("content") || said("refusal");
    (of_answer || logprobs.members().any(|(name, _)| said(name))).then_some(of_answer)
}
