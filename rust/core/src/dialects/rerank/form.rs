//! What the dialects of rerank have in common, which is nearly all, and the few words in which they differ.

use crate::dialects::raw::RawValue;
use bytes::Bytes;

use crate::dialects::chatlike::{foreign, or};
use crate::dialects::message::{
    Document, Envelope, Extras, Json, Ranked, Rendered, Reply, Request, RerankReply, RerankRequest, Text, TokenUsage,
    Usage,
};
use crate::dialects::object::{self, Mode, Object};
use crate::dialects::output::{self, Buffer, Members};
use crate::dialects::{Dialect, DialectError, Place, cohere_meta};

const DOCUMENTS: &str = "documents";
const USAGE: &str = "usage";

#[derive(Debug)]
pub(crate) struct Form {
    pub(crate) dialect: Dialect,
    /// The member that says how many results at most.
    pub(crate) most: &'static str,
    /// The member that holds the results.
    pub(crate) results: &'static str,
    /// Documents are texts and nothing else.
    pub(crate) documents_are_text: bool,
    pub(crate) told: Told,
}

/// Where a reply says what was used.
#[derive(Debug)]
pub(crate) enum Told {
    /// In `meta`, beside an id of the reply.
    Meta,
    /// In `usage`, beside the model; `prompt` says that `prompt_tokens` stands there, too.
    Usage { prompt: bool },
}

/// Writes the functions of a dialect that says what its `FORM` says.
macro_rules! speaks {
    ($parse_error:path, $render_error:path) => {
        use bytes::Bytes;

        use $crate::dialects::DialectError;
        use $crate::dialects::message::{Envelope, ErrorReply, Rendered, Reply, Request};

        $crate::dialects::no_streams!();

        /// Refuses what is not a query with documents.
        pub fn parse_request(body: &[u8]) -> Result<Request<'_>, DialectError> {
            FORM.parse_request(body)
        }

        /// Refuses documents without a text where documents are texts.
        pub fn render_request(request: &Request<'_>) -> Result<Rendered, DialectError> {
            FORM.render_request(request)
        }

        /// Refuses a document without results.
        pub fn parse_reply(body: &[u8]) -> Result<Reply<'_>, DialectError> {
            FORM.parse_reply(body)
        }

        pub fn render_reply(reply: &Reply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
            FORM.render_reply(reply, envelope)
        }

        pub fn parse_error(body: &[u8]) -> ErrorReply<'_> {
            $parse_error(FORM.dialect, body)
        }

        pub fn render_error(error: &ErrorReply<'_>) -> Bytes {
            $render_error(FORM.dialect, error)
        }
    };
}
pub(crate) use speaks;

