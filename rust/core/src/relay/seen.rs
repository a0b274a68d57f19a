//! What the events of one stream have said so far, and what is to be done with each.

use bytes::Bytes;

use crate::{
    cursor::unescape,
    dialects::{
        Reader,
        message::{self, FinishReason},
    },
    failure::{ErrorBody, Failure, Kind, Origin, classify},
    relay::{
        Inspect, RelaySpec,
        chunk::{Chunk, Shape},
        pattern::Pattern,
        quotes,
    },
    sse::Event,
    usage::Usage,
};

/// Longest model name or finish reason that is kept; they are an upstream's words.
pub(super) const NAME_BYTES: usize = 256;

/// What an event meant to whoever watches the stream.
#[derive(Debug)]
pub(super) enum Took {
    On,
    /// It is an error event.
    Error,
    /// A finish that is none, before any content.
    Failed(Failure),
}

fn bit(choice: u32) -> u128 {
    1 << choice.min(127)
}

/// What to do with an event.
#[derive(Debug)]
pub(super) enum Verdict {
    Forward,
    /// It is no JSON: forward it, unless the stream was cut inside it.
    Broken,
    /// Leave it out.
    Hide,
    /// Forward it, and nothing after it.
    Last,
    Fail(Failure),
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    pub(super) events: u64,
    pub(super) content_events: u64,
    pub(super) broken_events: u64,
    pub(super) content_bytes: u64,
    pub(super) content_started: bool,
    pub(super) terminated: bool,
    pub(super) usage: Option<Usage>,
    pub(super) model: Option<Box<str>>,
    pub(super) finish: Option<(u64, Box<str>)>,
    pub(super) upstream_error: Option<Failure>,
    pub(super) error_body: Option<Bytes>,
    /// Choices that appeared, and those among them that have their finish reason.
    choices: u128,
    finished: u128,
    /// A frame with nothing but usage came after the last content.
    closed_by_usage: bool,
    pub(super) pattern: Pattern,
    /// What reads the events of a dialect other than chat.
    reader: Option<Box<Reader>>,
}

impl Seen {
    pub(super) fn of(inspect: Inspect) -> Self {
        let reader = match inspect {
            Inspect::Events(dialect) => dialect.reader().map(Box::new),
            Inspect::OpenAiChat | Inspect::Raw => None,
        };
        Self { reader, ..Self::default() }
    }

    pub(super) fn finished(&self) -> bool {
        self.choices != 0 && self.choices & !self.finished == 0
    }

    pub(super) fn finished_choices(&self) -> u64 {
        self.finished.count_ones().into()
    }

    /// The upstream said what it had to say. A frame of usage alone is sent once everything else is, which matters
    /// where a server leaves the finish reason empty.
    pub(super) fn ended(&self) -> bool {
        self.terminated || self.finished() || self.closed_by_usage
    }

    pub(super) fn inspect(&mut self, spec: &RelaySpec, event: &Event<'_>) -> Verdict {
        match spec.inspect {
            Inspect::OpenAiChat => self.inspect_chat(spec, event),
            Inspect::Events(_) => self.inspect_events(spec, event),
            Inspect::Raw => self.inspect_raw(spec, event),
        }
    }

    fn inspect_raw(&mut self, spec: &RelaySpec, event: &Event<'_>) -> Verdict {
        self.events += 1;
        if let Ok(chunk) = Chunk::parse(event.data, Shape::Stream) {
            self.take_usage(spec, &chunk);
            if let Some(error) = chunk.error {
                return self.fail(spec, event, error);
            }
        }
        self.content_events += 1;
        self.content_bytes += event.data.len() as u64;
        self.content_started = true;
        Verdict::Forward
    }

    /// Only what the event says about usage.
    pub(super) fn note_usage(&mut self, spec: &RelaySpec, event: &Event<'_>) {
        if let (Inspect::OpenAiChat, Ok(chunk)) = (spec.inspect, Chunk::parse(event.data, Shape::Stream)) {
            self.take_usage(spec, &chunk);
        }
    }

