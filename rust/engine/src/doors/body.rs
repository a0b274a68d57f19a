//! Reads a request body under caps and timers, scanning it as it arrives; frames are kept, never joined.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use fastroute_core::dialects::{Dialect, Family};
use fastroute_core::json::{JsonError, JsonErrorKind, Scan, Scanner, Shape};
use http_body::{Body, Frame};
use tokio::time::{Instant, Sleep, sleep_until};

use fastroute_core::passes::Demands;
use fastroute_core::translate::{self, Address};

use super::look::limits;
use crate::attempt::{bad, joined};
use crate::clocks::seconds;
use crate::failpoint;
use crate::io::{Bounds, Share, Shared};
use crate::problem::Problem;
use crate::room::Room;
use crate::spoken::{Lost, Spoken, Task};

pub use super::look::Look;

/// So many frames are kept as they came; behind them those under [`SMALL_FRAME`] are put together.
const FRAMES_AS_THEY_CAME: usize = 64;
/// Under this a frame costs more than its bytes: its handle, and the read buffer it keeps alive.
const SMALL_FRAME: usize = 4 * 1024;
/// Small frames are put together up to here.
const JOINED_FRAME: usize = 64 * 1024;

/// What is read behind a refusal: the largest body a client of ours would send, and as long as one may take to look up.
const DISCARDED_BYTES: usize = 32 << 20;
const DISCARDED_FOR: Duration = Duration::from_secs(2);

/// The frames of a body. Kept as they came, except that a body sent in crumbs must not take forty times its size.
#[derive(Debug, Default)]
pub struct Frames {
    kept: Vec<Bytes>,
    crumbs: BytesMut,
}

impl Frames {
    pub fn push(&mut self, frame: Bytes) {
        if self.kept.len() < FRAMES_AS_THEY_CAME || frame.len() >= SMALL_FRAME {
            self.flush();
            self.kept.push(frame);
        } else {
            self.crumbs.extend_from_slice(&frame);
            if self.crumbs.len() >= JOINED_FRAME {
                self.flush();
            }
        }
    }

    pub fn finish(mut self) -> Vec<Bytes> {
        self.flush();
        self.kept
    }

    fn flush(&mut self) {
        if !self.crumbs.is_empty() {
            self.kept.push(self.crumbs.split().freeze());
        }
    }
}

/// A body that was read to its end and understood.
pub struct Received {
    pub frames: Vec<Bytes>,
    pub scan: Scan,
    /// What it takes of the process-wide bound; dropped with the frames.
    pub share: Share,
}

/// Starts a scanner with the limits every door shares.
pub(super) fn scanner(spoken: &Spoken, bounds: &Bounds) -> Scanner {
    let shape = match spoken.dialect {
        _ if spoken.opaque.is_some() => Shape::Any,
        Dialect::OpenAiChat | Dialect::OpenAiCompletions => Shape::Chat,
        Dialect::OpenAiEmbeddings => Shape::Embeddings,
        other if other.family() == Family::Chat => Shape::Dialogue,
        _ => Shape::Any,
    };
    Scanner::new(shape, &limits(bounds))
}

