//! The laws of `src/json.rs`, under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fastroute_fuzz::json::check(input));
