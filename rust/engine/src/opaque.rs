//! Endpoints whose bodies mean nothing here: pictures, sound, files, batches, moderations.
//!
//! The rule: what a client sends and what it gets goes on byte for byte, but for the model's name. Who is asked is what
//! the model's name leads to, else what the table has for the endpoint. See `docs/decisions/0014-pass-through.md`.

use std::ops::Range;

use bytes::Bytes;
use fastroute_core::dialects::Dialect;
use fastroute_core::json::{self, Edit, Scan};
use fastroute_core::multipart;
use hyper::Method;

use crate::problem::Problem;
use crate::spoken::Spoken;
use crate::table::{Table, segments};

/// See the module.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opaque {
    ImagesGenerations,
    ImagesEdits,
    ImagesVariations,
    AudioSpeech,
    AudioTranscriptions,
    AudioTranslations,
    Moderations,
    Files,
    Batches,
    /// Counts of tokens, each in a dialect. Clients do not come here by themselves: see [`crate::count`].
    AnthropicTokens,
    GeminiTokens,
    ResponsesTokens,
}

impl Opaque {
    pub const ALL: [Self; 12] = [
        Self::ImagesGenerations,
        Self::ImagesEdits,
        Self::ImagesVariations,
        Self::AudioSpeech,
        Self::AudioTranscriptions,
        Self::AudioTranslations,
        Self::Moderations,
        Self::Files,
        Self::Batches,
        Self::AnthropicTokens,
        Self::GeminiTokens,
        Self::ResponsesTokens,
    ];

    /// The name used in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::ImagesGenerations => "images_generations",
            Self::ImagesEdits => "images_edits",
            Self::ImagesVariations => "images_variations",
            Self::AudioSpeech => "audio_speech",
            Self::AudioTranscriptions => "audio_transcriptions",
            Self::AudioTranslations => "audio_translations",
            Self::Moderations => "moderations",
            Self::Files => "files",
            Self::Batches => "batches",
            Self::AnthropicTokens => "anthropic_messages_tokens",
            Self::GeminiTokens => "gemini_tokens",
            Self::ResponsesTokens => "openai_responses_tokens",
        }
    }

    /// Its address, behind the version.
    const fn path(self) -> Option<&'static str> {
        Some(match self {
            Self::ImagesGenerations => "/images/generations",
            Self::ImagesEdits => "/images/edits",
            Self::ImagesVariations => "/images/variations",
            Self::AudioSpeech => "/audio/speech",
            Self::AudioTranscriptions => "/audio/transcriptions",
            Self::AudioTranslations => "/audio/translations",
            Self::Moderations => "/moderations",
            Self::Files => "/files",
            Self::Batches => "/batches",
            Self::AnthropicTokens | Self::GeminiTokens | Self::ResponsesTokens => return None,
        })
    }

    pub(crate) const fn counts(self) -> bool {
        matches!(self, Self::AnthropicTokens | Self::GeminiTokens | Self::ResponsesTokens)
    }

    /// Where a dialect's tokens are counted.
    pub(crate) const fn counting(dialect: Dialect) -> Option<Self> {
        match dialect {
            Dialect::AnthropicMessages => Some(Self::AnthropicTokens),
            Dialect::Gemini => Some(Self::GeminiTokens),
            Dialect::OpenAiResponses => Some(Self::ResponsesTokens),
            _ => None,
        }
    }

    /// It has things below it, each with an address of its own, and nothing in it names a model.
    const fn holds(self) -> bool {
        matches!(self, Self::Files | Self::Batches)
    }

    /// The methods it takes.
    pub const fn allowed(self) -> &'static str {
        if self.holds() { "GET, POST, DELETE" } else { "POST" }
    }

    fn takes(self, method: &Method) -> bool {
        self.allowed().split(", ").any(|allowed| allowed == method.as_str())
    }

    /// The endpoint that Azure has below a deployment, and the deployment's name.
    pub(crate) fn of_deployment(path: &str) -> Option<(Self, &str)> {
        let mut modelled = Self::ALL.into_iter().filter(|endpoint| !endpoint.holds());
        modelled.find_map(|endpoint| Some((endpoint, path.strip_suffix(endpoint.path()?)?)))
    }
}

