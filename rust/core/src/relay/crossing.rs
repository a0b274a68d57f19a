//! One upstream stream on its way to a client of another dialect, under the rules of [`super::Relay`].
//!
//! Nothing goes out before there is content, and what failed until then is only told to the caller. Behind the commit
//! point an error of the upstream's is said in the client's dialect, in its words where the client may read them.

use bytes::Bytes;

use super::seen::{Seen, Took, told};
use super::{MOST_CHOICES, RelaySpec, Slices};
use crate::dialects::Dialect;
use crate::dialects::message::Event;
use crate::failure::{Failure, Kind};
use crate::translate::{self, StreamTranslator};

/// See the module.
#[derive(Debug)]
pub struct Crossing {
    spec: RelaySpec,
    source: Dialect,
    translator: StreamTranslator,
    pub(super) seen: Seen,
    /// What would have been said before there was content.
    held: Vec<u8>,
    over: bool,
    pub(super) delivered_bytes: u64,
}

impl Crossing {
    /// `source` is what the upstream speaks; the translator leads from it to the client's dialect.
    pub fn new(spec: RelaySpec, source: Dialect, translator: StreamTranslator) -> Self {
        let seen = Seen::default();
        Self { spec, source, translator, seen, held: Vec::new(), over: false, delivered_bytes: 0 }
    }

    /// As [`super::Relay::feed`].
    pub fn feed(&mut self, frame: &Bytes, out: &mut Slices) -> Result<(), Failure> {
        if self.over {
            return Ok(());
        }
        let mut said = std::mem::take(&mut self.held);
        let target = self.translator.target();
        let Self { spec, source, translator, seen, .. } = self;
        let fed = translator
            .push_watched(frame, &mut said, &mut |event, data| look(seen, spec, (*source, target), event, data));
        self.give(said, fed, out)
    }

    /// As [`super::Relay::end`].
    pub fn end(&mut self, out: &mut Slices) -> Result<(), Failure> {
        self.close(true, out)
    }

    /// As [`super::Relay::cut`].
    pub fn cut(&mut self, out: &mut Slices) -> Result<(), Failure> {
        self.close(false, out)?;
        let heard = self.seen.terminated || self.seen.upstream_error.is_some() || self.finished();
        if heard { Ok(()) } else { Err(Failure::new(Kind::Truncated)) }
    }

    /// The event that ends the client's stream with a failure of ours.
    pub fn fail(&mut self, failure: &Failure) -> Bytes {
        self.over = true;
        let mut said = Vec::new();
        self.translator.fail(failure, &mut said);
        said.into()
    }

    pub(super) fn finished(&self) -> bool {
        self.seen.finished() && self.seen.finished_choices() >= self.spec.choices.min(MOST_CHOICES)
    }

    fn close(&mut self, proper: bool, out: &mut Slices) -> Result<(), Failure> {
        if self.over {
            return Ok(());
        }
        let mut said = std::mem::take(&mut self.held);
        let target = self.translator.target();
        let Self { spec, source, translator, seen, .. } = self;
        let nothing_came = seen.events == 0;
        let ended = translator
            .finish_watched(proper, &mut said, &mut |event, data| look(seen, spec, (*source, target), event, data));
        let ended = ended.map_err(|failure| match failure.kind {
            Kind::Truncated if nothing_came => Failure::new(Kind::Malformed),
            _ => failure,
        });
        self.give(said, ended, out)?;
        self.over = true;
        Ok(())
    }

    fn give(&mut self, said: Vec<u8>, so_far: Result<(), Failure>, out: &mut Slices) -> Result<(), Failure> {
        self.over |= so_far.is_err() && !self.seen.content_started;
        if !self.seen.content_started {
            so_far?;
            if said.len() > self.spec.limits.event_bytes {
                self.over = true;
                return Err(Failure::new(Kind::ResponseTooLarge));
            }
            self.held = said;
            return Ok(());
        }
        if !said.is_empty() {
            self.delivered_bytes += said.len() as u64;
            out.push(said.into());
        }
        so_far
    }
}

/// Takes in what an event means. An error that the client must not see, or need not see yet, ends the stream here.
fn look(
    seen: &mut Seen,
    spec: &RelaySpec,
    (source, target): (Dialect, Dialect),
    event: &Event<'_>,
    data: &[u8],
) -> Result<(), Failure> {
    seen.events += 1;
    match seen.take_event(event) {
        Took::On => Ok(()),
        Took::Failed(failure) => Err(failure),
        Took::Error => {
            let (failure, shown) = told(data, data, spec);
            if seen.content_started && shown {
                seen.upstream_error = Some(failure);
                return Ok(());
            }
            if failure.pass_through {
                seen.error_body = Some(translate::error(data, source, target, failure.status, "").1);
            }
            Err(failure)
        }
    }
}
