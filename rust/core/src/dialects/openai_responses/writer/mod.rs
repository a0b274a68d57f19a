//! Writes a stream as OpenAI's own SDKs expect it: numbered events, every item added, filled and done in this order, and
//! the whole response once more at the end.
//!
//! The surprise: this dialect repeats at the end of each part, item and response what it said before, so a writer holds the
//! whole answer. It is bounded in bytes; a longer one fails in the open.

mod call;
mod ending;
mod item;
mod part;
#[cfg(test)]
mod tests;
mod unknown;

use super::items::BETWEEN;
use super::reader::{FIRST, PART_ADDED, PART_DONE, UNTOLD};
use super::reply::{Response, State, list_of_logprobs};
use super::{DIALECT, parts};
use crate::dialects::chatlike::or;
use crate::dialects::message::{Citation, Envelope, ErrorReply, Event, Extras, Finish, Json, Text, Usage};
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Buffer, Members};
use call::Call;
use item::Item;
use part::PartKind;

/// Citations that wait for the end of their text. More go out at once, with the text as far as it has come.
const MOST_WAITING: usize = 1024;
/// More text than any model gives in one answer.
const MOST_BYTES: usize = 64 << 20;

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is something that has happened or not")]
pub struct Writer {
    id: String,
    model: String,
    created_s: u64,
    /// The number of the next event.
    sequence: u64,
    /// The place of the next item.
    index: u64,
    started: bool,
    ended: bool,
    /// Of the response as it was at the start.
    extras: Extras<'static>,
    /// The message or reasoning that is open.
    open: Option<Item>,
    /// A text of another dialect that has no words yet: an empty message is never opened.
    text_begun: bool,
    calls: Vec<Call>,
    /// The head of a call that our own reader announced.
    announced: Option<(u64, Json<'static>)>,
    /// The namespace of the function that is called next.
    namespace: Option<Box<Json<'static>>>,
    /// Our own reader says that what begins is reasoning itself, not a summary.
    in_content: bool,
    /// Items of our own reader that stand elsewhere than where their server put them, and where.
    moved: Vec<(u64, u64)>,
    /// The items that are done, by place.
    done: Vec<(u64, Buffer)>,
    finish: Option<Box<Finish<'static>>>,
    usage: Option<Usage<'static>>,
    /// The number behind that of an item which our own reader told: what comes under it as media is that item.
    told_before: Option<u64>,
    /// What stands beside the response in the last event.
    beside: Option<Box<Json<'static>>>,
    bytes: usize,
}

impl Writer {
    pub(super) fn new(envelope: &Envelope<'_>) -> Self {
        Self {
            id: envelope.id.to_owned(),
            model: envelope.model.to_owned(),
            created_s: envelope.created_s,
            sequence: 0,
            index: 0,
            started: false,
            ended: false,
            extras: Extras::default(),
            open: None,
            text_begun: false,
            calls: Vec::new(),
            announced: None,
            namespace: None,
            in_content: false,
            moved: Vec::new(),
            done: Vec::new(),
            finish: None,
            usage: None,
            told_before: None,
            beside: None,
            bytes: 0,
        }
    }

    pub(super) fn render(&mut self, event: &Event<'_>, out: &mut Buffer) {
        // A response is one choice; what belongs to others cannot be said.
        if self.ended || event.choice().is_some_and(|choice| choice != 0) {
            return;
        }
        match event {
            Event::MessageStart { id, model, created_s, extras } => self.start(id, model, *created_s, extras, out),
            Event::TextStart { .. } => self.text_start(out),
            Event::TextDelta { text, logprobs, .. } => {
                let anew = std::mem::take(&mut self.text_begun);
                self.part(PartKind::Text, anew, out);
                self.text(text, logprobs.as_ref(), out);
            }
            Event::TextEnd { .. } => self.text_end(out),
            Event::Media { content, .. } => self.picture(content, out),
            Event::RefusalDelta { text, .. } => {
                self.part(PartKind::Refusal, false, out);
                self.text(text, None, out);
            }
            Event::ReasoningStart { .. } => self.reasoning_start(out),
            Event::ReasoningDelta { text, .. } => self.reasoning(text, out),
            Event::ReasoningSignature { signature, .. } => self.encrypted(signature, false, out),
            Event::ReasoningRedacted { data, .. } => self.encrypted(data, true, out),
            Event::ReasoningEnd { .. } => self.reasoning_end(out),
            Event::ToolCallStart { call, kind, id, name, .. } => {
                self.call_start(Call::new(*call, *kind, id, name), out);
            }
            Event::ToolCallDelta { call, arguments, .. } => self.call_delta(*call, arguments, out),
            Event::ToolCallEnd { call, .. } => self.call_end(*call, out),
            Event::Citation { citation, .. } => self.citation(citation, out),
            Event::Finish { finish, .. } => {
                self.close_all(out);
                self.finish = Some(Box::new(finish.clone().into_owned()));
            }
            Event::Usage(usage) => self.usage = Some(usage.clone().into_owned()),
            Event::Error(error) => self.fail(error, out),
            Event::Opaque { dialect, name, raw } if *dialect == DIALECT => self.own(name, raw, out),
            Event::Opaque { .. } => {}
            Event::Done => self.end(out),
        }
        if self.bytes > MOST_BYTES && !self.ended {
            let error = ErrorReply { message: "the answer is too long to be held".into(), ..ErrorReply::default() };
            self.fail(&error, out);
        }
    }

