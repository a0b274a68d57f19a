//! Jina's rerank, which llama.cpp, vLLM and others answer with as well: Cohere's request, and a reply that counts tokens.

use super::Dialect;
use super::rerank::form::{self, Form, Told};

form::speaks!(super::openai_error::parse_error, super::openai_error::render_error);

const FORM: Form = Form {
    dialect: Dialect::JinaRerank,
    most: "top_n",
    results: "results",
    documents_are_text: false,
    told: Told::Usage { prompt: true },
};
