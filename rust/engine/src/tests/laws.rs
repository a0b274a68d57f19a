//! The laws the request path answers for, each as a client and an upstream see them.

use bytes::Bytes;
use tokio::io::AsyncWriteExt;

use super::rig::{Rig, at_once, chat, plan, playing, read_request, seen_by, table, upstream, upstream_of};
use crate::clocks::Patience;
use crate::decider::Decision;
use crate::dice::Dice;
use crate::outcome::Ending;

/// An upstream that sends these pieces, each by itself, then closes.
async fn sending(pieces: Vec<Bytes>) -> std::net::SocketAddr {
    upstream_of(move |_, mut stream| {
        let pieces = pieces.clone();
        async move {
            read_request(&mut stream).await;
            stream.set_nodelay(true).unwrap();
            for piece in pieces {
                stream.write_all(&piece).await.unwrap();
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        }
    })
    .await
}

const HEAD: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";

const STREAM: &str = concat!(
    ": a comment\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}],\"unknown\":[1, 2]}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"zw\u{f6}lf \u{1f600}\"}}]}\r\n\r\n",
    "event: odd\ndata: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"!\"}}],\"x\":null}\n\n",
    "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
    "data: [DONE]\n\n",
);

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn any_cutting_of_a_stream_reaches_the_client_as_the_same_bytes() {
    let dice = Dice::new(3);
    for round in 0..40 {
        let (mut pieces, mut rest) = (vec![Bytes::from(HEAD)], STREAM.as_bytes());
        while !rest.is_empty() {
            let longest = if round == 0 { 1 } else { 80 };
            let size = (usize::try_from(dice.next() % longest).unwrap() + 1).min(rest.len());
            let (piece, after) = rest.split_at(size);
            pieces.push(Bytes::copy_from_slice(piece));
            rest = after;
        }
        let rig = Rig::new(table(1, &[sending(pieces).await], &Patience::default()), at_once(&[0])).await;
        let reply = rig.stream().await;
        assert_eq!(reply.body, STREAM, "round {round}");
        assert!(reply.whole);
        assert_eq!(rig.story().await.ending, Ending::Complete);
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_stream_cut_at_any_byte_is_never_reported_as_finished_unless_it_was() {
    let finish = STREAM.find("\"finish_reason\":\"stop\"").unwrap();
    for at in 0..STREAM.len() {
        let pieces = vec![Bytes::from(HEAD), Bytes::copy_from_slice(&STREAM.as_bytes()[..at])];
        let rig = Rig::new(table(1, &[sending(pieces).await], &Patience::default()), at_once(&[0])).await;
        let reply = rig.stream().await;
        let story = rig.story().await;
        if story.ending == Ending::Complete {
            assert!(at > finish, "cut at {at}");
            assert!(reply.body.contains("\"finish_reason\":\"stop\""));
            assert_eq!(reply.error_event(), None);
        } else {
            assert!(!reply.body.contains("[DONE]"), "cut at {at}");
            assert!(story.failure.is_some(), "cut at {at}");
            let told = if reply.status() == 200 { reply.error_event() } else { Some(reply.code()) };
            assert!(told.is_some(), "cut at {at}: an error is visible: {reply:?}");
        }
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_stream_that_finished_is_whole_even_when_its_transport_is_reset() {
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    let body = STREAM.split("data: [DONE]").next().unwrap();
    let chunk = format!("{:x}\r\n{body}\r\n", body.len());
    // No last chunk: the connection ends in the middle of the body.
    let address = sending(vec![Bytes::from(head), Bytes::from(chunk)]).await;
    let rig = Rig::new(table(1, &[address], &Patience::default()), at_once(&[0])).await;
    let reply = rig.stream().await;
    assert_eq!((reply.body.as_str(), reply.whole), (body, true));
    assert_eq!(rig.story().await.ending, Ending::Complete);
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_late_error_of_the_upstream_is_passed_on_and_is_no_success() {
    let steps = r#"[{"events": {"count": 2}}, {"error_event": {"data": {"error": {"code": 503, "message": "busy"}}}}]"#;
    let rig = Rig::new(table(1, &[playing(steps).await], &Patience::default()), at_once(&[0])).await;
    let reply = rig.stream().await;
    assert!(reply.events().last().unwrap().contains("busy"), "{}", reply.body);
    assert!(!reply.body.contains("[DONE]") && reply.whole);
    let story = rig.story().await;
    assert_eq!(story.ending, Ending::Broken);
    assert!(story.attempts[0].failure.is_some());
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn what_was_promised_in_length_is_kept_or_visibly_broken() {
    let whole = playing(r#"[{"reply": {"bytes": 300000}}]"#).await;
    let rig = Rig::new(table(1, &[whole], &Patience::default()), at_once(&[0])).await;
    let reply = rig.chat().await;
    assert_eq!((reply.header("content-length"), reply.body.len()), (Some("300000"), 300_000));
    let story = rig.story().await;
    assert!(reply.whole && story.usage.is_some());
    assert_eq!((story.ending, story.failure.is_none()), (Ending::Complete, true), "the client has it all");

    for framing in ["proper", "chunked"] {
        let steps = format!(
            r#"[{{"head": {{"framing": "{framing}"}}}}, {{"cut": {{"after_bytes": 200000, "of": "body"}}}},
                {{"reply": {{"bytes": 300000}}}}]"#
        );
        let rig = Rig::new(table(1, &[playing(&steps).await], &Patience::default()), at_once(&[0])).await;
        let reply = rig.chat().await;
        assert!(!reply.whole, "{framing}: a cut reply must not look complete");
        let story = rig.story().await;
        assert_eq!((story.ending, story.failure.unwrap().code), (Ending::Broken, "upstream_truncated"));
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn stories_tell_of_exactly_the_attempts_that_upstreams_saw() {
    // Random misbehaviour, and orders that a policy might give; attempts never pass the route's patience.
    let dice = Dice::new(11);
    let pick = |of: u64| usize::try_from(dice.next() % of).unwrap();
    let steps = [
        r#"[{"reply": {}}]"#,
        r#"[{"status": {"code": 503}}]"#,
        r#"[{"status": {"code": 429}}]"#,
        r#"["close"]"#,
        r#"[{"status": {"code": 400}}]"#,
        r#"["reset"]"#,
    ];
    for round in 0..60 {
        let mut upstreams = Vec::new();
        for _ in 0..4 {
            upstreams.push(playing(steps[pick(6)]).await);
        }
        let patience = Patience { attempts: u32::try_from(pick(5)).unwrap(), ..Patience::default() };
        let order: Vec<u32> = (0..=pick(4)).map(|_| u32::try_from(pick(4)).unwrap()).collect();
        let rig = Rig::new(table(1, &upstreams, &patience), at_once(&order)).await;
        let reply = if round % 2 == 0 { rig.chat().await } else { rig.stream().await };
        let story = rig.story().await;
        assert!(story.attempts.len() <= patience.attempts.max(1) as usize, "{order:?}");
        let mut planned = order.iter();
        for (at, attempt) in story.attempts.iter().enumerate() {
            let before = story.attempts[..at].iter().filter(|earlier| earlier.target == attempt.target).count();
            assert!(before <= 1, "twice at most: {order:?}, {story:?}");
            if before == 0 {
                assert!(planned.any(|target| *target == attempt.target), "in the plan's order: {order:?}, {story:?}");
            }
        }
        for (at, upstream) in (0_u32..).zip(&upstreams) {
            let told = story.attempts.iter().filter(|attempt| attempt.target == at).count();
            assert_eq!(seen_by(*upstream).await.len(), told, "round {round}, target {at}");
        }
        let failed = story.attempts.iter().filter(|attempt| attempt.failure.is_some()).count();
        assert_eq!(rig.decider.reported.lock().unwrap().len(), failed);
        assert_eq!(story.status, reply.status());
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn no_key_of_ours_and_no_header_of_the_clients_goes_where_it_should_not() {
    let first = playing(r#"[{"status": {"code": 401, "body": {"error": {"message": "bad key sk-secret-of-p0"}}}}]"#);
    let second = playing(
        r#"[{"head": {"headers": {"set-cookie": "a=b", "connection": "keep-alive", "x-secret": "1", "openai-version": "7"}}},
            {"reply": {}}]"#,
    );
    let (first, second) = (first.await, second.await);
    let mut spec = table(1, &[first, second], &Patience::default());
    spec.providers[1].headers.push(("openai-beta".into(), "ours=1".into()));
    let rig = Rig::new(spec, at_once(&[0, 1])).await;
    let mut client = tokio::net::TcpStream::connect(rig.door).await.unwrap();
    let headers = "authorization: Bearer sk-of-the-client\r\ncookie: c=d\r\nte: trailers\r\nx-forwarded-for: 1.2.3.4\r\n\
                   openai-beta: theirs=2\r\ntraceparent: 00-1-2-01\r\nidempotency-key: k\r\nconnection: close\r\n";
    client.write_all(super::rig::request(&chat("m", false), headers).as_bytes()).await.unwrap();
    let reply = super::rig::Reply::read(&mut client).await;
    assert_eq!(reply.status(), 200);
    assert_eq!(reply.header("openai-version"), Some("7"));
    for name in ["set-cookie", "x-secret"] {
        assert_eq!(reply.header(name), None, "{name}");
    }
    for name in ["content-type", "content-length", "x-request-id", "date"] {
        let times = reply.head.lines().filter(|line| line.to_ascii_lowercase().starts_with(&format!("{name}:")));
        assert_eq!(times.count(), 1, "{name}");
    }
    let row = &seen_by(second).await[0]["headers"];
    for name in ["cookie", "te", "x-forwarded-for", "x-request-id", "connection"] {
        assert!(row.get(name).is_none(), "{name}: {row}");
    }
    assert_eq!(row["openai-beta"], "ours=1", "the operator's word stands, once");
    assert_eq!((&row["traceparent"], &row["idempotency-key"]), (&"00-1-2-01".into(), &"k".into()));
    assert!(row["authorization"].as_str().unwrap().ends_with("f-p1"), "{row}");

    let alone = Rig::new(table(1, &[first], &Patience::default()), at_once(&[0])).await;
    let reply = alone.chat().await;
    assert_eq!(reply.code(), "provider_auth");
    assert!(!reply.body.contains("sk-secret"), "{}", reply.body);
    assert!(!format!("{:?}", alone.story().await).contains("sk-secret"));
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn usage_is_asked_for_on_the_clients_behalf_and_kept_from_it() {
    let address = upstream(r#"{"keep_body_bytes": 4096, "defaults": {"events": 2}}"#).await;
    let rig = Rig::new(table(1, &[address], &Patience::default()), at_once(&[0])).await;
    let reply = rig.stream().await;
    assert!(!reply.body.contains("\"usage\":{"), "{}", reply.body);
    assert!(rig.story().await.usage.is_some());
    let sent = seen_by(address).await[0]["body"].as_str().unwrap().to_owned();
    assert!(sent.contains("include_usage") && sent.contains("\"model\":\"up-1-0\""), "{sent}");
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_decision_may_be_given_with_the_question() {
    let rig = Rig::new(
        table(1, &[playing(r#"[{"reply": {}}]"#).await], &Patience::default()),
        Box::new(|_, answer| {
            answer.give(Decision::Plan(plan(1, &[0]))).unwrap();
            Ok(())
        }),
    )
    .await;
    assert_eq!(rig.chat().await.status(), 200);
    assert!(rig.decider.forgotten.lock().unwrap().is_empty());
}
