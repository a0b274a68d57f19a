//! What of a chunk the other events do not tell: the chunk with holes in it.
//!
//! A hole is a list, in places where Gemini has none. Among the parts, `[{…}]` is the next piece with what it has besides,
//! and `[]` a piece that parts before it have said already; anywhere else, `[]` is what an event tells.

use crate::dialects::raw::RawValue;

use crate::dialects::message::{Extras, Json};
use crate::dialects::output::{self, Buffer};

#[derive(Debug)]
pub(super) struct Frame {
    out: Buffer,
}

impl Frame {
    pub(super) fn new() -> Self {
        Self { out: b"{".to_vec() }
    }

    pub(super) fn finish(mut self) -> Json<'static> {
        self.out.push(b'}');
        Json::written(self.out)
    }

    fn comma(&mut self) {
        if !matches!(self.out.last(), Some(b'{' | b'[')) {
            self.out.push(b',');
        }
    }

    fn key(&mut self, name: &str) {
        self.comma();
        output::text(&mut self.out, name);
        self.out.push(b':');
    }

    pub(super) fn literal(&mut self, name: &str, raw: &RawValue) {
        self.key(name);
        output::raw(&mut self.out, raw.get());
    }

    /// A member that an event tells.
    pub(super) fn told(&mut self, name: &str) {
        self.key(name);
        self.out.extend_from_slice(b"[]");
    }

    pub(super) fn open_list(&mut self, name: &str) {
        self.key(name);
        self.out.push(b'[');
    }

    pub(super) fn close_list(&mut self) {
        self.out.push(b']');
    }

    pub(super) fn open_object(&mut self, name: &str) {
        self.key(name);
        self.out.push(b'{');
    }

    pub(super) fn open_item(&mut self) {
        self.comma();
        self.out.push(b'{');
    }

    pub(super) fn close_object(&mut self) {
        self.out.push(b'}');
    }

    pub(super) fn item(&mut self, raw: &RawValue) {
        self.comma();
        output::raw(&mut self.out, raw.get());
    }

    /// The next piece, and what its part holds besides.
    pub(super) fn piece(&mut self, extras: &Extras<'_>) {
        self.comma();
        self.out.push(b'[');
        output::object(&mut self.out, |rest| rest.extras(super::DIALECT, extras));
        self.out.push(b']');
    }

    /// A piece that was said in parts before this one.
    pub(super) fn said_before(&mut self) {
        self.comma();
        self.out.extend_from_slice(b"[]");
    }
}
