//! What the scanner says of many bodies, for comparing it with other parsers.
//!
//! Standard input: bodies, each after its length as four little-endian bytes. Standard output: one JSON object a line,
//! either what was read and where, or `{"refused": code}`. Each body is scanned whole and in small frames, and a
//! difference between the two ends the program with an error.

use std::io::{self, BufWriter, Read, Write};

use fastroute_core::json::{Field, JsonError, Limits, Scan, Scanner, Shape, scan};
use serde_json::{Value, json};

fn in_frames(body: &[u8], size: usize) -> Result<Scan, JsonError> {
    let mut scanner = Scanner::new(Shape::Chat, &Limits::default());
    for frame in body.chunks(size) {
        scanner.feed(frame)?;
    }
    scanner.finish()
}

fn verdict(found: &Scan) -> Value {
    let span = |field| found.span(field).map(|at| [at.start, at.end]);
    json!({
        "model": found.model,
        "stream": found.stream,
        "include_usage": found.include_usage,
        "max_tokens": found.max_tokens,
        "n": found.n,
        "messages": found.messages,
        "system": found.roles.system,
        "user": found.roles.user,
        "image": found.media.image,
        "tools": found.tools,
        "empty": found.empty,
        "spans": {
            "model": span(Field::Model),
            "messages": span(Field::Messages),
            "tools": span(Field::Tools),
            "stream_options": span(Field::StreamOptions),
            "user": span(Field::User),
        },
    })
}

fn main() -> io::Result<()> {
    let mut input = io::stdin().lock();
    let mut output = BufWriter::new(io::stdout().lock());
    let mut length = [0; 4];
    let mut body = Vec::new();
    while input.read_exact(&mut length).is_ok() {
        let length = u32::from_le_bytes(length);
        body.clear();
        input.by_ref().take(u64::from(length)).read_to_end(&mut body)?;
        let whole = scan(&body, Shape::Chat, &Limits::default());
        if whole != in_frames(&body, 1 + body.len() % 13) {
            let text = String::from_utf8_lossy(&body);
            return Err(io::Error::other(format!("frames change the verdict on {text}")));
        }
        let line = match whole {
            Ok(found) => verdict(&found),
            Err(error) => json!({ "refused": error.kind.code() }),
        };
        writeln!(output, "{line}")?;
    }
    Ok(())
}