    fn start(
        &mut self,
        id: &Text<'_>,
        model: &Text<'_>,
        created_s: Option<u64>,
        extras: &Extras<'_>,
        out: &mut Buffer,
    ) {
        self.id = or(id, &self.id).to_owned();
        self.model = or(model, &self.model).to_owned();
        self.created_s = created_s.unwrap_or(self.created_s);
        self.extras = extras.clone().into_owned();
        let first = extras.marked(DIALECT, FIRST).and_then(|first| first.as_str().parse().ok());
        self.sequence = first.unwrap_or(self.sequence);
        self.greet(first.is_some(), out);
    }

    /// The two events that begin a stream; from our own reader the second comes as it was.
    fn greet(&mut self, ours: bool, out: &mut Buffer) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let names = ["response.created", "response.in_progress"];
        for name in names.into_iter().take(if ours { 1 } else { 2 }) {
            let response = self.response(&State::Running, &self.extras, |out| out.extend_from_slice(b"[]"));
            self.frame(name, out, |event| event.raw("response", &response));
        }
    }

    fn begin(&mut self, out: &mut Buffer) {
        if !self.started {
            self.greet(false, out);
        }
    }

    fn response(&self, state: &State<'_>, extras: &Extras<'_>, output: impl FnOnce(&mut Buffer)) -> String {
        let mut out = Buffer::with_capacity(1024);
        let ended = !matches!(state, State::Running);
        let response = Response {
            id: &self.id,
            model: &self.model,
            created_s: self.created_s,
            state,
            usage: self.usage.as_ref().filter(|_| ended),
            extras,
        };
        response.write(&mut out, output);
        String::from_utf8(out).unwrap_or_default()
    }

