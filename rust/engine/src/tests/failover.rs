//! What is tried elsewhere, what is not, and what the client sees of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::{Rig, at_once, chat, nobody, playing, read_request, request, seen_by, table, upstream, upstream_of};
use crate::clocks::{Ambiguous, Patience};
use crate::outcome::Ending;

const WELL: &str = r#"[{"reply": {"text": "from the second", "events": 2}}]"#;

/// How one upstream misbehaves, and what comes of it: whether the next target answers, else status and code.
async fn meets(steps: &str, stream: bool) -> (Option<(u16, String)>, usize) {
    let (first, second) = (playing(steps).await, playing(WELL).await);
    let rig = Rig::new(table(1, &[first, second], &Patience::default()), at_once(&[0, 1])).await;
    let reply = rig.ask(&chat("m", stream)).await;
    let story = rig.story().await;
    assert_eq!(story.attempts.len(), seen_by(first).await.len() + seen_by(second).await.len(), "{steps}");
    assert_eq!(rig.attempts_in_flight(), 0, "{steps}");
    let ended = match reply.status() {
        200 => {
            assert!(reply.body.contains("from") && reply.whole, "{steps}: {}", reply.body);
            assert_eq!(reply.header("x-fastroute-target"), Some("p1/up-1-1"), "{steps}");
            assert_eq!(reply.header("x-fastroute-attempts"), Some("2"), "{steps}");
            assert_eq!(story.ending, Ending::Complete);
            None
        }
        status => {
            assert_eq!(story.ending, Ending::Refused);
            assert_eq!(story.status, status);
            assert!(reply.header("x-should-retry").is_some(), "it stands on every error");
            Some((status, reply.code()))
        }
    };
    (ended, story.attempts.len())
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn what_another_target_may_do_better_is_tried_there_once() {
    for steps in [
        r#"[{"status": {"code": 429, "headers": {"retry-after": "7"}}}]"#,
        r#"[{"status": {"code": 500}}]"#,
        r#"[{"status": {"code": 502}}]"#,
        r#"[{"status": {"code": 503}}]"#,
        r#"[{"status": {"code": 401}}]"#,
        r#"[{"status": {"code": 403}}]"#,
        r#"[{"status": {"code": 429, "body": {"error": {"code": "insufficient_quota", "message": "x"}}}}]"#,
        r#"["close"]"#,
        r#"["reset"]"#,
        r#"[{"status": {"code": 200, "body": "<html>busy</html>"}}]"#,
        r#"[{"status": {"code": 200, "body": ""}}]"#,
        r#"[{"status": {"code": 200, "body": {"error": {"code": 503, "message": "overloaded"}}}}]"#,
        r#"[{"cut": {"after_bytes": 40}}, {"reply": {}}]"#,
        r#"[{"cut": {"after_bytes": 20, "of": "body"}}, {"reply": {}}]"#,
        r#"[{"raw": {"utf8": "HTTP/1.1 two hundred\r\n\r\n"}}, "close"]"#,
        r#"[{"head": {"framing": {"length_and_chunked": 3}}}, {"send": {"utf8": "{}"}}]"#,
    ] {
        for stream in [false, true] {
            assert_eq!(meets(steps, stream).await, (None, 2), "{steps}, stream {stream}");
        }
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn what_would_fail_anywhere_is_told_at_once() {
    for (steps, status, code) in [
        (r#"[{"status": {"code": 400, "body": {"error": {"code": "bad", "message": "x"}}}}]"#, 400, "bad"),
        (r#"[{"status": {"code": 413}}]"#, 413, "request_too_large"),
    ] {
        let (told, attempts) = meets(steps, false).await;
        let (got, got_code) = told.expect("the first target's word is the last");
        assert_eq!((got, attempts), (status, 1), "{steps}");
        if status == 400 {
            assert_eq!(got_code, code, "the upstream's own words about the client's own request");
        }
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn an_error_event_before_content_fails_over_and_one_about_the_request_is_passed_on() {
    let overloaded = r#"[{"error_event": {"data": {"error": {"code": 503, "message": "overloaded"}}}}]"#;
    assert_eq!(meets(overloaded, true).await, (None, 2));
    let said =
        r#"{"error": {"code": "context_length_exceeded", "message": "9000 tokens are too many", "param": "messages"}}"#;
    let rig_of = playing(&format!(r#"[{{"error_event": {{"data": {said}}}}}]"#)).await;
    let rig = Rig::new(table(1, &[rig_of], &Patience::default()), at_once(&[0])).await;
    let reply = rig.stream().await;
    assert_eq!((reply.status(), reply.code().as_str()), (400, "context_length_exceeded"));
    assert!(reply.body.contains("9000 tokens are too many"), "{}", reply.body);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn an_attempt_that_may_have_been_carried_out_is_followed_by_one_other_at_most() {
    let mut upstreams = Vec::new();
    for _ in 0..3 {
        upstreams.push(playing(r#"["close"]"#).await);
    }
    let rig = Rig::new(table(1, &upstreams, &Patience::default()), at_once(&[0, 1, 2])).await;
    assert_eq!(rig.chat().await.status(), 502);
    assert_eq!(rig.story().await.attempts.len(), 2);

    let never = Patience { ambiguous_retry: Ambiguous::Never, ..Patience::default() };
    let rig = Rig::new(table(1, &upstreams, &never), at_once(&[0, 1, 2])).await;
    assert_eq!(rig.chat().await.status(), 502);
    assert_eq!(rig.story().await.attempts.len(), 1);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn targets_that_nobody_reached_cost_nothing_but_their_turn() {
    let well = playing(WELL).await;
    let ((first, _first), (second, _second)) = (nobody(), nobody());
    let rig = Rig::new(table(1, &[first, second, well], &Patience::default()), at_once(&[0, 1, 2])).await;
    let reply = rig.chat().await;
    assert_eq!((reply.status(), reply.header("x-fastroute-attempts")), (200, Some("3")));
    assert_eq!(rig.decider.reported.lock().unwrap().len(), 2, "health hears of each at once");
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_key_that_is_out_is_not_tried_again_under_another_model() {
    let (first, second) = (playing(r#"[{"status": {"code": 401}}]"#).await, playing(WELL).await);
    let mut spec = table(1, &[first, second], &Patience::default());
    // Two models of the same provider, then another provider.
    spec.targets.push(crate::TargetSpec {
        provider: 0,
        model: Some("also-here".into()),
        key: None,
        key_id: String::new(),
        ..crate::TargetSpec::default()
    });
    let rig = Rig::new(spec, at_once(&[0, 2, 1])).await;
    let reply = rig.chat().await;
    assert_eq!((reply.status(), reply.header("x-fastroute-target")), (200, Some("p1/up-1-1")));
    assert_eq!(seen_by(first).await.len(), 1, "one refusal of the key is enough");
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn another_key_of_the_same_provider_is_tried_when_one_is_out() {
    let script = r#"{"rules": [
        {"match": {"header": {"authorization": "Bearer sk-out"}}, "steps": [{"status": {"code": 401}}]},
        {"steps": [{"reply": {}}]}
    ]}"#;
    let address = upstream(script).await;
    let mut spec = table(1, &[address], &Patience::default());
    spec.providers[0].headers.clear();
    spec.providers[0].keys = ["Bearer sk-out", "Bearer sk-in"].map(|key| ("authorization".into(), key.into())).into();
    // The model with each of the two keys, and another model with the first.
    spec.targets = [("up-1-0", 0), ("another", 0), ("up-1-0", 1)]
        .map(|(model, key)| crate::TargetSpec {
            provider: 0,
            model: Some(model.into()),
            key: Some(key),
            key_id: String::new(),
            ..crate::TargetSpec::default()
        })
        .into();
    let rig = Rig::new(spec, at_once(&[0, 1, 2])).await;
    let reply = rig.chat().await;
    assert_eq!((reply.status(), reply.header("x-fastroute-target")), (200, Some("p0/up-1-0")));
    assert_eq!(reply.header("x-fastroute-attempts"), Some("2"), "the key that is out was not tried again");
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn words_that_quote_the_providers_key_are_replaced_by_ours() {
    let said = r#"{"error": {"message": "Bearer sk-secret-of-p0 may not do that", "code": "bad", "type": "x"}}"#;
    for (steps, stream) in [
        (format!(r#"[{{"status": {{"code": 400, "body": {said}}}}}]"#), false),
        (format!(r#"[{{"status": {{"code": 422, "body": {said}}}}}]"#), true),
        (
            format!(r#"[{{"status": {{"code": 200, "body": {}}}}}]"#, said.replace("bad", "context_length_exceeded")),
            false,
        ),
        (format!(r#"[{{"error_event": {{"data": {}}}}}]"#, said.replace("bad", "context_length_exceeded")), true),
    ] {
        let (told, _) = meets(&steps, stream).await;
        let rig = Rig::new(table(1, &[playing(&steps).await], &Patience::default()), at_once(&[0])).await;
        let reply = rig.ask(&chat("m", stream)).await;
        assert_eq!(told.map(|(status, _)| status), Some(reply.status()), "{steps}");
        assert!((400..=422).contains(&reply.status()) && !reply.body.contains("secret"), "{steps}: {}", reply.body);
        assert!(["invalid_request", "context_length_exceeded"].contains(&reply.code().as_str()), "{}", reply.body);
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn of_several_limits_the_client_is_told_the_shortest_wait() {
    let mut upstreams = Vec::new();
    for wait_s in [9, 40] {
        let steps = format!(r#"[{{"status": {{"code": 429, "headers": {{"retry-after": "{wait_s}"}}}}}}]"#);
        upstreams.push(playing(&steps).await);
    }
    let rig = Rig::new(table(1, &upstreams, &Patience::default()), at_once(&[0, 1])).await;
    let reply = rig.chat().await;
    assert_eq!((reply.status(), reply.header("retry-after")), (429, Some("9")));
    assert_eq!(reply.header("x-should-retry"), Some("true"));
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_reply_without_content_is_a_failure_where_the_route_says_so() {
    fn whole(message: &str, finish: &str) -> String {
        let choice = format!(r#"{{"index": 0, "message": {message}, "finish_reason": "{finish}"}}"#);
        format!(r#"[{{"status": {{"code": 200, "body": {{"object": "chat.completion", "choices": [{choice}]}}}}}}]"#)
    }
    let call = r#"{"role": "assistant", "content": null, "tool_calls": [{"id": "1", "function": {"name": "f"}}]}"#;
    let empty = r#"{"role": "assistant", "content": ""}"#;
    for (steps, stream, is_empty) in [
        (whole(empty, "stop"), false, true),
        (r#"[{"status": {"code": 200, "body": {"object": "chat.completion", "choices": []}}}]"#.into(), false, true),
        (whole(call, "tool_calls"), false, false),
        (whole(empty, "content_filter"), false, false),
        (r#"[{"finish": {}}, "done"]"#.into(), true, true),
        (r#"["done"]"#.into(), true, true),
        (r#"[{"finish": {"reason": "content_filter"}}, "done"]"#.into(), true, false),
        (r#"[{"tool_call": {"name": "f", "arguments": "{}"}}, {"finish": {}}, "done"]"#.into(), true, false),
    ] {
        for retry_empty in [false, true] {
            let patience = Patience { retry_empty, ..Patience::default() };
            let upstreams = [playing(&steps).await, playing(WELL).await];
            let rig = Rig::new(table(1, &upstreams, &patience), at_once(&[0, 1])).await;
            let reply = rig.ask(&chat("m", stream)).await;
            let attempts = if retry_empty && is_empty { "2" } else { "1" };
            let told = (reply.status(), reply.header("x-fastroute-attempts"));
            assert_eq!(told, (200, Some(attempts)), "{steps}, retry_empty {retry_empty}");
        }
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn the_only_target_is_waited_for_when_it_says_how_long_and_asked_again() {
    let script = r#"{"rules": [{"match": {"first": 1}, "steps": [{"status": {"code": 429, "headers": {"retry-after": "4"}}}]}]}"#;
    let rig = Rig::new(table(1, &[upstream(script).await], &Patience::default()), at_once(&[0])).await;
    let began = tokio::time::Instant::now();
    let reply = rig.chat().await;
    assert_eq!((reply.status(), reply.header("x-fastroute-attempts")), (200, Some("2")));
    let waited = began.elapsed();
    assert!((Duration::from_secs(4)..Duration::from_millis(4_200)).contains(&waited), "{waited:?}");
    rig.story().await;
    assert_eq!(rig.attempts_in_flight(), 0);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn the_wait_a_client_is_told_is_what_is_left_of_it() {
    let slow = r#"[{"delay": {"ms": 6000}}, {"status": {"code": 429, "headers": {"retry-after": "40"}}}]"#;
    let first = playing(r#"[{"status": {"code": 429, "headers": {"retry-after": "9"}}}]"#).await;
    let rig = Rig::new(table(1, &[first, playing(slow).await], &Patience::default()), at_once(&[0, 1])).await;
    // Three seconds are left of the first target's nine by then, which is soon enough to be waited for.
    let reply = rig.chat().await;
    assert_eq!((reply.header("x-fastroute-attempts"), reply.header("retry-after")), (Some("3"), Some("9")));
    let patience = Patience { wait_retry_after_s: Some(1.0), ..Patience::default() };
    let rig = Rig::new(table(1, &[first, playing(slow).await], &patience), at_once(&[0, 1])).await;
    let reply = rig.chat().await;
    assert_eq!((reply.header("x-fastroute-attempts"), reply.header("retry-after")), (Some("2"), Some("3")));
    assert_eq!(reply.header("x-should-retry"), Some("true"));
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_route_whose_retry_budget_is_used_up_tells_failures_as_they_come() {
    let limited = r#"[{"status": {"code": 429, "headers": {"retry-after": "7"}}}]"#;
    let upstreams = [playing(limited).await, playing(WELL).await];
    let patience = Patience { retry_ratio: 0.0, ..Patience::default() };
    let rig = Rig::new(table(1, &upstreams, &patience), at_once(&[0, 1])).await;
    let mut told = Vec::new();
    for _ in 0..115 {
        let reply = rig.chat().await;
        told.push(reply.status());
        if reply.status() == 429 {
            assert_eq!((reply.header("x-should-retry"), reply.header("retry-after")), (Some("false"), None));
            assert_eq!(reply.header("x-fastroute-attempts"), Some("1"));
        }
    }
    assert_eq!(told.iter().filter(|status| **status == 200).count(), 110, "what was saved, and the floor");
    assert!(told.ends_with(&[429; 5]));
    let metrics = rig.io.shared.metrics.render(&rig.io.shared.pressure);
    assert!(metrics.contains("\nfastroute_retries_total 110\n"), "{metrics}");
    assert!(metrics.contains("\nfastroute_retries_denied_total 5\n"), "{metrics}");
    rig.swap(table(2, &upstreams, &patience));
    let refilled = rig.io.shared.tables.current().routes[0].budget.spend(1_000, tokio::time::Instant::now());
    assert!(!refilled, "a reload is no refill");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(rig.io.shared.tables.current().routes[0].budget.spend(1_000, tokio::time::Instant::now()));
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_connection_closed_while_idle_is_replaced_and_not_counted() {
    // The first connection answers once, then closes as soon as the next request is on it: what an idle limit looks like.
    let address = upstream_of(|number, mut stream| async move {
        while read_request(&mut stream).await.is_some() {
            let body = r#"{"id":"1","object":"chat.completion","choices":[]}"#;
            let reply = format!(
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(reply.as_bytes()).await.unwrap();
            if number == 0 {
                read_request(&mut stream).await;
                return;
            }
        }
    })
    .await;
    let rig = Rig::new(table(1, &[address], &Patience::default()), at_once(&[0])).await;
    assert_eq!(rig.chat().await.status(), 200);
    tokio::time::sleep(Duration::from_secs(1)).await;
    let reply = rig.chat().await;
    assert_eq!((reply.status(), reply.header("x-fastroute-attempts")), (200, Some("1")));
    assert!(rig.decider.reported.lock().unwrap().is_empty(), "nobody is blamed for it");
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_request_that_was_worked_on_is_not_sent_again_to_the_same_target_however_long_its_connection_rested() {
    // Each request after the first of a connection is worked on for a while, and then the upstream dies of it.
    let taken = Arc::new(AtomicUsize::new(0));
    let count = taken.clone();
    let address = upstream_of(move |_, mut stream| {
        let taken = count.clone();
        async move {
            let reply =
                "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n{\"choices\":[]}";
            read_request(&mut stream).await;
            stream.write_all(reply.as_bytes()).await.unwrap();
            if read_request(&mut stream).await.is_some() {
                taken.fetch_add(1, Ordering::Relaxed);
                tokio::time::sleep(Duration::from_secs(2)).await;
            }
        }
    })
    .await;
    let never = Patience { ambiguous_retry: Ambiguous::Never, ..Patience::default() };
    let rig = Rig::new(table(1, &[address, playing(WELL).await], &never), at_once(&[0, 1])).await;
    assert_eq!(rig.chat().await.status(), 200);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let reply = rig.chat().await;
    assert_eq!((reply.status(), reply.header("x-fastroute-attempts")), (502, Some("1")));
    assert_eq!(taken.load(Ordering::Relaxed), 1, "it may have been paid for");
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_connection_that_ends_right_after_its_last_use_may_have_taken_the_request_with_it() {
    let script = r#"{"rules": [{"match": {"after": 1}, "steps": ["close"]}]}"#;
    let address = upstream(script).await;
    let rig = Rig::new(table(1, &[address], &Patience::default()), at_once(&[0])).await;
    assert_eq!(rig.chat().await.status(), 200);
    let reply = rig.chat().await;
    assert_eq!((reply.status(), reply.header("x-fastroute-attempts")), (502, Some("1")));
    assert_eq!(seen_by(address).await.len(), 2, "what the upstream accepted is what was told");
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_request_that_got_one_byte_of_an_answer_is_never_sent_twice() {
    let address = upstream_of(|_, mut stream| async move {
        for reply in
            ["HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 14\r\n\r\n{\"choices\":[]}", "H"]
        {
            if read_request(&mut stream).await.is_none() {
                return;
            }
            stream.write_all(reply.as_bytes()).await.unwrap();
        }
    })
    .await;
    let rig = Rig::new(table(1, &[address], &Patience::default()), at_once(&[0])).await;
    assert_eq!(rig.chat().await.status(), 200);
    let reply = rig.chat().await;
    assert_eq!((reply.status(), reply.header("x-fastroute-attempts")), (502, Some("1")));
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn an_answer_that_comes_before_the_request_was_read_is_heard() {
    let address = upstream_of(|_, mut stream| async move {
        let (mut head, body) = ([0; 1024], r#"{"error":{"message":"too much","type":"request_too_large"}}"#);
        let _some = stream.read(&mut head).await;
        let length = body.len();
        let head = "HTTP/1.1 413 Payload Too Large\r\ncontent-type: application/json\r\ncontent-length";
        // What is left unread has the kernel reset the connection.
        stream.write_all(format!("{head}: {length}\r\n\r\n{body}").as_bytes()).await.unwrap();
    })
    .await;
    let rig = Rig::new(table(1, &[address, playing(WELL).await], &Patience::default()), at_once(&[0, 1])).await;
    let body = chat("m", false).replace("hi", &"h".repeat(3 << 20));
    assert!(body.len() > 3 << 20);
    for _ in 0..10 {
        let reply = rig.ask(&body).await;
        assert_eq!((reply.status(), reply.header("x-fastroute-attempts")), (413, Some("1")));
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn an_error_reply_whose_body_never_comes_does_not_hold_up_the_next_target() {
    let slow = playing(r#"[{"head": {"status": 503, "framing": {"length": 100}}}, {"send": {"utf8": "{"}}, "stall"]"#);
    let (slow, well) = (slow.await, playing(WELL).await);
    let rig = Rig::new(table(1, &[slow, well], &Patience::default()), at_once(&[0, 1])).await;
    assert_eq!(rig.chat().await.status(), 200);
    let waited = Duration::from_micros(rig.story().await.took_us);
    assert!(waited < Duration::from_secs(3), "{waited:?}");
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_connection_serves_again_after_a_whole_reply_and_never_after_half_of_one() {
    let script = r#"{"rules": [{"match": {"first": 1}, "steps": [{"events": {"count": 1}}, "stall"]}]}"#;
    let address = upstream(script).await;
    let rig = Rig::new(table(1, &[address], &Patience::default()), at_once(&[0])).await;
    let mut client = TcpStream::connect(rig.door).await.unwrap();
    client.write_all(request(&chat("m", true), "").as_bytes()).await.unwrap();
    let mut piece = [0; 4096];
    while !String::from_utf8_lossy(&piece).contains("data:") {
        assert!(client.read(&mut piece).await.unwrap() > 0);
    }
    drop(client);
    assert_eq!(rig.story().await.ending, Ending::ClientGone);
    for _ in 0..2 {
        assert_eq!(rig.stream().await.status(), 200);
    }
    let rows = seen_by(address).await;
    let connections: Vec<u64> = rows.iter().map(|row| row["connection"].as_u64().unwrap()).collect();
    assert_ne!(connections[0], connections[1], "half-read: closed");
    assert_eq!(connections[1], connections[2], "read to its end: kept");
}
