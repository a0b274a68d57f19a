//! The request, both ways: every field of the contract, and whatever else the client sent.
//!
//! The surprise: instructions stand in a field of their own, `system`, and newer models take later ones among the
//! messages too. In the neutral form both are turns; one of the latter in front is marked by its `role` among the extras.

use crate::dialects::raw::RawValue;

use super::media::Names;
use super::write::{self, Side};
use super::{DIALECT, blocks, dropped, tools, wish};
use crate::dialects::message::{
    Block, ChatRequest, Content, Extra, Extras, Json, Rendered, Role, Spelling, Stop, Text, Turn,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{DialectError, Place};

const ROLE: &str = "role";
const SYSTEM: &str = "system";
const INFERENCE: &str = "inferenceConfig";
const METADATA: &str = "requestMetadata";
const TIER: &str = "serviceTier";
/// No model takes a higher one.
const HIGHEST_TEMPERATURE: f64 = 1.0;
/// How many members `requestMetadata` may have.
const MOST_METADATA: usize = 16;
/// Says in words what `toolChoice` has no word for.
const CALL_NONE: &str = "Do not call any tool.";

pub(super) fn parse(body: &[u8]) -> Result<ChatRequest<'_>, DialectError> {
    let mut request = Object::document(body, Mode::Strict)?;
    let mut extras = Extras::default();
    let mut chat = ChatRequest { turns: take_turns(&mut request)?, ..ChatRequest::default() };
    take_inference(&mut request, &mut chat, &mut extras)?;
    tools::take(&mut request, &mut chat, &mut extras)?;
    wish::take(&mut request, &mut chat, &mut extras)?;
    chat.service_tier = request.take_if(TIER, |raw| {
        let mut tier = Object::lenient(raw)?;
        let word = tier.take_if("type", object::text)?;
        tier.is_empty().then_some(word).filter(|word| is_tier(word))
    });
    chat.metadata = request.take_if(METADATA, |raw| Some(Json::from(raw)).filter(is_metadata));
    request.spill(DIALECT, &mut extras);
    Ok(ChatRequest { extras, ..chat })
}

fn take_turns<'a>(request: &mut Object<'a, '_>) -> Result<Vec<Turn<'a>>, DialectError> {
    let mut turns = Vec::new();
    if let Some(items) = request.take_filled_list(SYSTEM)? {
        let blocks = blocks::parse_list(items, Place::Document.member(SYSTEM), Mode::Strict)?;
        turns.push(Turn { spelling: Spelling::Structured, ..Turn::new(Role::System, blocks) });
    }
    let place = Place::Document.member("messages");
    let messages = request.take_list("messages")?.unwrap_or_default();
    if messages.is_empty() {
        return Err(place.refuse("must hold at least one message"));
    }
    let mut in_front = true;
    for (index, raw) in messages.into_iter().enumerate() {
        let mut turn = parse_turn(raw, place.item(index))?;
        in_front &= turn.role == Role::System;
        if in_front {
            turn.extras.push(Extra { dialect: DIALECT, name: ROLE.into(), value: Json::quoted(SYSTEM) });
        }
        turns.push(turn);
    }
    Ok(turns)
}

fn parse_turn<'a>(raw: &'a RawValue, place: Place<'_>) -> Result<Turn<'a>, DialectError> {
    let mut message = Object::open(raw, place, Mode::Strict)?;
    let role = match message.take_text(ROLE)?.as_deref() {
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some("system") => Role::System,
        _ => return Err(place.member(ROLE).refuse("must be one of user, assistant, system")),
    };
    let (blocks, spelling) = blocks::take_content(&mut message)?;
    if spelling == Spelling::Absent {
        return Err(place.member("content").refuse("is required"));
    }
    Ok(Turn { spelling, extras: message.into_extras(DIALECT), ..Turn::new(role, blocks) })
}

fn take_inference<'a>(
    request: &mut Object<'a, '_>,
    chat: &mut ChatRequest<'a>,
    extras: &mut Extras<'a>,
) -> Result<(), DialectError> {
    let Some(raw) = request.take_object(INFERENCE)? else {
        return Ok(());
    };
    let place = Place::Document.member(INFERENCE);
    let mut config = Object::open(raw, place, Mode::Strict)?;
    chat.max_completion_tokens = config.take_u64("maxTokens")?;
    let within = |raw| object::number(raw).filter(|temperature| *temperature <= HIGHEST_TEMPERATURE);
    chat.sampling.temperature = config.take_if("temperature", within);
    chat.sampling.top_p = config.take_f64("topP")?;
    chat.sampling.stop = take_stop(&mut config)?;
    let nothing = chat.max_completion_tokens.is_none()
        && chat.sampling.temperature.is_none()
        && chat.sampling.top_p.is_none()
        && chat.sampling.stop.is_none();
    if nothing || !config.is_empty() {
        extras.push(config.into_rest(DIALECT, INFERENCE));
    }
    Ok(())
}

