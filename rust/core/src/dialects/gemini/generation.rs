//! `generationConfig`, both ways: sampling, limits, the form of the answer and how much to think.
//!
//! The surprise: `maxOutputTokens` counts thoughts too, as the neutral limit does.

use crate::dialects::raw::RawValue;

use super::{DIALECT, names, schema};
use crate::dialects::chatlike::sampling;
use crate::dialects::message::{
    ChatRequest, Extra, Extras, Json, ReasoningMode, ReasoningWish, ResponseFormat, Sampling,
};
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Members};
use crate::dialects::{DialectError, Place};

pub(super) const CONFIG: &str = "generationConfig";
const THINKING: &str = "thinkingConfig";
const MIME: &str = "responseMimeType";
const SCHEMA: &str = "responseSchema";
const JSON_SCHEMA: &str = "responseJsonSchema";
const LEVEL: &str = "thinkingLevel";
const BUDGET: &str = "thinkingBudget";
const UNSAID: &str = "\"THINKING_LEVEL_UNSPECIFIED\"";

/// Takes `generationConfig` into the request; what is left of it lies in the request's extras under its name.
pub(super) fn take<'a>(
    object: &mut Object<'a, '_>,
    request: &mut ChatRequest<'a>,
) -> Result<Option<Extra<'a>>, DialectError> {
    let place = Place::Document.member(CONFIG);
    let Some(raw) = object.take_object(CONFIG)? else {
        return Ok(None);
    };
    let mut config = names::open(raw, place)?;
    request.sampling = Sampling {
        temperature: config.take_f64("temperature")?,
        top_p: config.take_f64("topP")?,
        top_k: config.take_u64("topK")?,
        frequency_penalty: config.take_f64("frequencyPenalty")?,
        presence_penalty: config.take_f64("presencePenalty")?,
        seed: config.take_i64("seed")?,
        n: config.take_u64("candidateCount")?,
        logprobs: config.take_bool("responseLogprobs")?,
        top_logprobs: config.take_u64("logprobs")?,
        stop: sampling::take_stop_list(&mut config, "stopSequences")?,
    };
    request.max_completion_tokens = config.take_u64("maxOutputTokens")?;
    request.response_format = take_format(&mut config)?;
    let thinking = take_thinking(&mut config, request)?;
    let is_read = request.sampling != Sampling::default()
        || request.max_completion_tokens.is_some()
        || request.response_format.is_some()
        || request.reasoning.is_some();
    // An empty one is said again as it was said.
    if is_read && config.is_empty() && thinking.is_none() {
        return Ok(None);
    }
    let mut rest = config.into_extras(DIALECT);
    rest.extend(thinking);
    Ok(Some(rest.as_rest(DIALECT, CONFIG)))
}

/// The form of the answer. A schema in Google's older form is read and stays among the extras as well, as what was said.
fn take_format<'a>(config: &mut Object<'a, '_>) -> Result<Option<ResponseFormat<'a>>, DialectError> {
    let mime = config
        .peek(MIME)
        .map(|raw| object::text(raw).ok_or_else(|| config.place.member(MIME).refuse("must be a string")));
    let format = match mime.transpose()?.as_deref() {
        Some("text/plain") => ResponseFormat::Text,
        Some("application/json") => {
            let is_object = |raw: &RawValue| raw.get().starts_with('{');
            let schema = match (config.peek(SCHEMA), config.peek(JSON_SCHEMA)) {
                (None, None) => None,
                (Some(raw), None) if is_object(raw) => Some(schema::to_json_schema(raw)),
                (None, Some(raw)) if is_object(raw) => config.take_json(JSON_SCHEMA),
                _ => return Ok(None),
            };
            match schema {
                None => ResponseFormat::JsonObject,
                schema => ResponseFormat::JsonSchema { name: None, description: None, schema, strict: None },
            }
        }
        _ => return Ok(None),
    };
    config.forget(MIME);
    Ok(Some(format))
}

/// Takes `thinkingConfig`, where a budget of 0 is "do not think" and one of -1 "as much as you like". Gives what is left.
fn take_thinking<'a>(
    config: &mut Object<'a, '_>,
    request: &mut ChatRequest<'a>,
) -> Result<Option<Extra<'a>>, DialectError> {
    let here = config.place;
    let place = here.member(THINKING);
    let Some(raw) = config.take_object(THINKING)? else {
        return Ok(None);
    };
    let mut thinking = names::open(raw, place)?;
    let mut wish = ReasoningWish { include: thinking.take_bool("includeThoughts")?, ..ReasoningWish::default() };
    let mut original = None;
    // Google's word for saying nothing stays what it is.
    let unsaid = thinking.peek(LEVEL).is_some_and(|raw| raw.get() == UNSAID);
    let level = if unsaid { None } else { thinking.take_text(LEVEL)? };
    if let Some(level) = level {
        let lower = level.to_ascii_lowercase();
        if lower != level {
            original = Some(thinking_level(&level));
        }
        wish.effort = Some(lower.into());
    } else {
        match thinking.take_i64(BUDGET)? {
            Some(-1) => wish.mode = Some(ReasoningMode::Adaptive),
            Some(0) => wish.mode = Some(ReasoningMode::Disabled),
            Some(budget) => {
                let budget = u64::try_from(budget);
                wish.budget_tokens = Some(budget.map_err(|_| place.member(BUDGET).refuse("must be at least -1"))?);
            }
            None => {}
        }
    }
    let is_read = wish != ReasoningWish::default();
    if is_read {
        request.reasoning = Some(wish);
    }
    if is_read && thinking.is_empty() && original.is_none() {
        return Ok(None);
    }
    let mut rest = thinking.into_extras(DIALECT);
    rest.extend(original);
    Ok(Some(rest.as_rest(DIALECT, THINKING)))
}

