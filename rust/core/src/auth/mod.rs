//! How a request proves who sends it, beyond a header that never changes: signatures, and requests for tokens.
//!
//! Its one rule: the clock is an argument and nothing is sent; who fetches a token and where is the caller's concern.
//! The surprise: nothing here can be printed that holds a key, and no error repeats what it was given.

pub mod entra;
pub mod google;
pub mod sigv4;
pub mod token;

mod form;

use aws_lc_rs::digest::{Context, SHA256, digest};

pub use google::ServiceAccount;
pub use sigv4::{Signer, Unsigned};
pub use token::{Token, TokenError, parse_token_reply};

/// SHA-256 of a body in pieces, which are never joined.
pub fn sha256<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> [u8; 32] {
    let mut context = Context::new(&SHA256);
    for piece in pieces {
        context.update(piece);
    }
    fixed(context.finish().as_ref())
}

/// A text as part of a query: everything but the unreserved characters of RFC 3986 is encoded.
pub fn encoded(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    form::encode_into(&mut out, text);
    out
}

fn sha256_of(bytes: &[u8]) -> [u8; 32] {
    fixed(digest(&SHA256, bytes).as_ref())
}

/// SHA-256 and its HMAC give 32 bytes, always.
fn fixed(bytes: &[u8]) -> [u8; 32] {
    let mut out = [0; 32];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = *from;
    }
    out
}
