//! AWS Signature Version 4, as services other than S3 want it: the path is encoded once more before it is signed.
//!
//! The rule: what is signed is what is sent, byte for byte; nothing may touch path, query or a signed header
//! afterwards. The surprise: a header is signed only where nobody on the way has reason to change it.
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use std::fmt::{self, Write as _};

use aws_lc_rs::hmac;

use super::form::encode_into;
use super::{fixed, sha256_of};

const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// Credentials, and what they are good for.
pub struct Signer {
    access_key_id: Box<str>,
    secret_access_key: Box<str>,
    session_token: Option<Box<str>>,
    region: Box<str>,
    service: Box<str>,
}

impl fmt::Debug for Signer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Signer").field("region", &self.region).field("service", &self.service).finish_non_exhaustive()
    }
}

/// A request before it is signed.
#[derive(Clone, Copy, Debug)]
pub struct Unsigned<'a> {
    pub method: &'a str,
    /// As it stands in the request line, encoded.
    pub path: &'a str,
    /// The same; empty where there is none.
    pub query: &'a str,
    /// Those to be signed, names in lower case, in any order; `host` must be among them. The date and the session token
    /// are added here.
    pub headers: &'a [(&'a str, &'a [u8])],
    /// SHA-256 of the body.
    pub payload: [u8; 32],
}

/// What must be added to the request.
pub struct Signed<'a> {
    /// `x-amz-date`.
    pub date: String,
    /// `x-amz-security-token`.
    pub session_token: Option<&'a str>,
    /// `authorization`.
    pub authorization: String,
}

impl fmt::Debug for Signed<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Signed").field("date", &self.date).finish_non_exhaustive()
    }
}

/// Headers that a signature covers beside those of its own: where the request goes, what it is, and what is said to
/// AWS. Proxies and load balancers change others.
pub fn is_signed(name: &str) -> bool {
    matches!(name, "host" | "content-type") || name.starts_with("x-amz-")
}

impl Signer {
    pub fn new(
        access_key_id: &str,
        secret_access_key: &str,
        session_token: Option<&str>,
        region: &str,
        service: &str,
    ) -> Self {
        Self {
            access_key_id: access_key_id.into(),
            secret_access_key: secret_access_key.into(),
            session_token: session_token.map(Into::into),
            region: region.into(),
            service: service.into(),
        }
    }

    /// What an upstream knows of these credentials, or could: nobody else is to read it.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        [Some(&self.access_key_id), Some(&self.secret_access_key), self.session_token.as_ref()]
            .into_iter()
            .flatten()
            .map(|secret| &**secret)
    }

    /// Signs for this moment, in seconds since 1970. AWS takes a signature for five minutes before and after.
    pub fn sign(&self, request: &Unsigned<'_>, unix_s: u64) -> Signed<'_> {
        let date = timestamp(unix_s);
        let day = date.split('T').next().unwrap_or_default();
        let mut headers: Vec<(&str, &[u8])> = Vec::with_capacity(request.headers.len() + 2);
        // Another value beside ours would be signed and then be overwritten.
        let ours = ["x-amz-date", "x-amz-security-token"];
        headers.extend(request.headers.iter().filter(|(name, _)| !ours.contains(name)));
        headers.push(("x-amz-date", date.as_bytes()));
        if let Some(token) = &self.session_token {
            headers.push(("x-amz-security-token", token.as_bytes()));
        }
        // Stable: values of one name keep their order.
        headers.sort_by_key(|(name, _)| *name);
        let signed_names = names(&headers);
        let canonical = canonical(request, &headers, &signed_names);
        let scope = format!("{day}/{}/{}/aws4_request", self.region, self.service);
        let to_sign = format!("{ALGORITHM}\n{date}\n{scope}\n{}", hex(&sha256_of(&canonical)));
        let signature = hex(&hmac_sha256(&self.key_of(day), to_sign.as_bytes()));
        let credential = &self.access_key_id;
        let authorization =
            format!("{ALGORITHM} Credential={credential}/{scope}, SignedHeaders={signed_names}, Signature={signature}");
        Signed { date, session_token: self.session_token.as_deref(), authorization }
    }

    /// The signing key of a day: derived each time, because four digests cost less than a lock around a kept one.
    fn key_of(&self, day: &str) -> [u8; 32] {
        let secret = format!("AWS4{}", self.secret_access_key);
        let mut key = hmac_sha256(secret.as_bytes(), day.as_bytes());
        for part in [&*self.region, &*self.service, "aws4_request"] {
            key = hmac_sha256(&key, part.as_bytes());
        }
        key
    }
}

fn names(headers: &[(&str, &[u8])]) -> String {
    let mut out = String::new();
    let mut last = "";
    for (name, _) in headers {
        if *name == last {
            continue;
        }
        if !out.is_empty() {
            out.push(';');
        }
        out.push_str(name);
        last = name;
    }
    out
}

fn canonical(request: &Unsigned<'_>, headers: &[(&str, &[u8])], signed_names: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    for line in [request.method, &canonical_path(request.path), &canonical_query(request.query)] {
        out.extend_from_slice(line.as_bytes());
        out.push(b'\n');
    }
    let mut last = "";
    for (name, value) in headers {
        if *name == last {
            // The line end of the value before.
            out.pop();
            out.push(b',');
        } else {
            out.extend_from_slice(name.as_bytes());
            out.push(b':');
        }
        push_trimmed(&mut out, value);
        out.push(b'\n');
        last = name;
    }
    out.push(b'\n');
    out.extend_from_slice(signed_names.as_bytes());
    out.push(b'\n');
    out.extend_from_slice(hex(&request.payload).as_bytes());
    out
}

/// Without spaces around it, and with one where there are several.
fn push_trimmed(out: &mut Vec<u8>, value: &[u8]) {
    let words = value.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
    for (at, word) in words.enumerate() {
        if at > 0 {
            out.push(b' ');
        }
        out.extend_from_slice(word);
    }
}

/// Without dot segments (RFC 3986, section 5.2.4) and doubled slashes, and encoded once more.
fn canonical_path(path: &str) -> String {
    let mut segments: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                segments.pop();
            }
            plain => segments.push(plain),
        }
    }
    let mut out = String::with_capacity(path.len() + 16);
    for segment in &segments {
        out.push('/');
        encode_into(&mut out, segment);
    }
    if segments.is_empty() || path.ends_with('/') {
        out.push('/');
    }
    out
}

/// Sorted by name and then by value, each as it stands.
fn canonical_query(query: &str) -> String {
    if query.is_empty() {
        return String::new();
    }
    let mut pairs: Vec<(&str, &str)> =
        query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
    pairs.sort_unstable();
    let mut out = String::with_capacity(query.len() + 1);
    for (name, value) in pairs {
        if !out.is_empty() {
            out.push('&');
        }
        // Writing to a string cannot fail.
        let _ = write!(out, "{name}={value}");
    }
    out
}

fn hmac_sha256(key: &[u8], text: &[u8]) -> [u8; 32] {
    fixed(hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text).as_ref())
}

fn hex(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out
}

/// `20240229T235959Z`. Days to a date after Howard Hinnant, "chrono-compatible low-level date algorithms".
fn timestamp(unix_s: u64) -> String {
    let (days, second) = (unix_s / 86_400, unix_s % 86_400);
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    // Months counted from March.
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z")
}

#[cfg(test)]
mod tests;