/// What a request to such an endpoint is, apart from its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Passing {
    pub endpoint: Opaque,
    pub method: Method,
    /// What stands in the address behind the endpoint's own, escaped.
    pub below: Box<str>,
    pub body: Body,
    /// Nobody named a model: it is the table's.
    pub unnamed: bool,
}

/// What a body is, as its head says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// Nothing that could name a model.
    #[default]
    Bytes,
    Json,
    Form {
        boundary: Box<str>,
        /// What was found in it.
        form: multipart::Form,
    },
    /// A form without a boundary that could be found.
    Broken,
}

impl Passing {
    /// What an address asks for; with the wrong method the right ones.
    pub(crate) fn at(method: &Method, bare: &str) -> Option<Result<Self, &'static str>> {
        let (endpoint, below) = Opaque::ALL.into_iter().find_map(|endpoint| {
            let below = bare.strip_prefix(endpoint.path()?)?;
            let fits = below.is_empty() || endpoint.holds() && below.starts_with('/');
            fits.then_some((endpoint, below))
        })?;
        Self::of(method, endpoint, below)
    }

    pub(crate) fn of(method: &Method, endpoint: Opaque, below: &str) -> Option<Result<Self, &'static str>> {
        let below = segments(below)?;
        if !endpoint.takes(method) {
            return Some(Err(endpoint.allowed()));
        }
        let method = method.clone();
        Some(Ok(Self { endpoint, method, below: below.into(), body: Body::Bytes, unnamed: false }))
    }

    /// The counting of a request's tokens by whoever will answer it.
    pub(crate) fn counting(dialect: Dialect) -> Option<Self> {
        let endpoint = Opaque::counting(dialect)?;
        Some(Self { endpoint, method: Method::POST, below: "".into(), body: Body::Json, unnamed: false })
    }

    /// Takes in the `content-type`.
    pub(crate) fn bearing(&mut self, content_type: Option<&str>) {
        let content_type = content_type.unwrap_or_default();
        self.body = match multipart::boundary(content_type) {
            Some(boundary) => Body::Form { boundary: boundary.into(), form: multipart::Form::default() },
            None if multipart::is_form(content_type) => Body::Broken,
            // As everywhere here: what takes JSON gets it, whatever its client calls it.
            None if self.method == Method::POST && self.below.is_empty() && self.endpoint != Opaque::Files => {
                Body::Json
            }
            None => Body::Bytes,
        };
    }

    /// What a reply holds is the client's own, whatever it looks like.
    pub(crate) fn brings_a_file(&self) -> bool {
        self.endpoint == Opaque::Files && self.below.ends_with("/content")
    }

    /// Puts the target's name for the model in the place of the client's.
    pub(crate) fn rename(&self, scan: &Scan, model: &str) -> Option<Edit> {
        // Gemini's address names it.
        if self.endpoint.holds() || self.endpoint == Opaque::GeminiTokens {
            return None;
        }
        match &self.body {
            Body::Bytes | Body::Broken => None,
            Body::Json => Some(match scan.span(json::Field::Model) {
                Some(at) => Edit { at, with: json::quote(model) },
                None => scan.insert(&[("model", json::quote(model))]),
            }),
            Body::Form { boundary, form } => Some(match &form.field {
                Some((at, _)) => Edit { at: at.clone(), with: Bytes::copy_from_slice(model.as_bytes()) },
                None => Edit { at: at_point(form.first), with: part(boundary, model) },
            }),
        }
    }
}

fn at_point(at: usize) -> Range<usize> {
    at..at
}

