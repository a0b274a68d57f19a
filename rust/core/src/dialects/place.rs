//! Where in a document something is wrong, and the refusal that says so.
//!
//! A place is a chain of borrowed steps, so that walking costs nothing until there is something to say. Steps are names
//! of the schema and positions, never keys or values the caller sent: a refusal repeats no content.

use std::borrow::Cow;
use std::fmt::{self, Write as _};

use super::message::ErrorReply;

/// Why a document cannot be read or written in a dialect; enough for a 400 in the caller's own error shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DialectError {
    /// RFC 6901 pointer to the value at fault; empty for the whole document.
    pub pointer: String,
    /// What is wrong there, without repeating what was sent.
    pub message: Cow<'static, str>,
    /// The same place as OpenAI's error objects spell it: `messages[0].content`. `None` for the whole document.
    pub param: Option<String>,
    /// What clients tell this error by, where it has a name of its own.
    pub code: Option<&'static str>,
}

impl DialectError {
    /// The answer to the client who can mend it: a 400 in the neutral form, for any dialect to render.
    pub fn to_reply(&self) -> ErrorReply<'static> {
        ErrorReply {
            message: self.to_string().into(),
            kind: Some("invalid_request_error".into()),
            code: self.code.map(Cow::Borrowed),
            param: self.param.clone().map(Cow::Owned),
            status: Some(400),
            ..ErrorReply::default()
        }
    }
}

impl fmt::Display for DialectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.param {
            Some(param) => write!(f, "{param}: {}", self.message),
            None => write!(f, "{}", self.message),
        }
    }
}

impl std::error::Error for DialectError {}

/// A step into a document: the whole of it, a member of an object, or an item of a list.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'p> {
    Document,
    Member(&'p Place<'p>, &'static str),
    Item(&'p Place<'p>, usize),
}

impl<'p> Place<'p> {
    pub(crate) fn member(&'p self, name: &'static str) -> Self {
        Self::Member(self, name)
    }

    pub(crate) fn item(&'p self, index: usize) -> Self {
        Self::Item(self, index)
    }

    pub(crate) fn refuse(&self, message: impl Into<Cow<'static, str>>) -> DialectError {
        let mut pointer = String::new();
        let mut param = String::new();
        self.spell(&mut pointer, &mut param);
        DialectError { pointer, message: message.into(), param: (!param.is_empty()).then_some(param), code: None }
    }

    fn spell(&self, pointer: &mut String, param: &mut String) {
        match self {
            Self::Document => {}
            Self::Member(parent, name) => {
                parent.spell(pointer, param);
                pointer.push('/');
                pointer.push_str(name);
                if !param.is_empty() {
                    param.push('.');
                }
                param.push_str(name);
            }
            Self::Item(parent, index) => {
                parent.spell(pointer, param);
                // Writing to a String cannot fail.
                let _ = write!(pointer, "/{index}");
                let _ = write!(param, "[{index}]");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_names_its_place_as_pointer_and_as_param() {
        let document = Place::Document;
        let messages = document.member("messages");
        let first = messages.item(0);
        let error = first.member("content").refuse("must be a string");
        assert_eq!(error.pointer, "/messages/0/content");
        assert_eq!(error.param.as_deref(), Some("messages[0].content"));
        assert_eq!(error.to_string(), "messages[0].content: must be a string");
    }

    #[test]
    fn the_whole_document_has_no_param() {
        let error = Place::Document.refuse("must be a JSON object");
        assert_eq!((error.pointer.as_str(), error.param), ("", None));
    }
}
