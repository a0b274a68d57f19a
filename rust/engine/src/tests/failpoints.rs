//! A defect of ours, wherever it happens, ends one request: the others go on, and nothing is left behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::doors::h2;
use super::journal::{intents, states};
use super::rig::{Decide, PATIENCE, Reply, Rig, alone, chat, nobody, plan, playing, request, seen_by, table, upstream};
use crate::clocks::Patience;
use crate::decider::Decision;
use crate::failpoint::{POINTS, arm, is_armed};
use crate::io::{Bounds, Of, Share};
use crate::journal::tests::Folder;
use crate::outcome::Ending;

/// What a request asks for, and what its first target does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ask {
    Plain,
    /// A plain reply that is relayed frame by frame, with a promised length.
    Long,
    Stream,
    /// The first target refuses with 503; the second would answer.
    Failing,
    /// The same before a place is free.
    Queued,
}

/// What its client sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Told {
    /// A 500 in the client's dialect.
    Refused,
    /// A head, and an error event at the end of the stream, without a finish.
    Event,
    /// A reply that does not keep its promised length.
    Cut,
    /// Everything, as if nothing had happened.
    Nothing,
    /// The connection closes before it says anything.
    Closed,
}

/// Point, request, what is told, stories that are settled for it.
const CASES: &[(&str, Ask, Told, usize)] = &[
    ("door.accept", Ask::Plain, Told::Closed, 0),
    ("door.head", Ask::Plain, Told::Refused, 0),
    ("door.queue", Ask::Queued, Told::Refused, 0),
    ("door.body", Ask::Plain, Told::Refused, 0),
    ("exchange.run", Ask::Stream, Told::Refused, 0),
    ("decide.ask", Ask::Plain, Told::Refused, 1),
    ("decide.answered", Ask::Plain, Told::Refused, 1),
    ("decide.letter", Ask::Plain, Told::Nothing, 1),
    ("decide.sweep", Ask::Plain, Told::Nothing, 1),
    ("exchange.planned", Ask::Stream, Told::Refused, 1),
    ("walk.begin", Ask::Stream, Told::Refused, 1),
    ("journal.intend", Ask::Plain, Told::Refused, 1),
    ("walk.pledged", Ask::Plain, Told::Refused, 1),
    ("walk.attempt", Ask::Stream, Told::Refused, 1),
    ("attempt.edit", Ask::Stream, Told::Refused, 1),
    ("pool.ready", Ask::Plain, Told::Refused, 1),
    ("pool.connect", Ask::Plain, Told::Refused, 1),
    ("attempt.send", Ask::Plain, Told::Refused, 1),
    ("wire.write", Ask::Plain, Told::Refused, 1),
    ("journal.write", Ask::Plain, Told::Nothing, 1),
    ("wire.read", Ask::Stream, Told::Refused, 1),
    ("attempt.head", Ask::Plain, Told::Refused, 1),
    ("attempt.refused", Ask::Failing, Told::Refused, 1),
    ("walk.failed", Ask::Failing, Told::Refused, 1),
    ("walk.again", Ask::Failing, Told::Refused, 1),
    ("attempt.first", Ask::Stream, Told::Refused, 1),
    ("attempt.whole", Ask::Plain, Told::Refused, 1),
    ("walk.content", Ask::Stream, Told::Refused, 1),
    ("exchange.content", Ask::Plain, Told::Refused, 1),
    ("door.reply", Ask::Stream, Told::Refused, 1),
    ("delivery.poll", Ask::Stream, Told::Event, 1),
    ("delivery.poll", Ask::Long, Told::Closed, 1),
    ("delivery.take", Ask::Stream, Told::Event, 1),
    ("delivery.take", Ask::Long, Told::Cut, 1),
    ("delivery.finish", Ask::Stream, Told::Event, 1),
    ("story.close", Ask::Plain, Told::Refused, 1),
    ("story.close", Ask::Stream, Told::Event, 1),
    ("journal.settle", Ask::Plain, Told::Refused, 1),
    ("journal.settle", Ask::Stream, Told::Event, 1),
];

/// To plain requests it answers at once.
const NEIGHBOUR: &str = r#"{"rules": [{"match": {"stream": true},
    "steps": [{"events": {"count": 4, "every_ms": 20000}}, {"finish": {}}, "done"]}]}"#;

