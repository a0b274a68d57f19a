//! Dropping is aborting: whoever drops an exchange, wherever it waits, leaves one story and nothing else behind.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::rig::{
    Decide, Rig, alone, at_once, chat, header, ingress, plan, playing, read_request, request, seen_by, table, upstream,
    upstream_of,
};
use crate::clocks::Patience;
use crate::decider::Decision;
use crate::delivery::ReplyBody;
use crate::doors::http::serve_connection;
use crate::exchange::run;
use crate::io::{Bounds, Of, Share};
use crate::outcome::{Ending, Outcome};

/// Polls a future so many times, then drops it. True when it came to its end.
async fn dropped_after(polls: usize, future: impl Future<Output = ()>) -> bool {
    let mut left = polls;
    let mut future = pin!(future);
    poll_fn(|task| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        future.as_mut().poll(task).map(|()| true)
    })
    .await
}

/// Runs an exchange and reads its body.
async fn exchange(rig: &Rig, stream: bool) {
    let mut body: ReplyBody = run(rig.io.clone(), ingress(&chat("m", stream)), None).await.body;
    while poll_fn(|task| body.poll_next(task)).await.unwrap().is_some() {}
}

/// Answers a moment later, from another task: asking is a place to be dropped at, too.
fn soon(asked: &Arc<AtomicUsize>) -> Box<Decide> {
    let asked = asked.clone();
    Box::new(move |_, answer| {
        asked.fetch_add(1, Ordering::Relaxed);
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            let mailbox = answer.mailbox().clone();
            mailbox.deliver(&mut vec![(answer, Decision::Plan(plan(1, &[0, 1])))]);
        });
        Ok(())
    })
}

/// What an exchange meets, with the polls it takes at the least, so that no wait was passed over.
struct Way {
    name: &'static str,
    /// Scripts of the two targets.
    scripts: [&'static str; 2],
    patience: Patience,
    stream: bool,
    least: usize,
}

fn ways() -> Vec<Way> {
    let failing = r#"{"rules": [{"steps": [{"delay": {"ms": 3}}, {"status": {"code": 503}}]}]}"#;
    let running = r#"{"rules": [{"steps":
        [{"delay": {"ms": 3}}, {"events": {"count": 5, "every_ms": 7}}, {"finish": {}}, "done"]}]}"#;
    let long = r#"{"rules": [{"steps": [{"delay": {"ms": 3}}, {"reply": {"bytes": 200000}}]}]}"#;
    let plain = r#"{"rules": [{"steps": [{"delay": {"ms": 3}}, {"reply": {}}]}]}"#;
    let limited = r#"{"rules": [
        {"match": {"first": 1}, "steps": [{"status": {"code": 429, "headers": {"retry-after-ms": "400"}}}]},
        {"steps": [{"delay": {"ms": 3}}, {"reply": {}}]}]}"#;
    let silent = r#"{"rules": [{"steps": [{"delay": {"ms": 9000}}, {"status": {"code": 503}}]}]}"#;
    let patient = Patience { same_target_retries: Some(1), wait_retry_after_s: Some(1.0), ..Patience::default() };
    let talkative = Patience { keep_alive_s: 2.0, ttft_soft_timeout_s: Some(60.0), ..Patience::default() };
    let usual = Patience::default;
    vec![
        Way { name: "plain", scripts: [plain, plain], patience: usual(), stream: false, least: 4 },
        Way { name: "long", scripts: [long, plain], patience: usual(), stream: false, least: 5 },
        Way { name: "stream", scripts: [running, plain], patience: usual(), stream: true, least: 8 },
        Way { name: "failover, stream", scripts: [failing, running], patience: usual(), stream: true, least: 8 },
        Way { name: "failover, long", scripts: [failing, long], patience: usual(), stream: false, least: 6 },
        Way { name: "a wait, plain", scripts: [limited, plain], patience: patient.clone(), stream: false, least: 6 },
        Way { name: "a wait, stream", scripts: [limited, plain], patience: patient, stream: true, least: 6 },
        Way { name: "comments", scripts: [silent, running], patience: talkative, stream: true, least: 14 },
    ]
}

impl Way {
    async fn rig(&self, bounds: Bounds) -> (Rig, Arc<AtomicUsize>, [SocketAddr; 2]) {
        let [first, second] = self.scripts;
        let upstreams = [upstream(first).await, upstream(second).await];
        let asked = Arc::default();
        let rig = Rig::with(table(1, &upstreams, &self.patience), soon(&asked), bounds).await;
        (rig, asked, upstreams)
    }
}

