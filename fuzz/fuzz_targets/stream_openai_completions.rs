//! The laws of `src/streams.rs` for streams of this dialect, under libFuzzer.
#![no_main]

use fastroute_core::dialects::Dialect;

libfuzzer_sys::fuzz_target!(|input: &[u8]| fastroute_fuzz::streams::check(Dialect::OpenAiCompletions, input));
