//! Voyage's rerank: `top_k` results under `data`, and documents that are texts, in the request and in the results.

use super::Dialect;
use super::rerank::form::{self, Form, Told};

form::speaks!(super::openai_error::parse_error, super::openai_error::render_error);

const FORM: Form = Form {
    dialect: Dialect::VoyageRerank,
    most: "top_k",
    results: "data",
    documents_are_text: true,
    told: Told::Usage { prompt: false },
};
