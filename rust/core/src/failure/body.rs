//! What an error body says, whatever its shape.
//!
//! Providers agree on little: the error may be an object, a string or the whole body, its code a word, an HTTP status
//! or a number of their own, and a router wraps the body it got as text inside its own. So every name that could
//! classify the error is collected, in reading order, and the classification looks for names it knows.

use crate::{
    cursor::{Broken, Cursor, count, is_something, text},
    failure::retry_after::parse_wait,
};

/// An error reply keeps its first 64 KiB; of a message the beginning says what is wrong.
const MESSAGE_BYTES: usize = 2 * 1024;

/// More names than this is not an error but a document.
const NAMES: usize = 16;

/// A router wraps a provider's body once, objects in it nest `error`, `innererror`, `details`.
const DEPTH: usize = 6;

/// Everything in an error body that helps to tell what happened. The text in it is the provider's: it can quote keys
/// and prompts, so it is for classifying, never for a log or another tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorBody {
    /// An HTTP status named in the body.
    pub status: Option<u16>,
    /// Values of `code`, `type`, `status`, `reason` and their like, in lower case.
    pub names: Vec<String>,
    /// What it says to people, in lower case; wrapped messages follow their wrapper.
    pub message: String,
    /// A wait named in the body.
    pub retry_after_ms: Option<u64>,
}

impl ErrorBody {
    /// Reads an error body, or the value of `error` from one. Anything that is not JSON says nothing.
    pub fn parse(body: &[u8]) -> Self {
        let mut said = Self::default();
        // Only the beginning of a broken body is there; what was read until it broke counts.
        let _broken = said.read_value(&mut Cursor::new(body), 0);
        said
    }

    /// True when one of the names is `name`.
    pub fn names(&self, name: &str) -> bool {
        self.names.iter().any(|given| given == name)
    }

    fn read_value(&mut self, cursor: &mut Cursor<'_>, depth: usize) -> Result<(), Broken> {
        if depth > DEPTH {
            cursor.skip()?;
        } else if cursor.open_object() {
            while let Some(key) = cursor.key()? {
                self.read_member(&key, cursor, depth)?;
            }
        } else if cursor.open_array() {
            // Vertex wraps the one error in an array; Cloudflare and Google list them.
            while cursor.element()? {
                self.read_value(cursor, depth + 1)?;
            }
        } else if let Some(text) = text(cursor.skip()?) {
            self.add_message(&text);
        }
        Ok(())
    }

    fn read_member(&mut self, key: &[u8], cursor: &mut Cursor<'_>, depth: usize) -> Result<(), Broken> {
        match key {
            b"error" | b"errors" | b"innererror" | b"inner_error" | b"details" | b"metadata" => {
                self.read_value(cursor, depth + 1)?;
            }
            b"message" | b"Message" | b"detail" | b"msg" | b"error_message" | b"status_msg" => {
                if let Some(text) = text(cursor.skip()?) {
                    self.add_message(&text);
                }
            }
            b"code" | b"type" | b"status" | b"reason" | b"error_type" | b"error_code" | b"raw_status_code"
            | b"http_status_code" | b"http_code" | b"status_code" | b"__type" => self.add_name(cursor.skip()?),
            // MiniMax numbers its errors as Z.ai does, and means others: in a reply of status 200, where 0 is none.
            b"base_resp" if cursor.open_object() => {
                while let Some(key) = cursor.key()? {
                    let value = cursor.skip()?;
                    match key.as_ref() {
                        b"status_code" => self.push_name(format!("base_resp_{}", count(value))),
                        b"status_msg" => text(value).into_iter().for_each(|text| self.add_message(&text)),
                        _ => {}
                    }
                }
            }
            b"retryDelay" => {
                self.retry_after_ms = text(cursor.skip()?).and_then(|wait| parse_wait(&wait));
            }
            // OpenRouter: the body its provider gave, as text.
            b"raw" => {
                if let Some(wrapped) = text(cursor.skip()?) {
                    // It may well be cut, or no JSON at all.
                    let _broken = self.read_value(&mut Cursor::new(&wrapped), depth + 1);
                    if wrapped.first() != Some(&b'{') {
                        self.add_message(&wrapped);
                    }
                }
            }
            // OpenRouter names the prompt it flagged, Groq quotes what the model wrote: being there is the message.
            b"flagged_input" | b"failed_generation" if is_something(cursor.skip()?) => {
                self.push_name(String::from_utf8_lossy(key).into_owned());
            }
            b"flagged_input" | b"failed_generation" => {}
            _ => {
                cursor.skip()?;
            }
        }
        Ok(())
    }

