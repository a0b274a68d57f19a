//! Vectors without meaning: equal for equal inputs, of length one, and alike on every machine.
//!
//! The input's bytes are hashed with FNV-1a (64 bits; tokens as little-endian `u32`), the hash starts a splitmix64
//! sequence, the top 24 bits of each draw are a number from -1 up to 1, and the vector is divided by its length.

use crate::dialects::message::{
    Embedding, EmbeddingsReply, EmbeddingsRequest, Encoding, Extras, Inputs, Spelling, TokenUsage, Usage, Vector,
};
use crate::dialects::mint::{SplitMix64, fnv1a};
use crate::dialects::{DialectError, Place};

const DEFAULT_DIMENSIONS: u64 = 64;
/// The largest that public models give.
const MOST_DIMENSIONS: u64 = 4096;
/// OpenAI's own bound on inputs.
const MOST_INPUTS: usize = 2048;
/// Numbers per reply, some ten megabytes of JSON: inputs times dimensions could be far more.
const MOST_NUMBERS: u64 = 1 << 20;

pub(super) fn reply<'a>(
    request: &EmbeddingsRequest<'_>,
    model: &'a str,
    prompt_tokens: u64,
) -> Result<EmbeddingsReply<'a>, DialectError> {
    let dimensions = dimensions(request)?;
    let encoding = request.encoding.unwrap_or(Encoding::Float);
    let hashes: Vec<u64> = match &request.inputs {
        Inputs::Texts(texts) => texts.iter().map(|text| fnv1a(text.as_bytes())).collect(),
        Inputs::Tokens(lists) => lists.iter().map(|tokens| hash_tokens(tokens)).collect(),
        // OpenAI's dialect, in which this is asked, has texts and tokens alone.
        Inputs::Opaque { .. } => Vec::new(),
    };
    let embeddings = (0..).zip(hashes).map(|(index, hash)| Embedding {
        index,
        vector: Vector::from_floats(&unit_vector(hash, dimensions), encoding),
        extras: Extras::default(),
    });
    Ok(EmbeddingsReply {
        model: model.into(),
        embeddings: embeddings.collect(),
        spelling: Spelling::Structured,
        usage: Some(Usage {
            tokens: TokenUsage { prompt_tokens, total_tokens: prompt_tokens, ..TokenUsage::default() },
            extras: Extras::default(),
        }),
        extras: Extras::default(),
    })
}

fn dimensions(request: &EmbeddingsRequest<'_>) -> Result<usize, DialectError> {
    let dimensions = request.dimensions.unwrap_or(DEFAULT_DIMENSIONS);
    if !(1..=MOST_DIMENSIONS).contains(&dimensions) {
        let place = Place::Document.member("dimensions");
        return Err(place.refuse(format!("must be from 1 to {MOST_DIMENSIONS} for this model")));
    }
    let inputs = request.inputs.len();
    if inputs > MOST_INPUTS || inputs as u64 * dimensions > MOST_NUMBERS {
        let place = Place::Document.member("input");
        return Err(place.refuse(format!(
            "may hold {MOST_INPUTS} inputs for this model, and {MOST_NUMBERS} divided by the dimensions"
        )));
    }
    Ok(usize::try_from(dimensions).unwrap_or(usize::MAX))
}

fn hash_tokens(tokens: &[u32]) -> u64 {
    let bytes: Vec<u8> = tokens.iter().flat_map(|token| token.to_le_bytes()).collect();
    fnv1a(&bytes)
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the numbers are between -1 and 1; only digits beyond an f32 are lost"
)]
fn unit_vector(hash: u64, dimensions: usize) -> Vec<f32> {
    const HALF: f64 = 8_388_608.0;
    let mut dice = SplitMix64(hash);
    let numbers: Vec<f64> = (0..dimensions).map(|_| (dice.draw() >> 40) as f64 / HALF - 1.0).collect();
    let length = numbers.iter().map(|x| x * x).sum::<f64>().sqrt();
    // One number alone may be drawn as zero, and zero has no direction.
    if length == 0.0 {
        return vec![1.0; dimensions];
    }
    numbers.iter().map(|x| (x / length) as f32).collect()
}
