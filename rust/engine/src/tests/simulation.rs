//! The walk against three upstreams that misbehave by the dice: a thousand seeds, each with exchanges of its own.
//!
//! The rule: a seed is all there is to a round, so `FASTROUTE_SEED=n` plays a failed one again, and `FASTROUTE_SEEDS=n` as
//! many. The surprise: sockets are real and on this thread, only time is not; each seed gets a runtime, so that no task of
//! one meets another.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastroute_core::failure::Kind;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::{Instant, sleep, timeout};

use super::rig::{Decide, Rig, alone, chat, header, ingress, nobody, plan, read_request, table};
use crate::clocks::{Ambiguous, Patience};
use crate::decider::Decision;
use crate::dice::Dice;
use crate::exchange::run;
use crate::io::Bounds;
use crate::journal::tests::Folder;
use crate::outcome::{Ending, Outcome};
use crate::waits::Waits;

const SEEDS: u64 = 1_000;
const TARGETS: u32 = 3;
const EXCHANGES: usize = 3;
const COMMENT: &str = ": keep-alive\n\n";
/// A connection that was idle for this long may have been closed meanwhile, so a request on it is sent once more.
const RESTED: Duration = Duration::from_secs(1);

/// What one request (or connection) meets.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    None,
    /// The head comes after so many milliseconds.
    Slow(u64),
    /// So many milliseconds before each piece of the body.
    Drip(u64),
    /// Closed before the request is read.
    Unread,
    /// Read, and then reset or closed without a word.
    Reset,
    Close,
    HalfHead,
    Garbage,
    NotJson,
    Stall,
    /// Part of the body, and then silence; or the end of the connection.
    StallAfter(usize),
    CutAfter(usize),
    /// A status with a wait in milliseconds, on a connection that goes on or ends.
    Status(u16, Option<u64>, bool),
}

fn below(dice: &Dice, of: u64) -> u64 {
    dice.next() % of
}

fn one_of<T: Copy>(dice: &Dice, of: &[T]) -> T {
    of[usize::try_from(below(dice, of.len() as u64)).unwrap()]
}

fn fault(dice: &Dice) -> Fault {
    let some = usize::try_from(below(dice, 600)).unwrap();
    let wait = one_of(dice, &[None, Some(50), Some(300), Some(2_500), Some(9_000)]);
    match below(dice, 22) {
        0 => Fault::Slow(below(dice, 12_000)),
        1 => Fault::Drip(below(dice, 2_500)),
        2 => Fault::Unread,
        3 => Fault::Reset,
        4 => Fault::Close,
        5 => Fault::HalfHead,
        6 => Fault::Garbage,
        7 => Fault::NotJson,
        8 => Fault::Stall,
        9 => Fault::StallAfter(some),
        10 | 11 => Fault::CutAfter(some),
        12..=14 => Fault::Status(503, wait, below(dice, 2) == 0),
        15 | 16 => Fault::Status(429, wait, below(dice, 2) == 0),
        17 => Fault::Status(one_of(dice, &[500, 502, 400, 401, 425]), None, below(dice, 2) == 0),
        _ => Fault::None,
    }
}

/// A request that an upstream read to its end.
#[derive(Clone, Debug)]
struct Row {
    target: u32,
    /// The attempt's, as the journal has it.
    id: String,
    #[expect(dead_code, reason = "shown where a promise is broken")]
    fault: Fault,
    /// The body of a good answer, all of it.
    body: String,
    /// The connection had been idle for so long that its end, without a word, is no answer.
    replayed: bool,
    over: bool,
}

#[derive(Default)]
struct Log {
    rows: Vec<Row>,
    unread: Vec<u32>,
}

type Shared = Arc<Mutex<Log>>;

struct Upstream {
    target: u32,
    faults: Mutex<VecDeque<Fault>>,
    events: u64,
    log: Shared,
}

impl Upstream {
    /// The next fault; without one left it behaves well.
    fn next(&self) -> Fault {
        self.faults.lock().unwrap().pop_front().unwrap_or(Fault::None)
    }

