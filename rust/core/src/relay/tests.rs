use super::*;
use crate::sse::Limits;

const CONTENT: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}\n\n";
const FINISH: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";

fn relay_with(limit: usize) -> Relay {
    Relay::new(RelaySpec { limits: Limits { line_bytes: limit, event_bytes: limit }, ..RelaySpec::default() })
}

/// xorshift64*: the same dice on every run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        usize::try_from(self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33).unwrap() % bound
    }
}

/// Everything a caller sees of a stream fed in these frames.
fn outcome(spec: &RelaySpec, frames: &[&[u8]]) -> (Vec<u8>, String, String) {
    let mut relay = Relay::new(spec.clone());
    let mut out = Slices::new();
    let result = frames
        .iter()
        .try_for_each(|frame| relay.feed(Bytes::copy_from_slice(frame), &mut out))
        .and_then(|()| relay.end(&mut out));
    let facts = format!(
        "{:?} {:?} {:?} {:?} {} {} {}",
        relay.finish_reason(),
        relay.usage(),
        relay.model(),
        relay.upstream_error(),
        relay.events(),
        relay.content_bytes(),
        relay.broken_events(),
    );
    (out.concat(), format!("{result:?}"), facts)
}

#[test]
fn what_broke_off_is_whole_only_where_nothing_can_be_missing() {
    const USAGE: &str = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n";
    let ends = |choices, events: &[&str], cut: bool| {
        let mut relay = Relay::new(RelaySpec { choices, ..RelaySpec::default() });
        let mut out = Slices::new();
        for event in events {
            relay.feed(Bytes::copy_from_slice(event.as_bytes()), &mut out).unwrap();
        }
        let ended = if cut { relay.cut(&mut out) } else { relay.end(&mut out) };
        ended.map_err(|failure| failure.kind)
    };
    for cut in [false, true] {
        assert_eq!(ends(0, &[CONTENT, FINISH], cut), Ok(()));
        assert_eq!(ends(2, &[CONTENT, FINISH, &FINISH.replace(":0", ":1")], cut), Ok(()));
        assert_eq!(ends(2, &[CONTENT, "data: [DONE]\n\n"], cut), Ok(()));
        assert_eq!(ends(0, &[CONTENT], cut), Err(Kind::Truncated));
    }
    // Ended as they should, these are all that some servers send.
    assert_eq!(ends(2, &[CONTENT, FINISH], false), Ok(()));
    assert_eq!(ends(2, &[CONTENT, FINISH], true), Err(Kind::Truncated), "the second choice was still to come");
    assert_eq!(ends(0, &[CONTENT, USAGE], false), Ok(()));
    assert_eq!(ends(0, &[CONTENT, USAGE], true), Err(Kind::Truncated), "no choice said that it was over");
}

#[test]
fn an_error_that_quotes_a_secret_is_not_passed_on() {
    let secrets: Secrets = vec![Box::from(b"sk-secret-key".as_slice())].into();
    for (word, passed_on) in [("sk-secret-key", false), ("sk-another-one", true)] {
        let mut relay = Relay::new(RelaySpec { secrets: secrets.clone(), ..RelaySpec::default() });
        let mut out = Slices::new();
        relay.feed(Bytes::from_static(CONTENT.as_bytes()), &mut out).unwrap();
        let event = format!("data: {{\"error\":{{\"message\":\"{word} is tired\",\"code\":500}}}}\n\n");
        assert_eq!(relay.feed(event.into(), &mut out).is_ok(), passed_on);
        assert_eq!(
            out.concat(),
            if passed_on {
                [CONTENT, "data: {\"error\":{\"message\":\"sk-another-one is tired\",\"code\":500}}\n\n"].concat()
            } else {
                CONTENT.to_owned()
            }
            .as_bytes()
        );
    }
}

#[test]
fn streams_thrown_together_come_out_the_same_however_they_are_cut() {
    const BLOCKS: [&str; 14] = [
        CONTENT,
        FINISH,
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\r\n\r\n",
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4}}\r\r",
        ": ping\n\n",
        ": ping\r",
        "data: [DONE]\r\n\r\n",
        "data: {\"error\":{\"message\":\"x\",\"code\":500}}\r\n\r\n",
        "event: error\n",
        "{\"error\":{\"code\":401}}\n\n",
        "data: {\"choices\":\n",
        "\r\n",
        "data: \u{fffd}{}\n\n",
        "id: 1\ndata: {\"choices\":[{\"index\":1,\"delta\":{\"reasoning\":\"b\"}}],\"model\":\"m\"}\n\n",
    ];
    let mut dice = Dice(0x5EED);
    let mut finished = 0;
    for round in 0..4_000 {
        let mut stream = Vec::new();
        for _ in 0..=dice.below(9) {
            stream.extend_from_slice(BLOCKS[dice.below(BLOCKS.len())].as_bytes());
        }
        stream.truncate(stream.len() - dice.below(3) * dice.below(20).min(stream.len()) / 2);
        let spec = RelaySpec {
            hide_usage: round % 2 == 0,
            inspect: if round % 7 == 0 { Inspect::Raw } else { Inspect::OpenAiChat },
            ..RelaySpec::default()
        };
        let whole = outcome(&spec, &[&stream]);
        finished += usize::from(whole.1 == "Ok(())");
        let bytes: Vec<&[u8]> = stream.chunks(1).collect();
        assert_eq!(outcome(&spec, &bytes), whole, "{:?}", String::from_utf8_lossy(&stream));
        for _ in 0..4 {
            let mut frames = Vec::new();
            let mut rest = &stream[..];
            while !rest.is_empty() {
                let (frame, after) = rest.split_at(1 + dice.below(rest.len().min(50)));
                frames.push(frame);
                rest = after;
            }
            assert_eq!(outcome(&spec, &frames), whole, "{:?}", String::from_utf8_lossy(&stream));
        }
    }
    assert!((500..3_500).contains(&finished), "{finished} of 4000 were fine");
}

