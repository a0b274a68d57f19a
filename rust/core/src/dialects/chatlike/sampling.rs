//! Sampling as OpenAI names it, and the sequences at which a model stops.

use crate::dialects::raw::RawValue;

use crate::dialects::message::{Sampling, Spelling, Stop, Text};
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Members};
use crate::dialects::{DialectError, Place};

/// Takes all but log probabilities, for which each dialect has an own form.
pub(crate) fn take<'a>(request: &mut Object<'a, '_>) -> Result<Sampling<'a>, DialectError> {
    Ok(Sampling {
        temperature: request.take_f64("temperature")?,
        top_p: request.take_f64("top_p")?,
        top_k: request.take_u64("top_k")?,
        frequency_penalty: request.take_f64("frequency_penalty")?,
        presence_penalty: request.take_f64("presence_penalty")?,
        seed: request.take_i64("seed")?,
        n: request.take_u64("n")?,
        stop: take_stop(request)?,
        ..Sampling::default()
    })
}

/// As [`take`], the other way.
pub(crate) fn write(members: &mut Members<'_>, sampling: &Sampling<'_>) {
    members.float_if("temperature", sampling.temperature);
    members.float_if("top_p", sampling.top_p);
    members.whole_if("top_k", sampling.top_k);
    members.float_if("frequency_penalty", sampling.frequency_penalty);
    members.float_if("presence_penalty", sampling.presence_penalty);
    members.signed_if("seed", sampling.seed);
    members.whole_if("n", sampling.n);
    if let Some(stop) = &sampling.stop {
        match (stop.spelling, stop.sequences.as_slice()) {
            (Spelling::Plain, [one]) => members.text("stop", one),
            (_, sequences) => write_stop_list(members, "stop", sequences),
        }
    }
}

/// `stop`, one string or a list of them.
fn take_stop<'a>(request: &mut Object<'a, '_>) -> Result<Option<Stop<'a>>, DialectError> {
    if let Some(one) = request.take_if("stop", object::text) {
        return Ok(Some(Stop { sequences: vec![one], spelling: Spelling::Plain }));
    }
    take_stop_list(request, "stop")
}

/// A list of strings under the name that a dialect has for it.
pub(crate) fn take_stop_list<'a>(
    request: &mut Object<'a, '_>,
    name: &'static str,
) -> Result<Option<Stop<'a>>, DialectError> {
    let here: Place<'_> = request.place;
    let place = here.member(name);
    request.take_list(name)?.map(|items| stop_of(items, place)).transpose()
}

/// The strings of a list that stands at `place`.
pub(crate) fn stop_of<'a>(items: Vec<&'a RawValue>, place: Place<'_>) -> Result<Stop<'a>, DialectError> {
    let sequences = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| object::text(item).ok_or_else(|| place.item(index).refuse("must be a string")));
    Ok(Stop { sequences: sequences.collect::<Result<_, _>>()?, spelling: Spelling::Structured })
}

pub(crate) fn write_stop_list(members: &mut Members<'_>, name: &'static str, sequences: &[Text<'_>]) {
    members.list(name, sequences, |out, text| output::text(out, text));
}
