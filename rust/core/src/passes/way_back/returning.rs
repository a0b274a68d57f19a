//! The way back of a stream, event by event.

use std::collections::{BTreeMap, HashSet};

use smallvec::smallvec;

use super::super::builtins::Native;
use super::super::custom::Unwrap;
use super::{Held, RESPONSES, WayBack};
use crate::dialects::message::{CallKind, Event, Events, Finish, FinishReason, Json, Reasoning, Text, ToolCall};

/// More than any answer that is held to a schema. A longer one is told and not checked.
const MOST_BYTES: usize = 4 << 20;

#[derive(Debug)]
pub struct Returning {
    back: WayBack,
    plain: bool,
    reply_id: String,
    choices: BTreeMap<u32, Heard>,
}

/// What was heard of a choice.
#[derive(Debug, Default)]
struct Heard {
    calls: BTreeMap<u32, Call>,
    /// Of the calls that began.
    ids: HashSet<String>,
    /// The number of the call that is the answer.
    answer: Option<u32>,
    /// Text beside an answer that may still come as a call; else the answer as far as it is told.
    text: String,
    too_long: bool,
    fence: Fence,
    /// Reasoning has begun, and its proof has not come.
    unproven: bool,
}

#[derive(Debug)]
enum Call {
    Plain,
    Answer,
    Custom(Unwrap),
    Native(Native, Held),
}

impl Returning {
    pub(super) fn new(back: WayBack) -> Self {
        Self { plain: back.is_plain(), back, reply_id: String::new(), choices: BTreeMap::new() }
    }

