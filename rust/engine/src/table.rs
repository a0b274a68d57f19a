//! All routes and targets of one generation, compiled for the request path; immutable and replaced whole.
//!
//! What can be prepared is prepared here: request heads with the key already in them, the model name already quoted,
//! the model list already rendered. An exchange keeps the table it started with (law 8).

mod known;
mod models;
mod names;
mod paths;
mod spec;
mod standing;
mod target;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use arc_swap::ArcSwap;
use bytes::Bytes;
use fastroute_core::dialects::Dialect;
use smallvec::SmallVec;

use crate::budget::Budget;
use crate::clocks::Patience;
use crate::decider::Plan;
use crate::dice::Dice;
use crate::spoken::Spoken;
use crate::upstream::Origin;
use models::Models;
use standing::Standing;

pub(crate) use paths::segments;
pub use spec::{ChoiceSpec, OnClientGone, ProviderSpec, RouteSpec, TableSpec, TargetSpec};
pub use standing::Setbacks;
pub use target::{Head, Kind, Target};

/// Provider and model of the built-in echo target.
pub const ECHO: &str = "mock/echo";

/// Why a table was not taken: `targets[3].provider: …`.
#[derive(Debug, PartialEq, Eq)]
pub struct TableError(pub String);

impl std::fmt::Display for TableError {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str(&self.0)
    }
}

impl std::error::Error for TableError {}

/// After this many failures in a row the snapshot prefers every other target.
const FAILING: u32 = 3;

/// A public model name and what may answer it.
pub struct Route {
    pub name: Arc<str>,
    pub targets: SmallVec<[u32; 4]>,
    weights: SmallVec<[f64; 4]>,
    pub patience: Patience,
    /// One of its targets is a provider's whose attempts are carried on when their client left.
    pub carries_on: bool,
    /// What all exchanges of this route may spend on retries.
    pub budget: Arc<Budget>,
    /// The decider's last order.
    last: ArcSwap<Order>,
    standing: Standing,
}

/// An order of targets, the first `may_lead` of which are in service. Those it leaves out are not to be called.
#[derive(Clone, Debug, PartialEq)]
struct Order {
    targets: SmallVec<[u32; 4]>,
    may_lead: usize,
}

impl Order {
    fn all_may_lead(targets: SmallVec<[u32; 4]>) -> Self {
        Self { may_lead: targets.len(), targets }
    }
}

impl Route {
    fn compile(spec: RouteSpec, targets: &[Target]) -> Result<Self, String> {
        if spec.choices.is_empty() {
            return Err("choices: a route needs at least one target".into());
        }
        if let Some(bad) = spec.choices.iter().find(|choice| choice.target as usize >= targets.len()) {
            return Err(format!("choices: there is no target {}", bad.target));
        }
        let order: SmallVec<[u32; 4]> = spec.choices.iter().map(|choice| choice.target).collect();
        let weights = if spec.policy == "weighted" {
            spec.choices.iter().map(|choice| f64::from(choice.weight)).collect()
        } else {
            SmallVec::new()
        };
        Ok(Self {
            name: spec.name.into(),
            last: ArcSwap::from_pointee(Order::all_may_lead(order.clone())),
            standing: Standing::default(),
            carries_on: carries_on(&order, targets),
            targets: order,
            weights,
            budget: Arc::new(Budget::new(spec.patience.retry_ratio)),
            patience: Patience { on_loss: spec.on_loss, ..spec.patience },
        })
    }

    fn direct(provider: &str, order: &[u32], patience: Patience, targets: &[Target]) -> Self {
        let order: SmallVec<[u32; 4]> = SmallVec::from_slice(order);
        Self {
            name: format!("{provider}/*").into(),
            last: ArcSwap::from_pointee(Order::all_may_lead(order.clone())),
            standing: Standing::default(),
            carries_on: carries_on(&order, targets),
            targets: order,
            weights: SmallVec::new(),
            budget: Arc::new(Budget::new(patience.retry_ratio)),
            patience,
        }
    }

