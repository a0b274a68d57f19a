//! The model list, rendered once for each protocol that asks for it at the same address.

use bytes::Bytes;
use fastroute_core::dialects::Dialect;
use fastroute_core::json::quote;

/// Fixed creation time in model lists: clients sort by it, and no provider tells a real one for an alias.
const CREATED_S: u64 = 1_700_000_000;
/// The same.
const CREATED: &str = "2023-11-14T22:13:20Z";

/// See the module.
pub struct Models {
    openai: Bytes,
    anthropic: Bytes,
    gemini: Bytes,
}

impl Models {
    pub(super) fn of<'n>(names: &(impl Iterator<Item = &'n str> + Clone)) -> Self {
        let each = |asks| names.clone().map(|name| one(asks, name)).collect::<Vec<_>>().join(",");
        let id = |name: Option<&str>| name.map_or("null".into(), quoted);
        let (first, last) = (id(names.clone().next()), id(names.clone().last()));
        let openai = format!(r#"{{"object":"list","data":[{}]}}"#, each(Dialect::OpenAiChat));
        let anthropic = format!(
            r#"{{"data":[{}],"has_more":false,"first_id":{first},"last_id":{last}}}"#,
            each(Dialect::AnthropicMessages)
        );
        let gemini = format!(r#"{{"models":[{}]}}"#, each(Dialect::Gemini));
        Self { openai: openai.into(), anthropic: anthropic.into(), gemini: gemini.into() }
    }

    /// In the words of the dialect whose client asks.
    pub fn list(&self, asks: Dialect) -> Bytes {
        match asks {
            Dialect::AnthropicMessages => &self.anthropic,
            Dialect::Gemini => &self.gemini,
            _ => &self.openai,
        }
        .clone()
    }
}

/// The entry of one model.
pub(super) fn one(asks: Dialect, name: &str) -> String {
    let id = quoted(name);
    match asks {
        Dialect::AnthropicMessages => {
            format!(r#"{{"type":"model","id":{id},"display_name":{id},"created_at":"{CREATED}"}}"#)
        }
        Dialect::Gemini => format!(
            r#"{{"name":{},"displayName":{id},"supportedGenerationMethods":["generateContent","streamGenerateContent","countTokens"]}}"#,
            quoted(&format!("models/{name}"))
        ),
        _ => {
            let owner = quoted(name.split_once('/').map_or("fastroute", |(provider, _)| provider));
            format!(r#"{{"id":{id},"object":"model","created":{CREATED_S},"owned_by":{owner}}}"#)
        }
    }
}

fn quoted(text: &str) -> String {
    String::from_utf8_lossy(&quote(text)).into_owned()
}
