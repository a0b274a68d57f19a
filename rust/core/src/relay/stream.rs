//! A stream on its way to its client: as it comes, or said in another dialect.

use bytes::Bytes;

use super::seen::Seen;
use super::{Crossing, Inspect, Relay, Slices};
use crate::failure::{Failure, render_openai_error_event};
use crate::translate::{self, JsonArray};
use crate::usage::Usage;

/// See the module. Its methods are [`Relay`]'s.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one of each stream, in a box of its own")]
pub enum Stream {
    Passed(Relay),
    Crossed(Crossing),
    /// Either of them, told as one JSON list. It is closed where the stream ends well, and left open where it does not.
    Listed(Box<Stream>, JsonArray),
}

impl Stream {
    /// The same stream as one JSON list.
    #[must_use]
    pub fn listed(self) -> Self {
        Self::Listed(Box::new(self), JsonArray::default())
    }

    pub fn is_list(&self) -> bool {
        matches!(self, Self::Listed(..))
    }

    pub fn feed(&mut self, frame: Bytes, out: &mut Slices) -> Result<(), Failure> {
        match self {
            Self::Passed(relay) => relay.feed(frame, out),
            Self::Crossed(crossing) => crossing.feed(&frame, out),
            Self::Listed(stream, list) => in_list(list, out, |out| stream.feed(frame, out)),
        }
    }

    pub fn end(&mut self, out: &mut Slices) -> Result<(), Failure> {
        match self {
            Self::Passed(relay) => relay.end(out),
            Self::Crossed(crossing) => crossing.end(out),
            Self::Listed(stream, list) => in_list(list, out, |out| stream.end(out)),
        }
    }

    pub fn cut(&mut self, out: &mut Slices) -> Result<(), Failure> {
        match self {
            Self::Passed(relay) => relay.cut(out),
            Self::Crossed(crossing) => crossing.cut(out),
            Self::Listed(stream, list) => in_list(list, out, |out| stream.cut(out)),
        }
    }

    /// Nothing comes any more, and what came is all: says so where the framing has a word for it.
    pub fn close(&mut self, out: &mut Slices) {
        if let Self::Listed(stream, list) = self
            && stream.upstream_error().is_none()
        {
            let mut said = Vec::new();
            list.end(&mut said);
            give(said, out);
        }
    }

    /// The event that ends the client's stream, in its dialect, with a failure of ours.
    pub fn fail(&mut self, failure: &Failure) -> Bytes {
        match self {
            Self::Passed(relay) => match relay.spec.inspect {
                Inspect::Events(dialect) => translate::error_event(dialect, failure),
                Inspect::OpenAiChat | Inspect::Raw => render_openai_error_event(failure),
            },
            Self::Crossed(crossing) => crossing.fail(failure),
            Self::Listed(stream, list) => {
                let mut said = Vec::new();
                list.push(&stream.fail(failure), &mut said);
                said.into()
            }
        }
    }

    fn seen(&self) -> &Seen {
        match self {
            Self::Passed(relay) => &relay.seen,
            Self::Crossed(crossing) => &crossing.seen,
            Self::Listed(stream, _) => stream.seen(),
        }
    }

    pub fn content_started(&self) -> bool {
        self.seen().content_started
    }

    pub fn finished(&self) -> bool {
        match self {
            Self::Passed(relay) => relay.finished(),
            Self::Crossed(crossing) => crossing.finished(),
            Self::Listed(stream, _) => stream.finished(),
        }
    }

    pub fn terminated(&self) -> bool {
        self.seen().terminated
    }

    pub fn usage(&self) -> Option<&Usage> {
        self.seen().usage.as_ref()
    }

    pub fn finish_reason(&self) -> Option<&str> {
        self.seen().finish.as_ref().map(|(_, reason)| &**reason)
    }

    pub fn upstream_error(&self) -> Option<&Failure> {
        self.seen().upstream_error.as_ref()
    }

    pub fn error_body(&self) -> Option<&Bytes> {
        self.seen().error_body.as_ref()
    }

    pub fn content_events(&self) -> u64 {
        self.seen().content_events
    }

    pub fn delivered_bytes(&self) -> u64 {
        match self {
            Self::Passed(relay) => relay.delivered_bytes,
            Self::Crossed(crossing) => crossing.delivered_bytes,
            Self::Listed(stream, _) => stream.delivered_bytes(),
        }
    }
}

/// Tells as items of a list what a stream gives.
fn in_list(
    list: &mut JsonArray,
    out: &mut Slices,
    work: impl FnOnce(&mut Slices) -> Result<(), Failure>,
) -> Result<(), Failure> {
    let (mut events, mut said) = (Slices::new(), Vec::new());
    let worked = work(&mut events);
    for event in &events {
        list.push(event, &mut said);
    }
    give(said, out);
    worked
}

fn give(said: Vec<u8>, out: &mut Slices) {
    if !said.is_empty() {
        out.push(said.into());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialects::Dialect;
    use crate::failure::Kind;
    use crate::relay::RelaySpec;

    const EVENT: &str = "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]}}]}\r\n\r\n";
    const LAST: &str =
        "data: {\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"b\"}]},\"finishReason\":\"STOP\"}]}\r\n\r\n";
    const ERROR: &str = "data: {\"error\":{\"code\":503,\"message\":\"m\",\"status\":\"UNAVAILABLE\"}}\r\n\r\n";

    fn listed(events: &[&str], piece: usize) -> (String, Stream) {
        let spec = RelaySpec { inspect: Inspect::Events(Dialect::Gemini), ..RelaySpec::default() };
        let mut stream = Stream::Passed(Relay::new(spec)).listed();
        let mut out = Slices::new();
        for piece in events.concat().as_bytes().chunks(piece) {
            stream.feed(Bytes::copy_from_slice(piece), &mut out).unwrap();
        }
        (String::from_utf8(out.concat()).unwrap(), stream)
    }

    fn ended(mut stream: Stream) -> String {
        let mut out = Slices::new();
        stream.end(&mut out).unwrap();
        stream.close(&mut out);
        stream.close(&mut out);
        String::from_utf8(out.concat()).unwrap()
    }

    #[test]
    fn a_stream_becomes_one_list_however_it_is_cut() {
        for piece in [1, 7, 1000] {
            let (said, stream) = listed(&[EVENT, LAST], piece);
            let all: serde_json::Value = serde_json::from_str(&(said + &ended(stream))).unwrap();
            assert_eq!(all.as_array().unwrap().len(), 2);
            assert_eq!(all[1]["candidates"][0]["finishReason"], "STOP");
        }
    }

    #[test]
    fn a_list_that_broke_off_ends_with_its_error_and_stays_open() {
        let (said, mut stream) = listed(&[EVENT], 1000);
        let error = stream.fail(&Failure::new(Kind::Truncated));
        let all = said + std::str::from_utf8(&error).unwrap();
        assert!(serde_json::from_str::<serde_json::Value>(&all).is_err());
        let closed: serde_json::Value = serde_json::from_str(&(all + "]")).unwrap();
        assert_eq!(closed[1]["error"]["code"], 502);

        let (said, stream) = listed(&[EVENT, ERROR], 1000);
        let rest = ended(stream);
        assert_eq!(rest, "");
        let closed: serde_json::Value = serde_json::from_str(&(said + "]")).unwrap();
        assert_eq!(closed[1]["error"]["status"], "UNAVAILABLE");
    }
}