    /// What an event of the upstream's means to the client; `None` where the answer is not what was asked for, so that
    /// the stream has failed.
    pub fn events<'a>(&mut self, event: Event<'a>) -> Option<Events<'a>> {
        if self.plain {
            return Some(smallvec![event]);
        }
        let mut out = Events::new();
        match event {
            Event::ToolCallStart { choice, call, kind, id, name, signature } => {
                let call_of = ToolCall { kind, id, name, arguments: Text::default(), signature };
                self.call_start(choice, call, call_of, &mut out);
            }
            Event::ToolCallDelta { choice, call, kind, arguments } => {
                self.call_delta(choice, call, kind, arguments, &mut out);
            }
            Event::ToolCallEnd { choice, call } => self.call_end(choice, call, &mut out),
            Event::TextStart { choice } => {
                if !self.holds_text() {
                    out.push(Event::TextStart { choice });
                }
            }
            Event::TextDelta { choice, text, logprobs } => {
                if let Some(text) = self.text(choice, text) {
                    out.push(Event::TextDelta { choice, text, logprobs });
                }
            }
            Event::TextEnd { choice } => {
                if !self.holds_text() {
                    self.fence_end(choice, &mut out);
                    out.push(Event::TextEnd { choice });
                }
            }
            Event::ReasoningStart { choice } => {
                self.choices.entry(choice).or_default().unproven = true;
                out.push(Event::ReasoningStart { choice });
            }
            Event::ReasoningEnd { choice } => {
                self.prove(choice, &mut out);
                out.push(Event::ReasoningEnd { choice });
            }
            Event::ReasoningSignature { choice, mut signature } => {
                self.choices.entry(choice).or_default().unproven &= signature.is_empty();
                self.back.mark(&mut signature);
                out.push(Event::ReasoningSignature { choice, signature });
            }
            Event::ReasoningRedacted { choice, mut data } => {
                self.back.mark(&mut data);
                out.push(Event::ReasoningRedacted { choice, data });
            }
            Event::Finish { choice, finish } => return self.finish(choice, finish, out),
            Event::MessageStart { id, model, created_s, extras } => {
                id.as_ref().clone_into(&mut self.reply_id);
                out.push(Event::MessageStart { id, model, created_s, extras });
            }
            other => out.push(other),
        }
        Some(out)
    }

    /// Tells who made reasoning that ends without a proof.
    fn prove(&mut self, choice: u32, out: &mut Events<'_>) {
        let is_open = std::mem::take(&mut self.choices.entry(choice).or_default().unproven);
        if let Some(proof) = self.back.proof_of_none(&Reasoning::default()).filter(|_| is_open) {
            out.push(Event::ReasoningSignature { choice, signature: proof.into() });
        }
    }

    fn holds_text(&self) -> bool {
        self.back.answer.as_ref().is_some_and(|answer| answer.tool.is_some())
    }

    fn call_start<'a>(&mut self, choice: u32, number: u32, mut call: ToolCall<'a>, out: &mut Events<'a>) {
        self.back.name(&mut call.name);
        let heard = self.choices.entry(choice).or_default();
        self.back.id(&mut call.id, &mut heard.ids, &self.reply_id, (choice, number));
        let proof = self.back.take_proof(&mut call.signature);
        if let Some(proof) = &mut call.signature {
            self.back.mark(proof);
        }
        let is_answer = self.back.is_answer(&call.name);
        if is_answer && heard.answer.is_none() {
            heard.answer = Some(number);
            heard.calls.insert(number, Call::Answer);
            // What was said beside it is no part of the answer.
            heard.text.clear();
            out.push(Event::TextStart { choice });
            return;
        }
        out.extend(proof.map(|proof| Event::ReasoningRedacted { choice, data: proof.into() }));
        let told = if self.back.custom.contains(call.name.as_ref()) {
            call.kind = CallKind::Custom;
            Call::Custom(Unwrap::default())
        } else {
            match self.back.natives.get(call.name.as_ref()) {
                Some(Native::Namespaced { namespace, name }) => {
                    let raw = Json::quoted(namespace);
                    out.push(Event::Opaque { dialect: RESPONSES, name: "namespace".into(), raw });
                    call.name = Text::Owned(name.clone());
                    Call::Plain
                }
                Some(native) => Call::Native(native.clone(), owned(&call)),
                None => Call::Plain,
            }
        };
        let is_told = !matches!(told, Call::Native(..));
        heard.calls.insert(number, told);
        if is_told {
            out.push(start(choice, heard.number(number), call));
        }
    }

    fn call_delta<'a>(&mut self, choice: u32, call: u32, kind: CallKind, arguments: Text<'a>, out: &mut Events<'a>) {
        let heard = self.choices.entry(choice).or_default();
        let number = heard.number(call);
        match heard.calls.get_mut(&call) {
            None | Some(Call::Plain) => out.push(Event::ToolCallDelta { choice, call: number, kind, arguments }),
            Some(Call::Answer) => {
                heard.remember(&arguments);
                out.push(Event::TextDelta { choice, text: arguments, logprobs: None });
            }
            Some(Call::Custom(unwrap)) => {
                let text = unwrap.add(&arguments);
                if !text.is_empty() {
                    out.push(delta(choice, number, CallKind::Custom, text));
                }
            }
            Some(Call::Native(_, held)) => {
                held.arguments.to_mut().push_str(&arguments);
                if held.arguments.len() > MOST_BYTES {
                    // Too long to be held: it stays a function's.
                    let mut whole =
                        std::mem::replace(held, owned(&ToolCall { arguments: Text::default(), ..held.clone() }));
                    let arguments = std::mem::take(&mut whole.arguments);
                    let kind = whole.kind;
                    heard.calls.insert(call, Call::Plain);
                    out.push(start(choice, number, whole));
                    out.push(delta(choice, number, kind, arguments.into_owned()));
                }
            }
        }
    }

    fn call_end(&mut self, choice: u32, call: u32, out: &mut Events<'_>) {
        let heard = self.choices.entry(choice).or_default();
        let number = heard.number(call);
        match heard.calls.insert(call, Call::Plain) {
            None | Some(Call::Plain) => out.push(Event::ToolCallEnd { choice, call: number }),
            Some(Call::Answer) => out.push(Event::TextEnd { choice }),
            Some(Call::Custom(mut unwrap)) => {
                let rest = unwrap.end();
                if !rest.is_empty() {
                    out.push(delta(choice, number, CallKind::Custom, rest));
                }
                out.push(Event::ToolCallEnd { choice, call: number });
            }
            Some(Call::Native(native, held)) => {
                if let Some(raw) = native.item(&held.id, &held.arguments) {
                    out.push(Event::Opaque { dialect: RESPONSES, name: "item".into(), raw });
                    return;
                }
                let (kind, arguments) = (held.kind, held.arguments.clone().into_owned());
                out.push(start(choice, number, held));
                out.push(delta(choice, number, kind, arguments));
                out.push(Event::ToolCallEnd { choice, call: number });
            }
        }
    }

    /// What of a text is told now.
    fn text<'a>(&mut self, choice: u32, text: Text<'a>) -> Option<Text<'a>> {
        let Some(answer) = &self.back.answer else {
            return Some(text);
        };
        let heard = self.choices.entry(choice).or_default();
        if answer.tool.is_some() {
            if heard.answer.is_none() {
                heard.remember(&text);
            }
            return None;
        }
        let text = if answer.fenced { Text::Owned(heard.fence.add(&text)) } else { text };
        heard.remember(&text);
        (!text.is_empty()).then_some(text)
    }

    fn fence_end(&mut self, choice: u32, out: &mut Events<'_>) {
        let heard = self.choices.entry(choice).or_default();
        let rest = heard.fence.end();
        if !rest.is_empty() {
            heard.remember(&rest);
            out.push(Event::TextDelta { choice, text: rest.into(), logprobs: None });
        }
    }

    fn finish<'a>(&mut self, choice: u32, mut finish: Finish<'a>, mut out: Events<'a>) -> Option<Events<'a>> {
        // Whatever its reader left open is told before the end.
        self.prove(choice, &mut out);
        let open: Vec<u32> = self.choices.get(&choice).into_iter().flat_map(Heard::open).collect();
        for call in open {
            self.call_end(choice, call, &mut out);
        }
        self.fence_end(choice, &mut out);
        let Some(answer) = &self.back.answer else {
            out.push(Event::Finish { choice, finish });
            return Some(out);
        };
        let heard = self.choices.entry(choice).or_default();
        let others = heard.calls.keys().any(|call| Some(*call) != heard.answer);
        if heard.answer.is_some() && !others && finish.reason == FinishReason::ToolCalls {
            finish = Finish { reason: FinishReason::Stop, native: None, ..finish };
        }
        if answer.tool.is_some() && heard.answer.is_none() && !heard.text.is_empty() {
            let text = Text::Owned(heard.text.clone());
            out.push(Event::TextStart { choice });
            out.push(Event::TextDelta { choice, text, logprobs: None });
            out.push(Event::TextEnd { choice });
        }
        let checked = finish.reason == FinishReason::Stop && !others && !heard.too_long;
        if checked && !answer.holds(&heard.text) {
            return None;
        }
        out.push(Event::Finish { choice, finish });
        Some(out)
    }
}

