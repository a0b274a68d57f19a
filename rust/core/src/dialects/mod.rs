//! Wire formats: one module each, the same eight functions in every one.
//!
//! `parse_` reads a dialect into the neutral form of [`message`], `render_` writes it. A new dialect is one module and
//! one line in the table below. The surprise: unary documents are values, but a stream needs memory, so events go
//! through a [`Reader`] (upstream's dialect) and a [`Writer`] (client's dialect), one of each per stream.

pub mod anthropic_messages;
pub mod bedrock_converse;
pub mod cohere_embeddings;
pub mod cohere_v2;
pub mod fold;
pub mod gemini;
pub mod gemini_embeddings;
pub mod jina_rerank;
pub mod message;
pub mod ollama;
pub mod openai_chat;
pub mod openai_completions;
pub mod openai_embeddings;
pub mod openai_responses;
pub mod rerank;
pub mod said;
pub mod titan_embeddings;
pub mod voyage_rerank;

pub(crate) mod chatlike;
mod cohere_error;
mod cohere_meta;
pub(crate) mod mint;
pub(crate) mod object;
mod openai_error;
pub(crate) mod output;
mod place;
pub mod raw;
pub(crate) mod reply_id;

use bytes::Bytes;

use message::{Block, Envelope, ErrorReply, Event, Events, Rendered, Reply, Request, Role};
pub use place::DialectError;
pub(crate) use place::Place;

/// What a dialect without streams has in the place of a reader and a writer.
macro_rules! no_streams {
    () => {
        pub type Reader = $crate::dialects::message::NoStream;
        pub type Writer = $crate::dialects::message::NoStream;

        pub fn reader() -> Option<Reader> {
            None
        }

        pub fn writer(_: &$crate::dialects::message::Envelope<'_>) -> Option<Writer> {
            None
        }

        pub fn parse_event<'a>(
            reader: &mut Reader,
            _name: &str,
            _data: &'a [u8],
        ) -> Result<$crate::dialects::message::Events<'a>, $crate::dialects::DialectError> {
            match *reader {}
        }

        pub fn render_event(writer: &mut Writer, _event: &$crate::dialects::message::Event<'_>, _out: &mut Vec<u8>) {
            match *writer {}
        }
    };
}
pub(crate) use no_streams;

/// Writes the enum and its dispatch from the table, so that a dialect cannot be half added.
macro_rules! dialects {
    ($($dialect:ident = $module:ident at $path:literal;)+) => {
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Dialect {
            $($dialect,)+
        }

        /// What must be remembered of an upstream's stream between two of its events.
        #[derive(Debug)]
        pub enum Reader {
            $($dialect($module::Reader),)+
        }

        /// What must be remembered of a client's stream between two of its events.
        #[derive(Debug)]
        pub enum Writer {
            $($dialect($module::Writer),)+
        }

        impl Dialect {
            pub const ALL: &'static [Self] = &[$(Self::$dialect,)+];

            /// The name used in configuration: `openai_chat`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$dialect => stringify!($module),)+
                }
            }

            /// The path below a provider's base address.
            pub const fn default_path(self) -> &'static str {
                match self {
                    $(Self::$dialect => $path,)+
                }
            }

            pub fn parse_request(self, body: &[u8]) -> Result<Request<'_>, DialectError> {
                match self {
                    $(Self::$dialect => $module::parse_request(body),)+
                }
            }

            pub fn render_request(self, request: &Request<'_>) -> Result<Rendered, DialectError> {
                match self {
                    $(Self::$dialect => $module::render_request(request),)+
                }
            }

            pub fn parse_reply(self, body: &[u8]) -> Result<Reply<'_>, DialectError> {
                match self {
                    $(Self::$dialect => $module::parse_reply(body),)+
                }
            }

            pub fn render_reply(self, reply: &Reply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
                match self {
                    $(Self::$dialect => $module::render_reply(reply, envelope),)+
                }
            }

            /// Reads whatever an upstream sends in place of an answer; what is no error object becomes a plain one.
            pub fn parse_error(self, body: &[u8]) -> ErrorReply<'_> {
                match self {
                    $(Self::$dialect => $module::parse_error(body),)+
                }
            }

            pub fn render_error(self, error: &ErrorReply<'_>) -> Bytes {
                match self {
                    $(Self::$dialect => $module::render_error(error),)+
                }
            }

            /// For a new upstream stream; `None` when the dialect has no streams.
            pub fn reader(self) -> Option<Reader> {
                match self {
                    $(Self::$dialect => $module::reader().map(Reader::$dialect),)+
                }
            }

            /// For a new client stream; `None` when the dialect has no streams.
            pub fn writer(self, envelope: &Envelope<'_>) -> Option<Writer> {
                match self {
                    $(Self::$dialect => $module::writer(envelope).map(Writer::$dialect),)+
                }
            }
        }

        impl Reader {
            /// Reads one event: its name (empty for most dialects) and its data, without framing.
            pub fn parse_event<'a>(&mut self, name: &str, data: &'a [u8]) -> Result<Events<'a>, DialectError> {
                match self {
                    $(Self::$dialect(reader) => $module::parse_event(reader, name, data),)+
                }
            }
        }

        impl Writer {
            /// Appends the frames, framing included, that `event` means to the client; often none.
            pub fn render_event(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
                match self {
                    $(Self::$dialect(writer) => $module::render_event(writer, event, out),)+
                }
            }
        }
    };
}

