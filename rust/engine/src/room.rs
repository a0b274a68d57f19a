//! What the body of a request takes of the memory for all bodies: a promise of what its head announced, then its bytes.
//!
//! The rule: bytes are never past the bound, and promises never past what bytes leave of it. Small bodies need no promise,
//! so whoever announces much and sends nothing keeps out only others who announce much.

use std::sync::Arc;

use crate::io::{Of, Share, Shared};

/// Up to here a body is not promised anything. Most conversations are shorter.
const SMALL_BODY: usize = 64 * 1024;

/// The room of one body, given back when dropped.
#[derive(Debug)]
pub struct Room {
    promise: Option<Share>,
    bytes: Share,
}

impl Room {
    /// Room for as many bytes as a head announced (0 where it says nothing), or nothing when there is no room for them.
    pub fn promised(shared: &Arc<Shared>, announced: usize) -> Option<Self> {
        let promise =
            if announced > SMALL_BODY { Some(Share::take(shared, Of::PromisedBytes, announced)?) } else { None };
        Some(Self { promise, bytes: Share::none(shared, Of::BodyBytes) })
    }

    /// Takes bytes that came; false when they would pass the bound.
    pub fn fill(&mut self, count: usize) -> bool {
        let Some(promise) = &mut self.promise else { return self.bytes.grow(count) };
        let promised = count.min(promise.held());
        if !self.bytes.grow_as_promised(promised) {
            return false;
        }
        promise.give_back(promised);
        self.bytes.grow(count - promised)
    }

    /// The body is complete: what it takes from here on.
    pub fn filled(self) -> Share {
        self.bytes
    }
}