    /// Remembers the order the decider chose. The common case, the same order again, writes nothing.
    /// An order that is none of this route's is not taken over: one bad plan must not become every later one. Nor is one
    /// that was meant for one request: a probe's, or that of a target which comes back slowly.
    pub fn remember(&self, plan: &Plan) {
        let order = plan.targets.as_slice();
        if plan.probe || plan.once || order.is_empty() || order.iter().any(|index| !self.targets.contains(index)) {
            return;
        }
        let (last, may_lead) = (self.last.load(), plan.may_lead.min(order.len()));
        if last.targets.as_slice() != order || last.may_lead != may_lead {
            self.last.store(Arc::new(Order { targets: order.into(), may_lead }));
        }
    }
}

pub struct Table {
    pub generation: u64,
    pub targets: Vec<Target>,
    pub routes: Vec<Route>,
    /// Of the process, so the tables have it in common.
    pub setbacks: Arc<Setbacks>,
    names: HashMap<Arc<str>, u32>,
    /// Pass-through route of a provider, by provider name.
    wildcards: HashMap<Arc<str>, u32>,
    /// `GET /v1/models`, rendered.
    pub models: Models,
    /// The model that stands for all, of an endpoint whose requests may name none.
    endpoints: HashMap<String, String>,
}

impl Table {
    pub fn compile(spec: TableSpec) -> Result<Self, TableError> {
        let origins = spec
            .providers
            .iter()
            .enumerate()
            .map(|(at, provider)| {
                target::origin(provider).map_err(|what| TableError(format!("providers[{at}].{what}")))
            })
            .collect::<Result<Vec<_>, _>>()?;
        let mut targets = Vec::with_capacity(spec.targets.len());
        for (at, target) in spec.targets.iter().enumerate() {
            let (Some(provider), Some(origin)) = (spec.providers.get(target.provider), origins.get(target.provider))
            else {
                return Err(TableError(format!("targets[{at}].provider: there is no provider {}", target.provider)));
            };
            let compiled = target::compile(narrow(at)?, provider, origin.as_ref(), target);
            targets.push(compiled.map_err(|what| TableError(format!("targets[{at}].{what}")))?);
        }
        let mut routes = Vec::with_capacity(spec.routes.len() + spec.direct.len());
        let mut names: HashMap<Arc<str>, u32> = HashMap::with_capacity(spec.routes.len());
        for (at, route) in spec.routes.into_iter().enumerate() {
            let compiled = Route::compile(route, &targets);
            let route = compiled.map_err(|what| TableError(format!("routes[{at}].{what}")))?;
            if names.insert(route.name.clone(), narrow(at)?).is_some() {
                return Err(TableError(format!("routes[{at}].name: `{}` stands twice", route.name)));
            }
            routes.push(route);
        }
        let models = Models::of(&routes.iter().map(|route| &*route.name));
        let mut wildcards = HashMap::with_capacity(spec.direct.len());
        for (at, order) in spec.direct.into_iter().enumerate() {
            if let Some(index) = order.iter().find(|index| **index as usize >= targets.len()) {
                return Err(TableError(format!("direct[{at}]: there is no target {index}")));
            }
            let Some(first) = order.first().and_then(|index| targets.get(*index as usize)) else {
                return Err(TableError(format!("direct[{at}]: a provider needs at least one target")));
            };
            wildcards.insert(first.provider.clone(), narrow(routes.len())?);
            let patience = Patience { on_loss: spec.on_loss, ..spec.patience.clone() };
            routes.push(Route::direct(&first.provider, &order, patience, &targets));
        }
        let setbacks = Arc::default();
        let (generation, endpoints) = (spec.generation, spec.endpoints);
        Ok(Self { generation, targets, routes, setbacks, names, wildcards, models, endpoints })
    }

    /// Routes of the same name and ratio go on with the retry budget they have: a reload must not refill it.
    pub(crate) fn inherit(&mut self, old: &Self) {
        self.setbacks = old.setbacks.clone();
        let known: HashMap<&str, &Arc<Budget>> = old.routes.iter().map(|old| (&*old.name, &old.budget)).collect();
        for route in &mut self.routes {
            if let Some(budget) = known.get(&*route.name).filter(|budget| budget.earns_like(&route.budget)) {
                route.budget = Arc::clone(budget);
            }
        }
    }

    /// The route a model name leads to: a configured name, else `provider/anything`.
    pub fn resolve(&self, model: &str) -> Option<u32> {
        if let Some(route) = self.names.get(model) {
            return Some(*route);
        }
        let (provider, rest) = model.split_once('/')?;
        if rest.is_empty() { None } else { self.wildcards.get(provider).copied() }
    }

