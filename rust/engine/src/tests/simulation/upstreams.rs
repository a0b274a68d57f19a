//! Upstreams that do the next thing of a list, and keep what they were asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};

use super::super::rig::{header, read_request};
use crate::dice::Dice;

/// A connection that was idle for this long may have been closed meanwhile, so a request on it is sent once more.
const RESTED: Duration = Duration::from_secs(1);

/// What one request (or connection) meets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Fault {
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

pub(super) fn below(dice: &Dice, of: u64) -> u64 {
    dice.next() % of
}

pub(super) fn one_of<T: Copy>(dice: &Dice, of: &[T]) -> T {
    of[usize::try_from(below(dice, of.len() as u64)).unwrap()]
}

pub(super) fn fault(dice: &Dice) -> Fault {
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
pub(super) struct Row {
    pub(super) target: u32,
    /// The attempt's, as the journal has it.
    pub(super) id: String,
    #[expect(dead_code, reason = "shown where a promise is broken")]
    pub(super) fault: Fault,
    /// The body of a good answer, all of it.
    pub(super) body: String,
    /// The connection had been idle for so long that its end, without a word, is no answer, and the route lets requests go
    /// twice.
    pub(super) replayed: bool,
    pub(super) over: bool,
}

#[derive(Default)]
pub(super) struct Log {
    pub(super) rows: Vec<Row>,
    pub(super) unread: Vec<u32>,
}

pub(super) type Shared = Arc<Mutex<Log>>;

pub(super) struct Upstream {
    pub(super) target: u32,
    pub(super) faults: Mutex<VecDeque<Fault>>,
    pub(super) events: u64,
    /// The route lets requests go twice.
    pub(super) repeats: bool,
    pub(super) log: Shared,
}

impl Upstream {
    /// The next fault; without one left it behaves well.
    fn next(&self) -> Fault {
        self.faults.lock().unwrap().pop_front().unwrap_or(Fault::None)
    }

    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener) {
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
            let replayed = self.repeats && silent && last.is_some_and(|last| last.elapsed() >= RESTED);
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
