//! Token counts: exact where the vocabulary is public, estimates elsewhere.
