//! A Google service account: a token request signed with the key from its key file (RFC 7523, section 2.1).

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::Serialize;

use super::form::form;

/// The longest an assertion may be good for, and what Google's own libraries ask for.
const LIFETIME_S: u64 = 3600;

/// Why an account cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyError {
    /// The text is not a private key in PEM.
    NotPem,
    /// It is a key, and not RSA's, or too short.
    NotRsa,
    /// The signature failed.
    NotSigned,
}

impl fmt::Display for KeyError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::NotPem => "the private key is not in PEM",
            Self::NotRsa => "the private key is no RSA key of 2048 bits or more",
            Self::NotSigned => "the token request could not be signed",
        })
    }
}

impl std::error::Error for KeyError {}

/// An account that can ask for tokens.
pub struct ServiceAccount {
    email: Box<str>,
    key_id: Option<Box<str>>,
    key: RsaKeyPair,
    audience: Box<str>,
    scope: Box<str>,
}

impl fmt::Debug for ServiceAccount {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("ServiceAccount").finish_non_exhaustive()
    }
}

#[derive(Serialize)]
struct Header<'a> {
    alg: &'a str,
    typ: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<&'a str>,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    scope: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
}

impl ServiceAccount {
    /// `pem` is the key file's `private_key`, `audience` its `token_uri`.
    pub fn new(email: &str, key_id: Option<&str>, pem: &str, audience: &str, scope: &str) -> Result<Self, KeyError> {
        let (label, der) = unarmoured(pem).ok_or(KeyError::NotPem)?;
        let key = match label {
            "PRIVATE KEY" => RsaKeyPair::from_pkcs8(&der),
            "RSA PRIVATE KEY" => RsaKeyPair::from_der(&der),
            _ => return Err(KeyError::NotPem),
        };
        Ok(Self {
            email: email.into(),
            key_id: key_id.map(Into::into),
            key: key.map_err(|_| KeyError::NotRsa)?,
            audience: audience.into(),
            scope: scope.into(),
        })
    }

    /// The body of a token request. Whoever has it can have tokens for an hour.
    pub fn request_body(&self, unix_s: u64) -> Result<String, KeyError> {
        let header = Header { alg: "RS256", typ: "JWT", kid: self.key_id.as_deref() };
        let claims = Claims {
            iss: &self.email,
            scope: &self.scope,
            aud: &self.audience,
            iat: unix_s,
            exp: unix_s.saturating_add(LIFETIME_S),
        };
        let header = serde_json::to_vec(&header).map_err(|_| KeyError::NotSigned)?;
        let claims = serde_json::to_vec(&claims).map_err(|_| KeyError::NotSigned)?;
        let mut assertion = URL_SAFE_NO_PAD.encode(header);
        assertion.push('.');
        URL_SAFE_NO_PAD.encode_string(claims, &mut assertion);
        let mut signature = vec![0; self.key.public_modulus_len()];
        self.key
            .sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), assertion.as_bytes(), &mut signature)
            .map_err(|_| KeyError::NotSigned)?;
        assertion.push('.');
        URL_SAFE_NO_PAD.encode_string(signature, &mut assertion);
        Ok(form(&[("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"), ("assertion", &assertion)]))
    }
}

/// Label and content of the first block of a PEM text (RFC 7468).
fn unarmoured(pem: &str) -> Option<(&str, Vec<u8>)> {
    let (_, rest) = pem.split_once("-----BEGIN ")?;
    let (label, rest) = rest.split_once("-----")?;
    let (content, end) = rest.split_once("-----END ")?;
    end.strip_prefix(label)?.strip_prefix("-----")?;
    let content: String = content.split_ascii_whitespace().collect();
    Some((label, STANDARD.decode(content).ok()?))
}

#[cfg(test)]
mod tests;
