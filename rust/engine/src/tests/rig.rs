//! What every test of the request path stands on.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastroute_core::dialects::Dialect;
use hyper::header::HeaderMap;
use smallvec::SmallVec;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::jumping;
pub(super) use super::reply::{Reply, header};
use crate::admission::Queue;
use crate::bars::Bars;
use crate::clocks::Patience;
use crate::decider::{Answer, Busy, Decided, DecidedBy, Decider, Decision, Desk, Door, Plan, Question};
use crate::dice::Dice;
use crate::io::{Bounds, Io, Shared, Tables};
use crate::journal::Lane;
use crate::metrics::Metrics;
use crate::mock::{self, Script};
use crate::spoken::Spoken;
use crate::table::{ChoiceSpec, ProviderSpec, RouteSpec, Table, TableSpec, TargetSpec};
use crate::upstream::{Pools, Resolver};
use crate::{Ingress, Outcome, Setback, Waits, doors};

/// Longer than anything here takes on a clock that jumps; reaching it fails the test.
pub(super) const PATIENCE: Duration = Duration::from_secs(86_400);

pub(super) type Decide = dyn Fn(&Question, Answer) -> Result<(), Busy> + Send + Sync;

/// A decider that answers by a closure and keeps what it is told.
pub(super) struct Closure {
    decide: Box<Decide>,
    pub(super) room: AtomicBool,
    pub(super) settled: Mutex<Vec<Outcome>>,
    pub(super) reported: Mutex<Vec<Setback>>,
    pub(super) forgotten: Mutex<Vec<Plan>>,
    told: Notify,
}

impl Decider for Closure {
    fn decide(&self, question: Question, answer: Answer) -> Result<(), Busy> {
        (self.decide)(&question, answer)
    }

    fn room(&self) -> bool {
        self.room.load(Ordering::Relaxed)
    }

    fn report(&self, setback: Setback) {
        self.reported.lock().unwrap().push(setback);
    }

    fn settle(&self, outcome: Box<Outcome>) {
        self.settled.lock().unwrap().push(*outcome);
        self.told.notify_waiters();
    }

    fn forget(&self, plan: &Plan) {
        self.forgotten.lock().unwrap().push(plan.clone());
        self.told.notify_waiters();
    }
}

/// Answers every question at once with these targets of generation 1.
pub(super) fn at_once(targets: &[u32]) -> Box<Decide> {
    let targets = targets.to_vec();
    Box::new(move |_, answer| {
        answer.give(Decision::Plan(plan(1, &targets))).unwrap();
        Ok(())
    })
}

pub(super) fn plan(generation: u64, targets: &[u32]) -> Plan {
    Plan {
        route: 0,
        generation,
        targets: SmallVec::from_slice(targets),
        may_lead: targets.len(),
        probe: false,
        standing: false,
        once: false,
        by: DecidedBy::Policy,
    }
}

/// A table of one route, `m`, over one target per upstream.
pub(crate) fn table(generation: u64, upstreams: &[SocketAddr], patience: &Patience) -> TableSpec {
    TableSpec {
        generation,
        providers: upstreams.iter().enumerate().map(|(at, address)| provider(at, *address)).collect(),
        targets: (0..upstreams.len())
            .map(|provider| TargetSpec {
                provider,
                model: Some(format!("up-{generation}-{provider}")),
                key: None,
                key_id: String::new(),
                ..TargetSpec::default()
            })
            .collect(),
        routes: vec![RouteSpec {
            name: "m".into(),
            choices: (0..upstreams.len()).map(|at| ChoiceSpec { target: at.try_into().unwrap(), weight: 1 }).collect(),
            policy: "ordered".into(),
            patience: patience.clone(),
            ..RouteSpec::default()
        }],
        patience: patience.clone(),
        ..TableSpec::default()
    }
}

pub(super) fn provider(at: usize, address: SocketAddr) -> ProviderSpec {
    ProviderSpec {
        name: format!("p{at}"),
        scheme: "http".into(),
        host: address.ip().to_string(),
        port: address.port(),
        prefix: "/v1".into(),
        speaks: [("openai_chat", "/chat/completions"), ("openai_embeddings", "/embeddings")]
            .map(|(dialect, path)| (dialect.to_owned(), path.to_owned()))
            .into(),
        headers: vec![("authorization".into(), format!("Bearer sk-secret-of-p{at}"))],
        ..ProviderSpec::default()
    }
}

/// A scripted upstream on this thread.
pub(super) async fn upstream(script: &str) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let script = Script::parse(script, Path::new("")).unwrap();
    tokio::spawn(async move { mock::serve(listener, script).await });
    tokio::task::yield_now().await;
    address
}

/// An upstream whose every answer is these steps.
pub(super) async fn playing(steps: &str) -> SocketAddr {
    upstream(&format!(r#"{{"rules": [{{"steps": {steps}}}]}}"#)).await
}

/// A place where nobody listens, nor anybody else will while the socket is held.
pub(super) fn nobody() -> (SocketAddr, TcpSocket) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    (socket.local_addr().unwrap(), socket)
}

/// An upstream of closures: `act` gets each accepted connection with its number.
pub(super) async fn upstream_of<F>(act: impl Fn(usize, TcpStream) -> F + Send + 'static) -> SocketAddr
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        for number in 0.. {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(act(number, stream));
        }
    });
    address
}

/// Reads one request off a connection: head and body.
pub(super) async fn read_request(stream: &mut TcpStream) -> Option<String> {
    let mut read = Vec::new();
    let mut piece = [0; 8192];
    loop {
        let count = stream.read(&mut piece).await.ok().filter(|count| *count > 0)?;
        read.extend_from_slice(&piece[..count]);
        let text = String::from_utf8_lossy(&read).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = header(head, "content-length").map_or(0, |length| length.parse().unwrap());
            if body.len() >= length {
                return Some(text);
            }
        }
    }
}