/// The level in the letters it was said in: Google takes both, other dialects small ones.
fn thinking_level(level: &str) -> Extra<'static> {
    let mut value = Vec::new();
    output::text(&mut value, level);
    Extra { dialect: DIALECT, name: LEVEL.into(), value: Json::written(value) }
}

/// Writes `generationConfig`, where there is something to say in it.
pub(super) fn write(members: &mut Members<'_>, request: &ChatRequest<'_>) {
    let rest = request.extras.get(DIALECT, CONFIG).and_then(Json::as_raw);
    let rest = rest.filter(|raw| raw.get().starts_with('{'));
    let reasoning = request.reasoning.as_ref().filter(|wish| is_sayable(wish));
    let nothing = request.sampling == Sampling::default()
        && request.max_output_tokens().is_none()
        && request.response_format.is_none()
        && reasoning.is_none();
    if nothing && rest.is_none() {
        return;
    }
    let rest = rest.and_then(Object::lenient).map(|rest| rest.into_extras(DIALECT)).unwrap_or_default();
    members.object(CONFIG, |config| {
        write_sampling(config, &request.sampling);
        config.whole_if("maxOutputTokens", request.max_output_tokens());
        if let Some(format) = &request.response_format {
            write_format(config, format, rest.get(DIALECT, SCHEMA).is_some());
        }
        if let Some(wish) = reasoning {
            config.object(THINKING, |thinking| write_thinking(thinking, wish, &rest));
        }
        config.extras(DIALECT, &rest);
    });
}

fn write_sampling(config: &mut Members<'_>, sampling: &Sampling<'_>) {
    config.float_if("temperature", sampling.temperature);
    config.float_if("topP", sampling.top_p);
    config.whole_if("topK", sampling.top_k);
    config.float_if("frequencyPenalty", sampling.frequency_penalty);
    config.float_if("presencePenalty", sampling.presence_penalty);
    config.signed_if("seed", sampling.seed);
    config.whole_if("candidateCount", sampling.n);
    config.flag_if("responseLogprobs", sampling.logprobs);
    config.whole_if("logprobs", sampling.top_logprobs);
    if let Some(stop) = &sampling.stop {
        config.list("stopSequences", &stop.sequences, |out, text| output::text(out, text));
    }
}

fn write_format(config: &mut Members<'_>, format: &ResponseFormat<'_>, has_schema: bool) {
    match format {
        ResponseFormat::Text => config.text(MIME, "text/plain"),
        ResponseFormat::JsonObject => config.text(MIME, "application/json"),
        ResponseFormat::JsonSchema { schema, .. } => {
            config.text(MIME, "application/json");
            if !has_schema {
                config.json_if(JSON_SCHEMA, schema.as_ref());
            }
        }
    }
}

/// Whether a wish comes to anything here: how it is spelled alone does not.
fn is_sayable(wish: &ReasoningWish<'_>) -> bool {
    wish.effort.is_some() || wish.mode.is_some() || wish.budget_tokens.is_some() || include(wish).is_some()
}

/// Who asks for a summary wants to be told something.
fn include(wish: &ReasoningWish<'_>) -> Option<bool> {
    wish.include.or(wish.summary.is_some().then_some(true))
}

/// Never both a level and a budget, which Google refuses.
fn write_thinking(thinking: &mut Members<'_>, wish: &ReasoningWish<'_>, rest: &Extras<'_>) {
    let original = rest.get(DIALECT, THINKING).and_then(Json::as_raw);
    let original = original.and_then(Object::lenient);
    let level = original.as_ref().and_then(|original| original.peek(LEVEL)).and_then(object::text);
    match (wish.effort.as_deref(), wish.mode) {
        (Some("none"), _) | (None, Some(ReasoningMode::Disabled)) => thinking.whole(BUDGET, 0),
        (Some(effort), _) if level.as_deref().is_some_and(|level| level.eq_ignore_ascii_case(effort)) => {}
        (Some(effort), _) => thinking.text(LEVEL, level_of(effort)),
        (None, Some(ReasoningMode::Adaptive)) => thinking.signed_if(BUDGET, Some(-1)),
        (None, _) => thinking.whole_if(BUDGET, wish.budget_tokens),
    }
    thinking.flag_if("includeThoughts", include(wish));
    thinking.rest_of(THINKING, DIALECT, rest);
}

/// Efforts above the highest level come to that level.
fn level_of(effort: &str) -> &str {
    match effort {
        "xhigh" | "max" => "high",
        effort => effort,
    }
}

/// What of the form of the answer Gemini cannot say.
pub(super) fn dropped(format: Option<&ResponseFormat<'_>>) -> impl Iterator<Item = String> {
    // An answer always holds to its schema here.
    let described = matches!(format, Some(ResponseFormat::JsonSchema { description: Some(_), .. }));
    described.then(|| "response_format.description".to_owned()).into_iter()
}
