//! Reads and patches request bodies: an iterative scanner that is resumable over frames, spans, splice.
