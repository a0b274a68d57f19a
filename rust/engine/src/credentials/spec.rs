//! A provider's way to prove who is asking, as it is handed in with a table.

use serde::Deserialize;

/// Not `Debug`: it holds keys.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum AuthSpec {
    /// Each key of the provider goes into the query, under the name that is otherwise its header's.
    Query,
    #[serde(rename = "aws_sigv4")]
    AwsSigv4 {
        region: String,
        service: String,
        access_key_id: String,
        secret_access_key: String,
        session_token: Option<String>,
    },
    /// A bearer token that is fetched and kept.
    Token(TokenSpec),
}

/// Where a token comes from, and by what.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenSpec {
    pub at: EndpointSpec,
    pub by: GrantSpec,
}

/// The URL of a token endpoint.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EndpointSpec {
    /// `http` or `https`.
    pub scheme: String,
    pub host: String,
    pub port: u16,
    /// With its query, if it has one.
    pub path: String,
}

/// What a token endpoint is shown.
#[derive(Deserialize)]
#[serde(tag = "grant", rename_all = "snake_case", deny_unknown_fields)]
pub enum GrantSpec {
    GoogleServiceAccount {
        client_email: String,
        private_key_id: Option<String>,
        /// PEM.
        private_key: String,
        audience: String,
        scope: String,
    },
    /// Nothing: it knows the machine that asks.
    GoogleMetadata,
    AzureEntra {
        client_id: String,
        client_secret: String,
        scope: String,
    },
}
