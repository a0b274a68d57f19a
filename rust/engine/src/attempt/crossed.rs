//! A request said in another dialect, because its target does not speak the client's, and its reply said back.
//!
//! The rule: all of it belongs to the attempt, so that the next target may speak something else again. What is long is
//! translated on another thread: others wait for this one.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use bytes::Bytes;
use fastroute_core::dialects::message::{Envelope, Wanted};
use fastroute_core::dialects::{Dialect, DialectError};
use fastroute_core::failure::{Failure, Kind, Origin};
use fastroute_core::json::{Field, quote, splice};
use fastroute_core::passes::{Demands, WayBack};
use fastroute_core::relay::{self, Crossing, RelaySpec, ReplyFacts};
use fastroute_core::translate::{self, Address, Frames as Framing, StreamTranslator, Translated};
use fastroute_core::usage::UsageRule;
use hyper::header::{HeaderName, HeaderValue};

use super::Frames;
use crate::ingress::Ingress;

/// Names of what the request said and its target's dialect cannot.
pub(super) const X_DROPPED: HeaderName = HeaderName::from_static("x-fastroute-dropped");
const DROPPED_BYTES: usize = 1024;
/// Room for the number of those that do not fit.
const MORE_BYTES: usize = 24;
/// What is longer is translated on another thread.
const AT_ONCE_BYTES: usize = 128 << 10;

/// What it takes to say the reply back.
#[derive(Clone)]
pub(crate) struct Crossed {
    /// What the target speaks, and what the client reads.
    pub(super) dialects: [Dialect; 2],
    way_back: WayBack,
    include_usage: bool,
    /// The form of vectors.
    wanted: Option<Wanted>,
    model: Box<str>,
    id: Arc<str>,
}

/// Says a request as the target demands it, and names what it could not say; `model` is the target's name for the model,
/// `stream` what it is asked for.
pub(super) async fn request(
    ingress: &Ingress,
    demands: &Demands,
    model: &str,
    stream: bool,
) -> Result<(Frames, Crossed, Option<HeaderValue>), Failure> {
    let (client, target) = (ingress.dialect(), demands.dialect);
    let stream = Some(stream);
    let frames = named(ingress)?;
    let translated = if ingress.scan.bytes > AT_ONCE_BYTES {
        let (frames, demands, model) = (frames.into_owned(), demands.clone(), model.to_owned());
        elsewhere(move || {
            let address = Address { model: Some(&model), stream };
            translate::request(&joined(&frames), client, &demands, address)
        })
        .await?
    } else {
        let address = Address { model: Some(model), stream };
        translate::request(&joined(&frames), client, demands, address)
    };
    let Translated { body, dropped, changed, way_back, include_usage, wanted, .. } =
        translated.map_err(|error| bad(&error))?;
    let crossed = Crossed {
        dialects: [target, client],
        way_back,
        include_usage,
        wanted,
        model: ingress.model().into(),
        id: ingress.request_id.clone(),
    };
    Ok(([body].into_iter().collect(), crossed, listed(&dropped, &changed)))
}

/// The frames with the model in the body, where only the client's address named it and its dialect has it there.
fn named(ingress: &Ingress) -> Result<Cow<'_, [Bytes]>, Failure> {
    let addressed = matches!(ingress.dialect(), Dialect::Gemini | Dialect::GeminiEmbeddings);
    if addressed || ingress.scan.span(Field::Model).is_some() {
        return Ok(Cow::Borrowed(&ingress.frames));
    }
    let edit = ingress.scan.insert(&[("model", quote(ingress.model()))]);
    let spliced = splice(&ingress.frames, &[edit]);
    let frames = spliced.map_err(|_| Failure::new(Kind::Internal).saying("the request could not be edited"))?;
    Ok(Cow::Owned(frames.into_iter().collect()))
}

pub(crate) fn joined(frames: &[Bytes]) -> Bytes {
    match frames {
        [only] => only.clone(),
        several => several.concat().into(),
    }
}

async fn elsewhere<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|_| Failure::new(Kind::Internal))
}

/// The client's mistake: the target was not asked, and other requests do well there.
pub(crate) fn bad(error: &DialectError) -> Failure {
    let mut failure = Failure::at(Kind::BadRequest, Origin::Client).saying(error.to_string());
    failure.code = error.code.unwrap_or(failure.code);
    match &error.param {
        Some(param) => failure.about(param.clone()),
        None => failure,
    }
}

/// A name as a header may hold it: with `?` for what is beyond ASCII.
fn plain(name: &str) -> Cow<'_, str> {
    let fits = |letter: char| matches!(letter, ' '..='~') && letter != ',';
    if name.chars().all(fits) {
        return name.into();
    }
    name.chars().map(|letter| if fits(letter) { letter } else { '?' }).collect::<String>().into()
}