impl Heard {
    /// The number of a call as the client counts: the answer is none.
    fn number(&self, call: u32) -> u32 {
        call - u32::from(self.answer.is_some_and(|answer| answer < call))
    }

    fn remember(&mut self, text: &str) {
        if self.text.len() + text.len() > MOST_BYTES {
            self.too_long = true;
        } else {
            self.text.push_str(text);
        }
    }

    fn open(&self) -> Vec<u32> {
        self.calls.iter().filter(|(_, call)| !matches!(call, Call::Plain)).map(|(number, _)| *number).collect()
    }
}

fn owned(call: &ToolCall<'_>) -> Held {
    ToolCall {
        kind: call.kind,
        id: Text::Owned(call.id.to_string()),
        name: Text::Owned(call.name.to_string()),
        arguments: Text::Owned(call.arguments.to_string()),
        signature: call.signature.as_ref().map(|proof| Text::Owned(proof.to_string())),
    }
}

fn start(choice: u32, call: u32, told: ToolCall<'_>) -> Event<'_> {
    let ToolCall { kind, id, name, signature, .. } = told;
    Event::ToolCallStart { choice, call, kind, id, name, signature }
}

fn delta<'a>(choice: u32, call: u32, kind: CallKind, arguments: String) -> Event<'a> {
    Event::ToolCallDelta { choice, call, kind, arguments: arguments.into() }
}

/// Takes away the fence that models put around JSON, as the text comes.
#[derive(Debug, Default)]
struct Fence {
    begun: bool,
    fenced: bool,
    held: String,
}

impl Fence {
    const MARK: &str = "```";

    fn add(&mut self, piece: &str) -> String {
        self.held.push_str(piece);
        if !self.begun {
            let text = self.held.trim_start();
            if Self::MARK.starts_with(text.get(..text.len().min(3)).unwrap_or_default()) {
                // The word behind the mark ends with its line.
                let Some((_, behind)) = text.split_once('\n') else {
                    return String::new();
                };
                self.held = behind.to_owned();
                self.fenced = true;
            }
            self.begun = true;
        }
        let told = if self.fenced {
            self.held.trim_end_matches(|letter: char| letter == '`' || letter.is_whitespace()).len()
        } else {
            self.held.len()
        };
        let rest = self.held.split_off(told);
        std::mem::replace(&mut self.held, rest)
    }

    fn end(&mut self) -> String {
        let rest = std::mem::take(&mut self.held);
        if self.fenced && matches!(rest.trim(), "" | Self::MARK) { String::new() } else { rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_is_taken_away_however_it_is_cut() {
        let texts = [
            ("```json\n{\"a\":\"`\"}\n```", "{\"a\":\"`\"}"),
            ("\n```\n[1]\n```\n", "[1]"),
            ("{\"a\":1} ", "{\"a\":1} "),
        ];
        for (text, told) in texts {
            for size in 1..text.len() {
                let mut fence = Fence::default();
                let letters: Vec<char> = text.chars().collect();
                let pieces = letters.chunks(size).map(|piece| piece.iter().collect::<String>());
                let mut out: String = pieces.map(|piece| fence.add(&piece)).collect();
                out += &fence.end();
                assert_eq!(out, told, "{text:?} by {size}");
            }
        }
    }
}
