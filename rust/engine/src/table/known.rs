//! What is known of a provider's models, for requests that name one themselves (`provider/model`).
//!
//! The rule: a model that is configured and one that is merely named are spoken to alike. The surprise: what a model
//! demands is worked out when it is first asked for, since of hundreds that are known a few are used.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use fastroute_core::dialects::Dialect;
use fastroute_core::model_names::spellings;
use fastroute_core::passes::{Capabilities, Demands, OnLoss};
use fastroute_core::quirks::Quirks;
use serde::Deserialize;

/// As it is handed in.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Spec {
    models: Vec<Capabilities>,
    /// Every name that is known, with the place in `models`.
    names: HashMap<Box<str>, usize>,
}

/// See the module.
#[derive(Clone, Default, Deserialize)]
#[serde(from = "Spec")]
pub struct Known(Arc<Spec>);

impl From<Spec> for Known {
    fn from(spec: Spec) -> Self {
        Self(Arc::new(spec))
    }
}

impl Known {
    fn find(&self, model: &str) -> Option<usize> {
        let names = &self.0.names;
        names.get(model).or_else(|| spellings(model).iter().find_map(|name| names.get(&**name))).copied()
    }
}

/// What a target demands, for each thing that may be done with what it lacks.
pub(super) struct Each([Demands; 3]);

impl Each {
    pub(super) fn new(dialect: Dialect, capabilities: &Capabilities, quirks: &Quirks) -> Self {
        Self(
            [OnLoss::Drop, OnLoss::Reject, OnLoss::Emulate]
                .map(|on_loss| Demands::new(dialect, capabilities.clone(), quirks.clone(), on_loss)),
        )
    }

    pub(super) fn of(&self, on_loss: OnLoss) -> &Demands {
        let [drop, reject, emulate] = &self.0;
        match on_loss {
            OnLoss::Drop => drop,
            OnLoss::Reject => reject,
            OnLoss::Emulate => emulate,
        }
    }

    /// Whether a request in its own dialect must be read and written anew; abilities do not matter for that.
    pub(super) fn rewrites(&self, dialect: Dialect) -> bool {
        self.0.iter().any(|demands| demands.rewrites(dialect))
    }
}

/// What each known model of a provider demands in one dialect.
pub(super) struct ByModel {
    known: Known,
    each: Box<[OnceLock<Box<Each>>]>,
}

impl ByModel {
    pub(super) fn new(known: &Known) -> Self {
        Self { known: known.clone(), each: known.0.models.iter().map(|_| OnceLock::new()).collect() }
    }

    /// `None` for a model of which nothing is known.
    pub(super) fn of(&self, model: &str, like: &Demands) -> Option<&Demands> {
        let at = self.known.find(model)?;
        let capabilities = self.known.0.models.get(at)?;
        let each = self.each.get(at)?.get_or_init(|| Box::new(Each::new(like.dialect, capabilities, &like.quirks)));
        Some(each.of(like.on_loss))
    }
}