/// The first exchange goes to the neighbour's target, all others to the first one and from there to the second. Answers
/// come in letters, from another task.
fn by_letter(asked: &Arc<AtomicUsize>) -> Box<Decide> {
    let asked = asked.clone();
    Box::new(move |_, answer| {
        let first = asked.fetch_add(1, Ordering::Relaxed) == 0;
        tokio::spawn(async move {
            let mailbox = answer.mailbox().clone();
            let targets: &[u32] = if first { &[2] } else { &[0, 1] };
            mailbox.deliver(&mut vec![(answer, Decision::Plan(plan(1, targets)))]);
        });
        Ok(())
    })
}

/// Reads one reply off a connection that may go on; `None` when it closes first.
async fn next(stream: &mut TcpStream) -> Option<Reply> {
    let mut bytes = Vec::new();
    let mut piece = [0; 4096];
    loop {
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut piece)).await.expect("the reply never ended");
        let count = read.unwrap_or(0);
        bytes.extend_from_slice(&piece[..count]);
        if bytes.is_empty() {
            return None;
        }
        if count == 0 {
            return Some(Reply::parse(&bytes));
        }
        if memchr::memmem::find(&bytes, b"\r\n\r\n").is_some() {
            let reply = Reply::parse(&bytes);
            if reply.whole {
                return Some(reply);
            }
        }
    }
}

async fn ask(stream: &mut TcpStream, body: &str) -> Option<Reply> {
    stream.write_all(request(body, "").as_bytes()).await.ok()?;
    next(stream).await
}

fn check(told: Told, reply: Option<&Reply>, case: &str) {
    let Some(reply) = reply else {
        assert_eq!(told, Told::Closed, "{case}: no answer");
        return;
    };
    match told {
        Told::Refused => {
            assert_eq!((reply.status(), reply.whole), (500, true), "{case}: {reply:?}");
            assert_eq!(reply.code(), "internal_error", "{case}");
            assert!(reply.header("x-request-id").is_some(), "{case}");
        }
        Told::Event => {
            assert_eq!((reply.status(), reply.whole), (200, true), "{case}: {reply:?}");
            assert_eq!(reply.error_event().as_deref(), Some("internal_error"), "{case}: {reply:?}");
            assert!(!reply.body.contains("[DONE]"), "{case}: {reply:?}");
        }
        Told::Cut => assert_eq!((reply.status(), reply.whole), (200, false), "{case}"),
        Told::Nothing => assert_eq!((reply.status(), reply.whole), (200, true), "{case}: {reply:?}"),
        Told::Closed => panic!("{case}: {reply:?}"),
    }
}

fn body_of(ask: Ask) -> String {
    chat("m", ask == Ask::Stream)
}