/// Runs on a runtime of its own, with a clock that jumps: no task of one round meets those of another.
pub(super) fn alone<T>(round: impl Future<Output = T>) -> T {
    let runtime = jumping::runtime::Builder::new_current_thread().enable_all().start_paused(true).build();
    runtime.unwrap().block_on(round)
}

pub(super) struct Rig {
    pub(super) io: Arc<Io>,
    pub(super) decider: Arc<Closure>,
    pub(super) door: SocketAddr,
}

impl Rig {
    pub(super) async fn new(spec: TableSpec, decide: Box<Decide>) -> Self {
        Self::with(spec, decide, Bounds::default()).await
    }

    pub(super) async fn with(spec: TableSpec, decide: Box<Decide>, bounds: Bounds) -> Self {
        Self::journaled(spec, decide, bounds, None).await
    }

    pub(super) async fn journaled(
        spec: TableSpec,
        decide: Box<Decide>,
        bounds: Bounds,
        lane: Option<Arc<Lane>>,
    ) -> Self {
        let decider = Arc::new(Closure {
            decide,
            room: AtomicBool::new(true),
            settled: Mutex::default(),
            reported: Mutex::default(),
            forgotten: Mutex::default(),
            told: Notify::new(),
        });
        let dice = Arc::new(Dice::new(7));
        let shared = Arc::new(Shared {
            tables: Tables::new(Table::compile(spec).unwrap()),
            decider: decider.clone(),
            metrics: Metrics::default(),
            pressure: Arc::default(),
            queue: Queue::default(),
            bars: Bars::default(),
            bounds,
            dice: dice.clone(),
            ready: AtomicBool::new(true),
            stopping: watch::Sender::new(false),
            ending: watch::Sender::new(false),
        });
        let defects = shared.metrics.defects.clone();
        let io = Arc::new(Io {
            shared,
            pools: Pools::new(Arc::new(Resolver::default()), dice, lane.clone(), defects),
            desk: Desk::default(),
            lane,
            open: AtomicUsize::new(0),
        });
        io.look_after();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let door = listener.local_addr().unwrap();
        tokio::spawn(doors::http::serve(io.clone(), listener));
        tokio::task::yield_now().await;
        Self { io, decider, door }
    }

    /// Asks with a body and reads the reply to the end of its connection.
    pub(super) async fn ask(&self, body: &str) -> Reply {
        let mut stream = TcpStream::connect(self.door).await.unwrap();
        stream.write_all(request(body, "connection: close\r\n").as_bytes()).await.unwrap();
        Reply::read(&mut stream).await
    }

    pub(super) async fn chat(&self) -> Reply {
        self.ask(&chat("m", false)).await
    }

    pub(super) async fn stream(&self) -> Reply {
        self.ask(&chat("m", true)).await
    }

    /// Waits until `count` stories are settled, and gives them.
    pub(super) async fn settled(&self, count: usize) -> Vec<Outcome> {
        let wait = async {
            loop {
                let told = self.decider.told.notified();
                let settled = self.decider.settled.lock().unwrap().clone();
                if settled.len() >= count {
                    return settled;
                }
                told.await;
            }
        };
        tokio::time::timeout(PATIENCE, wait).await.expect("a story was never settled")
    }

    /// A decision that the door has made already.
    pub(super) fn decided(&self, decision: Decision) -> Decided {
        Decided::new(decision, self.decider.clone())
    }

    /// The one story there is.
    pub(super) async fn story(&self) -> Outcome {
        let mut settled = self.settled(1).await;
        assert_eq!(settled.len(), 1, "one exchange settles once");
        settled.pop().unwrap()
    }

    pub(super) fn in_flight(&self) -> usize {
        self.io.shared.metrics.in_flight.load(Ordering::Relaxed)
    }

    /// Attempts under way at all targets of the current table.
    pub(super) fn attempts_in_flight(&self) -> u32 {
        let table = self.io.shared.tables.current();
        table.targets.iter().map(|target| target.in_flight.load(Ordering::Relaxed)).sum()
    }

    pub(super) fn swap(&self, spec: TableSpec) {
        self.io.shared.tables.swap(Table::compile(spec).unwrap());
    }
}

pub(super) fn chat(model: &str, stream: bool) -> String {
    format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"hi"}}],"stream":{stream}}}"#)
}

pub(super) fn request(body: &str, headers: &str) -> String {
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: gateway\r\n{headers}content-length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// A request as a door would hand it to an exchange.
pub(super) fn ingress(body: &str) -> Ingress {
    let mut spoken = Spoken::by_body(Dialect::OpenAiChat);
    let mut look = doors::body::Look::at(&spoken, &Bounds::default());
    assert!(look.feed(body.as_bytes()).is_ok());
    let Ok(scan) = look.finish(&mut spoken) else { panic!("{body}") };
    Ingress {
        started: Instant::now(),
        request_id: "req_1".into(),
        door: Door::Edge,
        spoken,
        forward: HeaderMap::new(),
        waits: Waits::default(),
        frames: vec![body.to_owned().into()],
        scan,
    }
}

/// What a mock's log holds, as JSON rows.
pub(super) async fn seen_by(upstream: SocketAddr) -> Vec<serde_json::Value> {
    let mut stream = TcpStream::connect(upstream).await.unwrap();
    let ask = "GET /__mock/log HTTP/1.1\r\nhost: mock\r\nconnection: close\r\n\r\n";
    stream.write_all(ask.as_bytes()).await.unwrap();
    let reply = Reply::read(&mut stream).await;
    reply.body.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}