#[test]
fn what_goes_on_are_slices_of_the_frames_and_neighbours_stay_together() {
    let frame = Bytes::from([CONTENT, ": ping\n\n", CONTENT, CONTENT].concat());
    let mut relay = relay_with(1 << 20);
    let mut out = Slices::new();
    relay.feed(frame.clone(), &mut out).unwrap();
    assert_eq!(out.as_slice(), std::slice::from_ref(&frame));
    assert_eq!(out[0].as_ptr(), frame.as_ptr());
}

#[test]
fn a_large_event_over_several_frames_is_not_copied() {
    let event =
        format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{}\"}}}}]}}\n\n", "x".repeat(40_000));
    let frames: Vec<Bytes> = event.as_bytes().chunks(16_384).map(Bytes::copy_from_slice).collect();
    let mut relay = relay_with(1 << 20);
    let mut out = Slices::new();
    for (sent, frame) in frames.iter().enumerate() {
        assert!(out.is_empty(), "sent after {sent} frames");
        relay.feed(frame.clone(), &mut out).unwrap();
    }
    let sent: Vec<*const u8> = out.iter().map(|piece| piece.as_ptr()).collect();
    let came: Vec<*const u8> = frames.iter().map(|frame| frame.as_ptr()).collect();
    assert_eq!(sent, came);
}

#[test]
fn an_event_beyond_the_limit_ends_the_stream_after_the_last_good_one() {
    let mut relay = relay_with(200);
    let mut out = Slices::new();
    let long = format!("{CONTENT}: ping\n\ndata: {}", "x".repeat(300));
    let failure = relay.feed(Bytes::from(long), &mut out).unwrap_err();
    assert_eq!(failure.code, "response_too_large");
    assert_eq!(out.concat(), format!("{CONTENT}: ping\n\n").as_bytes());
    let mut after = Slices::new();
    assert_eq!(relay.feed(Bytes::from_static(CONTENT.as_bytes()), &mut after), Ok(()));
    assert_eq!(relay.end(&mut after), Ok(()));
    assert!(after.is_empty());
}

#[test]
fn an_endless_preamble_is_refused() {
    let mut relay = relay_with(1_000);
    let mut out = Slices::new();
    let fed: Vec<bool> = (0..200).map(|_| relay.feed(Bytes::from_static(b": ping\n\n"), &mut out).is_ok()).collect();
    assert_eq!(fed.iter().position(|fine| !fine), Some(125));
    assert!(out.is_empty());
}

#[test]
fn a_preamble_is_too_long_or_not_whatever_frames_it_came_in() {
    let role = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n";
    let error = "data: {\"error\":{\"message\":\"No\",\"code\":500}}\n\n";
    for (stream, limit, code) in [
        ([role, role, role, CONTENT].concat(), role.len() * 2, Some("response_too_large")),
        ([role, role, role, error].concat(), role.len() * 2, Some("response_too_large")),
        ([role, ": ping\n\n", error].concat(), role.len(), Some("response_too_large")),
        ([role, role, CONTENT].concat(), role.len() * 2, None),
    ] {
        for size in [1, 7, stream.len()] {
            let mut relay = relay_with(limit);
            let fed = stream
                .as_bytes()
                .chunks(size)
                .try_for_each(|frame| relay.feed(Bytes::copy_from_slice(frame), &mut Slices::new()));
            assert_eq!(fed.err().map(|failure| failure.code), code, "{stream} in frames of {size}");
        }
    }
}

#[test]
fn an_end_mark_that_no_client_sees_is_none() {
    let mut relay = relay_with(1 << 20);
    let mut out = Slices::new();
    relay.feed(Bytes::from(format!("{CONTENT}[DONE]\n\n{CONTENT}")), &mut out).unwrap();
    assert!(!relay.terminated());
    assert_eq!(out.concat(), format!("{CONTENT}[DONE]\n\n{CONTENT}").as_bytes());
    assert_eq!(relay.end(&mut out).unwrap_err().kind, Kind::Truncated);
}

