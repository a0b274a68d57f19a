//! The laws of `src/journal.rs`, under libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| fastroute_fuzz::journal::check(input));
