//! Laws that hold for any input, one module per target: libFuzzer looks for an input that breaks one.
//!
//! Each module has one function, `check`, which panics when a law is broken. The same modules are compiled into
//! `rust/core/tests/fuzz_seeds.rs`, which holds them against `seeds/` in every test run, on stable and without a fuzzer.
//! The first byte of an input chooses limits and options, the rest is what is read.

pub mod cuts;
pub mod dialects;
pub mod failure;
pub mod journal;
pub mod json;
pub mod relay;
pub mod sse;
pub mod streams;
pub mod tokens;

/// The byte that chooses, and the input.
fn chosen(input: &[u8]) -> (u8, &[u8]) {
    input.split_first().map_or((0, input), |(&first, rest)| (first, rest))
}
