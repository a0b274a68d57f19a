//! Who may not be called now, as far as answers have said so: known here before the decider has heard of it.
//!
//! The rule: while the decider is late nobody is called who may not be, even if the request must then be refused. Plans of
//! the decider's do not look here: it knows better, and sends the probes. There is one thing that it cannot know, which
//! model a key may not call at a provider that is asked for whatever a client names. The surprise: rests are the first of
//! each kind as health has them (`python/fastroute/health/`); what follows them only the decider knows.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use fastroute_core::failure::{Failure, Kind};
use smallvec::SmallVec;
use tokio::time::Instant;

use crate::decider::{Plan, Refusal};
use crate::ingress::Ingress;
use crate::table::{Table, Target};

/// A limit that does not say how long it holds, and the longest wait that is honoured.
const LIMIT: Duration = Duration::from_secs(5);
const LIMIT_CAP: Duration = Duration::from_secs(300);
/// A refused key, and one that may not call a model.
const REFUSED: Duration = Duration::from_secs(60);
/// A used-up account that says nothing, the least time between two tries of one, and the most that it is taken for.
const USED_UP: Duration = Duration::from_secs(3_600);
const USED_UP_LEAST: Duration = Duration::from_secs(900);
const USED_UP_CAP: Duration = Duration::from_secs(86_400);

/// As many models of clients' naming are kept in mind.
const STRANGERS: usize = 1_000;

/// A key of a provider, for all its models or for one. Known by names and not by places, so that it outlives a reload;
/// another key has another digest.
#[derive(Debug, PartialEq, Eq, Hash)]
struct Who {
    provider: Arc<str>,
    key: Arc<str>,
    model: Option<Box<str>>,
}

#[derive(Clone, Copy, Debug)]
struct Bar {
    since: Instant,
    until: Instant,
    kind: Kind,
}

/// See the module. Bounded by the number of targets and by [`STRANGERS`]; what is over is forgotten when more is added.
#[derive(Debug, Default)]
pub struct Bars {
    any: AtomicBool,
    known: Mutex<HashMap<Who, Bar>>,
}

fn key(target: &Target) -> Who {
    Who { provider: target.provider.clone(), key: target.key_id.clone(), model: None }
}

/// `asked`: the model as the client names it.
fn model(target: &Target, asked: &str) -> Who {
    let named = || asked.split_once('/').map_or(asked, |(_, rest)| rest).into();
    Who { model: Some(target.name.clone().unwrap_or_else(named)), ..key(target) }
}

impl Bars {
    fn known(&self) -> MutexGuard<'_, HashMap<Who, Bar>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt failed.
    pub(crate) fn failed(&self, target: &Target, ingress: &Ingress, failure: &Failure, now: Instant) {
        let asked = ingress.model();
        let said = failure.retry_after_ms.map(Duration::from_millis);
        let (who, rest) = match failure.kind {
            // Without a key there is none to bar; and a limit of one model of many only has its provider stand by.
            Kind::Auth | Kind::Quota if target.key.1.is_none() => return,
            Kind::RateLimited if target.name.is_none() => return,
            // Of a request that is passed on unread, which may name no model.
            Kind::Forbidden if target.name.is_none() && ingress.spoken.opaque.is_some() => return,
            Kind::RateLimited => (model(target, asked), said.unwrap_or(LIMIT).min(LIMIT_CAP)),
            Kind::Forbidden => (model(target, asked), REFUSED),
            Kind::Auth => (key(target), REFUSED),
            Kind::Quota => (key(target), said.unwrap_or(USED_UP).clamp(USED_UP_LEAST, USED_UP_CAP)),
            _ => return,
        };
        let mut known = self.known();
        known.retain(|_, bar| bar.until > now);
        if target.name.is_some() || who.model.is_none() || known.len() < STRANGERS {
            known.insert(who, Bar { since: now, until: now + rest, kind: failure.kind });
        }
        self.any.store(!known.is_empty(), Ordering::Release);
    }

