//! What an answer holds and its client's dialect has no words for, by name: what a server did with its own tools, hidden
//! reasoning, proofs, links without an address.
//!
//! The rule: names of the schema and places, never values. What is told in other words (pictures, refusals) is told.

use crate::cursor::is_something;
use crate::dialects::message::{ChatReply, Choice, Citation, Content, Event, Json};
use crate::dialects::object::{self, Object};
use crate::dialects::openai_chat::{AUDIO, EXECUTED, LOGPROBS, SOURCES};
use crate::dialects::openai_responses::{MADE, PART_ADDED, UNTOLD};
use crate::dialects::output::{self, Buffer};
use crate::dialects::{Dialect, Writer, gemini};

/// Of the notice, wherever it stands.
const DROPPED: &str = "x-fastroute-dropped";
/// Names of one answer; more say nothing more.
const MOST: usize = 16;
const NAME_BYTES: usize = 48;
/// The items of a response that others are told, or of which there is nothing to tell.
const ANSWERS: [&str; 5] = ["message", "reasoning", "function_call", "custom_tool_call", MADE];

/// The names of what was not said, each once.
#[derive(Debug, Default)]
pub(crate) struct Unsaid(Vec<String>);

impl Unsaid {
    /// Of a whole reply.
    pub(super) fn of_reply(reply: &ChatReply<'_>, target: Dialect) -> Vec<String> {
        let mut unsaid = Self::default();
        for choice in &reply.choices {
            let executed = target != Dialect::OpenAiChat && has_executed(choice);
            unsaid.extend(choice.index, executed.then(|| EXECUTED.to_owned()));
            for block in &choice.turn.blocks {
                unsaid.extend(choice.index, of_content(&block.content, target));
                let proof = target != Dialect::Gemini && gemini::has_own_proof(block);
                unsaid.extend(choice.index, proof.then(|| "signature".to_owned()));
            }
        }
        let told = reply.choices.iter().map(|choice| choice.index).min();
        for choice in reply.choices.iter().filter(|choice| target.has_one_choice() && Some(choice.index) != told) {
            unsaid.add(format!("choices[{}]", choice.index));
        }
        unsaid.0
    }

    /// Takes in an event of a stream as its writer gets it.
    pub(crate) fn look(&mut self, event: &Event<'_>, target: Dialect) {
        let name = match event {
            Event::Opaque { dialect, name, raw } if *dialect != target || name == AUDIO => {
                kind_of_event(*dialect, name, raw)
            }
            Event::ReasoningDelta { .. } => reasoning(target),
            Event::ReasoningSignature { .. } if !says_proofs(target) => Some("signature".to_owned()),
            Event::ReasoningRedacted { .. } => hidden(target),
            Event::ToolCallStart { signature: Some(_), .. } => proof(target),
            Event::Citation { citation, .. } => link(citation, target),
            _ => None,
        };
        self.extend(event.choice().unwrap_or(0), name);
    }

    pub(crate) fn names(self) -> Vec<String> {
        self.0
    }

    /// A choice that is not told at all.
    pub(super) fn skip(&mut self, choice: u32) {
        self.add(format!("choices[{choice}]"));
    }

    fn extend(&mut self, choice: u32, names: impl IntoIterator<Item = String>) {
        for name in names {
            self.add(format!("choices[{choice}].{name}"));
        }
    }

    fn add(&mut self, name: String) {
        if self.0.len() < MOST && !self.0.contains(&name) {
            self.0.push(name);
        }
    }

    /// The notice at the end of a stream, whose head has gone: a comment, or a member of the last event where streams have
    /// none (Ollama, Bedrock). Google's SDKs read comments for events and its types forbid other members: Gemini has none.
    pub(super) fn write(&self, target: Dialect, writer: &mut Writer, out: &mut Buffer) {
        if self.0.is_empty() {
            return;
        }
        let names = self.0.join(", ");
        let mut own = |name: &'static str, raw| {
            writer.render_event(&Event::Opaque { dialect: target, name: name.into(), raw }, out);
        };
        match target {
            Dialect::Gemini => {}
            Dialect::Ollama => own(DROPPED, Json::quoted(&names)),
            Dialect::BedrockConverse => {
                let mut raw = Buffer::new();
                output::object(&mut raw, |metadata| metadata.text(DROPPED, &names));
                own("metadata", Json::written(raw));
            }
            _ => {
                for piece in [": ", DROPPED, ": ", &names, "\n\n"] {
                    out.extend_from_slice(piece.as_bytes());
                }
            }
        }
    }
}