#[test]
fn nothing_comes_out_before_content_and_then_everything_at_once() {
    let role = "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"}}]}\n\n";
    let mut relay = relay_with(1 << 20);
    let mut out = Slices::new();
    relay.feed(Bytes::from(format!(": ping\n\n{role}")), &mut out).unwrap();
    assert!(out.is_empty() && !relay.content_started());
    relay.feed(Bytes::from_static(CONTENT.as_bytes()), &mut out).unwrap();
    assert!(relay.content_started());
    assert_eq!(out.concat(), format!(": ping\n\n{role}{CONTENT}").as_bytes());
}

#[test]
fn an_error_before_content_carries_its_own_status_and_the_body_the_client_may_see() {
    let error = r#"{"error":{"message":"Too long","code":"context_length_exceeded"}}"#;
    let mut relay = relay_with(1 << 20);
    let failure = relay.feed(Bytes::from(format!("data: {error}\n\n")), &mut Slices::new()).unwrap_err();
    assert_eq!((failure.status, failure.pass_through), (400, true));
    assert_eq!(relay.error_body().unwrap(), error);
}

#[test]
fn the_shortcut_for_events_alike_knows_what_the_parser_knows() {
    const TEXTS: [&str; 8] = ["", "a", " tide", "\\\"", "\\\\", "\\u00e9", "say \\\"usage\\\":{", "grün"];
    let mut dice = Dice(0x5EED);
    let mut shortcuts = 0;
    for _ in 0..300 {
        let mut seen = Seen::default();
        let spec = RelaySpec::default();
        let (mut events, mut bytes, mut finished) = (0, 0, 0);
        for _ in 0..40 {
            let key = ["content", "reasoning", "content", "role"][dice.below(40) / 12];
            let finish = if dice.below(30) == 0 { "\"stop\"" } else { "null" };
            let usage = if dice.below(30) == 0 { "{\"prompt_tokens\":1}" } else { "null" };
            let event = format!(
                "{{\"choices\":[{{\"index\":{},\"delta\":{{\"{key}\":\"{}\"}},\"finish_reason\":{finish}}}],\
                 \"usage\":{usage},\"obfuscation\":\"{}\"}}",
                dice.below(20) / 19,
                TEXTS[dice.below(TEXTS.len())],
                "x".repeat(dice.below(3)),
            );
            shortcuts += usize::from(seen.pattern.text_bytes(event.as_bytes()).is_some());
            let chunk = chunk::Chunk::parse(event.as_bytes(), chunk::Shape::Stream).unwrap();
            events += u64::from(chunk.has_content());
            bytes += chunk.content_bytes as u64;
            finished |= chunk.finished;
            let verdict = seen.inspect(
                &spec,
                &sse::Event { name: b"", data: event.as_bytes(), last_id: b"", start: 0, end: 0, bare: false },
            );
            assert!(matches!(verdict, Verdict::Forward));
            assert_eq!(
                (seen.content_events, seen.content_bytes, seen.finish.is_some()),
                (events, bytes, finished != 0),
                "{event}"
            );
        }
    }
    assert!(shortcuts > 1_000, "only {shortcuts} events took it");
}

#[test]
fn without_inspection_events_go_on_as_they_are() {
    let spec = RelaySpec { inspect: Inspect::Raw, hide_usage: true, ..RelaySpec::default() };
    let stream = b": ping\n\nevent: message_start\ndata: {\"error\":null}\n\ndata: x\n\n";
    let (out, result, _) = outcome(&spec, &[stream]);
    assert_eq!((out.as_slice(), result.as_str()), (&stream[..], "Ok(())"));
}

#[test]
fn a_stream_in_no_dialect_tells_its_usage_its_errors_and_where_it_broke_off() {
    let spec = RelaySpec { inspect: Inspect::Raw, ..RelaySpec::default() };
    let usage = "data: {\"type\":\"done\",\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}\n\n";
    let error = "data: {\"type\":\"error\",\"error\":{\"message\":\"m\",\"code\":\"server_error\"}}\n\n";
    let mut relay = Relay::new(spec.clone());
    let mut out = Slices::new();
    relay.feed(Bytes::from_static(usage.as_bytes()), &mut out).unwrap();
    assert_eq!(relay.usage().map(|usage| usage.total_tokens), Some(7));
    assert_eq!(relay.cut(&mut out).unwrap_err().kind, Kind::Truncated);

    let mut relay = Relay::new(spec.clone());
    assert!(relay.feed(Bytes::from_static(error.as_bytes()), &mut out).is_err());
    assert!(!relay.content_started());
    let mut relay = Relay::new(spec);
    let mut out = Slices::new();
    relay.feed([usage, error, usage].concat().into(), &mut out).unwrap();
    assert!(relay.upstream_error().is_some());
    assert_eq!(out.concat(), [usage, error].concat().as_bytes());
}
