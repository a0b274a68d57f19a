//! What a token endpoint answers (RFC 6749, sections 5.1 and 5.2).
//!
//! The rule: of a refusal only its code is kept, a word from a short alphabet; descriptions may quote what was sent.

use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

/// Longer than any token seen: Google's have up to 1 KiB, Entra's some 2 KiB.
const TOKEN_BYTES: usize = 16 * 1024;
/// A token whose endpoint names no lifetime is used this long, in seconds.
const UNTOLD_S: u64 = 300;
/// A token is never used for longer than this, in seconds, whatever its endpoint says.
const LONGEST_S: u64 = 86_400;
/// The longest code of OAuth has 25 characters.
const CODE_BYTES: usize = 64;

/// A token and how long it is good for.
#[derive(PartialEq, Eq)]
pub struct Token {
    pub text: Box<str>,
    pub lifetime_s: u64,
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Token").field("lifetime_s", &self.lifetime_s).finish_non_exhaustive()
    }
}

/// Why there is no token in a reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TokenError {
    /// The endpoint said no, and why in one word, if it used one.
    Refused { status: u16, code: Option<Box<str>> },
    /// The endpoint failed, or somebody before it.
    Unavailable { status: u16 },
    /// A success that holds no token.
    NotUnderstood,
}

impl fmt::Display for TokenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused { status, code: Some(code) } => write!(out, "refused with {status} ({code})"),
            Self::Refused { status, code: None } => write!(out, "refused with {status}"),
            Self::Unavailable { status } => write!(out, "answered {status}"),
            Self::NotUnderstood => out.write_str("answered without a token"),
        }
    }
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    /// A number; Azure's older endpoints write it as text.
    expires_in: Option<Value>,
}

/// The token in the reply of a token endpoint.
pub fn parse_token_reply(status: u16, body: &[u8]) -> Result<Token, TokenError> {
    match status {
        200..300 => granted(body).ok_or(TokenError::NotUnderstood),
        408 | 425 | 429 | 500.. => Err(TokenError::Unavailable { status }),
        _ => Err(TokenError::Refused { status, code: code(body) }),
    }
}

fn granted(body: &[u8]) -> Option<Token> {
    let granted: Granted = serde_json::from_slice(body).ok()?;
    let text = granted.access_token;
    // It becomes part of a header.
    if text.is_empty() || text.len() > TOKEN_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return None;
    }
    let lifetime_s = match granted.expires_in {
        None | Some(Value::Null) => UNTOLD_S,
        Some(Value::String(text)) => text.trim().parse().ok()?,
        Some(told) => told.as_u64().or_else(|| whole(told.as_f64()?))?,
    };
    Some(Token { text: text.into(), lifetime_s: lifetime_s.min(LONGEST_S) })
}

fn whole(seconds: f64) -> Option<u64> {
    Some(Duration::try_from_secs_f64(seconds.clamp(0.0, LONGEST_S as f64)).ok()?.as_secs())
}

/// `{"error": "invalid_grant"}`, or Google's `{"error": {"status": "PERMISSION_DENIED"}}`.
fn code(body: &[u8]) -> Option<Box<str>> {
    let said: Value = serde_json::from_slice(body).ok()?;
    let error = said.get("error")?;
    let code = error.as_str().or_else(|| error.get("status")?.as_str())?;
    let plain = !code.is_empty() && code.len() <= CODE_BYTES;
    (plain && code.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_')).then(|| code.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lifetime(told: &str) -> Option<u64> {
        let body = format!(r#"{{"access_token": "ya29.x", "token_type": "Bearer"{told}}}"#);
        parse_token_reply(200, body.as_bytes()).ok().map(|token| token.lifetime_s)
    }

    #[test]
    fn a_lifetime_is_a_number_or_text_or_left_out_and_has_a_bound() {
        assert_eq!(lifetime(r#", "expires_in": 3599"#), Some(3599));
        assert_eq!(lifetime(r#", "expires_in": 3599.9"#), Some(3599));
        assert_eq!(lifetime(r#", "expires_in": "3599", "ext_expires_in": 7"#), Some(3599));
        assert_eq!(lifetime(""), Some(300));
        assert_eq!(lifetime(r#", "expires_in": null"#), Some(300));
        assert_eq!(lifetime(r#", "expires_in": 1e300"#), Some(86_400));
        assert_eq!(lifetime(r#", "expires_in": -5"#), Some(0));
        assert_eq!(lifetime(r#", "expires_in": "soon""#), None);
        assert_eq!(lifetime(r#", "expires_in": [1]"#), None);
    }

    #[test]
    fn a_token_that_no_header_may_carry_is_none() {
        for token in ["", "a b", "a\\nb", "é", &"x".repeat(TOKEN_BYTES + 1)] {
            let body = format!(r#"{{"access_token": "{token}", "expires_in": 60}}"#);
            assert_eq!(parse_token_reply(200, body.as_bytes()), Err(TokenError::NotUnderstood), "{token:.9}");
        }
    }

    #[test]
    fn of_a_refusal_only_a_plain_code_is_told() {
        let said = |status, body: &str| parse_token_reply(status, body.as_bytes()).unwrap_err().to_string();
        let quoting = r#"{"error": "invalid_client", "error_description": "secret hunter2 is wrong"}"#;
        assert_eq!(said(401, quoting), "refused with 401 (invalid_client)");
        assert_eq!(said(403, r#"{"error": {"status": "PERMISSION_DENIED"}}"#), "refused with 403 (PERMISSION_DENIED)");
        assert_eq!(said(400, r#"{"error": "hunter2 is wrong"}"#), "refused with 400");
        assert_eq!(said(404, "<html>"), "refused with 404");
        assert_eq!(said(503, r#"{"error": "invalid_grant"}"#), "answered 503");
        assert_eq!(said(200, quoting), "answered without a token");
        assert_eq!(said(302, ""), "refused with 302");
    }

    #[test]
    fn a_token_is_not_printed() {
        let token = parse_token_reply(200, br#"{"access_token": "hunter2", "expires_in": 60}"#).unwrap();
        assert!(!format!("{token:?}").contains("hunter2"));
    }
}
