//! Embeddings: texts or tokens in, vectors out.
//!
//! Vectors stay in the form in which they came until somebody asks for another one. The surprise: as base64 they are
//! 32-bit floats, little-endian, without a length or a header.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Extras, Json, Spelling, Text, Usage};
use crate::dialects::output::{self, Buffer};
use crate::dialects::{Dialect, DialectError, Place};

#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingsRequest<'a> {
    pub model: Text<'a>,
    pub inputs: Inputs<'a>,
    /// `Plain` when the client sent one input outside a list.
    pub spelling: Spelling,
    pub encoding: Option<Encoding>,
    pub dimensions: Option<u64>,
    pub task: Option<Task>,
    pub truncate: Option<Truncate>,
    pub user: Option<Text<'a>>,
    pub extras: Extras<'a>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Inputs<'a> {
    Texts(Vec<Text<'a>>),
    Tokens(Vec<Vec<u32>>),
    /// Images, or texts in parts: what only `dialect` can read, as the items of the member they stood in.
    Opaque {
        dialect: Dialect,
        member: &'static str,
        items: Vec<Json<'a>>,
    },
}

impl Inputs<'_> {
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Tokens(lists) => lists.len(),
            Self::Opaque { items, .. } => items.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Refuses what `dialect` cannot read: tokens, unless it takes `tokens`, and what only another dialect knows.
    pub(crate) fn sayable(&self, dialect: Dialect, tokens: bool) -> Result<(), DialectError> {
        let what = match self {
            Self::Tokens(_) if !tokens => "tokens",
            Self::Opaque { dialect: theirs, .. } if *theirs != dialect => "more than text",
            _ => return Ok(()),
        };
        let message = format!("is {what}, which cannot be said in {}", dialect.name());
        Err(Place::Document.member("input").refuse(message))
    }
}

/// What the vectors are for, in as many words as any dialect has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Task {
    Query,
    Document,
    Similarity,
    Classification,
    Clustering,
    QuestionAnswering,
    FactVerification,
    CodeQuery,
}

/// What to do about a text that is longer than the model can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Truncate {
    /// Refuse it.
    Never,
    /// Leave out its start.
    Start,
    /// Leave out its end.
    End,
}

/// In which form a client asked for its vectors, to be kept until there are some.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    pub encoding: Option<Encoding>,
    /// It asked for one vector and not for a list.
    pub alone: bool,
}

impl Wanted {
    pub fn of(request: &EmbeddingsRequest<'_>) -> Self {
        Self { encoding: request.encoding, alone: request.spelling == Spelling::Plain }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Float,
    Base64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingsReply<'a> {
    pub model: Text<'a>,
    pub embeddings: Vec<Embedding<'a>>,
    /// `Plain` for one vector outside a list.
    pub spelling: Spelling,
    pub usage: Option<Usage<'a>>,
    pub extras: Extras<'a>,
}

impl EmbeddingsReply<'_> {
    /// Brings the vectors into the form that was asked for. Refuses what is no vector.
    pub fn suit(&mut self, wanted: Wanted) -> Result<(), DialectError> {
        if let Some(encoding) = wanted.encoding {
            for (at, embedding) in self.embeddings.iter_mut().enumerate() {
                let vector = embedding.vector.clone().encoded(encoding);
                embedding.vector = vector.ok_or_else(|| no_vector(at))?;
            }
        }
        self.spelling = if wanted.alone && self.embeddings.len() == 1 { Spelling::Plain } else { Spelling::Structured };
        Ok(())
    }

    /// The vectors in the order of their inputs, for dialects that do not number them. Refuses what is no vector.
    pub(crate) fn in_order(&self, encoding: Encoding) -> Result<Vec<Vector<'_>>, DialectError> {
        let mut order: Vec<_> = self.embeddings.iter().collect();
        order.sort_by_key(|embedding| embedding.index);
        let vectors = order.into_iter().enumerate().map(|(at, embedding)| {
            let vector = embedding.vector.clone().encoded(encoding);
            vector.ok_or_else(|| no_vector(at))
        });
        vectors.collect()
    }
}

fn no_vector(at: usize) -> DialectError {
    Place::Document.member("embeddings").item(at).refuse("is no vector")
}

#[derive(Debug, Clone, PartialEq)]
pub struct Embedding<'a> {
    pub index: u64,
    pub vector: Vector<'a>,
    pub extras: Extras<'a>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Vector<'a> {
    /// A JSON list of numbers with the digits it came with.
    Numbers(Json<'a>),
    Base64(Text<'a>),
}

impl Vector<'_> {
    pub fn from_floats(floats: &[f32], encoding: Encoding) -> Vector<'static> {
        match encoding {
            Encoding::Float => {
                let mut out = Vec::with_capacity(floats.len() * 12);
                output::list(&mut out, floats, |out, float| {
                    // A vector takes every byte.
                    let _ = serde_json::to_writer(out, float);
                });
                Vector::Numbers(Json::written(out))
            }
            Encoding::Base64 => {
                let bytes: Vec<u8> = floats.iter().flat_map(|f| f.to_le_bytes()).collect();
                Vector::Base64(STANDARD.encode(bytes).into())
            }
        }
    }

    /// `None` when the list holds something else than numbers, or the base64 text is not whole floats.
    pub fn to_floats(&self) -> Option<Vec<f32>> {
        match self {
            Self::Numbers(json) => serde_json::from_str(json.as_str()).ok(),
            Self::Base64(text) => {
                let bytes = STANDARD.decode(text.as_bytes()).ok()?;
                let (floats, rest) = bytes.as_chunks::<4>();
                rest.is_empty().then(|| floats.iter().map(|four| f32::from_le_bytes(*four)).collect())
            }
        }
    }

    pub(crate) fn write(&self, out: &mut Buffer) {
        match self {
            Self::Numbers(numbers) => output::raw(out, numbers.as_str()),
            Self::Base64(text) => output::text(out, text),
        }
    }

    /// The same vector as the client asked to have it.
    pub fn encoded(self, encoding: Encoding) -> Option<Self> {
        match (&self, encoding) {
            (Self::Numbers(_), Encoding::Float) | (Self::Base64(_), Encoding::Base64) => Some(self),
            _ => Some(Vector::from_floats(&self.to_floats()?, encoding)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_little_endian_f32() {
        let vector = Vector::from_floats(&[1.0, -0.5], Encoding::Base64);
        assert_eq!(vector, Vector::Base64("AACAPwAAAL8=".into()));
        assert_eq!(vector.to_floats(), Some(vec![1.0, -0.5]));
    }

    #[test]
    fn both_encodings_say_the_same_numbers() {
        let floats = [0.1_f32, -1.0e-8, 3.0, f32::MIN_POSITIVE];
        let numbers = Vector::from_floats(&floats, Encoding::Float);
        let packed = numbers.clone().encoded(Encoding::Base64).unwrap();
        assert_eq!(packed.to_floats().unwrap(), floats);
        assert_eq!(packed.encoded(Encoding::Float), Some(numbers));
    }

    #[test]
    fn half_a_float_is_no_vector() {
        assert_eq!(Vector::Base64("AACA".into()).to_floats(), None);
        assert_eq!(Vector::Base64("no base64!".into()).to_floats(), None);
        let words = Json::parse(r#"["a"]"#).unwrap();
        assert_eq!(Vector::Numbers(words).to_floats(), None);
    }
}