/// One story per question, every plan in a story or handed back, and no count above zero.
async fn at_rest(rig: &Rig, asked: &AtomicUsize, case: &str) -> Option<Outcome> {
    // Whatever was spawned for it comes to rest.
    tokio::time::sleep(Duration::from_secs(20)).await;
    let mut settled = rig.decider.settled.lock().unwrap().clone();
    let forgotten = rig.decider.forgotten.lock().unwrap().len();
    assert_eq!(settled.len(), asked.load(Ordering::Relaxed), "{case}: the guard ran once");
    // A plan is either in the story or handed back, never both, never neither.
    let led = settled.iter().filter(|story| story.lead.is_some()).count();
    assert_eq!(led + forgotten, settled.len(), "{case}: {settled:?}");
    let metrics = &rig.io.shared.metrics;
    assert_eq!((rig.in_flight(), rig.attempts_in_flight()), (0, 0), "{case}");
    assert_eq!(metrics.body_bytes.load(Ordering::Relaxed), 0, "{case}");
    assert_eq!(metrics.connections.load(Ordering::Relaxed), 0, "{case}");
    assert_eq!(rig.io.shared.queue.waiting(), 0, "{case}");
    assert_eq!(metrics.defects.count(), 0, "{case}");
    settled.pop()
}

/// The upstreams are done with what they were asked, and know of as many attempts as the story tells, or of one less
/// where the last was dropped before it was sent.
async fn agrees(upstreams: &[SocketAddr], story: &Outcome, case: &str) {
    let mut seen = 0;
    for upstream in upstreams {
        let rows = seen_by(*upstream).await;
        assert!(rows.iter().all(|row| row["ended"] != "open"), "{case}: {rows:?}");
        seen += rows.len();
    }
    let told = story.attempts.len();
    let unsent = usize::from(story.ending == Ending::ClientGone);
    assert!((told - unsent.min(told)..=told).contains(&seen), "{case}: {seen} seen of {told}: {story:?}");
}

#[test]
fn an_exchange_dropped_at_any_await_settles_once_and_leaves_nothing_in_flight() {
    for way in ways() {
        let polls = (0..1000).take_while(|polls| !alone(drop_exchange(&way, *polls))).count();
        assert!((way.least..1000).contains(&polls), "{}: {polls} polls do not meet every wait", way.name);
    }
}

async fn drop_exchange(way: &Way, polls: usize) -> bool {
    let case = format!("{}, after {polls} polls", way.name);
    let (rig, asked, upstreams) = way.rig(Bounds::default()).await;
    let ended = dropped_after(polls, exchange(&rig, way.stream)).await;
    let story = at_rest(&rig, &asked, &case).await;
    assert_eq!(story.is_some(), polls > 0, "{case}");
    if let Some(story) = story {
        // Dropped behind its finish a stream lacks nothing, and what it used is still learnt.
        let complete = ended || way.stream && story.usage.is_some();
        let ending = if complete { Ending::Complete } else { Ending::ClientGone };
        assert_eq!(story.ending, ending, "{case}");
        agrees(&upstreams, &story, &case).await;
    }
    ended
}

#[test]
fn a_plan_that_a_door_brought_along_is_used_or_handed_back_wherever_its_exchange_is_dropped() {
    let way = &ways()[0];
    let polls = (0..1000).take_while(|polls| !alone(drop_decided(way, *polls))).count();
    assert!((3..1000).contains(&polls), "{polls} polls do not meet every wait");
}

async fn drop_decided(way: &Way, polls: usize) -> bool {
    let case = format!("after {polls} polls");
    let (rig, asked, _) = way.rig(Bounds::default()).await;
    let decided = rig.decided(Decision::Plan(plan(1, &[0])));
    let exchange = async { drop(run(rig.io.clone(), ingress(&chat("m", false)), Some(decided)).await) };
    let ended = dropped_after(polls, exchange).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let settled = rig.decider.settled.lock().unwrap().clone();
    let forgotten = rig.decider.forgotten.lock().unwrap().len();
    assert_eq!(asked.load(Ordering::Relaxed), 0, "{case}");
    assert_eq!((settled.len(), forgotten), if polls == 0 { (0, 1) } else { (1, 0) }, "{case}");
    assert!(settled.iter().all(|story| story.lead == Some(0)), "{case}: {settled:?}");
    ended
}