    fn inspect_events(&mut self, spec: &RelaySpec, event: &Event<'_>) -> Verdict {
        self.events += 1;
        let Some(mut reader) = self.reader.take() else { return Verdict::Forward };
        let read = reader.parse_event(std::str::from_utf8(event.name).unwrap_or_default(), event.data);
        self.reader = Some(reader);
        let Ok(read) = read else {
            self.broken_events += 1;
            return Verdict::Broken;
        };
        for said in read {
            match self.take_event(&said) {
                Took::On => {}
                Took::Error => return self.fail(spec, event, event.data),
                Took::Failed(failure) => return Verdict::Fail(failure),
            }
        }
        if self.terminated { Verdict::Last } else { Verdict::Forward }
    }

    /// The body of a stream ended as HTTP means it, which in some dialects says something.
    pub(super) fn body_ended(&mut self, spec: &RelaySpec) {
        if let (Inspect::Events(_), Some(reader)) = (spec.inspect, &mut self.reader) {
            for said in reader.end() {
                self.take_event(&said);
            }
        }
    }

    /// Takes in what an event means, whichever dialect said it.
    pub(super) fn take_event(&mut self, event: &message::Event<'_>) -> Took {
        use message::Event as Said;
        let mut content = |bytes: usize| {
            self.content_events += 1;
            self.content_bytes += bytes as u64;
            self.content_started = true;
            self.closed_by_usage = false;
        };
        match event {
            Said::MessageStart { model, .. } if self.model.is_none() && !model.is_empty() => {
                self.model = Some(name(model.as_bytes()));
            }
            Said::TextDelta { choice, text, .. }
            | Said::ReasoningDelta { choice, text }
            | Said::RefusalDelta { choice, text }
                if !text.is_empty() =>
            {
                content(text.len());
                self.choices |= bit(*choice);
            }
            Said::ToolCallStart { choice, name, .. } => {
                content(name.len());
                self.choices |= bit(*choice);
            }
            Said::ToolCallDelta { arguments, .. } if !arguments.is_empty() => content(arguments.len()),
            Said::Media { choice, content: said } => {
                content(said.media().map_or(0, message::MediaSource::len));
                self.choices |= bit(*choice);
            }
            Said::ReasoningRedacted { choice, .. } => {
                content(0);
                self.choices |= bit(*choice);
            }
            // A sign of work where something was said before; by itself it may be no more than a ping.
            Said::Opaque { .. } if self.content_started => self.content_events += 1,
            Said::Finish { choice, finish } => return self.take_finish(*choice, finish),
            Said::Usage(usage) => self.usage = Some(usage.tokens.into()),
            Said::Error(_) => return Took::Error,
            Said::Done => {
                self.terminated = true;
                self.content_started = true;
            }
            _ => {}
        }
        Took::On
    }

    fn take_finish(&mut self, choice: u32, finish: &message::Finish<'_>) -> Took {
        if finish.reason == FinishReason::Error {
            let failure = Failure::new(Kind::UpstreamError);
            if !self.content_started {
                return Took::Failed(failure);
            }
            self.upstream_error = Some(failure);
        }
        self.choices |= bit(choice);
        self.finished |= bit(choice);
        self.content_started = true;
        let index = u64::from(choice);
        if self.finish.as_ref().is_none_or(|(first, _)| index <= *first) {
            self.finish = Some((index, finish.reason.word().into()));
        }
        Took::On
    }

