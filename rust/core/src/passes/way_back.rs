//! What a reply must be read with: everything that was said otherwise in the request and comes back in other words.
//!
//! Whole replies and streams go through the same rules. What a stream holds back (calls that are told in one piece, text
//! beside an answer that comes as a call) is bounded in bytes.

mod returning;

use std::collections::HashSet;

use super::builtins::{Native, Natives};
use super::format::Answer;
use super::{Names, custom, signatures};
use crate::dialects::message::{
    Block, CallKind, ChatReply, Choice, Content, Extra, FinishReason, Json, Reasoning, Text, ToolCall,
};
use crate::dialects::{Dialect, DialectError, Place, gemini, mint};
use crate::usage::UsageRule;
pub use returning::Returning;

const RESPONSES: Dialect = Dialect::OpenAiResponses;

/// Opaque to everybody else: made with the request, kept until its reply has been told.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct WayBack {
    pub(super) names: Names,
    /// Free text tools that were declared as functions, by the client's names.
    pub(super) custom: HashSet<String>,
    /// Tools of the client's dialect that were declared as functions.
    pub(super) natives: Natives,
    pub(super) answer: Option<Answer>,
    /// The dialect of the upstream, where the client's is another: its proofs are marked with it, and its calls have ids.
    pub(super) origin: Option<Dialect>,
    /// The client's dialect has no place for the proof of a call: it is told as hidden reasoning in front of it.
    pub(super) bare_calls: bool,
    /// The client's own server refuses reasoning without a proof: what came without one is told with its origin.
    pub(super) proves: bool,
    /// How the upstream departs from its dialect where it counts.
    pub(super) usage: UsageRule,
}

impl WayBack {
    /// Whether a reply is told as it came.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }

    pub(crate) fn usage_rule(&self) -> UsageRule {
        self.usage
    }

    /// For the events of one stream.
    pub fn returning(self) -> Returning {
        Returning::new(self)
    }

    /// Turns a whole reply back. Refuses an answer that does not hold to the schema it was asked for.
    pub fn reply(&self, reply: &mut ChatReply<'_>) -> Result<(), DialectError> {
        if self.is_plain() {
            return Ok(());
        }
        let id = reply.id.to_string();
        for choice in &mut reply.choices {
            self.choice(choice, &id)?;
        }
        Ok(())
    }

    fn choice(&self, choice: &mut Choice<'_>, reply_id: &str) -> Result<(), DialectError> {
        let (mut answered, mut calls) = (false, 0);
        let mut ids = HashSet::new();
        let mut proofs = Vec::new();
        for (at, block) in choice.turn.blocks.iter_mut().enumerate() {
            match &mut block.content {
                Content::ToolCall(call) => {
                    let proof = self.take_proof(&mut call.signature);
                    self.id(&mut call.id, &mut ids, reply_id, (choice.index, calls));
                    let is_answer = self.call(block);
                    answered |= is_answer;
                    calls += u32::from(!is_answer);
                    proofs.extend(proof.filter(|_| !is_answer).map(|proof| (at, proof)));
                }
                Content::Reasoning(reasoning) => {
                    for proof in [&mut reasoning.signature, &mut reasoning.redacted].into_iter().flatten() {
                        self.mark(proof);
                    }
                    if let Some(proof) = self.proof_of_none(reasoning) {
                        reasoning.signature = Some(proof.into());
                    }
                }
                _ => {}
            }
        }
        for (at, proof) in proofs.into_iter().rev() {
            let hidden = Reasoning { redacted: Some(proof.into()), ..Reasoning::default() };
            choice.turn.blocks.insert(at, Block::new(Content::Reasoning(hidden)));
        }
        let Some(answer) = &self.answer else {
            return Ok(());
        };
        if answered {
            // What was said beside it is no part of the answer.
            let is_answer = |block: &Block<'_>| block.extras.marked(RESPONSES, ANSWER).is_some();
            choice.turn.blocks.retain(|block| !matches!(block.content, Content::Text { .. }) || is_answer(block));
        }
        if let Some(finish) = &mut choice.finish
            && answered
            && calls == 0
            && finish.reason == FinishReason::ToolCalls
        {
            finish.reason = FinishReason::Stop;
            finish.native = None;
        }
        let mut text = String::new();
        for block in &mut choice.turn.blocks {
            if let Content::Text { text: piece, .. } = &mut block.content {
                if answer.fenced {
                    *piece = Text::Owned(answer.bare(piece).to_owned());
                }
                text.push_str(piece);
            }
        }
        let ended = choice.finish.as_ref().is_some_and(|finish| finish.reason == FinishReason::Stop);
        if ended && calls == 0 && !answer.holds(&text) {
            return Err(Place::Document.member("content").refuse(NOT_HELD));
        }
        Ok(())
    }