fn take_stop<'a>(config: &mut Object<'a, '_>) -> Result<Option<Stop<'a>>, DialectError> {
    let Some(items) = config.take_filled_list("stopSequences")? else {
        return Ok(None);
    };
    let place = config.place.member("stopSequences");
    let sequences = items
        .into_iter()
        .enumerate()
        .map(|(index, item)| object::text(item).ok_or_else(|| place.item(index).refuse("must be a string")));
    Ok(Some(Stop { sequences: sequences.collect::<Result<_, _>>()?, spelling: Spelling::Structured }))
}

pub(super) fn is_tier(word: &str) -> bool {
    matches!(word, "default" | "priority" | "flex" | "reserved")
}

/// What `requestMetadata` may be: an object of a few strings.
pub(super) fn is_metadata(metadata: &Json<'_>) -> bool {
    let raw = metadata.as_raw();
    let members = raw.and_then(Object::lenient);
    members.is_some_and(|members| {
        let strings = members.members().all(|(_, value)| object::text(value).is_some());
        strings && members.members().count() <= MOST_METADATA
    })
}

/// The temperature in force, and whether it is another one than was asked for.
pub(super) fn temperature(chat: &ChatRequest<'_>) -> (Option<f64>, bool) {
    let asked = chat.sampling.temperature;
    let said = asked.map(|temperature| temperature.min(HIGHEST_TEMPERATURE));
    (said, asked != said)
}

pub(super) fn render(chat: &ChatRequest<'_>) -> Result<Rendered, DialectError> {
    let place = Place::Document.member("messages");
    for (index, turn) in chat.turns.iter().enumerate() {
        write::check(&turn.blocks, place.item(index).member("content"))?;
    }
    let mut out = Buffer::with_capacity(1024);
    output::object(&mut out, |members| write_members(members, chat));
    Ok(Rendered { body: out.into(), dropped: dropped::names(chat) })
}

fn write_members(members: &mut Members<'_>, chat: &ChatRequest<'_>) {
    write_turns(members, chat);
    let sampling = &chat.sampling;
    let stop = sampling.stop.as_ref().map(|stop| &stop.sequences).filter(|stop| !stop.is_empty());
    let (limit, temperature) = (chat.max_output_tokens(), temperature(chat).0);
    if limit.is_some() || temperature.is_some() || sampling.top_p.is_some() || stop.is_some() {
        members.object(INFERENCE, |config| {
            config.whole_if("maxTokens", limit);
            config.float_if("temperature", temperature);
            config.float_if("topP", sampling.top_p);
            if let Some(stop) = stop {
                config.list("stopSequences", stop, |out, text| output::text(out, text));
            }
            config.rest_of(INFERENCE, DIALECT, &chat.extras);
        });
    }
    tools::write(members, chat);
    wish::write(members, chat);
    let tier = chat.service_tier.as_deref().map(|tier| if tier == "auto" { "default" } else { tier });
    if let Some(tier) = tier.filter(|tier| is_tier(tier)) {
        members.object(TIER, |members| members.text("type", tier));
    }
    members.json_if(METADATA, chat.metadata.as_ref().filter(|metadata| is_metadata(metadata)));
    members.extras(DIALECT, &chat.extras);
}

fn write_turns(members: &mut Members<'_>, chat: &ChatRequest<'_>) {
    let in_front = |turn: &&Turn<'_>| {
        let instructs = matches!(turn.role, Role::System | Role::Developer);
        instructs && turn.extras.get(DIALECT, ROLE).is_none()
    };
    let leading = chat.turns.iter().take_while(in_front).count();
    let (system, messages) = chat.turns.split_at_checked(leading).unwrap_or((&[], &chat.turns));
    let not_to = tools::must_be_told_not_to(chat).then(|| Block::text(Text::Borrowed(CALL_NONE)));
    let instructions: Vec<_> = system.iter().flat_map(|turn| &turn.blocks).chain(&not_to).collect();
    if !instructions.is_empty() {
        write::write_list(members, SYSTEM, instructions, Side::Model, "");
    }
    let mut names = Names::default();
    members.list("messages", messages, |out, turn| {
        output::object(out, |message| {
            let role = match turn.role {
                Role::System | Role::Developer => SYSTEM,
                Role::User | Role::Tool => "user",
                Role::Assistant => "assistant",
            };
            message.text(ROLE, role);
            write::write_content(message, &turn.blocks, &mut names);
            message.extras(DIALECT, &turn.extras);
        });
    });
}

/// Whether a document is told under another name than it has, its ending apart.
pub(super) fn renames(block: &Block<'_>) -> bool {
    let ours = block.extras.marked(DIALECT, blocks::NAMED).is_some();
    match &block.content {
        Content::File { filename: Some(filename), .. } => !ours && !super::media::keeps_name(filename),
        _ => false,
    }
}