    fn inspect_chat(&mut self, spec: &RelaySpec, event: &Event<'_>) -> Verdict {
        // Without `data:` no client sees it.
        if !event.bare && event.data.trim_ascii() == b"[DONE]" {
            self.terminated = true;
            self.content_started = true;
            return Verdict::Last;
        }
        self.events += 1;
        if !event.bare
            && event.name.is_empty()
            && let Some(text_bytes) = self.pattern.text_bytes(event.data)
        {
            self.content_events += 1;
            self.content_bytes += text_bytes as u64;
            self.closed_by_usage = false;
            return Verdict::Forward;
        }
        let Ok(chunk) = Chunk::parse(event.data, Shape::Stream) else {
            self.broken_events += 1;
            return if event.name == b"error" { self.fail(spec, event, event.data) } else { Verdict::Broken };
        };
        self.take_usage(spec, &chunk);
        if let Some(error) = chunk.error {
            return self.fail(spec, event, error);
        }
        if event.name == b"error" || chunk.is_error {
            return self.fail(spec, event, event.data);
        }
        if event.bare {
            // Clients pass over it as we do; it is neither content nor an end.
            self.broken_events += 1;
            return Verdict::Broken;
        }
        if let Some(failure) = failed_finish(&chunk) {
            if !self.content_started {
                return Verdict::Fail(failure);
            }
            self.upstream_error = Some(failure);
        }
        self.take_chunk(&chunk);
        self.pattern.learn(event.data, &chunk);
        if spec.hide_usage && chunk.choices == 0 && chunk.usage.is_some() { Verdict::Hide } else { Verdict::Forward }
    }

    fn take_usage(&mut self, spec: &RelaySpec, chunk: &Chunk<'_>) {
        if let Some(usage) = chunk.usage.and_then(|usage| Usage::from_openai(usage, spec.usage_rule)) {
            self.usage = Some(usage);
        }
    }

    fn take_chunk(&mut self, chunk: &Chunk<'_>) {
        if self.model.is_none() {
            self.model = chunk.model.map(name);
        }
        self.choices |= chunk.choices;
        self.finished |= chunk.finished;
        if let Some((index, reason)) = chunk.finish
            && self.finish.as_ref().is_none_or(|(first, _)| index <= *first)
        {
            self.finish = Some((index, name(reason)));
        }
        if chunk.has_content() {
            self.content_events += 1;
            self.content_bytes += chunk.content_bytes as u64;
        }
        self.content_started |= chunk.has_content() || chunk.finished != 0;
        self.closed_by_usage = if chunk.choices == 0 {
            self.closed_by_usage || chunk.usage.is_some() && self.content_started
        } else {
            self.closed_by_usage && !chunk.has_content()
        };
    }

    /// An error event. Before content another target may be asked. After it the client is told: in the upstream's
    /// words where those reach it and speak of no key of ours, else in the caller's.
    fn fail(&mut self, spec: &RelaySpec, event: &Event<'_>, error: &[u8]) -> Verdict {
        let (failure, shown) = told(error, event.data, spec);
        if self.content_started && !event.bare && shown {
            self.upstream_error = Some(failure);
            return Verdict::Last;
        }
        if !self.content_started {
            self.error_body = Some(Bytes::copy_from_slice(event.data));
        }
        Verdict::Fail(failure)
    }
}

/// What an error event means, and whether its client may read it as it stands.
pub(super) fn told(error: &[u8], event: &[u8], spec: &RelaySpec) -> (Failure, bool) {
    let said = ErrorBody::parse(error);
    let failure = classify(200, &said);
    let quotes_operator =
        matches!(said.status, Some(401..=403)) || failure.origin == Origin::Operator && !failure.pass_through;
    let shown = !quotes_operator && !quotes(event, &spec.secrets);
    (failure, shown)
}

/// Finish reasons by which a provider says that it broke off: DeepSeek `insufficient_system_resource`, OpenRouter and
/// Mistral `error`, Z.ai `network_error`.
pub(super) fn failed_finish(chunk: &Chunk<'_>) -> Option<Failure> {
    let (_, reason) = chunk.finish?;
    matches!(reason, b"error" | b"network_error" | b"insufficient_system_resource").then(|| {
        let said = ErrorBody { names: vec![name(reason).into_string()], ..ErrorBody::default() };
        classify(200, &said)
    })
}

/// A short text from between quotes.
pub(super) fn name(raw: &[u8]) -> Box<str> {
    let text = unescape(raw.get(..NAME_BYTES).unwrap_or(raw));
    String::from_utf8_lossy(&text).into()
}
