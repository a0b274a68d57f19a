//! Rerank: a query and documents in, the documents in order of how well they answer it out.

use super::{Extras, Json, Text, Usage};

#[derive(Debug, Clone, PartialEq)]
pub struct RerankRequest<'a> {
    pub model: Text<'a>,
    pub query: Text<'a>,
    pub documents: Vec<Document<'a>>,
    /// At most so many results.
    pub top_n: Option<u64>,
    /// The results repeat their documents.
    pub return_documents: Option<bool>,
    pub extras: Extras<'a>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Document<'a> {
    Text(Text<'a>),
    /// A document with named parts, one of which is mostly `text`.
    Object(Json<'a>),
}

#[derive(Debug, Clone, PartialEq)]
pub struct RerankReply<'a> {
    /// Empty when the upstream gave none.
    pub id: Text<'a>,
    pub model: Text<'a>,
    /// The best first.
    pub results: Vec<Ranked<'a>>,
    /// Tokens, where the upstream counts them.
    pub usage: Option<Usage<'a>>,
    /// What an upstream charges for that counts searches and no tokens.
    pub search_units: Option<u64>,
    pub extras: Extras<'a>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Ranked<'a> {
    /// The document's place in the request.
    pub index: u64,
    /// A JSON number with the digits it came with.
    pub score: Json<'a>,
    pub document: Option<Document<'a>>,
    pub extras: Extras<'a>,
}
