//! Frames of an HTTP/2 client that cost work and ask for nothing, counted beside hyper from the bytes it is given.
//!
//! The rule: whoever sends more of them than any client has a use for is told to calm down and let go. The surprise:
//! none of what was read together with the frame too many is handed on, so a flood is over before it is worked on.

use std::time::Duration;

use tokio::time::Instant;

/// Streams that a client may take back (CVE-2023-44487, "rapid reset"): each may have reached a provider already.
const RESETS: u32 = 100;
/// Settings, pings, priorities, continued heads, empty data and frames of no known kind. Clients that measure their
/// round trip by pings send tens of them in this time.
const IDLE: u32 = 1_000;
/// Within so long.
const WINDOW: Duration = Duration::from_secs(10);

/// Bytes of a frame before its payload (RFC 9113, section 4.1), and of the connection's preface (section 3.4).
const HEAD: usize = 9;
const PREFACE: usize = 24;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const PUSH_PROMISE: u8 = 5;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;
const END_STREAM: u8 = 1;
const ENHANCE_YOUR_CALM: u32 = 11;

/// See the module.
#[derive(Debug)]
pub(super) struct Floods {
    /// Bytes that begin no frame: what is left of the preface or of a payload.
    skip: usize,
    head: [u8; HEAD],
    /// Bytes of `head` that are there.
    have: usize,
    last_stream: u32,
    since: Instant,
    resets: u32,
    idle: u32,
}

impl Floods {
    pub(super) fn new() -> Self {
        Self { skip: PREFACE, head: [0; HEAD], have: 0, last_stream: 0, since: Instant::now(), resets: 0, idle: 0 }
    }

    /// Looks at what was read; false when it holds a frame too many.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> bool {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            let Some((&byte, rest)) = bytes.split_first() else { return true };
            if let Some(slot) = self.head.get_mut(self.have) {
                *slot = byte;
            }
            self.have += 1;
            bytes = rest;
            if self.have == HEAD {
                self.have = 0;
                if !self.frame() {
                    return false;
                }
            }
        }
    }

    fn frame(&mut self) -> bool {
        let [high, middle, low, kind, flags, stream @ ..] = self.head;
        let length = u32::from_be_bytes([0, high, middle, low]);
        self.skip = length as usize;
        match kind {
            HEADERS => self.last_stream = u32::from_be_bytes(stream) & (u32::MAX >> 1),
            RST_STREAM => self.resets = self.count(self.resets),
            DATA if length > 0 || flags & END_STREAM != 0 => {}
            // Windows grow as fast as a client reads; the other two end the connection anyway.
            WINDOW_UPDATE | GOAWAY | PUSH_PROMISE => {}
            _ => self.idle = self.count(self.idle),
        }
        self.resets <= RESETS && self.idle <= IDLE
    }

    /// One more within the window, or the first of the next one.
    fn count(&mut self, before: u32) -> u32 {
        let now = Instant::now();
        if now.duration_since(self.since) < WINDOW {
            return before + 1;
        }
        (self.since, self.resets, self.idle) = (now, 0, 0);
        1
    }

    /// What the client is told before its connection ends.
    pub(super) fn goaway(&self) -> [u8; HEAD + 8] {
        let mut frame = [0; HEAD + 8];
        let told = [[0, 0, 8, GOAWAY], [0; 4]].concat();
        let words = [self.last_stream.to_be_bytes(), ENHANCE_YOUR_CALM.to_be_bytes()].concat();
        for (slot, byte) in frame.iter_mut().zip(told.into_iter().chain([0]).chain(words)) {
            *slot = byte;
        }
        frame
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PING: u8 = 6;

    fn frame(kind: u8, flags: u8, stream: u32, length: u8) -> Vec<u8> {
        let mut frame = vec![0, 0, length, kind, flags];
        frame.extend(stream.to_be_bytes());
        frame.resize(HEAD + usize::from(length), 0xFF);
        frame
    }

    fn opened() -> Floods {
        let mut floods = Floods::new();
        assert!(floods.feed(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
        floods
    }

    #[tokio::test(start_paused = true)]
    async fn the_reset_too_many_is_found_however_the_bytes_are_cut() {
        let turn = [frame(HEADERS, 4, 7, 20), frame(RST_STREAM, 0, 7, 4)].concat();
        let flood = turn.repeat(RESETS as usize + 1);
        for cut in [1, 2, 5, 9, 13, 64, flood.len()] {
            let mut floods = opened();
            let sound = flood.chunks(cut).take_while(|piece| floods.feed(piece)).count();
            assert_eq!(sound, (flood.len() - 5) / cut, "cut into pieces of {cut}");
            assert_eq!(floods.goaway(), [0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 11]);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_ordinary_clients_send_is_never_too_much() {
        let mut floods = opened();
        for _ in 0..50 {
            assert!(floods.feed(&frame(RST_STREAM, 0, 1, 4).repeat(RESETS as usize)));
            assert!(floods.feed(&frame(PING, 0, 0, 8).repeat(IDLE as usize)));
            tokio::time::advance(WINDOW).await;
        }
        for kind in [HEADERS, DATA, WINDOW_UPDATE] {
            assert!(floods.feed(&frame(kind, 0, 1, 4).repeat(20_000)), "{kind}");
        }
        assert!(floods.feed(&frame(DATA, END_STREAM, 1, 0).repeat(20_000)));
    }

    #[tokio::test(start_paused = true)]
    async fn frames_that_ask_for_nothing_are_counted_together() {
        let kinds = [DATA, 2, 4, PING, 9, 77].map(|kind| frame(kind, 0, 1, 0)).concat();
        let mut floods = opened();
        let turns = (0..IDLE).take_while(|_| floods.feed(&kinds)).count();
        assert_eq!(turns, IDLE as usize / 6);
    }
}
