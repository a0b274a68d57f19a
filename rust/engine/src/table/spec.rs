//! A table as it is handed in: plain rows with indexes into each other, checked when they are compiled.

use std::collections::HashMap;

use fastroute_core::passes::{Capabilities, OnLoss};
use fastroute_core::quirks::Quirks;
use serde::Deserialize;

use super::known::Known;
use crate::clocks::{Patience, Timeouts};
use crate::credentials::AuthSpec;

/// A table as Python compiles it.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TableSpec {
    pub generation: u64,
    pub providers: Vec<ProviderSpec>,
    pub targets: Vec<TargetSpec>,
    /// Public names. Behind them, in the order of `direct`, stand the routes of `provider/anything`.
    pub routes: Vec<RouteSpec>,
    /// Targets without a model of their own: for each provider, one per key.
    #[serde(default)]
    pub direct: Vec<Vec<u32>>,
    /// Patience of the routes of `direct`.
    #[serde(default)]
    pub patience: Patience,
    /// What those do with what a target cannot be told.
    #[serde(default)]
    pub on_loss: OnLoss,
    /// Name of an endpoint to the model that is meant where a request to it names none.
    #[serde(default)]
    pub endpoints: HashMap<String, String>,
}

/// Not `Debug`: it holds a key.
#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProviderSpec {
    pub name: String,
    /// `http` or `https`; `mock` for the model built into this process.
    pub scheme: String,
    pub host: String,
    pub port: u16,
    /// Path before every endpoint, without a trailing slash.
    pub prefix: String,
    /// Dialect name to endpoint path.
    pub speaks: HashMap<String, String>,
    /// Headers of every request.
    pub headers: Vec<(String, String)>,
    /// Header and value of each key; a request carries the one of its target.
    pub keys: Vec<(String, String)>,
    /// How a request proves who sends it, where that is not by a header of `keys`.
    pub auth: Option<AuthSpec>,
    pub timeouts: Timeouts,
    /// Connections kept warm, per process.
    pub min_idle: u32,
    /// PEM file of extra certificate authorities.
    pub ca_file: Option<String>,
    pub on_client_gone: OnClientGone,
    /// How it departs from the dialects it speaks.
    pub quirks: Quirks,
    /// What is known of its models.
    pub known: Known,
}

/// What becomes of an attempt whose client left.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
pub enum OnClientGone {
    /// Its connection is closed.
    #[default]
    Cancel,
    /// A reply of which content came is read to its end, so that its usage is known; anything else is cancelled.
    Drain,
    /// The same, and an attempt without content is carried to its end, too.
    Finish,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TargetSpec {
    /// Index into `providers`.
    pub provider: usize,
    /// Model name at the provider; `None` passes on what the client wrote after `provider/`.
    pub model: Option<String>,
    /// Tells its key from others on record; never the key.
    #[serde(default)]
    pub key_id: String,
    /// Index into the `keys` of its provider.
    #[serde(default)]
    pub key: Option<usize>,
    /// What is known of the model.
    #[serde(default)]
    pub capabilities: Capabilities,
}

#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RouteSpec {
    pub name: String,
    pub choices: Vec<ChoiceSpec>,
    /// Only `weighted` matters here: the snapshot draws for it. For all others it keeps the decider's last order.
    pub policy: String,
    #[serde(default)]
    pub patience: Patience,
    /// What becomes of what a target cannot be told.
    #[serde(default)]
    pub on_loss: OnLoss,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChoiceSpec {
    pub target: u32,
    #[serde(default = "one")]
    pub weight: u32,
}

fn one() -> u32 {
    1
}
