//! Reasoning beside the content of a message: as one string, and as `reasoning_details` or `thinking_blocks`, in which
//! OpenRouter and `LiteLLM` carry signatures and hidden reasoning.
//!
//! The rule: what is not proven is not lost beside what is. The surprise: both places mostly say the same; the string is
//! believed only where it says more.

use crate::dialects::raw::RawValue;

use super::DIALECT;
use crate::dialects::message::{Block, Content, Extras, Json, Reasoning, ReasoningField, Text, Turn};
use crate::dialects::object::{self, Object};
use crate::dialects::output::{self, Buffer, Members};

/// The fields that hold reasoning as one string.
const FLAT: [(&str, ReasoningField); 2] =
    [("reasoning_content", ReasoningField::ReasoningContent), ("reasoning", ReasoningField::Reasoning)];
const DETAILS: &str = "reasoning_details";
pub(super) const BLOCKS: &str = "thinking_blocks";
/// Mark: the string said this, and the details did not.
const BEYOND: &str = "beyond";
/// Mark: a proof came without the text that it is of.
const UNTOLD: &str = "untold";

/// Reads reasoning from the richest field that can be read whole; its poorer twins stay among the extras.
pub(super) fn take<'a>(message: &mut Object<'a, '_>) -> Vec<Block<'a>> {
    let mut items = |name, read: fn(&'a RawValue) -> Option<Block<'a>>| {
        message.take_if(name, |raw| {
            let blocks: Option<Vec<_>> = object::list(raw)?.into_iter().map(read).collect();
            blocks.filter(|blocks| !blocks.is_empty())
        })
    };
    let details = items(DETAILS, detail).or_else(|| items(BLOCKS, thinking_block));
    let flat = |(name, field): &(&'static str, ReasoningField)| {
        let text = object::text(message.peek(name)?).filter(|text| !text.is_empty())?;
        Some((*name, text, *field))
    };
    match (details, FLAT.iter().find_map(flat)) {
        (Some(details), Some((_, text, _))) => beside(details, &text),
        (Some(details), None) => details,
        (None, Some((name, text, field))) => {
            message.forget(name);
            vec![Block::new(Content::Reasoning(Reasoning { text, field, ..Reasoning::default() }))]
        }
        (None, None) => Vec::new(),
    }
}

fn detail(raw: &RawValue) -> Option<Block<'_>> {
    let mut item = Object::lenient(raw)?;
    let kind = item.take_if("type", object::text)?;
    let mut untold = false;
    let mut reasoning = Reasoning { field: ReasoningField::ReasoningDetails, ..Reasoning::default() };
    match kind.as_ref() {
        "reasoning.text" => {
            let text = item.take_if("text", object::text);
            untold = text.is_none();
            reasoning.text = text.unwrap_or_default();
            reasoning.signature = item.take_if("signature", object::text);
            if untold && reasoning.signature.is_none() {
                return None;
            }
        }
        "reasoning.summary" => {
            reasoning.summary = true;
            reasoning.text = item.take_if("summary", object::text)?;
        }
        "reasoning.encrypted" => reasoning.redacted = Some(item.take_if("data", object::text)?),
        _ => return None,
    }
    let mut block = Block::new(Content::Reasoning(reasoning));
    block.extras = item.into_extras(DIALECT);
    if untold {
        block.extras.mark(DIALECT, UNTOLD, Json::null());
    }
    Some(block)
}

fn thinking_block(raw: &RawValue) -> Option<Block<'_>> {
    let mut item = Object::lenient(raw)?;
    let mut reasoning = Reasoning { field: ReasoningField::ThinkingBlocks, ..Reasoning::default() };
    match item.take_if("type", object::text)?.as_ref() {
        "thinking" => {
            reasoning.text = item.take_if("thinking", object::text)?;
            reasoning.signature = item.take_if("signature", object::text);
        }
        "redacted_thinking" => reasoning.redacted = Some(item.take_if("data", object::text)?),
        _ => return None,
    }
    let mut block = Block::new(Content::Reasoning(reasoning));
    block.extras = item.into_extras(DIALECT);
    Some(block)
}

/// The details, and what the string says between them and around them.
fn beside<'a>(details: Vec<Block<'a>>, flat: &str) -> Vec<Block<'a>> {
    let mut blocks = Vec::with_capacity(details.len() + 1);
    let mut rest = flat;
    for block in &details {
        let said = text_of(block);
        let Some((before, behind)) = rest.split_once(said).filter(|_| !said.is_empty()) else {
            if said.is_empty() {
                blocks.push(block.clone());
                continue;
            }
            // They say it in other words.
            return details;
        };
        blocks.extend(unproven(before));
        blocks.push(block.clone());
        rest = behind;
    }
    let Some(more) = unproven(rest) else {
        return blocks;
    };
    // Who puts a stream together from its pieces has the proof without the text that it is of.
    let is_bare = |block: &&mut Block<'_>| matches!(&block.content, Content::Reasoning(one) if one.text.is_empty() && one.signature.is_some());
    let mut bare = blocks.iter_mut().filter(is_bare);
    match (bare.next(), bare.next()) {
        (Some(Block { content: Content::Reasoning(only), .. }), None) if rest.len() == flat.len() => {
            only.text = Text::Owned(flat.to_owned());
        }
        _ if rest.len() == flat.len() => blocks.insert(0, more),
        _ => blocks.push(more),
    }
    blocks
}