dialects! {
    OpenAiChat = openai_chat at "/chat/completions";
    OpenAiEmbeddings = openai_embeddings at "/embeddings";
    AnthropicMessages = anthropic_messages at "/messages";
    OpenAiResponses = openai_responses at "/responses";
    CohereV2 = cohere_v2 at "/v2/chat";
    Ollama = ollama at "/api/chat";
    Gemini = gemini at "/models/{model}:generateContent";
    OpenAiCompletions = openai_completions at "/completions";
    GeminiEmbeddings = gemini_embeddings at "/models/{model}:batchEmbedContents";
    CohereEmbeddings = cohere_embeddings at "/v2/embed";
    Rerank = rerank at "/v2/rerank";
    JinaRerank = jina_rerank at "/rerank";
    VoyageRerank = voyage_rerank at "/rerank";
    BedrockConverse = bedrock_converse at "/model/{model}/converse";
    TitanEmbeddings = titan_embeddings at "/model/{model}/invoke";
}

impl Reader {
    /// Once, when the upstream's body has ended as HTTP means it; never after a cut. What a dialect says only by
    /// ending is said here: Gemini repeats its finish reason and goes on, so that only the end makes one the last.
    pub fn end(&mut self) -> Events<'static> {
        match self {
            Self::Gemini(reader) => gemini::end(reader),
            _ => Events::new(),
        }
    }

    /// The lowest number among the choices that have appeared, said anything or not; `None` in dialects where none appears
    /// before it says something.
    pub(crate) fn lowest_choice(&self) -> Option<u32> {
        match self {
            Self::OpenAiChat(reader) | Self::OpenAiCompletions(reader) => reader.lowest_choice(),
            _ => None,
        }
    }
}

/// What a request wants; a dialect can be said in another one of its family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Family {
    Chat,
    Embeddings,
    Rerank,
}

impl Dialect {
    pub const fn family(self) -> Family {
        match self {
            Self::OpenAiEmbeddings | Self::GeminiEmbeddings | Self::CohereEmbeddings | Self::TitanEmbeddings => {
                Family::Embeddings
            }
            Self::Rerank | Self::JinaRerank | Self::VoyageRerank => Family::Rerank,
            _ => Family::Chat,
        }
    }

    /// How much of a conversation can be said in it; where a target speaks several dialects and not the client's, the
    /// richest serves best.
    pub const fn richness(self) -> u8 {
        match self {
            Self::AnthropicMessages => 7,
            Self::BedrockConverse => 6,
            Self::OpenAiResponses => 5,
            Self::Gemini => 4,
            Self::OpenAiChat => 3,
            Self::CohereV2 => 2,
            Self::Ollama => 1,
            _ => 0,
        }
    }

    /// Whether an answer is one message, and not a list of choices.
    pub(crate) const fn has_one_choice(self) -> bool {
        matches!(
            self,
            Self::AnthropicMessages | Self::BedrockConverse | Self::OpenAiResponses | Self::CohereV2 | Self::Ollama
        )
    }

    /// Whether a request has words for a block in a turn of this role; what has none is named by whoever writes it.
    pub(crate) fn says(self, block: &Block<'_>, role: Role) -> bool {
        match self {
            Self::OpenAiChat => openai_chat::says(block),
            Self::OpenAiResponses => openai_responses::says(block, role),
            Self::AnthropicMessages => anthropic_messages::says(block),
            Self::BedrockConverse => bedrock_converse::says(block),
            Self::Gemini => gemini::says(block),
            Self::CohereV2 => cohere_v2::says(block),
            Self::Ollama => ollama::says(block),
            _ => true,
        }
    }

    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|d| d.name() == name)
    }

    /// The refusal of a request or reply that this dialect has no words for.
    pub(crate) fn has_no_words(self) -> DialectError {
        Place::Document.refuse(format!("cannot be said in {}", self.name()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialect_is_found_by_its_name() {
        for dialect in Dialect::ALL.iter().copied() {
            assert_eq!(Dialect::from_name(dialect.name()), Some(dialect));
        }
        assert_eq!(Dialect::OpenAiChat.name(), "openai_chat");
        assert_eq!(Dialect::from_name("OpenAiChat"), None);
    }

    #[test]
    fn what_is_no_answer_in_words_does_not_stream() {
        for dialect in Dialect::ALL.iter().copied() {
            let streams = !["embeddings", "rerank"].iter().any(|kind| dialect.name().ends_with(kind));
            assert_eq!(dialect.reader().is_some(), streams, "{}", dialect.name());
            assert_eq!(dialect.writer(&Envelope::default()).is_some(), streams, "{}", dialect.name());
        }
    }
}
