//! A script is data: rules that match requests, and the steps that a matching request gets, in order.
//!
//! This file is the reference of what a script may say; what it must not say is in `check.rs`. The surprise: `head` and
//! `cut` speak of what follows them, so they stand before the steps that send something.

use std::collections::BTreeMap;
use std::path::PathBuf;

use bytes::Bytes;
use serde::Deserialize;

/// Everything the scripted upstream does differently from a well-behaved server, and the sizes it answers with.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Script {
    /// Looked at in order; the first that matches answers. Without a match the server behaves well.
    pub rules: Vec<Rule>,
    pub defaults: Defaults,
    /// How much of each request body the log keeps, in bytes.
    pub keep_body_bytes: usize,
}

/// The sizes and the pace of well-behaved answers; a step can override each for its own reply.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Defaults {
    /// What `GET /v1/models` lists. Requests may name any other model as well.
    pub models: Vec<String>,
    /// Size of a unary chat reply's body; the text is padded to reach it.
    pub reply_bytes: usize,
    /// Content events of a stream.
    pub events: u64,
    /// Wait before the first content event, and between one and the next.
    pub first_ms: u64,
    pub every_ms: u64,
    /// Numbers in one embedding when the request does not ask for another size.
    pub dimensions: usize,
    pub stamp: Stamp,
    /// Without it a connection serves one request, so that no peer ever meets one that was used before.
    pub keep_alive: bool,
}

impl Default for Defaults {
    fn default() -> Self {
        Self {
            models: vec!["mock-small".into(), "mock-large".into()],
            reply_bytes: 700,
            events: 20,
            first_ms: 0,
            every_ms: 0,
            dimensions: 1536,
            stamp: Stamp::Field,
            keep_alive: true,
        }
    }
}

/// Where a stream's events carry the time at which they were sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stamp {
    /// `"t_ns":123` beside the event's own fields: unknown to clients, lost in a translation.
    Field,
    /// `t_ns=123` inside the text: survives a translation to another dialect.
    Text,
    None,
}

/// What must hold for a request, and what it then gets.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    #[serde(rename = "match", default)]
    pub matching: Match,
    /// Answer as soon as the head is in: the body stays unread and the connection ends with the answer.
    #[serde(default)]
    pub before_body: bool,
    pub steps: Vec<Step>,
}

/// All given conditions must hold. Texts may contain `*` for any run of characters.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    pub model: Option<String>,
    /// The path without its query, and without a leading `/v1`.
    pub path: Option<String>,
    /// Header name to pattern.
    pub header: BTreeMap<String, String>,
    pub stream: Option<bool>,
    /// While at least so many other requests are being answered: what is beyond a capacity.
    pub busy: Option<u64>,
    /// Of the requests for which everything above holds: skip so many,
    pub after: u64,
    /// then take only so many,
    pub first: Option<u64>,
    /// and of those only each n-th.
    pub every: Option<u64>,
}

/// One thing the upstream does. In JSON a step is `{"name": {…}}`, or just `"name"` where there is nothing to say.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// A complete answer with this status; without a body, an error in the caller's dialect.
    Status(Status),
    /// How the head of what follows looks.
    Head(Head),
    /// Ends what follows after an exact number of bytes.
    Cut(Cut),
    Delay(Delay),
    /// What a well-behaved server would answer to this request, in other sizes.
    Reply(Reply),
    /// Content events of a stream, at a pace.
    Events(Events),
    /// One tool call as a stream tells it: its name, then its arguments in pieces.
    ToolCall(ToolCall),
    /// Comments, as servers send them to keep a connection open.
    Comments(Comments),
    /// The event that says why a stream ends and, where asked for, its usage.
    Finish(Finish),
    /// An error inside a stream that began well.
    ErrorEvent(ErrorEvent),
    /// The dialect's last word (`data: [DONE]`), and the proper end of the response.
    Done,
    /// Bytes of the body, inside the framing that the head announced.
    Send(Payload),
    /// Bytes on the wire as they are: before anything was sent they stand in place of the head.
    Raw(Payload),
    /// Nothing more, until the peer leaves.
    Stall,
    /// RST as soon as the peer's next request begins, unread: the connection was dead while it looked alive.
    Snub(Snub),
    /// FIN, with whatever was promised still missing.
    Close,
    /// RST.
    Reset,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    pub code: u16,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// A text is sent as it stands, any other value as JSON.
    pub body: Option<serde_json::Value>,
    pub body_file: Option<PathBuf>,
    #[serde(skip)]
    pub(super) bytes: Option<Bytes>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Head {
    pub status: Option<u16>,
    pub headers: BTreeMap<String, String>,
    pub content_type: Option<String>,
    pub framing: Framing,
}

/// How a response says where it ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Framing {
    /// `content-length` for whole bodies, chunks for streams.
    #[default]
    Proper,
    Chunked,
    /// Neither length nor chunks: the end of the connection is the end of the body.
    UntilClose,
    /// This length, whatever is sent; the connection ends after it.
    Length(u64),
    /// Chunks, and this length beside them, which no message may have.
    LengthAndChunked(u64),
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Cut {
    pub after_bytes: u64,
    #[serde(default)]
    pub of: CutOf,
    #[serde(default)]
    pub how: CutHow,
}

/// What a cut counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutOf {
    /// Every byte, from the status line on.
    #[default]
    Wire,
    /// Bytes of the body, without head and chunk framing.
    Body,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CutHow {
    #[default]
    Close,
    Reset,
    Stall,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Delay {
    pub ms: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Reply {
    /// Size of the whole unary body.
    pub bytes: Option<usize>,
    pub text: Option<String>,
    pub events: Option<u64>,
    pub first_ms: Option<u64>,
    pub every_ms: Option<u64>,
    pub dimensions: Option<usize>,
    pub usage: UsageWhen,
}

/// Whether the reply states what it used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UsageWhen {
    /// As the dialect has it: always in unary replies, in streams where the request asked.
    #[default]
    Asked,
    Always,
    Never,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Events {
    pub count: u64,
    pub first_ms: u64,
    pub every_ms: u64,
    /// The text of each event; without it, the next words of a fixed sentence.
    pub text: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ToolCall {
    pub name: String,
    pub arguments: String,
    #[serde(default = "one")]
    pub pieces: usize,
    #[serde(default)]
    pub every_ms: u64,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Comments {
    pub count: u64,
    #[serde(default)]
    pub every_ms: u64,
    #[serde(default)]
    pub text: String,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Snub {
    /// A request that begins sooner than this is served as any other.
    pub after_ms: u64,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Finish {
    /// In the words of the dialect; without it, an ordinary end.
    pub reason: Option<String>,
    pub usage: UsageWhen,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ErrorEvent {
    /// The event's data, sent as JSON; without it, an overload in the caller's dialect.
    pub data: Option<serde_json::Value>,
    /// The name on the `event:` line, where it should differ from the dialect's.
    pub event: Option<String>,
}

/// Bytes as a script can spell them: exactly one of the three, and how often.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Payload {
    pub utf8: Option<String>,
    pub base64: Option<String>,
    pub file: Option<PathBuf>,
    pub repeat: Option<u64>,
    #[serde(skip)]
    pub(super) bytes: Bytes,
}

fn one() -> usize {
    1
}