    /// Turns one call back. Says whether it is the answer.
    fn call(&self, block: &mut Block<'_>) -> bool {
        let Content::ToolCall(call) = &mut block.content else {
            return false;
        };
        self.name(&mut call.name);
        if let Some(proof) = &mut call.signature {
            self.mark(proof);
        }
        if self.is_answer(&call.name) {
            let text = super::format::text_of(&call.arguments);
            block.content = text.content;
            block.extras.mark(RESPONSES, ANSWER, Json::null());
            return true;
        }
        if self.custom.contains(call.name.as_ref()) {
            call.kind = CallKind::Custom;
            call.arguments = Text::Owned(custom::unwrap(&call.arguments).into_owned());
        }
        match self.natives.get(call.name.as_ref()) {
            Some(Native::Namespaced { namespace, name }) => {
                call.name = Text::Owned(name.clone());
                let value = Json::quoted(namespace);
                block.extras.push(Extra { dialect: RESPONSES, name: "namespace".into(), value });
            }
            Some(native) => {
                if let Some(raw) = native.item(&call.id, &call.arguments) {
                    block.content = Content::Opaque { dialect: RESPONSES, raw };
                }
            }
            None => {}
        }
        false
    }

    fn is_answer(&self, name: &str) -> bool {
        self.answer.as_ref().and_then(|answer| answer.tool.as_deref()) == Some(name)
    }

    fn name(&self, name: &mut Text<'_>) {
        if !self.names.is_empty() {
            *name = Text::Owned(self.names.back(name).to_owned());
        }
    }

    /// Gives a call its id where it came without one, or with that of an earlier call of the reply: clients tell calls
    /// apart by them, and servers refuse two that are alike.
    fn id(&self, id: &mut Text<'_>, earlier: &mut HashSet<String>, reply_id: &str, (choice, number): (u32, u32)) {
        let Some(origin) = self.origin else { return };
        // Some servers write the word for nothing.
        if matches!(id.as_ref(), "" | "null") || earlier.contains(id.as_ref()) {
            let made = if origin == Dialect::Gemini { gemini::call_id } else { mint::call_id };
            *id = Text::Owned(made(reply_id, choice, number));
        }
        earlier.insert(id.to_string());
    }

    /// Takes the proof of a call that its client must be told in front of it, with its mark.
    fn take_proof(&self, signature: &mut Option<Text<'_>>) -> Option<String> {
        let origin = self.origin.filter(|_| self.bare_calls)?;
        let proof = signature.take().filter(|proof| !proof.is_empty())?;
        Some(signatures::mark_call(origin, &proof))
    }

    /// The origin alone, for reasoning that came without a proof.
    fn proof_of_none(&self, reasoning: &Reasoning<'_>) -> Option<String> {
        let origin = self.origin.filter(|_| self.proves)?;
        let mut proofs = [&reasoning.signature, &reasoning.redacted].into_iter().flatten();
        proofs.all(|proof| proof.is_empty()).then(|| signatures::mark(origin, ""))
    }

    fn mark(&self, proof: &mut Text<'_>) {
        if let Some(origin) = self.origin
            && !proof.is_empty()
        {
            *proof = Text::Owned(signatures::mark(origin, proof));
        }
    }
}

/// Mark: the text came as the arguments of a call.
const ANSWER: &str = "answer";
/// What is said of an answer that is not what was asked for.
pub(crate) const NOT_HELD: &str = "does not hold to the schema of the request";

/// A call that is being told in one piece.
type Held = ToolCall<'static>;
