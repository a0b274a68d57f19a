//! Dialects: what was read is written so that it reads the same again, and a stream's events come in their order.

use std::collections::{BTreeMap, BTreeSet};

use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::fold::Fold;
use fastroute_core::dialects::message::{Envelope, Event};
use serde_json::Value;

use super::sse;

const FOLD_BYTES: usize = 4096;

pub fn check(input: &[u8]) {
    let (choice, text) = super::chosen(input);
    let dialect = dialect_of(choice);
    match choice % 4 {
        0 => check_request(dialect, text),
        1 => check_reply(dialect, text),
        2 => check_error(dialect, text),
        _ => check_stream(dialect, text),
    }
}

/// `@`, `A`, `B` and `C` stand for the first dialect of the table, the next four letters for the next one: what was kept
/// of one dialect stays one of its cases when others are added behind it.
fn dialect_of(choice: u8) -> Dialect {
    let place = usize::from(choice >> 2);
    let lettered = Dialect::ALL.get(place.wrapping_sub(usize::from(b'@' >> 2)));
    lettered.copied().unwrap_or(Dialect::ALL[place % Dialect::ALL.len()])
}

fn check_request(dialect: Dialect, body: &[u8]) {
    let Ok(request) = dialect.parse_request(body) else { return };
    let once = dialect.render_request(&request).expect("a dialect has words for what it read");
    assert!(once.dropped.is_empty(), "{:?} was dropped", once.dropped);
    let again = dialect.parse_request(&once.body).unwrap_or_else(|error| panic!("{error}: {}", shown(&once.body)));
    let twice = dialect.render_request(&again).expect("said before");
    assert_eq!(shown(&once.body), shown(&twice.body));
    assert_eq!(request.model(), again.model());
    is_json(&once.body);
}

fn check_reply(dialect: Dialect, body: &[u8]) {
    let Ok(reply) = dialect.parse_reply(body) else { return };
    let envelope = Envelope { id: "id-1", model: "m", created_s: 1, include_usage: true };
    // A reply that ended in an error cannot be said; that refusal is the law of another test.
    let Ok(once) = dialect.render_reply(&reply, &envelope) else { return };
    is_json(&once);
    let again = dialect.parse_reply(&once).unwrap_or_else(|error| panic!("{error}: {}", shown(&once)));
    let twice = dialect.render_reply(&again, &envelope).expect("said before");
    assert_eq!(shown(&once), shown(&twice));
}

fn check_error(dialect: Dialect, body: &[u8]) {
    let once = dialect.render_error(&dialect.parse_error(body));
    is_json(&once);
    let twice = dialect.render_error(&dialect.parse_error(&once));
    assert_eq!(shown(&once), shown(&twice));
}

fn check_stream(dialect: Dialect, stream: &[u8]) {
    let envelope = Envelope { id: "id-1", model: "m", created_s: 1, include_usage: true };
    let (Some(mut reader), Some(mut writer)) = (dialect.reader(), dialect.writer(&envelope)) else { return };
    let mut order = Order::default();
    let mut fold = Some(Fold::new(FOLD_BYTES));
    let mut out = Vec::new();
    for data in stream.split(|&byte| byte == b'\n') {
        let Ok(events) = reader.parse_event("", data) else { break };
        for event in events {
            order.check(&event);
            writer.render_event(&event, &mut out);
            fold = fold.take().and_then(|mut fold| fold.add(&event).is_ok().then_some(fold));
        }
    }
    let mut finishes = 0;
    for data in sse::data_of(&out).iter().filter(|data| data.as_slice() != b"[DONE]") {
        let event = is_json(data);
        let choices = event["choices"].as_array().into_iter().flatten();
        // Other dialects pass on what they do not know, chunks of chat among it.
        if dialect == Dialect::OpenAiChat {
            finishes += choices.filter(|choice| !choice["finish_reason"].is_null()).count();
        }
    }
    assert!(finishes <= order.finished.len(), "a finish was made up");
    if let Some(Ok(reply)) = fold.map(Fold::finish) {
        assert!(reply.choices.iter().all(|choice| order.finished.contains(&choice.index)), "a finish was made up");
    }
}

/// The order in which the neutral form promises its events.
#[derive(Default)]
pub(super) struct Order {
    started: bool,
    over: bool,
    /// The open block of each choice: text or reasoning.
    open: BTreeMap<u32, &'static str>,
    calls: BTreeMap<(u32, u32), bool>,
    finished: BTreeSet<u32>,
}

impl Order {
    pub(super) fn check(&mut self, event: &Event<'_>) {
        assert!(!self.over, "after an error or the end: {event:?}");
        if !self.started && matches!(event, Event::Opaque { .. }) {
            // What nobody knows may come before everything.
            return;
        }
        let starts = matches!(event, Event::MessageStart { .. });
        assert!(starts != self.started || matches!(event, Event::Error(_) | Event::Done), "{event:?}");
        self.started = true;
        match event {
            Event::TextStart { choice } => self.open(*choice, "text"),
            Event::TextDelta { choice, .. } => assert_eq!(self.open.get(choice), Some(&"text"), "{event:?}"),
            Event::TextEnd { choice } => assert_eq!(self.open.remove(choice), Some("text")),
            Event::ReasoningStart { choice } => self.open(*choice, "reasoning"),
            Event::ReasoningDelta { choice, .. } => {
                assert_eq!(self.open.get(choice), Some(&"reasoning"), "{event:?}");
            }
            Event::ReasoningEnd { choice } => assert_eq!(self.open.remove(choice), Some("reasoning")),
            Event::ToolCallStart { choice, call, .. } => {
                assert!(self.calls.insert((*choice, *call), true).is_none(), "a call began twice");
            }
            Event::ToolCallDelta { choice, call, .. } => {
                assert_eq!(self.calls.get(&(*choice, *call)), Some(&true), "{event:?}");
            }
            Event::ToolCallEnd { choice, call } => {
                assert_eq!(self.calls.insert((*choice, *call), false), Some(true), "{event:?}");
            }
            Event::Finish { choice, .. } => {
                // Twice, where a provider goes on behind its first word for it: the last one counts.
                self.finished.insert(*choice);
                assert!(!self.open.contains_key(choice), "a choice finished within a block");
            }
            Event::Error(_) | Event::Done => self.over = true,
            _ => {}
        }
    }

    fn open(&mut self, choice: u32, block: &'static str) {
        assert!(self.open.insert(choice, block).is_none(), "two blocks are open");
    }
}

#[track_caller]
fn is_json(text: &[u8]) -> Value {
    match serde_json::from_slice(text) {
        Ok(value) => value,
        // What is passed on unread may hold what a tree cannot: deep nesting, huge numbers, half characters.
        Err(error)
            if ["recursion", "out of range", "surrogate", "hex escape"]
                .iter()
                .any(|kind| error.to_string().contains(kind)) =>
        {
            Value::Null
        }
        Err(error) => panic!("{error}: {}", shown(text)),
    }
}

fn shown(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}
