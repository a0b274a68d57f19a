//! Dropping is aborting: whoever drops an exchange, wherever it waits, leaves one story and nothing else behind.

use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::rig::{
    Decide, Rig, at_once, chat, header, ingress, plan, playing, read_request, request, seen_by, table, upstream_of,
};
use crate::clocks::Patience;
use crate::decider::Decision;
use crate::delivery::ReplyBody;
use crate::exchange::run;
use crate::outcome::Ending;

/// Runs an exchange and reads its body, but drops everything after so many polls. True when it came to its end.
async fn dropped_after(polls: usize, rig: &Rig, stream: bool) -> bool {
    let mut left = polls;
    let mut exchange = pin!(async {
        let mut body: ReplyBody = run(rig.io.clone(), ingress(&chat("m", stream)), None).await.body;
        while poll_fn(|task| body.poll_next(task)).await.unwrap().is_some() {}
    });
    poll_fn(|task| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        exchange.as_mut().poll(task).map(|()| true)
    })
    .await
}

/// Answers a moment later, from another task: asking is a place to be dropped at, too.
fn soon() -> Box<Decide> {
    Box::new(|_, answer| {
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            let mailbox = answer.mailbox().clone();
            mailbox.deliver(&mut vec![(answer, Decision::Plan(plan(1, &[0, 1])))]);
        });
        Ok(())
    })
}

#[tokio::test(start_paused = true)]
async fn an_exchange_dropped_at_any_await_settles_once_and_leaves_nothing_in_flight() {
    let failing = r#"[{"delay": {"ms": 3}}, {"status": {"code": 503}}]"#;
    let running = r#"[{"delay": {"ms": 3}}, {"events": {"count": 5, "every_ms": 7}}, {"finish": {}}, "done"]"#;
    let whole = r#"[{"delay": {"ms": 3}}, {"reply": {"bytes": 200000}}]"#;
    for (steps, stream) in [(running, true), (whole, false)] {
        let upstreams = [playing(failing).await, playing(steps).await];
        let mut polls = 0;
        loop {
            let rig = Rig::new(table(1, &upstreams, &Patience::default()), soon()).await;
            let ended = dropped_after(polls, &rig, stream).await;
            // Whatever was spawned for it comes to rest.
            tokio::time::sleep(Duration::from_secs(5)).await;
            let settled = rig.decider.settled.lock().unwrap().clone();
            let forgotten = rig.decider.forgotten.lock().unwrap().len();
            assert_eq!(settled.len(), usize::from(polls > 0), "after {polls} polls");
            assert_eq!(rig.attempts_in_flight(), 0, "after {polls} polls");
            if let Some(story) = settled.first() {
                // A plan is either in the story or handed back, never both, never neither.
                let counted = usize::from(story.lead.is_some()) + forgotten;
                assert_eq!(counted, 1, "after {polls} polls: {story:?}");
                // Dropped behind its finish a stream lacks nothing, and what it used is still learnt.
                let complete = ended || stream && story.usage.is_some();
                let ending = if complete { Ending::Complete } else { Ending::ClientGone };
                assert_eq!(story.ending, ending, "after {polls} polls");
            }
            if ended {
                break;
            }
            polls += 1;
            assert!(polls < 1000, "it has to end some time");
        }
        assert!(polls > 5, "{polls} polls are too few to have met every wait");
    }
}

#[tokio::test(start_paused = true)]
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

#[tokio::test(start_paused = true)]
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
