//! "The prompt up to here may be cached": a block here, a mark on a block in the neutral form.
//!
//! The mark is Anthropic's object, because that is how every client says it.

use crate::dialects::raw::RawValue;

use crate::dialects::message::{Block, Content, Json};
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Buffer};

const POINT: &str = "cachePoint";
const LIFETIMES: [&str; 2] = ["5m", "1h"];

/// The mark that a block is, when it is nothing else.
pub(super) fn mark(raw: &RawValue) -> Option<Json<'static>> {
    let mut block = Object::lenient(raw)?;
    let mut point = block.take_if(POINT, Object::lenient)?;
    point.take_if("type", |raw| (raw.get() == "\"default\"").then_some(()))?;
    let lifetime = point.take_if("ttl", object::text);
    let known = lifetime.as_deref().is_none_or(|lifetime| LIFETIMES.contains(&lifetime));
    if !known || !point.is_empty() || !block.is_empty() {
        return None;
    }
    let mut out = Buffer::new();
    output::object(&mut out, |members| {
        members.text("type", "ephemeral");
        members.text_if("ttl", lifetime.as_deref());
    });
    Some(Json::written(out))
}

/// Whether a block can have a mark behind it.
pub(super) fn takes_mark(block: &Block<'_>) -> bool {
    block.cache_mark.is_none() && !matches!(block.content, Content::Reasoning(_))
}

/// Writes the block for a mark. A lifetime that is not known is left out.
pub(super) fn write(out: &mut Buffer, mark: &Json<'_>) {
    let raw = mark.as_raw();
    let lifetime = raw.and_then(Object::lenient).and_then(|mut mark| mark.take_if("ttl", object::text));
    output::object(out, |block| {
        block.object(POINT, |point| {
            point.text("type", "default");
            point.text_if("ttl", lifetime.as_deref().filter(|lifetime| LIFETIMES.contains(lifetime)));
        });
    });
}
