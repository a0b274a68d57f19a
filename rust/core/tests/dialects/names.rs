//! What many tests call alike: the dialects, what a reply is called that has no name, and the smallest picture.
#![allow(dead_code, reason = "no test needs all of them")]

use fastroute_core::dialects::Dialect;
use fastroute_core::dialects::message::Envelope;

pub(crate) const CHAT: Dialect = Dialect::OpenAiChat;
pub(crate) const RESPONSES: Dialect = Dialect::OpenAiResponses;
pub(crate) const ANTHROPIC: Dialect = Dialect::AnthropicMessages;
pub(crate) const GEMINI: Dialect = Dialect::Gemini;
pub(crate) const COHERE: Dialect = Dialect::CohereV2;
pub(crate) const OLLAMA: Dialect = Dialect::Ollama;
pub(crate) const BEDROCK: Dialect = Dialect::BedrockConverse;

pub(crate) const ENVELOPE: Envelope<'static> = Envelope { id: "r1", model: "m", created_s: 1, include_usage: true };
pub(crate) const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUg==";
