//! Server-sent events: a push parser and a writer.
