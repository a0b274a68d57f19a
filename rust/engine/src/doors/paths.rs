//! From a method and a path to what is asked for. Every dialect has its addresses, and SDKs put different roots before them.

use std::borrow::Cow;

use fastroute_core::dialects::Dialect;
use hyper::Method;

use crate::opaque::{Opaque, Passing};
use crate::spoken::{Spoken, Task};

/// What a method and path ask for.
#[derive(Debug, PartialEq, Eq)]
pub enum Endpoint<'a> {
    /// A model is to answer.
    Generate(Spoken),
    /// In the words of the dialect whose client asks.
    Models(Dialect),
    /// One model; ids contain slashes.
    Model(Dialect, &'a str),
    /// Clients that find no WebSocket here go on without one, at once where they are told by this status.
    NoUpgrade,
    Live,
    Ready,
    /// The path exists, the method does not.
    NotAllowed(&'static str),
    Unknown,
}

/// Reads a path that was [`decoded`] once; nothing is rebuilt from `host`.
pub fn endpoint<'a>(method: &Method, path: &'a str, hints: Hints) -> Endpoint<'a> {
    let bare = without_prefix(path);
    let by_body = |dialect| (Endpoint::Generate(Spoken::by_body(dialect)), "POST");
    let counted = |dialect| {
        let spoken = Spoken { task: Task::Count, ..Spoken::by_body(dialect) };
        (Endpoint::Generate(spoken), "POST")
    };
    let (found, allowed) = match bare {
        "/responses" if hints.upgrade && method == Method::GET => (Endpoint::NoUpgrade, "GET"),
        "/messages/count_tokens" => counted(Dialect::AnthropicMessages),
        "/responses/input_tokens" => counted(Dialect::OpenAiResponses),
        "/chat/completions" => by_body(Dialect::OpenAiChat),
        "/completions" => by_body(Dialect::OpenAiCompletions),
        "/embeddings" => by_body(Dialect::OpenAiEmbeddings),
        "/chat" if path.starts_with("/v2/") => by_body(Dialect::CohereV2),
        "/embed" if path.starts_with("/v2/") => by_body(Dialect::CohereEmbeddings),
        "/rerank" => by_body(Dialect::Rerank),
        "/messages" => by_body(Dialect::AnthropicMessages),
        "/responses" => by_body(Dialect::OpenAiResponses),
        "/models" => (Endpoint::Models(hints.asks), "GET"),
        "/livez" | "/healthz" => (Endpoint::Live, "GET"),
        "/readyz" => (Endpoint::Ready, "GET"),
        _ => match (bare.strip_prefix("/models/"), bare.strip_prefix("/deployments/")) {
            (Some(id), _) if !id.is_empty() => generated(id).unwrap_or((Endpoint::Model(hints.asks, id), "GET")),
            (_, Some(rest)) => match deployed(rest) {
                Some(spoken) => (Endpoint::Generate(spoken), "POST"),
                None => return Endpoint::Unknown,
            },
            _ => match Passing::at(method, bare)
                .filter(|_| hints.asks == Dialect::OpenAiChat && !path.starts_with("/v2/"))
            {
                Some(Ok(passing)) => return Endpoint::Generate(Spoken::passing(passing)),
                Some(Err(allowed)) => return Endpoint::NotAllowed(allowed),
                // A model with a slash in its name, as some clients ask Gemini for it.
                None => match bare.strip_prefix('/').and_then(generated) {
                    Some(found) => found,
                    None => return Endpoint::Unknown,
                },
            },
        },
    };
    let fits = method.as_str() == allowed || (allowed == "GET" && method == Method::HEAD);
    if fits { found } else { Endpoint::NotAllowed(allowed) }
}

