//! Streams of one dialect on their way to a client of another: the same for any cut, no longer than what came makes them,
//! and saying what was said. What one of the two has no words for is the law of other tests.

use std::collections::BTreeSet;

use bytes::Bytes;
use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::message::{Envelope, Event};
use fastroute_core::eventstream;
use fastroute_core::passes::WayBack;
use fastroute_core::relay::{Crossing, Inspect, RelaySpec, Slices, Stream};
use fastroute_core::sse::Limits;
use fastroute_core::translate::{Frames, StreamTranslator};
use serde_json::Value;

use super::cuts;
use super::dialects::Order;

/// A letter from `@` on stands for one of them as the client's; a digit is the same under small limits.
const SPOKEN: [Dialect; 8] = [
    Dialect::OpenAiChat,
    Dialect::OpenAiResponses,
    Dialect::AnthropicMessages,
    Dialect::Gemini,
    Dialect::CohereV2,
    Dialect::Ollama,
    Dialect::BedrockConverse,
    Dialect::OpenAiCompletions,
];
const SMALL: usize = 200;
/// An empty event becomes a chunk with all that belongs to one; a text is told up to six times by Responses, escaped.
const MOST_TIMES: usize = 256;
const MOST_BYTES: usize = 16 << 10;

pub fn check(source: Dialect, input: &[u8]) {
    let (choice, stream) = super::chosen(input);
    let target = SPOKEN[usize::from(choice & 7)];
    let limit = if choice & 0x40 == 0 { SMALL } else { 1 << 20 };
    let limits = Limits { line_bytes: limit, event_bytes: limit };
    let stream = if choice & 8 == 0 { on_the_wire(source, stream) } else { stream.to_vec() };
    let whole = told([source, target], limits, &[&stream]);
    for frames in cuts::of(&stream) {
        assert_eq!(told([source, target], limits, &frames), whole, "the cut decides");
    }
    assert!(whole.out.len() <= MOST_TIMES * stream.len() + MOST_BYTES, "{} bytes", whole.out.len());
    if limit > SMALL {
        let here = Said::of(source, &stream, whole.failed.is_none());
        let there = Said::of(target, &whole.out, true);
        assert!(there.read, "what was written cannot be read: {}", String::from_utf8_lossy(&whole.out));
        here.is_still_said_in(&there, whole.failed.is_some() || !here.read);
    }
}

/// Bedrock's events are kept as lines, `{"messageStart":{…}}`, and are framed here.
fn on_the_wire(dialect: Dialect, stream: &[u8]) -> Vec<u8> {
    if dialect != Dialect::BedrockConverse {
        return stream.to_vec();
    }
    let mut out = Vec::new();
    for line in stream.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()) {
        let text = String::from_utf8_lossy(line);
        let inner = text.trim().trim_start_matches("{\"");
        let (name, data) = inner.split_once("\":").unwrap_or((inner, "{}}"));
        let (kind, of) =
            if name.ends_with("Exception") { ("exception", ":exception-type") } else { ("event", ":event-type") };
        let data = data.strip_suffix('}').unwrap_or(data);
        if name.len() < 100 {
            let headers = [(of, name), (":content-type", "application/json"), (":message-type", kind)];
            eventstream::write(&mut out, &headers, |out| out.extend_from_slice(data.as_bytes()));
        }
    }
    out
}

#[derive(Debug, PartialEq)]
struct Told {
    out: Vec<u8>,
    /// Why the stream ended in an error of ours, which is the last of `out` where there was content.
    failed: Option<String>,
    facts: String,
}

fn told([source, target]: [Dialect; 2], limits: Limits, frames: &[&[u8]]) -> Told {
    let envelope = Envelope { id: "id-1", model: "m", created_s: 1, include_usage: true };
    let translator = StreamTranslator::new(source, target, WayBack::default(), &envelope, limits).expect("both stream");
    if limits.event_bytes == SMALL {
        return translated(translator, frames);
    }
    let spec = RelaySpec { inspect: Inspect::Events(source), limits, ..RelaySpec::default() };
    let mut stream = Stream::Crossed(Crossing::new(spec, source, translator));
    let mut out = Slices::new();
    let mut result = Ok(());
    for frame in frames {
        result = stream.feed(Bytes::copy_from_slice(frame), &mut out);
        if result.is_err() {
            break;
        }
    }
    let result = result.and_then(|()| stream.end(&mut out));
    assert!(out.is_empty() || stream.content_started(), "something went out before content");
    if let Err(failure) = &result
        && stream.content_started()
    {
        out.push(stream.fail(failure));
    }
    Told {
        out: out.concat(),
        failed: result.err().map(|failure| format!("{failure:?}")),
        facts: format!(
            "{:?} {:?} {:?} {:?} {} {}",
            stream.usage(),
            stream.finish_reason(),
            stream.upstream_error(),
            stream.error_body(),
            stream.finished(),
            stream.content_events(),
        ),
    }
}

