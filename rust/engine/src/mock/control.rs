//! `/__mock/…`: how another process reads the log, replaces the script and sees the counts.
//!
//! These requests are not logged and no rule sees them.

use super::log::View;
use super::request::Ask;
use super::script::Script;
use super::shared::Shared;

/// The complete answer, head and body.
///
/// - `GET /__mock/log`: one JSON object per line, oldest first; `?since=ID` leaves out the rows before that id.
/// - `DELETE /__mock/log`: forgets the rows.
/// - `PUT /__mock/script`: replaces the script; body files are relative to where the process runs.
/// - `GET /__mock/stats`: the counts.
pub(super) fn answer(ask: &Ask, body: &[u8], shared: &Shared) -> Vec<u8> {
    match (ask.method(), ask.path()) {
        ("GET", "/__mock/log") => render(200, "application/x-ndjson", &log(ask, shared)),
        ("DELETE", "/__mock/log") => {
            shared.log().clear();
            render(204, "", "")
        }
        ("PUT", "/__mock/script") => {
            let json = String::from_utf8_lossy(body);
            match Script::parse(&json, std::path::Path::new("")) {
                Ok(script) => {
                    shared.set_script(script);
                    render(204, "", "")
                }
                Err(error) => render(400, "text/plain; charset=utf-8", &format!("{error}\n")),
            }
        }
        ("GET", "/__mock/stats") => {
            let stats = serde_json::to_string(&shared.stats()).unwrap_or_default();
            render(200, "application/json", &stats)
        }
        _ => render(
            404,
            "text/plain; charset=utf-8",
            "GET or DELETE /__mock/log, PUT /__mock/script, GET /__mock/stats\n",
        ),
    }
}

fn log(ask: &Ask, shared: &Shared) -> String {
    let since = ask.query().strip_prefix("?since=").and_then(|id| id.parse().ok()).unwrap_or(0);
    let mut lines = String::new();
    for row in shared.log().rows().filter(|row| row.id >= since) {
        // A row is plain texts and numbers, which always serialise.
        lines.push_str(&serde_json::to_string(&View::from(row)).unwrap_or_default());
        lines.push('\n');
    }
    lines
}

fn render(status: u16, content_type: &str, body: &str) -> Vec<u8> {
    if status == 204 {
        return b"HTTP/1.1 204 No Content\r\n\r\n".to_vec();
    }
    format!("HTTP/1.1 {status} Mock\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
        .into_bytes()
}