    fn add_name(&mut self, value: &[u8]) {
        let name = text(value).unwrap_or(std::borrow::Cow::Borrowed(value));
        let name = String::from_utf8_lossy(&name).to_ascii_lowercase();
        // AWS writes the namespace of the type in front of it.
        let name = name.rsplit_once('#').map_or(name.as_str(), |(_, name)| name).to_owned();
        match name.parse::<u16>() {
            Ok(status @ 400..=599) => self.status = self.status.or(Some(status)),
            _ if name.len() <= 64 && name != "null" => self.push_name(name),
            _ => {}
        }
    }

    fn push_name(&mut self, name: String) {
        if self.names.len() < NAMES {
            self.names.push(name);
        }
    }

    fn add_message(&mut self, text: &[u8]) {
        let room = MESSAGE_BYTES.saturating_sub(self.message.len());
        if room == 0 {
            return;
        }
        let beginning = text.get(..room.min(text.len())).unwrap_or_default();
        if !self.message.is_empty() {
            self.message.push('\n');
        }
        self.message.push_str(&String::from_utf8_lossy(beginning).to_ascii_lowercase());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shape_gives_its_names_and_its_message() {
        for (body, status, names, message) in [
            (r#"{"error":{"message":"No","type":"T","param":null,"code":"C"}}"#, None, &["t", "c"][..], "no"),
            (
                r#"{"object":"error","message":"No","type":"t","code":"1500","raw_status_code":400}"#,
                Some(400),
                &["t", "1500"],
                "no",
            ),
            (r#"{"detail":"No"}"#, None, &[], "no"),
            (r#"{"detail":[{"loc":["body"],"msg":"No"}]}"#, None, &[], ""),
            (r#"{"code":"Some words","error":"No"}"#, None, &["some words"], "no"),
            (r#"{"error":"No"}"#, None, &[], "no"),
            (r#""No""#, None, &[], "no"),
            (r#"{"error":{"code":"401","message":"No"}}"#, Some(401), &[], "no"),
            (r#"[{"error":{"code":503,"message":"No","status":"UNAVAILABLE"}}]"#, Some(503), &["unavailable"], "no"),
            (r#"{"errors":[{"code":10000,"message":"No"}]}"#, None, &["10000"], "no"),
            (
                r#"{"error":{"code":400,"message":"Wrapped","metadata":{"raw":"{\"error\":{\"type\":\"inner\",\"message\":\"No\"}}"}}}"#,
                Some(400),
                &["inner"],
                "wrapped\nno",
            ),
            (
                r#"{"error":{"code":502,"message":"Wrapped","metadata":{"raw":"Malformed: {"}}}"#,
                Some(502),
                &[],
                "wrapped\nmalformed: {",
            ),
            (
                r#"{"error":{"code":"content_filter","innererror":{"code":"Inner"}}}"#,
                None,
                &["content_filter", "inner"],
                "",
            ),
            (r#"{"choices":null,"base_resp":{"status_code":1002,"status_msg":"No"}}"#, None, &["base_resp_1002"], "no"),
            (r#"{"__type":"com.amazon#ThrottlingException","Message":"No"}"#, None, &["throttlingexception"], "no"),
            (r#"{"error":{"http_code":"429","message":"No","type":"T"}}"#, Some(429), &["t"], "no"),
            ("<html>No</html>", None, &[], ""),
            ("", None, &[], ""),
            (r#"{"error":{"type":"cut","message":"N"#, None, &["cut"], ""),
        ] {
            let said = ErrorBody::parse(body.as_bytes());
            assert_eq!((said.status, said.message.as_str()), (status, message), "{body}");
            assert_eq!(said.names, names, "{body}");
        }
    }

    #[test]
    fn googles_retry_delay_is_read_from_the_details() {
        let body =
            br#"{"error":{"code":429,"status":"RESOURCE_EXHAUSTED","details":[{"reason":"R"},{"retryDelay":"48s"}]}}"#;
        let said = ErrorBody::parse(body);
        assert_eq!(said.retry_after_ms, Some(48_000));
        assert!(said.names("r") && said.names("resource_exhausted"));
    }

    #[test]
    fn a_hostile_body_is_bounded() {
        let body = format!(
            "{{\"message\":\"{}\",{}\"x\":{}",
            "m".repeat(100_000),
            "\"code\":\"c\",".repeat(1_000),
            "[".repeat(100_000)
        );
        let said = ErrorBody::parse(body.as_bytes());
        assert_eq!((said.message.len(), said.names.len()), (MESSAGE_BYTES, NAMES));
        let many = format!("{{{}\"message\":\"m\"}}", "\"message\":\"\",\"detail\":\"m\",".repeat(10_000));
        assert!(ErrorBody::parse(many.as_bytes()).message.len() <= MESSAGE_BYTES + 1, "a line break for each");
    }
}
