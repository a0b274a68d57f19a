//! The request, both ways: the prompt, and what is left of chat's fields beside it.

use super::DIALECT;
use crate::dialects::chatlike::{foreign, openai_only, sampling, take_stream_options, write_stream_options};
use crate::dialects::message::{
    Block, ChatRequest, Content, Inputs, Json, Rendered, ResponseFormat, Role, Sampling, Spelling, Text, Turn, placed,
};
use crate::dialects::object::{Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{Dialect, DialectError, Place, openai_embeddings};

/// Marks a prompt that came as a list of one.
const LISTED: &str = "prompt";
const SUFFIX: &str = "suffix";

pub(super) fn parse(body: &[u8]) -> Result<ChatRequest<'_>, DialectError> {
    let mut request = Object::document(body, Mode::Strict)?;
    let model = request.require_text("model")?;
    let turn = take_prompt(&mut request)?;
    let top_logprobs = request.take_u64("logprobs")?;
    Ok(ChatRequest {
        model,
        turns: vec![turn],
        sampling: Sampling { logprobs: top_logprobs.map(|_| true), top_logprobs, ..sampling::take(&mut request)? },
        max_tokens: request.take_u64("max_tokens")?,
        stream: request.take_bool("stream")?,
        stream_options: take_stream_options(DIALECT, &mut request)?,
        user: request.take_text("user")?,
        extras: request.into_extras(DIALECT),
        ..ChatRequest::default()
    })
}

/// A prompt takes the four forms that the input of embeddings takes.
fn take_prompt<'a>(request: &mut Object<'a, '_>) -> Result<Turn<'a>, DialectError> {
    let place = Place::Document.member("prompt");
    let Some(raw) = request.take_if("prompt", Some) else {
        return Err(place.refuse("is required"));
    };
    let (inputs, spelling) = openai_embeddings::parse_inputs(raw, &place)?;
    let only = match inputs {
        Inputs::Texts(mut texts) if texts.len() == 1 => texts.pop(),
        _ => None,
    };
    let Some(text) = only else {
        let opaque = Content::Opaque { dialect: DIALECT, raw: Json::from(raw) };
        return Ok(Turn::new(Role::User, vec![Block::new(opaque)]));
    };
    let mut turn = Turn::new(Role::User, vec![Block::text(text)]);
    if spelling == Spelling::Structured {
        turn.extras.mark(DIALECT, LISTED, Json::null());
    }
    Ok(turn)
}

pub(super) fn leave(request: &ChatRequest<'_>, target: Dialect) -> Result<(), DialectError> {
    let abroad = target.name();
    let opaque = |block: &Block<'_>| matches!(block.content, Content::Opaque { dialect: DIALECT, .. });
    if request.turns.iter().flat_map(|turn| &turn.blocks).any(opaque) {
        let message = format!("is tokens or more than one prompt, which cannot be said in {abroad}");
        return Err(Place::Document.member("prompt").refuse(message));
    }
    let suffix = request.extras.get(DIALECT, SUFFIX).map(Json::as_str);
    if suffix.is_some_and(|suffix| !matches!(suffix, "null" | "\"\"")) {
        return Err(Place::Document.member(SUFFIX).refuse(format!("cannot be said in {abroad}")));
    }
    Ok(())
}

/// What goes out as the prompt.
enum Prompt<'r> {
    Text(Text<'r>),
    Listed(Text<'r>),
    Raw(&'r Json<'r>),
}

fn prompt_of<'r>(request: &'r ChatRequest<'r>) -> Result<Prompt<'r>, DialectError> {
    let messages = Place::Document.member("messages");
    let [turn] = request.turns.as_slice() else {
        return Err(messages.refuse("must be one message to be a prompt"));
    };
    let message = messages.item(0);
    if turn.role != Role::User {
        return Err(message.member("role").refuse("must be user to be a prompt"));
    }
    if let [Block { content: Content::Opaque { dialect: DIALECT, raw }, .. }] = turn.blocks.as_slice() {
        return Ok(Prompt::Raw(raw));
    }
    let content = message.member("content");
    let mut prompt = Text::default();
    for (index, block) in turn.blocks.iter().enumerate() {
        let Content::Text { text, .. } = &block.content else {
            return Err(content.item(index).refuse("must be text to be a prompt"));
        };
        if prompt.is_empty() {
            prompt = Text::Borrowed(text);
        } else {
            prompt.to_mut().push_str(text);
        }
    }
    let listed = turn.extras.marked(DIALECT, LISTED).is_some();
    Ok(if listed { Prompt::Listed(prompt) } else { Prompt::Text(prompt) })
}

pub(super) fn render(request: &ChatRequest<'_>) -> Result<Rendered, DialectError> {
    let prompt = prompt_of(request)?;
    let mut out = Buffer::with_capacity(512);
    output::object(&mut out, |members| write(members, request, &prompt));
    Ok(Rendered { body: out.into(), dropped: dropped(request) })
}

fn write(members: &mut Members<'_>, request: &ChatRequest<'_>, prompt: &Prompt<'_>) {
    members.text("model", &request.model);
    match prompt {
        Prompt::Text(text) => members.text("prompt", text),
        Prompt::Listed(text) => members.list("prompt", [text], |out, text| output::text(out, text)),
        Prompt::Raw(raw) => members.raw("prompt", raw.as_str()),
    }
    sampling::write(members, &request.sampling);
    if request.sampling.logprobs == Some(true) {
        members.whole("logprobs", request.sampling.top_logprobs.unwrap_or(0));
    }
    members.whole_if("max_tokens", request.max_output_tokens());
    members.flag_if("stream", request.stream);
    write_stream_options(DIALECT, members, request);
    members.text_if("user", request.user.as_deref());
    members.extras(DIALECT, &request.extras);
}

/// The names and places of what another dialect said and completions have no words for.
fn dropped(request: &ChatRequest<'_>) -> Vec<String> {
    let mut dropped: Vec<String> = foreign(DIALECT, &request.extras).collect();
    let options = request.stream_options.iter().flat_map(|options| foreign(DIALECT, &options.extras));
    dropped.extend(options.map(|name| format!("stream_options.{name}")));
    dropped.extend(placed(&request.tools).flat_map(|(place, tool)| tool.lost_names(place)));
    for (name, said) in [
        ("tool_choice", request.tool_choice.is_some()),
        ("response_format", !matches!(request.response_format, None | Some(ResponseFormat::Text))),
        ("reasoning", request.reasoning.is_some()),
    ] {
        if said {
            dropped.push(name.to_owned());
        }
    }
    openai_only(request, &["n", "user"], &mut dropped);
    for (index, turn) in request.turns.iter().enumerate() {
        let place = turn.place(index);
        if turn.name.is_some() {
            dropped.push(format!("{place}.name"));
        }
        dropped.extend(foreign(DIALECT, &turn.extras).map(|name| format!("{place}.{name}")));
        for (index, block) in turn.blocks.iter().enumerate() {
            let place = block.place(place, index);
            dropped.extend(foreign(DIALECT, &block.extras).map(|name| format!("{place}.{name}")));
            if block.cache_mark.is_some() {
                dropped.push(format!("{place}.cache_control"));
            }
        }
    }
    dropped
}