    async fn serve(self: Arc<Self>, listener: TcpListener) {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let unread = self.faults.lock().unwrap().front() == Some(&Fault::Unread);
            if unread {
                self.next();
                self.log.lock().unwrap().unread.push(self.target);
                continue;
            }
            tokio::spawn(self.clone().answer(stream));
        }
    }

    async fn answer(self: Arc<Self>, mut stream: TcpStream) {
        let mut last: Option<Instant> = None;
        while let Some(request) = read_request(&mut stream).await {
            // A port may have been somebody else's a moment ago. One of ours that came without would be missed in the sums.
            let Some(id) = header(&request, "x-fastroute-attempt").map(str::to_owned) else { return };
            let mut fault = self.next();
            if fault == Fault::Unread {
                // It was meant for a connection, and this one is open already.
                fault = Fault::Close;
            }
            let streamed = request.contains("\"stream\":true");
            let silent = matches!(fault, Fault::Reset | Fault::Close);
            let replayed = silent && last.is_some_and(|last| last.elapsed() >= RESTED);
            let number = {
                let mut log = self.log.lock().unwrap();
                let number = log.rows.len();
                let body = if streamed { self.events(number) } else { self.reply(number) };
                log.rows.push(Row { target: self.target, id, fault, body, replayed, over: false });
                number
            };
            let body = self.log.lock().unwrap().rows[number].body.clone();
            let goes_on = play(&mut stream, fault, &body, streamed).await.unwrap_or(false);
            self.log.lock().unwrap().rows[number].over = true;
            if !goes_on {
                return;
            }
            last = Some(Instant::now());
        }
    }

    fn events(&self, number: usize) -> String {
        let mut body = String::from(r#"data: {"choices":[{"index":0,"delta":{"role":"assistant"}}]}"#) + "\n\n";
        for event in 0..self.events {
            let text = format!("{number} of {} says {event}; ", self.target);
            let event = format!("data: {{\"choices\":[{{\"index\":0,\"delta\":{{\"content\":\"{text}\"}}}}]}}\n\n");
            body.push_str(&event);
        }
        body + "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"
    }

    fn reply(&self, number: usize) -> String {
        // Some are beyond what is judged as a whole.
        let filler = "x".repeat(if self.events == 1 { 100_000 } else { 10 });
        format!(
            r#"{{"id":"{number} of {}","object":"chat.completion","choices":[{{"index":0,"message":{{"role":"assistant","content":"{filler}"}},"finish_reason":"stop"}}]}}"#,
            self.target
        )
    }
}

/// Waits; false when the other side left meanwhile.
async fn pause(stream: &mut TcpStream, wait: Duration) -> bool {
    timeout(wait, stream.read(&mut [0; 1])).await.is_err()
}

/// Answers one request; true when the connection may have another.
async fn play(stream: &mut TcpStream, fault: Fault, body: &str, streamed: bool) -> std::io::Result<bool> {
    let kind = if streamed { "text/event-stream" } else { "application/json" };
    let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n", body.len());
    match fault {
        Fault::Unread | Fault::Close => return Ok(false),
        Fault::Reset => {
            socket2::SockRef::from(&*stream).set_linger(Some(Duration::ZERO))?;
            return Ok(false);
        }
        Fault::HalfHead => {
            stream.write_all(&head.as_bytes()[..20]).await?;
            return Ok(false);
        }
        Fault::Garbage => {
            stream.write_all(b"\x16\x03\x01 this is no answer\r\n\r\n").await?;
            return Ok(false);
        }
        Fault::NotJson => {
            let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: 14\r\n\r\n<html>busy</ht");
            stream.write_all(head.as_bytes()).await?;
            return Ok(false);
        }
        Fault::Stall => {
            pause(stream, Duration::from_secs(3600)).await;
            return Ok(false);
        }
        Fault::Status(status, wait, stays) => {
            let wait = wait.map_or(String::new(), |wait| format!("retry-after-ms: {wait}\r\n"));
            let close = if stays { "" } else { "connection: close\r\n" };
            let body = r#"{"error":{"message":"not now"}}"#;
            let head = format!("HTTP/1.1 {status} No\r\n{wait}{close}content-length: {}\r\n\r\n{body}", body.len());
            stream.write_all(head.as_bytes()).await?;
            return Ok(stays);
        }
        Fault::Slow(wait) => {
            if !pause(stream, Duration::from_millis(wait)).await {
                return Ok(false);
            }
        }
        Fault::None | Fault::Drip(_) | Fault::StallAfter(_) | Fault::CutAfter(_) => {}
    }
    stream.write_all(head.as_bytes()).await?;
    match fault {
        Fault::Drip(wait) => {
            for piece in body.as_bytes().chunks(body.len().div_ceil(5)) {
                if !pause(stream, Duration::from_millis(wait)).await {
                    return Ok(false);
                }
                stream.write_all(piece).await?;
            }
        }
        Fault::StallAfter(at) | Fault::CutAfter(at) if at < body.len() => {
            stream.write_all(&body.as_bytes()[..at]).await?;
            if matches!(fault, Fault::StallAfter(_)) {
                pause(stream, Duration::from_secs(3600)).await;
            }
            return Ok(false);
        }
        _ => stream.write_all(body.as_bytes()).await?,
    }
    Ok(true)
}

