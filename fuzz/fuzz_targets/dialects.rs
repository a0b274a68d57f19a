//! The laws of `src/dialects.rs`, under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fastroute_fuzz::dialects::check(input));
