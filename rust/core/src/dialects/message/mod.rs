//! The neutral form: what a request, a reply or a stream event means, whichever dialect said it.
//!
//! Rich enough for every dialect at once: turns are ordered blocks, tool arguments stay JSON text, and what only one
//! dialect understands travels beside the rest as `Extras`. Its rule: nothing is said twice; extras never repeat a field
//! that has a place of its own.

mod block;
mod embeddings;
mod event;
mod extras;
mod lost;
mod origin;
mod reply;
mod request;
mod rerank;

pub use block::{
    Block, CallKind, Citation, Content, MediaSource, Reasoning, ReasoningField, Role, ToolCall, ToolResult, Turn,
};
pub use embeddings::{Embedding, EmbeddingsReply, EmbeddingsRequest, Encoding, Inputs, Task, Truncate, Vector, Wanted};
pub use event::{Event, Events, NoStream};
pub use extras::{Extra, Extras, Json, Spelling, Text};
pub(crate) use origin::{Origin, Word};
pub use reply::{ChatReply, Choice, Envelope, ErrorReply, Finish, FinishReason, Reply, TokenUsage, Usage};
pub(crate) use request::placed;
pub use request::{
    Callable, ChatRequest, ReasoningMode, ReasoningWish, Rendered, Request, ResponseFormat, Sampling, Stop,
    StreamOptions, Tool, ToolChoice, ToolChoiceMode,
};
pub use rerank::{Document, Ranked, RerankReply, RerankRequest};