/// A list with more names behind it. To one that was cut only their number is added.
pub(super) fn longer(list: &str, names: &[String]) -> Option<HeaderValue> {
    let known: Vec<_> = list.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let cut = known.last().and_then(|last| last.strip_prefix('+')?.strip_suffix(" more")?.parse::<usize>().ok());
    match (cut, known.split_last()) {
        (Some(more), Some((_, known))) => {
            let more = format!("+{} more", more + names.len());
            HeaderValue::from_str(&known.iter().chain([&more]).map(String::as_str).collect::<Vec<_>>().join(", ")).ok()
        }
        _ => listed(&known, names),
    }
}

/// As many names as fit, each once, and how many more there are.
pub(super) fn listed(dropped: &[String], changed: &[String]) -> Option<HeaderValue> {
    let mut known = HashSet::new();
    let names: Vec<_> = dropped.iter().chain(changed).filter(|name| known.insert(name.as_str())).collect();
    let (mut text, mut told) = (String::new(), 0);
    for name in names.iter().map(|name| plain(name)) {
        if text.len() + name.len() + MORE_BYTES > DROPPED_BYTES {
            break;
        }
        text.push_str(if text.is_empty() { "" } else { ", " });
        text.push_str(&name);
        told += 1;
    }
    if told < names.len() {
        let more = format!("+{} more", names.len() - told);
        text.push_str(if text.is_empty() { "" } else { ", " });
        text.push_str(&more);
    }
    if text.is_empty() { None } else { HeaderValue::from_str(&text).ok() }
}

impl Crossed {
    fn envelope(&self) -> Envelope<'_> {
        Envelope {
            id: &self.id,
            model: &self.model,
            created_s: crate::identity::now_s(),
            include_usage: self.include_usage,
        }
    }

    /// For a reply that is in the client's dialect, and comes in a framing that the client does not read.
    pub(super) fn reframed(ingress: &Ingress) -> Self {
        Self {
            dialects: [ingress.dialect(); 2],
            way_back: WayBack::default(),
            include_usage: true,
            wanted: None,
            model: ingress.model().into(),
            id: ingress.request_id.clone(),
        }
    }

    /// For the stream of this attempt.
    pub(super) fn stream(&self, spec: RelaySpec, content_type: &[u8]) -> Result<Crossing, Failure> {
        let [source, target] = self.dialects;
        let translator = StreamTranslator::new(source, target, self.way_back.clone(), &self.envelope(), spec.limits);
        let translator =
            translator.ok_or_else(|| Failure::new(Kind::Internal).saying("this dialect has no streams"))?;
        let translator = translator.framed(Framing::of_reply(source, content_type, spec.limits));
        Ok(Crossing::new(spec, source, translator))
    }

    /// The whole reply in the client's dialect.
    pub(super) async fn reply(&self, body: Bytes, rule: UsageRule) -> Result<(Bytes, ReplyFacts), Failure> {
        if body.len() <= AT_ONCE_BYTES {
            return relay::cross_reply(&body, self.dialects, rule, &self.way_back, self.wanted, &self.envelope());
        }
        let it = self.clone();
        elsewhere(move || relay::cross_reply(&body, it.dialects, rule, &it.way_back, it.wanted, &it.envelope())).await?
    }

    /// The reply that a whole stream comes to, in the client's dialect.
    pub(super) async fn gathered(&self, body: Bytes, kind: Bytes) -> Result<(Bytes, ReplyFacts), Failure> {
        let it = self.clone();
        let gather = move || relay::gather_reply(&body, &kind, it.dialects, &it.way_back, &it.envelope());
        elsewhere(gather).await?
    }

    /// An error of the upstream's in the client's dialect.
    pub(super) fn error(&self, body: &[u8], status: u16) -> Bytes {
        let [source, target] = self.dialects;
        translate::error(body, source, target, status, &self.id).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_of_names_that_is_cut_says_how_many_more_there_are() {
        let names: Vec<String> = (0..200).map(|at| format!("messages[{at}].name")).collect();
        let list = listed(&names, &["seed".to_owned(), names[0].clone()]).unwrap();
        let list = list.to_str().unwrap();
        assert!(list.len() <= DROPPED_BYTES, "{}", list.len());
        let told: Vec<_> = list.split(", ").collect();
        let (more, told) = told.split_last().unwrap();
        assert_eq!(*more, format!("+{} more", 201 - told.len()));
        assert_eq!(told, &names[..told.len()]);
        assert_eq!(listed(&names[..2], &names[..1]).unwrap(), "messages[0].name, messages[1].name");
        assert_eq!(listed(&["x".repeat(2000)], &[]).unwrap(), "+1 more");
        assert_eq!(longer("seed, +2 more", &names[..3]).unwrap(), "seed, +5 more");
        assert_eq!(longer("seed", &["citations".to_owned()]).unwrap(), "seed, citations");
        assert_eq!(longer("", &["citations".to_owned()]).unwrap(), "citations");
        assert_eq!(listed(&[], &[]), None);
    }
}
