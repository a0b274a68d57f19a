//! `functionResponse`, both ways: an object, where other dialects have text and parts.
//!
//! The neutral text of a result is what stands in `{"output":…}` or `{"error":…}`, and for any other object the object's
//! own JSON text. So a text that is a JSON object is said as that object, and one that was not is marked `Structured`.

use crate::dialects::raw::RawValue;

use super::{DIALECT, parts};
use crate::dialects::message::{Block, CallKind, Content, Extra, Extras, Spelling, Text, ToolResult};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::Members;
use crate::dialects::{DialectError, Place};

const FIELD: &str = "functionResponse";

/// Opens a `functionResponse`; what is left of it goes into `rest`. An id that is left out stays empty.
pub(super) fn parse<'a>(
    raw: &'a RawValue,
    place: Place<'_>,
    mode: Mode,
    rest: &mut Option<Extra<'a>>,
) -> Result<ToolResult<'a>, DialectError> {
    let mut inner = Object::open(raw, place, mode)?;
    let call_id = inner.take_if("id", |raw| object::text(raw).filter(|id| !id.is_empty()));
    let name = if mode == Mode::Strict { Some(inner.require_text("name")?) } else { inner.take_text("name")? };
    let mut result = ToolResult {
        kind: CallKind::Function,
        call_id: call_id.unwrap_or_default(),
        name,
        blocks: Vec::new(),
        spelling: Spelling::Absent,
        is_error: None,
    };
    if let Some(response) = inner.take_object("response")? {
        let (text, spelling, is_error) = text_of(response);
        result.spelling = spelling;
        result.is_error = is_error.then_some(true);
        result.blocks.push(Block::text(text));
    }
    let place = place.member("parts");
    for (index, raw) in inner.take_filled_list("parts")?.into_iter().flatten().enumerate() {
        result.blocks.push(parts::parse(raw, place.item(index), mode)?);
    }
    if !inner.is_empty() {
        *rest = Some(inner.into_rest(DIALECT, FIELD));
    }
    Ok(result)
}

fn text_of(response: &RawValue) -> (Text<'_>, Spelling, bool) {
    let only = |name: &str| {
        let mut object = Object::lenient(response)?;
        let text = object.take_if(name, object::text)?;
        object.is_empty().then_some(text)
    };
    if let Some(output) = only("output") {
        let spelling = if is_object(&output) { Spelling::Structured } else { Spelling::Plain };
        return (output, spelling, false);
    }
    if let Some(error) = only("error") {
        return (error, Spelling::Plain, true);
    }
    (Text::Borrowed(response.get()), Spelling::Plain, false)
}

/// Whether a text is one JSON object.
pub(super) fn is_object(text: &str) -> bool {
    text.trim_ascii_start().starts_with('{') && serde_json::from_str::<&RawValue>(text.trim_ascii()).is_ok()
}

/// Writes a result as `functionResponse`. Without a name of its own it takes `name`, that of its call.
pub(super) fn write(part: &mut Members<'_>, result: &ToolResult<'_>, name: Option<&str>, extras: &Extras<'_>) {
    let media: Vec<_> = result.blocks.iter().filter(|block| is_result_part(block)).collect();
    part.object(FIELD, |inner| {
        if !result.call_id.is_empty() && !super::ids::is_minted(&result.call_id) {
            inner.text("id", &result.call_id);
        }
        inner.text_if("name", result.name.as_deref().or(name));
        write_response(inner, result);
        if !media.is_empty() {
            inner.list("parts", media, |out, block| parts::write(out, block, None));
        }
        inner.rest_of(FIELD, DIALECT, extras);
    });
}

/// What a result may hold beside its text.
pub(super) fn is_result_part(block: &Block<'_>) -> bool {
    match &block.content {
        Content::Image { .. } | Content::Audio { .. } | Content::File { .. } => parts::is_part(block),
        Content::Opaque { dialect, .. } => *dialect == DIALECT,
        _ => false,
    }
}

fn write_response(inner: &mut Members<'_>, result: &ToolResult<'_>) {
    let texts: Vec<_> = result
        .blocks
        .iter()
        .filter_map(|block| match &block.content {
            Content::Text { text, .. } | Content::Refusal { text, .. } => Some(text.as_ref()),
            _ => None,
        })
        .collect();
    if texts.is_empty() && result.spelling == Spelling::Absent {
        return;
    }
    let text = texts.join("\n");
    if result.is_error == Some(true) {
        inner.object("response", |response| response.text("error", &text));
    } else if result.spelling != Spelling::Structured && is_object(&text) {
        inner.raw("response", text.trim_ascii());
    } else {
        inner.object("response", |response| response.text("output", &text));
    }
}
