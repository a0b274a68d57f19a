//! How long a scan takes: `cargo run --release -p fastroute-core --example scan_speed [name [seconds]]`.
//!
//! Prints the minimum over many rounds, which moves least on a shared machine. Bodies above 64 KiB are fed as the
//! frames a connection would give. With a name, only that body is scanned, for so many seconds: for a profiler.

use std::fmt::Write;
use std::hint::black_box;
use std::time::{Duration, Instant};

use fastroute_core::json::{Limits, Scan, Scanner, Shape};

const FRAME: usize = 64 << 10;

fn run(body: &[u8]) -> Option<Scan> {
    let mut scanner = Scanner::new(Shape::Chat, &Limits::default());
    for frame in body.chunks(FRAME) {
        scanner.feed(frame).ok()?;
    }
    scanner.finish().ok()
}

const PROSE: &str = "The quick brown fox jumps over the lazy dog while seventeen engineers argue about cache lines. ";
const CODE: &str = "def f(x):\\n    return \\\"{}\\\".format(x)  # größer als nötig, 例えば日本語\\n\\t";

/// A conversation whose messages have `length` bytes of `text` each.
fn chat(bytes: usize, length: usize, text: &str) -> String {
    let mut body = String::from(
        "{\"model\":\"gpt-4o-mini\",\"temperature\":0.7,\"max_tokens\":512,\"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":[{\"role\":\"system\",\"content\":\"You are terse.\"}",
    );
    let mut nth = 0;
    while body.len() + 60 < bytes {
        let role = if nth % 2 == 0 { "user" } else { "assistant" };
        let room = length.min(bytes - body.len() - 40);
        let content: String = text.chars().cycle().take(room).collect();
        // Whole repetitions only, so that no escape is cut.
        let whole = text.repeat(content.len().div_ceil(text.len()));
        let _ = write!(body, ",{{\"role\":\"{role}\",\"content\":\"{whole}\"}}");
        nth += 1;
    }
    body.push_str("]}");
    body
}

fn image(bytes: usize) -> String {
    let data = "iVBORw0KGgo".repeat(bytes / 11);
    format!(
        "{{\"model\":\"gpt-4o\",\"messages\":[{{\"role\":\"user\",\"content\":[{{\"type\":\"text\",\"text\":\"What is this?\"}},{{\"type\":\"image_url\",\"image_url\":{{\"url\":\"data:image/png;base64,{data}\"}}}}]}}]}}"
    )
}

fn tools(count: usize) -> String {
    let mut body =
        String::from("{\"model\":\"gpt-4o\",\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}],\"tools\":[");
    for nth in 0..count {
        let comma = if nth == 0 { "" } else { "," };
        let _ = write!(
            body,
            "{comma}{{\"type\":\"function\",\"function\":{{\"name\":\"tool_{nth}\",\"description\":\"Looks up an entry by its number and returns it.\",\"parameters\":{{\"type\":\"object\",\"properties\":{{\"id\":{{\"type\":\"integer\",\"minimum\":0,\"maximum\":99999}},\"mode\":{{\"type\":\"string\",\"enum\":[\"a\",\"b\",\"c\"]}}}},\"required\":[\"id\"],\"additionalProperties\":false}}}}}}"
        );
    }
    body.push_str("]}");
    body
}

fn tokens(count: usize) -> String {
    let list: Vec<String> = (0..count).map(|nth| (nth * 7919 % 100_000).to_string()).collect();
    format!("{{\"model\":\"text-embedding-3-small\",\"input\":[{}]}}", list.join(","))
}

fn indented(body: &str) -> Option<String> {
    let value: serde_json::Value = serde_json::from_str(body).ok()?;
    serde_json::to_string_pretty(&value).ok()
}

fn bodies() -> Vec<(&'static str, String)> {
    let small = "{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"system\",\"content\":\"You are a helpful assistant.\"},{\"role\":\"user\",\"content\":\"Say hello in three languages, please.\"}],\"temperature\":0.2,\"max_tokens\":64,\"stream\":false,\"user\":\"u-1234\"}";
    let pretty = indented(&tools(150)).unwrap_or_default();
    vec![
        ("none", "{}".to_owned()),
        ("chat_220", small.to_owned()),
        ("chat_1k", chat(1 << 10, 190, PROSE)),
        ("chat_10k", chat(10 << 10, 950, PROSE)),
        ("escapes_32k", chat(32 << 10, 800, CODE)),
        ("chat_100k", chat(100 << 10, 950, PROSE)),
        ("chat_1m", chat(1 << 20, 950, PROSE)),
        ("escapes_1m", chat(1 << 20, 800, CODE)),
        ("image_1m", image(1 << 20)),
        ("image_5m", image(5 << 20)),
        ("tools_53k", tools(190)),
        ("tools_indented", pretty),
        ("tokens_100k", tokens(18_000)),
    ]
}

fn main() {
    let mut arguments = std::env::args().skip(1);
    let only = arguments.next();
    let seconds = arguments.next().and_then(|text| text.parse().ok()).unwrap_or(5);
    for (name, body) in bodies() {
        if only.as_deref().is_some_and(|only| only != name) {
            continue;
        }
        let Some(scan) = run(body.as_bytes()) else {
            println!("{name:16} refused");
            continue;
        };
        let repeat = (200_000 / body.len()).max(1);
        let until =
            Instant::now() + if only.is_some() { Duration::from_secs(seconds) } else { Duration::from_millis(300) };
        let mut best = f64::MAX;
        while Instant::now() < until {
            let start = Instant::now();
            for _ in 0..repeat {
                black_box(run(black_box(body.as_bytes())));
            }
            best = best.min(start.elapsed().as_secs_f64() * 1e6 / repeat as f64);
        }
        println!(
            "{name:16} {:>9} bytes {best:>10.2} µs {:>6.1} GB/s  messages {} text {}",
            body.len(),
            body.len() as f64 / best / 1e3,
            scan.messages,
            scan.text_bytes
        );
    }
}
