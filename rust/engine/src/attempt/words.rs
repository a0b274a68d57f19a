//! A request in the words of one target, found before anyone is asked.
//!
//! The rule: a target that has no words for a request was not tried. Nothing is on record of it, nothing is paid for it,
//! and nobody is blamed; another target may well have them.

use fastroute_core::dialects::{Dialect, Family};
use fastroute_core::failure::{Failure, Kind as Fault, Origin};
use fastroute_core::json::{member, splice};
use fastroute_core::passes::{self, OnLoss};
use hyper::header::HeaderValue;
use hyper::http::uri::PathAndQuery;

use super::crossed::{self, Crossed, longer};
use super::request::{addressed, edited, model_of};
use super::{Frames, joined};
use crate::clocks::Patience;
use crate::count;
use crate::ingress::Ingress;
use crate::opaque::{Opaque, Passing};
use crate::spoken::Lost;
use crate::table::{Head, Kind, Target};

/// What stands for the model where the table names a provider alone.
const ANY: &str = "*";

/// See the module.
pub(crate) struct Words<'t> {
    pub(super) head: &'t Head,
    pub(super) path: PathAndQuery,
    pub(super) frames: Frames,
    /// What says the reply back, where the client reads another dialect.
    pub(super) crossed: Option<Box<Crossed>>,
    /// Names of what the target is not told.
    pub(super) dropped: Option<HeaderValue>,
    /// Asked as a stream and put together again, where the target answers no other way.
    pub(super) gathers: bool,
}

/// The client's mistake: the target was not asked, and other requests do well there.
fn not_served(target: &Target) -> Failure {
    let message = format!("{} does not serve this endpoint", target.provider);
    Failure::at(Fault::NotFound, Origin::Client).saying(message)
}

fn no_address() -> Failure {
    Failure::at(Fault::NotFound, Origin::Client).saying("the model's name makes no address").about("model")
}

/// Whether it can be told in the client's own words, but for edits.
fn is_same(head: &Head, ingress: &Ingress) -> bool {
    let marked = || passes::holds_marks(ingress.frames.iter().map(AsRef::as_ref));
    head.dialect == ingress.dialect() && !head.rewrites && !marked()
}

/// The request as this target is to be told it; `None` for one that is answered in this process.
pub(crate) async fn words<'t>(
    target: &'t Target,
    ingress: &Ingress,
    patience: &Patience,
) -> Result<Option<Words<'t>>, Failure> {
    if matches!(target.kind, Kind::Echo) {
        return if ingress.spoken.opaque.is_some() { Err(not_served(target)) } else { Ok(None) };
    }
    if let Some(passing) = &ingress.spoken.opaque {
        return passed(target, ingress, passing).map(Some);
    }
    let Some(head) = target.head(ingress.dialect(), || ingress.said()) else { return Err(not_served(target)) };
    let demands = head.demands_of(model_of(ingress, target), patience.on_loss);
    if let Some(lost) = &ingress.spoken.lost
        && let Some(first) = lost.dropped.first()
        && demands.on_loss == OnLoss::Reject
    {
        let message = format!("{first}: cannot be said in chat");
        return Err(Failure::at(Fault::BadRequest, Origin::Client).saying(message).about(first.clone()));
    }
    let gathers = !ingress.stream() && head.dialect.family() == Family::Chat && demands.stream_only();
    let (frames, crossed, dropped) = if is_same(head, ingress) && !gathers {
        let (frames, dropped) = edited(ingress, target, demands)?;
        (frames, None, dropped)
    } else {
        // Boxed, like all that only a request in other words needs.
        let stream = ingress.stream() || gathers;
        let told = crossed::request(ingress, demands, model_of(ingress, target), stream);
        let (frames, crossed, dropped) = Box::pin(told).await?;
        (frames, Some(Box::new(crossed)), dropped)
    };
    let frames = match head.host {
        Some(host) => addressed(ingress, &frames, head.dialect, host)?,
        None => frames,
    };
    let path = path(head, target, ingress, &frames, gathers).ok_or_else(no_address)?;
    let dropped = match &ingress.spoken.lost {
        Some(lost) => behind(lost, dropped.as_ref()),
        None => dropped,
    };
    Ok(Some(Words { head, path, frames, crossed, dropped, gathers }))
}

/// The names of what a target is not told, and behind them those of what was lost before any was looked at.
fn behind(lost: &Lost, dropped: Option<&HeaderValue>) -> Option<HeaderValue> {
    let names: Vec<String> = lost.dropped.iter().chain(&lost.changed).cloned().collect();
    longer(dropped.and_then(|dropped| dropped.to_str().ok()).unwrap_or_default(), &names)
}

fn path(head: &Head, target: &Target, ingress: &Ingress, frames: &Frames, gathers: bool) -> Option<PathAndQuery> {
    let query = ingress.spoken.query.as_deref().filter(|_| head.dialect == ingress.dialect());
    // Gemini has one address for a text and another one for many.
    let other = match head.dialect {
        Dialect::GeminiEmbeddings => member(&joined(frames), "requests").is_some(),
        _ => ingress.stream() || gathers,
    };
    head.paths.of(model_of(ingress, target), other, query)
}

/// The same of a request that is passed on unread.
fn passed<'t>(target: &'t Target, ingress: &Ingress, passing: &Passing) -> Result<Words<'t>, Failure> {
    let query = ingress.spoken.query.as_deref();
    // Where nobody named one, a provider asked for whatever it likes best is told none.
    let model = Some(model_of(ingress, target)).filter(|model| !passing.unnamed || *model != ANY);
    let Some((head, path)) = target.passage(passing, model.unwrap_or_default(), query) else {
        return Err(not_served(target));
    };
    let path = path.ok_or_else(no_address)?;
    let edit = model.and_then(|model| {
        let inside = passing.endpoint == Opaque::GeminiTokens;
        let inside = inside.then(|| count::renamed_inside(&ingress.frames, model)).flatten();
        inside.or_else(|| passing.rename(&ingress.scan, model))
    });
    let frames = splice(&ingress.frames, edit.as_slice());
    let frames = frames.map_err(|_| Failure::new(Fault::Internal).saying("the request could not be edited"))?;
    let frames = frames.into_iter().collect();
    Ok(Words { head, path, frames, crossed: None, dropped: None, gathers: false })
}