/// Versions, and the roots that SDKs of several providers are given, mean nothing here: the rest says it all.
fn without_prefix(path: &str) -> &str {
    let cut = |path: &'_ str, prefix: &str| -> Option<usize> {
        path.strip_prefix(prefix).filter(|rest| rest.starts_with('/')).map(|_| prefix.len())
    };
    let rooted = ["/openai", "/anthropic"].iter().find_map(|root| cut(path, root)).unwrap_or(0);
    let path = path.get(rooted..).unwrap_or(path);
    let versioned = ["/v1", "/v1beta", "/v2"].iter().find_map(|version| cut(path, version)).unwrap_or(0);
    path.get(versioned..).unwrap_or(path)
}

/// Gemini's addresses: `/models/MODEL:generateContent`.
fn generated(id: &str) -> Option<(Endpoint<'_>, &'static str)> {
    let (model, method) = id.rsplit_once(':')?;
    let (stream, task) = match method {
        "generateContent" => (false, Task::Answer),
        "streamGenerateContent" => (true, Task::Answer),
        "countTokens" => (false, Task::Count),
        "embedContent" | "batchEmbedContents" => {
            let spoken = Spoken { model: Some(model.into()), ..Spoken::by_body(Dialect::GeminiEmbeddings) };
            return Some((Endpoint::Generate(spoken), "POST"));
        }
        _ => return None,
    };
    let model = Some(model.into());
    let spoken = Spoken { model, stream: Some(stream), task, ..Spoken::by_body(Dialect::Gemini) };
    Some((Endpoint::Generate(spoken), "POST"))
}

/// Azure's addresses: `/deployments/MODEL/chat/completions`.
fn deployed(rest: &str) -> Option<Spoken> {
    let of = |dialect, model: &str| Spoken { model: Some(model.into()), ..Spoken::by_body(dialect) };
    let chat = rest.strip_suffix("/chat/completions").map(|model| of(Dialect::OpenAiChat, model));
    let found = chat.or_else(|| Some(of(Dialect::OpenAiCompletions, rest.strip_suffix("/completions")?)));
    let found = found.or_else(|| Some(of(Dialect::OpenAiEmbeddings, rest.strip_suffix("/embeddings")?)));
    let found = found.or_else(|| {
        let (endpoint, model) = Opaque::of_deployment(rest)?;
        let passing = Passing::of(&Method::POST, endpoint, "")?.ok()?;
        Some(Spoken { model: Some(model.into()), ..Spoken::passing(passing) })
    });
    found.filter(|spoken| spoken.model.as_deref().is_some_and(|model| !model.is_empty()))
}

/// What the head of a request says beside its method and path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hints {
    /// Whose client it is that asks for what has one address in all dialects.
    pub asks: Dialect,
    /// It wants a WebSocket.
    pub upgrade: bool,
}

impl Default for Hints {
    fn default() -> Self {
        Self { asks: Dialect::OpenAiChat, upgrade: false }
    }
}