impl Form {
    pub(crate) fn parse_request<'a>(&self, body: &'a [u8]) -> Result<Request<'a>, DialectError> {
        let mut object = Object::document(body, Mode::Strict)?;
        let place = Place::Document.member(DOCUMENTS);
        let documents = object.take_list(DOCUMENTS)?.unwrap_or_default();
        if documents.is_empty() {
            return Err(place.refuse("must hold at least one document"));
        }
        let documents = documents.into_iter().enumerate().map(|(index, raw)| {
            if let Some(text) = object::text(raw) {
                return Ok(Document::Text(text));
            }
            let object = raw.get().starts_with('{') && !self.documents_are_text;
            let expected = if self.documents_are_text { "must be a string" } else { "must be a string or an object" };
            object.then(|| Document::Object(raw.into())).ok_or_else(|| place.item(index).refuse(expected))
        });
        Ok(Request::Rerank(RerankRequest {
            documents: documents.collect::<Result<_, _>>()?,
            model: object.require_text("model")?,
            query: object.require_text("query")?,
            top_n: object.take_u64(self.most)?,
            return_documents: object.take_bool("return_documents")?,
            extras: object.into_extras(self.dialect),
        }))
    }

    pub(crate) fn render_request(&self, request: &Request<'_>) -> Result<Rendered, DialectError> {
        let Request::Rerank(request) = request else {
            return Err(self.dialect.has_no_words());
        };
        let place = Place::Document.member(DOCUMENTS);
        let mut documents = Vec::with_capacity(request.documents.len());
        for (index, document) in request.documents.iter().enumerate() {
            documents.push(match document {
                Document::Object(raw) if self.documents_are_text => {
                    let text = text_of(raw).ok_or_else(|| {
                        place.item(index).refuse(format!("must be text to be said in {}", self.dialect.name()))
                    })?;
                    Document::Text(text.into())
                }
                other => other.clone(),
            });
        }
        let mut out = Buffer::with_capacity(1024);
        output::object(&mut out, |members| {
            members.text("model", &request.model);
            members.text("query", &request.query);
            members.list(DOCUMENTS, &documents, |out, document| match document {
                Document::Text(text) => output::text(out, text),
                Document::Object(raw) => output::raw(out, raw.as_str()),
            });
            members.whole_if(self.most, request.top_n);
            members.flag_if("return_documents", request.return_documents);
            members.extras(self.dialect, &request.extras);
        });
        Ok(Rendered { body: out.into(), dropped: foreign(self.dialect, &request.extras).collect() })
    }

    pub(crate) fn parse_reply<'a>(&self, body: &'a [u8]) -> Result<Reply<'a>, DialectError> {
        let mut reply = Object::document(body, Mode::Lenient)?;
        let place = Place::Document.member(self.results);
        let Some(items) = reply.take_list(self.results)? else {
            return Err(place.refuse("must be a list"));
        };
        let results = items.into_iter().enumerate().map(|(index, raw)| self.parse_result(raw, place.item(index)));
        let results = results.collect::<Result<_, _>>()?;
        let mut extras = Extras::default();
        let (usage, search_units) = match self.told {
            Told::Meta => cohere_meta::take(self.dialect, &mut reply, &mut extras),
            Told::Usage { prompt } => {
                reply.forget("object");
                (reply.take_if(USAGE, |raw| self.parse_usage(raw, prompt)), None)
            }
        };
        let id = reply.take_text("id")?.unwrap_or_default();
        let model = reply.take_text("model")?.unwrap_or_default();
        reply.spill(self.dialect, &mut extras);
        Ok(Reply::Rerank(RerankReply { id, model, results, usage, search_units, extras }))
    }

    fn parse_result<'a>(&self, raw: &'a RawValue, place: Place<'_>) -> Result<Ranked<'a>, DialectError> {
        let mut item = Object::open(raw, place, Mode::Lenient)?;
        let index = item.take_u64("index")?.ok_or_else(|| place.member("index").refuse("is required"))?;
        let score = item.take_if("relevance_score", |raw| object::number(raw).map(|_| Json::from(raw)));
        let score = score.ok_or_else(|| place.member("relevance_score").refuse("must be a number"))?;
        let document = item.take_if("document", |raw| {
            let text = object::text(raw).or_else(|| only_text(raw)).map(Document::Text);
            text.or_else(|| raw.get().starts_with('{').then(|| Document::Object(raw.into())))
        });
        Ok(Ranked { index, score, document, extras: item.into_extras(self.dialect) })
    }

    fn parse_usage<'a>(&self, raw: &'a RawValue, prompt: bool) -> Option<Usage<'a>> {
        let mut counts = Object::lenient(raw)?;
        let total = counts.take_if("total_tokens", object::whole);
        let read = if prompt { counts.take_if("prompt_tokens", object::whole) } else { None };
        // Everything is read and nothing written, so one count stands for the other.
        let prompt_tokens = read.or(total)?;
        let tokens =
            TokenUsage { prompt_tokens, total_tokens: total.unwrap_or(prompt_tokens), ..TokenUsage::default() };
        Some(Usage { tokens, extras: counts.into_extras(self.dialect) })
    }

    pub(crate) fn render_reply(&self, reply: &Reply<'_>, envelope: &Envelope<'_>) -> Result<Bytes, DialectError> {
        let Reply::Rerank(reply) = reply else {
            return Err(self.dialect.has_no_words());
        };
        let mut out = Buffer::with_capacity(1024);
        output::object(&mut out, |members| {
            match self.told {
                Told::Meta => {
                    members.text("id", or(&reply.id, envelope.id));
                }
                Told::Usage { .. } => {
                    members.text("object", "list");
                    members.text("model", or(&reply.model, envelope.model));
                    members.text_if("id", Some(reply.id.as_ref()).filter(|id| !id.is_empty()));
                }
            }
            members.list(self.results, &reply.results, |out, result| self.write_result(out, result));
            self.write_told(members, reply);
            members.extras(self.dialect, &reply.extras);
        });
        Ok(out.into())
    }

    fn write_result(&self, out: &mut Buffer, result: &Ranked<'_>) {
        output::object(out, |item| {
            item.whole("index", result.index);
            item.raw("relevance_score", result.score.as_str());
            match &result.document {
                Some(Document::Text(text)) if self.documents_are_text => item.text("document", text),
                Some(Document::Text(text)) => item.object("document", |document| document.text("text", text)),
                // A client that knows texts alone gets the text, or the object as the text that it is.
                Some(Document::Object(raw)) if self.documents_are_text => {
                    item.text("document", &text_of(raw).unwrap_or_else(|| raw.as_str().to_owned()));
                }
                Some(Document::Object(raw)) => item.raw("document", raw.as_str()),
                None => {}
            }
            item.extras(self.dialect, &result.extras);
        });
    }

    /// The published schemas require a count of tokens, so an unknown one is written as none.
    fn write_told(&self, members: &mut Members<'_>, reply: &RerankReply<'_>) {
        match self.told {
            Told::Meta => {
                let (usage, units) = (reply.usage.as_ref(), reply.search_units);
                cohere_meta::write(self.dialect, members, usage, units, &reply.extras, false);
            }
            Told::Usage { prompt } => {
                let usage = reply.usage.clone().unwrap_or_default();
                members.object(USAGE, |counts| {
                    if prompt {
                        counts.whole("prompt_tokens", usage.tokens.prompt_tokens);
                    }
                    counts.whole("total_tokens", usage.tokens.total_tokens);
                    counts.extras(self.dialect, &usage.extras);
                });
            }
        }
    }
}

/// The text of a document that has one among its parts.
fn text_of(document: &Json<'_>) -> Option<String> {
    let raw = document.as_raw()?;
    let text = Object::lenient(raw)?.take_if("text", object::text)?;
    Some(text.into_owned())
}

/// The text of a document that has nothing else.
fn only_text(raw: &RawValue) -> Option<Text<'_>> {
    let mut document = Object::lenient(raw)?;
    let text = document.take_if("text", object::text)?;
    document.is_empty().then_some(text)
}
