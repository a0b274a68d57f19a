//! Keeps one token: fetches it when it is first wanted, and another in good time before it expires.
//!
//! The rule: one fetch at a time, whoever wants it; while a token is good nobody waits, and one that could not be
//! replaced is used until its end. The surprise: nobody watches the clock. A request that finds the token old has the
//! next one fetched, so a provider that is not called is not asked for tokens either.

use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwapOption;
use fastroute_core::auth::{Token, sha256};
use fastroute_core::failure::{Failure, Kind, Retry};
use hyper::header::HeaderValue;
use smallvec::SmallVec;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use super::fetch::{Endpoint, FetchError, Grant};
use super::spec::{EndpointSpec, GrantSpec, TokenSpec};
use crate::clocks::Due;
use crate::defect;
use crate::dice::Dice;
use crate::io::Io;
use crate::table::ProviderSpec;

/// A token is replaced when this much of its life is over, give or take: early enough for many tries, and not all
/// gateways at once.
const REFRESH_AFTER: f64 = 0.75;
const REFRESH_SPREAD: f64 = 0.1;
/// A token is not used in the last part of its life: a request takes a while to arrive, and clocks differ.
const MARGIN: Duration = Duration::from_secs(30);
/// One that is no good any more when it comes is used for as long, so that it is not fetched again at once.
const SHORTEST: Duration = Duration::from_secs(1);
/// After a failure, doubled with each further one and at half of it or more.
const BACKOFF: Duration = Duration::from_secs(1);
const BACKOFF_CAP: Duration = Duration::from_secs(60);
/// A token that a provider refuses is replaced only at this age: whatever it was refused for, a new one is no cure.
const TRUSTED: Duration = Duration::from_secs(30);

/// All keepers of this process, by a digest of everything that makes them what they are.
static KEEPERS: LazyLock<Mutex<HashMap<[u8; 32], Weak<Keeper>>>> = LazyLock::new(Mutex::default);

/// The keeper of this token: the one there is already while some table has it, else a new one. Errors name the field.
pub(super) fn of(provider: &ProviderSpec, spec: &TokenSpec) -> Result<Arc<Keeper>, String> {
    let endpoint = Endpoint::new(provider, &spec.at).map_err(|what| format!("at.{what}"))?;
    let name = identity(&endpoint, spec);
    let mut keepers = KEEPERS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = keepers.get(&name).and_then(Weak::upgrade) {
        return Ok(known);
    }
    let grant = Grant::new(&spec.by)?;
    let keeper = Arc::new(Keeper {
        provider: provider.name.as_str().into(),
        endpoint,
        grant,
        held: ArcSwapOption::empty(),
        state: Mutex::new(State::new()),
        landed: watch::Sender::new(()),
    });
    keepers.retain(|_, keeper| keeper.strong_count() > 0);
    keepers.insert(name, Arc::downgrade(&keeper));
    Ok(keeper)
}

fn identity(endpoint: &Endpoint, spec: &TokenSpec) -> [u8; 32] {
    let TokenSpec { at: EndpointSpec { scheme, host, port, path }, by } = spec;
    let (port, place) = (port.to_string(), endpoint.place().to_string());
    let mut parts: SmallVec<[&str; 12]> = SmallVec::from_slice(&[&**scheme, &**host, &port, &**path, &place]);
    match by {
        GrantSpec::GoogleServiceAccount { client_email, private_key_id, private_key, audience, scope } => {
            let id = private_key_id.as_deref().unwrap_or_default();
            parts.extend(["service account", client_email, id, private_key, audience, scope]);
        }
        GrantSpec::GoogleMetadata => parts.push("metadata"),
        GrantSpec::AzureEntra { client_id, client_secret, scope } => {
            parts.extend(["entra", client_id, client_secret, scope]);
        }
    }
    // Where a part ends is part of the digest.
    sha256(parts.iter().flat_map(|part| [part.as_bytes(), &[0]]))
}