fn text_of<'b>(block: &'b Block<'_>) -> &'b str {
    match &block.content {
        Content::Reasoning(reasoning) => &reasoning.text,
        _ => "",
    }
}

fn unproven<'a>(text: &str) -> Option<Block<'a>> {
    let text = text.trim_matches('\n');
    if text.trim().is_empty() {
        return None;
    }
    let mut block =
        Block::new(Content::Reasoning(Reasoning { text: Text::Owned(text.to_owned()), ..Reasoning::default() }));
    block.extras.mark(DIALECT, BEYOND, Json::null());
    Some(block)
}

pub(super) fn write(message: &mut Members<'_>, turn: &Turn<'_>, in_request: bool) {
    // What the string said beyond the details is still in it, among the extras.
    let is_said = |block: &Block<'_>| block.extras.marked(DIALECT, BEYOND).is_none();
    let blocks = || {
        turn.blocks.iter().filter_map(|block| match &block.content {
            Content::Reasoning(reasoning) if is_said(block) => Some((block, reasoning)),
            _ => None,
        })
    };
    for (name, field) in FLAT {
        let texts: Vec<_> = blocks()
            .filter(|(_, reasoning)| reasoning.field == field && reasoning.redacted.is_none())
            .map(|(_, reasoning)| reasoning.text.as_ref())
            .collect();
        if !texts.is_empty() {
            message.text(name, &texts.join("\n\n"));
        }
    }
    let is_proven = |reasoning: &Reasoning<'_>| reasoning.signature.is_some() || reasoning.redacted.is_some();
    let is_block = |reasoning: &Reasoning<'_>| reasoning.field == ReasoningField::ThinkingBlocks;
    let is_detail = |reasoning: &Reasoning<'_>| {
        reasoning.field == ReasoningField::ReasoningDetails || (is_proven(reasoning) && !is_block(reasoning))
    };
    // Who reads the details reads nothing else: where there are any, they are all there is.
    if blocks().any(|(_, reasoning)| is_detail(reasoning)) {
        let details = blocks().filter(|(_, reasoning)| {
            !matches!(reasoning.field, ReasoningField::ThinkingPart | ReasoningField::ThinkingBlocks)
        });
        message.list(DETAILS, details.flat_map(entries), |out, (reasoning, extras)| {
            write_detail(out, &reasoning, None, &extras);
        });
    }
    // A proof that came back from a client of another dialect says that a server of chat made it, and not which of the two
    // forms that server has: each overlooks the other's.
    let told_elsewhere = |reasoning: &Reasoning<'_>| {
        in_request && reasoning.field == ReasoningField::ReasoningContent && is_proven(reasoning) && !reasoning.summary
    };
    let in_blocks: Vec<_> =
        blocks().filter(|(_, reasoning)| is_block(reasoning) || told_elsewhere(reasoning)).collect();
    if !in_blocks.is_empty() {
        message.list(BLOCKS, in_blocks, |out, (block, reasoning)| write_block(out, reasoning, &block.extras));
    }
}

fn write_block(out: &mut Buffer, reasoning: &Reasoning<'_>, extras: &Extras<'_>) {
    output::object(out, |item| {
        if let Some(data) = &reasoning.redacted {
            item.text("type", "redacted_thinking");
            item.text("data", data);
        } else {
            item.text("type", "thinking");
            item.text("thinking", &reasoning.text);
            item.text_if("signature", reasoning.signature.as_deref());
        }
        item.extras(DIALECT, extras);
    });
}

/// A summary has its proof beside it, as OpenRouter has it; a reasoning has it with it.
fn entries<'b>((block, reasoning): (&'b Block<'b>, &'b Reasoning<'b>)) -> Vec<(Reasoning<'b>, Extras<'b>)> {
    let whole = reasoning.clone();
    let Some(proof) = reasoning.signature.clone().filter(|_| reasoning.summary) else {
        return vec![(whole, block.extras.clone())];
    };
    let hidden = Reasoning { redacted: Some(proof), ..Reasoning::default() };
    vec![(Reasoning { signature: None, ..whole }, block.extras.clone()), (hidden, Extras::default())]
}

/// Writes one; in a stream, under its number.
pub(super) fn write_detail(out: &mut Buffer, reasoning: &Reasoning<'_>, number: Option<u64>, extras: &Extras<'_>) {
    output::object(out, |item| {
        if let Some(data) = &reasoning.redacted {
            item.text("type", "reasoning.encrypted");
            item.text("data", data);
        } else if reasoning.summary {
            item.text("type", "reasoning.summary");
            item.text("summary", &reasoning.text);
        } else {
            item.text("type", "reasoning.text");
            if extras.marked(DIALECT, UNTOLD).is_none() {
                item.text("text", &reasoning.text);
            }
            item.text_if("signature", reasoning.signature.as_deref());
        }
        item.whole_if("index", number);
        item.extras(DIALECT, extras);
    });
}
