//! The loop: start what is due, sleep until the next moment or the next byte, read, again.
//!
//! The surprise: it never spins. The upstream usually shares its core, so a busy wait would slow down the very thing
//! that is measured; a timer descriptor wakes the loop to within microseconds instead.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::time::Duration;

use bytes::Bytes;
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

use super::super::clock::{monotonic_ns, process_cpu_ns};
use super::lane::{Exchange, Lane};
use super::response::Fault;
use super::tally::{LoadReport, Tally};
use super::timer::Timer;
use super::{Load, Mode};

/// How often requests are looked through for those that take too long.
const SWEEP_NS: u64 = 100_000_000;
/// A closed-loop connection that failed to open tries again after this, or a dead server would be hammered.
const REST_NS: u64 = 10_000_000;
const SCRATCH_BYTES: usize = 256 * 1024;
const TIMER: Token = Token(usize::MAX);

/// Measures; blocks for warm-up, window and drain.
pub fn run(load: &Load) -> io::Result<LoadReport> {
    if load.shapes.iter().all(|shape| shape.weight == 0) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "a load needs at least one shape with a weight"));
    }
    let mut generator = Generator::new(load)?;
    generator.measure()?;
    Ok(generator.tally.report(load))
}

struct Generator<'a> {
    load: &'a Load,
    requests: Vec<Bytes>,
    poll: Poll,
    timer: Timer,
    lanes: Vec<Option<Lane>>,
    /// Lanes that stand ready, and places for new ones.
    idle: Vec<usize>,
    vacant: Vec<usize>,
    /// Closed loop: when a lane is to begin, or to begin again.
    begins: BinaryHeap<Reverse<(u64, usize)>>,
    /// Open loop: how many have fallen due and been started, since the very beginning.
    started: u64,
    /// When the first request of an open loop is due.
    start_ns: u64,
    dice: u64,
    scratch: Vec<u8>,
    tally: Tally,
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl<'a> Generator<'a> {
    fn new(load: &'a Load) -> io::Result<Self> {
        let poll = Poll::new()?;
        let timer = Timer::new(poll.registry(), TIMER)?;
        let start_ns = monotonic_ns();
        let window_start_ns = start_ns + nanoseconds(load.warm_up);
        let window_end_ns = window_start_ns + nanoseconds(load.window);
        let mut begins = BinaryHeap::new();
        let lanes = match load.mode {
            Mode::Open { most_connections, .. } => most_connections,
            Mode::Closed { connections, ramp } => {
                for lane in 0..connections {
                    let after_ns = nanoseconds(ramp) * lane as u64 / connections as u64;
                    begins.push(Reverse((start_ns + after_ns, lane)));
                }
                connections
            }
        };
        Ok(Self {
            load,
            requests: load.shapes.iter().map(|shape| shape.render(load.address)).collect(),
            poll,
            timer,
            lanes: (0..lanes).map(|_| None).collect(),
            idle: Vec::new(),
            vacant: (0..lanes).rev().collect(),
            begins,
            started: 0,
            start_ns,
            dice: load.seed | 1,
            scratch: vec![0; SCRATCH_BYTES],
            tally: Tally::new(load.shapes.len(), window_start_ns, window_end_ns),
        })
    }

    fn measure(&mut self) -> io::Result<()> {
        let (window_start_ns, window_end_ns) = (self.tally.window_start_ns, self.tally.window_end_ns);
        let open_loop = matches!(self.load.mode, Mode::Open { .. });
        let end_ns = window_end_ns + if open_loop { nanoseconds(self.load.drain) } else { 0 };
        let mut events = Events::with_capacity(1024);
        let mut sweep_ns = self.start_ns + SWEEP_NS;
        let (mut cpu_start_ns, mut window_closed) = (None, false);
        loop {
            let now_ns = monotonic_ns();
            if cpu_start_ns.is_none() && now_ns >= window_start_ns {
                cpu_start_ns = Some(process_cpu_ns());
            }
            if !window_closed && now_ns >= window_end_ns {
                window_closed = true;
                self.tally.cpu_ns = process_cpu_ns() - cpu_start_ns.unwrap_or(0);
            }
            if now_ns >= end_ns || (window_closed && self.is_quiet(window_end_ns)) {
                self.close_books(now_ns);
                return Ok(());
            }
            if now_ns >= sweep_ns {
                self.sweep(now_ns);
                sweep_ns = now_ns + SWEEP_NS;
            }
            let next_ns = self.start_due(now_ns)?.min(sweep_ns).min(end_ns);
            let next_ns = if window_closed { next_ns } else { next_ns.min(window_end_ns) };
            let patience = self.timer.set(next_ns, now_ns)?;
            match self.poll.poll(&mut events, patience) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                polled => polled?,
            }
            for event in events.iter().filter(|event| event.token() != TIMER) {
                self.ready(event.token().0, event.is_read_closed() || event.is_error())?;
            }
        }
    }

    /// Everything that was due in the window has been answered.
    fn is_quiet(&self, window_end_ns: u64) -> bool {
        let busy = self.lanes.iter().flatten().any(|lane| lane.exchange.is_some());
        !busy && self.due_at(self.started).is_none_or(|due_ns| due_ns >= window_end_ns)
    }

    /// When the n-th request of an open loop is due.
    fn due_at(&self, number: u64) -> Option<u64> {
        let Mode::Open { rate, .. } = self.load.mode else {
            return None;
        };
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a measurement lasts minutes, which is far below 2^53 nanoseconds"
        )]
        let after_ns = (number as f64 * 1e9 / rate) as u64;
        Some(self.start_ns + after_ns)
    }

    /// Starts what should have started by now; gives the moment of the next.
    fn start_due(&mut self, now_ns: u64) -> io::Result<u64> {
        let end_ns = self.tally.window_end_ns;
        while let Some(due_ns) = self.due_at(self.started) {
            if due_ns > now_ns || due_ns >= end_ns {
                self.tally.backlog(0, now_ns);
                return Ok(if due_ns < end_ns { due_ns } else { u64::MAX });
            }
            let Some(lane) = self.idle.pop().or_else(|| self.vacant.pop()) else {
                self.tally.backlog(self.count_backlog(now_ns), now_ns);
                // An answer, not the clock, makes room for the next.
                return Ok(u64::MAX);
            };
            self.started += 1;
            self.begin(lane, due_ns)?;
        }
        while let Some(&Reverse((due_ns, lane))) = self.begins.peek() {
            if due_ns > now_ns {
                return Ok(due_ns);
            }
            self.begins.pop();
            self.begin(lane, due_ns)?;
        }
        Ok(u64::MAX)
    }

    fn count_backlog(&self, now_ns: u64) -> u64 {
        let Mode::Open { rate, .. } = self.load.mode else {
            return 0;
        };
        let passed_ns = now_ns.min(self.tally.window_end_ns) - self.start_ns;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "no measurement has 2^53 requests")]
        let due = (passed_ns as f64 * rate / 1e9) as u64 + 1;
        due.saturating_sub(self.started)
    }

    /// Sends a request on a lane, which is connected first where it must be.
    fn begin(&mut self, number: usize, due_ns: u64) -> io::Result<()> {
        let shape = self.draw();
        let now_ns = monotonic_ns();
        let stream = self.load.shapes.get(shape).is_some_and(|shape| shape.stream);
        let request = self.requests.get(shape).cloned().unwrap_or_default();
        let exchange = Exchange::new(shape, request, stream, due_ns, now_ns);
        self.tally.started(due_ns, now_ns);
        let Some(place) = self.lanes.get_mut(number) else {
            return Ok(());
        };
        if let Some(lane) = place {
            lane.exchange = Some(exchange);
            lane.write();
            return Ok(());
        }
        self.tally.connections_opened += 1;
        let Ok(mut socket) = TcpStream::connect(self.load.address) else {
            self.tally.finished(&exchange, Err(Fault::Connect), monotonic_ns());
            self.give_back(number);
            return Ok(());
        };
        let both = Interest::READABLE | Interest::WRITABLE;
        self.poll.registry().register(&mut socket, Token(number), both)?;
        *place = Some(Lane { socket, connected: false, used: false, exchange: Some(exchange) });
        Ok(())
    }

    /// A shape by weight (xorshift64*: any generator will do, this one is four lines and repeatable).
    fn draw(&mut self) -> usize {
        if self.load.shapes.len() == 1 {
            return 0;
        }
        self.dice ^= self.dice >> 12;
        self.dice ^= self.dice << 25;
        self.dice ^= self.dice >> 27;
        let total: u64 = self.load.shapes.iter().map(|shape| u64::from(shape.weight)).sum();
        let mut left = (self.dice.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % total;
        for (place, shape) in self.load.shapes.iter().enumerate() {
            match left.checked_sub(u64::from(shape.weight)) {
                Some(rest) => left = rest,
                None => return place,
            }
        }
        0
    }

    /// The socket of a lane has something to tell.
    fn ready(&mut self, number: usize, ended: bool) -> io::Result<()> {
        let Some(Some(lane)) = self.lanes.get_mut(number) else {
            return Ok(());
        };
        let connected = match lane.finish_connecting() {
            Ok(connected) => connected,
            Err(fault) => {
                self.fail(number, fault);
                return Ok(());
            }
        };
        if !connected {
            return Ok(());
        }
        lane.write();
        let shape = lane.exchange.as_ref().map_or(0, |exchange| exchange.shape);
        let tally = &mut self.tally;
        let read = lane.read(&mut self.scratch, ended, |arrival| {
            tally.arrived(shape, arrival);
        });
        match read {
            Ok(true) => self.complete(number, ended),
            Ok(false) => Ok(()),
            Err(fault) => {
                self.fail(number, fault);
                Ok(())
            }
        }
    }

    /// A response is there in full.
    fn complete(&mut self, number: usize, ended: bool) -> io::Result<()> {
        let now_ns = monotonic_ns();
        let Some(Some(lane)) = self.lanes.get_mut(number) else {
            return Ok(());
        };
        let Some(exchange) = lane.exchange.take() else {
            return Ok(());
        };
        lane.used = true;
        self.tally.finished(&exchange, exchange.response.verdict(), now_ns);
        if ended || exchange.response.last {
            self.drop_lane(number);
        }
        match self.load.mode {
            Mode::Open { .. } if self.lanes.get(number).is_some_and(Option::is_some) => {
                self.idle.push(number);
            }
            Mode::Open { .. } => self.vacant.push(number),
            Mode::Closed { .. } if now_ns < self.tally.window_end_ns => {
                self.begin(number, now_ns)?;
            }
            Mode::Closed { .. } => {}
        }
        Ok(())
    }

    /// A lane broke: with a request on it, that is an error; without, the server ended an idle connection.
    fn fail(&mut self, number: usize, fault: Fault) {
        let exchange = self.lanes.get_mut(number).and_then(Option::as_mut).and_then(|lane| lane.exchange.take());
        self.drop_lane(number);
        if let Some(exchange) = exchange {
            self.tally.finished(&exchange, Err(fault), monotonic_ns());
        } else {
            self.tally.idle_closed += 1;
            self.idle.retain(|&each| each != number);
        }
        self.give_back(number);
    }

    fn drop_lane(&mut self, number: usize) {
        if let Some(place) = self.lanes.get_mut(number)
            && let Some(mut lane) = place.take()
        {
            // Closing it would do the same; this keeps events of the old socket from reaching the next.
            let _ = self.poll.registry().deregister(&mut lane.socket);
        }
    }

    fn give_back(&mut self, number: usize) {
        match self.load.mode {
            Mode::Open { .. } => self.vacant.push(number),
            Mode::Closed { .. } => self.begins.push(Reverse((monotonic_ns() + REST_NS, number))),
        }
    }

    fn sweep(&mut self, now_ns: u64) {
        let limit_ns = nanoseconds(self.load.timeout);
        for number in 0..self.lanes.len() {
            let lane = self.lanes.get(number).and_then(Option::as_ref);
            let exchange = lane.and_then(|lane| lane.exchange.as_ref());
            if exchange.is_some_and(|exchange| now_ns.saturating_sub(exchange.started_ns) > limit_ns) {
                self.fail(number, Fault::Timeout);
            }
        }
    }

    /// Counts what is still under way, and what never began.
    fn close_books(&mut self, now_ns: u64) {
        let open_loop = matches!(self.load.mode, Mode::Open { .. });
        for lane in self.lanes.iter_mut().flatten() {
            if let Some(exchange) = lane.exchange.take() {
                self.tally.left_over(&exchange, open_loop, now_ns);
            }
        }
        while let Some(due_ns) = self.due_at(self.started).filter(|&due_ns| due_ns < self.tally.window_end_ns) {
            let shape = self.draw();
            self.tally.never_sent(shape, due_ns, now_ns);
            self.started += 1;
        }
    }
}