/// The machine alone: what waits for content is measured by the frame, so its limit is no law for any cut.
fn translated(mut translator: StreamTranslator, frames: &[&[u8]]) -> Told {
    let mut out = Vec::new();
    for frame in frames {
        translator.push(frame, &mut out);
    }
    translator.finish(&mut out);
    assert!(translator.ended());
    Told { out, failed: None, facts: String::new() }
}

/// What the first choice of a stream says to who reads it.
#[derive(Debug, Default)]
#[allow(clippy::struct_excessive_bools, reason = "four answers that have nothing to do with each other")]
struct Said {
    /// To the end.
    read: bool,
    text: String,
    reasoning: String,
    refusal: String,
    calls: Vec<(String, String)>,
    /// Of the calls.
    numbers: Vec<u32>,
    finished: bool,
    failed: bool,
    /// Other choices, or what stands beside text: not every dialect has them.
    more: usize,
}

impl Said {
    fn of(dialect: Dialect, stream: &[u8], proper: bool) -> Self {
        let mut said = Self { read: true, ..Self::default() };
        let mut reader = dialect.reader().expect("it streams");
        let mut frames = Frames::of(dialect, Limits::default());
        let mut order = Order::default();
        let mut on = |name: &str, data: &[u8]| {
            if !said.read || said.failed {
                return;
            }
            match reader.parse_event(name, data) {
                Ok(events) => events.iter().for_each(|event| {
                    order.check(event);
                    said.take(event);
                }),
                Err(_) => said.read = false,
            }
        };
        let fed = frames.feed(stream, &mut on);
        frames.end(&mut on);
        said.read &= fed;
        if proper && said.read && !said.failed {
            reader.end().iter().for_each(|event| said.take(event));
        }
        said
    }

    fn take(&mut self, event: &Event<'_>) {
        let first = |choice: &u32| *choice == 0;
        match event {
            Event::TextDelta { choice, text, .. } if first(choice) => self.text.push_str(text),
            Event::ReasoningDelta { choice, text } if first(choice) => self.reasoning.push_str(text),
            Event::RefusalDelta { choice, text } if first(choice) => self.refusal.push_str(text),
            Event::ToolCallStart { choice, call, name, .. } if first(choice) => {
                self.numbers.push(*call);
                self.calls.push((name.to_string(), String::new()));
            }
            Event::ToolCallDelta { choice, call, arguments, .. } if first(choice) => {
                // One whose name comes late is told late.
                let told = self.numbers.iter().rposition(|number| number == call);
                if let Some((_, told)) = told.and_then(|position| self.calls.get_mut(position)) {
                    told.push_str(arguments);
                }
            }
            Event::Finish { choice, .. } if first(choice) => self.finished = true,
            Event::Error(_) => self.failed = true,
            Event::TextDelta { .. }
            | Event::ReasoningDelta { .. }
            | Event::RefusalDelta { .. }
            | Event::ToolCallStart { .. }
            | Event::Finish { .. } => self.more += 1,
            _ => {}
        }
    }

    fn is_still_said_in(&self, there: &Self, broken: bool) {
        assert!(self.finished || self.more > 0 || !there.finished, "a finish was made up: {self:?} {there:?}");
        if self.more > 0 || !self.refusal.is_empty() {
            return;
        }
        assert!(seen(&self.text).starts_with(&seen(&there.text)), "a text was made up: {self:?} {there:?}");
        let names = |said: &Self| said.named().into_iter().map(str::to_owned).collect::<BTreeSet<_>>();
        assert!(names(self).is_superset(&names(there)), "a call was made up: {self:?} {there:?}");
        // What ends in an error says so; the rest is for whoever wants it.
        if broken || self.failed || there.failed {
            return;
        }
        assert_eq!(seen(&self.text), seen(&there.text), "{self:?} {there:?}");
        assert_eq!(self.finished, there.finished, "{self:?} {there:?}");
        assert_eq!(self.named(), there.named(), "{self:?} {there:?}");
        for call in self.calls.iter().filter(|(name, _)| !name.is_empty()).filter_map(read) {
            assert!(there.calls.iter().filter_map(read).any(|told| told == call), "{self:?} {there:?}");
        }
    }

    /// The calls that somebody could answer, in any order: some dialects tell a call when it is whole.
    fn named(&self) -> Vec<&str> {
        let mut names: Vec<&str> =
            self.calls.iter().map(|(name, _)| name.as_str()).filter(|name| !name.is_empty()).collect();
        names.sort_unstable();
        names
    }
}

/// A call with its arguments, where they are an object. What is none is wrapped in one by dialects that have no other.
fn read((name, arguments): &(String, String)) -> Option<(&str, Value)> {
    let arguments: Value = serde_json::from_str(arguments).ok()?;
    arguments.is_object().then_some((name, arguments))
}

/// Blanks say nothing by themselves.
fn seen(text: &str) -> String {
    text.split_whitespace().collect()
}