    /// The model that is meant by a request to this endpoint that names none.
    pub(crate) fn endpoint(&self, name: &str) -> Option<&str> {
        self.endpoints.get(name).map(String::as_str)
    }

    pub fn route(&self, index: u32) -> Option<&Route> {
        self.routes.get(index as usize)
    }

    pub fn target(&self, index: u32) -> Option<&Target> {
        self.targets.get(index as usize)
    }

    /// The plan that the decider gave for every request of this route, if nothing failed since it was asked.
    pub fn standing(&self, route: u32) -> Option<Plan> {
        self.route(route)?.standing.plan(self.setbacks.count())
    }

    /// Takes in a plan that the decider was asked for when `setbacks` was the count: as the last order of its route, and
    /// where it is for every request as the plan that stands. No count: the decider may not have heard of all of them.
    pub fn remember(&self, plan: &Plan, setbacks: Option<u64>) {
        let Some(route) = self.route(plan.route).filter(|_| plan.generation == self.generation) else { return };
        route.remember(plan);
        if let Some(setbacks) = setbacks.filter(|_| plan.standing) {
            route.standing.set(plan, setbacks);
        }
    }

    /// Leaves those of a plan's targets that have what the client asks for, where some have and some have not.
    pub(crate) fn keep_able(&self, plan: &mut Plan, spoken: &Spoken) {
        let able = |index: u32| self.target(index).is_some_and(|target| target.serves(spoken));
        if plan.targets.iter().all(|index| able(*index)) || !plan.targets.iter().any(|index| able(*index)) {
            return;
        }
        plan.may_lead = plan.targets.iter().take(plan.may_lead).filter(|index| able(**index)).count();
        plan.targets.retain(|index| able(*index));
    }

    /// Where its targets are called.
    pub fn origins(&self) -> impl Iterator<Item = &Arc<Origin>> {
        self.targets.iter().filter_map(|target| match &target.kind {
            Kind::Http(origin) => Some(origin),
            Kind::Echo => None,
        })
    }

    /// The entry of one model for `GET /v1/models/{id}`.
    pub fn model(&self, asks: Dialect, id: &str) -> Option<Bytes> {
        Some(models::one(asks, &self.route(*self.names.get(id)?)?.name).into())
    }

    /// For whoever asked for a model that is not there: the configured names that `id` may be a slip of, nearest first.
    pub fn where_to_look(&self, id: &str) -> String {
        match &names::nearest(id, self.names.keys().map(|name| &**name))[..] {
            [] => "GET /v1/models lists all".to_owned(),
            near => format!("the nearest names are {}", near.join(", ")),
        }
    }

    /// The order the engine itself would choose now: the decider's last one, its lead drawn by weight where the route
    /// has weights; targets that keep failing go last (law 9 holds for it too). Whom the decider left out stays out.
    pub fn snapshot(&self, route: &Route, dice: &Dice) -> SmallVec<[u32; 4]> {
        let last = route.last.load();
        let mut order = last.targets.clone();
        if !route.weights.is_empty()
            && let Some(fit) = order.get_mut(..last.may_lead)
        {
            let weight = |index: &u32| {
                let at = route.targets.iter().position(|target| target == index);
                at.and_then(|at| route.weights.get(at)).copied().unwrap_or_default()
            };
            // As in the table, whatever the last draw was, and a weight of 0 never leads and stands last.
            fit.sort_by_key(|index| (weight(index) == 0.0, route.targets.iter().position(|target| target == index)));
            let mut mark = dice.unit() * fit.iter().map(weight).sum::<f64>();
            let drawn = fit.iter().position(|index| {
                mark -= weight(index);
                mark < 0.0
            });
            if let Some(head) = drawn.and_then(|drawn| fit.get_mut(..=drawn)) {
                head.rotate_right(1);
            }
        }
        order.sort_by_key(|index| {
            self.target(*index).is_some_and(|target| target.failures_in_a_row.load(Ordering::Relaxed) >= FAILING)
        });
        order
    }
}

fn carries_on(order: &[u32], targets: &[Target]) -> bool {
    let finishes =
        |index: &u32| targets.get(*index as usize).is_some_and(|it| it.on_client_gone == OnClientGone::Finish);
    order.iter().any(finishes)
}

fn narrow(at: usize) -> Result<u32, TableError> {
    u32::try_from(at).map_err(|_| TableError("more than 2^32 entries".into()))
}