/// Sends a request with a pause after each piece of it, and reads whatever comes.
async fn slowly(door: SocketAddr, body: String) {
    let mut client = TcpStream::connect(door).await.unwrap();
    let request = request(&body, "connection: close\r\n");
    for piece in request.as_bytes().chunks(request.len().div_ceil(6)) {
        if client.write_all(piece).await.is_err() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let _ = client.read_to_end(&mut Vec::new()).await;
}

#[test]
fn a_connection_dropped_at_any_await_of_the_door_leaves_nothing_behind_either() {
    for way in ways() {
        // With a place for it at once, and with one that is free a little later.
        for queued in [false, true] {
            let polls = (0..1000).take_while(|polls| !alone(drop_connection(&way, queued, *polls))).count();
            assert!((way.least + 4..1000).contains(&polls), "{}: {polls} polls do not meet every wait", way.name);
        }
    }
}

async fn drop_connection(way: &Way, queued: bool, polls: usize) -> bool {
    let case = format!("{}, queued {queued}, after {polls} polls", way.name);
    let (rig, asked, _) = way.rig(Bounds { in_flight: 1, ..Bounds::default() }).await;
    let place = queued.then(|| Share::take(&rig.io.shared, Of::InFlight, 1).unwrap());
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(60)).await;
        drop(place);
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = tokio::spawn(slowly(listener.local_addr().unwrap(), chat("m", way.stream)));
    let (socket, _) = listener.accept().await.unwrap();
    let ended = dropped_after(polls, serve_connection(rig.io.clone(), socket)).await;
    client.await.unwrap();
    let story = at_rest(&rig, &asked, &case).await;
    assert!(!ended || story.is_some_and(|story| story.ending == Ending::Complete), "{case}");
    ended
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_client_that_leaves_behind_the_finish_is_billed_what_the_upstream_reports() {
    const FINISH: &str = concat!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n",
        "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}]}\n\n",
    );
    const USAGE: &str =
        "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":3,\"completion_tokens\":4,\"total_tokens\":7}}\n\n";
    // In time, and never.
    for (delay_s, known) in [(1, true), (3600, false)] {
        let address = upstream_of(move |_, mut stream| async move {
            read_request(&mut stream).await;
            stream.write_all(FINISH.as_bytes()).await.unwrap();
            tokio::time::sleep(Duration::from_secs(delay_s)).await;
            // By then the gateway may have closed the connection.
            let _ = stream.write_all(USAGE.as_bytes()).await;
        })
        .await;
        let rig = Rig::new(table(1, &[address], &Patience::default()), at_once(&[0])).await;
        let mut body = run(rig.io.clone(), ingress(&chat("m", true)), None).await.body;
        assert!(poll_fn(|task| body.poll_next(task)).await.unwrap().is_some());
        let left = tokio::time::Instant::now();
        drop(body);
        let story = rig.story().await;
        assert_eq!((story.ending, story.usage.is_some()), (Ending::Complete, known));
        assert!(left.elapsed() <= Duration::from_secs(3), "{:?}", left.elapsed());
        assert_eq!(rig.attempts_in_flight(), 0);
    }
}

#[tokio::test(start_paused = true, crate = "crate::tests::jumping")]
async fn a_client_that_leaves_is_seen_upstream_within_a_quarter_of_a_second() {
    for (steps, stream) in
        [(r#"["stall"]"#, false), (r#"["stall"]"#, true), (r#"[{"events": {"count": 2}}, "stall"]"#, true)]
    {
        let address = playing(steps).await;
        let rig = Rig::new(table(1, &[address], &Patience::default()), at_once(&[0])).await;
        let mut client = TcpStream::connect(rig.door).await.unwrap();
        client.write_all(request(&chat("m", stream), "").as_bytes()).await.unwrap();
        if steps.contains("events") {
            let mut piece = [0; 4096];
            let read = client.read(&mut piece).await.unwrap();
            assert_eq!(header(&String::from_utf8_lossy(&piece[..read]), "x-fastroute-attempts"), Some("1"));
        } else {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        drop(client);
        tokio::time::sleep(Duration::from_millis(250)).await;
        assert_eq!(seen_by(address).await[0]["ended"], "cancelled", "{steps}, stream {stream}");
        let story = rig.story().await;
        assert_eq!((story.ending, story.failure.unwrap().code), (Ending::ClientGone, "client_gone"));
        assert!(story.attempts[0].failure.is_none(), "the target did nothing wrong");
        assert_eq!((rig.in_flight(), rig.attempts_in_flight()), (0, 0));
    }
}
