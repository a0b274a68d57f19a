//! The relay: what goes on is a beginning of what came, the same for any cut; no end is made up; held bytes are bounded.

use bytes::Bytes;
use fastroute_core::relay::{Inspect, Relay, RelaySpec, Slices, TailInspector, inspect_reply};
use fastroute_core::sse::Limits;
use fastroute_core::usage::UsageRule;
use serde_json::Value;

use super::{cuts, sse};

const SMALL: usize = 200;

pub fn check(input: &[u8]) {
    let (choice, stream) = super::chosen(input);
    if choice & 0x20 == 0 {
        return check_reply(stream);
    }
    let small = choice & 0x40 == 0;
    let limit = if small { SMALL } else { 1 << 20 };
    let spec = RelaySpec {
        inspect: if choice & 0x0f == 0x0f { Inspect::Raw } else { Inspect::OpenAiChat },
        usage_rule: UsageRule::Invariant,
        hide_usage: choice & 1 == 1,
        limits: Limits { line_bytes: limit, event_bytes: limit },
        ..RelaySpec::default()
    };
    let whole = told(&spec, &[stream]);
    for frames in cuts::of(stream) {
        assert_eq!(told(&spec, &frames), whole, "the cut decides");
    }
    let out = without_closing(&whole.out);
    if spec.hide_usage {
        assert!(is_subsequence(out, stream), "bytes that did not come");
    } else {
        assert!(stream.starts_with(out) || stream.starts_with(&whole.out), "bytes that did not come");
    }
    if spec.inspect == Inspect::OpenAiChat {
        nothing_is_made_up(&whole, stream);
    }
}

/// What the relay says of the end of a stream.
#[derive(Debug, PartialEq)]
struct End {
    finished: bool,
    terminated: bool,
    failed: bool,
}

#[derive(Debug, PartialEq)]
struct Told {
    out: Vec<u8>,
    fine: bool,
    result: String,
    finish: Option<String>,
    end: End,
    facts: String,
}

fn told(spec: &RelaySpec, frames: &[&[u8]]) -> Told {
    let mut relay = Relay::new(spec.clone());
    let mut out = Slices::new();
    let mut result = Ok(());
    let mut fed = 0;
    for frame in frames {
        result = relay.feed(Bytes::copy_from_slice(frame), &mut out);
        fed += frame.len();
        assert_eq!(relay.delivered_bytes(), out.iter().map(Bytes::len).sum::<usize>() as u64);
        assert!(out.is_empty() || relay.content_started(), "something went out before content");
        if result.is_err() {
            break;
        }
        let ended = relay.terminated() || relay.upstream_error().is_some();
        // An open block and the blocks before content; line ends are not counted in a limit and at most double it.
        let held = fed - out.iter().map(Bytes::len).sum::<usize>();
        assert!(ended || spec.hide_usage || held <= 4 * spec.limits.event_bytes + 16, "{held} bytes are held");
    }
    let result = result.and_then(|()| relay.end(&mut out));
    Told {
        out: out.concat(),
        fine: result.is_ok(),
        result: format!("{result:?}"),
        finish: relay.finish_reason().map(str::to_owned),
        end: End {
            finished: relay.finished(),
            terminated: relay.terminated(),
            failed: relay.upstream_error().is_some(),
        },
        facts: format!(
            "{:?} {:?} {:?} {} {} {} {}",
            relay.usage(),
            relay.model(),
            relay.upstream_error(),
            relay.events(),
            relay.content_events(),
            relay.content_bytes(),
            relay.broken_events(),
        ),
    }
}

/// Against a full parser, where it can read every event.
fn nothing_is_made_up(whole: &Told, stream: &[u8]) {
    let data = sse::data_of(stream);
    assert!(!whole.end.terminated || data.iter().any(|data| data.trim_ascii() == b"[DONE]"), "an end mark was made up");
    let (mut reasons, mut usages, mut errors) = (Vec::new(), 0, 0);
    for data in data.iter().filter(|data| data.trim_ascii() != b"[DONE]") {
        let Ok(event) = serde_json::from_slice::<Value>(data) else { return };
        for choice in event["choices"].as_array().into_iter().flatten() {
            reasons.extend(choice["finish_reason"].as_str().map(str::to_owned));
            usages += usize::from(!choice["usage"].is_null());
        }
        usages += usize::from(!event["usage"].is_null() || !event["x_groq"].is_null());
        errors += usize::from(!event["error"].is_null());
    }
    if let Some(finish) = &whole.finish {
        assert!(reasons.iter().any(|reason| reason.starts_with(finish.as_str())), "{finish:?} was made up");
    }
    assert!(!whole.end.finished || !reasons.is_empty(), "a finish was made up");
    let ended = !reasons.is_empty() || usages > 0 || errors > 0 || whole.end.terminated || whole.end.failed;
    assert!(!whole.fine || ended, "a stream without an end passed for a whole one");
}

/// A last event that lacked its blank line was given one.
fn without_closing(out: &[u8]) -> &[u8] {
    let out = out.strip_suffix(b"\n").unwrap_or(out);
    out.strip_suffix(b"\n").unwrap_or(out)
}

fn is_subsequence(part: &[u8], whole: &[u8]) -> bool {
    let mut rest = whole.iter();
    part.iter().all(|byte| rest.any(|other| other == byte))
}

fn check_reply(body: &[u8]) {
    let ends = |frames: &[&[u8]]| {
        let mut tail = TailInspector::new(UsageRule::Invariant);
        for frame in frames {
            tail.feed(Bytes::copy_from_slice(frame));
        }
        tail.end()
    };
    let whole = ends(&[body]);
    for frames in cuts::of(body) {
        assert_eq!(ends(&frames), whole, "the cut decides");
    }
    let strict = serde_json::from_slice::<Value>(body).ok().filter(Value::is_object);
    let facts = inspect_reply(body, UsageRule::Invariant);
    if let Some(reply) = strict {
        assert!(whole.is_ok(), "a whole object passed for a cut one: {whole:?}");
        let reasons = reply["choices"].as_array().into_iter().flatten();
        let reasons: Vec<&str> = reasons.filter_map(|choice| choice["finish_reason"].as_str()).collect();
        if let Ok(facts) = &facts
            && let Some(finish) = &facts.finish_reason
        {
            let last = reasons.iter().any(|reason| reason.starts_with(&**finish));
            // Where a member stands twice the parser keeps the last; the earlier one may be written with escapes.
            let earlier = body.windows(finish.len().max(1)).any(|text| text == finish.as_bytes());
            assert!(last || earlier || body.contains(&b'\\'), "{finish:?} was made up");
        }
    }
    for end in 0..body.len().min(64) {
        let cut = body.get(..body.len() - 1 - end).unwrap_or_default();
        if serde_json::from_slice::<Value>(body).is_ok() && cut.trim_ascii().len() < body.trim_ascii().len() {
            assert!(inspect_reply(cut, UsageRule::Invariant).is_err(), "a cut reply passed for a whole one");
            assert!(ends(&[cut]).is_err(), "a cut long reply passed for a whole one");
        }
    }
}
