//! Bake-off of token counters: speed, hostile texts, start-up, memory and agreement, one JSON line per figure.
//!
//! Each engine is measured in its own process (`./run`), so memory and start-up belong to one engine alone.
//! The surprise: every timed text is new to the process, because two of the engines remember whole words.

mod engines;
#[path = "../../../rust/core/tests/texts/mod.rs"]
mod texts;

use engines::{Count, ENCODINGS, ENGINES, Encoding};
use serde_json::json;
use std::hint::black_box;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["engines"] => ENGINES.iter().for_each(|(name, _, _)| println!("{name}")),
        ["load", engine] => load(engine),
        ["speed"] => speed(),
        ["hostile"] => hostile(),
        ["growth", engine] => {
            growth(engine);
            hostile_growth(engine);
        }
        ["record"] => record(),
        ["dump", strings] => dump(strings.parse().expect("a number of strings")),
        ["agree", strings] => agree(strings.parse().expect("a number of strings")),
        _ => {
            eprintln!(
                "usage: tokens-bakeoff engines | load ENGINE | growth ENGINE | speed | hostile | agree STRINGS | record | dump STRINGS"
            );
            std::process::exit(2);
        }
    }
}

fn engine(name: &str) -> (&'static str, &'static str, Count) {
    *ENGINES
        .iter()
        .find(|(known, _, _)| *known == name)
        .unwrap_or_else(|| panic!("no engine {name} in this build"))
}

/// Resident memory in KiB, from Linux's own account of this process.
fn rss_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .unwrap_or("0");
    line.split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .unwrap_or(0)
}

fn load(name: &str) {
    let (engine, version, count) = engine(name);
    let before = rss_kib();
    let mut figures = Vec::new();
    for (encoding_name, encoding) in ENCODINGS {
        let start = Instant::now();
        let tokens = count(encoding, "Hello, world. Ordinary text; 你好!");
        let first_ms = start.elapsed().as_secs_f64() * 1e3;
        let start = Instant::now();
        black_box(count(
            encoding,
            &texts::text(texts::Kind::Multilingual, 4096, 7),
        ));
        let second_ms = start.elapsed().as_secs_f64() * 1e3;
        figures.push(json!({"encoding": encoding_name, "tokens": tokens, "first_count_ms": first_ms, "second_count_ms": second_ms, "rss_kib": rss_kib()}));
    }
    println!(
        "{}",
        json!({"bench": "load", "engine": engine, "version": version, "rss_before_kib": before, "encodings": figures})
    );
}

/// Processor time of this thread: on a shared machine the clock on the wall measures the neighbours.
fn cpu_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

const SIZES: [usize; 3] = [200, 4 << 10, 100 << 10];
const ROUNDS: usize = 7;

/// Engines take turns on every batch of texts, so that a busy spell of the machine meets all of them.
fn speed() {
    for (encoding_name, encoding) in ENCODINGS {
        for (_, _, count) in ENGINES {
            black_box(count(
                encoding,
                &texts::text(texts::Kind::Multilingual, 100_000, 99),
            ));
        }
        for (kind_name, kind) in texts::KINDS {
            for size in SIZES {
                let per_round = (300_000 / size).clamp(3, 800);
                let mut best_ns = vec![f64::MAX; ENGINES.len()];
                let (mut tokens, mut bytes) = (0, 0);
                for round in 0..ROUNDS {
                    // New texts each round: two of the engines remember words.
                    let batch: Vec<String> = (0..per_round)
                        .map(|at| {
                            texts::text(kind, size, (round * per_round + at + size * 31) as u64)
                        })
                        .collect();
                    for (best_ns, (_, _, count)) in best_ns.iter_mut().zip(ENGINES) {
                        let start = cpu_ns();
                        tokens = batch
                            .iter()
                            .map(|text| black_box(count(encoding, black_box(text))))
                            .sum();
                        *best_ns = best_ns.min((cpu_ns() - start) as f64 / batch.len() as f64);
                    }
                    bytes = batch.iter().map(String::len).sum();
                }
                for (best_ns, (engine, version, _)) in best_ns.iter().zip(ENGINES) {
                    if *engine == "fastroute-bounded" {
                        continue;
                    }
                    println!(
                        "{}",
                        json!({"bench": "speed", "engine": engine, "version": version, "encoding": encoding_name, "text": kind_name, "bytes": size,
                        "cpu_us": best_ns / 1e3, "mb_per_s": size as f64 * 1e3 / best_ns, "bytes_per_token": bytes as f64 / tokens as f64})
                    );
                }
            }
        }
    }
}