/// Whether its server used tools of its own, as chat says it.
fn has_executed(choice: &Choice<'_>) -> bool {
    let said = choice.turn.extras.get(Dialect::OpenAiChat, EXECUTED);
    said.is_some_and(|said| is_something(said.as_str().as_bytes()))
}

fn of_content(content: &Content<'_>, target: Dialect) -> Vec<String> {
    match content {
        Content::Opaque { dialect, raw } if *dialect != target => kind_of(*dialect, raw).into_iter().collect(),
        Content::Text { citations, .. } => citations.iter().filter_map(|citation| link(citation, target)).collect(),
        Content::ToolCall(call) if call.signature.is_some() => proof(target).into_iter().collect(),
        Content::Reasoning(said) => {
            let text = reasoning(target).filter(|_| !said.text.is_empty());
            let blob = said.redacted.as_ref().and_then(|_| hidden(target));
            let proof = said.signature.as_ref().filter(|_| !says_proofs(target)).map(|_| "signature".to_owned());
            [text, blob, proof].into_iter().flatten().collect()
        }
        _ => Vec::new(),
    }
}

fn reasoning(target: Dialect) -> Option<String> {
    (target == Dialect::OpenAiCompletions).then(|| "reasoning".to_owned())
}

/// Hidden reasoning has a place where its kind was made, and where agents carry it.
fn hidden(target: Dialect) -> Option<String> {
    (target == Dialect::Gemini || !says_proofs(target)).then(|| "redacted_reasoning".to_owned())
}

fn says_proofs(target: Dialect) -> bool {
    !matches!(target, Dialect::CohereV2 | Dialect::Ollama | Dialect::OpenAiCompletions)
}

/// The proof of a call.
fn proof(target: Dialect) -> Option<String> {
    let says = matches!(target, Dialect::OpenAiChat | Dialect::Gemini | Dialect::AnthropicMessages);
    (!says).then(|| "signature".to_owned())
}

fn link(citation: &Citation<'_>, target: Dialect) -> Option<String> {
    let said = match target {
        Dialect::OpenAiChat | Dialect::OpenAiResponses => {
            citation.url.is_some() || citation.extras.of(target).next().is_some()
        }
        Dialect::Ollama | Dialect::OpenAiCompletions => false,
        _ => citation.is_shown() || citation.extras.of(target).next().is_some(),
    };
    (!said).then(|| "citations".to_owned())
}

/// What an event is that only its dialect knows; `None` where it frames what others are told.
fn kind_of_event(dialect: Dialect, name: &str, raw: &Json<'_>) -> Option<String> {
    match (dialect, name) {
        (Dialect::AnthropicMessages, "content_block_start")
        | (Dialect::OpenAiResponses, PART_ADDED | UNTOLD)
        | (Dialect::Gemini, "part")
        | (Dialect::BedrockConverse, "contentBlockStart") => kind_of(dialect, raw),
        (Dialect::OpenAiResponses, "response.output_item.added") => {
            let raw = raw.as_raw()?;
            kind_of(dialect, &Json::from(Object::lenient(raw)?.peek("item")?))
        }
        // Google recommends to send it back and does not require it, and hidden reasoning behind every answer would stand
        // where clients read the last of its text.
        (Dialect::Gemini, "proof") => Some("signature".to_owned()),
        (Dialect::OpenAiChat, AUDIO | EXECUTED | LOGPROBS | SOURCES) => Some(name.to_owned()),
        _ => None,
    }
}

/// What stands beside a part of Gemini's and is not what it is.
const BESIDE: [&str; 2] = ["thought", "thoughtSignature"];

/// The word for what a block is: its type, or its one member in dialects without types. `None` for an item of an answer
/// in which nothing was said.
fn kind_of(dialect: Dialect, raw: &Json<'_>) -> Option<String> {
    let raw = raw.as_raw()?;
    let block = Object::lenient(raw)?;
    let typed = block.peek("type").and_then(object::text);
    let mut members = block.members().map(|(name, _)| name);
    let word = typed.as_deref().or_else(|| members.find(|name| !BESIDE.contains(name))).unwrap_or_default();
    let is_word = |word: &str| {
        (1..=NAME_BYTES).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    if dialect == Dialect::OpenAiResponses && ANSWERS.contains(&word) {
        return None;
    }
    Some(if is_word(word) { word.to_owned() } else { "content".to_owned() })
}
