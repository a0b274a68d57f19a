//! What it costs to relay a stream: `cargo run --release -p fastroute-core --example relay_speed`.
//!
//! Events of about 300 bytes, as OpenAI sends them, in frames of several sizes; the same for the parser alone.

use std::{hint::black_box, time::Instant};

use bytes::Bytes;
use fastroute_core::{
    relay::{Relay, RelaySpec, Slices},
    sse::{Limits, Parser},
};

const EVENTS: u32 = 20_000;
const ROUNDS: usize = 15;

fn stream() -> Bytes {
    let mut out = Vec::new();
    for index in 0..EVENTS {
        let event = format!(
            "data: {{\"id\":\"chatcmpl-Cn4kPq7Zx2Wm8RtYb1Lc5Vd0Hs3Jf\",\"object\":\"chat.completion.chunk\",\
             \"created\":1790000000,\"model\":\"gpt-5-mini-2026-08-07\",\"service_tier\":\"default\",\
             \"system_fingerprint\":null,\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\" word{index}\"}},\
             \"finish_reason\":null}}],\"usage\":null,\"obfuscation\":\"a7Bx9Qm2\"}}\n\n"
        );
        out.extend_from_slice(event.as_bytes());
    }
    Bytes::from(out)
}

/// Best of several rounds, in ns per event: other work on the machine only ever adds.
fn best(mut round: impl FnMut()) -> f64 {
    let times = (0..ROUNDS).map(|_| {
        let before = Instant::now();
        round();
        before.elapsed().as_secs_f64()
    });
    times.fold(f64::INFINITY, f64::min) * 1e9 / f64::from(EVENTS)
}

fn main() {
    let stream = stream();
    println!("{} bytes per event", stream.len() / EVENTS as usize);
    for size in [64, 400, 1_460, 16_384] {
        let frames: Vec<Bytes> =
            (0..stream.len()).step_by(size).map(|at| stream.slice(at..stream.len().min(at + size))).collect();
        let parsed = best(|| {
            let mut parser = Parser::new(Limits::default());
            for frame in &frames {
                let fed = parser.feed(frame, |event| {
                    black_box(event.data.len());
                });
                black_box(fed.is_ok());
            }
        });
        let relayed = best(|| {
            let mut relay = Relay::new(RelaySpec::default());
            let mut out = Slices::new();
            for frame in &frames {
                black_box(relay.feed(frame.clone(), &mut out).is_ok());
                black_box(&mut out).clear();
            }
            black_box(relay.content_events());
        });
        println!("frames of {size:>6} bytes: parser {parsed:>6.0} ns, relay {relayed:>6.0} ns per event");
    }
}