/// What a client got.
#[derive(Debug, Default)]
struct Got {
    status: u16,
    body: String,
    /// The body ended with an error of the transport.
    broken: bool,
}

async fn read(rig: &Rig, request: crate::Ingress) -> Got {
    let reply = run(rig.io.clone(), request, None).await;
    let mut got = Got { status: reply.status.as_u16(), ..Got::default() };
    let mut body = reply.body;
    loop {
        match poll_fn(|task| body.poll_next(task)).await {
            Ok(Some(frame)) => got.body.push_str(std::str::from_utf8(&frame).unwrap()),
            Ok(None) => return got,
            Err(_) => {
                got.broken = true;
                return got;
            }
        }
    }
}

struct Round {
    patience: Patience,
    dead: Vec<bool>,
    log: Shared,
    rig: Rig,
    journal: crate::Journal,
    folder: Folder,
    /// Ports of the dead ones, so that nobody else gets them.
    _held: Vec<TcpSocket>,
}

fn patience(dice: &Dice) -> Patience {
    let total_s = 3.0 + 12.0 * dice.unit();
    Patience {
        ttft_timeout_s: 1.0 + 9.0 * dice.unit(),
        ttft_soft_timeout_s: Some(0.5 + 4.0 * dice.unit()).filter(|_| below(dice, 2) == 0),
        idle_timeout_s: 0.5 + 4.0 * dice.unit(),
        total_timeout_s: total_s,
        stream_total_timeout_s: total_s,
        attempts: u32::try_from(below(dice, 5)).unwrap(),
        ambiguous_retry: one_of(dice, &[Ambiguous::Once, Ambiguous::Once, Ambiguous::Never]),
        same_target_retries: one_of(dice, &[None, None, Some(0), Some(1), Some(2)]),
        wait_retry_after_s: one_of(dice, &[None, None, Some(0.0), Some(3.0)]),
        keep_alive_s: one_of(dice, &[0.0, 1.0, 30.0]),
        ..Patience::default()
    }
}

/// Any order of any of the targets; now and then the decider leaves it to the snapshot.
fn deciding(seed: u64) -> Box<Decide> {
    let dice = Dice::new(seed ^ 0xDEC1);
    Box::new(move |_, answer| {
        if below(&dice, 8) == 0 {
            answer.decline();
            return Ok(());
        }
        let mut targets: Vec<u32> = (0..TARGETS).collect();
        for place in (1..targets.len()).rev() {
            targets.swap(place, usize::try_from(below(&dice, place as u64 + 1)).unwrap());
        }
        targets.truncate(1 + usize::try_from(below(&dice, 3)).unwrap());
        answer.give(Decision::Plan(plan(1, &targets))).unwrap();
        Ok(())
    })
}

async fn round(seed: u64, dice: &Dice) -> Round {
    let (log, patience) = (Shared::default(), patience(dice));
    let (mut addresses, mut dead, mut held) = (Vec::<SocketAddr>::new(), Vec::new(), Vec::new());
    for target in 0..TARGETS {
        let faults = Mutex::new((0..6).map(|_| fault(dice)).collect());
        let events = 1 + below(dice, 6);
        dead.push(below(dice, 8) == 0);
        if dead[target as usize] {
            let (address, socket) = nobody();
            addresses.push(address);
            held.push(socket);
        } else {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            addresses.push(listener.local_addr().unwrap());
            tokio::spawn(Arc::new(Upstream { target, faults, events, log: log.clone() }).serve(listener));
        }
    }
    let (folder, spec) = (Folder::new(), table(1, &addresses, &patience));
    let journal = folder.journal();
    let rig = Rig::journaled(spec, deciding(seed), Bounds::default(), journal.lane(0)).await;
    Round { patience, dead, log, rig, folder, journal, _held: held }
}

