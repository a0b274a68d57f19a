//! Embeddings: texts or tokens in, vectors out.
//!
//! Vectors stay in the form in which they came until somebody asks for another one. The surprise: as base64 they are
//! 32-bit floats, little-endian, without a length or a header.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{Extras, Json, Spelling, Text, Usage};
use crate::dialects::output;

#[derive(Debug, Clone, PartialEq)]
pub struct EmbeddingsRequest<'a> {
    pub model: Text<'a>,
    pub inputs: Inputs<'a>,
    /// `Plain` when the client sent one input outside a list.
    pub spelling: Spelling,
    pub encoding: Option<Encoding>,
    pub dimensions: Option<u64>,
    pub user: Option<Text<'a>>,
    pub extras: Extras<'a>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Inputs<'a> {
    Texts(Vec<Text<'a>>),
    Tokens(Vec<Vec<u32>>),
}

impl Inputs<'_> {
    pub fn len(&self) -> usize {
        match self {
            Self::Texts(texts) => texts.len(),
            Self::Tokens(lists) => lists.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
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
    pub usage: Option<Usage<'a>>,
    pub extras: Extras<'a>,
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