/// Reads and scans. `length` is what the head announced, `started` when it was complete.
pub(crate) async fn receive<B>(
    started: Instant,
    body: B,
    length: Option<u64>,
    spoken: &mut Spoken,
    shared: &Arc<Shared>,
) -> Result<Received, Problem>
where
    B: Body<Data = Bytes>,
{
    let bounds = &shared.bounds;
    let announced = usize::try_from(length.unwrap_or(0)).unwrap_or(usize::MAX);
    if announced > bounds.body_bytes {
        return Err(too_large(bounds));
    }
    let mut room = Room::promised(shared, announced).ok_or_else(too_many)?;
    let mut body = pin!(body);
    let mut pace = Pace { bounds, started, began: None, timer: None };
    let mut look = Look::at(spoken, bounds);
    let mut frames = Frames::default();
    let mut read = 0;
    while let Some(frame) = pace.next(body.as_mut(), read).await? {
        let Ok(data) = frame.into_data() else { continue };
        failpoint::pass("door.body");
        read += data.len();
        if read > bounds.body_bytes {
            return Err(too_large(bounds));
        }
        if !room.fill(data.len()) {
            return Err(too_many());
        }
        look.feed(&data)?;
        frames.push(data);
    }
    if length.is_some_and(|length| length != read as u64) {
        return Err(Problem::request(400, "incomplete_body", "the body is shorter than its content-length"));
    }
    let mut scan = look.finish(spoken)?;
    let mut frames = frames.finish();
    understood(&mut frames, &mut scan, spoken, bounds)?;
    Ok(Received { frames, scan, share: room.filled() })
}

/// Reads on behind a refusal, and keeps nothing. A connection that is closed with bytes unread is reset, and a client
/// that was still sending would lose the answer that says why (RFC 9112, section 9.6).
pub async fn discard<B>(body: B)
where
    B: Body<Data = Bytes>,
{
    let mut body = pin!(body);
    let rest = async {
        let mut left = DISCARDED_BYTES;
        while let Some(Ok(frame)) = poll_fn(|task| body.as_mut().poll_frame(task)).await {
            let read = frame.into_data().map_or(0, |data| data.len());
            match left.checked_sub(read) {
                Some(rest) => left = rest,
                None => return,
            }
        }
    };
    // In time or not: whoever sends more than that without a look at the answer has had its chance.
    let _ = tokio::time::timeout(DISCARDED_FOR, rest).await;
}

/// Sees to it that a request has what it needs. A body of the Responses API that came to the address of chat, as some
/// clients send it, is said as chat: that is what they read.
pub fn understood(
    frames: &mut Vec<Bytes>,
    scan: &mut Scan,
    spoken: &mut Spoken,
    bounds: &Bounds,
) -> Result<(), Problem> {
    const CHAT: Dialect = Dialect::OpenAiChat;
    if spoken.dialect == CHAT && spoken.opaque.is_none() && scan.has_input_without_messages() {
        let address = Address { model: spoken.model.as_deref(), stream: None };
        let said = translate::request(&joined(frames), Dialect::OpenAiResponses, &Demands::of(CHAT), address);
        let said = said.map_err(|error| Problem::of(&bad(&error)))?;
        let mut scanner = scanner(spoken, bounds);
        scanner.feed(&said.body).map_err(|error| unreadable(&error))?;
        *scan = scanner.finish().map_err(|error| unreadable(&error))?;
        *frames = vec![said.body];
        spoken.lost = Some(Box::new(Lost { dropped: said.dropped, changed: said.changed }));
    }
    required(scan, spoken)
}

/// What a request of this dialect cannot do without.
pub fn required(scan: &Scan, spoken: &Spoken) -> Result<(), Problem> {
    let missing =
        |field: &str| Problem::request(400, "missing_required_parameter", format!("`{field}` is missing")).at(field);
    if spoken.opaque.is_some() {
        return Ok(());
    }
    if scan.model.is_none() && spoken.model.is_none() {
        return Err(missing("model"));
    }
    match spoken.dialect {
        Dialect::OpenAiChat | Dialect::AnthropicMessages if scan.messages == 0 => Err(missing("messages")),
        Dialect::Gemini if scan.messages == 0 && spoken.task == Task::Answer => Err(missing("contents")),
        Dialect::OpenAiEmbeddings if scan.inputs == 0 => Err(missing("input")),
        _ => Ok(()),
    }
}

/// All that may be held of bodies at once is held.
pub fn too_many() -> Problem {
    Problem::overloaded("too many request bodies are being read; please retry")
}

pub fn too_large(bounds: &Bounds) -> Problem {
    let message = format!("the body is longer than {} bytes", bounds.body_bytes);
    Problem::request(413, "request_too_large", message)
}