async fn simulate(seed: u64) {
    let dice = Dice::new(seed);
    let round = round(seed, &dice).await;
    for number in 0..EXCHANGES {
        let stream = below(&dice, 2) == 0;
        let mut request = ingress(&chat("m", stream));
        let mut deadline = round.patience.deadline(request.started, stream);
        if below(&dice, 4) == 0 {
            let theirs_ms = 500 + below(&dice, 8_000);
            request.waits = Waits::default();
            request.waits.note("x-fastroute-timeout-ms", &theirs_ms.to_string());
            deadline = deadline.min(request.started + Duration::from_millis(theirs_ms));
        }
        let leaves_after = Some(Duration::from_millis(below(&dice, 6_000))).filter(|_| below(&dice, 6) == 0);
        let first_row = round.log.lock().unwrap().rows.len();
        let first_unread = round.log.lock().unwrap().unread.len();
        let exchange = read(&round.rig, request);
        let got = match leaves_after {
            Some(after) => timeout(after, exchange).await.ok(),
            None => Some(exchange.await),
        };
        let at = format!("seed {seed}, exchange {number}");
        let over = Instant::now();
        assert!(over <= deadline + Duration::from_millis(250), "{at}: {:?} beyond the deadline", over - deadline);
        // A reply is read on for its end without its client; then whoever works for nobody has to notice.
        round.rig.settled(number + 1).await;
        sleep(Duration::from_secs(1)).await;
        let settled = round.rig.settled(number + 1).await;
        assert_eq!(settled.len(), number + 1, "{at}: one story each");
        let (rows, unread) = {
            let log = round.log.lock().unwrap();
            (log.rows[first_row..].to_vec(), log.unread[first_unread..].to_vec())
        };
        round.agree(&settled[number], &rows, &unread, &at);
        match got {
            Some(got) => honest(&settled[number], &got, &rows, stream, &at),
            None => assert_eq!(round.rig.attempts_in_flight(), 0, "{at}"),
        }
        sleep(Duration::from_millis(one_of(&dice, &[0, 100, 2_000]))).await;
    }
    round.rests(&format!("seed {seed}"));
    // Its keeper makes a folder that vanishes anew.
    round.journal.close();
}

impl Round {
    /// The story tells of exactly the attempts that the upstreams saw, and of no more than the route has patience for.
    fn agree(&self, story: &Outcome, rows: &[Row], unread: &[u32], at: &str) {
        assert!(rows.iter().all(|row| row.over), "{at}: somebody still works on it: {story:?}, {rows:?}");
        assert!(story.attempts.len() <= self.patience.attempts.max(1) as usize, "{at}: {story:?}");
        // The last one of a client that left may not have been sent yet.
        let left = story.ending == Ending::ClientGone;
        for target in 0..TARGETS {
            let told = story.attempts.iter().filter(|attempt| attempt.target == target);
            let seen = rows.iter().filter(|row| row.target == target && !row.replayed).count();
            let seen = seen + unread.iter().filter(|unread| **unread == target).count();
            if self.dead[target as usize] {
                let kinds = told.clone().filter_map(|attempt| attempt.failure.as_ref()).map(|failure| failure.kind);
                assert!(kinds.clone().all(|kind| kind == Kind::Refused), "{at}: {:?}", kinds.collect::<Vec<_>>());
            } else {
                let told = told.count();
                let unsent = usize::from(left && story.attempts.last().is_some_and(|last| last.target == target));
                assert!(told - unsent <= seen && seen <= told, "{at}: {seen} seen at {target}: {story:?}, {rows:?}");
            }
        }
        for attempt in &story.attempts {
            assert!(attempt.started_us + attempt.took_us <= story.took_us + 1, "{at}: {story:?}");
        }
    }