impl Hints {
    /// `has` tells whether the head has a header of this name; it is asked only where that matters.
    pub fn of(path: &str, has: impl Fn(&'static str) -> bool) -> Self {
        if path.ends_with("/responses") {
            return Self { upgrade: has("upgrade"), ..Self::default() };
        }
        // Others have files and batches as well, and at the same addresses.
        let shared = ["/models", "/files", "/batches"].iter().any(|name| path.contains(name));
        if !shared && !path.starts_with("/v1beta/") {
            return Self::default();
        }
        // Under the root that an SDK is given, it is known whose it is.
        let asks = if path.starts_with("/anthropic/") {
            Dialect::AnthropicMessages
        } else if has("x-goog-api-key") || path.starts_with("/v1beta/") {
            Dialect::Gemini
        } else if has("anthropic-version") {
            Dialect::AnthropicMessages
        } else {
            Dialect::OpenAiChat
        };
        Self { asks, upgrade: false }
    }
}

/// Percent-decoding, once, as granian does before it shows a path: clients encode the slash of a model id, or do not.
pub fn decoded(path: &str) -> Cow<'_, str> {
    if !path.contains('%') {
        return Cow::Borrowed(path);
    }
    let mut out = Vec::with_capacity(path.len());
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let mut ahead = rest.clone();
        let pair = (ahead.next().and_then(hex), ahead.next().and_then(hex));
        match (byte, pair) {
            (b'%', (Some(high), Some(low))) => {
                out.push(high << 4 | low);
                rest = ahead;
            }
            _ => out.push(byte),
        }
    }
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a head without anything special asks for.
    fn plain<'a>(method: &Method, path: &'a str) -> Endpoint<'a> {
        endpoint(method, path, Hints::default())
    }

    #[test]
    fn every_path_is_served_with_and_without_its_version() {
        for prefix in ["/v1", ""] {
            let path = format!("{prefix}/chat/completions");
            assert_eq!(plain(&Method::POST, &path), Endpoint::Generate(Spoken::by_body(Dialect::OpenAiChat)));
            let path = format!("{prefix}/models/meta-llama/llama-3");
            assert_eq!(plain(&Method::GET, &path), Endpoint::Model(Dialect::OpenAiChat, "meta-llama/llama-3"));
        }
        assert_eq!(plain(&Method::GET, "/v1chat/completions"), Endpoint::Unknown);
        assert_eq!(plain(&Method::GET, "/v1/v1/models"), Endpoint::Unknown);
    }

    #[test]
    fn each_dialect_has_its_paths_whatever_stands_before_them() {
        let dialect = |path: &str| match plain(&Method::POST, path) {
            Endpoint::Generate(spoken) => Some((spoken.dialect, spoken.model, spoken.stream)),
            _ => None,
        };
        for path in ["/v1/messages", "/messages", "/anthropic/v1/messages"] {
            assert_eq!(dialect(path), Some((Dialect::AnthropicMessages, None, None)), "{path}");
        }
        for path in ["/v1/responses", "/openai/v1/responses"] {
            assert_eq!(dialect(path), Some((Dialect::OpenAiResponses, None, None)), "{path}");
        }
        for (method, stream) in [("generateContent", false), ("streamGenerateContent", true)] {
            for version in ["/v1", "/v1beta"] {
                let path = format!("{version}/models/org/name:8b:{method}");
                assert_eq!(dialect(&path), Some((Dialect::Gemini, Some("org/name:8b".into()), Some(stream))));
            }
        }
        assert_eq!(plain(&Method::GET, "/v1/models/name:8b"), Endpoint::Model(Dialect::OpenAiChat, "name:8b"));
        assert_eq!(plain(&Method::GET, "/v1/messages"), Endpoint::NotAllowed("POST"));
        let bare = "/v1beta/org/name:streamGenerateContent";
        assert_eq!(dialect(bare), Some((Dialect::Gemini, Some("org/name".into()), Some(true))));
        assert_eq!(dialect("/anthropicx/v1/messages"), None);
    }

    #[test]
    fn tokens_are_counted_where_each_sdk_asks() {
        assert_eq!(plain(&Method::POST, "/v1/chat"), Endpoint::Unknown);
        for (path, dialect) in [
            ("/v1/completions", Dialect::OpenAiCompletions),
            ("/v2/chat", Dialect::CohereV2),
            ("/v2/embed", Dialect::CohereEmbeddings),
            ("/v1/rerank", Dialect::Rerank),
            ("/v2/rerank", Dialect::Rerank),
            ("/v1beta/models/m:embedContent", Dialect::GeminiEmbeddings),
            ("/v1/models/m:batchEmbedContents", Dialect::GeminiEmbeddings),
        ] {
            let Endpoint::Generate(spoken) = plain(&Method::POST, path) else { panic!("{path}") };
            assert_eq!((spoken.dialect, spoken.task), (dialect, Task::Answer), "{path}");
        }
        for (path, dialect) in [
            ("/v1/messages/count_tokens", Dialect::AnthropicMessages),
            ("/v1/responses/input_tokens", Dialect::OpenAiResponses),
            ("/v1beta/models/m:countTokens", Dialect::Gemini),
        ] {
            let Endpoint::Generate(spoken) = endpoint(&Method::POST, path, Hints::default()) else { panic!("{path}") };
            assert_eq!((spoken.dialect, spoken.task), (dialect, Task::Count), "{path}");
        }
    }

    #[test]
    fn azures_addresses_name_the_model() {
        for (path, dialect, model) in [
            ("/openai/deployments/a/chat/completions", Dialect::OpenAiChat, "a"),
            ("/openai/deployments/a/completions", Dialect::OpenAiCompletions, "a"),
            ("/openai/deployments/org/a/embeddings", Dialect::OpenAiEmbeddings, "org/a"),
        ] {
            let Endpoint::Generate(spoken) = endpoint(&Method::POST, path, Hints::default()) else { panic!("{path}") };
            assert_eq!((spoken.dialect, spoken.model.as_deref()), (dialect, Some(model)), "{path}");
        }
        let path = "/openai/deployments/org/a/audio/transcriptions";
        let Endpoint::Generate(spoken) = plain(&Method::POST, path) else { panic!("{path}") };
        assert_eq!((spoken.name(), spoken.model.as_deref()), ("audio_transcriptions", Some("org/a")));
        for path in ["/openai/deployments/a", "/openai/deployments//embeddings", "/openai/deployments/a/x"] {
            assert_eq!(endpoint(&Method::POST, path, Hints::default()), Endpoint::Unknown, "{path}");
        }
    }

    #[test]
    fn one_address_is_three_protocols() {
        let asks = |path: &str, header: &'static str| {
            let hints = Hints::of(path, |name| name == header);
            match endpoint(&Method::GET, path, hints) {
                Endpoint::Models(asks) => asks,
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(asks("/v1/models", "x"), Dialect::OpenAiChat);
        assert_eq!(asks("/v1/models", "anthropic-version"), Dialect::AnthropicMessages);
        assert_eq!(asks("/v1/models", "x-goog-api-key"), Dialect::Gemini);
        assert_eq!(asks("/v1beta/models", "x"), Dialect::Gemini);
        assert_eq!(asks("/anthropic/v1/models", "x"), Dialect::AnthropicMessages);
        assert_eq!(asks("/openai/v1/models", "x"), Dialect::OpenAiChat);
    }

    #[test]
    fn what_is_passed_on_has_openais_addresses_and_nobody_elses() {
        let asked = |method, path: &str, header: &'static str| match endpoint(
            &method,
            path,
            Hints::of(path, |name| name == header),
        ) {
            Endpoint::Generate(spoken) => Some(spoken.name()),
            _ => None,
        };
        assert_eq!(asked(Method::GET, "/v1/files/a/content", "x"), Some("files"));
        assert_eq!(asked(Method::POST, "/openai/v1/images/edits", "x"), Some("images_edits"));
        assert_eq!(asked(Method::GET, "/v1beta/files", "x"), None);
        assert_eq!(asked(Method::GET, "/v1/files", "anthropic-version"), None);
        assert_eq!(asked(Method::GET, "/anthropic/v1/files", "x"), None);
        assert_eq!(asked(Method::GET, "/v1/batches", "x-goog-api-key"), None);
    }

    #[test]
    fn who_wants_a_websocket_is_told_so() {
        let hints = |path| Hints::of(path, |name| name == "upgrade");
        let asked = |method, path| endpoint(method, path, hints(path));
        assert_eq!(asked(&Method::GET, "/v1/responses"), Endpoint::NoUpgrade);
        assert_ne!(asked(&Method::POST, "/v1/responses"), Endpoint::NoUpgrade);
        assert_eq!(endpoint(&Method::GET, "/v1/responses", Hints::default()), Endpoint::NotAllowed("POST"));
    }

    #[test]
    fn a_wrong_method_names_the_right_one() {
        assert_eq!(plain(&Method::GET, "/v1/chat/completions"), Endpoint::NotAllowed("POST"));
        assert_eq!(plain(&Method::HEAD, "/livez"), Endpoint::Live);
    }

    #[test]
    fn a_path_is_decoded_once_and_bad_escapes_stay_as_they_are() {
        assert_eq!(decoded("a%2Fb%2fc"), "a/b/c");
        assert_eq!(decoded("100%"), "100%");
        assert_eq!(decoded("%zz%252F"), "%zz%2F");
    }
}