/// A body that is no request: names the place, never the content.
pub fn unreadable(error: &JsonError) -> Problem {
    let (status, code) = match error.kind {
        JsonErrorKind::BodyTooLarge => (413, "request_too_large"),
        JsonErrorKind::WrongType(_) | JsonErrorKind::NotInteger => (400, "invalid_type"),
        JsonErrorKind::ModelEmpty | JsonErrorKind::ModelTooLong | JsonErrorKind::TooManyMessages => {
            (400, "invalid_value")
        }
        _ => (400, "invalid_json"),
    };
    let problem = Problem::request(status, code, error.to_string());
    if error.pointer.is_empty() { problem } else { problem.at(as_param(&error.pointer)) }
}

/// `/messages/3/content` as `OpenAI` writes it: `messages[3].content`.
fn as_param(pointer: &str) -> String {
    let mut param = String::with_capacity(pointer.len());
    for token in pointer.split('/').skip(1) {
        if !param.is_empty() && token.bytes().all(|byte| byte.is_ascii_digit()) {
            param.push('[');
            param.push_str(token);
            param.push(']');
        } else {
            if !param.is_empty() {
                param.push('.');
            }
            param.push_str(&token.replace("~1", "/").replace("~0", "~"));
        }
    }
    param
}

/// The timers of a body: its first byte, from there an average floor after a grace, and the whole of it.
///
/// The timer exists only once a read has to wait; small bodies arrive with their head.
struct Pace<'a> {
    bounds: &'a Bounds,
    started: Instant,
    /// When a read first had to wait for more after the first byte: not sooner, so that a body at hand reads no clock.
    began: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Pace<'_> {
    fn due(&mut self, read: usize) -> Instant {
        let whole = self.started + seconds(self.bounds.body_timeout_s);
        if read == 0 {
            return whole.min(self.started + seconds(self.bounds.body_start_timeout_s));
        }
        let earned = Duration::from_millis(1000 * read as u64 / self.bounds.body_floor_bytes_s.max(1));
        let began = *self.began.get_or_insert_with(Instant::now);
        whole.min(began + seconds(self.bounds.body_grace_s) + earned)
    }

    async fn next<B>(&mut self, mut body: Pin<&mut B>, read: usize) -> Result<Option<Frame<Bytes>>, Problem>
    where
        B: Body<Data = Bytes>,
    {
        poll_fn(|task| {
            if let Poll::Ready(next) = body.as_mut().poll_frame(task) {
                return Poll::Ready(
                    next.transpose()
                        .map_err(|_| Problem::request(400, "incomplete_body", "the body broke off before its end")),
                );
            }
            let due = self.due(read);
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(due)));
            if timer.deadline() != due {
                timer.as_mut().reset(due);
            }
            timer
                .as_mut()
                .poll(task)
                .map(|()| Err(Problem::request(408, "request_timeout", "the body came too slowly")))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_in_crumbs_keeps_its_bytes_and_not_its_crumbs() {
        let mut frames = Frames::default();
        let body: Vec<u8> = (0..=255).cycle().take(300_000).collect();
        for crumb in body.chunks(1) {
            frames.push(Bytes::copy_from_slice(crumb));
        }
        let large = Bytes::from(vec![7; SMALL_FRAME]);
        frames.push(large.clone());
        let kept = frames.finish();
        assert!(kept.len() < FRAMES_AS_THEY_CAME + 8, "{} frames", kept.len());
        assert_eq!(kept.concat(), [&body[..], &large[..]].concat());
    }

    #[test]
    fn a_body_in_few_frames_is_not_copied() {
        let frame = Bytes::from(vec![1; 100]);
        let mut frames = Frames::default();
        frames.push(frame.clone());
        assert_eq!(frames.finish()[0].as_ptr(), frame.as_ptr());
    }
}
