//! What the model is to do beside answering: how much to think, and in which form to answer.
//!
//! Effort and form have a field for all models (`outputConfig`). A budget and `top_k` are a model's own business, and go as
//! Anthropic's models take them, to `additionalModelRequestFields`; what a route's models call otherwise, a quirk says.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::message::{ChatRequest, Extras, Json, ReasoningMode, ReasoningWish, ResponseFormat, Text};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::Members;
use crate::dialects::{DialectError, Place};

const FIELDS: &str = "additionalModelRequestFields";
const THINKING: &str = "thinking";
const TOP_K: &str = "top_k";
const CONFIG: &str = "outputConfig";
const FORMAT: &str = "textFormat";
const EFFORT: &str = "effort";

/// Takes both objects; what they say besides goes to `extras` under their names.
pub(super) fn take<'a>(
    request: &mut Object<'a, '_>,
    chat: &mut ChatRequest<'a>,
    extras: &mut Extras<'a>,
) -> Result<(), DialectError> {
    let mut wish = None;
    if let Some(raw) = request.take_object(FIELDS)? {
        let place = Place::Document.member(FIELDS);
        let mut fields = Object::open(raw, place, Mode::Strict)?;
        wish = fields.take_if(THINKING, thinking);
        chat.sampling.top_k = fields.take_if(TOP_K, object::whole);
        if !fields.is_empty() || (wish.is_none() && chat.sampling.top_k.is_none()) {
            extras.push(fields.into_rest(DIALECT, FIELDS));
        }
    }
    if let Some(raw) = request.take_object(CONFIG)? {
        let place = Place::Document.member(CONFIG);
        let mut config = Object::open(raw, place, Mode::Strict)?;
        let effort = config.take_if(EFFORT, |raw| object::text(raw).filter(|word| effort_word(word) == Some(word)));
        chat.response_format = config.take_if(FORMAT, format);
        if !config.is_empty() || (effort.is_none() && chat.response_format.is_none()) {
            extras.push(config.into_rest(DIALECT, CONFIG));
        }
        if effort.is_some() {
            wish.get_or_insert_with(ReasoningWish::default).effort = effort;
        }
    }
    chat.reasoning = wish;
    Ok(())
}

/// `None` for what says more than a mode and a budget.
fn thinking(raw: &RawValue) -> Option<ReasoningWish<'_>> {
    let mut thinking = Object::lenient(raw)?;
    let mode = match thinking.take_if("type", object::text)?.as_ref() {
        "enabled" => ReasoningMode::Enabled,
        "adaptive" => ReasoningMode::Adaptive,
        "disabled" => ReasoningMode::Disabled,
        _ => return None,
    };
    let budget_tokens = thinking.take_if("budget_tokens", object::whole);
    let wish = ReasoningWish { mode: Some(mode), budget_tokens, ..ReasoningWish::default() };
    thinking.is_spent().then_some(wish)
}

fn format(raw: &RawValue) -> Option<ResponseFormat<'_>> {
    let mut format = Object::lenient(raw)?;
    format.take_if("type", |raw| (raw.get() == "\"json_schema\"").then_some(()))?;
    let mut structure = format.take_if("structure", Object::lenient)?;
    let mut schema = structure.take_if("jsonSchema", Object::lenient)?;
    // JSON in a string.
    let text = schema.take_if("schema", object::text)?;
    let whole = Json::parse(&text).is_some_and(|json| json.as_str().len() == text.len());
    let name = schema.take_if("name", object::text);
    let description = schema.take_if("description", object::text);
    let understood = whole && schema.is_empty() && structure.is_empty() && format.is_empty();
    let schema = Some(Json::written(text.into_owned().into_bytes()));
    understood.then_some(ResponseFormat::JsonSchema { name, description, schema, strict: None })
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

/// An effort in this dialect's words, which begin at `low`.
fn effort_word(effort: &str) -> Option<&str> {
    match effort {
        "none" => None,
        "minimal" => Some("low"),
        effort => Some(effort),
    }
}

pub(super) fn write(members: &mut Members<'_>, chat: &ChatRequest<'_>) {
    let wish = chat.reasoning.as_ref();
    let mode = wish.and_then(mode_of);
    if mode.is_some() || chat.sampling.top_k.is_some() {
        members.object(FIELDS, |fields| {
            if let Some((wish, mode)) = wish.zip(mode) {
                fields.object(THINKING, |thinking| {
                    let word = match mode {
                        ReasoningMode::Enabled => "enabled",
                        ReasoningMode::Adaptive => "adaptive",
                        ReasoningMode::Disabled => "disabled",
                    };
                    thinking.text("type", word);
                    if mode != ReasoningMode::Disabled || wish.mode.is_some() {
                        thinking.whole_if("budget_tokens", wish.budget_tokens);
                    }
                });
            }
            fields.whole_if(TOP_K, chat.sampling.top_k);
            fields.rest_of(FIELDS, DIALECT, &chat.extras);
        });
    }
    let effort = wish.and_then(|wish| wish.effort.as_deref()).and_then(effort_word);
    let format = match &chat.response_format {
        Some(ResponseFormat::JsonSchema { name, description, schema: Some(schema), .. }) => {
            Some((name.as_ref(), description.as_ref(), schema))
        }
        _ => None,
    };
    if effort.is_some() || format.is_some() {
        members.object(CONFIG, |config| {
            if let Some(format) = format {
                config.object(FORMAT, |members| write_format(members, format));
            }
            config.text_if(EFFORT, effort);
            config.rest_of(CONFIG, DIALECT, &chat.extras);
        });
    }
}

type Format<'f> = (Option<&'f Text<'f>>, Option<&'f Text<'f>>, &'f Json<'f>);

fn write_format(format: &mut Members<'_>, (name, description, schema): Format<'_>) {
    format.text("type", "json_schema");
    format.object("structure", |structure| {
        structure.object("jsonSchema", |members| {
            members.text("schema", schema.as_str());
            members.text_if("name", name.map(AsRef::as_ref));
            members.text_if("description", description.map(AsRef::as_ref));
        });
    });
}

pub(super) fn dropped(chat: &ChatRequest<'_>, dropped: &mut Vec<String>) {
    let mut name = |lost: bool, name: &str| {
        if lost {
            dropped.push(name.to_owned());
        }
    };
    if let Some(wish) = &chat.reasoning {
        // What was thought is always told.
        name(wish.include == Some(false), "reasoning.include");
    }
    match &chat.response_format {
        // An answer always holds to its schema here.
        Some(ResponseFormat::JsonSchema { schema, .. }) => name(schema.is_none(), "response_format"),
        Some(ResponseFormat::JsonObject) => name(true, "response_format"),
        Some(ResponseFormat::Text) | None => {}
    }
}
