//! Cohere's rerank, versions 1 and 2: a query and documents in, indexes and scores out.
//!
//! The two versions differ in their address; documents that are objects, and documents in the results, are things of the
//! first. Other servers speak nearly the same, and how they differ is a [`form::Form`] each: `jina_rerank` counts tokens,
//! and so do the servers that took it for a model; `voyage_rerank` has other names besides. The surprise: Cohere charges
//! for searches and counts no tokens.

pub(crate) mod form;
#[cfg(test)]
mod tests;

use super::Dialect;
use form::{Form, Told};

form::speaks!(super::cohere_error::parse, super::cohere_error::render);

const FORM: Form =
    Form { dialect: Dialect::Rerank, most: "top_n", results: "results", documents_are_text: false, told: Told::Meta };