async fn rig_of(ask: Ask, folder: &Folder) -> (Rig, Arc<AtomicUsize>, crate::Journal) {
    let first = match ask {
        Ask::Long => r#"[{"reply": {"bytes": 200000}}]"#,
        Ask::Failing => r#"[{"status": {"code": 503}}]"#,
        _ => r#"[{"reply": {}}]"#,
    };
    let upstreams = [playing(first).await, playing(r#"[{"reply": {}}]"#).await, upstream(NEIGHBOUR).await];
    let journal = folder.journal();
    let asked = Arc::default();
    let spec = table(1, &upstreams, &Patience::default());
    let bounds = Bounds { in_flight: 2, ..Bounds::default() };
    let rig = Rig::journaled(spec, by_letter(&asked), bounds, journal.lane(0)).await;
    (rig, asked, journal)
}

#[test]
fn a_defect_anywhere_on_the_way_ends_one_request_and_leaves_nothing_behind() {
    for case in CASES {
        alone(one_defect(case));
    }
}

async fn one_defect((point, kind, told, stories): &(&'static str, Ask, Told, usize)) {
    let case = format!("{point}, {kind:?}");
    let folder = Folder::new();
    let (rig, asked, journal) = rig_of(*kind, &folder).await;
    let mut neighbour = TcpStream::connect(rig.door).await.unwrap();
    neighbour.write_all(request(&chat("m", true), "connection: close\r\n").as_bytes()).await.unwrap();
    let mut begun = [0; 12];
    neighbour.read_exact(&mut begun).await.unwrap();
    // By then no question of theirs is waited for.
    tokio::time::sleep(std::time::Duration::from_millis(10)).await;

    let place = (*kind == Ask::Queued).then(|| Share::take(&rig.io.shared, Of::InFlight, 1).unwrap());
    arm(point);
    let mut client = TcpStream::connect(rig.door).await.unwrap();
    let reply = ask(&mut client, &body_of(*kind)).await;
    check(*told, reply.as_ref(), &case);
    assert!(!is_armed(point), "{case}: nobody came by");
    // The journal tells of its own as of any other trouble.
    assert_eq!(rig.io.shared.metrics.defects.count(), u64::from(*point != "journal.write"), "{case}");
    drop(place);

    // The next request, on the same connection wherever that can go on.
    if matches!(told, Told::Closed | Told::Cut) {
        client = TcpStream::connect(rig.door).await.unwrap();
    }
    let after = ask(&mut client, &body_of(*kind)).await.unwrap_or_else(|| panic!("{case}: the connection is gone"));
    assert_eq!((after.status(), after.whole), (200, true), "{case}: {after:?}");
    drop(client);
    let theirs = Reply::read(&mut neighbour).await;
    assert!(theirs.whole && theirs.body.ends_with("data: [DONE]\n\n"), "{case}: {theirs:?}");

    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    let settled = rig.decider.settled.lock().unwrap().clone();
    assert_eq!(settled.len(), stories + 2, "{case}");
    let defective: Vec<_> = settled.iter().filter(|story| story.ending != Ending::Complete).collect();
    assert_eq!(defective.len(), if *told == Told::Nothing { 0 } else { *stories }, "{case}: {settled:?}");
    for story in defective {
        assert_eq!(story.failure.as_ref().map(|failure| failure.code), Some("internal_error"), "{case}");
    }
    // Every plan that was made is in a story or handed back.
    let led = settled.iter().filter(|story| story.lead.is_some()).count();
    let forgotten = rig.decider.forgotten.lock().unwrap().len();
    assert_eq!(led + forgotten, asked.load(Ordering::Relaxed), "{case}: {settled:?}");
    nothing_is_left(&rig, &case);
    journal.close();
    assert_eq!(states(&folder).len(), intents(&folder), "{case}: each attempt has an end on record");
}

fn nothing_is_left(rig: &Rig, case: &str) {
    let metrics = &rig.io.shared.metrics;
    assert_eq!((rig.in_flight(), rig.attempts_in_flight()), (0, 0), "{case}: in flight");
    assert_eq!(metrics.body_bytes.load(Ordering::Relaxed), 0, "{case}: bytes of bodies");
    assert_eq!(metrics.connections.load(Ordering::Relaxed), 0, "{case}: connections");
    assert_eq!(rig.io.shared.queue.waiting(), 0, "{case}: waiting");
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_defect_in_one_stream_of_an_http2_connection_leaves_the_others_alone() {
    for (point, kind, told) in [
        ("door.head", Ask::Plain, Told::Refused),
        ("door.body", Ask::Plain, Told::Refused),
        ("decide.answered", Ask::Stream, Told::Refused),
        ("attempt.whole", Ask::Plain, Told::Refused),
        ("door.reply", Ask::Plain, Told::Refused),
        ("delivery.take", Ask::Stream, Told::Event),
        ("delivery.take", Ask::Long, Told::Cut),
        ("story.close", Ask::Stream, Told::Event),
    ] {
        let case = format!("{point}, {kind:?}");
        let folder = Folder::new();
        let (rig, _, _journal) = rig_of(kind, &folder).await;
        let sender = h2(&rig).await;
        let send = async |body: String| {
            let request = hyper::Request::post("http://gateway/v1/chat/completions");
            let sent = sender.clone().send_request(request.body(Full::new(Bytes::from(body))).unwrap()).await;
            sent.unwrap_or_else(|error| panic!("{case}: {error:?}"))
        };
        let neighbour = send(chat("m", true)).await;
        arm(point);
        let reply = send(body_of(kind)).await;
        let status = reply.status().as_u16();
        let body = reply.into_body().collect().await.map(|body| String::from_utf8(body.to_bytes().to_vec()).unwrap());
        assert!(!is_armed(point), "{case}: nobody came by");
        match told {
            Told::Refused => {
                let body = body.unwrap();
                assert!(status == 500 && body.contains("internal_error"), "{case}: {status} {body}");
            }
            Told::Event => {
                let body = body.unwrap();
                assert!(status == 200 && body.contains("internal_error") && !body.contains("[DONE]"), "{case}: {body}");
            }
            _ => assert!(status == 200 && body.is_err(), "{case}: it was reset"),
        }
        let after = send(body_of(kind)).await;
        assert_eq!(after.status(), 200, "{case}");
        after.into_body().collect().await.unwrap();
        let theirs = neighbour.into_body().collect().await.unwrap().to_bytes();
        assert!(theirs.ends_with(b"data: [DONE]\n\n"), "{case}: {theirs:?}");
        drop(sender);
        rig.settled(2).await;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        nothing_is_left(&rig, &case);
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_defect_behind_the_head_of_a_silent_stream_is_an_event_and_told_as_such() {
    let upstream = playing(r#"[{"delay": {"ms": 40000}}, {"reply": {}}]"#).await;
    let rig = Rig::new(table(1, &[upstream], &Patience::default()), super::rig::at_once(&[0])).await;
    let mut client = TcpStream::connect(rig.door).await.unwrap();
    client.write_all(request(&chat("m", true), "connection: close\r\n").as_bytes()).await.unwrap();
    let mut begun = [0; 12];
    client.read_exact(&mut begun).await.unwrap();
    assert_eq!(&begun, b"HTTP/1.1 200");
    arm("attempt.head");
    let reply = Reply::read(&mut client).await;
    assert!(reply.whole && reply.body.contains("internal_error") && !reply.body.contains("[DONE]"), "{reply:?}");
    let story = rig.story().await;
    assert_eq!((story.ending, story.status), (Ending::Broken, 200));
    assert_eq!((rig.in_flight(), rig.attempts_in_flight()), (0, 0));
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_defect_of_ours_is_held_against_no_target_and_is_not_repeated_elsewhere() {
    for point in ["attempt.send", "wire.write", "wire.read", "attempt.head", "attempt.whole"] {
        let upstreams = [playing(r#"[{"reply": {}}]"#).await, playing(r#"[{"reply": {}}]"#).await];
        let rig = Rig::new(table(1, &upstreams, &Patience::default()), super::rig::at_once(&[0, 1])).await;
        arm(point);
        assert_eq!(rig.chat().await.status(), 500, "{point}");
        let story = rig.story().await;
        assert!(
            !story
                .attempts
                .iter()
                .any(|attempt| { attempt.failure.as_ref().is_some_and(crate::outcome::blames_upstream) })
        );
        assert!(seen_by(upstreams[1]).await.is_empty(), "{point}");
    }
}

#[test]
fn what_serves_everybody_goes_on_after_a_defect() {
    for point in ["door.accept", "decide.letter", "decide.sweep", "pressure.pulse", "pool.tend"] {
        alone(async {
            let (nowhere, _held) = nobody();
            let upstreams = [playing(r#"[{"reply": {}}]"#).await, nowhere, nowhere];
            let rig =
                Rig::new(table(1, &upstreams, &Patience::default()), by_letter(&Arc::new(AtomicUsize::new(1)))).await;
            let io = rig.io.clone();
            tokio::spawn(async move {
                let begin = || io.pools.tend(1, &io.shared.tables);
                crate::defect::kept(&io.shared.metrics.defects, begin).await;
            });
            arm(point);
            let mut client = TcpStream::connect(rig.door).await.unwrap();
            let _ = ask(&mut client, &chat("m", false)).await;
            tokio::time::sleep(std::time::Duration::from_secs(10)).await;
            assert!(!is_armed(point), "{point}: nobody came by");
            for _ in 0..3 {
                assert_eq!(rig.chat().await.status(), 200, "{point}");
            }
            let last = rig.settled(3).await.pop().unwrap();
            assert_eq!(last.by, Some(crate::decider::DecidedBy::Policy), "{point}: the decider is heard again");
            assert_eq!(rig.io.shared.metrics.defects.count(), 1, "{point}");
        });
    }
}

#[test]
fn every_point_of_the_engine_is_met_by_a_test() {
    // These are on threads of their own, or at the border: a running gateway meets them, in `tests/flow`.
    let elsewhere = ["journal.keeper", "journal.syncer", "pressure.look", "pool.tend", "pressure.pulse", "thread.park"];
    for point in POINTS {
        let here = CASES.iter().any(|(name, ..)| name == point);
        let there = elsewhere.contains(point) || point.starts_with("border.") || point.starts_with("drain.");
        assert!(here != there, "{point}");
    }
}