/// See the module.
pub(crate) struct Keeper {
    /// The first provider that wanted it, for whoever reads the log.
    provider: Box<str>,
    endpoint: Endpoint,
    grant: Grant,
    held: ArcSwapOption<Held>,
    state: Mutex<State>,
    /// Changes whenever a fetch is over.
    landed: watch::Sender<()>,
}

/// A token in use.
struct Held {
    bearer: HeaderValue,
    text: Box<str>,
    /// The token before it: requests that carry that one may still be answered.
    previous: Option<Box<str>>,
    since: Instant,
    refresh: Instant,
    expires: Instant,
}

struct State {
    /// A fetch is under way.
    flying: bool,
    /// Since the last success.
    failures: u32,
    /// No fetch begins before this.
    not_before: Instant,
    /// The last one was told no: what it was shown is wrong, and only an operator can mend that.
    refused: bool,
}

impl State {
    fn new() -> Self {
        Self { flying: false, failures: 0, not_before: Instant::now(), refused: false }
    }
}

/// What a request that needs the token does.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Go,
    /// The same, and it begins a fetch for those that come later.
    GoAndFetch,
    FetchAndWait,
    Wait,
    /// There is no token, and it is too early to ask again.
    Fail,
}

impl Keeper {
    /// Waits, within the attempt's time, until there is a token.
    pub(super) async fn ready(self: &Arc<Self>, io: &Arc<Io>, due: Due) -> Result<(), Failure> {
        if self.held.load().as_ref().is_some_and(|held| due.began < held.refresh) {
            return Ok(());
        }
        // Boxed: a request in an hour comes here.
        Box::pin(self.obtained(io, due)).await
    }

    async fn obtained(self: &Arc<Self>, io: &Arc<Io>, due: Due) -> Result<(), Failure> {
        loop {
            // Before looking, so that no landing goes by unseen.
            let mut landed = self.landed.subscribe();
            match self.step(Instant::now()) {
                Step::Go => return Ok(()),
                Step::GoAndFetch => {
                    self.fly(io);
                    return Ok(());
                }
                Step::Fail => return Err(no_token(self.lock().refused)),
                Step::FetchAndWait => self.fly(io),
                Step::Wait => {}
            }
            // The sender is ours, so the channel does not close.
            let _ = timeout_at(due.by, landed.changed()).await.map_err(|_| due.missed())?;
        }
    }

    fn step(&self, now: Instant) -> Step {
        let held = self.held.load();
        let mut state = self.lock();
        let may_fetch = !state.flying && now >= state.not_before;
        let step = match held.as_ref().filter(|held| now < held.expires) {
            Some(held) if now >= held.refresh && may_fetch => Step::GoAndFetch,
            Some(_) => Step::Go,
            None if state.flying => Step::Wait,
            None if may_fetch => Step::FetchAndWait,
            None => Step::Fail,
        };
        state.flying |= matches!(step, Step::GoAndFetch | Step::FetchAndWait);
        step
    }

    /// Fetches, on the thread of whoever found it necessary; that one may leave, the fetch goes on.
    fn fly(self: &Arc<Self>, io: &Arc<Io>) {
        let (mut flight, io) = (Flight { keeper: self.clone(), dice: io.shared.dice.clone() }, io.clone());
        tokio::spawn(async move {
            let keeper = flight.keeper.clone();
            let pool = io.pools.of(keeper.endpoint.origin());
            let fetch = keeper.endpoint.fetch(&keeper.grant, &pool, SystemTime::now());
            match defect::outlived(Box::pin(fetch)).await {
                Some(fetched) => flight.over(fetched),
                None => io.shared.metrics.defects.note(),
            }
        });
    }

