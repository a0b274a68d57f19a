//! The laws of `src/relay.rs`, under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fastroute_fuzz::relay::check(input));
