//! Where a wish to think stands in a chat request: providers that imitate chat each have a place of their own.

use crate::dialects::Dialect;
use crate::dialects::message::{ChatRequest, Extra, Json, ReasoningMode, ReasoningWish, Text};
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Members};
use crate::quirks::ReasoningForm;

const CHAT: Dialect = Dialect::OpenAiChat;

/// What chat clients send for other providers' models and no chat provider but that one understands.
pub(super) fn take(request: &mut ChatRequest<'_>) {
    if request.reasoning.is_some() {
        return;
    }
    let chat = CHAT;
    let mut wish = ReasoningWish::default();
    if let Some(json) = request.extras.get(chat, "thinking").cloned()
        && let Some(raw) = json.as_raw()
        && let Some(mut thinking) = Object::lenient(raw)
        && let Some(kind) = thinking.take_if("type", object::text)
    {
        wish.mode = match kind.as_ref() {
            "enabled" => Some(ReasoningMode::Enabled),
            "adaptive" | "auto" => Some(ReasoningMode::Adaptive),
            "disabled" => Some(ReasoningMode::Disabled),
            _ => None,
        };
        wish.budget_tokens = thinking.take_if("budget_tokens", object::whole);
        request.extras.take(chat, "thinking");
    } else if let Some(json) = request.extras.get(chat, "reasoning").cloned()
        && let Some(raw) = json.as_raw()
        && let Some(mut reasoning) = Object::lenient(raw)
    {
        wish.effort = reasoning.take_if("effort", object::text).map(|effort| Text::Owned(effort.into_owned()));
        wish.budget_tokens = reasoning.take_if("max_tokens", object::whole);
        wish.include = reasoning.take_if("exclude", |raw| raw.get().parse().ok()).map(|exclude: bool| !exclude);
        wish.mode = reasoning.take_if("enabled", |raw| raw.get().parse().ok()).map(on_or_off);
        request.extras.take(chat, "reasoning");
    } else if let Some(flag) = request.extras.get(chat, "enable_thinking").and_then(|json| json.as_str().parse().ok()) {
        wish.mode = Some(on_or_off(flag));
        wish.budget_tokens = request.extras.get(chat, "thinking_budget").and_then(|json| json.as_str().parse().ok());
        request.extras.take(chat, "enable_thinking");
        request.extras.take(chat, "thinking_budget");
    }
    if wish != ReasoningWish::default() {
        request.reasoning = Some(wish);
    }
}

pub(super) fn on_or_off(on: bool) -> ReasoningMode {
    if on { ReasoningMode::Enabled } else { ReasoningMode::Disabled }
}

/// Says the wish where this provider looks for it. What the client itself said there stays.
pub(in crate::passes) fn spell(request: &mut ChatRequest<'_>, form: ReasoningForm) {
    let Some(wish) = &mut request.reasoning else {
        return;
    };
    let off = wish.mode == Some(ReasoningMode::Disabled) || wish.effort.as_deref() == Some("none");
    let budget = wish.budget_tokens.filter(|_| !off);
    let mut said: Vec<(&'static str, Json<'static>)> = Vec::new();
    match form {
        ReasoningForm::Effort => {
            // The one switch there is, is a word.
            if off {
                wish.effort = Some("none".into());
            }
            return;
        }
        ReasoningForm::Thinking => {
            let kind = if off { "disabled" } else { "enabled" };
            said.push(("thinking", written(|thinking| thinking.text("type", kind))));
            if off {
                wish.effort = None;
            }
        }
        ReasoningForm::EnableThinking => {
            said.push(("enable_thinking", flag(!off)));
            said.extend(budget.map(|budget| ("thinking_budget", Json::written(budget.to_string().into_bytes()))));
            if off || budget.is_some() {
                wish.effort = None;
            }
        }
        ReasoningForm::Reasoning => {
            let effort = wish.effort.take();
            let reasoning = written(|reasoning| {
                match (off, budget, &effort) {
                    (true, ..) => reasoning.text("effort", "none"),
                    (_, Some(budget), _) => reasoning.whole("max_tokens", budget),
                    (_, None, Some(effort)) => reasoning.text("effort", effort),
                    (_, None, None) => reasoning.flag("enabled", true),
                }
                reasoning.flag_if("exclude", wish.include.filter(|include| !include).map(|include| !include));
            });
            said.push(("reasoning", reasoning));
        }
        ReasoningForm::Template => {
            said.push(("chat_template_kwargs", written(|arguments| arguments.flag("enable_thinking", !off))));
            if off {
                wish.effort = None;
            }
        }
    }
    for (name, value) in said {
        if request.extras.get(CHAT, name).is_none() {
            request.extras.push(Extra { dialect: CHAT, name: name.into(), value });
        }
    }
}

fn written(fill: impl FnOnce(&mut Members<'_>)) -> Json<'static> {
    let mut out = Vec::new();
    output::object(&mut out, fill);
    Json::written(out)
}

fn flag(value: bool) -> Json<'static> {
    Json::written(if value { b"true".to_vec() } else { b"false".to_vec() })
}
