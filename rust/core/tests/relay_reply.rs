//! Replies that are no streams, whole and by their ends.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

use bytes::Bytes;
use fastroute_core::{
    failure::Kind,
    relay::{ReplyFacts, TailInspector, inspect_reply},
    usage::UsageRule,
};

fn reply(content: &str) -> String {
    let content = serde_json::to_string(content).unwrap();
    format!(
        "{{\"id\":\"c1\",\"model\":\"tide-1\",\"choices\":[{{\"index\":0,\"message\":{{\"role\":\"assistant\",\
         \"content\":{content}}},\"finish_reason\":\"length\"}}],\
         \"usage\":{{\"prompt_tokens\":9,\"completion_tokens\":4,\"total_tokens\":13}}}}"
    )
}

fn by_ends(body: &str, frame_bytes: usize) -> Result<ReplyFacts, Kind> {
    let mut inspector = TailInspector::new(UsageRule::Invariant);
    for frame in body.as_bytes().chunks(frame_bytes) {
        inspector.feed(Bytes::copy_from_slice(frame));
    }
    inspector.end().map_err(|failure| failure.kind)
}

fn assert_facts(facts: &ReplyFacts) {
    assert_eq!(facts.usage.unwrap().total_tokens, 13);
    assert_eq!(facts.finish_reason.as_deref(), Some("length"));
    assert_eq!(facts.model.as_deref(), Some("tide-1"));
}

#[test]
fn a_whole_reply_tells_its_usage_finish_and_model() {
    let body = format!("\n\n \n{}\n", reply("Low \"tide\""));
    let facts = inspect_reply(body.as_bytes(), UsageRule::Invariant).unwrap();
    assert_facts(&facts);
    assert_eq!(facts.content_bytes, 12);
}

#[test]
fn a_reply_cut_anywhere_is_truncated() {
    let body = reply("Low tide");
    for cut in 1..body.len() {
        let failure = inspect_reply(&body.as_bytes()[..cut], UsageRule::Invariant).unwrap_err();
        assert!(matches!(failure.kind, Kind::Truncated | Kind::Malformed), "cut at {cut}");
        assert_eq!(failure.status, 502);
    }
}

#[test]
fn what_is_no_object_is_malformed() {
    for body in ["", "   ", "<html></html>", "null", "\"text\"", "[]", "[{\"id\":1}]", "{\"a\"}", "{} {}"] {
        let failure = inspect_reply(body.as_bytes(), UsageRule::Invariant).unwrap_err();
        assert_eq!(failure.kind, Kind::Malformed, "{body}");
    }
}

#[test]
fn an_error_under_status_200_is_what_it_says() {
    for (body, kind, status) in [
        (r#"{"error":{"code":429,"message":"Busy"}}"#, Kind::RateLimited, 429),
        (r#"{"error":"Busy"}"#, Kind::UpstreamError, 502),
        (r#"[{"error":{"code":503,"status":"UNAVAILABLE"}}]"#, Kind::Overloaded, 503),
        (r#"{"choices":[{"error":{"code":502,"message":"Gone"},"finish_reason":"error"}]}"#, Kind::UpstreamError, 502),
        (
            r#"{"choices":[{"message":{"content":"a"},"finish_reason":"insufficient_system_resource"}]}"#,
            Kind::Overloaded,
            503,
        ),
        (r#"{"error":{"code":401,"message":"Wrong key"}}"#, Kind::Auth, 502),
    ] {
        let failure = inspect_reply(body.as_bytes(), UsageRule::Invariant).unwrap_err();
        assert_eq!((failure.kind, failure.status), (kind, status), "{body}");
    }
    for fine in [r#"{"error":null,"choices":[]}"#, r#"{"error":{},"data":[]}"#] {
        assert!(inspect_reply(fine.as_bytes(), UsageRule::Invariant).is_ok(), "{fine}");
    }
}

#[test]
fn a_long_reply_is_known_by_its_ends_however_it_is_framed() {
    let trap = "say \"usage\":{\"prompt_tokens\":77} and \\\"model\":\"no\" ";
    let body = reply(&trap.repeat(2_000));
    assert!(body.len() > 100_000);
    for size in [1, 7, 1_000, 16_384, body.len()] {
        assert_facts(&by_ends(&body, size).unwrap());
    }
}

#[test]
fn usage_before_a_long_content_is_found_at_the_head() {
    let content = "x".repeat(100_000);
    let body = format!(
        "{{\"model\":\"tide-1\",\"usage\":{{\"prompt_tokens\":9,\"completion_tokens\":4}},\
         \"choices\":[{{\"finish_reason\":\"length\",\"message\":{{\"content\":\"{content}\"}}}}]}}"
    );
    assert_facts(&by_ends(&body, 4_000).unwrap());
}

#[test]
fn a_long_reply_without_its_last_brace_is_truncated() {
    let body = reply(&"x".repeat(100_000));
    assert_eq!(by_ends(&body[..body.len() - 1], 4_000).unwrap_err(), Kind::Truncated);
    assert_eq!(by_ends(&format!("<{body}"), 4_000).unwrap_err(), Kind::Malformed);
    assert_eq!(by_ends("", 1).unwrap_err(), Kind::Malformed);
}