fn part(boundary: &str, model: &str) -> Bytes {
    format!("--{boundary}\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\n{model}\r\n").into()
}

/// Gives a request that names no model the one that the table has for its endpoint.
pub fn routed(spoken: &mut Spoken, scan: &Scan, table: &Table) -> Result<(), Problem> {
    let Some(passing) = &mut spoken.opaque else { return Ok(()) };
    if scan.model.is_some() || spoken.model.is_some() {
        return Ok(());
    }
    let name = passing.endpoint.name();
    let Some(model) = table.endpoint(name) else {
        let message = if passing.endpoint.holds() {
            format!("nothing says who is asked for {name}; the operator names a provider in routing.endpoints.{name}")
        } else {
            format!("`model` is missing, and routing.endpoints.{name} names nobody who is asked without one")
        };
        let problem = Problem::request(400, "missing_required_parameter", message);
        return Err(if passing.endpoint.holds() { problem } else { problem.at("model") });
    };
    spoken.model = Some(model.into());
    passing.unnamed = true;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passing(method: &Method, path: &str) -> Option<Result<Passing, &'static str>> {
        Passing::at(method, path)
    }

    #[test]
    fn each_endpoint_is_found_at_its_path_and_below_it_where_it_holds_things() {
        for (endpoint, path) in Opaque::ALL.into_iter().filter_map(|endpoint| Some((endpoint, endpoint.path()?))) {
            let found = passing(&Method::POST, path).unwrap().unwrap();
            assert_eq!((found.endpoint, &*found.below), (endpoint, ""));
            let below = passing(&Method::GET, &format!("{path}/a b"));
            assert_eq!(below.is_some(), endpoint.holds(), "{}", endpoint.name());
            if let Some(found) = below {
                assert_eq!(&*found.unwrap().below, "/a%20b");
            }
        }
        assert_eq!(passing(&Method::GET, "/moderations"), Some(Err("POST")));
        assert_eq!(passing(&Method::PUT, "/files"), Some(Err("GET, POST, DELETE")));
        for no_path in ["/files/../x", "/files//x", "/files/.", "/filesx", "/images"] {
            assert_eq!(passing(&Method::GET, no_path), None, "{no_path}");
        }
    }

    #[test]
    fn a_body_is_what_its_head_says() {
        let body = |path: &str, kind: Option<&str>| {
            let mut passing = passing(&Method::POST, path).unwrap().unwrap();
            passing.bearing(kind);
            passing.body
        };
        assert_eq!(body("/moderations", None), Body::Json);
        assert_eq!(body("/batches/b/cancel", Some("application/json")), Body::Bytes);
        assert_eq!(body("/images/edits", Some("multipart/form-data")), Body::Broken);
        let form = body("/files", Some("multipart/form-data; boundary=b"));
        assert_eq!(form, Body::Form { boundary: "b".into(), form: multipart::Form::default() });
    }

    #[test]
    fn a_form_gets_the_model_in_its_place_or_in_a_part_of_its_own() {
        let text = "--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nmine\r\n--b--\r\n";
        for (text, place) in
            [(text, "\r\n\r\nup-1\r\n--b--"), ("--b\r\n\r\nx\r\n--b--", "\r\n\r\nup-1\r\n--b\r\n\r\nx")]
        {
            let mut finder = multipart::Finder::new("b", "model", 256);
            finder.feed(text.as_bytes()).unwrap();
            let mut passing = passing(&Method::POST, "/audio/transcriptions").unwrap().unwrap();
            passing.body = Body::Form { boundary: "b".into(), form: finder.finish().unwrap() };
            let edit = passing.rename(&Scan::default(), "up-1").unwrap();
            let pieces = json::splice(&[Bytes::copy_from_slice(text.as_bytes())], &[edit]).unwrap();
            let said = String::from_utf8(pieces.concat()).unwrap();
            assert!(said.contains(place) && !said.contains("mine"), "{said}");
        }
    }
}