fn hostile() {
    std::panic::set_hook(Box::new(|_| {}));
    for (encoding_name, encoding) in ENCODINGS {
        for (_, _, count) in ENGINES {
            black_box(count(
                encoding,
                &texts::text(texts::Kind::Multilingual, 100_000, 99),
            ));
        }
        for (case, text) in texts::hostile(1_000_000) {
            let mut best_ms = vec![f64::MAX; ENGINES.len()];
            let mut tokens = vec![None; ENGINES.len()];
            for round in 0..3 {
                // Each round drops some characters, or a cache of pieces would answer the second one.
                let dropped = text.char_indices().nth(round * 7).map_or(0, |(at, _)| at);
                for ((best_ms, tokens), (_, _, count)) in
                    best_ms.iter_mut().zip(&mut tokens).zip(ENGINES)
                {
                    let start = cpu_ns();
                    *tokens =
                        catch_unwind(AssertUnwindSafe(|| count(encoding, &text[dropped..]))).ok();
                    *best_ms = best_ms.min((cpu_ns() - start) as f64 / 1e6);
                }
            }
            for ((best_ms, tokens), (engine, version, _)) in best_ms.iter().zip(tokens).zip(ENGINES)
            {
                println!(
                    "{}",
                    json!({"bench": "hostile", "engine": engine, "version": version, "encoding": encoding_name, "text": case,
                    "bytes": text.len(), "cpu_ms": best_ms, "tokens": tokens})
                );
            }
        }
    }
}

/// Does hostile traffic leave anything behind? Texts of 256 KB, each a few long pieces that are never seen again.
fn hostile_growth(name: &str) {
    let (engine, version, count) = engine(name);
    for (_, encoding) in ENCODINGS {
        black_box(count(encoding, "warm"));
    }
    let before = rss_kib();
    for at in 0..200 {
        for (first, last) in [('a', 'z'), ('\u{4e00}', '\u{9fff}')] {
            let text = texts::run(first, last, 256 << 10, at);
            for (_, encoding) in ENCODINGS {
                black_box(count(encoding, &text));
            }
        }
    }
    println!(
        "{}",
        json!({"bench": "hostile_growth", "engine": engine, "version": version, "rss_before_kib": before, "rss_after_kib": rss_kib()})
    );
}

/// Does memory follow the traffic? 32 MB of words that never come again.
fn growth(name: &str) {
    let (engine, version, count) = engine(name);
    for (_, encoding) in ENCODINGS {
        black_box(count(encoding, "warm"));
    }
    let before = rss_kib();
    let mut dice = texts::Dice::new(5);
    for _ in 0..8_000 {
        let text: String = (0..250).map(|_| format!(" {:x}", dice.next())).collect();
        for (_, encoding) in ENCODINGS {
            black_box(count(encoding, &text));
        }
    }
    println!(
        "{}",
        json!({"bench": "growth", "engine": engine, "version": version, "rss_before_kib": before, "rss_after_kib": rss_kib()})
    );
}

/// Every engine against the oracle on fuzzed and hostile texts; ends in failure when ours differs anywhere.
fn agree(strings: u64) {
    let (oracle_name, _, oracle) = engine("bpe-openai");
    let mut ours_agrees = true;
    for (name, version, count) in ENGINES
        .iter()
        .filter(|(name, _, _)| *name != oracle_name && *name != "fastroute-bounded")
    {
        for (encoding_name, encoding) in ENCODINGS {
            let mut bytes = 0;
            let mut differences = Vec::new();
            for seed in 0..strings {
                let text = texts::fuzzed(seed);
                bytes += text.len();
                if count(encoding, &text) != oracle(encoding, &text) {
                    differences.push(seed.to_string());
                }
            }
            // Short enough that nothing is cut and called an estimate.
            for (case, text) in texts::hostile(16_000) {
                if count(encoding, &text) != oracle(encoding, &text) {
                    differences.push(case.to_owned());
                }
            }
            ours_agrees &= *name != "fastroute" || differences.is_empty();
            println!(
                "{}",
                json!({"bench": "agree", "engine": name, "version": version, "oracle": oracle_name, "encoding": encoding_name, "strings": strings, "bytes": bytes,
                "differences": differences.len(), "first": differences.iter().take(5).collect::<Vec<_>>()})
            );
        }
    }
    std::process::exit(i32::from(!ours_agrees));
}

/// The oracle's sums over blocks of fuzzed texts, as `rust/core/tests/tokens_agree.rs` holds them.
fn record() {
    let (_, _, oracle) = engine("bpe-openai");
    for (name, encoding) in ENCODINGS {
        let sums: Vec<usize> = (0..40)
            .map(|block| {
                (block * 500..(block + 1) * 500)
                    .map(|seed| oracle(encoding, &texts::fuzzed(seed)))
                    .sum()
            })
            .collect();
        println!("{name}: {sums:?}");
        let sums: Vec<(&str, usize)> = texts::hostile(16_000)
            .iter()
            .map(|(case, text)| (*case, oracle(encoding, text)))
            .collect();
        println!("{name}: {sums:?}");
    }
}

/// The fuzzed and hostile texts with our counts, a JSON line each, for a check against an oracle in another language.
fn dump(strings: u64) {
    let (_, _, ours) = engine("fastroute");
    let fuzzed = (0..strings).map(texts::fuzzed);
    for text in fuzzed.chain(texts::hostile(16_000).into_iter().map(|(_, text)| text)) {
        println!(
            "{}",
            json!({"text": text, "o200k_base": ours(Encoding::O200kBase, &text), "cl100k_base": ours(Encoding::Cl100kBase, &text)})
        );
    }
}