    fn rests(&self, at: &str) {
        let metrics = &self.rig.io.shared.metrics;
        assert_eq!((self.rig.in_flight(), self.rig.attempts_in_flight()), (0, 0), "{at}");
        assert_eq!(metrics.defects.count(), 0, "{at}");
        let settled = self.rig.decider.settled.lock().unwrap();
        let further: usize = settled.iter().map(|story| story.attempts.len().saturating_sub(1)).sum();
        let retries = usize::try_from(metrics.retries.load(std::sync::atomic::Ordering::Relaxed)).unwrap();
        // One that was paid for and still waited when its client left, or its time was over, never began.
        assert!((further..=further + settled.len()).contains(&retries), "{at}: {retries} paid, {further} made");
        let failed = settled.iter().flat_map(|story| &story.attempts);
        let failed = failed.filter(|attempt| attempt.failure.is_some() && attempt.first_content_us.is_none()).count();
        assert_eq!(self.rig.decider.reported.lock().unwrap().len(), failed, "{at}: each setback is reported once");
        self.is_on_record(settled.iter().map(|story| story.attempts.len()).sum(), at);
    }

    /// The journal has each attempt once, with one end, and everything that an upstream read.
    fn is_on_record(&self, attempts: usize, at: &str) {
        let lane = self.rig.io.lane.as_ref().unwrap();
        lane.settle_up();
        if lane.is_relayed() {
            // A disk that was slow for a moment: somebody else writes, and is waited for.
            self.journal.close();
        }
        let (intents, ends) = self.folder.attempts();
        assert_eq!((intents.len(), &intents), (attempts, &ends), "{at}");
        let named: Vec<_> = intents.iter().map(|attempt| String::from_utf8(attempt.text().to_vec()).unwrap()).collect();
        let log = self.log.lock().unwrap();
        for (place, row) in log.rows.iter().enumerate() {
            assert!(named.contains(&row.id), "{at}: {row:?} is not on record");
            let again = log.rows[..place].iter().any(|earlier| earlier.id == row.id && !earlier.replayed);
            assert!(!again, "{at}: an attempt was sent twice: {row:?}");
        }
    }
}

/// What the client got is what the upstream sent, as far as it goes, and how it ended is what is told.
fn honest(story: &Outcome, got: &Got, rows: &[Row], stream: bool, at: &str) {
    assert_eq!(story.status, got.status, "{at}: {got:?}");
    let theirs = rows.last().map_or("", |row| row.body.as_str());
    let body = got.body.replace(COMMENT, "");
    let about = format!("{at}: {story:?}, {got:?}, {rows:?}");
    match story.ending {
        Ending::Complete => {
            assert_eq!(got.status, 200, "{about}");
            assert!(!got.broken && theirs.starts_with(&body), "{about}");
            // The terminator may be missing; the finish may not.
            assert!(body == theirs || stream && body.contains("finish_reason"), "{about}");
        }
        Ending::Broken => {
            assert!(got.status == 200 && story.failure.is_some(), "{about}");
            let passed_on = if stream {
                let (before, event) = body.rsplit_once("data: ").unwrap_or(("", &body));
                assert!(event.contains("\"error\"") && !body.contains("[DONE]"), "{about}");
                before
            } else {
                assert!(got.broken, "{about}");
                &body
            };
            assert!(theirs.starts_with(passed_on), "{about}");
        }
        Ending::Refused => {
            let error: serde_json::Value = serde_json::from_str(&got.body).unwrap();
            assert!(got.status >= 400 && error["error"].is_object(), "{about}");
            assert!(story.failure.is_some() && story.usage.is_none(), "{about}");
        }
        Ending::ClientGone => panic!("{about}: nobody left"),
    }
}

#[test]
fn no_thousand_rounds_of_faults_break_a_promise() {
    let asked = |name| std::env::var(name).ok().map(|number| number.parse::<u64>().unwrap());
    let all = 0..asked("FASTROUTE_SEEDS").unwrap_or(SEEDS);
    let seeds = asked("FASTROUTE_SEED").map_or(all, |seed| seed..seed + 1);
    for seed in seeds {
        alone(simulate(seed));
    }
}