    fn took(&self, token: Token, now: Instant, dice: &Dice) {
        let Ok(mut bearer) = HeaderValue::from_str(&format!("Bearer {}", token.text)) else { return };
        bearer.set_sensitive(true);
        let lifetime = Duration::from_secs(token.lifetime_s);
        let usable = lifetime.saturating_sub(MARGIN.min(lifetime / 10)).max(SHORTEST);
        let refresh = lifetime.mul_f64(REFRESH_AFTER + REFRESH_SPREAD * dice.unit()).min(usable);
        let before = self.held.load();
        // A metadata server gives the same token again while it has some life left.
        let previous = before.as_ref().map(|held| held.text.clone()).filter(|text| *text != token.text);
        let previous = previous.or_else(|| before.as_ref().and_then(|held| held.previous.clone()));
        let held =
            Held { bearer, text: token.text, previous, since: now, refresh: now + refresh, expires: now + usable };
        self.held.store(Some(Arc::new(held)));
    }

    /// A provider refused the token: whoever comes next waits for another.
    pub(super) fn doubt(&self) {
        let held = self.held.load_full();
        let now = Instant::now();
        if let Some(held) = held.filter(|held| now >= held.since + TRUSTED && now < held.expires) {
            let Held { bearer, text, previous, since, .. } = &*held;
            let (bearer, text, previous, since) = (bearer.clone(), text.clone(), previous.clone(), *since);
            // Kept for what it must not be quoted in, and good for nothing else.
            let doubted = Held { bearer, text, previous, since, refresh: now, expires: now };
            self.held.compare_and_swap(&held, Some(Arc::new(doubted)));
        }
    }

    /// The `authorization` header.
    pub(super) fn bearer(&self) -> Option<HeaderValue> {
        self.held.load().as_ref().map(|held| held.bearer.clone())
    }

    /// Tokens that an upstream may know.
    pub(super) fn secrets(&self) -> SmallVec<[Box<[u8]>; 2]> {
        let held = self.held.load();
        let texts = held.iter().flat_map(|held| [Some(&held.text), held.previous.as_ref()]).flatten();
        texts.map(|text| text.as_bytes().into()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A fetch under way. One that is dropped unfinished, by a defect or with its thread, has failed.
struct Flight {
    keeper: Arc<Keeper>,
    dice: Arc<Dice>,
}

impl Flight {
    fn over(&mut self, fetched: Result<Token, FetchError>) {
        match fetched {
            Ok(token) => {
                self.keeper.took(token, Instant::now(), &self.dice);
                let mut state = self.keeper.lock();
                if state.failures > 0 {
                    tell(&self.keeper.provider, "has a token again");
                }
                *state = State::new();
            }
            Err(error) => {
                let mut state = self.keeper.lock();
                state.refused = error.is_refusal();
                if state.failures == 0 {
                    tell(&self.keeper.provider, &format!("got no token: its token endpoint {error}"));
                }
            }
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        let mut state = self.keeper.lock();
        if state.flying {
            let cap = BACKOFF.saturating_mul(1 << state.failures.min(16)).min(BACKOFF_CAP);
            state.flying = false;
            state.failures = state.failures.saturating_add(1);
            state.not_before = Instant::now() + cap.mul_f64(0.5 + 0.5 * self.dice.unit());
        }
        drop(state);
        self.keeper.landed.send_replace(());
    }
}

/// For the operator. It quotes nothing.
fn tell(provider: &str, what: &str) {
    defect::say(format!("provider {provider} {what}"));
}

/// A client is told the same in both cases; the reason is the operator's. An endpoint in trouble is a way to the
/// provider that is closed for a while. A refusal is a key that is out, and rests for longer.
fn no_token(refused: bool) -> Failure {
    let out = Failure::new(Kind::Auth);
    let failure = if refused {
        out
    } else {
        let Failure { status, code, .. } = out;
        Failure { status, code, retry: Retry::Elsewhere, ..Failure::new(Kind::Refused) }
    };
    failure.saying("The gateway could not get a token for the provider. Only the gateway's operator can mend that.")
}
