//! The laws of `src/failure.rs`, under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fastroute_fuzz::failure::check(input));