    /// An attempt that began then shows content: what was refused before is taken again. A limit is over when it says so.
    pub(crate) fn answered(&self, target: &Target, asked: &str, began: Instant) {
        if !self.any.load(Ordering::Acquire) {
            return;
        }
        let mut known = self.known();
        for who in [model(target, asked), key(target)] {
            if known.get(&who).is_some_and(|bar| bar.kind != Kind::RateLimited && bar.since <= began) {
                known.remove(&who);
            }
        }
        self.any.store(!known.is_empty(), Ordering::Release);
    }

    /// Takes out of an order of the engine's whom nobody may call now; a refusal where that is everybody.
    pub(crate) fn keep_out(
        &self,
        table: &Table,
        order: &mut SmallVec<[u32; 4]>,
        asked: &str,
        now: Instant,
    ) -> Result<(), Refusal> {
        self.without(order, |known, index| {
            let target = table.target(index)?;
            let bars = [model(target, asked), key(target)].map(|who| known.get(&who).copied());
            bars.into_iter().flatten().filter(|bar| bar.until > now).max_by_key(|bar| bar.until)
        })
        .map_err(|bars| refusal(&bars, now))
    }

    /// Takes out of a plan of the decider's who may not be called for this model, where it cannot know.
    pub(crate) fn keep_out_of_plan(
        &self,
        table: &Table,
        plan: &mut Plan,
        asked: &str,
        now: Instant,
    ) -> Result<(), Refusal> {
        let mut leading = 0;
        let (lead, mut at) = (plan.may_lead, 0);
        let kept = self.without(&mut plan.targets, |known, index| {
            let stranger = table.target(index).filter(|target| target.name.is_none());
            let bar = stranger.and_then(|target| known.get(&model(target, asked)));
            let bar = bar.filter(|bar| bar.kind == Kind::Forbidden && bar.until > now).copied();
            leading += usize::from(bar.is_none() && at < lead);
            at += 1;
            bar
        });
        if at > 0 {
            plan.may_lead = leading;
        }
        kept.map_err(|bars| refusal(&bars, now))
    }

    /// Takes out whom a bar keeps out; the bars, where that is everybody.
    fn without(
        &self,
        order: &mut SmallVec<[u32; 4]>,
        mut bar_of: impl FnMut(&HashMap<Who, Bar>, u32) -> Option<Bar>,
    ) -> Result<(), Vec<Bar>> {
        if !self.any.load(Ordering::Acquire) {
            return Ok(());
        }
        let known = self.known();
        let mut bars = Vec::new();
        order.retain(|index| {
            let bar = bar_of(&known, *index);
            bars.extend(bar);
            bar.is_none()
        });
        if order.is_empty() && !bars.is_empty() { Err(bars) } else { Ok(()) }
    }
}

/// As the decider would say it: when the first of them comes back, where waiting helps.
fn refusal(bars: &[Bar], now: Instant) -> Refusal {
    let all = |kind| bars.iter().all(|bar| bar.kind == kind);
    if bars.iter().any(|bar| bar.kind == Kind::RateLimited) {
        let first = bars.iter().map(|bar| bar.until).min().unwrap_or(now);
        let wait = first.saturating_duration_since(now).as_millis().div_ceil(1000);
        let wait_s = u32::try_from(wait).unwrap_or(u32::MAX).max(1);
        let message =
            format!("every provider of this model is at its rate limit; the first takes requests again in {wait_s} s");
        return told(429, "rate_limit_exceeded", &message, Some(wait_s));
    }
    let (status, code, whose) = if all(Kind::Quota) {
        (503, "provider_quota", "the accounts of this gateway with the providers of this model are used up")
    } else {
        (502, "provider_auth", "the providers of this model refuse the keys of this gateway")
    };
    told(status, code, &format!("{whose}; only its operator can mend that"), None)
}

fn told(status: u16, code: &str, message: &str, retry_after_s: Option<u32>) -> Refusal {
    Refusal { status, code: code.into(), message: message.into(), param: None, retry_after_s }
}
