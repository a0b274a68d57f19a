//! How much the model is to think, and in which form it is to answer: `thinking` and `output_config`, both ways.
//!
//! Which of budget and effort a model takes is not known here: what the client said is said again.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::message::{ChatRequest, Extra, Extras, Json, ReasoningMode, ReasoningWish, ResponseFormat};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::Members;
use crate::dialects::{DialectError, Place};

const THINKING: &str = "thinking";
const CONFIG: &str = "output_config";
const FORMAT: &str = "format";
const EARLIER: &str = "output_format";

type Wishes<'a> = (Option<ReasoningWish<'a>>, Option<ResponseFormat<'a>>);

/// Takes both objects; what they say beside reasoning and format goes to `extras` under their names.
pub(super) fn take<'a>(request: &mut Object<'a, '_>, extras: &mut Extras<'a>) -> Result<Wishes<'a>, DialectError> {
    let mut wish = ReasoningWish::default();
    let mut wished = false;
    if let Some(raw) = request.take_object(THINKING)? {
        let place = Place::Document.member(THINKING);
        let mut thinking = Object::open(raw, place, Mode::Strict)?;
        wish.mode = thinking.take_if("type", mode);
        if wish.mode.is_some() {
            wished = true;
            wish.budget_tokens = thinking.take_u64("budget_tokens")?;
            wish.include = thinking.take_if("display", display);
        }
        if wish.mode.is_none() || !thinking.is_empty() {
            extras.push(thinking.into_rest(DIALECT, THINKING));
        }
    }
    let mut format = None;
    if let Some(raw) = request.take_object(CONFIG)? {
        let place = Place::Document.member(CONFIG);
        let mut config = Object::open(raw, place, Mode::Strict)?;
        wish.effort = config.take_text("effort")?;
        let mut rest = None;
        format = config.take_if(FORMAT, |raw| response_format(raw, &mut rest));
        wished |= wish.effort.is_some();
        let is_read = wish.effort.is_some() || format.is_some();
        if is_read && config.is_empty() {
            extras.extend(config.unspent_with(DIALECT, CONFIG, rest));
        } else {
            let mut left = config.into_extras(DIALECT);
            left.extend(rest);
            extras.push(left.as_rest(DIALECT, CONFIG));
        }
    }
    // Where clients said it before; it stays there, for those who read it there.
    if format.is_none() && request.peek(EARLIER).is_some() {
        format = request.peek(EARLIER).and_then(|raw| response_format(raw, &mut None));
    }
    Ok((wished.then_some(wish), format))
}

fn mode(raw: &RawValue) -> Option<ReasoningMode> {
    match object::text(raw)?.as_ref() {
        "enabled" => Some(ReasoningMode::Enabled),
        "adaptive" => Some(ReasoningMode::Adaptive),
        "disabled" => Some(ReasoningMode::Disabled),
        _ => None,
    }
}

fn display(raw: &RawValue) -> Option<bool> {
    match object::text(raw)?.as_ref() {
        "summarized" => Some(true),
        "omitted" => Some(false),
        _ => None,
    }
}

fn response_format<'a>(raw: &'a RawValue, rest: &mut Option<Extra<'a>>) -> Option<ResponseFormat<'a>> {
    let mut format = Object::lenient(raw)?;
    format.take_if("type", |raw| (raw.get() == "\"json_schema\"").then_some(()))?;
    let schema = format.take_json("schema")?;
    *rest = format.unspent(DIALECT, FORMAT);
    Some(ResponseFormat::JsonSchema { name: None, description: None, schema: Some(schema), strict: None })
}

/// The mode that a wish comes to; `None` when it says only how hard to try.
fn mode_of(wish: &ReasoningWish<'_>) -> Option<ReasoningMode> {
    match wish.mode {
        None if wish.effort.as_deref() == Some("none") || wish.budget_tokens == Some(0) => {
            Some(ReasoningMode::Disabled)
        }
        None if wish.budget_tokens.is_some() => Some(ReasoningMode::Enabled),
        mode => mode,
    }
}

/// The effort in this dialect's words, which begin at `low`.
fn effort_of<'w>(wish: &'w ReasoningWish<'_>) -> Option<&'w str> {
    match wish.effort.as_deref() {
        Some("none") => None,
        Some("minimal") => Some("low"),
        effort => effort,
    }
}

fn schema_of<'r>(request: &'r ChatRequest<'_>) -> Option<&'r Json<'r>> {
    match &request.response_format {
        Some(ResponseFormat::JsonSchema { schema, .. }) if request.extras.get(DIALECT, EARLIER).is_none() => {
            schema.as_ref()
        }
        _ => None,
    }
}

pub(super) fn write(members: &mut Members<'_>, request: &ChatRequest<'_>) {
    let wish = request.reasoning.as_ref();
    if let Some((wish, mode)) = wish.and_then(|wish| Some((wish, mode_of(wish)?))) {
        members.object(THINKING, |thinking| {
            let word = match mode {
                ReasoningMode::Enabled => "enabled",
                ReasoningMode::Adaptive => "adaptive",
                ReasoningMode::Disabled => "disabled",
            };
            thinking.text("type", word);
            if mode != ReasoningMode::Disabled || wish.mode.is_some() {
                thinking.whole_if("budget_tokens", wish.budget_tokens);
                // Who asks for a summary wants to be told something.
                let include = wish.include.or(wish.summary.is_some().then_some(true));
                let display = include.map(|include| if include { "summarized" } else { "omitted" });
                thinking.text_if("display", display);
            }
            thinking.rest_of(THINKING, DIALECT, &request.extras);
        });
    }
    let (effort, schema) = (wish.and_then(effort_of), schema_of(request));
    if effort.is_some() || schema.is_some() {
        members.object(CONFIG, |config| {
            let rest = request.extras.inside(DIALECT, CONFIG);
            config.text_if("effort", effort);
            if let Some(schema) = schema {
                config.object(FORMAT, |format| {
                    format.text("type", "json_schema");
                    format.raw("schema", schema.as_str());
                    format.rest_of(FORMAT, DIALECT, &rest);
                });
            }
            config.extras(DIALECT, &rest);
        });
    }
}

pub(super) fn dropped(request: &ChatRequest<'_>, dropped: &mut Vec<String>) {
    let mut name = |lost: bool, name: &str| {
        if lost {
            dropped.push(name.to_owned());
        }
    };
    if let Some(wish) = &request.reasoning {
        name(wish.include == Some(false) && mode_of(wish).is_none(), "reasoning.include");
    }
    match &request.response_format {
        // An answer always holds to its schema here, and what it is called says nothing.
        Some(ResponseFormat::JsonSchema { description, schema, .. }) => {
            name(schema.is_none(), "response_format");
            name(description.is_some(), "response_format.description");
        }
        Some(ResponseFormat::JsonObject) => name(true, "response_format"),
        Some(ResponseFormat::Text) | None => {}
    }
}