    fn frame(&mut self, name: &str, out: &mut Buffer, fill: impl FnOnce(&mut Members<'_>)) {
        frame(&mut self.sequence, name, out, fill);
    }

    /// What our own reader has no neutral form for, and what the way back of a stream has none for.
    fn own(&mut self, name: &str, raw: &Json<'_>, out: &mut Buffer) {
        match name {
            "namespace" => self.namespace = Some(Box::new(raw.clone().into_owned())),
            "item" => self.whole_item(raw, out),
            PART_ADDED => self.part_added(raw, out),
            PART_DONE => self.part_done(raw, out),
            UNTOLD => {}
            _ => self.told(name, raw, out),
        }
    }

    /// An item that comes in one piece.
    fn whole_item(&mut self, raw: &Json<'_>, out: &mut Buffer) {
        self.begin(out);
        self.close_open(out);
        let index = self.take_index();
        self.frame("response.output_item.added", out, |event| {
            event.whole("output_index", index);
            event.raw("item", raw.as_str());
        });
        self.bytes += raw.as_str().len();
        self.item_is_done(index, raw.as_str().as_bytes().to_vec(), out);
    }

    fn told(&mut self, name: &str, raw: &Json<'_>, out: &mut Buffer) {
        let value = raw.as_raw();
        let Some(mut event) = value.and_then(Object::lenient) else {
            match name {
                "response.content_part.added" => self.in_content = true,
                "response.reasoning_part.added" => self.next_part(out),
                _ => {}
            }
            return;
        };
        let place = event.peek("output_index").and_then(object::whole).map(|place| self.place(name, place));
        let item = event.peek("item");
        match (name, item.and_then(Object::lenient)) {
            ("response.completed", _) => self.beside = Some(Box::new(raw.clone().into_owned())),
            ("response.output_item.added", Some(head)) => {
                let place = place.unwrap_or(self.index);
                self.index = self.index.max(place.saturating_add(1));
                if !self.announce(place, head, out) {
                    self.repeat(name, place.into(), &mut event, out);
                }
            }
            ("response.output_item.done", Some(tail)) => {
                if !self.item_done(place, tail, out) {
                    let whole = item.map(|item| item.get().as_bytes().to_vec()).unwrap_or_default();
                    self.bytes += whole.len();
                    self.done.push((place.unwrap_or(self.index), whole));
                    self.repeat(name, place, &mut event, out);
                    self.told_before = Some(self.sequence);
                }
            }
            _ => self.repeat(name, place, &mut event, out),
        }
    }

    /// The place of an item that its server put at `place`: another one where one of ours stands there already.
    fn place(&mut self, name: &str, place: u64) -> u64 {
        let taken = || {
            let mut calls = self.calls.iter().map(|call| call.index);
            self.done.iter().any(|(index, _)| *index == place)
                || self.open.as_ref().is_some_and(|item| item.index == place)
                || calls.any(|index| index == place)
        };
        if name == "response.output_item.added" && taken() {
            self.moved.push((place, self.index));
        }
        self.moved.iter().rev().find(|(from, _)| *from == place).map_or(place, |(_, to)| *to)
    }

    /// The event as it was, under a number of ours. Padding against the guessing of lengths belonged to the frame it
    /// came in.
    fn repeat(&mut self, name: &str, place: Option<u64>, event: &mut Object<'_, '_>, out: &mut Buffer) {
        for name in ["type", "sequence_number", "obfuscation"] {
            event.forget(name);
        }
        self.frame(name.trim_end_matches('\n'), out, |members| {
            for (name, value) in event.members() {
                match place.filter(|_| name == "output_index") {
                    Some(place) => members.whole("output_index", place),
                    None => members.fill(name, value.get()),
                }
            }
        });
    }

    fn citation(&mut self, citation: &Citation<'_>, out: &mut Buffer) {
        // Some servers tell what a text leans on before its first word.
        if std::mem::take(&mut self.text_begun) {
            self.part(PartKind::Text, true, out);
        }
        let open = self.open.as_mut().filter(|_| parts::is_annotation(citation));
        let Some(part) = open.and_then(|item| item.part.as_mut()).filter(|part| part.kind == PartKind::Text) else {
            return;
        };
        // Of another dialect, without a place: it is about all of the text, which has not come to its end.
        let of_all = citation.end_index.is_none() && citation.extras.of(DIALECT).next().is_none();
        if of_all && part.waiting.len() < MOST_WAITING {
            part.waiting.push(citation.clone().into_owned());
        } else {
            self.annotate(citation, out);
        }
    }

    /// Tells a citation of the text as far as it has come.
    pub(super) fn annotate(&mut self, citation: &Citation<'_>, out: &mut Buffer) {
        let Some(item) = self.open.as_mut() else {
            return;
        };
        let (index, id) = (item.index, item.id.clone());
        let content_index = item.parts.len() as u64;
        let Some(part) = item.part.as_mut() else {
            return;
        };
        let mut annotation = Buffer::new();
        parts::write_citation(&mut annotation, citation, part.text.chars().count());
        let number = part.annotations.len() as u64;
        let annotation = String::from_utf8(annotation).unwrap_or_default();
        self.bytes += annotation.len();
        part.annotations.push(annotation.clone());
        self.frame("response.output_text.annotation.added", out, |event| {
            event.text("item_id", &id);
            event.whole("output_index", index);
            event.whole("content_index", content_index);
            event.whole("annotation_index", number);
            event.raw("annotation", &annotation);
        });
    }

    fn reasoning(&mut self, text: &str, out: &mut Buffer) {
        self.reasoning_part(out);
        let part = self.open.as_mut().and_then(|item| item.part.as_mut());
        if let Some(part) = part
            && std::mem::take(&mut part.after_another)
            && text == BETWEEN
        {
            return;
        }
        self.text(text, None, out);
    }

    fn text(&mut self, text: &str, logprobs: Option<&Json<'_>>, out: &mut Buffer) {
        let logprobs = logprobs.and_then(list_of_logprobs);
        self.bytes += text.len() + logprobs.map_or(0, str::len);
        let Some(item) = self.open.as_mut() else {
            return;
        };
        let Some(part) = item.part.as_mut() else {
            return;
        };
        part.text.push_str(text);
        part.add_logprobs(logprobs);
        let kind = part.kind;
        frame(&mut self.sequence, kind.delta(), out, |event| {
            event.text("item_id", &item.id);
            event.whole("output_index", item.index);
            event.whole(kind.number(), item.parts.len() as u64);
            event.text("delta", text);
            if kind == PartKind::Text {
                event.raw("logprobs", logprobs.unwrap_or("[]"));
            }
        });
    }
}

fn frame(sequence: &mut u64, name: &str, out: &mut Buffer, fill: impl FnOnce(&mut Members<'_>)) {
    out.extend_from_slice(b"event: ");
    // A name may come from an upstream, and must not end the line.
    out.extend(name.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')));
    out.extend_from_slice(b"\ndata: ");
    let number = *sequence;
    *sequence = number.saturating_add(1);
    output::object(out, |event| {
        event.text("type", name);
        event.whole("sequence_number", number);
        fill(event);
    });
    out.extend_from_slice(b"\n\n");
}
